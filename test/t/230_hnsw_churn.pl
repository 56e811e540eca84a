# Rows that come and go: after rounds of deleting three rows of ten, VACUUM and
# inserting them again, an index finds what a fresh one finds, within a point,
# and has not grown; also while half of it is deleted and not yet vacuumed.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('churn', fsync => 'off', shared_buffers => '128MB', maintenance_work_mem => '256MB', autovacuum => 'off');

define_corpora($node);

sub size
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('$_[0]')");
}

# the sample
load_sample($node, 'vector');
$node->safe_psql('postgres', q{
	CREATE TABLE source AS SELECT * FROM glosses;
	CREATE INDEX glosses_idx ON glosses USING hnsw (embedding vector_cosine_ops)});
my $fresh = recall($node, 'SET hnsw.ef_search = 40;');
my $size = size('glosses_idx');

foreach my $round (1 .. 4)
{
	$node->safe_psql('postgres', qq{DELETE FROM glosses WHERE (id + $round) % 10 < 3; VACUUM glosses});
	check_index($node, 'glosses_idx', "round $round, deleted: sound");
	$node->safe_psql('postgres', qq{INSERT INTO glosses SELECT * FROM source WHERE (id + $round) % 10 < 3});
	check_index($node, 'glosses_idx', "round $round, inserted: sound");
	my $recall = recall($node, 'SET hnsw.ef_search = 40;');
	note "recall $recall after round $round, $fresh fresh";
	cmp_ok($recall, '>=', $fresh - 0.01, "round $round: recall");
}
cmp_ok(size('glosses_idx'), '<=', $size * 1.02, 'the index has not grown');

# rows that are deleted but still in the index take no place among the results
$node->safe_psql('postgres', q{
	INSERT INTO glosses (id, words, part_of_speech, gloss, embedding)
		SELECT id + 100000, words, part_of_speech, gloss, l2_normalize(embedding + (SELECT array_agg(0.01 * sin(i + id)) FROM generate_series(1, 512) i)::vector)
		FROM source WHERE id % 2 = 0;
	DELETE FROM glosses WHERE id > 100000});
my $dead = recall($node, 'SET hnsw.ef_search = 40;');
note "recall $dead with a third of the nodes deleted";
cmp_ok($dead, '>=', $fresh - 0.03, 'recall before VACUUM');
$node->safe_psql('postgres', 'VACUUM glosses');
cmp_ok(recall($node, 'SET hnsw.ef_search = 40;'), '>=', $fresh - 0.01, 'recall after VACUUM');
check_index($node, 'glosses_idx', 'vacuumed: sound');

# half of it goes; the same as an index made of the other half
$node->safe_psql('postgres', q{
	TRUNCATE glosses;
	INSERT INTO glosses SELECT * FROM source;
	REINDEX INDEX glosses_idx;
	DELETE FROM glosses WHERE id % 2 = 0;
	VACUUM glosses;
	SET enable_indexscan = off;
	UPDATE questions q SET nearest = array(SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10)});
check_index($node, 'glosses_idx', 'half deleted: sound');
my $halved = recall($node, 'SET hnsw.ef_search = 40;');
$node->safe_psql('postgres', 'REINDEX INDEX glosses_idx');
my $rebuilt = recall($node, 'SET hnsw.ef_search = 40;');
note "recall $halved after VACUUM of a half, $rebuilt built of the rest";
cmp_ok($halved, '>=', $rebuilt - 0.01, 'half deleted: recall');

# other types and metrics, generated
foreach my $case (
	[ 'halfvec', 'ip', '<#>', 100, '', 0.98 ],
	[ 'halfvec', 'l2', '<->', 100, 'WITH (quantizer = rabitq, bits = 2)', 0.97 ],
	[ 'vector', 'l1', '<+>', 100, '', 0.98 ],
	[ 'bit', 'hamming', '<~>', 256, '', 0.98 ],
	[ 'sparsevec', 'cosine', '<=>', 2000, '', 0.98 ])
{
	my ($type, $metric, $op, $dim, $with, $floor) = @$case;
	my $set = { type => $type, op => $op, table => 't', dim => $dim, kind => 'clusters' };
	my $name = "${type}_${metric}_ops";
	my $rows = $dim > 1000 ? 1_500 : 4_000;
	my $value = value_sql($type, $dim, 'clusters', 'i');

	new_table($node, 't', $type, $dim);
	$node->safe_psql('postgres', "CREATE INDEX t_i ON t USING hnsw (v $name) $with");
	fill($node, 't', $type, $dim, 'clusters', 1, $rows);
	my $filled = set_recall($node, $set, 'SET hnsw.ef_search = 80;');
	my $bytes = size('t_i');

	foreach my $round (1 .. 2)
	{
		$node->safe_psql('postgres', "DELETE FROM t WHERE (id + $round) % 10 < 3; VACUUM t");
		$node->safe_psql('postgres', "INSERT INTO t SELECT i, $value FROM generate_series(1, $rows) i WHERE (i + $round) % 10 < 3");
	}
	check_index($node, 't_i', "$name: sound");
	my $churned = set_recall($node, $set, 'SET hnsw.ef_search = 80;');
	note "$name: recall $filled filled by INSERT, $churned after two rounds";
	cmp_ok($filled, '>=', $floor, "$name: recall of an index filled by INSERT");
	cmp_ok($churned, '>=', $floor, "$name: recall after two rounds");
	cmp_ok(size('t_i'), '<=', $bytes * 1.02, "$name: the index has not grown");
	$node->safe_psql('postgres', 'DROP TABLE t');
}

$node->stop;
done_testing();
