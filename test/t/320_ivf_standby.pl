# A standby that replays everything that can happen to an ivf index: the answers
# of its index scans are those of the primary, in the same order, and its copy is
# sound. Replay compares each page it makes with the primary's image of it
# (wal_consistency_checking). At last it is promoted and goes on.

use strict;
use warnings;

use Piramid;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('ivf_primary', wal_consistency_checking => 'generic', autovacuum => 'off', max_wal_size => '256MB');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('ivf_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my @sets = (
	{ table => 'v', type => 'vector', dim => 64, kind => 'clusters', op => '<=>', opclass => 'vector_cosine_ops', am => 'ivf' },
	{ table => 'h', type => 'halfvec', dim => 48, kind => 'clusters', op => '<->', opclass => 'halfvec_l2_ops', am => 'ivfflat' },
	{ table => 'b', type => 'bit', dim => 96, kind => 'clusters', op => '<~>', opclass => 'bit_hamming_ops', am => 'ivf', sure => 1 });

# The ids that index scans find for 20 queries, in their order.
sub found
{
	my ($node, $set) = @_;
	my $query = value_sql($set->{type}, $set->{dim}, $set->{kind}, 'i');

	return $node->safe_psql(
		'postgres', qq{
		SET enable_seqscan = off;
		SET ivfflat.probes = 10;
		SELECT i, array(SELECT id FROM $set->{table} ORDER BY v $set->{op} q.x LIMIT 25)
		FROM (SELECT i, $query AS x FROM generate_series(100000000, 100000019) i OFFSET 0) q ORDER BY i});
}

# Replay stands still while the standby's copy is checked.
sub check_standby
{
	my ($set, $name) = @_;

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	$standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'})
	  or die 'replay does not pause';
	check_index($standby, "$set->{table}_i", $name);
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	return;
}

sub same
{
	my ($set, $state, $what) = @_;
	my $name = "$set->{am} $set->{opclass}, $what";

	check_index($primary, "$set->{table}_i", "$name: sound on the primary");
	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', "SELECT state FROM piramid_index_info('$set->{table}_i')"), $state, "$name: $state");
	is(found($standby, $set), found($primary, $set), "$name: same answers");
	check_standby($set, "$name: sound on the standby");
	return;
}

define_corpora($primary);
foreach my $set (@sets)
{
	my $table = $set->{table};
	my @fill = ($primary, $table, $set->{type}, $set->{dim});
	my $value = value_sql($set->{type}, $set->{dim}, $set->{kind}, '1');

	new_table(@fill);
	$primary->safe_psql('postgres', "CREATE INDEX ${table}_i ON $table USING $set->{am} (v $set->{opclass})");
	same($set, 'flat', 'empty');
	uses_index($standby, "${table}_i", "SELECT id FROM $table ORDER BY v $set->{op} $value LIMIT 25");

	fill(@fill, 'clusters', 1, 1400);
	same($set, 'flat', 'flat');

	$primary->safe_psql('postgres', "DELETE FROM $table WHERE id % 7 = 0; VACUUM (INDEX_CLEANUP on) $table");
	same($set, 'flat', 'flat, vacuumed');

	fill(@fill, 'clusters', 1401, 2000);
	same($set, 'flat', 'flat, room used again');

	fill(@fill, 'clusters', 2001, 2500);
	same($set, 'lists', 'trained');

	fill(@fill, 'clusters', 2501, 4000);
	same($set, 'lists', 'more rows');

	# all rows equal others
	$primary->safe_psql('postgres', "INSERT INTO $table SELECT id + 10000, v FROM $table; INSERT INTO $table SELECT 20000 + i, $value FROM generate_series(1, 400) i");
	same($set, 'lists', 'duplicates');

	$primary->safe_psql('postgres', "DELETE FROM $table WHERE id % 40 < 20 OR id % 3 = 0; VACUUM (INDEX_CLEANUP on) $table");
	same($set, 'lists', 'vacuumed');

	fill(@fill, 'clusters', 30001, 31600);
	same($set, 'lists', 'pages used again');

	$primary->safe_psql('postgres', "BEGIN; INSERT INTO $table SELECT id + 40000, v FROM $table WHERE id < 900; ROLLBACK");
	same($set, 'lists', 'rolled back');

	$primary->safe_psql('postgres', "REINDEX INDEX ${table}_i");
	same($set, 'lists', 'reindexed');
	exact_answers_ok($standby, $set, "$set->{opclass}: exact answers on the standby");
	all_rows_ok($standby, $set, "$set->{opclass}: every row once on the standby");
}

$standby->promote;
foreach my $set (@sets)
{
	fill($standby, $set->{table}, $set->{type}, $set->{dim}, 'clusters', 50001, 50200);
	$standby->safe_psql('postgres', "DELETE FROM $set->{table} WHERE id % 5 = 0; VACUUM (INDEX_CLEANUP on) $set->{table}");
	check_index($standby, "$set->{table}_i", "$set->{opclass}: sound after promotion");
	exact_answers_ok($standby, $set, "$set->{opclass}: exact answers after promotion");
	all_rows_ok($standby, $set, "$set->{opclass}: every row once after promotion");
}

ok(!$_->log_contains('PANIC|TRAP|inconsistent page'), 'the log of ' . $_->name . ' is clean') foreach $primary, $standby;
$primary->stop;
$standby->stop;
done_testing();
