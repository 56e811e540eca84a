# Recall of hnsw on the sample, for every quantizer, and for an index that was
# built from rows as well as one that rows were inserted into. Floors stand
# a little below what is measured; the sizes are exact to a page or two.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('recall', maintenance_work_mem => '256MB', autovacuum => 'off');
my $query = 'SELECT id FROM glosses ORDER BY embedding <=> (SELECT embedding FROM questions WHERE id = 1) LIMIT 10';

load_sample($node, 'vector');

# options, recall@10 at ef_search 40 and 160, bytes a row at most
foreach my $case (
	['',                              0.98, 0.995, 470],
	['quantizer = none',              0.98, 0.995, 3300],
	['quantizer = half',              0.98, 0.995, 1500],
	['quantizer = sq8',               0.98, 0.995, 770],
	['quantizer = rabitq, bits = 8',  0.98, 0.995, 770],
	['quantizer = rabitq, bits = 2',  0.98, 0.995, 320],
	['quantizer = rabitq, bits = 1',  0.97, 0.990, 250],
	['m = 8, ef_construction = 32',   0.95, 0.990, 400])
{
	my ($options, $floor_40, $floor_160, $bytes) = @$case;
	my $name = $options || 'default options';
	my $with = $options ? "WITH ($options)" : '';

	$node->safe_psql('postgres', "CREATE INDEX glosses_idx ON glosses USING hnsw (embedding vector_cosine_ops) $with");
	uses_index($node, 'glosses_idx', $query) if $name eq 'default options';
	check_index($node, 'glosses_idx', "$name: sound");
	my $recall_40 = recall($node, 'SET hnsw.ef_search = 40;');
	my $recall_160 = recall($node, 'SET hnsw.ef_search = 160;');
	my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('glosses_idx') / 8000");
	note("$name: recall $recall_40 at 40, $recall_160 at 160, $size bytes a row");
	cmp_ok($recall_40, '>=', $floor_40, "$name: recall at 40");
	cmp_ok($recall_160, '>=', $floor_160, "$name: recall at 160");
	cmp_ok($size, '<=', $bytes, "$name: bytes a row");
	$node->safe_psql('postgres', 'DROP INDEX glosses_idx');
}

# the same rows, inserted into an index on an empty table
$node->safe_psql(
	'postgres', q{
	ALTER TABLE glosses RENAME TO source;
	CREATE TABLE glosses (LIKE source);
	CREATE INDEX filled_idx ON glosses USING hnsw (embedding vector_cosine_ops);
	INSERT INTO glosses SELECT * FROM source WHERE id <= 100;});
is($node->safe_psql('postgres', "SELECT state FROM piramid_index_info('filled_idx')"), 'flat', 'few rows: flat');
is( $node->safe_psql(
		'postgres', q{
		CREATE TEMPORARY TABLE found AS SELECT 0 AS way, 0 AS question, 0 AS id LIMIT 0;
		SET enable_seqscan = off;
		INSERT INTO found SELECT 1, q.id, g.id FROM questions q,
			LATERAL (SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10) g;
		SET enable_seqscan = on; SET enable_indexscan = off;
		INSERT INTO found SELECT 2, q.id, g.id FROM questions q,
			LATERAL (SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10) g;
		SELECT count(*) FROM (SELECT question, id FROM found GROUP BY 1, 2 HAVING count(*) <> 2) AS differing}),
	'0', 'few rows: the answers are exact');
$node->safe_psql('postgres', 'INSERT INTO glosses SELECT * FROM source WHERE id > 100 ORDER BY id');
is($node->safe_psql('postgres', "SELECT state FROM piramid_index_info('filled_idx')"), 'graph', 'all rows: a graph');
check_index($node, 'filled_idx', 'filled by INSERT: sound');
cmp_ok(recall($node, 'SET hnsw.ef_search = 40;'), '>=', 0.98, 'filled by INSERT: recall at 40');
cmp_ok(recall($node, 'SET hnsw.ef_search = 160;'), '>=', 0.995, 'filled by INSERT: recall at 160');

# a crash: the answers after it are those before
my $before = answers($node, '');
crash($node);
is(answers($node, ''), $before, 'after a crash: the same answers');
check_index($node, 'filled_idx', 'after a crash: sound');

$node->stop;
done_testing();
