# 32 sessions insert, update, delete, scan and vacuum one ivf index at once. No
# session may fail, no scan may return a row twice, the pages are sound at every
# moment, and the index in the end.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('ivf_writers', fsync => 'off', shared_buffers => '64MB', max_connections => 60, autovacuum => 'off',
	deadlock_timeout => '100ms');

define_corpora($node);

foreach my $case (
	# the index is trained while all this goes on
	{ am => 'ivf', type => 'vector', op => '<=>', opclass => 'vector_cosine_ops', dim => 32, kind => 'clusters', with => '', rows => 1900, deletes => 5 },
	{ am => 'ivfflat', type => 'vector', op => '<->', opclass => 'vector_l2_ops', dim => 32, kind => 'duplicates', with => 'WITH (lists = 5)', rows => 4000 },
	# few rows to a page, many pages
	{ am => 'ivf', type => 'vector', op => '<#>', opclass => 'vector_ip_ops', dim => 1200, kind => 'tiles', with => 'WITH (lists = 40, quantizer = none)', rows => 2400 },
	{ am => 'ivf', type => 'bit', op => '<~>', opclass => 'bit_hamming_ops', dim => 64, kind => 'clusters', with => 'WITH (lists = 300)', rows => 2500 })
{
	my $set = { %$case, table => 't' };
	my $name = "$case->{am} $case->{opclass}, $case->{dim} dimensions";

	# long values are short ones repeated, which is quicker to make
	$set->{value} = '(SELECT array_agg(x) FROM generate_series(1, 48) g, unnest(corpus(i, 25, \'clusters\')) x)::vector(1200)'
	  if $case->{kind} eq 'tiles';
	my $value = $set->{value} || value_sql($case->{type}, $case->{dim}, $case->{kind}, 'i');
	my $last = $case->{rows};
	my $deletes = $case->{deletes} || 30;

	new_table($node, 't', $case->{type}, $case->{dim});
	$node->safe_psql('postgres', qq{
		CREATE SEQUENCE ids;
		ALTER TABLE t ALTER id SET DEFAULT nextval('ids');
		INSERT INTO t SELECT i, $value FROM generate_series(1, $last) i;
		CREATE INDEX t_i ON t USING $case->{am} (v $case->{opclass}) $case->{with};
		SELECT setval('ids', $last)});

	my $bench = start_pgbench(
		$node, 32, $case->{dim} > 1000 ? 60 : 150,
		qq{INSERT INTO t (v) SELECT $value FROM (SELECT nextval('ids') AS i) n;\n} => 30,
		qq{\\set i random(1, 100000)\nINSERT INTO t (v) SELECT $value FROM generate_series(:i, :i + 5) i;\n} => 4,
		qq{\\set i random(1, 4000)\nUPDATE t SET v = (SELECT $value FROM (SELECT :i + 1 AS i) n) WHERE id = :i;\n} => 8,
		qq{\\set i random(1, 4000)\nDELETE FROM t WHERE id BETWEEN :i AND :i + $deletes;\n} => 8,
		qq{BEGIN;\nINSERT INTO t (v) SELECT $value FROM (SELECT nextval('ids') AS i) n;\nROLLBACK;\n} => 4,
		qq{\\set i random(1, 100000)
		SELECT 1 / (count(*) = count(DISTINCT id))::int FROM (
			SELECT id FROM t ORDER BY v $case->{op} (SELECT $value FROM (SELECT :i AS i) n) LIMIT 20) found;\n} => 20,
		qq{SELECT coalesce(string_agg(concat_ws(' ', invariant, block, node, detail), ' / '), '0')::int FROM piramid_check('t_i', exclusive => false);\n} => 2,
		qq{VACUUM (SKIP_LOCKED) t;\n} => 2);

	is(finish($bench), 0, "$name: every session went to its end")
	  or diag join "\n", grep { /ERROR|FATAL|PANIC/ } split /\n/, $bench->{err};
	check_index($node, 't_i', "$name: sound");
	exact_answers_ok($node, $set, "$name: exact answers");
	all_rows_ok($node, $set, "$name: every row once");
	$node->safe_psql('postgres', 'VACUUM t');
	check_index($node, 't_i', "$name: sound after VACUUM");
	all_rows_ok($node, $set, "$name: every row once after VACUUM");
	$node->safe_psql('postgres', "INSERT INTO t SELECT i, $value FROM generate_series(500001, 502100) i");
	is($node->safe_psql('postgres', q{SELECT state FROM piramid_index_info('t_i')}), 'lists', "$name: trained by now");
	check_index($node, 't_i', "$name: sound after more inserts");
	note "$name: ", $node->safe_psql('postgres', q{SELECT state, heap_rows, entries, pages FROM piramid_index_info('t_i')});
	$node->safe_psql('postgres', 'DROP TABLE t; DROP SEQUENCE ids');
}

ok(!$node->log_contains('PANIC|TRAP|terminated by signal|deadlock detected|INDEX_CORRUPTED|is corrupted'), 'the server log is clean');
$node->stop;
done_testing();
