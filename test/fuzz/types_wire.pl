#!/usr/bin/perl
#
# types_wire.pl: throw text and binary values at the types of a live server.
#
# Speaks the wire protocol itself, so that any bytes can be sent as any type in
# either format. Every input must come to one of two ends:
#   - an error whose SQLSTATE is one of those its target allows, or
#   - a value that is sound and survives text and binary output and input.
# A lost connection, or any other SQLSTATE, is a failure that shows the input.
#
# Inputs are the files of corpus/types/, named TARGET,WHAT,END where END is "ok"
# or the SQLSTATE to expect, and then ROUNDS mutations of those of each target,
# the same for the same SEED. The server is that of PGHOST (a socket's
# directory), PGPORT, PGUSER, PGDATABASE, and must offer the extension.
#
# Prints TAP.

use strict;
use warnings;
use File::Basename qw(dirname);
use Socket;

my $rounds = $ENV{ROUNDS} // 2000;
my $seed = $ENV{SEED} // 20240229;
my $corpus = $ARGV[0] // dirname(__FILE__) . '/corpus/types';

my ($ntests, $nfailed) = (0, 0);

sub ok
{
	my ($passed, $what, @notes) = @_;

	printf "%sok %d - %s\n", $passed ? '' : 'not ', ++$ntests, $what;
	$nfailed++ unless $passed;
	print map { "# $_\n" } @notes unless $passed;
	return $passed;
}

# ------------------------------------------------------------------------
# The wire: just enough of the protocol
# ------------------------------------------------------------------------

package Wire;

sub new
{
	my ($class) = @_;
	my $self = bless {}, $class;
	my $path = ($ENV{PGHOST} // '/var/run/postgresql') . '/.s.PGSQL.' . ($ENV{PGPORT} // 5432);
	my $startup = pack 'N (Z*)*', 196608, 'user', $ENV{PGUSER} // 'postgres',
		'database', $ENV{PGDATABASE} // 'postgres', 'client_encoding', 'UTF8', '';

	socket($self->{socket}, Socket::PF_UNIX, Socket::SOCK_STREAM, 0) or die "socket: $!";
	connect($self->{socket}, Socket::pack_sockaddr_un($path)) or return undef;
	$self->{buffer} = '';
	$self->put(pack('N', 4 + length $startup) . $startup);
	my ($error) = $self->answer;
	die "cannot start a session: $error" if $error;
	return $self;
}

sub put
{
	my ($self, $bytes) = @_;

	while (length $bytes)
	{
		my $n = syswrite $self->{socket}, $bytes;
		return unless defined $n;
		substr($bytes, 0, $n) = '';
	}
}

sub message
{
	my ($type, $body) = @_;

	return pack('a N', $type, 4 + length $body) . $body;
}

# The next message: its type and body; an empty type if the connection is gone
sub next_message
{
	my ($self) = @_;

	for (;;)
	{
		if (length $self->{buffer} >= 5)
		{
			my ($type, $length) = unpack 'a N', $self->{buffer};

			if (length $self->{buffer} > $length)
			{
				my $body = substr $self->{buffer}, 5, $length - 4;

				substr($self->{buffer}, 0, $length + 1) = '';
				return ($type, $body);
			}
		}
		my $n = sysread $self->{socket}, $self->{buffer}, 1 << 20, length $self->{buffer};
		return ('', '') unless $n;
	}
}

# Read until the server is ready: (error or undef, rows of columns). An error
# is "SQLSTATE message", or "lost" if the connection is gone.
sub answer
{
	my ($self) = @_;
	my ($error, @rows);

	for (;;)
	{
		my ($type, $body) = $self->next_message;

		if ($type eq '')
		{
			return ('lost');
		}
		elsif ($type eq 'E')
		{
			my %field = map { (substr($_, 0, 1), substr($_, 1)) } grep { length } split /\0/, $body;

			$error //= "$field{C} $field{M}";
		}
		elsif ($type eq 'D')
		{
			my $n = unpack 'n', $body;
			my $at = 2;
			my @row;

			for (1 .. $n)
			{
				my $length = unpack 'l>', substr $body, $at, 4;

				push @row, $length < 0 ? undef : substr $body, $at + 4, $length;
				$at += 4 + ($length < 0 ? 0 : $length);
			}
			push @rows, \@row;
		}
		elsif ($type eq 'Z')
		{
			return ($error, @rows);
		}
	}
}

sub query
{
	my ($self, $sql) = @_;

	$self->put(message('Q', "$sql\0"));
	return $self->answer;
}

sub prepare
{
	my ($self, $name, $sql, @types) = @_;

	$self->put(message('P', pack 'Z* Z* n N*', $name, $sql, scalar @types, @types) . message('S', ''));
	return $self->answer;
}

# Run a prepared statement; each parameter is [format, bytes]. Results are text.
sub run
{
	my ($self, $name, @params) = @_;
	my $bind = pack 'Z* Z* n', '', $name, scalar @params;

	$bind .= pack 'n', $_->[0] for @params;
	$bind .= pack 'n', scalar @params;
	$bind .= pack('N', length $_->[1]) . $_->[1] for @params;
	$bind .= pack 'n', 0;
	$self->put(message('B', $bind) . message('E', pack 'Z* N', '', 0) . message('S', ''));
	return $self->answer;
}

package main;

# ------------------------------------------------------------------------
# Targets
# ------------------------------------------------------------------------

# Malformed messages are refused by core: too short, too long, not UTF-8
my @core = qw(08P01 22P03 22021);
# and arrays by array_recv: element type, sizes, bounds
my @array = (@core, qw(42804 54000 22P02 2202E 0A000));

# A target is a statement of one parameter, and the form it is sent in
my %targets = (
	vector_in => { type => 'vector', format => 0, errors => [ @core, qw(22P02 22000 22003 54000) ] },
	vector_recv => { type => 'vector', format => 1, errors => [ @core, qw(22000 54000) ] },
	halfvec_in => { type => 'halfvec', format => 0, errors => [ @core, qw(22P02 22000 22003 54000) ] },
	halfvec_recv => { type => 'halfvec', format => 1, errors => [ @core, qw(22000 54000) ] },
	sparsevec_in => { type => 'sparsevec', format => 0, errors => [ @core, qw(22P02 22000 22003 54000) ] },
	sparsevec_recv => { type => 'sparsevec', format => 1, errors => [ @core, qw(22000 54000) ] },
	typmod_in => { type => 'cstring[]', format => 0, errors => [ @array, qw(22023 22004 22003) ],
		sql => 'SELECT vector_typmod_in($1) + halfvec_typmod_in($1) + sparsevec_typmod_in($1)' },
	float4_array => { type => 'real[]', format => 1, errors => [ @array, qw(22000 22003 22004) ],
		sql => 'SELECT $1::vector, $1::sparsevec, $1::halfvec' },
	numeric_array => { type => 'numeric[]', format => 1, errors => [ @array, qw(22000 22003 22004) ],
		sql => 'SELECT $1::vector, $1::sparsevec, $1::halfvec' },
	accum_state => { type => 'double precision[]', format => 1, errors => [ @array, qw(22000 22003 54000 XX000) ],
		sql => q{SELECT vector_accum($1, '[1,2]'), halfvec_accum($1, '[1,2]')} },
	combine_state => { type => 'double precision[]', format => 1, errors => [ @array, qw(22000 22003 54000 XX000) ],
		sql => q{SELECT vector_combine($1, '{1,2,3}'), halfvec_combine('{0}', $1)} },
	avg_state => { type => 'double precision[]', format => 1, errors => [ @array, qw(22000 22003 54000 XX000) ],
		sql => 'SELECT vector_avg($1), halfvec_avg($1)' },
);

for my $type (qw(vector halfvec sparsevec))
{
	# the value as text, its binary form, and that of what its text reads as
	my $sql = "SELECT \$1::text, encode(${type}_send(\$1), 'hex'), "
		. "encode(${type}_send(${type}_in(${type}_out(\$1), 0, -1)), 'hex')";

	$targets{"${type}_$_"}{sql} = $sql for qw(in recv);
}

# Connect, make the extension and the statements. Undef if there is no server.
sub start
{
	my $wire = Wire->new or return undef;

	my ($error) = $wire->query('CREATE EXTENSION IF NOT EXISTS piramid; SET client_min_messages = warning');
	die "cannot create the extension: $error" if $error;
	for my $name (sort keys %targets)
	{
		my ($missing, $row) = $wire->query("SELECT '$targets{$name}{type}'::regtype::oid");
		die "$name: $missing" if $missing;
		$targets{$name}{oid} = $row->[0];
		my ($wrong) = $wire->prepare($name, $targets{$name}{sql}, $row->[0]);
		die "$name: $wrong" if $wrong;
	}
	# what core's own float4 makes of the same numbers
	for my $type (qw(vector halfvec))
	{
		my ($wrong) = $wire->prepare("core_$type", "SELECT encode(${type}_send(\$1::$type), 'hex')", 1021);
		die $wrong if $wrong;
	}
	return $wire;
}

# ------------------------------------------------------------------------
# What an accepted value must be
# ------------------------------------------------------------------------

# Undef if the binary form keeps the rules of its type, else what is wrong
sub unsound
{
	my ($type, $bytes) = @_;

	if ($type eq 'sparsevec')
	{
		my ($dim, $nnz, $unused) = unpack 'l> l> l>', $bytes;
		my @index = unpack "x12 (l>)$nnz", $bytes;
		my @value = unpack "x12 x[" . 4 * $nnz . "] N$nnz", $bytes;

		return 'length' if length $bytes != 12 + 8 * $nnz;
		return 'dimensions' if $dim < 1 || $dim > 1_000_000_000;
		return 'non-zeros' if $nnz > 16000 || $nnz > $dim;
		return 'unused' if $unused;
		return 'bounds' if $nnz && ($index[0] < 0 || $index[-1] >= $dim);
		return 'order' if grep { $index[$_] <= $index[ $_ - 1 ] } 1 .. $nnz - 1;
		return 'value' if grep { ($_ & 0x7fffffff) == 0 || ($_ & 0x7f800000) == 0x7f800000 } @value;
		return undef;
	}
	my ($size, $letter, $exponent) = $type eq 'vector' ? (4, 'N', 0x7f800000) : (2, 'n', 0x7c00);
	my ($dim, $unused, @x) = unpack "n n $letter*", $bytes;

	return 'length' if length $bytes != 4 + $size * $dim;
	return 'dimensions' if $dim < 1 || $dim > 16000;
	return 'unused' if $unused;
	return 'value' if grep { ($_ & $exponent) == $exponent } @x;
	return undef;
}

# Put one input to its target: (end, trouble). The end is "ok", a SQLSTATE or
# "lost"; trouble says what broke the promise, if anything did.
sub attempt
{
	my ($wire, $name, $input) = @_;
	my $target = $targets{$name};
	my ($error, $row) = $wire->run($name, [ $target->{format}, $input ]);

	if (defined $error)
	{
		my ($state, $message) = split / /, $error, 2;

		return ('lost', 'the connection is lost') if $state eq 'lost';
		return ($state, "not an error it may raise: $error") unless grep { $_ eq $state } @{ $target->{errors} };
		return ($state, "an internal error: $message") if $state eq 'XX000' && $message !~ /expected a state array$/;
		return ($state);
	}

	my ($type, $way) = $name =~ /^(vector|halfvec|sparsevec)_(in|recv)$/ or return ('ok');
	my ($text, $binary, $reread) = @$row;
	my $wrong = unsound($type, pack 'H*', $binary);

	return ('ok', "unsound value ($wrong): $text") if $wrong;
	return ('ok', "$binary reads back from $text as $reread") if $binary ne $reread;
	return ('ok', "sent back as $binary") if $way eq 'recv' && $binary ne unpack 'H*', $input;
	for (["${type}_in", 0, $text], ["${type}_recv", 1, pack 'H*', $binary])
	{
		my ($again, $other) = $wire->run($_->[0], [ $_->[1], $_->[2] ]);

		return ('ok', "$_->[0] refuses its own output: $again") if $again;
		return ('ok', "$_->[0] makes something else of it") if $other->[0] ne $text || $other->[1] ne $binary;
	}
	if ($way eq 'in' && $type ne 'sparsevec')
	{
		(my $array = $input) =~ tr/[]/{}/;
		my ($refused, $core) = $wire->run("core_$type", [ 0, $array ]);

		return ('lost', 'the connection is lost') if defined $refused && $refused eq 'lost';
		return ('ok', "core reads the numbers as $core->[0], we as $binary") if !$refused && $core->[0] ne $binary;
	}
	return ('ok');
}

# ------------------------------------------------------------------------
# Mutations
# ------------------------------------------------------------------------

my @words = ('nan', 'inf', '-Infinity', '1e39', '-1e39', '1e-46', '1e400', '0x1p-200', '0x', '-0', '65504', '65520', '.', '1.',
	'2147483648', '-2147483649', '99999999999999999999', '1000000001', '16777217', '[', ']', '{', '}', '/', ':', ',', ' ', "\t",
	"\0", "\xc3\xa9", "\xff", '+', 'e', '1e', '0' x 50, '9' x 50, '1,' x 200);
my @numbers = map { (pack('n', $_ & 0xffff), pack('N', $_ & 0xffffffff)) }
	(0, 1, 2, -1, 255, 15999, 16000, 16001, 32767, 32768, 65535, 65536, 999999999, 1000000000, 1000000001, 2147483647, -2147483648,
	0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x80000000, 0x00000001, 0x7f7fffff, 0x7c00, 0xfc01, 0x7bff);

sub pick { return $_[ rand @_ ] }

sub mutate
{
	my ($binary, $others, $input) = @_;

	# mostly one change: two faults hide each other
	for (1 .. 1 + int(rand(5) / 3) + int(rand(5) / 4))
	{
		my $at = int rand(1 + length $input);
		my $some = int rand(1 + ($binary ? 8 : 4));
		my $kind = int rand 10;

		if ($kind == 0 && length $input)
		{
			substr($input, $at % length $input, 1) ^= chr(1 << int rand 8);
		}
		elsif ($kind == 1) { substr($input, $at) = '' }
		elsif ($kind == 2) { substr($input, $at, $some) = '' }
		elsif ($kind == 3) { substr($input, $at, 0) = substr $input, int rand(1 + length $input), $some }
		elsif ($kind == 4) { $input = substr($input, 0, $at) . reverse substr reverse(pick(@$others)), 0, $some }
		elsif ($kind == 5) { substr($input, $at, 0) = join '', map { chr rand 256 } 1 .. $some }
		elsif ($kind == 6 && !$binary)
		{
			# another number in the place of one
			my @tokens = split /([-+.\w]+)/, $input, -1;
			my $number = sprintf pick('%d', '%.1f', '%g', '%.17g', '%e', '%a'), (rand(2) - 1) * 10**int(rand 12);

			$tokens[ 1 + 2 * int rand(@tokens / 2) ] = $number if @tokens > 1;
			$input = join '', @tokens;
		}
		elsif ($kind == 6 && length $input > 8)
		{
			# another element in the place of one, probably sound
			substr($input, 4 * int(rand(length($input) / 4)), 2) = pack 'n', rand 0x7c00;
		}
		elsif ($binary)
		{
			# over an aligned number, mostly: headers and elements are what is read
			my $number = pick(@numbers);

			$at -= $at % length $number if rand() < 0.9;
			substr($input, $at, length $number) = $number if $at <= length $input;
		}
		else
		{
			substr($input, $at, $kind == 7 ? 0 : $some) = pick(@words);
		}
	}
	return $input;
}

# ------------------------------------------------------------------------
# The run
# ------------------------------------------------------------------------

sub shown
{
	my ($input) = @_;
	my $hex = unpack 'H*', length $input > 200 ? substr($input, 0, 200) : $input;

	return sprintf 'input (%d bytes): %s%s', length $input, $hex, length $input > 200 ? '...' : '';
}

opendir my $dir, $corpus or die "$corpus: $!";
my %inputs;
for my $file (sort grep { /,/ } readdir $dir)
{
	my ($name, $what, $end) = split /,/, $file;

	die "$file: there is no target $name" unless $targets{$name};
	open my $handle, '<:raw', "$corpus/$file" or die "$file: $!";
	push @{ $inputs{$name} }, [ $file, $end, do { local $/; <$handle> // '' } ];
}

my $wire = start() or die "no server at " . ($ENV{PGHOST} // 'the default socket') . ": $!";
my ($nothing, $began) = $wire->query('SELECT pg_postmaster_start_time()');

for my $name (sort keys %inputs)
{
	for (@{ $inputs{$name} })
	{
		my ($file, $expected, $input) = @$_;
		my ($end, $trouble) = attempt($wire, $name, $input);

		ok(!$trouble && $end eq $expected, $file, "came to $end", $trouble // (), shown($input));
		$wire = start() || last if $end eq 'lost';
	}
}

srand $seed;
for my $name (sort keys %targets)
{
	my @originals = map { $_->[2] } @{ $inputs{$name} };
	my (%ends, @notes);

	for (1 .. $rounds)
	{
		my $input = mutate($targets{$name}{format}, \@originals, pick(@originals));
		my ($end, $trouble) = attempt($wire, $name, $input);

		$ends{$end}++;
		push @notes, $trouble, shown($input) if $trouble && @notes < 20;
		if ($end eq 'lost')
		{
			sleep 1;
			$wire = start() or last;
		}
	}
	ok(!@notes, sprintf('%s: %d mutations (%s)', $name, $rounds, join ', ', map { "$ends{$_} $_" } sort keys %ends), @notes);
	# a target that refuses everything, or takes everything, tests nothing
	ok(($ends{ok} // 0) > $rounds / 50 && ($ends{ok} // 0) < $rounds, "$name: values and errors");
}

my ($gone, $still) = $wire ? $wire->query('SELECT pg_postmaster_start_time()') : ('lost');
ok(!$gone && $still->[0] eq $began->[0], 'the server never restarted');
my ($lost, $log) = $wire->query('SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid()');
ok(!$lost && $log->[0] == 1, 'and the session is still there');

printf "1..%d\n# %d passed, %d failed\n", $ntests, $ntests - $nfailed, $nfailed;
exit($nfailed ? 1 : 0);
