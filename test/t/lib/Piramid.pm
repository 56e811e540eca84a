# What TAP tests share: servers with piramid, the sample, recall, crashes.

package Piramid;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node load_sample recall answers check_index crash uses_index wait_until);

my $top = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');

# new_node(NAME, SETTING => VALUE...): a running server, piramid created in
# database postgres. Logical replication and standbys need no further setting.
sub new_node
{
	my ($name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'\n") for sort keys %settings;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION piramid');
	return $node;
}

# load_sample(NODE, TYPE): tables glosses and questions of test/data, with
# embeddings of TYPE (vector or halfvec).
sub load_sample
{
	my ($node, $type) = @_;

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	system("$top/test/data/load", '--type', $type || 'vector', '-d', 'postgres') == 0
	  or die "cannot load the sample";
	$node->safe_psql('postgres', 'VACUUM ANALYZE glosses; VACUUM ANALYZE questions');
	return;
}

# recall(NODE, SETTINGS): mean share of the ten nearest glosses that the index
# finds, over the questions of the sample. SETTINGS is SQL to run before.
sub recall
{
	my ($node, $settings) = @_;

	return $node->safe_psql(
		'postgres', qq{
		SET enable_seqscan = off;
		$settings
		SELECT round(avg(hits) / 10, 4) FROM (
			SELECT (SELECT count(*) FROM (
				SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10) found
				WHERE id = ANY (q.nearest[1:10])) AS hits
			FROM questions q) counted});
}

# answers(NODE, SETTINGS): the ids found for every question, as one string, to
# compare servers and moments.
sub answers
{
	my ($node, $settings) = @_;

	return $node->safe_psql(
		'postgres', qq{
		SET enable_seqscan = off;
		$settings
		SELECT q.id, array(SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10)
		FROM questions q ORDER BY q.id});
}

# check_index(NODE, INDEX, NAME): one test, that piramid_check finds nothing.
sub check_index
{
	my ($node, $index, $name) = @_;

	return is($node->safe_psql('postgres', "SELECT * FROM piramid_check('$index')"), '', $name || "$index is sound");
}

# uses_index(NODE, INDEX, QUERY): one test, that the plan scans the index.
sub uses_index
{
	my ($node, $index, $query) = @_;

	return like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN (COSTS OFF) $query"),
		qr/Index Scan using \Q$index\E/, "the plan uses $index");
}

# crash(NODE): kill -9 the postmaster, as when the machine fails, and start it
# again. Its children notice and go.
sub crash
{
	my ($node) = @_;
	my $pid = $node->{_pid};

	$node->kill9;
	wait_until(sub { !kill(0, $pid) }, 'the killed server to go');
	# the shared memory of the old server must be free before the new one starts
	wait_until(sub { $node->start(fail_ok => 1) }, 'the server to start after a crash');
	return;
}

# wait_until(CONDITION, WHAT): poll, for as long as tests may wait.
sub wait_until
{
	my ($condition, $what) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		die "timed out waiting for $what" if time() > $end;
		select(undef, undef, undef, 0.1);
	}
	return;
}

1;
