# What a table and its index live through beside inserts and vacuum: crashes of
# unlogged ones, temporary tables, partitions, builds beside writers, TRUNCATE,
# rollbacks, rewrites of the table, dump and restore, a build that outgrows its
# memory.

use strict;
use warnings;

use Piramid;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('ddl', autovacuum => 'off', fsync => 'off');
my $dim = 32;
my $set = { table => 't', type => 'vector', dim => $dim, kind => 'clusters', op => '<=>' };
my $value = value_sql('vector', $dim, 'clusters', 'i');
my $query = value_sql('vector', $dim, 'clusters', '100000007');

define_corpora($node);
# faster than to make each row again
$node->safe_psql('postgres', "CREATE TABLE source AS SELECT i AS id, $value AS v FROM generate_series(1, 4000) i");

sub run
{
	return $node->safe_psql('postgres', shift);
}

# Sound, complete, exact.
sub whole
{
	my ($what, $table, $index) = @_;

	$table ||= 't';
	check_index($node, $index || "${table}_i", "$what: sound");
	all_rows_ok($node, { %$set, table => $table }, "$what: every row once");
	exact_answers_ok($node, { %$set, table => $table }, "$what: exact answers");
	return;
}

sub new_t
{
	my ($rows, $persistence) = @_;

	run('DROP TABLE IF EXISTS t');
	new_table($node, 't', 'vector', $dim, $persistence);
	run("INSERT INTO t SELECT * FROM source WHERE id <= $rows; CREATE INDEX t_i ON t USING hnsw (v vector_cosine_ops)");
	return;
}

# --- unlogged ---

new_t(1500, 'UNLOGGED');
whole('unlogged');
crash($node);
is(run('SELECT count(*) FROM t'), '0', 'unlogged: empty after a crash');
is(run(q{SELECT state, heap_rows FROM piramid_index_info('t_i')}), 'flat|0', 'unlogged: so is the index');
whole('unlogged, after a crash');
run('INSERT INTO t SELECT * FROM source WHERE id <= 1200');
is(run(q{SELECT state FROM piramid_index_info('t_i')}), 'graph', 'unlogged: trained again');
whole('unlogged, filled again');
$node->stop;
$node->start;
is(run('SELECT count(*) FROM t'), '1200', 'unlogged: a clean stop keeps the rows');
whole('unlogged, after a clean stop');
my $before = run(q{SELECT pg_relation_filepath('t_i')});
run('ALTER TABLE t SET LOGGED');
isnt(run(q{SELECT pg_relation_filepath('t_i')}), $before, 'SET LOGGED builds anew');
crash($node);
is(run('SELECT count(*) FROM t'), '1200', 'logged: the rows outlive a crash');
whole('logged, after a crash');

# --- temporary ---

is( run(qq{
		CREATE TEMPORARY TABLE temp (id bigint, v vector($dim));
		CREATE INDEX temp_i ON temp USING hnsw (v vector_cosine_ops);
		INSERT INTO temp SELECT * FROM source WHERE id <= 1500;
		DELETE FROM temp WHERE id % 3 = 0;
		VACUUM temp;
		INSERT INTO temp SELECT id + 10000, v FROM source WHERE id <= 300;
		SET enable_seqscan = off; SET hnsw.ef_search = 5000; SET enable_sort = off;
		SELECT count(DISTINCT id) FROM (SELECT id FROM temp ORDER BY v <=> $query) f;
		SELECT count(*) FROM piramid_check('temp_i');
		SELECT state FROM piramid_index_info('temp_i')}),
	"1300\n0\ngraph", 'a temporary table');
is( run(qq{
		CREATE TEMPORARY TABLE temp (id bigint, v vector($dim)) ON COMMIT DELETE ROWS;
		CREATE INDEX temp_i ON temp USING hnsw (v vector_cosine_ops);
		BEGIN;
		INSERT INTO temp SELECT * FROM source WHERE id <= 1100;
		COMMIT;
		SELECT heap_rows, state FROM piramid_index_info('temp_i');
		INSERT INTO temp SELECT * FROM source WHERE id <= 3;
		SELECT count(*) FROM piramid_check('temp_i')}),
	"0|flat\n0", 'ON COMMIT DELETE ROWS');

# --- partitions ---

run(qq{
	CREATE TABLE parted (id bigint, v vector($dim)) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1200);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1200) TO (1400);
	CREATE INDEX parted_i ON parted USING hnsw (v vector_cosine_ops);
	INSERT INTO parted SELECT * FROM source WHERE id < 1400;
	CREATE TABLE parted_3 (LIKE parted);
	INSERT INTO parted_3 SELECT * FROM source WHERE id >= 1400;
	ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES FROM (1400) TO (5000)});
my $plan = run("SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT id FROM parted ORDER BY v <=> $query LIMIT 10");
like($plan, qr/Merge Append/, 'partitions: merged in order');
is(() = $plan =~ /Index Scan using/g, 3, 'partitions: each by its index');
exact_answers_ok($node, { %$set, table => 'parted' }, 'partitions: exact answers');
foreach my $partition (1 .. 3)
{
	check_index($node, run("SELECT indexrelid::regclass FROM pg_index JOIN pg_inherits ON indexrelid = inhrelid WHERE indrelid = 'parted_$partition'::regclass"),
		"partition $partition is sound");
}
run('ALTER TABLE parted DETACH PARTITION parted_1');
exact_answers_ok($node, { %$set, table => 'parted' }, 'partitions: exact answers without one');
run('DROP TABLE parted, parted_1');

# --- CONCURRENTLY, beside writers ---

new_t(1300);
run('DROP INDEX t_i; CREATE SEQUENCE ids START 100000');
my %writes = (
	"INSERT INTO t SELECT nextval('ids'), v FROM source WHERE id = 1 + (random() * 3998)::int;" => 3,
	"\\set i random(1, 1300)\nUPDATE t SET v = (SELECT v FROM source WHERE id = :i + 1) WHERE id = :i;" => 2,
	"\\set i random(1, 1300)\nDELETE FROM t WHERE id = :i;" => 1);
my $bench = start_pgbench($node, 3, 250, %writes);
my ($status, $out, $err);

wait_until(sub { run(q{SELECT last_value > 100010 FROM ids}) eq 't' }, 'writers to write');
run('CREATE INDEX CONCURRENTLY t_i ON t USING hnsw (v vector_cosine_ops)');
run('REINDEX INDEX CONCURRENTLY t_i');
is(finish($bench), 0, 'writers beside CONCURRENTLY had no errors') or diag $bench->{err};
run('VACUUM t');
whole('CONCURRENTLY beside writers');
is(run(q{SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid}), '0', 'no index is invalid');

# --- TRUNCATE and transactions ---

new_t(1300);
run('TRUNCATE t');
is(run(q{SELECT state, heap_rows FROM piramid_index_info('t_i')}), 'flat|0', 'TRUNCATE empties the index');
run('INSERT INTO t SELECT * FROM source WHERE id <= 1100');
whole('filled after TRUNCATE');
run('BEGIN; TRUNCATE t; INSERT INTO t SELECT * FROM source WHERE id > 3000; ROLLBACK');
is(run('SELECT count(*) FROM t'), '1100', 'TRUNCATE rolled back');
whole('TRUNCATE rolled back');
run(qq{
	BEGIN;
	CREATE TABLE u (id bigint, v vector($dim));
	CREATE INDEX u_i ON u USING hnsw (v vector_cosine_ops);
	INSERT INTO u SELECT * FROM source WHERE id <= 1100;
	TRUNCATE u;
	INSERT INTO u SELECT * FROM source WHERE id > 2800;
	COMMIT});
whole('truncated by its creator', 'u');
crash($node);
whole('truncated by its creator, after a crash', 'u');

run('BEGIN; INSERT INTO t SELECT id + 5000, v FROM source; ROLLBACK');
whole('INSERT rolled back');
run('VACUUM t');
whole('INSERT rolled back, vacuumed');
is(run(q{SELECT heap_rows, dead_nodes FROM piramid_index_info('t_i')}), '1100|0', 'nothing of it remains');
run('BEGIN; SAVEPOINT s; INSERT INTO t SELECT id + 5000, v FROM source WHERE id <= 50; ROLLBACK TO s;
	INSERT INTO t SELECT id + 6000, v FROM source WHERE id <= 50; COMMIT');
whole('a subtransaction rolled back');
run('BEGIN; CREATE INDEX t_j ON t USING hnsw (v vector_l2_ops); ROLLBACK');
is(run(q{SELECT count(*) FROM pg_class WHERE relname = 't_j'}), '0', 'CREATE INDEX rolled back');
run('BEGIN; DROP INDEX t_i; ROLLBACK');
whole('DROP INDEX rolled back');
run('BEGIN; REINDEX INDEX t_i; INSERT INTO t SELECT id + 7000, v FROM source WHERE id <= 50; ROLLBACK');
whole('REINDEX rolled back');

# --- rewrites of the table ---

run('DELETE FROM t WHERE id % 4 = 0; VACUUM FULL t');
whole('VACUUM FULL');
run('CLUSTER t USING t_pkey');
whole('CLUSTER');
run('ALTER TABLE t ADD COLUMN n int DEFAULT random() * 10');
whole('ADD COLUMN');
run(qq{
	CREATE TABLE loose (id bigint, v vector);
	INSERT INTO loose SELECT * FROM source WHERE id <= 1200});
($status, $out, $err) = $node->psql('postgres', 'CREATE INDEX loose_i ON loose USING hnsw (v vector_cosine_ops)');
isnt($status, 0, 'a column of any dimension cannot be indexed');
run("ALTER TABLE loose ALTER COLUMN v TYPE vector($dim); CREATE INDEX loose_i ON loose USING hnsw (v vector_cosine_ops)");
whole('ALTER COLUMN TYPE', 'loose');
run("ALTER TABLE loose ALTER COLUMN v TYPE vector(8) USING subvector(v, 1, 8)::vector(8)");
is(run(q{SELECT dimensions, heap_rows FROM piramid_index_info('loose_i')}), '8|1200', 'ALTER COLUMN TYPE builds the index anew');
check_index($node, 'loose_i', 'ALTER COLUMN TYPE, other dimensions: sound');
# the server keeps the index, as nothing has to be converted
run('ALTER TABLE loose ALTER COLUMN v TYPE vector');
($status, $out, $err) = $node->psql('postgres', q{INSERT INTO loose VALUES (1, '[1,2,3]')});
like($err, qr/dimensions/, 'a column of any dimension, with its index: other dimensions are refused');
run(q{INSERT INTO loose VALUES (5000, '[1,2,3,4,5,6,7,8]')});
check_index($node, 'loose_i', 'a column of any dimension, with its index: sound');

# --- dump and restore ---

my $dump = $node->basedir . '/dump.sql';

run("DROP TABLE loose; ALTER INDEX t_i SET (m = 24, ef_construction = 80); REINDEX INDEX t_i; CREATE INDEX t_h ON t USING hnsw ((v::halfvec($dim)) halfvec_l2_ops) WITH (quantizer = sq8)");
command_ok([ $node->installed_command('pg_dump'), '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ $node->installed_command('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('copy') ], 'restored');
my $definitions = q{SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname ~ '_[ih]$' ORDER BY relname};
is($node->safe_psql('copy', $definitions), run($definitions), 'the same indexes');
is($node->safe_psql('copy', 'SELECT * FROM t ORDER BY id'), run('SELECT * FROM t ORDER BY id'), 'the same rows');
is($node->safe_psql('copy', q{SELECT index FROM unnest('{t_i,t_h,u_i}'::text[]) index, piramid_check(index::regclass)}), '', 'all sound');

# --- a build that outgrows its memory ---

run(q{CREATE TABLE big (id bigint, v vector(1000));
	INSERT INTO big SELECT i, (SELECT array_agg(x) FROM generate_series(1, 10) g, unnest(corpus(i, 100, 'clusters')) x)::vector(1000)
	FROM generate_series(1, 4500) i});
my $big = { %$set, table => 'big', dim => 1000, value => "(SELECT array_agg(x) FROM generate_series(1, 10) g, unnest(corpus(i, 100, 'clusters')) x)::vector(1000)" };
my $create = 'CREATE INDEX big_i ON big USING hnsw (v vector_cosine_ops) WITH (quantizer = none)';

($status, $out, $err) = $node->psql('postgres', "SET maintenance_work_mem = '16MB'; $create");
is($status, 0, 'a build in too little memory succeeds');
like($err, qr/NOTICE: /, 'and says that it was too little');
check_index($node, 'big_i', 'built in too little memory: sound');
all_rows_ok($node, $big, 'built in too little memory: every row once');
my $small = set_recall($node, $big, 'SET hnsw.ef_search = 10;');
run("DROP INDEX big_i; SET maintenance_work_mem = '256MB'; $create");
my $full = set_recall($node, $big, 'SET hnsw.ef_search = 10;');
note "recall $small in little memory, $full in enough";
cmp_ok($small, '>=', $full - 0.02, 'recall as of a build in enough memory');
cmp_ok($full, '>=', 0.95, 'which is good');

ok(!$node->log_contains('PANIC|TRAP'), 'the server log is clean');
$node->stop;
done_testing();
