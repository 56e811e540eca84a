-- Declaring ivf and ivfflat indexes: operator classes, options, errors and their
-- order, settings, and when plans use an index.

SET client_min_messages = warning;

-- run a statement; its outcome in one line, without what differs between server versions
CREATE FUNCTION ivf_try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN replace(SQLSTATE || ': ' || SQLERRM ||
				   CASE WHEN detail <> '' THEN ' DETAIL: ' || detail ELSE '' END ||
				   CASE WHEN hint <> '' THEN ' HINT: ' || hint ELSE '' END, 'public.', '');
END $$;

--
-- The catalog
--
SELECT amname, amtype, obj_description(oid, 'pg_am') FROM pg_am WHERE amname ~ '^ivf' ORDER BY amname;

SELECT am.amname, a.p AS property, pg_indexam_has_property(am.oid, a.p) AS value
FROM pg_am am,
	unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) WITH ORDINALITY a (p, n)
WHERE amname ~ '^ivf' ORDER BY amname, n;

SELECT opc.opcname, opc.opcintype::regtype, opc.opcdefault AS def, amop.amopopr::regoperator AS operator,
	amop.amopstrategy AS strategy, amop.amoppurpose AS purpose,
	(SELECT string_agg(amprocnum || ' ' || amproc::regprocedure::text, ', ' ORDER BY amprocnum)
	 FROM pg_amproc WHERE amprocfamily = opc.opcfamily) AS functions
FROM pg_opclass opc
	JOIN pg_am am ON am.oid = opc.opcmethod AND am.amname = 'ivfflat'
	JOIN pg_amop amop ON amop.amopfamily = opc.opcfamily
ORDER BY opc.opcintype::regtype::text, amop.amopopr::regoperator::text;

-- ivf has the same ones
SELECT opcname, opcintype::regtype, opcdefault, amopopr::regoperator FROM pg_opclass JOIN pg_am am ON am.oid = opcmethod AND amname = 'ivf'
	JOIN pg_amop ON amopfamily = opcfamily
EXCEPT SELECT opcname, opcintype::regtype, opcdefault, amopopr::regoperator FROM pg_opclass JOIN pg_am am ON am.oid = opcmethod AND amname = 'ivfflat'
	JOIN pg_amop ON amopfamily = opcfamily;
SELECT amname, count(*) AS opclasses, bool_and(amvalidate(opc.oid)) AS valid
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod WHERE am.amname ~ '^ivf' GROUP BY amname ORDER BY amname;

--
-- Every operator class, on an empty and on a small table
--
CREATE TABLE ivf_kinds (id integer, v vector(3), h halfvec(3), b bit(3));
CREATE TABLE ivf_opclasses AS
	SELECT amname::text, opcname::text, left(opcintype::regtype::text, 1) AS col
	FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod AND am.amname ~ '^ivf';

SELECT amname, opcname, ivf_try(format('CREATE INDEX ON ivf_kinds USING %I (%I %I)', amname, col, opcname)) AS empty
FROM ivf_opclasses ORDER BY amname, opcname;
INSERT INTO ivf_kinds SELECT i, v, v::halfvec(3), (i % 8)::bit(3)
	FROM generate_series(1, 20) i, LATERAL (SELECT ARRAY[i, i % 7, i % 3]::vector(3) AS v) AS value;
SELECT amname, opcname, ivf_try(format('CREATE INDEX %I ON ivf_kinds USING %I (%I %I)', amname || '_' || opcname, amname, col, opcname)) AS small
FROM ivf_opclasses ORDER BY amname, opcname;
SELECT count(*) AS indexes, bool_and(indisvalid) AS valid FROM pg_index WHERE indrelid = 'ivf_kinds'::regclass;
SELECT relname, c.invariant, c.detail FROM pg_class, piramid_check(oid::regclass) c WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'ivf_kinds'::regclass);
SELECT DISTINCT i.kind, i.state, i.heap_rows, i.entries, i.m FROM pg_index, piramid_index_info(indexrelid) i WHERE indrelid = 'ivf_kinds'::regclass;

-- Euclidean distance of vector is the default, as in the compatible surface
SELECT ivf_try('CREATE INDEX ivf_default ON ivf_kinds USING ivfflat (v)');
SELECT indexdef FROM pg_indexes WHERE indexname = 'ivf_default';
SELECT ivf_try('CREATE INDEX ON ivf_kinds USING ivfflat (h)');
SELECT ivf_try('CREATE INDEX ON ivf_kinds USING ivf (v vector_l1_ops)');

--
-- Options
--
SELECT o, ivf_try('CREATE INDEX ON ivf_kinds USING ivfflat (v) WITH (' || o || ')') AS ivfflat,
	ivf_try('CREATE INDEX ON ivf_kinds USING ivf (v) WITH (' || o || ')') AS ivf
FROM unnest(ARRAY['lists = 1', 'lists = ''32768''', 'lists = 0', 'lists = 32769', 'lists = many', 'quantizer = rabitq', 'quantizer = rabitq, bits = 1',
	'quantizer = rabitq, bits = 3', 'quantizer = none, bits = 4', 'quantizer = half', 'quantizer = sq8', 'bits = 9', 'm = 16']) o;

-- errors of columns, in the order of the compatible surface
CREATE TABLE ivf_columns (v vector, vb varbit, wide vector(2100), b vector(16000), bits bit(70000), s sparsevec(3));
SELECT o, ivf_try('CREATE INDEX ON ivf_columns USING ivfflat (' || o || ')')
FROM unnest(ARRAY['vb bit_hamming_ops', 'v', 'wide) WITH (quantizer = none', 'wide', 'b', 'b) WITH (quantizer = rabitq, bits = 8', 'bits bit_hamming_ops',
	's sparsevec_l2_ops', '(v::vector(3))', '(wide::halfvec(2100)) halfvec_l2_ops', '(binary_quantize(v)::bit(3)) bit_hamming_ops']) o;

-- one column, and no constraint
SELECT ivf_try('CREATE INDEX ON ivf_kinds USING ivf (v, id)');
SELECT ivf_try('CREATE UNIQUE INDEX ON ivf_kinds USING ivf (v)');

--
-- Settings
--
SELECT name, setting, vartype, min_val, max_val, enumvals, context FROM pg_settings WHERE name ~ '^ivf' ORDER BY name;
SELECT s, ivf_try('SET LOCAL ' || s) FROM unnest(ARRAY['ivfflat.probes = 0', 'ivfflat.probes = 32769', 'ivf.probes = -1', 'ivf.probes = 0',
	'ivfflat.iterative_scan = on', 'ivfflat.iterative_scan = strict_order', 'ivf.iterative_scan = relaxed_order', 'ivfflat.max_probes = 0',
	'ivfflat.nothing = 1', 'ivf.nothing = 1']) s;

--
-- Plans
--
CREATE TABLE ivf_plans (id integer, v vector(8));
INSERT INTO ivf_plans SELECT i, ARRAY(SELECT sin(i * d) FROM generate_series(1, 8) d)::vector FROM generate_series(1, 5000) i;
CREATE INDEX ivf_plans_v ON ivf_plans USING ivf (v vector_l2_ops);
VACUUM ANALYZE ivf_plans;
EXPLAIN (COSTS OFF) SELECT id FROM ivf_plans ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM ivf_plans ORDER BY v <-> '[1,2,3,4,5,6,7,8]';
EXPLAIN (COSTS OFF) SELECT id FROM ivf_plans ORDER BY v <-> '[1,2,3,4,5,6,7,8]' DESC LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM ivf_plans ORDER BY v <=> '[1,2,3,4,5,6,7,8]' LIMIT 5;
BEGIN;
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ivf_plans;
EXPLAIN (COSTS OFF) SELECT id FROM ivf_plans WHERE v <-> '[1,2,3,4,5,6,7,8]' < 1;
ROLLBACK;

--
-- Life
--
ALTER INDEX ivf_plans_v SET (lists = 7);
SELECT entries > 7 AS lists_kept FROM piramid_index_info('ivf_plans_v');
REINDEX INDEX ivf_plans_v;
SELECT entries FROM piramid_index_info('ivf_plans_v');
ALTER INDEX ivf_plans_v RESET (lists);
REINDEX INDEX CONCURRENTLY ivf_plans_v;
SELECT entries > 7 AS lists_chosen FROM piramid_index_info('ivf_plans_v');
TRUNCATE ivf_plans;
SELECT state, entries, heap_rows FROM piramid_index_info('ivf_plans_v');
SELECT count(*) FROM (SELECT id FROM ivf_plans ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 5) r;
SELECT * FROM piramid_check('ivf_plans_v');

-- memory: refused rather than exceeded, and said in MB
BEGIN;
SET LOCAL maintenance_work_mem = '1MB';
INSERT INTO ivf_plans SELECT i, ARRAY(SELECT sin(i * d) FROM generate_series(1, 8) d)::vector FROM generate_series(1, 2500) i;
SELECT state FROM piramid_index_info('ivf_plans_v');
SELECT ivf_try('CREATE INDEX ON ivf_plans USING ivf (v) WITH (lists = 32768)');
SELECT ivf_try('CREATE INDEX ON ivf_plans USING ivf (v) WITH (lists = 100)');
ROLLBACK;

-- unlogged and temporary tables, predicates
CREATE UNLOGGED TABLE ivf_unlogged (id integer, v vector(3));
CREATE INDEX ivf_unlogged_v ON ivf_unlogged USING ivfflat (v);
CREATE TEMP TABLE ivf_temp (id integer, v vector(3));
CREATE INDEX ivf_temp_v ON ivf_temp USING ivfflat (v vector_ip_ops) WHERE id > 2;
INSERT INTO ivf_unlogged SELECT i, ARRAY[i, 1, 1]::vector FROM generate_series(1, 3000) i;
INSERT INTO ivf_temp SELECT i, ARRAY[i, 1, 1]::vector FROM generate_series(1, 3000) i;
SELECT relname, state, heap_rows FROM pg_class, piramid_index_info(oid) WHERE relname IN ('ivf_unlogged_v', 'ivf_temp_v') ORDER BY relname DESC;
SELECT * FROM piramid_check('ivf_unlogged_v');
SELECT * FROM piramid_check('ivf_temp_v');

DROP TABLE ivf_kinds, ivf_opclasses, ivf_columns, ivf_plans, ivf_unlogged, ivf_temp;
DROP FUNCTION ivf_try;
