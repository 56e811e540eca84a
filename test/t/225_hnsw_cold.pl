# Scans whose pages are in no cache: with a buffer pool far smaller than index
# and TOAST, and files that the kernel was asked to forget, scans look ahead.
# They give the rows, distances and order of scans that find everything in
# memory. (That they look ahead shows only on a disk slow enough to be waited
# for.)

use strict;
use warnings;

use Piramid;
use Test::More;

# fsync, so that the kernel can let go of what a checkpoint has written
my $node = new_node('cold', fsync => 'on', shared_buffers => '64MB', autovacuum => 'off');
my $rows = 2500;

define_corpora($node);
$node->safe_psql(
	'postgres', qq{
	CREATE TABLE far (id bigint PRIMARY KEY, gone boolean DEFAULT false, v vector(600));
	INSERT INTO far (id, v) SELECT i, corpus(i, 600, 'clusters') FROM generate_series(1, $rows) i;
	CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops);
	UPDATE far SET gone = true WHERE id % 10 = 0;
	DELETE FROM far WHERE id % 7 = 0;
	CREATE TABLE questions AS SELECT i AS id, corpus($rows + i, 600, 'clusters')::vector(600) AS v FROM generate_series(1, 12) i;
	VACUUM ANALYZE questions;
	ANALYZE far;
});
uses_index($node, 'far_v', 'SELECT id FROM far ORDER BY v <-> (SELECT v FROM questions LIMIT 1) LIMIT 10');

# answers(SETTING...): ids and distances of all questions, several LIMITs
sub answers_with
{
	return $node->safe_psql('postgres',
		    join('', map { "SET $_;" } @_, 'enable_seqscan = off')
		  . join('', map { "SELECT q.id, f.id, f.d FROM questions q, LATERAL
				(SELECT id, v <-> q.v AS d FROM far WHERE NOT gone ORDER BY v <-> q.v LIMIT $_) f;" } 1, 10, 60));
}

# Make the kernel forget the table's files, as far as it lets itself be told.
sub forget
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	foreach my $path (split /\n/, $node->safe_psql('postgres', q{
		SELECT pg_relation_filepath(c.oid) FROM pg_class c
		WHERE c.oid IN (SELECT 'far'::regclass UNION SELECT 'far_v'::regclass
			UNION SELECT reltoastrelid FROM pg_class WHERE oid = 'far'::regclass)}))
	{
		my $file = $node->data_dir . "/$path";

		system("dd if='$file' iflag=nocache count=0 status=none 2>/dev/null");
	}
	return;
}

my @iterative = ('hnsw.ef_search = 40', 'hnsw.iterative_scan = strict_order');
my %warm = (plain => answers_with('hnsw.ef_search = 100'), iterative => answers_with(@iterative));
like($warm{plain}, qr/^(?:\d+\|\d+\|[\d.]+\n?){800,}$/, 'there are answers');

$node->adjust_conf('postgresql.conf', 'shared_buffers', "'1MB'");
$node->restart;
foreach my $concurrency (0, 16)
{
	forget();
	is(answers_with("effective_io_concurrency = $concurrency", 'hnsw.ef_search = 100'),
		$warm{plain}, "cold, $concurrency reads at a time: the same answers");
	forget();
	is(answers_with("effective_io_concurrency = $concurrency", @iterative),
		$warm{iterative}, "cold, $concurrency reads at a time, iterative: the same answers");
}
check_index($node, 'far_v', 'index');

# a scan that is left while it looks ahead holds nothing
my ($ret, $out, $err) = $node->psql('postgres', q{
	SET enable_seqscan = off;
	SELECT v <-> '[1,2]' FROM far ORDER BY v <-> (SELECT v FROM questions WHERE id = 3) LIMIT 10;
	SELECT count(*) FROM (SELECT id FROM far ORDER BY v <-> (SELECT v FROM questions WHERE id = 3) LIMIT 10) f;
}, on_error_stop => 0);
is($out, '10', 'after an error');
like($err, qr/different dimensions/, 'the error is that of the query');
unlike($err, qr/WARNING/, 'nothing was left open');

done_testing();
