-- Out-of-line vectors, read in the order they were written and in any other:
-- whatever happened to the TOAST table, what comes back is what was stored.
\set VERBOSITY terse

-- a vector that its number determines, different in each chunk
CREATE FUNCTION pg_temp.made(i int, n int) RETURNS vector LANGUAGE sql AS $$
	SELECT (array_fill(i, ARRAY[n / 4]) || array_fill(-i, ARRAY[n / 4]) || array_fill(2 * i, ARRAY[n / 4]) || array_fill(i + 1, ARRAY[n - n / 4 * 3]))::vector $$;
CREATE FUNCTION pg_temp.dims(i int) RETURNS int LANGUAGE sql AS $$ SELECT 500 + i * 37 % 2500 $$;

CREATE TABLE toast_rows (i int, v vector, filler text, h halfvec, s sparsevec) WITH (autovacuum_enabled = off);
ALTER TABLE toast_rows ALTER filler SET STORAGE external;
INSERT INTO toast_rows SELECT i, v, repeat('x', i * 97 % 5000), v::halfvec || v::halfvec, v::sparsevec
FROM generate_series(1, 300) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
-- rows whose values are not what was made of their number; forward, backward, at random, every other
CREATE FUNCTION pg_temp.wrong(relation regclass, row_order text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FILTER (WHERE v <> made OR vector_dims(v) <> vector_dims(made) OR v <-> made <> 0
			OR h <+> (made::halfvec || made::halfvec) <> 0 OR s <-> made::sparsevec <> 0)
		FROM (SELECT *, pg_temp.made(i, pg_temp.dims(i)) AS made FROM (SELECT * FROM %s ORDER BY %s) t OFFSET 0) s', relation, row_order) INTO result;
	RETURN result;
END $$;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid'), pg_temp.wrong('toast_rows', 'ctid DESC'), pg_temp.wrong('toast_rows', 'i * 7919 % 300'), pg_temp.wrong('toast_rows', 'i % 2, i') FROM toast_rows;
SELECT count(*) FILTER (WHERE v <-> made <> 0) FROM (SELECT v, pg_temp.made(i, pg_temp.dims(i)) AS made FROM toast_rows) s;

-- updates put values elsewhere and leave dead chunks; vacuum makes holes, which inserts fill out of order
UPDATE toast_rows SET v = pg_temp.made(i + 1000, pg_temp.dims(i + 1000)), i = i + 1000, h = pg_temp.made(i + 1000, pg_temp.dims(i + 1000))::halfvec || pg_temp.made(i + 1000, pg_temp.dims(i + 1000))::halfvec,
	s = pg_temp.made(i + 1000, pg_temp.dims(i + 1000))::sparsevec WHERE i % 3 = 0;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid'), pg_temp.wrong('toast_rows', 'i') FROM toast_rows;
DELETE FROM toast_rows WHERE i % 5 = 0;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid'), pg_temp.wrong('toast_rows', 'i') FROM toast_rows;
VACUUM toast_rows;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid'), pg_temp.wrong('toast_rows', 'i') FROM toast_rows;
INSERT INTO toast_rows SELECT i, v, NULL, v::halfvec || v::halfvec, v::sparsevec FROM generate_series(2001, 2200) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid'), pg_temp.wrong('toast_rows', 'i DESC') FROM toast_rows;
-- another file under the same table
VACUUM FULL toast_rows;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
CREATE INDEX toast_rows_i ON toast_rows (i);
CLUSTER toast_rows USING toast_rows_i;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;

-- a table that shrinks under a remembered position, in one transaction and in subtransactions
BEGIN;
SELECT pg_temp.wrong('toast_rows', 'ctid');
TRUNCATE toast_rows;
INSERT INTO toast_rows SELECT i, v, NULL, v::halfvec || v::halfvec, v::sparsevec FROM generate_series(1, 2) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
ROLLBACK;
BEGIN;
SELECT pg_temp.wrong('toast_rows', 'ctid');
SAVEPOINT a;
TRUNCATE toast_rows;
INSERT INTO toast_rows SELECT i, v, NULL, v::halfvec || v::halfvec, v::sparsevec FROM generate_series(1, 3) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
SAVEPOINT b;
TRUNCATE toast_rows;
INSERT INTO toast_rows SELECT i, v, NULL, v::halfvec || v::halfvec, v::sparsevec FROM generate_series(4, 5) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
ROLLBACK TO b;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
ROLLBACK TO a;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
COMMIT;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
-- a table that this transaction made is cut short without getting another file
BEGIN;
CREATE TABLE toast_new (v vector);
INSERT INTO toast_new SELECT pg_temp.made(i, 600) FROM generate_series(1, 200) i;
SELECT sum(v <-> v) FROM toast_new;
TRUNCATE toast_new;
INSERT INTO toast_new VALUES (pg_temp.made(1, 600)), (pg_temp.made(2, 600));
SELECT v <-> pg_temp.made(1, 600) = 0, v <-> pg_temp.made(2, 600) = 0 FROM toast_new;
ROLLBACK;
DELETE FROM toast_rows WHERE i > 10;
VACUUM toast_rows;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;
INSERT INTO toast_rows SELECT i, v, NULL, v::halfvec || v::halfvec, v::sparsevec FROM generate_series(3000, 3050) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_rows', 'ctid') FROM toast_rows;

-- a snapshot still sees values whose rows are deleted; a failed subtransaction's are never seen
BEGIN;
DECLARE c CURSOR FOR SELECT i, v <-> pg_temp.made(i, pg_temp.dims(i)) AS distance FROM toast_rows ORDER BY ctid;
FETCH 2 FROM c;
DELETE FROM toast_rows WHERE i < 8;
SAVEPOINT a;
INSERT INTO toast_rows (i, v) VALUES (9999, pg_temp.made(9999, 3000));
ROLLBACK TO a;
FETCH 3 FROM c;
ROLLBACK;

-- temporary tables live in the session's own buffers
CREATE TEMP TABLE toast_temp AS SELECT i, v, NULL::text AS filler, v::halfvec || v::halfvec AS h, v::sparsevec AS s FROM generate_series(1, 100) i, LATERAL pg_temp.made(i, pg_temp.dims(i)) v;
SELECT count(*), pg_temp.wrong('toast_temp', 'ctid'), pg_temp.wrong('toast_temp', 'i * 37 % 100') FROM toast_temp;

-- exact scans do read in order: fewer pages than one descent of the index per value would touch
CREATE TABLE toast_seq (v vector(600)) WITH (autovacuum_enabled = off);
INSERT INTO toast_seq SELECT pg_temp.made(i, 600) FROM generate_series(1, 2000) i;
VACUUM ANALYZE toast_seq;
CREATE FUNCTION pg_temp.pages_read(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int;
END $$;
SET max_parallel_workers_per_gather = 0;
SELECT CASE WHEN pages BETWEEN 2000 AND 3500 THEN 'in order' ELSE pages || ' pages' END AS scan
FROM pg_temp.pages_read('SELECT vector_norm(v) FROM toast_seq') AS pages;
-- a query that lies out of line too is read once or twice, not once per row
SELECT CASE WHEN pages BETWEEN 2000 AND 3500 THEN 'in order' ELSE pages || ' pages' END AS scan
FROM pg_temp.pages_read('SELECT v <-> (SELECT v FROM toast_seq LIMIT 1) FROM toast_seq') AS pages;
-- and is never taken for another one, on either side, nor in another transaction
CREATE TABLE toast_pairs AS SELECT i, pg_temp.made(i, 600) AS v FROM generate_series(1, 20) i;
SELECT count(*) FILTER (WHERE (a.v <-> b.v = 0) <> (a.i = b.i)) AS left_kept, count(*) FILTER (WHERE (b.v <-> a.v = 0) <> (a.i = b.i)) AS right_kept,
	count(*) FILTER (WHERE (a.v::halfvec(600) <+> b.v::halfvec = 0) <> (a.i = b.i)) AS halfvec FROM toast_pairs a, toast_pairs b;
DO $$
DECLARE
	stored vector;
BEGIN
	FOR n IN 1 .. 3 LOOP
		FOR twice IN 1 .. 2 LOOP
			SELECT v INTO stored FROM toast_pairs WHERE i = n;
			ASSERT stored <-> pg_temp.made(n, 600) = 0;
		END LOOP;
		TRUNCATE toast_pairs;
		INSERT INTO toast_pairs SELECT i, pg_temp.made(i, 600) FROM generate_series(1, 20) i;
		COMMIT;
	END LOOP;
END $$;
DROP TABLE toast_pairs;

-- four chunks fill a page, so a fifth goes where there is room; 3000 and 16000 dimensions have such, too
CREATE TABLE toast_pieces (i int, v vector) WITH (autovacuum_enabled = off);
INSERT INTO toast_pieces SELECT i, pg_temp.made(i, n) FROM unnest(ARRAY[2000, 3000, 16000]) n, generate_series(1, 50) i;
SELECT vector_dims(v), count(*), count(*) FILTER (WHERE v <-> pg_temp.made(i, vector_dims(v)) <> 0) AS wrong FROM toast_pieces GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE v <-> pg_temp.made(i, vector_dims(v)) <> 0) AS wrong FROM (SELECT * FROM toast_pieces ORDER BY i * 31 % 50, ctid DESC OFFSET 0) t;
DROP TABLE toast_rows, toast_temp, toast_seq, toast_pieces;
