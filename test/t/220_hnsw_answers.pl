# Every operator class, every quantizer, every way an index comes to be: a
# search that looks at everything it can reach gives the exact answer and each
# row once, and the index is sound.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('answers', fsync => 'off', shared_buffers => '64MB');
my $rows = 1500;    # more than a flat index takes

define_corpora($node);

sub sound
{
	my ($set, $what) = @_;
	my $info = $node->safe_psql('postgres', "SELECT state || ' ' || quantizer FROM piramid_index_info('$set->{table}_i')");

	# compared exactly anyway: flat indexes, and codes that lose nothing
	$set = { %$set, sure => $info =~ /flat|none|bits/ };
	exact_answers_ok($node, $set, "$what: exact answers");
	all_rows_ok($node, $set, "$what: every row once");
	check_index($node, "$set->{table}_i", "$what: sound");
	return;
}

foreach my $cell (cells())
{
	my $dim = $cell->{type} eq 'bit' ? 128 : 48;
	my $set = { %$cell, table => 't', dim => $dim, kind => 'clusters' };

	new_table($node, 't', $cell->{type}, $dim);

	# built from a full table
	fill($node, 't', $cell->{type}, $dim, 'clusters', 1, $rows);
	$node->safe_psql('postgres', "CREATE INDEX t_i ON t USING hnsw (v $cell->{opclass})");
	uses_index($node, 't_i', "SELECT id FROM t ORDER BY v $cell->{op} (SELECT v FROM t LIMIT 1) LIMIT 5")
	  if $cell->{metric} =~ /l2|hamming/;
	sound($set, "$cell->{opclass} built");

	# filled by inserts: flat at first, then trained
	$node->safe_psql('postgres', 'TRUNCATE t');
	fill($node, 't', $cell->{type}, $dim, 'clusters', 1, 500);
	is($node->safe_psql('postgres', q{SELECT state FROM piramid_index_info('t_i')}), 'flat', "$cell->{opclass}: few rows are flat");
	sound($set, "$cell->{opclass} flat");
	fill($node, 't', $cell->{type}, $dim, 'clusters', 501, $rows);
	is($node->safe_psql('postgres', q{SELECT state FROM piramid_index_info('t_i')}), 'graph', "$cell->{opclass}: many rows make a graph");
	sound($set, "$cell->{opclass} inserted");

	# after deletes and vacuum, and with slots used again
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0; VACUUM t');
	sound($set, "$cell->{opclass} vacuumed");
	fill($node, 't', $cell->{type}, $dim, 'clusters', $rows + 1, $rows + 400);
	sound($set, "$cell->{opclass} refilled");

	$node->safe_psql('postgres', 'DROP TABLE t');
}

# Quantizers and widths, on a metric that all of them serve; duplicates.
foreach my $options (
	[ 'none' => '' ], [ 'half' => '' ], [ 'sq8' => '' ],
	map { [ 'rabitq' => ", bits = $_" ] } 1, 2, 4, 8)
{
	my $with = "quantizer = $options->[0]$options->[1]";
	my $set = { type => 'vector', metric => 'l2', op => '<->', table => 't', dim => 64, kind => 'duplicates' };

	new_table($node, 't', 'vector', 64);
	$node->safe_psql('postgres', "CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops) WITH ($with, m = 8)");
	fill($node, 't', 'vector', 64, 'duplicates', 1, 11_000);
	sound($set, "$with inserted");
	$node->safe_psql('postgres', 'REINDEX INDEX t_i');
	sound($set, "$with built");
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 10 < 9 AND id % 20 <> 5; VACUUM t');
	sound($set, "$with vacuumed");
	fill($node, 't', 'vector', 64, 'duplicates', 20_000, 21_000);
	sound($set, "$with refilled");
	$node->safe_psql('postgres', 'DELETE FROM t; VACUUM t');
	sound($set, "$with emptied");
	fill($node, 't', 'vector', 64, 'duplicates', 1, 1_500);
	sound($set, "$with filled again");
	$node->safe_psql('postgres', 'DROP TABLE t');
}

# One dimension, all rows equal, and values of several pages.
foreach my $shape ([ 1, 'uniform', 1_500, '' ], [ 16_000, 'uniform', 150, 'quantizer = none' ], [ 16_000, 'uniform', 150, 'quantizer = rabitq' ])
{
	my ($dim, $kind, $n, $with) = @$shape;
	my $set = { type => 'vector', metric => 'l2', op => '<->', table => 't', dim => $dim, kind => $kind };

	new_table($node, 't', 'vector', $dim);
	fill($node, 't', 'vector', $dim, $kind, 1, $n);
	$node->safe_psql('postgres', 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops)' . ($with ? " WITH ($with)" : ''));
	sound($set, "$dim dimensions, built");
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 2 = 0; VACUUM t');
	fill($node, 't', 'vector', $dim, $kind, $n + 1, $n + 50);
	sound($set, "$dim dimensions, vacuumed and refilled");
	$node->safe_psql('postgres', 'DROP TABLE t');
}

new_table($node, 't', 'vector', 8);
$node->safe_psql('postgres', q{
	CREATE INDEX t_i ON t USING hnsw (v vector_cosine_ops);
	INSERT INTO t SELECT i, '[1,2,3,4,5,6,7,8]' FROM generate_series(1, 5000) i});
my $equal = { type => 'vector', metric => 'cosine', op => '<=>', table => 't', dim => 8, kind => 'uniform' };
sound($equal, 'all rows equal');
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 7 <> 0; VACUUM t');
sound($equal, 'all rows equal, vacuumed');

ok(!$node->log_contains('PANIC|TRAP|terminated by signal'), 'the server log is clean');
$node->stop;
done_testing();
