# Broken pages: bytes of the index files are flipped, zeroed, swapped and set
# while the server is down, pages of every kind, fields of the meta page one by
# one. Whatever is read then may raise an error that says so, or give other
# answers; the server neither crashes nor hangs.

use strict;
use warnings;

use Piramid;
use Test::More;

my $seed = 20240502;
my $rounds = $ENV{PIRAMID_CORRUPTION_ROUNDS} || 3;
srand($seed);
note "random seed $seed";

my $block_size = 8192;
my $special = $block_size - 16;
my %kind_names = (1 => 'meta', 2 => 'table', 4 => 'code', 8 => 'list', 16 => 'entry', 32 => 'centre', 64 => 'free');
my $node = new_node('corruption', autovacuum => 'off', fsync => 'off', shared_buffers => '64MB', restart_after_crash => 'off',
	zero_damaged_pages => 'off', statement_timeout => '10s', log_statement => 'all');

define_corpora($node);

# Indexes with every kind of page, with duplicates and free slots, several times.
my %columns = (
	flat => { type => 'vector', dim => 24, op => '<->', opclass => 'vector_l2_ops', rows => 600 },
	graph => { type => 'vector', dim => 40, op => '<=>', opclass => 'vector_cosine_ops', rows => 1300 },
	bits => { type => 'bit', dim => 64, op => '<~>', opclass => 'bit_hamming_ops', rows => 1200 },
	sparse => { type => 'sparsevec', dim => 40, op => '<->', opclass => 'sparsevec_l2_ops', rows => 1100 },
	wide => { type => 'vector', dim => 2100, op => '<->', opclass => 'vector_l2_ops', rows => 30 });
my $copies = 6;
my @tables;

foreach my $name (sort keys %columns)
{
	my $column = $columns{$name};
	my $kind = $name eq 'graph' ? 'duplicates' : 'clusters';

	foreach my $copy (1 .. $copies)
	{
		my $table = "${name}_$copy";
		my $half = int($column->{rows} / 2);

		push @tables, { %$column, name => $name, table => $table, kind => $kind };
		new_table($node, $table, $column->{type}, $column->{dim});
		if ($copy == 1)
		{
			fill($node, $table, $column->{type}, $column->{dim}, $kind, 1, $column->{rows});
		}
		else
		{
			$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM ${name}_1 ORDER BY id");
		}
		my $with = $name eq 'wide' ? 'WITH (quantizer = none)' : '';
		$node->safe_psql('postgres', "CREATE INDEX ${table}_i ON $table USING hnsw (v $column->{opclass}) $with");
	}
	foreach my $copy (1 .. $copies)
	{
		$node->safe_psql('postgres', "DELETE FROM ${name}_$copy WHERE id % 4 = 1; VACUUM (INDEX_CLEANUP on) ${name}_$copy");
	}
}
# one that was trained has free pages
foreach my $copy (1 .. $copies)
{
	push @tables, { %{ $columns{graph} }, name => 'trained', table => "trained_$copy", kind => 'duplicates' };
	new_table($node, "trained_$copy", 'vector', 40);
	$node->safe_psql('postgres', qq{
		CREATE INDEX trained_${copy}_i ON trained_$copy USING hnsw (v vector_cosine_ops) WITH (m = 4, ef_construction = 16);
		INSERT INTO trained_$copy SELECT * FROM graph_$copy WHERE id <= 500;
		INSERT INTO trained_$copy SELECT id + 500, v FROM graph_$copy WHERE id <= 900});
}
$node->safe_psql('postgres', 'CHECKPOINT');

foreach my $t (@tables)
{
	check_index($node, "$t->{table}_i", "$t->{table}: sound before") if $t->{table} =~ /_1$/;
	$t->{index} = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$t->{table}_i')");
}
$node->stop;

# Each round begins with the same files; REINDEX, for one, gives an index others.
my $saved = $node->basedir . '/saved';
system('cp', '-a', $node->data_dir, $saved) == 0 or die 'cannot save the data directory';

sub restore
{
	system('rm', '-rf', $node->data_dir) == 0 && system('cp', '-a', $saved, $node->data_dir) == 0
	  or die 'cannot restore the data directory';
	return;
}

sub read_file
{
	my ($file) = @_;

	open my $in, '<:raw', $file or die "cannot read $file";
	local $/ = undef;
	return scalar <$in>;
}

sub write_file
{
	my ($file, $bytes) = @_;

	open my $out, '>:raw', $file or die "cannot write $file";
	print $out $bytes;
	close $out or die "cannot write $file";
	return;
}

sub kind_of
{
	my ($bytes, $block) = @_;

	return unpack 'C', substr($bytes, $block * $block_size + $special + 10, 1);
}

# Numbers that mean something somewhere
sub telling_number
{
	my ($blocks) = @_;
	my @numbers = (0, 1, 2, 255, 65535, 65536, 0x7FFFFFFF, 0x7FFFFFFE, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, $blocks - 1, $blocks,
		$blocks + 1, int rand $blocks, int rand $blocks, int rand $blocks, int rand 1000, int rand 2000, int rand 2**32);

	return $numbers[ rand @numbers ];
}

# Fields of the meta page, by their offset from its content, and what would be
# worst for each: numbers that lead back to the meta page, to nothing, too far.
my %meta_fields = (
	80 => [ 'nblocks', 0, 1, 3, 0xFFFFFFFE ], 84 => [ 'free_head', 0, 1, 0xFFFFFFFE ], 92 => [ 'epoch', 77 ],
	96 => [ 'first code table', 0, 1, 0xFFFFFFFF ], 100 => [ 'last code table', 0, 1, 0xFFFFFFFF ], 104 => [ 'code pages', 0, 1, 0xFFFFFFFF ],
	108 => [ 'first list table', 0, 1 ], 112 => [ 'last list table', 0, 0xFFFFFFFF ], 116 => [ 'list pages', 0, 1, 0x7FFFFFFF ],
	120 => [ 'state', 0, 1, 2, 3 ], 124 => [ 'nnodes', 0, 100, 0x7FFFFFF0 ], 128 => [ 'nlive', 0, 1, 0xFFFFFFFF ], 132 => [ 'ndead', 0xFFFFFFFF ],
	136 => [ 'free_node', 0, 2, 0x7FFFFFF0, 0xFFFFFFFF ], 140 => [ 'nfree_nodes', 0 ], 144 => [ 'centre', 0, 1, 0xFFFFFFFF ],
	148 => [ 'entry', 0, 1, 0xFFFFFFFF ], 152 => [ 'nentries', 0, 1, 0xFFFFFFFF ], 156 => [ 'root', 0, 3, 0x7FFFFFF0, 0xFFFFFFFF ],
	160 => [ 'scale', 0x7FC00000, 0x7F800000 ], 164 => [ 'offset', 0x7FC00000 ], 172 => [ 'retired', 0, 1, 3, 0xFFFFFFFE ]);
my @meta_cases = map {
	my ($offset, $name, @numbers) = ($_, @{ $meta_fields{$_} });
	map { [ $offset, $name, $_ ] } @numbers
} sort { $a <=> $b } keys %meta_fields;

# Break one thing in the bytes of a file; says what.
sub break
{
	my ($bytes) = @_;
	my $blocks = length($$bytes) / $block_size;

	if (@meta_cases)
	{
		my ($offset, $name, $number) = @{ shift @meta_cases };

		substr($$bytes, 24 + $offset, 4) = pack 'L', $number;
		return "meta page: $name is $number";
	}

	# a kind first, so that rare ones are hit as often as the many
	my %by_kind;
	push @{ $by_kind{ kind_of($$bytes, $_) } }, $_ foreach 0 .. $blocks - 1;
	my @kinds = sort keys %by_kind;
	my $kind = $kinds[ rand @kinds ];
	my $block = $by_kind{$kind}[ rand @{ $by_kind{$kind} } ];
	my $start = $block * $block_size;
	my $way = (qw(field field field special special flip flip bytes zero ones garbage swap copy cut header))[ rand 15 ];

	if ($way eq 'field')
	{
		# most pages are dense at their start; the meta page's fields end at 200
		my $offset = 24 + 4 * int(rand($kind == 1 ? 44 : rand() < 0.5 ? 20 : 2038));
		my $number = telling_number($blocks);

		substr($$bytes, $start + $offset, 4) = pack 'L', $number;
		return "$kind_names{$kind} page $block: number at $offset is $number";
	}
	if ($way eq 'special')
	{
		my ($offset, $size, $name) = @{ ([ 0, 4, 'logical' ], [ 4, 4, 'next' ], [ 4, 4, 'next' ], [ 8, 2, 'nslots' ], [ 10, 1, 'kind' ], [ 11, 1, 'format' ])[ rand 6 ] };
		my $number = $name eq 'kind' ? 2**int(rand 8) : telling_number($blocks) & (2**(8 * $size) - 1);

		substr($$bytes, $start + $special + $offset, $size) = pack(($size == 4 ? 'L' : $size == 2 ? 'S' : 'C'), $number);
		return "$kind_names{$kind} page $block: $name is $number";
	}
	if ($way eq 'flip')
	{
		my $offset = int rand $block_size;
		my $bit = int rand 8;

		substr($$bytes, $start + $offset, 1) ^= chr(1 << $bit);
		return "$kind_names{$kind} page $block: bit $bit of byte $offset flipped";
	}
	if ($way eq 'bytes')
	{
		my $offset = int rand($block_size - 64);

		substr($$bytes, $start + $offset, 64) = join '', map { chr int rand 256 } 1 .. 64;
		return "$kind_names{$kind} page $block: 64 bytes from $offset are noise";
	}
	if ($way eq 'header')
	{
		# sane for the server, which looks at these four bytes
		my $lower = 24 + int rand 8152;

		substr($$bytes, $start + 12, 2) = pack 'S', $lower;
		return "$kind_names{$kind} page $block: pd_lower is $lower";
	}
	if ($way eq 'swap')
	{
		my $other = int rand $blocks;
		my $page = substr($$bytes, $start, $block_size);

		substr($$bytes, $start, $block_size) = substr($$bytes, $other * $block_size, $block_size);
		substr($$bytes, $other * $block_size, $block_size) = $page;
		return "$kind_names{$kind} page $block: changed places with $other";
	}
	if ($way eq 'copy')
	{
		my $other = $by_kind{$kind}[ rand @{ $by_kind{$kind} } ];

		substr($$bytes, $start, $block_size) = substr($$bytes, $other * $block_size, $block_size);
		return "$kind_names{$kind} page $block: a copy of $other";
	}
	if ($way eq 'cut')
	{
		$$bytes = substr($$bytes, 0, $block * $block_size);
		return "file cut before $kind_names{$kind} page $block";
	}

	# the content, with header and special space as they were; or the whole page
	my $whole = $way eq 'zero' && rand() < 0.5;
	my ($from, $to) = $whole ? (0, $block_size) : (24, $special);
	substr($$bytes, $start + $from, $to - $from) =
	    $way eq 'zero' ? "\0" x ($to - $from)
	  : $way eq 'ones' ? "\xFF" x ($to - $from)
	  :                  join '', map { pack 'L', int rand 2**32 } 1 .. ($to - $from) / 4;
	return "$kind_names{$kind} page $block: " . ($whole ? 'the page' : 'its content') . " is $way";
}

# What users do, each command by itself.
sub commands
{
	my ($t) = @_;
	my $query = value_sql($t->{type}, $t->{dim}, $t->{kind}, '100000003');
	my $table = $t->{table};
	my $insert = sub {
		my ($first, $last) = @_;
		return "INSERT INTO $table SELECT i, " . value_sql($t->{type}, $t->{dim}, $t->{kind}, 'i') . " FROM generate_series($first, $last) i;\n";
	};

	return join "\n", '\set VERBOSITY sqlstate', 'SET enable_seqscan = off;',
	  "SELECT count(*) FROM (SELECT id FROM $table ORDER BY v $t->{op} $query LIMIT 10) f;",
	  'SET hnsw.ef_search = 2000;',
	  "SELECT count(*) FROM (SELECT id FROM $table ORDER BY v $t->{op} $query LIMIT 1000) f;",
	  'SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = 10;',
	  "SELECT count(*) FROM (SELECT id FROM $table ORDER BY v $t->{op} $query) f;",
	  "SELECT count(*) FROM piramid_check('${table}_i');",
	  "SELECT count(*) FROM piramid_check('${table}_i', false);",
	  "SELECT count(*) FROM piramid_index_info('${table}_i');",
	  $insert->(10001, 10001), $insert->(10002, 10020),
	  "INSERT INTO $table SELECT id + 20000, v FROM $table WHERE id % 8 = 0 AND id < 400;",
	  "UPDATE $table SET id = id + 100000 WHERE id % 16 = 3;",
	  "DELETE FROM $table WHERE id % 3 = 0;",
	  "VACUUM (INDEX_CLEANUP on) $table;",
	  # the rest of the way to a graph
	  ($t->{name} eq 'flat' ? $insert->(40001, 40600) : ()),
	  $insert->(50001, 50020),
	  "VACUUM (INDEX_CLEANUP on) $table;",
	  'RESET hnsw.iterative_scan; SET hnsw.ef_search = 2000;',
	  "SELECT count(*) FROM (SELECT id FROM $table ORDER BY v $t->{op} $query LIMIT 1000) f;",
	  "SELECT count(*) FROM piramid_check('${table}_i');",
	  # and the way out
	  "REINDEX INDEX ${table}_i;",
	  "SELECT 'findings after REINDEX: ' || count(*) FROM piramid_check('${table}_i');", '';
}

my %seen;
my $found = 0;

foreach my $round (1 .. $rounds)
{
	restore();
	# meta cases meet another kind of index in each round
	foreach my $t ($round % 2 ? @tables : reverse @tables)
	{
		my $bytes = read_file($t->{index});

		$t->{what} = break(\$bytes);
		write_file($t->{index}, $bytes);
	}
	$node->start;
	foreach my $t (@tables)
	{
		my ($out, $err) = ('', '');
		my $name = "round $round, $t->{table}, $t->{what}";

		$node->psql('postgres', commands($t), stdout => \$out, stderr => \$err, on_error_stop => 0, timeout => 150);
		my @states = $err =~ /ERROR:\s+(\w+)/g;
		$seen{$_}++ foreach @states;
		$found++ if @states;

		# XX001 is the server's, of blocks that are not there or have no sane header
		my @others = grep { !/^(XX001|XX002|0A000)$/ } @states;
		my $ok = ok(!@others && $err !~ /FATAL|PANIC|server closed|terminated/ && $out =~ /findings after REINDEX: 0$/, $name);
		if (!$ok)
		{
			diag("$name\nstates: @states\n$out\n$err");
			BAIL_OUT('the server is gone') if !-e $node->data_dir . '/postmaster.pid';
		}
	}
	$node->stop;
}
note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
cmp_ok($found, '>', $rounds * @tables / 4, 'many of them were noticed by an error');
ok(!$node->log_contains('PANIC|TRAP|was terminated by signal'), 'no process of the server crashed');
done_testing();
