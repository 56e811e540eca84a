# Every atomic change of an index is a stop point of a test build, and some
# steps of a build (src/storage/page_debug.h). At each of them, the first, a
# middle and the last time a command comes to it, the backend dies and the
# server with it; at each of them the command fails, or is cancelled. After
# that the index is sound and answers as the table does, on the standby as on
# the primary, and goes on.

use strict;
use warnings;

use File::Find ();
use Piramid;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs a test build: set PIRAMID_TEST_BUILD, as test/run does' unless $ENV{PIRAMID_TEST_BUILD};

my $primary = new_node('stop', test_build => 1, autovacuum => 'off', shared_buffers => '32MB', max_wal_size => '256MB',
	fsync => 'off', wal_keep_size => '512MB');
my $dim = 24;
my %wide = (value => q{(SELECT array_agg(x) FROM generate_series(1, 640) g, unnest(corpus(i, 25, 'clusters')) x)::vector(16000)}, sure => 1);

define_corpora($primary);
$primary->safe_psql('postgres', qq{
	CREATE EXTENSION pg_buffercache;
	CREATE FUNCTION stop_at(text) RETURNS text AS '\$libdir/piramid', 'pir_debug_stop_at' LANGUAGE C STRICT;
	CREATE TABLE source AS SELECT i AS id, corpus(i, $dim, 'clusters')::vector($dim) AS v FROM generate_series(1, 2000) i;
	CREATE TABLE wide_source AS SELECT i AS id, $wide{value} AS v FROM generate_series(1, 256) i});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('stop_standby', install_path => $ENV{PIRAMID_TEST_BUILD});
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_retrieve_retry_interval = '50ms'\n");
$standby->start;

my $few = 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 16)';
my @works = (
	{   name => 'insert into a flat index',
		before => "$few; INSERT INTO t SELECT * FROM source WHERE id <= 20",
		action => 'INSERT INTO t SELECT * FROM source WHERE id BETWEEN 401 AND 1000' },
	{   name => 'insert into a graph',
		before => "INSERT INTO t SELECT * FROM source WHERE id <= 1100; $few",
		action => 'INSERT INTO t SELECT * FROM source WHERE id BETWEEN 1101 AND 1200
			UNION ALL SELECT 5000 + i, v FROM source, generate_series(1, 60) i WHERE id = 1150' },
	{   name => 'vacuum',
		before => "INSERT INTO t SELECT * FROM source WHERE id <= 1400;
			INSERT INTO t SELECT 5000 + i + 60 * (id - 7), v FROM source, generate_series(1, 60) i WHERE id IN (7, 8); $few;
			INSERT INTO t SELECT * FROM source WHERE id BETWEEN 1401 AND 1500;
			DELETE FROM t WHERE id % 9 > 0 OR id > 5020",
		action => 'VACUUM (INDEX_CLEANUP on, TRUNCATE off, PARALLEL 0) t' },
	{   name => 'training',
		before => "$few; INSERT INTO t SELECT * FROM source WHERE id <= 1023",
		action => 'INSERT INTO t SELECT * FROM source WHERE id BETWEEN 1024 AND 1030' },
	{   name => 'growth of a page table',
		wide => 1,
		before => 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops) WITH (quantizer = none); INSERT INTO t SELECT * FROM wide_source WHERE id <= 253',
		action => 'INSERT INTO t SELECT * FROM wide_source WHERE id > 253' },
	{   name => 'build',
		before => 'INSERT INTO t SELECT * FROM source WHERE id <= 1100',
		action => 'CREATE INDEX t_i ON t USING hnsw (v vector_l2_ops)' });

sub set_of
{
	my ($work) = @_;

	return { type => 'vector', op => '<->', table => 't', kind => 'clusters', dim => $work->{wide} ? 16000 : $dim, $work->{wide} ? %wide : () };
}

sub prepare
{
	my ($work) = @_;

	$primary->safe_psql('postgres', 'DROP TABLE IF EXISTS t; CREATE TABLE t (LIKE ' . ($work->{wide} ? 'wide_source' : 'source') . "); $work->{before}");
	return;
}

sub found
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{
		SET enable_seqscan = off;
		SELECT q.id, array(SELECT id FROM t ORDER BY v <-> q.v LIMIT 20) FROM (SELECT * FROM t WHERE id % 50 = 0 ORDER BY id LIMIT 15 OFFSET 0) q});
}

# The index after a stop, and when it went on; if the command has committed,
# only VACUUM can do more.
sub sound
{
	my ($work, $what, $committed) = @_;
	my $set = set_of($work);

	$primary->safe_psql('postgres', 'CREATE INDEX IF NOT EXISTS t_i ON t USING hnsw (v vector_l2_ops)') if $work->{name} eq 'build';
	check_index($primary, 't_i', "$what: sound");
	exact_answers_ok($primary, $set, "$what: exact answers");
	all_rows_ok($primary, $set, "$what: every row once");
	$primary->wait_for_catchup($standby);
	is(found($standby), found($primary), "$what: the standby's answers");

	$primary->safe_psql('postgres', "VACUUM (TRUNCATE off) t; " . ($committed ? '' : $work->{action}));
	check_index($primary, 't_i', "$what, gone on: sound");
	all_rows_ok($primary, $set, "$what, gone on: every row once");
	$primary->wait_for_catchup($standby);
	is(found($standby), found($primary), "$what, gone on: the standby's answers");
	return;
}

# The server notices that a backend died, and ends, as restart_after_crash is off.
sub start_again
{
	my $postmaster = $primary->{_pid};

	wait_until(sub { !kill 0, $postmaster }, 'the server to end');
	$primary->kill9;
	$primary->start;
	return;
}

my %reached;

foreach my $work (@works)
{
	prepare($work);
	my %hits = map { split / / } split /\n/,
	  $primary->safe_psql('postgres', "$work->{action}; SELECT stop_at('')");
	my @names = sort keys %hits;

	# what the earlier ones had as well
	@names = grep { !$reached{$_} || $work->{name} =~ /growth|training/ } @names;
	@names = grep { !/^pir_hnsw_|^write_node/ } @names if $work->{name} eq 'training';
	note "$work->{name}: ", join ', ', map { "$_ $hits{$_}" } sort keys %hits;
	$reached{$_} = 1 foreach keys %hits;

	foreach my $name (@names)
	{
		my %at = map { $_ => 1 } 1, $ENV{PIRAMID_BRIEF} ? () : (int(($hits{$name} + 1) / 2), $hits{$name});

		foreach my $hit (sort { $a <=> $b } keys %at)
		{
			my $what = "$work->{name}, crash at $name $hit of $hits{$name}";

			prepare($work);
			my $status = $primary->psql('postgres', "SELECT stop_at('crash $name $hit'); $work->{action}");
			if ($status == 0 && $hit > 10)
			{
				# the entry layer is drawn by lot, and what follows from it varies
				note "$what: not reached this time";
				next;
			}
			is($status, 2, "$what: the server was gone");
			start_again();
			sound($work, $what);
		}

		# not all at once: an error leaves the state of the first crash
		my $committed;

		prepare($work);
		foreach my $how ('error', 'cancel')
		{
			my $what = "$work->{name}, $how at $name";
			my ($status, $out, $err) = $primary->psql(
				'postgres', qq{
				SELECT stop_at('$how $name 1');
				$work->{action};
				SELECT 'pins', count(*) FROM pg_buffercache WHERE pinning_backends > 0 AND relfilenode = pg_relation_filenode('t_i');
				SELECT 'locks', count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND (locktype = 'page' OR relation = 't'::regclass);
				SELECT 'files', count(*) FROM pg_ls_tmpdir()},
				on_error_stop => 0);

			# the last change of a command may be followed by no more look at interrupts
			like($err, $how eq 'error' ? qr/stopped at "$name"/ : qr/^$|canceling statement due to user request/, "$what: it failed");
			$committed = 1 if $err eq '';
			like($out, qr/pins\|0\nlocks\|0\nfiles\|0$/, "$what: nothing is left");
			$primary->safe_psql('postgres', 'DROP INDEX IF EXISTS t_i') if $work->{name} eq 'build';
		}
		sound($work, "$work->{name}, after an error and a cancel at $name", $committed);
	}
}

# No change is without its stop: every function of the sources that makes one
# was stopped.
my %known = map { $_ => 1 } qw(write_build_page before_build_log after_build_log);
File::Find::find(
	sub {
		return unless /\.c$/ && !/^page_(wal|debug)\.c$/;
		my $function = '';
		foreach my $line (split /\n/, slurp_file($_))
		{
			$function = $1 if $line =~ /^(\w+)\(/;
			$known{$function} = 1 if $line =~ /\bpir_wal_finish\(/;
		}
	},
	"$ENV{PIRAMID_SOURCE}/src");
is_deeply([ sort keys %reached ], [ sort keys %known ], 'every change of an index was stopped at');

ok(!$_->log_contains('PANIC|TRAP|is corrupted'), 'the log of ' . $_->name . ' is clean') foreach $primary, $standby;
$standby->stop;
$primary->stop;
done_testing();
