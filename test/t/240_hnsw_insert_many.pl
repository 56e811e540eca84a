# Statements that insert many rows work with a copy of the graph in memory: it
# is made when it pays and fits, the graph is as good as one of single inserts,
# equal values still share a node, and others may write meanwhile. And what
# inserts may write to WAL, by which this and the batching of links is held.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('many', fsync => 'off', shared_buffers => '128MB', maintenance_work_mem => '256MB', autovacuum => 'off',
	max_connections => 40);

load_sample($node, 'vector');
$node->safe_psql('postgres', q{
	CREATE TABLE source AS SELECT * FROM glosses;
	CREATE TABLE seen (contexts bigint);
	CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN
			INSERT INTO seen SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'piramid hnsw mirror';
			RETURN NULL;
		END$$});

# insert_half(SETTINGS): an index on half of the rows, then the others in one
# statement; how many copies there were at its end, and the recall
sub insert_half
{
	my ($settings) = @_;

	$node->safe_psql('postgres', qq{
		DROP INDEX IF EXISTS glosses_idx; DROP TRIGGER IF EXISTS look ON glosses;
		TRUNCATE glosses, seen;
		INSERT INTO glosses SELECT * FROM source WHERE id % 2 = 0;
		CREATE INDEX glosses_idx ON glosses USING hnsw (embedding vector_cosine_ops);
		CREATE TRIGGER look AFTER INSERT ON glosses FOR EACH STATEMENT EXECUTE FUNCTION look();
		$settings
		INSERT INTO glosses SELECT * FROM source WHERE id % 2 = 1});
	check_index($node, 'glosses_idx', 'half inserted: sound' . ($settings ? " ($settings)" : ''));
	return ($node->safe_psql('postgres', 'SELECT contexts FROM seen'), recall($node, 'SET hnsw.ef_search = 40;'));
}

my ($copies, $with) = insert_half('');
is($copies, 1, 'a statement that inserts many rows copies the graph');
my ($none, $without) = insert_half("SET maintenance_work_mem = '1MB';");
is($none, 0, 'but not if there is no memory for it');
my $fresh = do {
	$node->safe_psql('postgres', 'REINDEX INDEX glosses_idx');
	recall($node, 'SET hnsw.ef_search = 40;');
};
note "recall: $with with a copy, $without without, $fresh when built";
cmp_ok($with, '>=', $without - 0.01, 'the graph is as good as by pages');
cmp_ok($with, '>=', $fresh - 0.01, 'and as a built one');

# few rows: no copy
$node->safe_psql('postgres', q{TRUNCATE seen; DELETE FROM glosses WHERE id < 20; INSERT INTO glosses SELECT * FROM source WHERE id < 20});
is($node->safe_psql('postgres', 'SELECT contexts FROM seen'), 0, 'a small statement does not');

# equal values, those inserted by the same statement among them
$node->safe_psql('postgres', q{
	TRUNCATE glosses;
	INSERT INTO glosses SELECT * FROM source WHERE id % 2 = 0;
	INSERT INTO glosses (id, words, part_of_speech, gloss, embedding)
		SELECT id + 100000 * n, words, part_of_speech, gloss, embedding FROM source, generate_series(1, 3) n});
is($node->safe_psql('postgres', "SELECT live_nodes FROM piramid_index_info('glosses_idx')"),
	$node->safe_psql('postgres', 'SELECT count(DISTINCT embedding) FROM glosses'), 'equal rows share their nodes');
check_index($node, 'glosses_idx', 'equal rows: sound');

# another column of every row: no node comes
my $nodes = $node->safe_psql('postgres', "SELECT live_nodes FROM piramid_index_info('glosses_idx')");
$node->safe_psql('postgres', q{
	CREATE INDEX ON glosses (words);
	UPDATE glosses SET words = words || ' '});
is($node->safe_psql('postgres', "SELECT live_nodes FROM piramid_index_info('glosses_idx')"), $nodes,
	'an UPDATE of another column finds the nodes');
check_index($node, 'glosses_idx', 'updated: sound');

# others write, and VACUUM frees and uses again what the copy has
$node->safe_psql('postgres', q{
	DROP TRIGGER look ON glosses;
	TRUNCATE glosses;
	INSERT INTO glosses SELECT * FROM source WHERE id % 4 = 0});
foreach my $round (1 .. 2)
{
	my @runs = map {
		start_psql($node, qq{
			INSERT INTO glosses (id, words, part_of_speech, gloss, embedding)
				SELECT id + 100000 * ($_ + 10 * $round), words, part_of_speech, gloss, embedding
				FROM source WHERE id % 4 = $_ AND pg_sleep(0.0002) IS NOT NULL})
	} 1 .. 3;
	foreach my $part (0 .. 4)
	{
		$node->safe_psql('postgres', qq{DELETE FROM glosses WHERE (id / 7) % 5 = $part AND id % 2 = 0});
		$node->safe_psql('postgres', 'VACUUM glosses');
	}
	is(finish($_), 0, "round $round: insert beside VACUUM") for @runs;
	check_index($node, 'glosses_idx', "round $round: sound");
}
$node->safe_psql('postgres', q{
	DELETE FROM glosses; VACUUM glosses;
	INSERT INTO glosses SELECT * FROM source});
my $reused = recall($node, 'SET hnsw.ef_search = 40;');
note "recall $reused when slots were used again";
cmp_ok($reused, '>=', $fresh - 0.01, 'recall after slots were used again');
check_index($node, 'glosses_idx', 'used again: sound');

# single rows by many at once, into few lists: a list that changes between being
# read and being written must not lose what others wrote, anchors least of all
$node->safe_psql('postgres', q{
	TRUNCATE glosses;
	INSERT INTO glosses SELECT * FROM source WHERE id <= 1500});
my $writers = start_pgbench($node, 16, 100, q{
	\set i random(1, 8000)
	INSERT INTO glosses (id, words, part_of_speech, gloss, embedding)
		SELECT (random() * 2000000000)::int, words, part_of_speech, gloss, embedding FROM source WHERE id = :i;
} => 1);
is(finish($writers), 0, '16 writers');
check_index($node, 'glosses_idx', '16 writers: sound');

# WAL of an insert beyond the table's: 780 bytes when this was written (512
# dimensions, 4 bits), 1570 when each link was a record of its own
$node->safe_psql('postgres', q{
	ALTER SYSTEM SET full_page_writes = off;
	DROP INDEX glosses_idx; TRUNCATE glosses;
	INSERT INTO glosses SELECT * FROM source WHERE id % 2 = 0;
	CREATE TABLE plain (LIKE glosses INCLUDING INDEXES);
	CREATE INDEX glosses_idx ON glosses USING hnsw (embedding vector_cosine_ops)});
$node->restart;
my ($rows, $wal) = split /\|/, $node->safe_psql('postgres', q{
	CREATE TEMP TABLE at (n serial, place pg_lsn);
	INSERT INTO at (place) SELECT pg_current_wal_insert_lsn();
	INSERT INTO plain SELECT * FROM source WHERE id % 8 = 1;
	INSERT INTO at (place) SELECT pg_current_wal_insert_lsn();
	INSERT INTO glosses SELECT * FROM source WHERE id % 8 = 1;
	INSERT INTO at (place) SELECT pg_current_wal_insert_lsn();
	SELECT (SELECT count(*) FROM plain), (SELECT place FROM at WHERE n = 3) - (SELECT place FROM at WHERE n = 2)
		- ((SELECT place FROM at WHERE n = 2) - (SELECT place FROM at WHERE n = 1))});
note "WAL of $rows rows beyond the table's: ", $wal / $rows, ' bytes a row';
cmp_ok($wal / $rows, '<', 900, 'WAL of an insert');

done_testing();
