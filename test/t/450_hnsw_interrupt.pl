# Sessions cancelled and terminated at random moments of an insert, a training,
# a build and a vacuum: the index stays sound and answers as the table does.
# And builds that do not fit into maintenance_work_mem.

use strict;
use warnings;

use Piramid;
use Test::More;

my $seed = 20240503;
srand($seed);
note "random seed $seed";

my $node = new_node('interrupt', fsync => 'off', shared_buffers => '64MB', autovacuum => 'off');
my $dim = 64;
my $set = { type => 'vector', metric => 'l2', op => '<->', table => 't', dim => $dim, kind => 'clusters' };
my $value = value_sql('vector', $dim, 'clusters', 'i');
my $watched = q{application_name = 'piramid background session'};

define_corpora($node);
new_table($node, 't', 'vector', $dim);

sub sound
{
	my ($what) = @_;

	check_index($node, 't_i', "$what: sound");
	exact_answers_ok($node, $set, "$what: exact answers");
	all_rows_ok($node, $set, "$what: every row once");
	return;
}

# Run SQL, and stop its session after so many bytes of WAL, by a cancel or by
# termination; whether it was still at work.
sub stop_within
{
	my ($sql, $bytes) = @_;
	my $how = rand() < 0.5 ? 'pg_cancel_backend' : 'pg_terminate_backend';
	my $from = wal_position($node);
	my $run = start_psql($node, $sql);

	wait_for_wal($node, $from, $bytes);
	$node->safe_psql('postgres', "SELECT $how(pid) FROM pg_stat_activity WHERE $watched");
	my $stopped = finish($run) != 0;
	note "$how after $bytes bytes of WAL: ", $stopped ? 'stopped' : 'too late';
	is($run->{err} =~ /ERROR|FATAL/ && $run->{err} !~ /canceling statement due to user request|terminating connection due to administrator command/
		? $run->{err} : '', '', 'no other error');
	return $stopped;
}

my $stopped = 0;

$node->safe_psql('postgres', 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops)');
foreach my $round (1 .. 6)
{
	# rows that commit, then some that may be cut off; with the first rounds the index is trained
	fill($node, 't', 'vector', $dim, 'clusters', $round * 10_000, $round * 10_000 + 300);
	$stopped += stop_within("INSERT INTO t SELECT i, $value FROM generate_series($round * 10000 + 1000, $round * 10000 + 3000) i", 1 + int rand 900_000);
	sound("insert $round");
}
cmp_ok($stopped, '>=', 4, 'most inserts were stopped');

$stopped = 0;
foreach my $round (1 .. 5)
{
	$node->safe_psql('postgres', "DELETE FROM t WHERE id % 5 = $round % 5");
	$stopped += stop_within('SET vacuum_cost_delay = 1; SET vacuum_cost_limit = 1; VACUUM (INDEX_CLEANUP on) t', 2_000 + int rand 80_000);
	sound("vacuum $round");
	fill($node, 't', 'vector', $dim, 'clusters', 100_000 * $round, 100_000 * $round + 400);
	sound("vacuum $round, refilled");
}
cmp_ok($stopped, '>=', 3, 'most vacuums were stopped');
$node->safe_psql('postgres', 'VACUUM t');
sound('vacuumed at last');

# within a transaction that goes on: only the savepoint is lost
$node->safe_psql(
	'postgres', qq{
	BEGIN;
	INSERT INTO t SELECT i, $value FROM generate_series(900000, 900100) i;
	SAVEPOINT s;
	INSERT INTO t SELECT i, $value FROM generate_series(900101, 900200) i;
	ROLLBACK TO s;
	INSERT INTO t SELECT i, $value FROM generate_series(900201, 900300) i;
	COMMIT});
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id >= 900000'), '201', 'rows around a savepoint');
sound('savepoint');

# builds, serial and with workers; the index so far serves on
fill($node, 't', 'vector', $dim, 'clusters', 2_000_000, 2_005_000);
$stopped = 0;
foreach my $workers (0, 2)
{
	$node->safe_psql('postgres', "ALTER TABLE t SET (parallel_workers = $workers)");
	foreach my $round (1 .. 3)
	{
		my $run = start_psql($node, "SET min_parallel_table_scan_size = 0; SET max_parallel_maintenance_workers = $workers; CREATE INDEX t_j ON t USING hnsw (v vector_l2_ops) WITH (m = 48, ef_construction = 1000)");
		my $done = int rand 5_000;

		wait_until(
			sub {
				$run->{handle}->pump_nb;
				!$run->{handle}->pumpable
				  || $node->safe_psql('postgres', "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE tuples_done >= $done)") eq 't';
			},
			'the build to come so far');
		$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $watched");
		my $cut = finish($run) != 0;
		note "build with $workers workers, $done tuples: ", $cut ? 'stopped' : 'too late';
		$stopped += $cut;
		is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 't_j'}), $cut ? 0 : 1, 'all of the index or nothing');
		$node->safe_psql('postgres', 'DROP INDEX IF EXISTS t_j');
	}
}
cmp_ok($stopped, '>=', 3, 'most builds were stopped');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'}), '0', 'no worker is left');
sound('after the builds');

# little memory: the graph so far is written, and the rest inserted
foreach my $workers (0, 2)
{
	my ($status, $out, $err) = $node->psql('postgres', qq{
		SET maintenance_work_mem = '1MB'; SET min_parallel_table_scan_size = 0;
		ALTER TABLE t SET (parallel_workers = $workers); SET max_parallel_maintenance_workers = $workers;
		REINDEX INDEX t_i});
	is($status, 0, "1 MB, $workers workers: built");
	like($err, qr/NOTICE:  hnsw graph no longer fits into maintenance_work_mem/, "1 MB, $workers workers: says so");
	sound("1 MB, $workers workers");
	cmp_ok(set_recall($node, $set, 'SET hnsw.ef_search = 100;'), '>=', 0.95, "1 MB, $workers workers: recall");
}

ok(!$node->log_contains('PANIC|TRAP|terminated by signal|is corrupted'), 'the server log is clean');
$node->stop;
done_testing();
