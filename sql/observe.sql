-- piramid_index_info() and piramid_check()
SET client_min_messages = warning;

CREATE TABLE observed (id int PRIMARY KEY, v vector(3), c text);
CREATE INDEX observed_idx ON observed USING hnsw (v vector_l2_ops);

-- an empty index
SELECT access_method, kind, state, value_type, metric, quantizer, bits, dimensions, code_dimensions, m,
	trained_rows, heap_rows, live_nodes, dead_nodes, free_nodes, entries, bytes_per_row, format_version
FROM piramid_index_info('observed_idx');
SELECT pages, bytes / current_setting('block_size')::int AS blocks FROM piramid_index_info('observed_idx');
SELECT * FROM piramid_check('observed_idx');

-- rows, duplicates, NULL
INSERT INTO observed SELECT i, ARRAY[i % 50, i % 7, 1] FROM generate_series(1, 500) i;
INSERT INTO observed VALUES (501, NULL), (502, '[0,0,0]');
SELECT state, heap_rows, live_nodes FROM piramid_index_info('observed_idx');
SELECT * FROM piramid_check('observed_idx');
INSERT INTO observed SELECT i, ARRAY[i, i % 50, 1] FROM generate_series(1001, 3000) i;
SELECT state, heap_rows, heap_rows > live_nodes AS shared FROM piramid_index_info('observed_idx');
SELECT * FROM piramid_check('observed_idx');
SELECT * FROM piramid_check('observed_idx', exclusive => false);

-- every page is of some kind
SELECT (SELECT sum(value::int) FROM jsonb_each_text(pages)) = bytes / current_setting('block_size')::int AS all_pages
FROM piramid_index_info('observed_idx');

-- deleted rows, before and after VACUUM
DELETE FROM observed WHERE id % 2 = 0;
SELECT * FROM piramid_check('observed_idx');
VACUUM observed;
SELECT dead_nodes, free_nodes > 0 AS freed, heap_rows = (SELECT count(v) FROM observed) AS as_table
FROM piramid_index_info('observed_idx');
SELECT * FROM piramid_check('observed_idx');

-- members of HOT chains are indexed by their root
UPDATE observed SET c = 'x' WHERE id % 5 = 0;
UPDATE observed SET c = 'y' WHERE id % 5 = 0;
SELECT * FROM piramid_check('observed_idx');
CREATE INDEX observed_cosine_idx ON observed USING hnsw (v vector_cosine_ops);
SELECT heap_rows = (SELECT count(*) FROM observed WHERE v <> '[0,0,0]') AS without_zero, metric FROM piramid_index_info('observed_cosine_idx');
SELECT * FROM piramid_check('observed_cosine_idx');

-- expressions and predicates
CREATE TABLE observed_expression (id int, a real[]);
CREATE INDEX observed_expression_idx ON observed_expression USING hnsw ((a::vector(3)) vector_l2_ops) WHERE id > 10;
INSERT INTO observed_expression SELECT i, ARRAY[i, i % 7, i % 3] FROM generate_series(1, 200) i;
INSERT INTO observed_expression VALUES (300, NULL);
SELECT heap_rows, value_type FROM piramid_index_info('observed_expression_idx');
SELECT * FROM piramid_check('observed_expression_idx');
UPDATE observed_expression SET id = 1 WHERE id BETWEEN 100 AND 110;
SELECT * FROM piramid_check('observed_expression_idx');

-- rows of the own transaction, and of one that was rolled back
BEGIN;
INSERT INTO observed VALUES (9000, '[1,2,3]');
SELECT * FROM piramid_check('observed_idx');
ROLLBACK;
SELECT * FROM piramid_check('observed_idx');

-- the index's functions run as the table's owner, restricted
-- names are found whatever the search path, which PostgreSQL 17 narrows here
CREATE FUNCTION observed_whoami(real[]) RETURNS vector(3) LANGUAGE plpgsql IMMUTABLE SET search_path = public AS $$
BEGIN
	IF current_user <> 'regress_piramid_owner' THEN RAISE EXCEPTION 'run as %', current_user; END IF;
	RETURN $1::vector(3);
END $$;
CREATE ROLE regress_piramid_owner;
CREATE ROLE regress_piramid_other;
CREATE TABLE observed_owned (a real[]);
CREATE INDEX observed_owned_idx ON observed_owned USING hnsw ((observed_whoami(a)::vector(3)) vector_l2_ops);
ALTER TABLE observed_owned OWNER TO regress_piramid_owner;
SET ROLE regress_piramid_owner;
INSERT INTO observed_owned VALUES ('{1,2,3}');
SELECT * FROM piramid_check('observed_owned_idx');
RESET ROLE;
SELECT * FROM piramid_check('observed_owned_idx');

-- rights
SET ROLE regress_piramid_other;
SELECT * FROM piramid_check('observed_owned_idx');
SELECT * FROM piramid_index_info('observed_owned_idx');
RESET ROLE;
GRANT SELECT ON observed_owned TO regress_piramid_other;
SET ROLE regress_piramid_other;
SELECT kind FROM piramid_index_info('observed_owned_idx');
SELECT * FROM piramid_check('observed_owned_idx');
RESET ROLE;
REVOKE SELECT ON observed_owned FROM regress_piramid_other;
GRANT pg_monitor TO regress_piramid_other;
SET ROLE regress_piramid_other;
SELECT kind FROM piramid_index_info('observed_owned_idx');
RESET ROLE;

-- what is no index of ours
CREATE TABLE observed_parts (id int, v vector(3)) PARTITION BY HASH (id);
CREATE INDEX observed_parts_idx ON observed_parts USING hnsw (v vector_l2_ops);
SELECT * FROM piramid_check('observed');
SELECT * FROM piramid_check('observed_pkey');
SELECT * FROM piramid_check('observed_parts_idx');
SELECT * FROM piramid_check(0);
SELECT * FROM piramid_index_info('observed');
SELECT * FROM piramid_index_info('observed_pkey');
SELECT * FROM piramid_check(NULL);
DO $$
BEGIN
	PERFORM piramid_check('observed_pkey');
EXCEPTION WHEN wrong_object_type THEN
	RAISE WARNING 'wrong object type';
END $$;

-- unlogged and temporary ones, and an index that is not valid
CREATE UNLOGGED TABLE observed_unlogged (v vector(3));
CREATE TEMPORARY TABLE observed_temporary (v halfvec(3));
CREATE INDEX observed_unlogged_idx ON observed_unlogged USING hnsw (v vector_ip_ops);
CREATE INDEX observed_temporary_idx ON observed_temporary USING hnsw (v halfvec_l1_ops);
INSERT INTO observed_unlogged SELECT ARRAY[i, 1, 2] FROM generate_series(1, 1500) i;
INSERT INTO observed_temporary SELECT ARRAY[i % 100, i % 7, 2] FROM generate_series(1, 1500) i;
SELECT state, heap_rows, metric, quantizer FROM piramid_index_info('observed_unlogged_idx');
SELECT state, heap_rows, metric, quantizer FROM piramid_index_info('observed_temporary_idx');
SELECT * FROM piramid_check('observed_unlogged_idx');
SELECT * FROM piramid_check('observed_temporary_idx');
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'observed_unlogged_idx'::regclass;
SELECT * FROM piramid_check('observed_unlogged_idx');

DROP TABLE observed, observed_expression, observed_owned, observed_parts, observed_unlogged, observed_temporary;
DROP FUNCTION observed_whoami;
DROP ROLE regress_piramid_owner, regress_piramid_other;
