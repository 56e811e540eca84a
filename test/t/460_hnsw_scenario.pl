# What all of it is for: 10,000 inserts, updates, deletes and vacuums by eight
# clients, with the server killed three times in between; then the index is
# sound and answers as the table does.

use strict;
use warnings;

use Piramid;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = 20240502;
srand($seed);
note "random seed $seed";

my $node = new_node('scenario', shared_buffers => '32MB', max_wal_size => '64MB', checkpoint_timeout => '30s',
	autovacuum => 'on', autovacuum_naptime => '1s', autovacuum_vacuum_threshold => 200, autovacuum_vacuum_scale_factor => 0.05);
my $clients = 8;
my $wanted = 10_000;
my $dim = 128;
my $set = { type => 'vector', metric => 'cosine', op => '<=>', table => 't', dim => $dim, kind => 'clusters' };
my $value = value_sql('vector', $dim, 'clusters', 'i');

define_corpora($node);
new_table($node, 't', 'vector', $dim);
$node->safe_psql('postgres', q{
	CREATE INDEX t_i ON t USING hnsw (v vector_cosine_ops);
	CREATE SEQUENCE ids;
	ALTER TABLE t ALTER id SET DEFAULT nextval('ids')});

# Each statement is a transaction; how many were committed is kept with them.
$node->safe_psql('postgres', 'CREATE TABLE done (n int) WITH (autovacuum_enabled = off)');
my %scripts = (
	"BEGIN;\nINSERT INTO t (v) SELECT $value FROM (SELECT nextval('ids') AS i) n;\nINSERT INTO done VALUES (1);\nCOMMIT;\n" => 55,
	"\\set i random(1, 6000)\nBEGIN;\nUPDATE t SET v = (SELECT $value FROM (SELECT :i + 7 AS i) n) WHERE id = :i;\nINSERT INTO done VALUES (1);\nCOMMIT;\n" => 20,
	"\\set i random(1, 6000)\nBEGIN;\nDELETE FROM t WHERE id = :i;\nINSERT INTO done VALUES (1);\nCOMMIT;\n" => 20,
	"\\set i random(1, 100000)\nSELECT id FROM t ORDER BY v <=> (SELECT $value FROM (SELECT :i AS i) n) LIMIT 10;\n" => 5,
	"VACUUM (SKIP_LOCKED) t;\nINSERT INTO done VALUES (1);\n" => 1);

sub done
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM done');
}

sub sound
{
	my ($what) = @_;

	check_index($node, 't_i', "$what: sound");
	exact_answers_ok($node, $set, "$what: exact answers");
	all_rows_ok($node, $set, "$what: every row once");
	return;
}

# killed at three moments, then to the end
foreach my $stop (map { $_ * 2_000 + int rand 1_500 } 1 .. 3)
{
	my $bench = start_pgbench($node, $clients, $wanted, %scripts);

	wait_until(sub { done() >= $stop }, "$stop transactions");
	crash($node);
	isnt(finish($bench), 0, 'the clients were interrupted');
	my $done = done();
	cmp_ok($done, '>=', $stop, "what was committed is there: $done of $stop or more");
	sound("after $done transactions and a crash");
}

my $left = $wanted - done();
my $bench = start_pgbench($node, $clients, int($left / $clients * 1.1) + 1, %scripts);
is(finish($bench), 0, 'the clients come to their end');
cmp_ok(done(), '>=', $wanted, 'all transactions are done');
sound('at the end');
$node->safe_psql('postgres', 'VACUUM t');
sound('vacuumed');
note $node->safe_psql('postgres', q{SELECT * FROM piramid_index_info('t_i')});

ok(!$node->log_contains('PANIC|TRAP|is corrupted|could not read block'), 'the server log is clean');
$node->stop;
done_testing();
