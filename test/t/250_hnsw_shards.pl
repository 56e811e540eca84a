# Builds with a fraction of the memory that the graph needs: of every type of
# code, sound and as good as others, the same for any number of workers,
# stopped in every phase, and cut off by a crash.

use strict;
use warnings;

use Piramid;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('shards', fsync => 'off', autovacuum => 'off', log_min_messages => 'debug1');
my $temporary = $node->data_dir . '/base/pgsql_tmp';
my $watched = q{application_name = 'piramid background session'};
my $dim = 32;

# Files that builds have left
sub temporary_files
{
	return join ' ', glob "$temporary/*";
}

# Build under a limit; how many shards there were.
sub build
{
	my ($name, $memory, $sql, $workers) = @_;
	my $from = -s $node->logfile;
	my ($status, $out, $err) = $node->psql('postgres', qq{
		SET maintenance_work_mem = '$memory'; SET max_parallel_maintenance_workers = $workers; $sql});

	is($status, 0, "$name: built") or diag $err;
	like($err, qr/NOTICE:  hnsw graph no longer fits into maintenance_work_mem/, "$name: says that memory is short");
	is(temporary_files(), '', "$name: no temporary file is left");
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $from);
	my $shards = () = $log =~ /DEBUG:  shard \d+ /g;
	note "$name: $shards shards";
	return ($shards, $log);
}

define_corpora($node);

# every quantizer, metric and type; recall is that of a build in memory
foreach my $case (
	['vector',    'l2',     '<->', 'clusters', ''],
	['vector',    'cosine', '<=>', 'clusters', ''],
	['vector',    'ip',     '<#>', 'clusters', ''],
	['vector',    'l1',     '<+>', 'clusters', ''],
	['vector',    'l2',     '<->', 'uniform',  'WITH (quantizer = none, m = 8)'],
	['halfvec',   'l2',     '<->', 'clusters', 'WITH (quantizer = half)'],
	['vector',    'l2',     '<->', 'duplicates', ''])
{
	my ($type, $metric, $op, $kind, $with) = @$case;
	my $name = "$type, $metric, $kind $with";
	my $set = { type => $type, metric => $metric, op => $op, table => 't', dim => $dim, kind => $kind };

	new_table($node, 't', $type, $dim);
	fill($node, 't', $type, $dim, $kind, 1, $kind eq 'duplicates' ? 60_000 : 12_000);
	$node->safe_psql('postgres', "CREATE INDEX t_i ON t USING hnsw (v ${type}_${metric}_ops) $with");
	my $before = set_recall($node, $set, 'SET hnsw.ef_search = 40;');
	my ($shards, $log) = build($name, '1MB', 'REINDEX INDEX t_i', 0);
	cmp_ok($shards, '>=', $kind eq 'duplicates' ? 2 : 3, "$name: several shards");
	check_index($node, 't_i', "$name: sound");
	exact_answers_ok($node, $set, "$name: exact answers");
	all_rows_ok($node, $set, "$name: every row once");
	my $after = set_recall($node, $set, 'SET hnsw.ef_search = 40;');
	note "$name: recall $before in memory, $after in $shards shards";
	cmp_ok($after, '>=', $before - 0.02, "$name: recall");

	# the index goes on like any other
	fill($node, 't', $type, $dim, $kind, 70_001, 70_500);
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0; VACUUM t');
	check_index($node, 't_i', "$name: sound after changes");
	all_rows_ok($node, $set, "$name: every row once after changes");
	$node->safe_psql('postgres', 'DROP TABLE t');
}

# items larger than a page; equal rows by the thousand, more than there is memory for
$node->safe_psql('postgres', q{
	CREATE TABLE large (id int, v vector(3000));
	INSERT INTO large SELECT i, array_fill((i % 700)::real + 1, ARRAY[3000])::vector FROM generate_series(1, 2100) i;
	CREATE TABLE equal (id int, v vector(3));
	INSERT INTO equal SELECT i, CASE WHEN i % 10 = 0 THEN ARRAY[i % 1000, i % 7000, 1]::vector ELSE '[1,2,3]' END FROM generate_series(1, 100000) i});
my ($nshards) = build('items larger than a page', '1MB', 'CREATE INDEX large_i ON large USING hnsw (v vector_l2_ops) WITH (quantizer = none)', 0);
check_index($node, 'large_i', 'items larger than a page: sound');
is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.iterative_scan = strict_order; SELECT count(*) FROM (SELECT id FROM large ORDER BY v <-> array_fill(5, ARRAY[3000])::vector LIMIT 3000) s}),
	2100, 'items larger than a page: all rows');
build('equal rows', '1MB', 'CREATE INDEX equal_i ON equal USING hnsw (v vector_l2_ops)', 0);
check_index($node, 'equal_i', 'equal rows: sound');
is($node->safe_psql('postgres', q{SET enable_seqscan = off; SELECT count(*) FROM (SELECT v FROM equal ORDER BY v <-> '[1,2,3]' LIMIT 20000) s WHERE v = '[1,2,3]'}),
	20_000, 'equal rows: found');

# the same bytes for any number of workers; exact codes do not depend on a seed,
# and pages of unlogged indexes have no position in the log
$node->safe_psql('postgres', "CREATE UNLOGGED TABLE u (id int, v vector($dim))");
fill($node, 'u', 'vector', $dim, 'clusters', 1, 40_000);
my $bytes;
foreach my $workers (0, 1, 2)
{
	$node->safe_psql('postgres', "ALTER TABLE u SET (parallel_workers = $workers)");
	my ($shards, $log) = build("$workers workers", '2MB', 'CREATE INDEX u_i ON u USING hnsw (v vector_l2_ops) WITH (quantizer = half)', $workers);
	cmp_ok($shards, '>=', 3, "$workers workers: several shards");
	like($log, qr/using $workers parallel workers/, "$workers workers: they have come") if $workers > 0;
	check_index($node, 'u_i', "$workers workers: sound");
	my $now = $node->safe_psql('postgres', q{
		CHECKPOINT;
		SELECT string_agg(md5(pg_read_binary_file(pg_relation_filepath('u_i'), i * 8192, 8192)), '' ORDER BY i)
		FROM generate_series(1, pg_relation_size('u_i') / 8192 - 1) i});
	$bytes //= $now;
	cmp_ok(length $now, '>', 10_000, "$workers workers: there are pages");
	ok($now eq $bytes, "$workers workers: the same bytes");
	$node->safe_psql('postgres', 'DROP INDEX u_i');
}

# cancelled in every phase
my $build = "SET maintenance_work_mem = '1MB'; CREATE INDEX u_i ON u USING hnsw (v vector_l2_ops) WITH (m = 48, ef_construction = 400)";

sub start_and_wait_for
{
	my ($sql, $phase) = @_;
	my $run = start_psql($node, $sql);

	wait_until(
		sub {
			$run->{handle}->pump_nb;
			!$run->{handle}->pumpable
			  || $node->safe_psql('postgres', "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase = 'building index: $phase')") eq 't';
		},
		"phase $phase");
	return $run;
}

my $stopped = 0;
foreach my $workers (0, 2)
{
	$node->safe_psql('postgres', "ALTER TABLE u SET (parallel_workers = $workers)");
	foreach my $phase ('loading tuples', 'dividing rows into shards', 'sorting rows by shard', 'building graph', 'joining shards', 'merging lists')
	{
		my $run = start_and_wait_for("SET max_parallel_maintenance_workers = $workers; $build", $phase);
		my $from = time;
		$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $watched");
		my $cut = finish($run) != 0;
		my $took = time - $from;
		note sprintf '%s, %d workers: %s after %.2f s', $phase, $workers, $cut ? 'stopped' : 'too late', $took;
		$stopped += $cut;
		cmp_ok($took, '<', 10, "$phase, $workers workers: stops soon") if $cut;
		is(temporary_files(), '', "$phase, $workers workers: no temporary file is left");
		is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'u_i'}), $cut ? 0 : 1, "$phase, $workers workers: all or nothing");
		$node->safe_psql('postgres', 'DROP INDEX IF EXISTS u_i');
	}
}
cmp_ok($stopped, '>=', 8, 'most builds were stopped');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'}), '0', 'no worker is left');

# a crash in the middle
new_table($node, 't', 'vector', $dim);
fill($node, 't', 'vector', $dim, 'clusters', 1, 12_000);
foreach my $phase ('building graph', 'joining shards')
{
	my $run = start_and_wait_for(q{SET maintenance_work_mem = '1MB'; CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops) WITH (m = 48, ef_construction = 400)}, $phase);
	crash($node);
	finish($run);
	is(temporary_files(), '', "crash while $phase: no temporary file is left");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 't_i'}), '0', "crash while $phase: no index");
}
build('after the crashes', '1MB', 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops)', 0);
check_index($node, 't_i', 'after the crashes: sound');
crash($node);
check_index($node, 't_i', 'replayed: sound');

ok(!$node->log_contains('PANIC|TRAP|is corrupted'), 'the server log is clean');
$node->stop;
done_testing();
