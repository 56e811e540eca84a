# What TAP tests share: servers with piramid, the sample, generated corpora,
# recall, exact answers, sessions in the background, crashes.
#
# Generated rows are a function of their id alone (define_corpora), so that any
# row can be made again, on any server and in any order.

package Piramid;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(new_node load_sample recall answers check_index crash uses_index
  cells define_corpora new_table fill value_sql set_answers set_recall exact_answers_ok
  all_rows_ok start_psql start_pgbench finish wait_until wal_position wait_for_wal);

my $run_number = 0;
my $session_name = 'piramid background session';
my $top = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');

# new_node(NAME, SETTING => VALUE...): a running server, piramid created in
# database postgres. Logical replication and standbys need no further setting.
# test_build => 1 takes the test build (PIRAMID_TEST_BUILD), if there is one;
# old_build => 1 the older PostgreSQL (PIRAMID_OLD_BUILD).
sub new_node
{
	my ($name, %settings) = @_;
	my $test_build = delete $settings{test_build};
	my $old_build = delete $settings{old_build};
	my $path = $old_build ? $ENV{PIRAMID_OLD_BUILD} : $test_build ? $ENV{PIRAMID_TEST_BUILD} : undef;
	my $node = PostgreSQL::Test::Cluster->new($name, $path ? (install_path => $path) : ());

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

# cells(): every operator class as { type, metric, op, opclass }.
sub cells
{
	my %ops = (l2 => '<->', ip => '<#>', cosine => '<=>', l1 => '<+>', hamming => '<~>', jaccard => '<%>');
	my @cells;

	foreach my $type ('vector', 'halfvec', 'sparsevec')
	{
		push @cells, map { { type => $type, metric => $_, op => $ops{$_}, opclass => "${type}_${_}_ops" } } qw(l2 ip cosine l1);
	}
	push @cells, map { { type => 'bit', metric => $_, op => $ops{$_}, opclass => "bit_${_}_ops" } } qw(hamming jaccard);
	return @cells;
}

# define_corpora(NODE): the SQL functions behind fill() and value_sql().
#   uniform      independent components in -0.5 .. 0.5
#   clusters     40 clusters, noise of a quarter of their spread
#   duplicates   as uniform, ten rows of each value
sub define_corpora
{
	my ($node) = @_;

	$node->safe_psql(
		'postgres', q{
		CREATE FUNCTION noise(a bigint, b bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
			'SELECT (hashint8extended(a * 65536 + b, 42) & 16777215) / 16777216.0::float8 - 0.5';
		CREATE FUNCTION corpus(id bigint, dim int, kind text) RETURNS real[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
			SELECT array_agg((CASE kind
				WHEN 'clusters' THEN 2 * noise(-1 - id % 40, d) + noise(id, d) / 2
				WHEN 'duplicates' THEN noise(id / 10, d)
				ELSE noise(id, d) END)::real ORDER BY d)
			FROM generate_series(1, dim) d $$;
		CREATE FUNCTION sparse_corpus(id bigint, dim int, kind text) RETURNS real[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
			SELECT array_agg(CASE WHEN noise(-100 - CASE kind WHEN 'duplicates' THEN id / 10 ELSE id % 40 END, d) < -0.3
				THEN x ELSE 0 END ORDER BY d)
			FROM unnest(corpus(id, dim, kind)) WITH ORDINALITY c(x, d) $$;
	});
	return;
}

# value_sql(TYPE, DIM, KIND, ID): the expression that makes a value.
sub value_sql
{
	my ($type, $dim, $kind, $id) = @_;

	return "sparse_corpus($id, $dim, '$kind')::vector($dim)::sparsevec($dim)" if $type eq 'sparsevec';
	return "binary_quantize(corpus($id, $dim, '$kind')::vector($dim))::bit($dim)" if $type eq 'bit';
	return "corpus($id, $dim, '$kind')::$type($dim)";
}

# new_table(NODE, TABLE, TYPE, DIM): id and v, no rows.
sub new_table
{
	my ($node, $table, $type, $dim, $persistence) = @_;

	$persistence ||= '';
	$node->safe_psql('postgres', "CREATE $persistence TABLE $table (id bigint PRIMARY KEY, v $type($dim))");
	return;
}

# fill(NODE, TABLE, TYPE, DIM, KIND, FIRST, LAST): insert the rows of these ids.
sub fill
{
	my ($node, $table, $type, $dim, $kind, $first, $last) = @_;

	$node->safe_psql('postgres',
		    "INSERT INTO $table SELECT i, "
		  . value_sql($type, $dim, $kind, 'i')
		  . " FROM generate_series($first, $last) i");
	return;
}

# Queries are rows that no test inserts.
my $first_query = 100_000_000;

sub set_value
{
	my ($set, $id) = @_;

	return $set->{value} =~ s/\bi\b/$id/r if $set->{value};
	return value_sql($set->{type}, $set->{dim}, $set->{kind}, $id);
}

# set_answers(NODE, SET, SETTINGS): for each of 20 queries the ten smallest
# distances in a table, as text. Distances, as ids would differ where distances
# tie. SET is { table, type, dim, kind, op }, and 'value' if value_sql() does
# not give its values: an expression of i.
sub set_answers
{
	my ($node, $set, $settings) = @_;
	my $value = set_value($set, 'i');

	return $node->safe_psql(
		'postgres', qq{
		$settings
		SELECT i, array(SELECT d FROM (
			SELECT v $set->{op} q.x AS d FROM $set->{table} ORDER BY v $set->{op} q.x LIMIT 10) found
			ORDER BY d + 0)
		FROM (SELECT i, $value AS x FROM generate_series($first_query, $first_query + 19) i OFFSET 0) q ORDER BY i});
}

my $exactly = 'SET enable_indexscan = off;';
my $thoroughly = 'SET enable_seqscan = off; SET hnsw.ef_search = 100000; SET ivf.probes = 32768; SET ivfflat.probes = 32768;';

# exact_answers_ok(NODE, SET, NAME): a search that looks at everything it can
# reach gives what a sequential scan gives. With 'sure' in the set, to the last
# row; else codes decide which rows of a graph are compared exactly, and leave
# one out now and then, within their calibrated error: 1 of 100 at most.
sub exact_answers_ok
{
	my ($node, $set, $name) = @_;

	return is(set_answers($node, $set, $thoroughly), set_answers($node, $set, $exactly), $name) if $set->{sure};
	return cmp_ok(set_recall($node, $set, $thoroughly), '>=', 0.99, $name);
}

# all_rows_ok(NODE, SET, NAME): such a search, without a limit, gives every row
# once.
sub all_rows_ok
{
	my ($node, $set, $name) = @_;
	my $value = set_value($set, $first_query);

	return is(
		$node->safe_psql(
			'postgres', qq{
			$thoroughly SET enable_sort = off;
			SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM $set->{table} ORDER BY v $set->{op} $value) found}),
		$node->safe_psql('postgres', "SELECT count(*), count(*) FROM $set->{table}"),
		$name);
}

# set_recall(NODE, SET, SETTINGS): mean share of the ten smallest distances that
# an index scan finds.
sub set_recall
{
	my ($node, $set, $settings) = @_;
	my %exact = map { split /\|/ } split /\n/, set_answers($node, $set, $exactly);
	my %found = map { split /\|/ } split /\n/, set_answers($node, $set, "SET enable_seqscan = off; $settings");
	my ($hits, $wanted) = (0, 0);

	foreach my $query (keys %exact)
	{
		my @exact = $exact{$query} =~ /[^{},]+/g;
		my @found = $found{$query} =~ /[^{},]+/g;

		$wanted += @exact;
		$hits += grep { $_ <= $exact[-1] } @found;
	}
	return $wanted ? $hits / $wanted : 1;
}

# start_psql(NODE, SQL): a session in the background; finish() waits for it.
sub start_psql
{
	my ($node, $sql) = @_;
	my $run = { out => '', err => '', in => '' };
	my $file = $node->basedir . '/session' . ++$run_number . '.sql';

	append_to_file($file, $sql);
	$run->{handle} = IPC::Run::start(
		[   $node->installed_command('psql'), '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
			'-d', $node->connstr('postgres') . " application_name='$session_name'", '-f', $file ],
		'<', \$run->{in}, '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

# start_pgbench(NODE, CLIENTS, TRANSACTIONS, SCRIPT => WEIGHT...): custom scripts
# in the background, TRANSACTIONS for each client, or "600 s".
sub start_pgbench
{
	my ($node, $clients, $transactions, %scripts) = @_;
	my $run = { out => '', err => '', in => '' };
	my @length = $transactions =~ /^(\d+) s$/ ? ('-T', $1) : ('-t', $transactions);
	my @files;

	foreach my $script (sort keys %scripts)
	{
		my $file = $node->basedir . '/bench' . ++$run_number . '.sql';

		append_to_file($file, $script);
		push @files, '-f', "$file\@$scripts{$script}";
	}
	$run->{handle} = IPC::Run::start(
		[   $node->installed_command('pgbench'), '-n', '-c', $clients, '-j', 2, @length,
			'--random-seed', $ENV{PIRAMID_TEST_SEED} || 4711, @files, $node->connstr('postgres') ],
		'<', \$run->{in}, '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

# finish(RUN): wait for a background session; its exit status (0: fine).
sub finish
{
	my ($run) = @_;

	eval { $run->{handle}->finish };
	return $run->{handle}->full_result(0);
}

sub wal_position
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
}

# wait_for_wal(NODE, FROM, BYTES): wait until so much WAL was written since the
# position FROM, which tells how far a command has come; or until the session
# of start_psql() has ended. Watches from inside the server, every millisecond.
sub wait_for_wal
{
	my ($node, $from, $bytes) = @_;

	$node->safe_psql(
		'postgres', qq{
		DO \$\$
		DECLARE
			seen bool := false;
			runs bool;
			deadline timestamptz := clock_timestamp() + interval '5 s';
		BEGIN
			WHILE pg_current_wal_insert_lsn() - '$from' < $bytes
			LOOP
				PERFORM pg_stat_clear_snapshot();
				runs := EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$session_name');
				seen := seen OR runs;
				EXIT WHEN NOT runs AND (seen OR clock_timestamp() > deadline);
				PERFORM pg_sleep(0.001);
			END LOOP;
		END \$\$});
	return;
}

# crash(NODE): kill -9 the postmaster and its children, as when the machine
# fails, and start it again.
sub crash
{
	my ($node) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	# stopped, it can neither start another child nor react to the end of one
	kill 'STOP', $postmaster;
	my @children;
	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		# a process may be gone by now
		my $stat = eval { slurp_file($file) } || '';

		push @children, $1 if $stat =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $postmaster;
	}
	kill 'KILL', @children;
	$node->kill9;

	# their shared memory must be free before the next server
	wait_until(sub { !grep { kill 0, $_ } $postmaster, @children }, 'the killed server to go');
	$node->start;
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
		Time::HiRes::usleep(10_000);
	}
	return;
}

1;
