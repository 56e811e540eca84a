-- Distances and norms of vector, halfvec, sparsevec and bit.
\set VERBOSITY terse

-- evaluate an expression: its value, or SQLSTATE, message and detail
CREATE FUNCTION pg_temp.try(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
	detail text;
BEGIN
	EXECUTE 'SELECT (' || expression || ')::text' INTO result;
	RETURN coalesce(result, '<null>');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', state, message, '(' || nullif(detail, '') || ')');
END $$;
-- integers are exact, and the same for all types and orders of operands
CREATE TEMP TABLE pairs (id int GENERATED ALWAYS AS IDENTITY, a vector, b vector);
INSERT INTO pairs (a, b) VALUES
	('[1,2,3]', '[1,2,3]'), ('[1,2,3]', '[-1,-2,-3]'), ('[1,2]', '[2,4]'), ('[1,0]', '[0,1]'), ('[3,4]', '[0,0]'),
	('[0,0]', '[0,0]'), ('[1,-1,1,-1]', '[2,2,2,2]'), ('[-0,0]', '[0,-0]'), ('[7]', '[-9]');
SELECT id, a <-> b AS l2, a <#> b AS ip, (a <=> b)::numeric(10,6) AS cos, a <+> b AS l1 FROM pairs ORDER BY id;
-- every length up to 200 and a few long ones, as halves and sparse too
INSERT INTO pairs (a, b)
SELECT array_agg((i * 7 + n) % 11 - 5 ORDER BY i)::vector, array_agg((i * 5 + n) % 13 % 3 * ((i + n) % 7 - 3) ORDER BY i)::vector
FROM (SELECT n FROM generate_series(1, 200) n UNION VALUES (1000), (1536), (4099), (16000)) n, LATERAL generate_series(1, n) i
GROUP BY n;
CREATE TEMP TABLE expected AS
SELECT id, sum((x - y) ^ 2) AS l2sq, sum(x * y) AS dot, sum(abs(x - y)) AS l1, sum(x * x) AS aa, sum(y * y) AS bb
FROM pairs, LATERAL unnest(a::real[]::float8[], b::real[]::float8[]) u(x, y) GROUP BY id;
SELECT count(*) AS pairs,
	count(*) FILTER (WHERE a <-> b <> sqrt(l2sq) OR vector_l2_squared_distance(a, b) <> l2sq OR l2_distance(b, a) <> sqrt(l2sq)) AS l2,
	count(*) FILTER (WHERE inner_product(a, b) <> dot OR a <#> b <> -dot OR vector_negative_inner_product(b, a) <> -dot) AS ip,
	count(*) FILTER (WHERE a <+> b <> l1 OR l1_distance(b, a) <> l1) AS l1,
	count(*) FILTER (WHERE abs(coalesce(nullif(a <=> b, 'NaN'), 9) - CASE WHEN aa * bb = 0 THEN 9 ELSE 1 - dot / sqrt(aa * bb) END) > 1e-15) AS cos,
	count(*) FILTER (WHERE vector_norm(a) <> sqrt(aa)) AS norm
FROM pairs JOIN expected USING (id);
SELECT count(*) FILTER (WHERE h <-> g <> a <-> b OR h <#> g <> a <#> b OR h <+> g <> a <+> b OR (h <=> g)::text <> (a <=> b)::text
		OR inner_product(h, g) <> inner_product(a, b) OR halfvec_l2_squared_distance(h, g) <> vector_l2_squared_distance(a, b)
		OR halfvec_negative_inner_product(h, g) <> a <#> b OR l2_norm(h) <> vector_norm(a)) AS halfvec_differs,
	count(*) FILTER (WHERE s <-> t <> a <-> b OR s <#> t <> a <#> b OR s <+> t <> a <+> b OR (s <=> t)::text <> (a <=> b)::text
		OR inner_product(s, t) <> inner_product(a, b) OR sparsevec_l2_squared_distance(s, t) <> vector_l2_squared_distance(a, b)
		OR sparsevec_negative_inner_product(s, t) <> a <#> b OR l2_norm(s) <> vector_norm(a)) AS sparsevec_differs
FROM pairs, LATERAL (SELECT a::halfvec AS h, b::halfvec AS g, a::sparsevec AS s, b::sparsevec AS t) c;
-- equal vectors are at exactly 0, opposite ones at 2, whatever their rounding
SELECT setseed(0.25);
CREATE TEMP TABLE noise AS
SELECT array_agg(random() - 0.5)::vector AS v FROM generate_series(1, 300) n, LATERAL generate_series(1, n) i GROUP BY n;
SELECT count(*), count(*) FILTER (WHERE v <=> v <> 0 OR h <=> h <> 0 OR s <=> s <> 0) AS not_0,
	count(*) FILTER (WHERE v <=> (v * minus) <> 2 OR h <=> (h * minus::halfvec) <> 2 OR s <=> ((v * minus)::sparsevec) <> 2) AS not_2,
	count(*) FILTER (WHERE v <-> v <> 0 OR h <-> h <> 0 OR s <-> s <> 0 OR v <+> v <> 0 OR h <+> h <> 0 OR s <+> s <> 0) AS not_0
FROM noise, LATERAL (SELECT v::halfvec AS h, v::sparsevec AS s, array_fill(-1, ARRAY[vector_dims(v)])::vector AS minus) c;
-- real numbers, against double precision
SELECT max(abs((v <-> w) / (SELECT sqrt(sum((x - y) ^ 2)) FROM unnest(v::real[]::float8[], w::real[]::float8[]) u(x, y)) - 1)) < 1e-6 AS l2,
	max(abs((v <#> w) + (SELECT sum(x * y) FROM unnest(v::real[]::float8[], w::real[]::float8[]) u(x, y)))) < 1e-5 AS ip,
	max(abs((v <+> w) / (SELECT sum(abs(x - y)) FROM unnest(v::real[]::float8[], w::real[]::float8[]) u(x, y)) - 1)) < 1e-6 AS l1,
	max(abs((v <=> w) - (SELECT 1 - sum(x * y) / sqrt(sum(x * x) * sum(y * y)) FROM unnest(v::real[]::float8[], w::real[]::float8[]) u(x, y)))) < 1e-6 AS cos
FROM noise, LATERAL (SELECT array_agg(x * x - 0.1)::vector AS w FROM unnest(v::real[]) x) o;

-- sums are float: they overflow to infinity, and cosine to NaN, without error
SELECT t, a, b, pg_temp.try(format('%L::%s <-> %L', a, t, b)) AS l2, pg_temp.try(format('%L::%s <#> %L', a, t, b)) AS ip,
	pg_temp.try(format('%L::%s <=> %L', a, t, b)) AS cos, pg_temp.try(format('%L::%s <+> %L', a, t, b)) AS l1
FROM (VALUES ('vector', '[3e38]', '[-3e38]'), ('vector', '[3e38]', '[3e38]'), ('vector', '[1e-30]', '[1e-30]'), ('vector', '[0]', '[1]'),
	('halfvec', '[65504]', '[-65504]'), ('halfvec', '[6e-8]', '[6e-8]'), ('halfvec', '[0]', '[1]'),
	('sparsevec', '{1:3e38}/1', '{1:-3e38}/1'), ('sparsevec', '{1:3e38}/1', '{1:3e38}/1'), ('sparsevec', '{}/1', '{1:1}/1'), ('sparsevec', '{}/1', '{}/1')) c(t, a, b);
-- norms are double
SELECT vector_norm('[3e37,4e37]')::real, l2_norm('{1:3e37,9:4e37}/9'::sparsevec)::real, l2_norm('[30000,40000]'::halfvec),
	vector_norm('[3e-40,4e-40]')::real, vector_norm('[0,-0]'), l2_norm('{}/3'::sparsevec), l2_norm('[0]'::halfvec);
-- zero vectors sort last under cosine, before NULL
SELECT v FROM (VALUES ('[0,0]'::vector), (NULL), ('[1,1]'), ('[-1,0]'), ('[3,4]')) t(v) ORDER BY v <=> '[1,0]';

-- the angle of unit vectors as part of a half turn, clamped
SELECT vector_spherical_distance('[1,0]', '[1,0]'), vector_spherical_distance('[1,0]', '[0,1]'), vector_spherical_distance('[1,0]', '[-1,0]'),
	vector_spherical_distance('[2,0]', '[2,0]'), vector_spherical_distance('[2,0]', '[-2,0]'),
	halfvec_spherical_distance('[1,0]', '[0,1]'), halfvec_spherical_distance('[9,0]', '[-9,0]'), vector_spherical_distance('[1,0]', '[0.5,0]')::real;

-- bits
SELECT a, b, a <~> b AS hamming, (a <%> b)::numeric(10,6) AS jaccard FROM (VALUES (''::varbit, ''::varbit), ('0', '0'), ('1', '1'), ('1', '0'), ('110', '101'),
	('000', '111'), ('1010101010101', '1010101010101'), ('11111111', '00000001'), ('111111111', '100000000')) v(a, b);
SELECT B'110' <~> B'101', hamming_distance(B'111', B'000'), (B'110' <%> B'101')::real, jaccard_distance(B'110', B'110');
-- longer than one call of a kernel: 16384 bytes, and one bit more or less
SELECT n, a <~> b AS hamming, a <~> a AS same, (a <%> b)::numeric(12,9) AS jaccard
FROM (SELECT n, rpad('', n, '110')::varbit AS a, rpad('', n, '01')::varbit AS b FROM unnest(ARRAY[63, 64, 65, 64000, 131071, 131072, 131073, 1000000]) n) s;

-- operands that do not fit
SELECT pg_temp.try(format('%s(%s, %s)', f, a, b)) FROM unnest(ARRAY['l2_distance', 'inner_product', 'cosine_distance', 'l1_distance']) f,
	(VALUES ($$'[1,2]'::vector$$, $$'[3]'::vector$$), ($$'[1,2]'::halfvec$$, $$'[3]'::halfvec$$), ($$'{1:1}/2'::sparsevec$$, $$'{1:1}/3'::sparsevec$$)) v(a, b);
SELECT f, pg_temp.try(format('%s(%L, %L)', f, a, b)) FROM (VALUES ('vector_l2_squared_distance', '[1]', '[1,2]'), ('vector_negative_inner_product', '[1]', '[1,2]'),
	('vector_spherical_distance', '[1]', '[1,2]'), ('halfvec_l2_squared_distance', '[1]', '[1,2]'), ('halfvec_negative_inner_product', '[1]', '[1,2]'),
	('halfvec_spherical_distance', '[1]', '[1,2]'), ('sparsevec_l2_squared_distance', '{}/1', '{}/2'), ('sparsevec_negative_inner_product', '{}/1', '{}/2')) v(f, a, b);
SELECT pg_temp.try($$B'1' <~> B'11'$$), pg_temp.try($$B'' <%> B'1'$$);
-- which function a call means
SELECT e, pg_temp.try(e) FROM unnest(ARRAY[$$'[1]' <-> '[2]'$$, $$l2_distance('[1]', '[2]')$$, $$l2_distance('[1]'::vector, '[2]')$$, $$vector_dims('[1]')$$,
	$$l2_norm('[3,4]'::vector)$$, $$vector_norm('[3,4]'::halfvec)$$, $$vector_norm('[3,4]')$$, $$l2_norm('[3,4]')$$,
	$$'[1,2]'::vector <-> '[1,4]'::halfvec$$, $$'[1,2]'::halfvec <-> '{1:1}/2'::sparsevec$$, $$'[1,2]'::vector <-> '{1:1}/2'::sparsevec$$,
	$$'[1]'::vector <-> ARRAY[1]::real[]$$, $$'[1]'::vector <-> ARRAY[1]$$, $$'[1]'::vector <~> '[1]'$$, $$vector_dims('{}/1'::sparsevec)$$]) e;
SELECT NULL::vector <-> '[1]' IS NULL, '{}/1'::sparsevec <=> NULL IS NULL, hamming_distance(NULL, B'1') IS NULL;
