-- Casts between the types, from and to arrays.
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
-- every cast there is: exactly these, in this context
SELECT castsource::regtype AS source, casttarget::regtype AS target, castcontext AS context, castmethod AS method
FROM pg_cast WHERE castsource::regtype::text ~ '^(vector|halfvec|sparsevec)$' OR casttarget::regtype::text ~ '^(vector|halfvec|sparsevec)$'
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

-- from arrays: every element type into every type
SELECT e, t, l, pg_temp.try(format('%L::%s[]::%s', l, e, t)) AS value, pg_temp.try(format('%L::%s[]::%s(3)', l, e, t)) AS of_3
FROM unnest(ARRAY['int4', 'float4', 'float8', 'numeric']) e, unnest(ARRAY['vector', 'halfvec', 'sparsevec']) t,
	unnest(ARRAY['{1,-2,3}', '{0,7}', '[5:7]={1,2,3}']) l ORDER BY e, t, l;
SELECT e, t, l, pg_temp.try(format('%L::%s[]::%s', l, e, t)) AS value
FROM unnest(ARRAY['int4', 'numeric']) e, unnest(ARRAY['vector', 'halfvec', 'sparsevec']) t,
	unnest(ARRAY['{}', '{NULL}', '{1,NULL,3}', '{{1,2},{3,4}}', '{{1}}', '{{{1}}}']) l ORDER BY e, t, l;
-- what a real number becomes
SELECT e, l, pg_temp.try(format('%L::%s[]::vector', l, e)) AS vector, pg_temp.try(format('%L::%s[]::halfvec', l, e)) AS halfvec, pg_temp.try(format('%L::%s[]::sparsevec', l, e)) AS sparsevec
FROM (VALUES (1, 'float4', '{0.1,-0}'), (2, 'float4', '{NaN}'), (3, 'float4', '{1,Infinity}'), (4, 'float4', '{-Infinity}'), (5, 'float4', '{3e38}'), (6, 'float4', '{65519,65520}'), (7, 'float4', '{1e-30,-1e-30}'),
	(8, 'float8', '{0.1,-0}'), (9, 'float8', '{NaN}'), (10, 'float8', '{-Infinity}'), (11, 'float8', '{1e39}'), (12, 'float8', '{-1e300}'), (13, 'float8', '{3.4028235677973362e38}'), (14, 'float8', '{1e-46,-1e-300}'), (15, 'float8', '{65519.99,-65520}'),
	(16, 'numeric', '{0.1,-0,1e-30}'), (17, 'numeric', '{NaN}'), (18, 'numeric', '{Infinity}'), (19, 'numeric', '{1e39}'), (20, 'numeric', '{1e-50}'), (21, 'numeric', '{70000}'), (22, 'numeric', '{1.00000000000000000000000000001,123456789012345678901234567890}'),
	(23, 'int4', '{2147483647,-2147483648,16777217}'), (24, 'int4', '{65504,65519}'), (25, 'int4', '{65520}')) v(id, e, l) ORDER BY id;
-- length limits; sparsevec counts what is not zero
SELECT e, t, n, pg_temp.try(format('array_fill(1::%s, ARRAY[%s])::%s IS NOT NULL', e, n, t)) AS ones, pg_temp.try(format('array_fill(0::%s, ARRAY[%s])::%s IS NOT NULL', e, n, t)) AS zeros
FROM unnest(ARRAY['int4', 'float4', 'float8', 'numeric']) e, unnest(ARRAY['vector', 'halfvec', 'sparsevec']) t, unnest(ARRAY[15999, 16000, 16001]) n ORDER BY e, t, n;
SELECT array_fill(0, ARRAY[1000000])::sparsevec, pg_temp.try('(array_fill(0::float8, ARRAY[100000]) || array_fill(1::float8, ARRAY[16001]))::sparsevec');
-- direct calls are checked alike
SELECT t, m, pg_temp.try(format('array_to_%s(ARRAY[1,2], %s, false)', t, m)) FROM unnest(ARRAY['vector', 'halfvec', 'sparsevec']) t, unnest(ARRAY[-1, 2, 3, 0, -2, 16001]) m;
SELECT pg_temp.try('array_to_vector(array_fill(1, ARRAY[16001]), 16001, false)'), array_to_vector(ARRAY[1], NULL, false) IS NULL, array_to_vector(NULL::int[], 1, true) IS NULL;

-- to arrays
SELECT '[1,0.1,-0]'::vector::real[], '[1,0.1,-0]'::halfvec::real[], array_dims(array_fill(1, ARRAY[16000])::vector::real[]), array_ndims('[1]'::vector::real[]);
SELECT e, pg_temp.try(e) FROM unnest(ARRAY[$$'[1]'::vector::float8[]$$, $$'[1]'::vector::int[]$$, $$'[1]'::vector::numeric[]$$, $$'{1:1}/1'::sparsevec::real[]$$, $$array_length('[1]'::halfvec, 1)$$,
	$$ARRAY[1]::int2[]::vector$$, $$ARRAY[1]::int8[]::vector$$, $$ARRAY['1']::text[]::vector$$, $$array_to_vector('{1}'::text[], -1, false)$$,
	$$'[1]'::text::vector$$, $$'[1]'::vector::text$$, $$'[1]'::varchar::halfvec$$, $$'[1]'::vector::bit$$, $$'[1]'::vector::json$$]) e;
-- the operators of arrays stay those of arrays
SELECT ARRAY[1,2,3] = ARRAY[1,2,3], ARRAY[1,2]::real[] || ARRAY[3]::real[], ARRAY[1.5,2] < ARRAY[2.5];

-- between the types
SELECT '[1,0,-2.5]'::vector::halfvec, '[1,0,-2.5]'::vector::sparsevec, '[1,0,-2.5]'::halfvec::vector, '[1,0,-2.5]'::halfvec::sparsevec,
	'{1:1,3:-2.5}/3'::sparsevec::vector, '{1:1,3:-2.5}/3'::sparsevec::halfvec;
SELECT '[-0,0]'::vector::halfvec, '[-0,0]'::vector::sparsevec, '[0,-0]'::halfvec::vector, '{}/2'::sparsevec::vector, '[65519,1e-8,-1e-8]'::vector::halfvec, '{1:1e-10}/1'::sparsevec::halfvec;
SELECT e, pg_temp.try(e) FROM unnest(ARRAY[$$'[1,65520]'::vector::halfvec$$, $$'[-3e38]'::vector::halfvec$$, $$'{1:65520}/2'::sparsevec::halfvec$$,
	$$'{}/16000'::sparsevec::vector IS NOT NULL$$, $$'{}/16001'::sparsevec::vector$$, $$'{}/16000'::sparsevec::halfvec IS NOT NULL$$, $$'{}/16001'::sparsevec::halfvec$$, $$'{}/1000000000'::sparsevec::vector$$,
	$$'[1,2]'::vector::halfvec(3)$$, $$'[1,2]'::vector::sparsevec(3)$$, $$'[1,2]'::halfvec::vector(3)$$, $$'[1,2]'::halfvec::sparsevec(3)$$, $$'{}/2'::sparsevec::vector(3)$$, $$'{}/2'::sparsevec::halfvec(3)$$,
	$$'[1,2]'::vector::halfvec(2)::sparsevec(2)::vector(2)$$, $$'{}/16001'::sparsevec::vector(3)$$]) e;
SELECT count(*) AS halves, count(*) FILTER (WHERE h <> h::vector::halfvec OR h <> h::sparsevec::halfvec OR h::vector <> h::sparsevec::vector OR h::real[] <> h::vector::real[]) AS differ
FROM (SELECT ('[' || i || ',' || -i / 7.0 || ',0]')::halfvec AS h FROM generate_series(-2000, 2000) i) s;

-- columns take any of the three
CREATE TABLE types_columns (v vector(2), h halfvec(2), s sparsevec(2));
INSERT INTO types_columns SELECT '{1:1}/2'::sparsevec, '{1:1}/2'::sparsevec, '[1,0]'::vector;
INSERT INTO types_columns SELECT '[1,0]'::halfvec, '[1,0]'::vector, '[1,0]'::halfvec;
INSERT INTO types_columns SELECT ARRAY[1,0], ARRAY[1,0]::float8[], ARRAY[1,0]::numeric[];
INSERT INTO types_columns (v) SELECT '[1,2,3]'::halfvec;
INSERT INTO types_columns (h) SELECT '[1e6,1]'::vector;
SELECT DISTINCT * FROM types_columns;
DROP TABLE types_columns;
