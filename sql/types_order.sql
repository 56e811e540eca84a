-- Comparison operators and btree operator classes of vector, halfvec, sparsevec.
\set VERBOSITY terse

-- element by element, then by length; different dimensions are comparable
SELECT a, b, a::vector < b::vector AS lt, a::vector <= b::vector AS le, a::vector = b::vector AS eq, a::vector <> b::vector AS ne,
	a::vector >= b::vector AS ge, a::vector > b::vector AS gt, vector_cmp(a::vector, b::vector) AS cmp
FROM (VALUES ('[1,2]', '[1,2]'), ('[1,2]', '[1,3]'), ('[2]', '[1,3]'), ('[1]', '[1,0]'), ('[1]', '[1,-1]'), ('[0]', '[-0]'), ('[-0,1]', '[0]'), ('[-1]', '[0]')) v(a, b);
-- all operators agree with the order of the equivalent arrays, on all three types and across NULL
CREATE TEMP TABLE vals AS
SELECT row_number() OVER () AS id, v, v::halfvec AS h, v::sparsevec AS s, v::real[] AS arr FROM (
	SELECT array_agg(CASE (i * n + k) % 7 WHEN 0 THEN 0 WHEN 1 THEN -0.0 WHEN 2 THEN -1.5 WHEN 3 THEN 0 WHEN 4 THEN 2 WHEN 5 THEN 0 ELSE 65504 END::real ORDER BY i)::vector AS v
	FROM generate_series(1, 5) n, generate_series(0, 6) k, LATERAL generate_series(1, n) i GROUP BY n, k) s;
SELECT count(*) AS pairs,
	count(*) FILTER (WHERE vector_cmp(a.v, b.v) <> btarraycmp(a.arr, b.arr)) AS vector,
	count(*) FILTER (WHERE halfvec_cmp(a.h, b.h) <> btarraycmp(a.arr, b.arr)) AS halfvec,
	count(*) FILTER (WHERE sparsevec_cmp(a.s, b.s) <> btarraycmp(a.arr, b.arr)) AS sparsevec
FROM vals a, vals b;
SELECT count(*) FILTER (WHERE (a.v < b.v, a.v <= b.v, a.v = b.v, a.v <> b.v, a.v >= b.v, a.v > b.v) <>
		(a.arr < b.arr, a.arr <= b.arr, a.arr = b.arr, a.arr <> b.arr, a.arr >= b.arr, a.arr > b.arr)) AS vector,
	count(*) FILTER (WHERE (a.h < b.h, a.h <= b.h, a.h = b.h, a.h <> b.h, a.h >= b.h, a.h > b.h) <>
		(a.arr < b.arr, a.arr <= b.arr, a.arr = b.arr, a.arr <> b.arr, a.arr >= b.arr, a.arr > b.arr)) AS halfvec,
	count(*) FILTER (WHERE (a.s < b.s, a.s <= b.s, a.s = b.s, a.s <> b.s, a.s >= b.s, a.s > b.s) <>
		(a.arr < b.arr, a.arr <= b.arr, a.arr = b.arr, a.arr <> b.arr, a.arr >= b.arr, a.arr > b.arr)) AS sparsevec
FROM vals a, vals b;
-- every half orders by its value
SELECT count(*) AS wrong FROM (SELECT h, lag(h) OVER (ORDER BY h) AS before, x, lag(x) OVER (ORDER BY h) AS x_before
	FROM (SELECT ('[' || x || ']')::halfvec AS h, x FROM (SELECT (h::vector::real[])[1] AS x FROM (
		SELECT ('[' || i * 2.0::float8 ^ e || ']')::halfvec AS h FROM generate_series(-2047, 2047, 13) i, generate_series(-24, 5) e) s) s) s) s
WHERE x < x_before OR halfvec_cmp(before, h) <> sign(x_before - x);
-- of sparse values only what both dimensions have is compared
SELECT a, b, sparsevec_cmp(a::sparsevec, b::sparsevec) FROM (VALUES ('{}/1', '{}/2'), ('{5:1}/5', '{}/4'), ('{5:-1}/5', '{}/4'), ('{4:-1}/5', '{}/4'), ('{1:1}/3', '{2:1}/3'), ('{2:-1}/3', '{3:1}/3'),
	('{2:1}/2', '{2:1,3:-1}/3'), ('{1000000000:1}/1000000000', '{}/1000000000'), ('{1000000000:1}/1000000000', '{}/999999999')) v(a, b);
SELECT NULL::vector < '[1]' IS NULL, vector_cmp(NULL, '[1]') IS NULL, '{}/1'::sparsevec = NULL IS NULL;

-- sorting, grouping and joining
SELECT v FROM vals WHERE id <= 12 ORDER BY v DESC NULLS FIRST, id;
SELECT count(DISTINCT v), count(DISTINCT h), count(DISTINCT s), count(DISTINCT arr) FROM vals;
SELECT count(*) FROM (SELECT v FROM vals GROUP BY v UNION SELECT v FROM vals) s;
SELECT count(*) FROM vals a JOIN vals b ON a.v = b.v JOIN vals c ON b.h = c.h JOIN vals d ON c.s = d.s WHERE a.id < 10;
-- neither hashes nor merges: the equality operator says so
SELECT oprleft::regtype, oprcanhash, oprcanmerge FROM pg_operator WHERE oprname = '=' AND oprleft::regtype::text IN ('vector', 'halfvec', 'sparsevec') ORDER BY 1;

-- indexes
CREATE TABLE types_order (id int, v vector, h halfvec, s sparsevec);
INSERT INTO types_order SELECT i, v, v::halfvec, v::sparsevec
FROM (SELECT i, ARRAY[i % 50, i % 7, -i]::vector AS v FROM generate_series(1, 2000) i) s;
INSERT INTO types_order VALUES (-1, '[5]', '[5]', '{1:5}/1'), (-2, '[5,5,5,5]', '[5,5,5,5]', '{1:5}/9'), (-3, NULL, NULL, NULL);
CREATE UNIQUE INDEX types_order_v ON types_order (v);
CREATE INDEX types_order_h ON types_order (h DESC);
CREATE INDEX types_order_s ON types_order (s);
-- statistics cope with rows of different dimensions
ANALYZE types_order;
SELECT attname, round(n_distinct::numeric, 2) AS n_distinct, null_frac > 0 AS nulls, array_length(histogram_bounds::text::text[], 1) AS bounds FROM pg_stats WHERE tablename = 'types_order' AND attname <> 'id' ORDER BY attname;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM types_order WHERE v = '[5,5,-5]';
SELECT id FROM types_order WHERE v = '[5,5,-5]';
SELECT id FROM types_order WHERE h = '[5,5,-5]';
SELECT id FROM types_order WHERE s = '{1:5,2:5,3:-5}/3';
SELECT id FROM types_order WHERE v < '[5]' ORDER BY v DESC LIMIT 1;
EXPLAIN (COSTS OFF) SELECT count(*) FROM types_order WHERE h >= '[49]';
SELECT count(*) FROM types_order WHERE h >= '[49]';
SELECT count(*) FROM types_order WHERE s > '{1:5}/9' AND s <= '{1:6}/1';
SELECT id FROM types_order ORDER BY v LIMIT 2;
RESET enable_seqscan;
SELECT count(*) FROM types_order WHERE h >= '[49]';
-- "[0]" and "[-0]" are the same key
INSERT INTO types_order (v) VALUES ('[0]');
\set VERBOSITY sqlstate
INSERT INTO types_order (v) VALUES ('[-0]');
-- a key too large for a btree page is core's error
INSERT INTO types_order (v) VALUES (array_fill(0.5, ARRAY[1000])::vector);
\set VERBOSITY terse
-- out of line values are compared, and what is fetched is freed, in sorts
CREATE TABLE types_wide (v vector(1500), h halfvec(3000), s sparsevec(9999));
INSERT INTO types_wide SELECT array_agg((i * k) % 101 ORDER BY k)::vector, array_agg((i * k) % 101 ORDER BY k)::halfvec || array_fill(0, ARRAY[1500])::halfvec,
	(SELECT array_agg(CASE WHEN k > 1500 THEN 0 ELSE (i * k) % 101 END ORDER BY k) FROM generate_series(1, 9999) k)::sparsevec
FROM generate_series(1, 120) i, generate_series(1, 1500) k GROUP BY i;
SELECT pg_column_size(v), pg_column_size(h), pg_column_size(s) BETWEEN 11000 AND 12016 AS s FROM types_wide LIMIT 1;
SELECT count(DISTINCT v), count(DISTINCT h), count(DISTINCT s) FROM types_wide;
SELECT bool_and(v_next >= v AND h_next >= h) FROM (SELECT v, lead(v) OVER w AS v_next, h, lead(h) OVER w AS h_next FROM types_wide WINDOW w AS (ORDER BY v)) s;
DROP TABLE types_order, types_wide;
