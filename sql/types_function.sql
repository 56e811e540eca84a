-- Functions and arithmetic of vector, halfvec and sparsevec.
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
-- + - * ||
SELECT '[1,2,3]'::vector + '[4,5,-6]', '[1,2,3]'::vector - '[4,5,-6]', '[1,2,3]'::vector * '[4,5,-6]', '[1,2]'::vector || '[3]';
SELECT '[1,2,3]'::halfvec + '[4,5,-6]', '[1,2,3]'::halfvec - '[4,5,-6]', '[1,2,3]'::halfvec * '[4,5,-6]', '[1,2]'::halfvec || '[3]';
SELECT '[-0]'::vector + '[0]', '[-0]'::vector + '[-0]', '[-0]'::vector * '[2]', '[0.1]'::vector + '[0.2]', '[2048]'::halfvec + '[1]', '[2048]'::halfvec + '[3]';
SELECT e, pg_temp.try(e) FROM unnest(ARRAY[
	$$'[3e38]'::vector + '[3e38]'$$, $$'[-3e38]'::vector - '[3e38]'$$, $$'[1,1e20]'::vector * '[1,1e20]'$$, $$'[3e38]'::vector - '[3e38]'$$,
	$$'[1,1e-30]'::vector * '[1,1e-30]'$$, $$'[1e-30]'::vector * '[-1e-15]'$$, $$'[0]'::vector * '[1e-30]'$$, $$'[1e-40]'::vector * '[0.5]'$$,
	$$'[65504]'::halfvec + '[15]'$$, $$'[65504]'::halfvec + '[16]'$$, $$'[-65504]'::halfvec - '[32]'$$, $$'[300]'::halfvec * '[300]'$$,
	$$'[1e-4]'::halfvec * '[1e-4]'$$, $$'[1e-4]'::halfvec * '[1e-3]'$$, $$'[0]'::halfvec * '[6e-8]'$$,
	$$'[1,2]'::vector + '[1]'$$, $$'[1,2]'::vector - '[1]'$$, $$'[1,2]'::vector * '[1]'$$, $$'[1,2]'::halfvec + '[1]'$$,
	$$'{1:1}/2'::sparsevec + '{1:1}/2'$$, $$'[1,2]'::vector || ARRAY[3]::real[]$$, $$'[1,2]'::vector + 1$$, $$-'[1,2]'::vector$$]) e;
SELECT t, n, pg_temp.try(format($$vector_dims(array_fill(1, ARRAY[%s])::%s || '[1,2]')$$, n, t)) FROM unnest(ARRAY['vector', 'halfvec']) t, unnest(ARRAY[15997, 15998, 15999, 16000]) n;

-- vector_dims
SELECT vector_dims('[1]'::vector), vector_dims('[1,2,3]'::halfvec), vector_dims(array_fill(0, ARRAY[16000])::vector);

-- l2_normalize: computed in double, so neither end of the range is lost
SELECT l2_normalize('[3,4]'::vector), l2_normalize('[3,4]'::halfvec), l2_normalize('{1:3,9:4}/9'::sparsevec);
SELECT l2_normalize('[0,-0]'::vector) = '[0,0]', l2_normalize('[0,0]'::halfvec), l2_normalize('{}/3'::sparsevec);
SELECT l2_normalize('[3e38,4e37]'::vector) <-> '[0.99122866,0.13216382]' < 1e-6, l2_normalize('[3e-40,-4e-40]'::vector) <-> '[0.6,-0.8]' < 1e-4, l2_normalize('[1e-45]'::vector);
SELECT l2_normalize('[65504,65504]'::halfvec), l2_normalize('[6e-8]'::halfvec), l2_normalize('{1:3e38,2:1e-30}/2'::sparsevec), l2_normalize('{1:1e38,2:1}/2'::sparsevec);
SELECT vector_norm(l2_normalize(array_fill(0.1, ARRAY[16000])::vector))::numeric(8,6);

-- binary_quantize: one bit per element, set if greater than zero
SELECT binary_quantize('[1,0,-0,-1,1e-45,3e38,-3e38]'::vector), binary_quantize('[1,0,-0,-1,6e-8,65504]'::halfvec);
SELECT n, length(b), b = (SELECT string_agg(CASE WHEN i % 3 = 0 THEN '1' ELSE '0' END, '' ORDER BY i) FROM generate_series(1, n) i)::varbit,
	octet_length(b), b <~> binary_quantize(v::halfvec) AS halfvec_differs
FROM unnest(ARRAY[1, 7, 8, 9, 63, 64, 65, 16000]) n,
	LATERAL (SELECT array_agg(CASE WHEN i % 3 = 0 THEN 0.5 ELSE -i % 2 END ORDER BY i)::vector AS v FROM generate_series(1, n) i) s, LATERAL binary_quantize(v) b;
SELECT pg_typeof(binary_quantize('[1]'::vector)), binary_quantize('[1,2]'::vector)::bit(2), binary_quantize('[1,-1]'::vector)::bit(5);

-- subvector: from a start, counted from 1, so many elements, clipped
SELECT start, count, pg_temp.try(format('subvector(%L::vector, %s, %s)', '[1,2,3,4,5]', start, count)) AS vector,
	pg_temp.try(format('subvector(%L::halfvec, %s, %s)', '[1,2,3,4,5]', start, count)) AS halfvec
FROM (VALUES (1, 3), (3, 2), (5, 1), (1, 5), (1, 100), (4, 100), (-1, 3), (0, 2), (-5, 100), (-2147483647, 2147483647), (1, 2147483647), (5, 2147483647), (0, 2147483647),
	(-1, 2), (0, 1), (1, 0), (1, -1), (6, 1), (6, 0), (2147483647, 1), (2147483647, 2147483647), (-2147483648, 2147483647), (-2147483648, -2147483648), (5, -2147483648)) v(start, count);

-- all are STRICT
SELECT l2_normalize(NULL::vector) IS NULL, subvector('[1]'::vector, NULL, 1) IS NULL, binary_quantize(NULL::halfvec) IS NULL, NULL::vector + '[1]' IS NULL, vector_dims(NULL::vector) IS NULL;
