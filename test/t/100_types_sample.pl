# The types on real data: the sample loads by binary COPY, and an exact search
# over each type and each distance gives the stored neighbours.

use strict;
use warnings;

use Piramid;
use Test::More;

my $node = new_node('types');

foreach my $type ('vector', 'halfvec')
{
	load_sample($node, $type);
	is($node->safe_psql('postgres', 'SELECT count(*), min(vector_dims(embedding)), max(vector_dims(embedding)) FROM glosses'),
		'8000|512|512', "$type: all glosses have 512 dimensions");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM glosses WHERE abs(inner_product(embedding, embedding) - 1) > 1e-3}),
		'0', "$type: all have unit length");
	is( $node->safe_psql(
			'postgres', q{
			SELECT count(*) FROM questions q
			WHERE array(SELECT id FROM glosses ORDER BY embedding <=> q.embedding LIMIT 10) <> nearest[1:10]}),
		'0', "$type: exact search by cosine gives the stored neighbours");

	# on vectors of unit length the three orders differ by rounding only
	foreach my $operator ('<->', '<#>')
	{
		cmp_ok(
			$node->safe_psql(
				'postgres', qq{
				SELECT avg(cardinality(array(
					SELECT unnest(array(SELECT id FROM glosses ORDER BY embedding $operator q.embedding LIMIT 10))
					INTERSECT SELECT unnest(nearest[1:10])))) FROM questions q}),
			'>', 9.95, "$type: $operator finds the same neighbours");
	}
	$node->safe_psql('postgres', 'DROP TABLE glosses, questions');
}

$node->stop;
done_testing();
