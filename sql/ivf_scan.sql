-- What scans of ivf indexes return: every row of the lists read, in exact
-- order, whether the index was built or grew by inserts.

SET client_min_messages = warning;
SET enable_seqscan = off;

-- pseudo-random, the same everywhere
CREATE FUNCTION ivf_noise(a bigint, b bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	'SELECT (hashint8extended(a * 65536 + b, 42) & 16777215) / 16777216.0::float8 - 0.5';
CREATE FUNCTION ivf_value(i bigint, dim int) RETURNS vector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	'SELECT array_agg((2 * ivf_noise(-1 - i % 40, d) + ivf_noise(i, d) / 2)::real ORDER BY d)::vector FROM generate_series(1, dim) d';

CREATE TABLE ivf_rows (id int PRIMARY KEY, v vector(32), h halfvec(32), b bit(32));
INSERT INTO ivf_rows SELECT i, v, v::halfvec(32), binary_quantize(v)::bit(32)
FROM (SELECT i, ivf_value(i, 32) AS v FROM generate_series(1, 4000) i OFFSET 0) r;
CREATE TABLE ivf_queries AS SELECT i AS id, ivf_value(i, 32) AS v FROM generate_series(1000001, 1000020) i;

-- recall of the ten nearest: distances found that are among the true ones
CREATE FUNCTION ivf_recall(col text, op text, cast_to text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	q record;
	exact float8[];
	found float8[];
	hits int := 0;
	query text := format('SELECT array_agg(d ORDER BY d) FROM (SELECT %I %s (%s)::%s AS d FROM ivf_rows ORDER BY %1$I %2$s (%3$s)::%4$s LIMIT 10) r',
		col, op, CASE WHEN cast_to ~ 'bit' THEN 'binary_quantize($1)' ELSE '$1' END, cast_to);
BEGIN
	FOR q IN SELECT * FROM ivf_queries LOOP
		SET LOCAL enable_seqscan = on;
		SET LOCAL enable_indexscan = off;
		EXECUTE query INTO exact USING q.v;
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		EXECUTE query INTO found USING q.v;
		hits := hits + (SELECT count(*) FROM unnest(found) f WHERE f <= exact[10]);
	END LOOP;
	RETURN hits / 200.0;
END $$;

CREATE TABLE ivf_cells (am text, opclass text, col text, op text, cast_to text);
INSERT INTO ivf_cells SELECT am, o.* FROM unnest(ARRAY['ivf', 'ivfflat']) am,
	(VALUES ('vector_l2_ops', 'v', '<->', 'vector(32)'), ('vector_ip_ops', 'v', '<#>', 'vector(32)'), ('vector_cosine_ops', 'v', '<=>', 'vector(32)'),
		('halfvec_l2_ops', 'h', '<->', 'halfvec(32)'), ('halfvec_ip_ops', 'h', '<#>', 'halfvec(32)'), ('halfvec_cosine_ops', 'h', '<=>', 'halfvec(32)'),
		('bit_hamming_ops', 'b', '<~>', 'bit(32)')) o;

-- each operator class: recall with all lists, and with the default of ivf; the check; and the same after inserts into an empty index
CREATE FUNCTION ivf_cell(c ivf_cells, OUT built text, OUT everything bool, OUT usual bool, OUT faults int, OUT grown text, OUT grown_everything bool, OUT grown_usual bool, OUT grown_faults int) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX ivf_cell_i ON ivf_rows USING %I (%I %I)', c.am, c.col, c.opclass);
	SELECT state INTO built FROM piramid_index_info('ivf_cell_i');
	SELECT count(*) INTO faults FROM piramid_check('ivf_cell_i');
	SET LOCAL ivf.probes = 32768;
	SET LOCAL ivfflat.probes = 32768;
	everything := ivf_recall(c.col, c.op, c.cast_to) >= 0.995;
	SET LOCAL ivf.probes = 0;
	SET LOCAL ivfflat.probes = 20;
	usual := ivf_recall(c.col, c.op, c.cast_to) >= 0.93;
	DROP INDEX ivf_cell_i;

	CREATE TEMP TABLE saved ON COMMIT DROP AS TABLE ivf_rows;
	TRUNCATE ivf_rows;
	EXECUTE format('CREATE INDEX ivf_cell_i ON ivf_rows USING %I (%I %I)', c.am, c.col, c.opclass);
	INSERT INTO ivf_rows TABLE saved;
	DROP TABLE saved;
	SELECT state INTO grown FROM piramid_index_info('ivf_cell_i');
	SELECT count(*) INTO grown_faults FROM piramid_check('ivf_cell_i');
	SET LOCAL ivf.probes = 32768;
	SET LOCAL ivfflat.probes = 32768;
	grown_everything := ivf_recall(c.col, c.op, c.cast_to) >= 0.995;
	SET LOCAL ivf.probes = 0;
	SET LOCAL ivfflat.probes = 20;
	grown_usual := ivf_recall(c.col, c.op, c.cast_to) >= 0.93;
	DROP INDEX ivf_cell_i;
END $$;
SELECT c.am, c.opclass, r.* FROM ivf_cells c, ivf_cell(c) r ORDER BY c.am, c.opclass;

--
-- Probes and iterative scans
--
CREATE INDEX ivf_rows_v ON ivf_rows USING ivfflat (v) WITH (lists = 50);
-- one query at a time: the planner must see a constant
CREATE FUNCTION ivf_counted(OUT rows bigint, OUT ids bigint) LANGUAGE plpgsql AS $$
DECLARE
	x vector := (SELECT v FROM ivf_queries WHERE id = 1000001);
BEGIN
	SELECT count(*), count(DISTINCT id) INTO rows, ids FROM (SELECT id FROM ivf_rows ORDER BY v <-> x LIMIT 100000) r;
END $$;
SET enable_sort = off;
SELECT rows BETWEEN 20 AND 400 AS one_list, rows = ids AS once FROM ivf_counted();
SET ivfflat.probes = 10;
SELECT rows BETWEEN 400 AND 2000 AS ten_lists, rows = ids AS once FROM ivf_counted();
SET ivfflat.probes = 50;
SELECT * FROM ivf_counted();
SET ivfflat.probes = 3;
SET ivfflat.iterative_scan = relaxed_order;
SELECT * FROM ivf_counted();
SET ivfflat.max_probes = 2;
SELECT rows BETWEEN 50 AND 1000 AS three_lists, rows = ids AS once FROM ivf_counted();
SET ivfflat.max_probes = 10;
SELECT rows BETWEEN 400 AND 2000 AS ten_lists, rows = ids AS once FROM ivf_counted();
RESET ivfflat.max_probes;
-- a filter that nothing near the query passes
SELECT count(*) FROM (SELECT id FROM ivf_rows WHERE id % 400 = 7 ORDER BY v <-> (SELECT v FROM ivf_queries WHERE id = 1000002) LIMIT 10) r;
-- with all lists in one batch the whole answer is in order, but for three rows in 100,000 whose bound is wrong
SET ivfflat.probes = 50;
SELECT count(*), count(*) FILTER (WHERE d < before) <= 2 AS in_order FROM (
	SELECT d, lag(d, 1, 0::float8) OVER (ORDER BY n) AS before FROM (
		SELECT row_number() OVER () AS n, d FROM (
			SELECT v <-> (SELECT v FROM ivf_queries WHERE id = 1000003) AS d FROM ivf_rows ORDER BY v <-> (SELECT v FROM ivf_queries WHERE id = 1000003)) r) r) r;
RESET ivfflat.probes;
RESET ivfflat.iterative_scan;

--
-- NULL, zero, other dimensions, empty
--
CREATE TABLE ivf_odd (id int, v vector(3));
CREATE INDEX ivf_odd_c ON ivf_odd USING ivf (v vector_cosine_ops);
SELECT id FROM ivf_odd ORDER BY v <=> '[1,2,3]' LIMIT 5;
SELECT id FROM ivf_odd ORDER BY v <=> '[1,2]' LIMIT 5;
INSERT INTO ivf_odd VALUES (1, '[1,0,0]'), (2, '[0,0,0]'), (3, NULL), (4, '[0,1,0]'), (5, '[1,0.1,0]');
SELECT id FROM ivf_odd ORDER BY v <=> '[1,0,0]';
SELECT count(*) FROM (SELECT id FROM ivf_odd ORDER BY v <=> '[0,0,0]') r;
SELECT count(*) FROM (SELECT id FROM ivf_odd ORDER BY v <=> (SELECT NULL::vector)) r;
SELECT id FROM ivf_odd ORDER BY v <=> '[1,2]' LIMIT 5;
SELECT heap_rows FROM piramid_index_info('ivf_odd_c');
CREATE INDEX ivf_odd_l2 ON ivf_odd USING ivf (v vector_l2_ops);
SELECT id FROM ivf_odd ORDER BY v <-> '[0.5,0,0]';
-- identical rows, many more than a list has room for
INSERT INTO ivf_odd SELECT 100 + i, '[1,2,3]' FROM generate_series(1, 5000) i;
SELECT state, entries BETWEEN 1 AND 4 AS few_lists, heap_rows FROM piramid_index_info('ivf_odd_c');
SELECT count(*) FROM (SELECT id FROM ivf_odd ORDER BY v <=> '[1,2,3]' LIMIT 4000) r;
REINDEX INDEX ivf_odd_c;
SELECT state, entries BETWEEN 1 AND 4 AS few_lists, heap_rows FROM piramid_index_info('ivf_odd_c');
SELECT * FROM piramid_check('ivf_odd_c');
SELECT * FROM piramid_check('ivf_odd_l2');

--
-- VACUUM: rows go, pages are used again
--
CREATE TEMP TABLE ivf_sizes AS SELECT pg_relation_size('ivf_rows_v') AS size;
DELETE FROM ivf_rows WHERE id % 2 = 0;
VACUUM ivf_rows;
SELECT heap_rows FROM piramid_index_info('ivf_rows_v');
SELECT * FROM piramid_check('ivf_rows_v');
DELETE FROM ivf_rows;
VACUUM ivf_rows;
SELECT heap_rows, pages -> 'code' AS code FROM piramid_index_info('ivf_rows_v');
SELECT * FROM piramid_check('ivf_rows_v');
INSERT INTO ivf_rows SELECT i, ivf_value(i, 32) FROM generate_series(1, 4000) i;
SELECT heap_rows FROM piramid_index_info('ivf_rows_v');
SELECT pg_relation_size('ivf_rows_v') <= size * 1.02 AS no_larger FROM ivf_sizes;
SELECT * FROM piramid_check('ivf_rows_v');
SET ivfflat.probes = 50;
SELECT * FROM ivf_counted();

DROP TABLE ivf_rows, ivf_queries, ivf_cells, ivf_odd CASCADE;
DROP FUNCTION ivf_noise, ivf_value, ivf_recall, ivf_counted;
