# A query on a standby may see rows that are dead to everyone on the primary.
# Training there keeps them, as long as they are in the table, whether their
# vectors lie in line or out of line. What VACUUM has removed from the TOAST
# table already, training leaves out, without an error.

use strict;
use warnings;

use Piramid;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', autovacuum => 'off', fsync => 'off');

define_corpora($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# no query is cancelled: replay would wait, and the test with it
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nhot_standby_feedback = off\n");
$standby->start;

# Pages are left half empty, and TOAST pages hold four values of 400 dimensions
# with room left: the server prunes fuller ones when they are read, and the
# record of that makes replay wait for whoever may see what is gone.
foreach my $case (
	{ name => 'plain', dim => 24, storage => 'PLAIN', key => 'v' },
	{ name => 'external', dim => 400, storage => 'EXTERNAL', key => 'v' },
	{ name => 'expression', dim => 400, storage => 'EXTERNAL', key => 'subvector(v, 1, 20)::vector(20)' })
{
	my ($name, $dim, $key) = @$case{qw(name dim key)};
	my $value = value_sql('vector', $dim, 'uniform', 'i');
	my $query = value_sql('vector', $key eq 'v' ? $dim : 20, 'uniform', 0);

	$primary->safe_psql('postgres', qq{
		CREATE TABLE $name (id bigint, v vector($dim), filler text DEFAULT repeat('x', 500)) WITH (fillfactor = 50, toast_tuple_target = 128);
		ALTER TABLE $name ALTER v SET STORAGE $case->{storage};
		ALTER TABLE $name ALTER filler SET STORAGE PLAIN;
		CREATE INDEX ${name}_i ON $name USING hnsw (($key) vector_l2_ops);
		INSERT INTO $name SELECT i, $value FROM generate_series(1, 1020) i});
	if ($case->{storage} ne 'PLAIN')
	{
		cmp_ok($primary->safe_psql('postgres', "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = '$name'"), '>', 0,
			"$name: vectors are out of line");
	}
	$primary->wait_for_catchup($standby);

	# a snapshot, kept until replay has got to the graph
	my $run = start_psql(
		$standby, qq{
		SET statement_timeout = '60s';
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT count(*) FROM $name;
		DO \$\$ BEGIN
			WHILE (SELECT state FROM piramid_index_info('${name}_i')) = 'flat' LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END \$\$;
		SET enable_seqscan = off;
		SET enable_sort = off;
		SET hnsw.ef_search = 100000;
		SELECT count(DISTINCT id), count(*) FROM (SELECT id FROM $name ORDER BY $key <-> $query) found;
		COMMIT});
	$standby->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE query LIKE '%DO $$ BEGIN%' AND application_name = 'piramid background session')})
	  or die 'no session waits';

	$primary->safe_psql('postgres', "DELETE FROM $name WHERE id % 5 = 0");
	$primary->safe_psql('postgres', "INSERT INTO $name SELECT i, $value FROM generate_series(2001, 2010) i");
	is($primary->safe_psql('postgres', "SELECT state FROM piramid_index_info('${name}_i')"), 'graph', "$name: trained");
	is(finish($run), 0, "$name: the query on the standby ends") or diag $run->{err};
	is($run->{out}, "1020\n1020|1020\n", "$name: it finds the rows that it sees");
	check_index($primary, "${name}_i", "$name: sound");
	is($primary->safe_psql('postgres', qq{
			SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 100000;
			SELECT count(*) FROM (SELECT id FROM $name ORDER BY $key <-> $query) found}),
		826, "$name: on the primary they are dead");
	$primary->safe_psql('postgres', "VACUUM $name");
	check_index($primary, "${name}_i", "$name: sound after VACUUM");
}

# values out of line and compressed are kept as well; and the TOAST table has a
# VACUUM of its own, which may come first
foreach my $storage ('EXTERNAL', 'EXTENDED')
{
	# equal components can be compressed
	my $value = "(SELECT array_agg(noise(i, d / 4) ORDER BY d) FROM generate_series(1, 1600) d)::vector(1600)";
	my $train = qq{
		DROP TABLE IF EXISTS dead;
		CREATE TABLE dead (id bigint, v vector(1600)) WITH (fillfactor = 50, autovacuum_enabled = off);
		ALTER TABLE dead ALTER v SET STORAGE $storage;
		CREATE INDEX dead_i ON dead USING hnsw (v vector_l2_ops);
		INSERT INTO dead SELECT i, $value FROM generate_series(1, 1020) i};
	my $state = q{SELECT state, heap_rows FROM piramid_index_info('dead_i')};

	$primary->safe_psql('postgres', $train);
	$primary->safe_psql('postgres', 'DELETE FROM dead WHERE id % 5 = 0');
	$primary->safe_psql('postgres', 'VACUUM ' . $primary->safe_psql('postgres', q{SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'dead'}));
	$primary->safe_psql('postgres', "INSERT INTO dead SELECT i, $value FROM generate_series(2001, 2010) i");
	is($primary->safe_psql('postgres', $state), 'graph|826', "$storage: without the values that are gone");
	check_index($primary, 'dead_i', "$storage: sound");
	$primary->safe_psql('postgres', 'VACUUM dead');
	check_index($primary, 'dead_i', "$storage: sound after VACUUM");
}

ok(!$_->log_contains('PANIC|TRAP|is corrupted'), 'the log of ' . $_->name . ' is clean') foreach $primary, $standby;
$standby->stop;
$primary->stop;
done_testing();
