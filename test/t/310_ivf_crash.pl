# kill -9 of the whole server while an ivf index is loaded, trained, built and
# vacuumed, at moments chosen by the amount of WAL written since the command
# began. After recovery the index is sound, and answers as the table does.

use strict;
use warnings;

use Piramid;
use Test::More;

my $seed = 20240502;
srand($seed);
note "random seed $seed";

my $node = new_node('ivf_crash', shared_buffers => '32MB', checkpoint_timeout => '30s', max_wal_size => '64MB',
	autovacuum => 'off', full_page_writes => 'on');
my $dim = 96;
my $set = { type => 'vector', metric => 'cosine', op => '<=>', table => 't', dim => $dim, kind => 'clusters' };
my $value = value_sql('vector', $dim, 'clusters', 'i');
my $file = $node->basedir . '/rows';

define_corpora($node);
new_table($node, 't', 'vector', $dim);
$node->safe_psql('postgres', "COPY (SELECT i, $value FROM generate_series(1, 6000) i) TO '$file'");

sub sound
{
	my ($what) = @_;

	check_index($node, "$set->{table}_i", "$what: sound");
	exact_answers_ok($node, $set, "$what: exact answers");
	all_rows_ok($node, $set, "$what: every row once");
	return;
}

# Run SQL and crash the server after so many bytes of WAL; whether it was still
# at work.
sub crash_within
{
	my ($sql, $bytes) = @_;
	my $from = wal_position($node);
	my $run = start_psql($node, $sql);

	wait_for_wal($node, $from, $bytes);
	crash($node);
	my $interrupted = finish($run) != 0;
	note "crashed after $bytes bytes of WAL; it ", $interrupted ? 'was at work' : 'had ended';
	return $interrupted;
}

my $interrupted = 0;

# during a load: many small transactions, so that some commit
$node->safe_psql('postgres', 'CREATE INDEX t_i ON t USING ivf (v vector_cosine_ops)');
foreach my $round (1 .. 3)
{
	my $first = $round * 10_000;
	my $sql = join '', map {
		my $id = $first + $_ * 20;
		"INSERT INTO t SELECT i, $value FROM generate_series($id, $id + 19) i;\n"
	} 0 .. 149;

	$interrupted += crash_within($sql, 50_000 + int rand 600_000);
	sound("load $round");
}

# during one large COPY, of which nothing remains, but for its rows in the index
foreach my $round (1 .. 2)
{
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM t');

	$interrupted += crash_within("COPY t FROM '$file'", 200_000 + int rand 2_000_000);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $before, "copy $round: nothing remains");
	sound("copy $round");
}
cmp_ok($interrupted, '>=', 3, 'most loads were interrupted');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
sound('rows of the interrupted loads vacuumed');
fill($node, 't', 'vector', $dim, 'clusters', 50_000, 53_000);
is($node->safe_psql('postgres', q{SELECT state FROM piramid_index_info('t_i')}), 'lists', 'trained');

# vacuum: pages compacted, emptied and freed
$interrupted = 0;
foreach my $round (1 .. 4)
{
	# most rows, so that pages become empty
	$node->safe_psql('postgres', "DELETE FROM t WHERE id % 8 <> $round");
	$interrupted += crash_within('SET vacuum_cost_delay = 1; SET vacuum_cost_limit = 1; VACUUM (INDEX_CLEANUP on) t',
		5_000 + int rand 60_000);
	sound("vacuum $round");
	if ($round == 2)
	{
		# go on with what the interrupted one left, before rows come again
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
		sound("vacuum $round, finished");
	}
	fill($node, 't', 'vector', $dim, 'clusters', 100_000 * $round, 100_000 * $round + 1500);
	sound("vacuum $round, refilled");
}
cmp_ok($interrupted, '>=', 2, 'vacuum was interrupted');

# training, the switch from flat to lists, and the retirement of the old pages;
# with long vectors, so that there is much to write
my $wide_value = "(SELECT array_agg(x) FROM generate_series(1, 18) g, unnest(corpus(i, 100, 'clusters')) x)::vector(1800)";

$interrupted = 0;
$node->safe_psql('postgres', qq{
	CREATE TABLE source (id bigint, v vector(1800));
	INSERT INTO source SELECT i, $wide_value FROM generate_series(1, 2300) i});
$set = { %$set, table => 'w', value => $wide_value, sure => 1 };
foreach my $round (1 .. 4)
{
	$node->safe_psql('postgres', q{
		DROP TABLE IF EXISTS w;
		CREATE TABLE w (LIKE source);
		CREATE INDEX w_i ON w USING ivfflat (v vector_cosine_ops) WITH (lists = 20, quantizer = none);
		INSERT INTO w SELECT * FROM source WHERE id <= 2047});
	$interrupted += crash_within('INSERT INTO w SELECT * FROM source WHERE id BETWEEN 2048 AND 2060', 1 + int rand 17_000_000);
	sound("training $round");
	$node->safe_psql('postgres', 'INSERT INTO w SELECT * FROM source WHERE id > 2060');
	is($node->safe_psql('postgres', q{SELECT state FROM piramid_index_info('w_i')}), 'lists', "training $round: trained at last");
	$node->safe_psql('postgres', 'VACUUM w');
	sound("training $round, continued");
}

# build: nothing of the index remains, and the old one serves on
foreach my $round (1 .. 2)
{
	my $cut = crash_within('CREATE INDEX w_j ON w USING ivf (v vector_cosine_ops) WITH (quantizer = none)', 1 + int rand 17_000_000);

	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'w_j'}), $cut ? 0 : 1, "build $round: all of it or nothing");
	$interrupted += $cut;
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS w_j');
	sound("build $round");
}
$interrupted += crash_within('REINDEX INDEX w_i', 1 + int rand 17_000_000);
sound('reindex');
# of seven, at random places; fewer than two in a thousand runs or so
cmp_ok($interrupted, '>=', 2, 'trainings and builds were interrupted');

# an unlogged index is empty after a crash, and can be used
$node->safe_psql('postgres', q{
	CREATE UNLOGGED TABLE u (LIKE source);
	CREATE INDEX u_i ON u USING ivf (v vector_l2_ops);
	INSERT INTO u SELECT * FROM source});
crash($node);
is($node->safe_psql('postgres', q{SELECT state, heap_rows FROM piramid_index_info('u_i')}), 'flat|0', 'unlogged: empty after a crash');
$node->safe_psql('postgres', 'INSERT INTO u SELECT * FROM source');
check_index($node, 'u_i', 'unlogged: filled again');

# the end of it all: vacuum takes what the crashes left
$node->safe_psql('postgres', 'VACUUM w');
sound('at the end');

ok(!$node->log_contains('PANIC|TRAP|could not read block'), 'the server log is clean');
$node->stop;
done_testing();
