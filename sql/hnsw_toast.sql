-- Index scans over values that are out of line: each is read once for
-- re-ranking and given to the executor with its row, and to no other row.

SET client_min_messages = warning;
SET enable_seqscan = off;

-- 2,408 bytes a value: two chunks of TOAST
CREATE TABLE far (id integer PRIMARY KEY, v vector(600), h halfvec(1300));
INSERT INTO far SELECT i, v, v::real[]::vector::halfvec(600)::real[] || array_fill(0.5::real, ARRAY[700])
FROM (SELECT i, (SELECT array_agg(((i * 7919 + k * 104729 + i * i * k) % 1009 - 504)::real ORDER BY k)
				 FROM generate_series(1, 600) k)::vector(600) AS v
	  FROM generate_series(1, 200) i) AS rows;
CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops);
CREATE INDEX far_h ON far USING hnsw (h halfvec_l2_ops);
ANALYZE far;

-- how often this transaction has looked into the TOAST index of the table
CREATE FUNCTION toast_scans() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index
	WHERE indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'far'::regclass)
$$;

-- values are where they are expected
SELECT pg_relation_size(reltoastrelid) > 200 * 4000 AS out_of_line FROM pg_class WHERE oid = 'far'::regclass;

-- k rows, their distances as the executor computes them, and what reads it took
CREATE FUNCTION scan(k integer, OUT rows bigint, OUT right_distances boolean, OUT in_order boolean, OUT reads bigint)
LANGUAGE plpgsql AS $$
DECLARE
	q vector(600) := (SELECT v + v FROM far WHERE id = 77);
	before bigint := toast_scans();
	found integer[];
	distances float8[];
BEGIN
	SELECT array_agg(id), array_agg(d) INTO found, distances
	FROM (SELECT id, v <-> q AS d FROM far ORDER BY v <-> q LIMIT k) AS nearest;
	reads := toast_scans() - before;
	SELECT count(*), bool_and(d = (SELECT v <-> q FROM far WHERE far.id = f.id))
	INTO rows, right_distances FROM unnest(found, distances) AS f(id, d);
	in_order := distances = (SELECT array_agg(d ORDER BY d) FROM unnest(distances) AS d);
END $$;

-- all rows are re-ranked: one read each, none for the distance that is shown
BEGIN;
DELETE FROM far WHERE id > 20 AND id <> 77;
SELECT * FROM scan(21);
ROLLBACK;

-- more rows than a scan keeps values of
SET hnsw.ef_search = 200;
SELECT rows, right_distances, in_order FROM scan(200);

-- the value at hand is used by whatever looks at it, and survives functions that free their copies
SELECT bool_and(found.same AND found.d = (far.v <-> target.v)
				AND found.t = md5(far.v::text) AND found.n = vector_norm(far.v)
				AND found.c = (far.h <=> target.h)) AS right
FROM (SELECT v, h FROM far WHERE id = 5) AS target,
	LATERAL (SELECT id, v = v AS same, v <-> target.v AS d, md5(v::text) AS t, vector_norm(v) AS n,
				h <=> target.h AS c, v < target.v
			 FROM far WHERE v <-> target.v < 1e6 ORDER BY v <-> target.v LIMIT 40) AS found
	JOIN far USING (id);
SELECT bool_and(found.d = (far.h <-> target.h)) AS right
FROM (SELECT h FROM far WHERE id = 5) AS target,
	LATERAL (SELECT id, h <-> target.h AS d FROM far ORDER BY h <-> target.h LIMIT 40) AS found JOIN far USING (id);

-- two scans in turns, a change of the row between, an error in a subtransaction
BEGIN;
DECLARE a CURSOR FOR SELECT id, round((v <-> (SELECT v FROM far WHERE id = 1))::numeric, 3) FROM far ORDER BY v <-> (SELECT v FROM far WHERE id = 1);
DECLARE b CURSOR FOR SELECT id, round((v <-> (SELECT v FROM far WHERE id = 2))::numeric, 3) FROM far ORDER BY v <-> (SELECT v FROM far WHERE id = 2);
FETCH 2 FROM a;
FETCH 2 FROM b;
UPDATE far SET v = v + v WHERE id IN (1, 2);
SAVEPOINT s;
FETCH 1 FROM a;
SELECT v <-> '[1,2]' FROM far ORDER BY v <-> (SELECT v FROM far WHERE id = 9) LIMIT 1;
ROLLBACK TO s;
FETCH 1 FROM b;
SELECT id, v <-> (SELECT v FROM far WHERE id = 9) AS d FROM far ORDER BY v <-> (SELECT v FROM far WHERE id = 9) LIMIT 1;
ROLLBACK;

-- rescans
SELECT count(*), bool_and(found.id = far.id AND found.d = 0) AS right
FROM far, LATERAL (SELECT id, v <-> far.v AS d FROM far AS other ORDER BY v <-> far.v LIMIT 1) AS found;

-- values in line, of a table without TOAST, of a view of two tables
CREATE TABLE near_a (LIKE far);
ALTER TABLE near_a ALTER v SET STORAGE PLAIN, DROP COLUMN h;
INSERT INTO near_a SELECT id, v FROM far;
CREATE INDEX ON near_a USING hnsw (v vector_l2_ops);
SELECT count(*), bool_and(d = 0) FILTER (WHERE id = 7) AS right
FROM (SELECT id, v <-> (SELECT v FROM far WHERE id = 7) AS d
	  FROM (SELECT id, v FROM far UNION ALL SELECT id, v FROM near_a) AS tables
	  ORDER BY v <-> (SELECT v FROM far WHERE id = 7) LIMIT 60) AS found;

DROP TABLE far, near_a;
DROP FUNCTION toast_scans, scan;
