# Out-of-line values whose TOAST table is not what it should be: what an error
# left behind and bears another value's number, and pages that are broken while
# the server is down. Reading by position gives what was stored or an error, never
# what a failed transaction left, never a crash.

use strict;
use warnings;

use Piramid;
use Test::More;

my $seed = 20241124;
my $rounds = $ENV{PIRAMID_CORRUPTION_ROUNDS} || 12;
srand($seed);
note "random seed $seed";

my $block_size = 8192;
my $page_header = 24;
my $tuple_header = 24;
my $node = new_node('toast', autovacuum => 'off', fsync => 'off', restart_after_crash => 'off', statement_timeout => '20s');

sub toast_file
{
	my ($table) = @_;

	return $node->data_dir . '/' . $node->safe_psql('postgres',
		"SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = '$table'::regclass");
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

# The items of all pages, in their order: { pointer, start, length } in bytes of the file
sub items
{
	my ($bytes) = @_;
	my @items;

	foreach my $block (0 .. length($$bytes) / $block_size - 1)
	{
		my $page = $block * $block_size;
		my $lower = unpack 'S', substr($$bytes, $page + 12, 2);

		for (my $pointer = $page_header; $pointer < $lower; $pointer += 4)
		{
			my $item = unpack 'L', substr($$bytes, $page + $pointer, 4);

			push @items, { pointer => $page + $pointer, start => $page + ($item & 0x7FFF), length => $item >> 17 };
		}
	}
	return @items;
}

# ------------------------------------------------------------------------
# A transaction that failed left the chunks of a value of 600 dimensions behind,
# between two that were stored. An error or a crash between a chunk and its
# index entry, and four billion numbers later, gives them the next one's number.
# ------------------------------------------------------------------------

my $value = 'array_fill(%d, ARRAY[600])::vector';
$node->safe_psql('postgres', join ' ', 'CREATE TABLE leftover (i int, v vector(600));',
	'INSERT INTO leftover VALUES (1, ' . sprintf($value, 1) . ');',
	'BEGIN; INSERT INTO leftover VALUES (2, ' . sprintf($value, 2) . '); ROLLBACK;',
	'INSERT INTO leftover VALUES (3, ' . sprintf($value, 3) . ');', 'CHECKPOINT;');
my $file = toast_file('leftover');
$node->stop;
my $bytes = read_file($file);
my @chunks = items(\$bytes);
is(scalar @chunks, 6, 'three values of two chunks each');
foreach my $chunk (@chunks[ 2, 3 ])
{
	substr($bytes, $chunk->{start} + $tuple_header, 4) = substr($bytes, $chunks[4]{start} + $tuple_header, 4);
}
write_file($file, $bytes);
$node->start;
is($node->safe_psql('postgres', 'SELECT i, v <-> array_fill(i, ARRAY[600])::vector FROM leftover'),
	"1|0\n3|0", 'chunks of a transaction that failed are not taken for a value');

# ------------------------------------------------------------------------
# Broken pages. Between every two values lies one of a transaction that failed.
# Anything may happen to that: the server's reader never looks there, ours does.
# What happens to values that are read is what the server's reader survives.
# ------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE FUNCTION made(i int) RETURNS bit(40000) LANGUAGE sql IMMUTABLE RETURN repeat(lpad(i::bit(10)::text, 20, '0'), 2000)::bit(40000);
	CREATE FUNCTION seen(v bit) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		RETURN hamming_distance(v, repeat('0', 40000)::bit(40000)) || ' ' || hamming_distance(v, repeat('0000000001', 4000)::bit(40000))
			|| ' ' || hamming_distance(v, repeat('00000000000000000110', 2000)::bit(40000));
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
	END $$;
	CREATE TABLE broken (i int, v bit(40000), expected text);
	ALTER TABLE broken ALTER v SET STORAGE external;
	DO $$
	BEGIN
		FOR i IN 1 .. 300 LOOP
			INSERT INTO broken SELECT i, made(i), seen(made(i));
			BEGIN
				INSERT INTO broken SELECT -i, made(i), 'failed';
				RAISE division_by_zero;
			EXCEPTION WHEN division_by_zero THEN NULL;
			END;
		END LOOP;
	END $$;
	CHECKPOINT});
$file = toast_file('broken');
my $index = $node->data_dir . '/' . $node->safe_psql('postgres', q{
	SELECT pg_relation_filepath(indexrelid) FROM pg_index WHERE indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'broken'::regclass)});
my $scan = q{SELECT count(*) FILTER (WHERE seen = expected), count(*) FILTER (WHERE seen LIKE 'XX___'),
	coalesce(string_agg(i || ': ' || seen, ', ') FILTER (WHERE seen <> expected AND seen NOT LIKE 'XX___'), '')
	FROM (SELECT i, seen(v), expected FROM broken OFFSET 0) f};
is($node->safe_psql('postgres', $scan), '300|0|', 'sound before');
my %numbers = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT DISTINCT chunk_id FROM ' . $node->safe_psql(
	'postgres', q{SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'broken'::regclass}));
$node->stop;
my $sound = read_file($file);
my $sound_index = read_file($index);

sub number_of
{
	my ($item) = @_;

	return unpack 'L', substr($sound, $item->{start} + $tuple_header, 4);
}
my (@live, @failed);
push @{ $numbers{ number_of($_) } ? \@live : \@failed }, $_ foreach items(\$sound);
cmp_ok(scalar @failed, '>=', 900, 'chunks of failed transactions lie between the others');

sub put
{
	my ($bytes_ref, $at, $format, $number) = @_;
	my $packed = pack $format, $number;

	substr($$bytes_ref, $at, length $packed) = $packed;
	return;
}

my $errors = 0;
foreach my $round (1 .. $rounds)
{
	my ($out, $err);

	$bytes = $sound;
	foreach my $item (grep { rand() < 0.3 } @failed)
	{
		my $at = $item->{start};

		# the number of a value nearby, so that more than the number is looked at
		put(\$bytes, $at + $tuple_header, 'L', number_of($live[ rand @live ])) if rand() < 0.2;
		put(\$bytes, $at + $tuple_header, 'L', number_of($item) + (-1, 1)[ rand 2 ]) if rand() < 0.5;
		put(\$bytes, $at + $tuple_header + 8 + int rand 4, 'C', int rand 256) if rand() < 0.5;
		put(\$bytes, $at + rand $tuple_header, 'C', int rand 256) if rand() < 0.5;
		put(\$bytes, $item->{pointer}, 'L', int rand 2**32) if rand() < 0.3;
		put(\$bytes, $item->{pointer}, 'L', $at % $block_size | 1 << 15 | int(rand 2**15) << 17) if rand() < 0.3;
	}
	foreach my $item (grep { rand() < 0.02 } @live)
	{
		my $way = (qw(unused dead moved seq number header))[ rand 6 ];

		put(\$bytes, $item->{pointer}, 'L', 0) if $way eq 'unused';
		put(\$bytes, $item->{pointer}, 'L', 3 << 15) if $way eq 'dead';
		put(\$bytes, $item->{start} + $tuple_header, 'L', int rand 2**32) if $way eq 'number';
		put(\$bytes, $item->{start} + $tuple_header + 4, 'L', int rand 4) if $way eq 'seq';
		# xmin, xmax, command, ctid
		put(\$bytes, $item->{start} + int rand 18, 'C', int rand 256) if $way eq 'header';
		put(\$bytes, $item->{pointer}, 'L', unpack 'L', substr $sound, $live[ rand @live ]{pointer}, 4) if $way eq 'moved';
	}
	$bytes = substr($bytes, 0, $block_size * int rand length($bytes) / $block_size) if $round % 5 == 0;
	write_file($file, $bytes);
	write_file($index, $sound_index);
	$node->start;
	$node->psql('postgres', $scan, stdout => \$out, stderr => \$err, timeout => 60);
	my ($right, $refused, $wrong) = split /\|/, $out, -1;
	$errors += $refused // 0;
	# one value is taken for another only where the index leads astray
	my $found = () = ($wrong // '') =~ /:/g;
	ok(defined $wrong && $right + $refused + $found == 300 && $found < 10 && ($round % 5 == 0 || $right > 200), "round $round: right or refused")
	  or diag("$out\n$err");
	$node->stop;
}
note "$errors values were refused";
cmp_ok($errors, '>', $rounds, 'damage was found');
ok(!$node->log_contains('PANIC|TRAP|was terminated by signal'), 'no process of the server crashed');
done_testing();
