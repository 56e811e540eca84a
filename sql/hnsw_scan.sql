-- What scans of an hnsw index return: small exact answers for every type and
-- metric, values left out, iterative scans, rescans, changes of the table,
-- kinds of tables.
--
-- Approximate answers are compared as sets of distances and by recall floors
-- far below what is measured, never by order.

SET client_min_messages = warning;
SET jit = off;					-- plans that are forced look expensive

-- the outcome of a statement in one line
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

-- the distances of the k nearest rows, by the index or without
CREATE FUNCTION nearest(tab text, col text, op text, query text, k integer, indexed boolean)
RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	result float8[];
	plan text := '';
	line text;
	statement text := format('SELECT %1$s %2$s %3$s FROM %4$s ORDER BY %1$s %2$s %3$s LIMIT %5$s', col, op, query, tab, k);
BEGIN
	PERFORM set_config('enable_seqscan', CASE WHEN indexed THEN 'off' ELSE 'on' END, true),
		set_config('enable_indexscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true);
	FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
		plan := plan || line;
	END LOOP;
	IF (plan ~ 'Index Scan using') <> indexed THEN
		RAISE EXCEPTION 'wrong plan: %', plan;
	END IF;
	EXECUTE format('SELECT array_agg(d ORDER BY d) FROM (%s) AS q (d)', statement) INTO result;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'on', true);
	RETURN result;
END $$;

-- share of the k nearest that the index finds; 1 = the same distances
CREATE FUNCTION recall(tab text, col text, op text, query text, k integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	exact float8[] := nearest(tab, col, op, query, k, false);
BEGIN
	RETURN (SELECT count(*) FILTER (WHERE d <= exact[cardinality(exact)]) / cardinality(exact)::float8
			FROM unnest(nearest(tab, col, op, query, k, true)) AS d);
END $$;

-- a vector of small integers that depends on i, in text form
CREATE FUNCTION pattern(i bigint, dim integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT '[' || string_agg(((i * 7919 + k * 104729 + i * i * k + (i / 7) * k * k) % 1009 - 504)::text, ',' ORDER BY k) || ']'
	FROM generate_series(1, dim) k
$$;

CREATE TABLE opclasses (i serial, opclass text, op text, col text);
INSERT INTO opclasses (opclass, op, col) VALUES
	('vector_l2_ops', '<->', 'v'), ('vector_ip_ops', '<#>', 'v'), ('vector_cosine_ops', '<=>', 'v'), ('vector_l1_ops', '<+>', 'v'),
	('halfvec_l2_ops', '<->', 'h'), ('halfvec_ip_ops', '<#>', 'h'), ('halfvec_cosine_ops', '<=>', 'h'), ('halfvec_l1_ops', '<+>', 'h'),
	('sparsevec_l2_ops', '<->', 's'), ('sparsevec_ip_ops', '<#>', 's'), ('sparsevec_cosine_ops', '<=>', 's'), ('sparsevec_l1_ops', '<+>', 's'),
	('bit_hamming_ops', '<~>', 'b'), ('bit_jaccard_ops', '<%>', 'b');

--
-- Small answers that can be checked by hand; NULLs are not in the index
--
SET enable_seqscan = off;
CREATE TABLE small (id integer, v vector(3), h halfvec(3), s sparsevec(3), b bit(4));
INSERT INTO small VALUES
	(1, '[1,0,0]', '[1,0,0]', '{1:1}/3', B'1000'),
	(2, '[0,2,0]', '[0,2,0]', '{2:2}/3', B'0111'),
	(3, '[3,3,3]', '[3,3,3]', '{1:3,2:3,3:3}/3', B'1110'),
	(4, '[-1,-1,4]', '[-1,-1,4]', '{1:-1,2:-1,3:4}/3', B'1111'),
	(5, NULL, NULL, NULL, NULL);
CREATE INDEX small_v ON small USING hnsw (v vector_l2_ops);
CREATE INDEX ON small USING hnsw (v vector_ip_ops);
CREATE INDEX ON small USING hnsw (v vector_cosine_ops);
CREATE INDEX ON small USING hnsw (v vector_l1_ops);
CREATE INDEX ON small USING hnsw (h halfvec_l2_ops);
CREATE INDEX ON small USING hnsw (h halfvec_ip_ops);
CREATE INDEX ON small USING hnsw (h halfvec_cosine_ops);
CREATE INDEX ON small USING hnsw (h halfvec_l1_ops);
CREATE INDEX ON small USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON small USING hnsw (s sparsevec_ip_ops);
CREATE INDEX ON small USING hnsw (s sparsevec_cosine_ops);
CREATE INDEX ON small USING hnsw (s sparsevec_l1_ops);
CREATE INDEX ON small USING hnsw (b bit_hamming_ops);
CREATE INDEX ON small USING hnsw (b bit_jaccard_ops);
SELECT id, round((v <-> '[3,1,0]')::numeric, 5) AS l2 FROM small ORDER BY v <-> '[3,1,0]';
SELECT id, v <#> '[3,1,0]' AS ip FROM small ORDER BY v <#> '[3,1,0]';
SELECT id, round((v <=> '[3,1,0]')::numeric, 5) AS cosine FROM small ORDER BY v <=> '[3,1,0]';
SELECT id, v <+> '[3,1,0]' AS l1 FROM small ORDER BY v <+> '[3,1,0]';
SELECT id FROM small ORDER BY h <-> '[3,1,0]';
SELECT id FROM small ORDER BY h <#> '[3,1,0]';
SELECT id FROM small ORDER BY h <=> '[3,1,0]';
SELECT id FROM small ORDER BY h <+> '[3,1,0]';
SELECT id FROM small ORDER BY s <-> '{1:3,2:1}/3';
SELECT id FROM small ORDER BY s <#> '{1:3,2:1}/3';
SELECT id FROM small ORDER BY s <=> '{1:3,2:1}/3';
SELECT id FROM small ORDER BY s <+> '{1:3,2:1}/3';
SELECT id, hamming FROM (SELECT id, b <~> B'1100' AS hamming FROM small ORDER BY b <~> B'1100') AS q ORDER BY hamming, id;
SELECT id, b <~> B'0110' AS hamming FROM small WHERE id IN (2, 3, 4) ORDER BY b <~> B'0110' LIMIT 2;
SELECT id, b <%> B'1000' AS jaccard FROM small ORDER BY b <%> B'1000';
-- with a LIMIT, a filter, the query on the left
SELECT id FROM small ORDER BY v <-> '[3,1,0]' LIMIT 2;
SELECT id FROM small ORDER BY v <-> '[3,1,0]' LIMIT 2 OFFSET 1;
SELECT id FROM small WHERE id > 1 ORDER BY v <-> '[3,1,0]' LIMIT 2;
SELECT id FROM small WHERE v <-> '[3,1,0]' < 3.2 ORDER BY v <-> '[3,1,0]';
SELECT id FROM small ORDER BY '[3,1,0]' <-> v;

-- zero vectors are not in a cosine index, but in all others
INSERT INTO small VALUES (6, '[0,0,0]', '[-0,0,0]', '{}/3', B'0000');
SELECT count(*) FROM (SELECT * FROM small ORDER BY v <=> '[3,1,0]') AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY h <=> '[3,1,0]') AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY s <=> '{1:3,2:1}/3') AS q;
SELECT id FROM small ORDER BY v <-> '[3,1,0]';
SELECT id FROM small ORDER BY v <#> '[3,1,0]';
SELECT id FROM small ORDER BY s <+> '{1:3,2:1}/3';
SELECT id FROM small ORDER BY b <~> B'0000';
SELECT id, jaccard FROM (SELECT id, b <%> B'0000' AS jaccard FROM small ORDER BY b <%> B'0000') AS q ORDER BY jaccard, id;

-- a zero query under cosine, a NULL query: all rows of the index
SELECT count(*), bool_and(d = 'NaN') FROM (SELECT v <=> '[0,0,0]' AS d FROM small ORDER BY v <=> '[0,0,0]') AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY s <=> '{}/3') AS q;
SELECT count(*), count(d) FROM (SELECT v <-> (SELECT NULL::vector) AS d FROM small ORDER BY v <-> (SELECT NULL::vector)) AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY v <=> (SELECT NULL::vector)) AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY b <%> (SELECT NULL::bit(4))) AS q;
SELECT count(*) FROM (SELECT * FROM small ORDER BY s <+> (SELECT NULL::sparsevec)) AS q;

-- a query of other dimensions
SELECT try('SELECT * FROM small ORDER BY v <-> ''[1,2]''');
SELECT try('SELECT * FROM small ORDER BY h <#> ''[1,2,3,4]''');
SELECT try('SELECT * FROM small ORDER BY s <=> ''{}/4''');
SELECT try('SELECT * FROM small ORDER BY b <~> B''00''');

-- empty and truncated
TRUNCATE small;
SELECT count(*) FROM (SELECT * FROM small ORDER BY v <-> '[1,1,1]') AS q;
SELECT try('SELECT * FROM small ORDER BY v <-> ''[1,2]''');
INSERT INTO small (id, v) VALUES (7, '[1,2,3]'), (8, NULL), (9, '[3,2,1]');
SELECT id FROM small ORDER BY v <-> '[1,1,3]';
SELECT id FROM small ORDER BY v <-> '[3,3,1]';
SELECT count(*) FROM (SELECT * FROM small ORDER BY h <-> '[1,1,1]') AS q;
DROP TABLE small;
RESET enable_seqscan;

--
-- Few rows: the index is exact, whatever the quantizer
--
CREATE TABLE flat (id integer, v vector(20), h halfvec(20), s sparsevec(20), b bit(20), wide sparsevec(5000))
	WITH (autovacuum_enabled = off);
INSERT INTO flat SELECT i, pattern(i, 20)::vector, pattern(i, 20)::halfvec, pattern(i, 20)::vector::sparsevec,
		(i * 7919 % 1048576)::bit(20),
		format('{%s:%s,%s:%s,5000:%s}/5000', i % 97 + 1, i + 1, i % 89 + 1000, i * 7 % 101 + 1, i % 13 + 1)::sparsevec
	FROM generate_series(1, 300) i;
CREATE FUNCTION flat_recall(opclass text, op text, col text, options text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	result float8;
BEGIN
	EXECUTE format('CREATE INDEX flat_idx ON flat USING hnsw (%I %I) %s', col, opclass, options);
	result := (SELECT min(recall('flat', col, op, format('(SELECT %I FROM flat WHERE id = %s)', col, i), 50))
			   FROM generate_series(10, 300, 29) i);
	DROP INDEX flat_idx;
	RETURN result;
END $$;
SELECT opclass, flat_recall(opclass, op, col, '') FROM opclasses ORDER BY i;
SELECT opclass, options, flat_recall(opclass, op, 'v', 'WITH (' || options || ')')
FROM opclasses, unnest(ARRAY['quantizer = none', 'quantizer = half', 'quantizer = sq8', 'bits = 1', 'bits = 8']) AS options
WHERE col = 'v' AND NOT (op = '<+>' AND options ~ 'bits')
ORDER BY i, options;
-- sketched: more dimensions than a code has
SELECT opclass, options, flat_recall(opclass, op, 'wide', options)
FROM opclasses, unnest(ARRAY['', 'WITH (quantizer = none)']) AS options
WHERE col = 's' ORDER BY i, options;

-- the same when rows come after the index, and after some have gone
CREATE INDEX flat_v ON flat USING hnsw (v vector_l2_ops);
INSERT INTO flat (id, v) SELECT i, pattern(i, 20)::vector FROM generate_series(301, 500) i;
DELETE FROM flat WHERE id % 3 = 0;
SELECT recall('flat', 'v', '<->', quote_literal(pattern(1000 + i, 20)), 20) FROM generate_series(1, 3) i;
VACUUM flat;
SELECT recall('flat', 'v', '<->', quote_literal(pattern(1000 + i, 20)), 20) FROM generate_series(1, 3) i;
SELECT cardinality(nearest('flat', 'v', '<->', quote_literal(pattern(1, 20)), 1000, true)) = count(*) FROM flat;
SELECT * FROM piramid_check('flat_v');
DROP TABLE flat;
DROP FUNCTION flat_recall;

-- long bit strings
CREATE TABLE longbits (id integer, b bit(1000000));
INSERT INTO longbits SELECT i, (repeat('0', i * 1000) || repeat('1', 1000000 - i * 1000))::bit(1000000) FROM generate_series(1, 40) i;
CREATE INDEX ON longbits USING hnsw (b bit_hamming_ops);
CREATE INDEX ON longbits USING hnsw (b bit_jaccard_ops);
SELECT recall('longbits', 'b', '<~>', '(SELECT b FROM longbits WHERE id = 7)', 20),
	recall('longbits', 'b', '<%>', '(SELECT b FROM longbits WHERE id = 7)', 20);
DROP TABLE longbits;

--
-- Many rows: the graph
--
CREATE TABLE many (id integer, cat integer, v vector(20), h halfvec(20), s sparsevec(20), b bit(100))
	WITH (autovacuum_enabled = off);
INSERT INTO many SELECT i, i % 10, pattern(i, 20)::vector, pattern(i, 20)::halfvec, pattern(i, 20)::vector::sparsevec,
		(('x' || md5(i::text))::bit(100))
	FROM generate_series(1, 2500) i;
ANALYZE many;
CREATE TABLE source WITH (autovacuum_enabled = off) AS SELECT * FROM many;
CREATE FUNCTION many_recall(op text, col text) RETURNS float8 LANGUAGE sql AS $$
	SELECT avg(recall('many', col, op, format('(SELECT %I FROM source WHERE id = %s)', col, i), 10))
	FROM generate_series(100, 2500, 120) i
$$;
CREATE FUNCTION built_recall(opclass text, op text, col text, options text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	result float8;
BEGIN
	EXECUTE format('CREATE INDEX many_idx ON many USING hnsw (%I %I) %s', col, opclass, options);
	result := many_recall(op, col);
	DROP INDEX many_idx;
	RETURN result;
END $$;
SET hnsw.ef_search = 200;
SELECT opclass, built_recall(opclass, op, col, '') >= 0.95 AS good FROM opclasses ORDER BY i;
SELECT opclass, options, built_recall(opclass, op, 'v', 'WITH (' || options || ')') >= 0.95 AS good
FROM opclasses, unnest(ARRAY['quantizer = none', 'quantizer = half', 'quantizer = sq8', 'bits = 8', 'bits = 2', 'm = 32']) AS options
WHERE op = '<=>' AND col = 'v' ORDER BY i, options;

-- filled by INSERT: the index trains itself on the way
TRUNCATE many;
CREATE INDEX many_v ON many USING hnsw (v vector_cosine_ops);
CREATE INDEX many_s ON many USING hnsw (s sparsevec_l2_ops);
CREATE INDEX many_b ON many USING hnsw (b bit_hamming_ops);
INSERT INTO many SELECT * FROM source;
ANALYZE many;
SELECT index, state, live_nodes, dead_nodes FROM unnest(ARRAY['many_v', 'many_s', 'many_b']) AS index, piramid_index_info(index::regclass);
SELECT many_recall('<=>', 'v') >= 0.95 AS v, many_recall('<->', 's') >= 0.95 AS s, many_recall('<~>', 'b') >= 0.95 AS b;
SELECT i.index, c.* FROM unnest(ARRAY['many_v', 'many_s', 'many_b']) AS i (index), piramid_check(index::regclass) AS c;

-- a row that was just inserted, updated, deleted, rolled back
SET hnsw.ef_search = 40;
SET enable_seqscan = off;
INSERT INTO many (id, v) VALUES (5001, pattern(5001, 20)::vector);
SELECT id FROM many ORDER BY v <=> pattern(5001, 20)::vector LIMIT 1;
UPDATE many SET v = pattern(5002, 20)::vector WHERE id = 5001;
SELECT id FROM many ORDER BY v <=> pattern(5002, 20)::vector LIMIT 1;
SELECT id = 5001 AS still FROM many ORDER BY v <=> pattern(5001, 20)::vector LIMIT 1;
UPDATE many SET cat = 77 WHERE id = 5001;
SELECT id, cat FROM many ORDER BY v <=> pattern(5002, 20)::vector LIMIT 1;
BEGIN;
DELETE FROM many WHERE id = 5001;
SELECT id = 5001 AS still FROM many ORDER BY v <=> pattern(5002, 20)::vector LIMIT 1;
ROLLBACK;
SELECT id FROM many ORDER BY v <=> pattern(5002, 20)::vector LIMIT 1;
BEGIN;
SAVEPOINT s;
INSERT INTO many (id, v) VALUES (5003, pattern(5003, 20)::vector);
SELECT id FROM many ORDER BY v <=> pattern(5003, 20)::vector LIMIT 1;
ROLLBACK TO s;
SELECT id = 5003 AS still FROM many ORDER BY v <=> pattern(5003, 20)::vector LIMIT 1;
COMMIT;
SELECT count(*) FROM (SELECT * FROM many ORDER BY v <=> pattern(5003, 20)::vector LIMIT 10) AS q;

-- vacuum, and the slots used again
DELETE FROM many WHERE id % 2 = 0;
SELECT count(*), bool_and(id % 2 = 1) FROM (SELECT id FROM many ORDER BY v <=> pattern(50, 20)::vector LIMIT 10) AS q;
VACUUM many;
SELECT count(*), bool_and(id % 2 = 1) FROM (SELECT id FROM many ORDER BY v <=> pattern(50, 20)::vector LIMIT 10) AS q;
SELECT live_nodes, dead_nodes FROM piramid_index_info('many_v');
SET hnsw.ef_search = 200;
SELECT many_recall('<=>', 'v') >= 0.95 AS v, many_recall('<->', 's') >= 0.95 AS s, many_recall('<~>', 'b') >= 0.95 AS b;
SELECT pg_relation_size('many_v') AS size_before \gset
INSERT INTO many SELECT * FROM source WHERE id % 2 = 0;
SELECT many_recall('<=>', 'v') >= 0.95 AS v, many_recall('<->', 's') >= 0.95 AS s, many_recall('<~>', 'b') >= 0.95 AS b;
SELECT pg_relation_size('many_v') <= :size_before * 1.02 AS slots_used_again;
SELECT i.index, c.* FROM unnest(ARRAY['many_v', 'many_s', 'many_b']) AS i (index), piramid_check(index::regclass) AS c;
-- all rows gone, and back; the indexes vacuumed side by side
DELETE FROM many;
SET min_parallel_index_scan_size = 0;
SET max_parallel_maintenance_workers = 2;
VACUUM (PARALLEL 2) many;
RESET min_parallel_index_scan_size;
RESET max_parallel_maintenance_workers;
SELECT count(*) FROM (SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector) AS q;
SELECT live_nodes, dead_nodes FROM piramid_index_info('many_v');
INSERT INTO many SELECT * FROM source;
VACUUM ANALYZE many;
SELECT many_recall('<=>', 'v') >= 0.95 AS v, many_recall('<->', 's') >= 0.95 AS s, many_recall('<~>', 'b') >= 0.95 AS b;
SELECT pg_relation_size('many_v') <= :size_before * 1.02 AS slots_used_again;
SELECT i.index, c.* FROM unnest(ARRAY['many_v', 'many_s', 'many_b']) AS i (index), piramid_check(index::regclass) AS c;
RESET hnsw.ef_search;

--
-- How many rows come, and iterative scans
--
CREATE FUNCTION rows_of(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE 'SELECT count(*) FROM (' || query || ') AS q' INTO result;
	RETURN result;
END $$;
SET hnsw.ef_search = 1;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector');
SET hnsw.ef_search = 25;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector');
SELECT rows_of('SELECT * FROM many WHERE cat = 3 ORDER BY v <=> pattern(50, 20)::vector') < 25 AS filtered;
SET hnsw.ef_search = 100000;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector');
SET hnsw.ef_search = 10;
SET hnsw.iterative_scan = relaxed_order;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector'),
	rows_of('SELECT DISTINCT id FROM (SELECT id FROM many ORDER BY v <=> pattern(50, 20)::vector) AS p');
SELECT rows_of('SELECT * FROM many WHERE cat = 3 ORDER BY v <=> pattern(50, 20)::vector LIMIT 20');
SELECT rows_of('SELECT * FROM many WHERE id = 1234 ORDER BY v <=> pattern(50, 20)::vector LIMIT 1');
-- in strict order nothing comes after something farther
SET hnsw.iterative_scan = strict_order;
SELECT bool_and(d >= before) AS ordered, count(*) BETWEEN 50 AND 2499 AS some
FROM (SELECT d, lag(d) OVER (ROWS UNBOUNDED PRECEDING) AS before
	  FROM (SELECT v <=> pattern(50, 20)::vector AS d FROM many ORDER BY v <=> pattern(50, 20)::vector) AS q) AS q;
SELECT rows_of('SELECT * FROM many WHERE cat = 3 ORDER BY v <=> pattern(50, 20)::vector LIMIT 5');
-- budgets: by rows, by memory
SET hnsw.iterative_scan = relaxed_order;
SET hnsw.max_scan_tuples = 1;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector') BETWEEN 10 AND 1000 AS stopped;
SET hnsw.max_scan_tuples = 1000;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector') BETWEEN 500 AND 2000 AS stopped;
SET hnsw.max_scan_tuples = 2147483647;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector');
SET work_mem = '64kB';
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector') BETWEEN 10 AND 2499 AS stopped;
SET hnsw.scan_mem_multiplier = 1000;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> pattern(50, 20)::vector');
RESET work_mem;
RESET hnsw.scan_mem_multiplier;
RESET hnsw.max_scan_tuples;
-- a NULL query iterates too
SELECT rows_of('SELECT * FROM many ORDER BY v <=> (SELECT NULL::vector)');
SET hnsw.iterative_scan = strict_order;
SELECT rows_of('SELECT * FROM many ORDER BY v <=> (SELECT NULL::vector)');
RESET hnsw.iterative_scan;
RESET hnsw.ef_search;

--
-- Cursors, rescans
--
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM many ORDER BY v <=> (SELECT v FROM source WHERE id = 77);
FETCH 1 FROM c;
MOVE 3 FROM c;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM many ORDER BY v <=> (SELECT v FROM source WHERE id = 78) LIMIT 3;
FETCH 1 FROM held;
DECLARE scrolled SCROLL CURSOR FOR SELECT id FROM many ORDER BY v <=> (SELECT v FROM source WHERE id = 79) LIMIT 5;
FETCH 1 FROM scrolled;
MOVE 3 FROM scrolled;
FETCH ABSOLUTE 1 FROM scrolled;
-- rows deleted under an open cursor stay visible to it
DELETE FROM many;
FETCH ABSOLUTE 1 FROM scrolled;
MOVE FORWARD 10 FROM c;
COMMIT;
FETCH ABSOLUTE 3 FROM held \gset held_
SELECT :held_id BETWEEN 1 AND 2500 AS still_there;
CLOSE held;
VACUUM many;
INSERT INTO many SELECT * FROM source;
ANALYZE many;

-- each outer row is another search; NULLs among them
CREATE TABLE queries AS SELECT id, v FROM source WHERE id % 100 = 7;
INSERT INTO queries VALUES (0, NULL);
SELECT count(*), count(*) FILTER (WHERE q.id = n.id) AS itself
FROM queries q, LATERAL (SELECT m.id, m.v <=> q.v AS d FROM many m ORDER BY m.v <=> q.v LIMIT 3) AS n;
SELECT count(*) FILTER (WHERE n = id) AS itself, count(*)
FROM (SELECT id, (SELECT m.id FROM many m ORDER BY m.v <=> q.v LIMIT 1) AS n FROM queries q WHERE v IS NOT NULL) AS q;
-- the same index twice in one plan, one scan inside the other
SELECT count(*) FROM (SELECT id, v FROM many ORDER BY v <=> pattern(50, 20)::vector LIMIT 5) AS a,
	LATERAL (SELECT id FROM many ORDER BY v <=> a.v LIMIT 4) AS b;
-- a search inside a function
CREATE FUNCTION nearest_id(q vector) RETURNS integer LANGUAGE sql STABLE AS
	'SELECT id FROM many ORDER BY v <=> q LIMIT 1';
SELECT bool_and(nearest_id(v) = id) FROM queries WHERE v IS NOT NULL;
DROP FUNCTION nearest_id;

--
-- Duplicates: one search finds all of them
--
CREATE TABLE dup (id integer, v vector(3), b bit(3))
	WITH (autovacuum_enabled = off);
CREATE INDEX dup_v ON dup USING hnsw (v vector_l2_ops);
CREATE INDEX dup_b ON dup USING hnsw (b bit_hamming_ops);
INSERT INTO dup SELECT i, '[1,2,3]', B'101' FROM generate_series(1, 50) i;
INSERT INTO dup SELECT i, ARRAY[i % 5, i % 7, i]::vector, (i % 8)::bit(3) FROM generate_series(51, 1500) i;
SELECT state FROM piramid_index_info('dup_v');
SET hnsw.ef_search = 1;
SELECT count(*), max(id) FROM (SELECT id FROM dup ORDER BY v <-> '[1,2,3]' LIMIT 50) AS q;
SELECT count(*) > 180 AS all_of_them, bool_and(b = B'101') FROM (SELECT b FROM dup ORDER BY b <~> B'101') AS q;
REINDEX TABLE dup;
SELECT count(*), max(id) FROM (SELECT id FROM dup ORDER BY v <-> '[1,2,3]' LIMIT 50) AS q;
DELETE FROM dup WHERE id <= 50 AND id % 2 = 0;
SELECT count(*), max(id) FROM (SELECT id FROM dup ORDER BY v <-> '[1,2,3]' LIMIT 25) AS q;
VACUUM dup;
SELECT count(*), max(id) FROM (SELECT id FROM dup ORDER BY v <-> '[1,2,3]' LIMIT 25) AS q;
INSERT INTO dup SELECT i, '[1,2,3]', B'101' FROM generate_series(1, 50) i WHERE i % 2 = 0;
SELECT count(*), max(id) FROM (SELECT id FROM dup ORDER BY v <-> '[1,2,3]' LIMIT 50) AS q;
SELECT i.index, c.* FROM unnest(ARRAY['dup_v', 'dup_b']) AS i (index), piramid_check(index::regclass) AS c;
-- nothing but duplicates
TRUNCATE dup;
INSERT INTO dup SELECT i, '[1,2,3]', B'101' FROM generate_series(1, 3000) i;
SELECT count(*) FROM (SELECT id FROM dup ORDER BY v <-> '[0,0,0]') AS q;
REINDEX TABLE dup;
SELECT count(*) FROM (SELECT id FROM dup ORDER BY v <-> '[0,0,0]') AS q;
SELECT i.index, c.* FROM unnest(ARRAY['dup_v', 'dup_b']) AS i (index), piramid_check(index::regclass) AS c;
RESET hnsw.ef_search;
DROP TABLE dup;

--
-- Kinds of tables and indexes
--
CREATE FUNCTION finds(tab text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	found integer;
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true);
	EXECUTE format('SELECT id FROM %s ORDER BY v <-> (SELECT v FROM source WHERE id = 321) LIMIT 1', tab) INTO found;
	RETURN found = 321;
END $$;

CREATE UNLOGGED TABLE unlogged (id integer, v vector(20));
CREATE INDEX unlogged_v ON unlogged USING hnsw (v vector_l2_ops);
INSERT INTO unlogged SELECT id, v FROM source;
SELECT finds('unlogged'), (SELECT count(*) FROM piramid_check('unlogged_v')) AS findings;
DELETE FROM unlogged WHERE id > 1000;
VACUUM unlogged;
SELECT finds('unlogged'), (SELECT count(*) FROM piramid_check('unlogged_v')) AS findings;
SELECT pg_relation_size('unlogged_v', 'init') > 0 AS has_init_fork;
ALTER TABLE unlogged SET LOGGED;
SELECT finds('unlogged'), (SELECT count(*) FROM piramid_check('unlogged_v')) AS findings;
DROP TABLE unlogged;

CREATE TEMPORARY TABLE temporary (id integer, v vector(20));
CREATE INDEX temporary_v ON temporary USING hnsw (v vector_l2_ops);
INSERT INTO temporary SELECT id, v FROM source;
SELECT finds('temporary'), (SELECT count(*) FROM piramid_check('temporary_v')) AS findings;
DELETE FROM temporary WHERE id > 1000;
VACUUM temporary;
REINDEX INDEX temporary_v;
SELECT finds('temporary'), (SELECT count(*) FROM piramid_check('temporary_v')) AS findings;
DROP TABLE temporary;
BEGIN;
CREATE TEMPORARY TABLE transient (id integer, v vector(20)) ON COMMIT DELETE ROWS;
CREATE INDEX ON transient USING hnsw (v vector_l2_ops);
INSERT INTO transient SELECT id, v FROM source;
SELECT finds('transient');
COMMIT;
SELECT count(*) FROM (SELECT id FROM transient ORDER BY v <-> pattern(1, 20)::vector) AS q;
DROP TABLE transient;

-- made and filled in one transaction, undone in a part of it
BEGIN;
CREATE TABLE fresh (id integer, v vector(20));
INSERT INTO fresh SELECT id, v FROM source;
SAVEPOINT before;
CREATE INDEX fresh_v ON fresh USING hnsw (v vector_l2_ops);
SELECT finds('fresh');
ROLLBACK TO before;
CREATE INDEX fresh_v ON fresh USING hnsw (v vector_l2_ops) WITH (m = 8);
SELECT finds('fresh');
COMMIT;
SELECT finds('fresh'), (SELECT count(*) FROM piramid_check('fresh_v')) AS findings;

-- rebuilt in every way there is
REINDEX INDEX fresh_v;
SELECT finds('fresh');
REINDEX INDEX CONCURRENTLY fresh_v;
SELECT finds('fresh');
DROP INDEX CONCURRENTLY fresh_v;
CREATE INDEX CONCURRENTLY fresh_v ON fresh USING hnsw (v vector_l2_ops);
SELECT finds('fresh');
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'fresh'::regclass;
VACUUM FULL fresh;
SELECT finds('fresh');
ALTER TABLE fresh ALTER id TYPE bigint;
SELECT finds('fresh');
CREATE INDEX fresh_id ON fresh (id);
CLUSTER fresh USING fresh_id;
SELECT finds('fresh'), (SELECT count(*) FROM piramid_check('fresh_v')) AS findings;
SELECT try('ALTER TABLE fresh ALTER v TYPE vector(21)');
SELECT try('ALTER TABLE fresh ALTER v TYPE halfvec(20)');
-- the server keeps the index when a type modifier goes, and then it cannot be built again
SELECT try('ALTER TABLE fresh ALTER v TYPE vector');
SELECT finds('fresh');
SELECT try('INSERT INTO fresh VALUES (1, ''[1,2]'')');
SELECT try('TRUNCATE fresh');
DELETE FROM fresh;
ALTER TABLE fresh ALTER v TYPE vector(21);
INSERT INTO fresh VALUES (1, pattern(1, 21)::vector);
SELECT id FROM fresh ORDER BY v <-> pattern(1, 21)::vector;
DROP TABLE fresh;

-- expression and partial indexes
CREATE TABLE shaped (id integer, a real[], v vector);
INSERT INTO shaped SELECT id, v::real[], CASE WHEN id % 2 = 0 THEN v ELSE subvector(v, 1, 10) END FROM source;
CREATE INDEX shaped_a ON shaped USING hnsw ((a::vector(20)) vector_l2_ops);
CREATE INDEX shaped_20 ON shaped USING hnsw ((v::vector(20)) vector_l2_ops) WHERE id % 2 = 0;
CREATE INDEX shaped_10 ON shaped USING hnsw ((v::halfvec(10)) halfvec_cosine_ops) WHERE id % 2 = 1;
CREATE INDEX shaped_b ON shaped USING hnsw ((binary_quantize(a::vector(20))::bit(20)) bit_hamming_ops);
ANALYZE shaped;
SELECT id FROM shaped ORDER BY a::vector(20) <-> (SELECT v FROM source WHERE id = 321) LIMIT 1;
SELECT id FROM shaped WHERE id % 2 = 0 ORDER BY v::vector(20) <-> (SELECT v FROM source WHERE id = 322) LIMIT 1;
SELECT id FROM shaped WHERE id % 2 = 1 ORDER BY v::halfvec(10) <=> (SELECT subvector(v, 1, 10)::halfvec(10) FROM source WHERE id = 321) LIMIT 1;
-- coarse search by bits, then exact
SELECT id FROM (SELECT * FROM shaped
		ORDER BY binary_quantize(a::vector(20))::bit(20) <~> (SELECT binary_quantize(v) FROM source WHERE id = 321) LIMIT 20) AS q
	ORDER BY a::vector(20) <-> (SELECT v FROM source WHERE id = 321) LIMIT 1;
SELECT i.index, c.* FROM unnest(ARRAY['shaped_a', 'shaped_20', 'shaped_10', 'shaped_b']) AS i (index), piramid_check(index::regclass) AS c;
DROP TABLE shaped;

-- items larger than a page
CREATE TABLE large (id integer, v vector(3000));
CREATE INDEX large_v ON large USING hnsw (v vector_l2_ops) WITH (quantizer = none, m = 8, ef_construction = 32);
INSERT INTO large SELECT i, pattern(i, 3000)::vector FROM generate_series(1, 60) i;
SELECT recall('large', 'v', '<->', '(SELECT v FROM large WHERE id = 5)', 20);
DELETE FROM large WHERE id % 2 = 0;
VACUUM large;
SELECT recall('large', 'v', '<->', '(SELECT v FROM large WHERE id = 5)', 20);
SELECT * FROM piramid_check('large_v');
DROP TABLE large;

DROP TABLE many, source, queries, opclasses;
DROP FUNCTION try, nearest, recall, pattern, many_recall, built_recall, rows_of, finds;
