-- A user's first hour: what README.md shows, and what an application does.

BEGIN;
SELECT * FROM no_plan();

CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(3));
INSERT INTO items (embedding) VALUES ('[1,2,3]'), ('[4,5,6]'), ('[3,2,1]'), (NULL);

SELECT results_eq($$SELECT id::int FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 2$$, $$VALUES (3), (1)$$, 'Euclidean order');
SELECT results_eq($$SELECT id::int FROM items ORDER BY embedding <#> '[3,1,2]' LIMIT 1$$, $$VALUES (2)$$, 'inner product order');
SELECT is('[1,2,3]'::vector <-> '[1,2,5]', 2::float8, 'Euclidean distance');
SELECT is('[1,2,3]'::vector <#> '[4,5,6]', -32::float8, 'inner product, negative');
SELECT is('[1,0]'::vector <=> '[0,5]', 1::float8, 'cosine distance');
SELECT is('[1,2]'::vector <+> '[4,6]', 7::float8, 'taxicab distance');
SELECT is(B'1010' <~> B'1001', 2::float8, 'Hamming distance');
SELECT is('{1:1,3:2}/5'::sparsevec <-> '{1:1}/5', 2::float8, 'distance of sparse vectors');
SELECT is((SELECT avg(embedding) FROM items)::text, '[2.6666667,3,3.3333333]', 'avg skips NULL');
SELECT throws_ok($$INSERT INTO items (embedding) VALUES ('[1,2]')$$, '22000', NULL, 'wrong dimensions are refused');
SELECT throws_ok($$SELECT '[1,2,3]'::vector <-> '[1,2]'$$, '22000', NULL, 'different dimensions are refused');
SELECT throws_ok($$SELECT '[1,nan]'::vector$$, '22000', NULL, 'NaN is refused');
SELECT throws_ok($$SELECT '1,2'::vector$$, '22P02', NULL, 'what is no vector is refused');

SELECT lives_ok('CREATE INDEX items_idx ON items USING hnsw (embedding vector_l2_ops) WITH (m = 8, ef_construction = 32, quantizer = rabitq, bits = 8)',
	'an index with every option');
SELECT is((SELECT heap_rows FROM piramid_index_info('items_idx')), 3::bigint, 'it holds the rows that are not NULL');
SELECT is((SELECT state FROM piramid_index_info('items_idx')), 'flat', 'few rows are scanned whole');
SELECT is_empty($$SELECT * FROM piramid_check('items_idx')$$, 'it is sound');
SET LOCAL enable_seqscan = off;
SELECT matches((SELECT string_agg(line, ' ') FROM plan_of($$SELECT id FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 2$$) line),
	'Index Scan using items_idx', 'the planner takes it');
SELECT results_eq($$SELECT id::int FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 2$$, $$VALUES (3), (1)$$, 'the same order with it');
DELETE FROM items WHERE id = 3;
INSERT INTO items (embedding) VALUES ('[3,1,2]');
SELECT results_eq($$SELECT embedding::text FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 2$$, $$VALUES ('[3,1,2]'), ('[1,2,3]')$$,
	'it follows changes');
SELECT is((SELECT count(*) FROM items WHERE embedding IS NOT NULL), 3::bigint, 'it is never used without ORDER BY');

SELECT throws_ok('CREATE INDEX ON items USING hnsw (embedding)', '42704', NULL, 'an operator class must be named');
SELECT throws_ok('CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (m = 1)', '22023', NULL, 'm is at least 2');
SELECT throws_ok('CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (m = 64, ef_construction = 100)', '22023', NULL,
	'ef_construction is at least 2 m');
SELECT throws_ok('CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (bits = 3)', '22023', NULL, 'bits are 1, 2, 4 or 8');
CREATE TABLE loose (embedding vector);
SELECT throws_ok('CREATE INDEX ON loose USING hnsw (embedding vector_l2_ops)', '22023', NULL, 'an indexed column has dimensions');

SELECT * FROM finish();
ROLLBACK;
