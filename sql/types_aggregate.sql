-- avg and sum of vector and halfvec.
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
CREATE TEMP TABLE t (g int, v vector, h halfvec);
INSERT INTO t VALUES (1, '[1,2,3]', '[1,2,3]'), (1, '[3,4,-5]', '[3,4,-5]'), (1, NULL, NULL), (2, '[0.5,1]', '[0.5,1]'), (3, NULL, NULL), (4, '[-0]', '[-0]');
SELECT g, avg(v), sum(v), avg(h), sum(h) FROM t GROUP BY g ORDER BY g;
SELECT avg(v), sum(v), avg(h), sum(h) FROM t WHERE g = 9;
SELECT avg(v) FILTER (WHERE g = 2), avg(DISTINCT v), sum(DISTINCT h) FROM t WHERE g < 3 AND v <> '[0.5,1]' OR v IS NULL;
SELECT g, avg(v) OVER w, sum(v) OVER w FROM t WHERE g = 1 WINDOW w AS (ORDER BY v ROWS UNBOUNDED PRECEDING) ORDER BY v;
-- rows of different dimensions
SELECT avg(v) FROM t;
SELECT sum(v) FROM t;
SELECT avg(h) FROM t;
SELECT sum(h) FROM t;
-- avg sums in double, sum in the type
SELECT avg(v) FROM unnest(ARRAY['[3e38,1e-45]', '[3e38,1e-45]']::vector[]) v;
SELECT sum(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
SELECT avg(h) FROM unnest(ARRAY['[65504]', '[65504]']::halfvec[]) h;
SELECT sum(h) FROM unnest(ARRAY['[65504]', '[65504]']::halfvec[]) h;
SELECT avg(v) FROM (SELECT '[16777216]'::vector AS v UNION ALL SELECT '[1]' UNION ALL SELECT '[-1]' UNION ALL SELECT '[1]' UNION ALL SELECT '[3]') s;
SELECT avg(ARRAY[i, -i, i / 7.0]::vector), sum(ARRAY[i, -i]::vector), avg(ARRAY[i, -i]::halfvec), sum(ARRAY[i % 3, -i % 2]::halfvec) FROM generate_series(1, 1000) i;
SELECT avg('{1:1}/1'::sparsevec);

-- the states: {count, sums}, {0} if empty
SELECT vector_accum('{0}', '[1,2]'), vector_accum('{1,10,20}', '[1,2]'), halfvec_accum('{0}', '[1,-0]'), vector_accum('{5}', '[1]');
SELECT vector_combine('{0}', '{0}'), vector_combine('{0}', '{1,2}'), vector_combine('{1,2}', '{0}'), vector_combine('{1,2}', '{3,4}'), halfvec_combine('{1,2}', '{3,4}');
SELECT vector_avg('{0}'), vector_avg('{2,1,3}'), halfvec_avg('{2,1,3}'), halfvec_avg('{3,1}'), vector_avg('[7:8]={2,1}');
-- and anything else that callers may pass
SELECT s, pg_temp.try(format('vector_accum(%L, %L)', s, '[1]')) AS accum, pg_temp.try(format('halfvec_combine(%L, %L)', s, '{1,1}')) AS combine,
	pg_temp.try(format('vector_avg(%L)', s)) AS avg, pg_temp.try(format('halfvec_avg(%L)', s)) AS halfvec_avg
FROM unnest(ARRAY['{}', '{{1,2},{3,4}}', '{NULL}', '{1,NULL}', '{1}', '{0,1}', '{1,2,3}', '{1,NaN}', '{1,Infinity}', '{NaN,1}', '{1,1e39}', '{1,65519}', '{1,65520}', '{1,-1.7e308}', '{-1,1}', '{1e-300,1}']) s;
SELECT pg_temp.try($$vector_accum('{1,1.7976931348623157e308}'::float8[], '[3e38]')$$), pg_temp.try($$vector_combine('{1,1.7e308}', '{1,1.7e308}')$$);
SELECT n, pg_temp.try(format('vector_dims(vector_avg(array_fill(1::float8, ARRAY[%s])))', n + 1)) AS avg,
	pg_temp.try(format('array_length(vector_combine(array_fill(1::float8, ARRAY[%s]), array_fill(1::float8, ARRAY[%s])), 1)', n + 1, n + 1)) AS combine,
	pg_temp.try(format('array_length(halfvec_combine(array_fill(1::float8, ARRAY[%s]), %L), 1)', n + 1, '{0}')) AS combine_empty
FROM unnest(ARRAY[15999, 16000, 16001]) n;
SELECT pg_temp.try('vector_accum(ARRAY[1,2]::float8[], NULL) IS NULL'), pg_temp.try('vector_avg(NULL) IS NULL');
-- a state that is given is never changed in place by a direct call
WITH s AS MATERIALIZED (SELECT '{1,10,20}'::float8[] AS state) SELECT vector_accum(state, '[1,2]'), vector_combine(state, state), state FROM s;

-- parallel plans are made of partial ones
CREATE TABLE types_aggregate (i int, v vector(3), h halfvec(3)) WITH (parallel_workers = 2, autovacuum_enabled = off);
INSERT INTO types_aggregate SELECT i, ARRAY[i % 1000, i % 10, -(i % 777)]::vector, ARRAY[i % 100, i % 10, -1]::halfvec FROM generate_series(1, 20000) i;
ANALYZE types_aggregate;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(v), avg(h), sum(v) FROM types_aggregate;
SELECT avg(v), avg(h), sum(v) FROM types_aggregate;
SELECT avg(v), avg(h), sum(v) FROM types_aggregate WHERE i < 0;
SELECT avg(v), avg(h), sum(h) FROM types_aggregate WHERE i = 77;
SELECT i % 3 AS g, avg(v), avg(h) FROM types_aggregate GROUP BY i % 3 ORDER BY g;
-- distances, too, in parallel
EXPLAIN (COSTS OFF) SELECT i FROM types_aggregate ORDER BY v <-> '[777,7,0]' LIMIT 3;
SELECT i, v <-> '[777,7,0]' AS distance FROM types_aggregate ORDER BY v <-> '[777,7,0]' LIMIT 1;
DROP TABLE types_aggregate;
