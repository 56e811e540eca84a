-- Scans that stop and go on: LIMIT and OFFSET, cursors, more rows than
-- hnsw.ef_search.

SET client_min_messages = warning;
SET enable_seqscan = off;

-- distance of row i from the origin is i: the order is known
CREATE TABLE line (id integer PRIMARY KEY, v vector(3));
INSERT INTO line SELECT i, ARRAY[i, 0, 0]::real[] FROM generate_series(1, 2000) i;
CREATE INDEX line_v ON line USING hnsw (v vector_l2_ops);
ANALYZE line;

CREATE FUNCTION ids(statement text) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
	result integer[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (%s) AS q (id)', statement) INTO result;
	RETURN result;
END $$;

-- LIMIT and OFFSET
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 1');
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 5 OFFSET 3');
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' OFFSET 37');
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' OFFSET 40');

-- no more than ef_search rows come, and a larger one, or an iterative scan, has them
SELECT count(*) FROM (SELECT id FROM line ORDER BY v <-> '[0,0,0]' LIMIT 100) AS q;
SET hnsw.ef_search = 100;
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 100') = ARRAY(SELECT generate_series(1, 100)) AS right;
SET hnsw.ef_search = 10;
SET hnsw.iterative_scan = strict_order;
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 100') = ARRAY(SELECT generate_series(1, 100)) AS right;
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 5 OFFSET 95');
SELECT count(DISTINCT id) FROM (SELECT id FROM line ORDER BY v <-> '[0,0,0]' LIMIT 1000) AS q;

-- a cursor goes on where it stopped, whatever happens between
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM line ORDER BY v <-> '[0,0,0]';
FETCH 3 FROM c;
INSERT INTO line VALUES (0, '[0,0,0]');
DELETE FROM line WHERE id BETWEEN 1 AND 10;
SELECT ids('SELECT id FROM line ORDER BY v <-> ''[0,0,0]'' LIMIT 3');
FETCH 3 FROM c;
SET hnsw.ef_search = 1;
SET hnsw.iterative_scan = off;
FETCH 8 FROM c;
MOVE 100 IN c;
FETCH 1 FROM c;
ROLLBACK;

-- ef_search = 10 nodes; the row 0 of the transaction rolled back is one of them
BEGIN;
SET LOCAL hnsw.iterative_scan = off;
DECLARE c CURSOR FOR SELECT id FROM line ORDER BY v <-> '[0,0,0]';
MOVE 8 IN c;
FETCH 3 FROM c;
FETCH 1 FROM c;
COMMIT;

-- backwards, and after the transaction
BEGIN;
DECLARE s SCROLL CURSOR WITH HOLD FOR SELECT id FROM line ORDER BY v <-> '[0,0,0]' LIMIT 20;
FETCH 3 FROM s;
FETCH BACKWARD 2 FROM s;
FETCH LAST FROM s;
FETCH ABSOLUTE 5 FROM s;
COMMIT;
DELETE FROM line WHERE id = 6;
FETCH 2 FROM s;
FETCH FIRST FROM s;
CLOSE s;

-- in a function that is left by an error, twice
CREATE FUNCTION first_rows(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	r record;
	seen integer := 0;
BEGIN
	FOR r IN SELECT id FROM line ORDER BY v <-> '[0,0,0]' LOOP
		seen := seen + 1;
		IF seen = n THEN
			RAISE EXCEPTION 'row %', r.id;
		END IF;
	END LOOP;
	RETURN seen;
EXCEPTION WHEN raise_exception THEN
	RETURN -seen;
END $$;
SELECT first_rows(4), first_rows(7);

DROP TABLE line;
DROP FUNCTION ids, first_rows;
