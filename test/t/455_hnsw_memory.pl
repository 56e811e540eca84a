# Scans that begin again and again in one query keep no memory: the address
# space of the backend is as large after many of them as after a few.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('memory', fsync => 'off', autovacuum => 'off', shared_buffers => '128MB');
my $few = 500;
my $many = $ENV{PIRAMID_LONG} ? 100_000 : 8_000;

define_corpora($node);

# The server's process says how large it is, in kilobytes.
my $size = q{SELECT substring(pg_read_file('/proc/self/status', 0, 4000) FROM 'VmPeak:\s+(\d+)')};

foreach my $case (
	{ name => 'flat', rows => 400, type => 'vector', dim => 32, op => '<->', opclass => 'vector_l2_ops' },
	{ name => 'graph', rows => 3000, type => 'vector', dim => 32, op => '<=>', opclass => 'vector_cosine_ops' },
	{ name => 'out of line', rows => 1100, type => 'vector', dim => 600, op => '<->', opclass => 'vector_l2_ops', share => 8 },
	{ name => 'large nodes', rows => 1100, type => 'vector', dim => 2100, op => '<->', opclass => 'vector_l2_ops', with => 'WITH (quantizer = none)', share => 40 },
	{ name => 'sparse', rows => 1500, type => 'sparsevec', dim => 48, op => '<#>', opclass => 'sparsevec_ip_ops' },
	{ name => 'bits', rows => 1500, type => 'bit', dim => 128, op => '<%>', opclass => 'bit_jaccard_ops' },
	{ name => 'duplicates', rows => 3000, type => 'vector', dim => 8, op => '<->', opclass => 'vector_l2_ops', kind => 'duplicates' },
	{ name => 'relaxed', rows => 3000, type => 'vector', dim => 32, op => '<->', opclass => 'vector_l2_ops', set => 'SET hnsw.iterative_scan = relaxed_order', where => 'WHERE id % 20 = 0', share => 2 },
	{ name => 'strict', rows => 3000, type => 'halfvec', dim => 32, op => '<+>', opclass => 'halfvec_l1_ops', set => 'SET hnsw.iterative_scan = strict_order', where => 'WHERE id % 20 = 0', share => 2 })
{
	my ($name, $type, $dim, $op) = @$case{qw(name type dim op)};
	my $value = value_sql($type, $dim, $case->{kind} || 'clusters', 'i');
	my $many = int($many / ($case->{share} || 1));
	my $where = $case->{where} || '';
	my $set = $case->{set} || 'RESET hnsw.iterative_scan';

	$value = "(SELECT array_agg(x) FROM generate_series(1, $dim / 25) g, unnest(corpus(i, 25, 'clusters')) x)::vector($dim)" if $dim > 100 && $type eq 'vector';
	new_table($node, 't', $type, $dim);
	$node->safe_psql('postgres', "INSERT INTO t SELECT i, $value FROM generate_series(1, $case->{rows}) i; CREATE INDEX t_i ON t USING hnsw (v $case->{opclass}) " . ($case->{with} || '') . '; ANALYZE t');

	my $query = sub {
		"SELECT count(*) FROM (SELECT q.id FROM generate_series(1, $_[0]) n JOIN t q ON q.id = 1 + n % 300,
			LATERAL (SELECT id FROM t $where ORDER BY v $op q.v LIMIT 5) found) counted";
	};
	my $run = 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET max_parallel_workers_per_gather = 0; SET jit = off';
	like($node->safe_psql('postgres', "$run; EXPLAIN (COSTS OFF) " . $query->($many)), qr/Nested Loop.*Index Scan using t_i/s, "$name: the plan scans the index again and again");
	my ($rows_few, $before, $rows_many, $after) = split /\n/,
	  $node->safe_psql('postgres', "$set; $run; " . $query->($few) . "; $size; " . $query->($many) . "; $size");
	is($rows_many, 5 * $many, "$name: $many scans");
	cmp_ok($after - $before, '<=', 1024, "$name: no more than a megabyte larger after $many scans than after $few")
	  or diag "$before kB, then $after kB";
	$node->safe_psql('postgres', 'DROP TABLE t');
}

$node->stop;
done_testing();
