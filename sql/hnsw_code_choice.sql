-- Which code an index gets, where clusters lie far apart
SET client_min_messages = warning;
SET jit = off;

CREATE FUNCTION noise(a int, b int) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN hashint4(a * 1000 + b)::float8 / 2147483648;
CREATE FUNCTION clustered(nr int, apart float8) RETURNS vector LANGUAGE sql IMMUTABLE
	RETURN (SELECT array_agg(apart * noise(nr % 20, d) + noise(1000 + nr, d) ORDER BY d)
			FROM generate_series(1, 64) AS d)::vector;
-- share of the 10 nearest that an index scan finds
CREATE FUNCTION found(tab text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	query vector;
	exact int[];
	got int[];
	hits int := 0;
BEGIN
	FOR query IN EXECUTE format('SELECT v FROM %I WHERE id < 20', tab) LOOP
		PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
		EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %I ORDER BY v <-> $1 LIMIT 10) AS x', tab) INTO exact USING query;
		PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
		EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %I ORDER BY v <-> $1 LIMIT 10) AS x', tab) INTO got USING query;
		hits := hits + (SELECT count(*) FROM unnest(exact) AS e WHERE e = ANY (got));
	END LOOP;
	RETURN hits / 200.0;
END $$;

CREATE TABLE near (id int, v vector(64));
INSERT INTO near SELECT i, clustered(i, 1) FROM generate_series(0, 3999) AS i;
CREATE TABLE far (id int, v vector(64));
INSERT INTO far SELECT i, clustered(i, 12) FROM generate_series(0, 3999) AS i;
CREATE TABLE farther (id int, v vector(64));
INSERT INTO farther SELECT i, clustered(i, 200) FROM generate_series(0, 3999) AS i;

CREATE INDEX near_v ON near USING hnsw (v vector_l2_ops);
CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops);
CREATE INDEX farther_v ON farther USING hnsw (v vector_l2_ops);
SELECT name, quantizer, bits, code_error BETWEEN 1e-4 AND 0.05 AS error, code_rows BETWEEN 10 AND 60 AS rows
FROM unnest(ARRAY['near_v', 'far_v', 'farther_v']) WITH ORDINALITY AS t(name, i), piramid_index_info(name::regclass)
ORDER BY i;
SELECT found('near') > 0.98 AS near, found('far') > 0.98 AS far, found('farther') > 0.98 AS farther;

-- the same when an index trains itself
CREATE TABLE grown (id int, v vector(64));
CREATE INDEX grown_v ON grown USING hnsw (v vector_l2_ops);
INSERT INTO grown SELECT * FROM far WHERE id < 1000;
SELECT state, quantizer, bits, code_error, code_rows FROM piramid_index_info('grown_v');
INSERT INTO grown SELECT * FROM far WHERE id >= 1000;
SELECT state, quantizer, bits, code_rows BETWEEN 10 AND 60 AS rows FROM piramid_index_info('grown_v');
SELECT found('grown') > 0.98 AS grown;
SELECT * FROM piramid_check('grown_v');

-- the user's choice stands, but he is told
DROP INDEX far_v;
\set VERBOSITY terse
CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops) WITH (bits = 4);
\set VERBOSITY default
SELECT quantizer, bits, code_error > 0.05 AS error, code_rows > 200 AS rows FROM piramid_index_info('far_v');
SELECT found('far') < 0.9 AS collapsed;

-- all other metrics, and codes that are exact
CREATE TABLE others (id int, v vector(64));
INSERT INTO others SELECT i, clustered(i, 100) FROM generate_series(0, 1999) AS i;
CREATE INDEX others_l1 ON others USING hnsw (v vector_l1_ops);
CREATE INDEX others_ip ON others USING hnsw (v vector_ip_ops);
CREATE INDEX others_cosine ON others USING hnsw (v vector_cosine_ops);
CREATE INDEX others_half ON others USING hnsw ((v::halfvec(64)) halfvec_l2_ops);
CREATE INDEX others_none ON others USING hnsw (v vector_l2_ops) WITH (quantizer = none);
CREATE INDEX others_bit ON others USING hnsw ((binary_quantize(v)::bit(64)) bit_hamming_ops);
SELECT name, quantizer, bits, code_error < 0.05 AS error, code_rows < 60 AS rows
FROM unnest(ARRAY['others_l1', 'others_ip', 'others_cosine', 'others_half', 'others_none', 'others_bit']) WITH ORDINALITY AS t(name, i),
	piramid_index_info(name::regclass)
ORDER BY i;

-- copies tell nothing
CREATE TABLE copies (id int, v vector(64));
INSERT INTO copies SELECT i, clustered(0, 1) FROM generate_series(1, 2000) AS i;
CREATE INDEX copies_v ON copies USING hnsw (v vector_l2_ops);
SELECT quantizer, bits, code_error, code_rows FROM piramid_index_info('copies_v');

-- brain floats and signs
CREATE TABLE signs (id int, v vector(64));
INSERT INTO signs SELECT * FROM near;
CREATE INDEX signs_v ON signs USING hnsw (v vector_l2_ops) WITH (quantizer = bf16);
SELECT quantizer, bits FROM piramid_index_info('signs_v');
SELECT found('signs') > 0.98 AS bf16;
SELECT * FROM piramid_check('signs_v');
DROP INDEX signs_v;
\set VERBOSITY terse
CREATE INDEX signs_v ON signs USING hnsw (v vector_l2_ops) WITH (quantizer = bq, m = 8);
\set VERBOSITY default
SELECT quantizer, bits FROM piramid_index_info('signs_v');
SET hnsw.ef_search = 400;
SELECT found('signs') > 0.95 AS bq;
RESET hnsw.ef_search;
SELECT * FROM piramid_check('signs_v');
CREATE INDEX ON signs USING hnsw (v vector_l1_ops) WITH (quantizer = bf16);
CREATE INDEX ON signs USING hnsw (v vector_l1_ops) WITH (quantizer = bq);
CREATE INDEX ON signs USING hnsw (v vector_l2_ops) WITH (quantizer = bq, bits = 2);
CREATE INDEX ON signs USING hnsw (v vector_l2_ops) WITH (quantizer = bf16, bits = 8);

DROP TABLE signs, near, far, farther, grown, others, copies;
DROP FUNCTION noise, clustered, found;
