-- Declaring hnsw indexes: operator classes, options, errors and their order,
-- what kind of columns and tables can be indexed, and when plans use an index.

SET client_min_messages = warning;

-- run a statement; its outcome in one line, without what differs between server versions
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
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

-- the plan, without what differs between server versions
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ 'Disabled:';
		line := replace(replace(line, ' (returns $0)', ''), '$0', '(InitPlan 1).col1');
		RETURN NEXT regexp_replace(line, '\[[^]]{40,}\]', '[...]');
	END LOOP;
END $$;

--
-- The catalog
--
SELECT amname, amtype, obj_description(oid, 'pg_am') FROM pg_am WHERE amname = 'hnsw';

SELECT a.p AS property, pg_indexam_has_property(am.oid, a.p) AS value
FROM pg_am am,
	unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) WITH ORDINALITY a (p, n)
WHERE amname = 'hnsw' ORDER BY n;

SELECT opc.opcname, opc.opcintype::regtype, opc.opcdefault AS def, amop.amopopr::regoperator AS operator,
	amop.amopstrategy AS strategy, amop.amoppurpose AS purpose, sort.opfname AS sort,
	(SELECT string_agg(amprocnum || ' ' || amproc::regprocedure::text, ', ' ORDER BY amprocnum)
	 FROM pg_amproc WHERE amprocfamily = opc.opcfamily) AS functions
FROM pg_opclass opc
	JOIN pg_am am ON am.oid = opc.opcmethod AND am.amname = 'hnsw'
	JOIN pg_amop amop ON amop.amopfamily = opc.opcfamily
	JOIN pg_opfamily sort ON sort.oid = amop.amopsortfamily
ORDER BY opc.opcintype::regtype::text, amop.amopopr::regoperator::text;

SELECT count(*) AS opclasses, bool_and(amvalidate(opc.oid)) AS valid,
	bool_and(obj_description(opc.oid, 'pg_opclass') IS NOT NULL) AS described,
	bool_and(obj_description(opc.opcfamily, 'pg_opfamily') IS NOT NULL) AS family_described
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod AND am.amname = 'hnsw';

SELECT proname, provolatile, proisstrict, proparallel
FROM pg_proc WHERE proname ~ '^hnsw' ORDER BY proname;

--
-- Every operator class, on an empty and on a small table
--
CREATE TABLE kinds (id integer, v vector(3), h halfvec(3), s sparsevec(3), b bit(3));
CREATE TABLE opclasses AS
	SELECT opcname::text, left(opcintype::regtype::text, 1) AS col
	FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod AND am.amname = 'hnsw';

SELECT opcname, try(format('CREATE INDEX ON kinds USING hnsw (%I %I)', col, opcname)) AS empty
FROM opclasses ORDER BY opcname;
INSERT INTO kinds SELECT i, v, v::halfvec(3), v::sparsevec(3), (i % 8)::bit(3)
	FROM generate_series(1, 20) i, LATERAL (SELECT ARRAY[i, i % 7, i % 3]::vector(3) AS v) AS value;
SELECT count(*) FROM pg_index WHERE indrelid = 'kinds'::regclass AND indisvalid;
SELECT indexdef FROM pg_indexes WHERE tablename = 'kinds' ORDER BY indexname LIMIT 3;
SELECT opcname, try(format('CREATE INDEX %I ON kinds USING hnsw (%I %I)', 'small_' || opcname, col, opcname)) AS small
FROM opclasses ORDER BY opcname;

-- no operator class is the default, and each is for its type only
SELECT try('CREATE INDEX ON kinds USING hnsw (v)');
SELECT try('CREATE INDEX ON kinds USING hnsw (v halfvec_l2_ops)');
SELECT try('CREATE INDEX ON kinds USING hnsw (id vector_l2_ops)');
SELECT try('CREATE INDEX ON kinds USING hnsw (v vector_ops)');
SELECT try('CREATE INDEX ON kinds USING hnsw (s sparsevec_hamming_ops)');

--
-- Options
--
CREATE TABLE t (id integer, v vector(3), h halfvec(3), s sparsevec(3), b bit(3), wide sparsevec(2000));
INSERT INTO t SELECT id, v, h, s, b, ('{1:' || id || '}/2000')::sparsevec FROM kinds;
DROP TABLE kinds;

CREATE FUNCTION try_index(col text, options text) RETURNS text LANGUAGE sql AS $$
	SELECT try(format('CREATE INDEX t_idx ON t USING hnsw (%s) WITH (%s); DROP INDEX t_idx', col, options))
$$;

-- limits, just inside and just outside
SELECT options, try_index('v vector_l2_ops', options) AS result FROM (VALUES
	('m = 2'), ('m = 100, ef_construction = 200'), ('m = 1'), ('m = 101'), ('m = -1'), ('m = x'), ('m = 16.5'),
	('ef_construction = 4, m = 2'), ('ef_construction = 1000'), ('ef_construction = 3'), ('ef_construction = 1001'),
	('m = ''16'', ef_construction = ''64'''), ('m'), ('m = 17, m = 18'),
	('bits = 1'), ('bits = 8'), ('bits = 0'), ('bits = 9'), ('bits = -1'),
	('quantizer = AUTO'), ('quantizer = ''Rabitq'''), ('quantizer = pq'), ('quantizer = bits'), ('quantizer = '''''), ('quantizer = 1'),
	('lists = 10'), ('fillfactor = 90'), ('hnsw.m = 16')) AS o (options);

-- ef_construction goes with m
SELECT options, try_index('v vector_l2_ops', options) AS result FROM (VALUES
	('m = 32'), ('m = 33'), ('ef_construction = 31'), ('ef_construction = 32'), ('m = 2, ef_construction = 4'),
	('m = 100'), ('m = 100, ef_construction = 199')) AS o (options);

-- quantizers and what they serve
SELECT opclass, quantizer, try_index(opclass, 'quantizer = ' || quantizer) AS result
FROM unnest(ARRAY['v vector_l2_ops', 'v vector_ip_ops', 'v vector_cosine_ops', 'v vector_l1_ops', 'h halfvec_l2_ops',
		'h halfvec_l1_ops', 's sparsevec_cosine_ops', 's sparsevec_l1_ops', 'wide sparsevec_ip_ops',
		'b bit_hamming_ops', 'b bit_jaccard_ops']) WITH ORDINALITY AS o (opclass, i),
	unnest(ARRAY['auto', 'none', 'half', 'sq8', 'rabitq']) WITH ORDINALITY AS q (quantizer, j)
ORDER BY i, j;

-- bits and the quantizers that have them
SELECT opclass, options, try_index(opclass, options) AS result FROM (VALUES
	('v vector_l2_ops', 'bits = 1'), ('v vector_l2_ops', 'bits = 2'), ('v vector_l2_ops', 'bits = 3'),
	('v vector_l2_ops', 'bits = 4'), ('v vector_l2_ops', 'bits = 5'), ('v vector_l2_ops', 'bits = 7'),
	('v vector_l2_ops', 'bits = 8'), ('v vector_l2_ops', 'bits = 6, quantizer = rabitq'),
	('v vector_l2_ops', 'bits = 8, quantizer = none'), ('h halfvec_ip_ops', 'bits = 4, quantizer = half'),
	('v vector_l2_ops', 'bits = 8, quantizer = sq8'), ('v vector_l2_ops', 'bits = 4, quantizer = sq8'),
	('v vector_l1_ops', 'bits = 8'), ('v vector_l1_ops', 'bits = 4'), ('v vector_l1_ops', 'bits = 4, quantizer = rabitq'),
	('b bit_hamming_ops', 'bits = 1'), ('b bit_hamming_ops', 'bits = 2')) AS o (opclass, options);

-- what is taken by default: in few dimensions the values are shorter than any code
CREATE TABLE defaults (v8 vector(8), v11 vector(11), v12 vector(12), v1536 vector(1536),
	h18 halfvec(18), h19 halfvec(19), s11 sparsevec(11), s12 sparsevec(12), s1024 sparsevec(1024), s1025 sparsevec(1025),
	b bit(9));
SELECT i, col, opclass, options, quantizer, bits, dimensions, code_dimensions
FROM (VALUES
	(1, 'v8', 'vector_l2_ops', ''), (2, 'v11', 'vector_cosine_ops', ''), (3, 'v12', 'vector_ip_ops', ''),
	(4, 'v1536', 'vector_cosine_ops', ''), (5, 'v1536', 'vector_l1_ops', ''), (6, 'v8', 'vector_l1_ops', ''),
	(7, 'v8', 'vector_l2_ops', 'WITH (bits = 4)'), (8, 'v1536', 'vector_l2_ops', 'WITH (bits = 1)'),
	(9, 'h18', 'halfvec_l2_ops', ''), (10, 'h19', 'halfvec_l2_ops', ''), (11, 's11', 'sparsevec_l2_ops', ''),
	(12, 's12', 'sparsevec_ip_ops', ''), (13, 's1024', 'sparsevec_cosine_ops', ''), (14, 's1025', 'sparsevec_l1_ops', ''),
	(15, 'b', 'bit_jaccard_ops', '')) AS o (i, col, opclass, options),
	LATERAL (SELECT try(format('CREATE INDEX defaults_%s ON defaults USING hnsw (%I %I) %s', i, col, opclass, options)) AS result) AS made,
	LATERAL piramid_index_info(CASE WHEN result = 'ok' THEN ('defaults_' || i)::regclass END)
ORDER BY i;
DROP TABLE defaults;

-- what is declared comes back
CREATE INDEX t_v ON t USING hnsw (v vector_cosine_ops) WITH (m = 8, ef_construction = 32, quantizer = rabitq, bits = 2);
SELECT pg_get_indexdef('t_v'::regclass), reloptions FROM pg_class WHERE relname = 't_v';
ALTER INDEX t_v SET (m = 12, quantizer = sq8);
ALTER INDEX t_v RESET (bits);
SELECT pg_get_indexdef('t_v'::regclass);
REINDEX INDEX t_v;
SELECT try('ALTER INDEX t_v SET (m = 101)');
SELECT try('ALTER INDEX t_v SET (bits = 0)');
SELECT try('ALTER INDEX t_v SET (lists = 1)');
-- not checked against each other before the index is built again
ALTER INDEX t_v SET (m = 50);
SELECT try('REINDEX INDEX t_v');
DROP INDEX t_v;

--
-- Columns that cannot be indexed: errors, and which comes first
--
CREATE TABLE loose (v vector, h halfvec, s sparsevec, vb varbit, vb3 varbit(3), b bit(1048576), b1 bit(1048577), t text);
SELECT col, options, try(format('CREATE INDEX ON loose USING hnsw (%s) WITH (%s)', col, options)) AS result FROM (VALUES
	('v vector_l2_ops', 'm = 16'), ('h halfvec_l2_ops', 'm = 16'), ('s sparsevec_l2_ops', 'm = 16'),
	('(v::halfvec) halfvec_l2_ops', 'm = 16'), ('(b::bit(4)::text::varbit::bit varying) bit_hamming_ops', 'm = 16'),
	('vb bit_hamming_ops', 'm = 16'), ('vb3 bit_jaccard_ops', 'm = 16'),
	('b bit_hamming_ops', 'm = 16'), ('b1 bit_hamming_ops', 'm = 16'),
	-- varbit before dimensions before limits before options before quantizer before bits
	('vb bit_hamming_ops', 'm = 33, quantizer = half'),
	('v vector_l2_ops', 'm = 33, bits = 3'),
	('b1 bit_jaccard_ops', 'm = 33, quantizer = half'),
	('b bit_hamming_ops', 'm = 33, quantizer = half, bits = 3'),
	('b bit_hamming_ops', 'quantizer = half, bits = 3'),
	('b bit_hamming_ops', 'bits = 3'),
	-- an option out of bounds is seen before any of them
	('vb bit_hamming_ops', 'm = 1'),
	-- dimensions by a cast
	('(v::vector(16000)) vector_l2_ops', 'm = 16'), ('(h::halfvec(16000)) halfvec_l2_ops', 'm = 16'),
	('(s::sparsevec(1000000000)) sparsevec_l2_ops', 'm = 16'),
	('(v::halfvec(3)) halfvec_l2_ops', 'm = 16'), ('(binary_quantize(v)::bit(3)) bit_hamming_ops', 'm = 16'),
	('(subvector(v, 1, 3)::vector(3)) vector_cosine_ops', 'm = 16'), ('(vb::bit(3)) bit_jaccard_ops', 'm = 16'),
	('(t::vector(3)) vector_l2_ops', 'm = 16')) AS o (col, options);
-- the same when there are rows
INSERT INTO loose (t) VALUES ('[1,2,3]');
SELECT try('CREATE INDEX ON loose USING hnsw (v vector_l2_ops)');
DROP TABLE loose;

-- domains
CREATE DOMAIN embedding AS vector(3) CHECK (vector_norm(VALUE) > 0);
CREATE DOMAIN anything AS vector;
CREATE TABLE typed (e embedding, a anything);
SELECT try('CREATE INDEX ON typed USING hnsw (e vector_l2_ops)');
SELECT try('CREATE INDEX ON typed USING hnsw (a vector_l2_ops)');
DROP TABLE typed;
DROP DOMAIN embedding, anything;

-- what no hnsw index can be
SELECT try('CREATE UNIQUE INDEX ON t USING hnsw (v vector_l2_ops)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops, h halfvec_l2_ops)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops) INCLUDE (id)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops DESC)');
SELECT try('CREATE INDEX ON t USING hnsw (v vector_l2_ops NULLS FIRST)');
SELECT try('ALTER TABLE t ADD EXCLUDE USING hnsw (v vector_l2_ops WITH =)');
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
SELECT try('CLUSTER t USING t_v');
DROP INDEX t_v;

--
-- Values of other dimensions than the column
--
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
CREATE INDEX ON t USING hnsw (h halfvec_l2_ops);
CREATE INDEX ON t USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON t USING hnsw (b bit_hamming_ops);
SELECT try('INSERT INTO t (v) VALUES (''[1,2]'')');
SELECT try('INSERT INTO t (b) VALUES (''1010'')');
SET enable_seqscan = off;
SELECT try('SELECT id FROM t ORDER BY v <-> ''[1,2]'' LIMIT 1');
SELECT try('SELECT id FROM t ORDER BY h <-> ''[1,2,3,4]'' LIMIT 1');
SELECT try('SELECT id FROM t ORDER BY s <-> ''{1:1}/4'' LIMIT 1');
SELECT try('SELECT id FROM t ORDER BY b <~> ''10'' LIMIT 1');
RESET enable_seqscan;

-- an expression can give what its type modifier does not say
CREATE TABLE any_dim (id integer, v vector);
CREATE INDEX ON any_dim USING hnsw ((v::vector(3)) vector_l2_ops) WHERE vector_dims(v) = 3;
CREATE INDEX ON any_dim USING hnsw ((v::vector(2)) vector_l2_ops) WHERE vector_dims(v) = 2;
INSERT INTO any_dim VALUES (1, '[1,2,3]'), (2, '[1,2]'), (3, '[1,2,3,4]');
CREATE TABLE strict_dim (id integer, v vector);
CREATE INDEX ON strict_dim USING hnsw ((v::vector(3)) vector_l2_ops);
SELECT try('INSERT INTO strict_dim VALUES (1, ''[1,2]'')');
DROP TABLE strict_dim;

--
-- Plans
--
CREATE TABLE p (id integer, cat integer, v vector(3), h halfvec(3), s sparsevec(3), b bit(8));
INSERT INTO p
	SELECT i, i % 10, v, v::halfvec(3), v::sparsevec(3), (i % 256)::bit(8)
	FROM generate_series(1, 2000) i,
		LATERAL (SELECT ARRAY[i % 13, i % 37, i % 101]::vector(3) AS v) AS value;
CREATE INDEX p_l2 ON p USING hnsw (v vector_l2_ops);
CREATE INDEX p_ip ON p USING hnsw (v vector_ip_ops);
CREATE INDEX p_cosine ON p USING hnsw (v vector_cosine_ops);
CREATE INDEX p_l1 ON p USING hnsw (v vector_l1_ops);
CREATE INDEX p_h ON p USING hnsw (h halfvec_l2_ops);
CREATE INDEX p_s ON p USING hnsw (s sparsevec_l2_ops);
CREATE INDEX p_hamming ON p USING hnsw (b bit_hamming_ops);
CREATE INDEX p_jaccard ON p USING hnsw (b bit_jaccard_ops);
CREATE INDEX p_expr ON p USING hnsw ((v::halfvec(3)) halfvec_l2_ops);
CREATE INDEX p_bin ON p USING hnsw ((binary_quantize(v)::bit(3)) bit_hamming_ops);
VACUUM ANALYZE p;

-- the index of the operator, with either order of arguments
SELECT plan('SELECT id FROM p ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY ''[1,2,3]'' <-> v LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <#> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <=> ''[1,2,3]''::vector LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <+> ''[1,2,3]''::vector(3) LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY h <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY s <-> ''{1:1}/3'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY b <~> B''00000001'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY b <%> ''00000001'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v::halfvec(3) <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY binary_quantize(v)::bit(3) <~> binary_quantize(''[1,2,3]''::vector) LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <-> (SELECT v FROM p WHERE id = 5) LIMIT 5');
PREPARE nearest(vector) AS SELECT id FROM p ORDER BY v <-> $1 LIMIT 5;
SET plan_cache_mode = force_generic_plan;
SELECT plan('EXECUTE nearest(''[1,2,3]'')');
RESET plan_cache_mode;
DEALLOCATE nearest;
-- a filter stays above the scan; so does a distance in WHERE
SELECT plan('SELECT id FROM p WHERE cat <> 3 ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p WHERE v <-> ''[1,2,3]'' < 4 ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT o.id, n.id FROM (SELECT * FROM p LIMIT 3) o, LATERAL (SELECT id FROM p ORDER BY v <-> o.v LIMIT 2) n');

-- not without LIMIT, where a sort of everything is better
SELECT plan('SELECT id FROM p ORDER BY v <-> ''[1,2,3]''');
SELECT plan('SELECT id FROM p WHERE cat = 3 ORDER BY v <-> ''[1,2,3]''');

-- what no index can do, whatever else is forbidden
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT plan('SELECT count(*) FROM p');
SELECT plan('SELECT id FROM p WHERE v <-> ''[1,2,3]'' < 4');
SELECT plan('SELECT id FROM p WHERE v IS NULL');
SELECT plan('SELECT id FROM p WHERE v = ''[1,2,3]''');
SELECT plan('SELECT id FROM p ORDER BY v <-> ''[1,2,3]'' DESC LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY 1 - (v <=> ''[1,2,3]'') LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY l2_distance(v, ''[1,2,3]'') LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v::halfvec <-> ''[1,2,3]'' LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <-> NULL LIMIT 5');
SELECT plan('SELECT id FROM p ORDER BY v <-> v LIMIT 5');
SELECT plan('SELECT v FROM p ORDER BY v LIMIT 5');
-- but forced, a scan without LIMIT, and the minimum of a distance
SELECT plan('SELECT min(v <-> ''[1,2,3]'') FROM p');
SELECT plan('SELECT id FROM p ORDER BY v <-> ''[1,2,3]''');
RESET enable_seqscan;
RESET enable_bitmapscan;
-- and an index scan can be forbidden
SET enable_indexscan = off;
SELECT plan('SELECT id FROM p ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
RESET enable_indexscan;
DROP TABLE p;

-- a partial index has no use of its own for its predicate
CREATE TABLE part_idx (id integer, cat integer, v vector(3));
INSERT INTO part_idx SELECT i, i % 2, ARRAY[i % 13, i % 37, i % 101]::vector FROM generate_series(1, 4000) i;
CREATE INDEX part_idx_v ON part_idx USING hnsw (v vector_l2_ops) WHERE cat = 1;
VACUUM ANALYZE part_idx;
SET enable_seqscan = off;
SELECT plan('SELECT count(*) FROM part_idx WHERE cat = 1');
SELECT plan('SELECT id FROM part_idx ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
RESET enable_seqscan;
SELECT plan('SELECT id FROM part_idx WHERE cat = 1 ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
SELECT bool_and(id % 2 = 1) FROM (SELECT id FROM part_idx WHERE cat = 1 ORDER BY v <-> '[1,2,3]' LIMIT 30) AS q;
DROP TABLE part_idx;

-- toasted vectors
CREATE TABLE toasted (id integer, v vector(1536));
INSERT INTO toasted
	SELECT i, (SELECT array_agg((i * k) % 17) FROM generate_series(1, 1536) k)::vector FROM generate_series(1, 1000) i;
CREATE INDEX ON toasted USING hnsw (v vector_cosine_ops);
VACUUM ANALYZE toasted;
SELECT plan(format('SELECT id FROM toasted ORDER BY v <=> %L LIMIT 10', v)) FROM toasted WHERE id = 1;
SELECT plan(format('SELECT id FROM toasted WHERE id %% 3 = 1 ORDER BY v <=> %L', v)) FROM toasted WHERE id = 1;
DROP TABLE toasted;

-- partitions
CREATE TABLE parted (id integer, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (2000);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (2000) TO (4000);
CREATE INDEX parted_v ON parted USING hnsw (v vector_l2_ops) WITH (m = 8);
INSERT INTO parted SELECT i, ARRAY[i % 13, i % 37, i]::vector FROM generate_series(0, 3999) i;
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (4000) TO (6000);
VACUUM ANALYZE parted;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'parted_3'::regclass;
SELECT plan('SELECT id FROM parted ORDER BY v <-> ''[0,0,1999]'' LIMIT 5');
SELECT id FROM parted ORDER BY v <-> '[9,0,1998]' LIMIT 1;
SELECT id FROM parted ORDER BY v <-> '[8,3,3999]' LIMIT 1;
SELECT try('CREATE INDEX ON parted USING hnsw (v vector_l2_ops) WITH (m = 33)');
DROP TABLE parted;

--
-- Operator classes of others
--
CREATE FUNCTION my_distance(vector, vector) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT l2_distance($1, $2) ^ 4';
CREATE OPERATOR CLASS my_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 my_distance(vector, vector);
SELECT try('CREATE INDEX ON t USING hnsw (v my_ops)');
-- the functions of ours can be bound again
CREATE OPERATOR CLASS again_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector), FUNCTION 2 vector_norm(vector);
SELECT try('CREATE INDEX ON t USING hnsw (v again_ops)');
-- combinations that make no sense
CREATE OPERATOR CLASS norm_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector), FUNCTION 2 vector_norm(vector);
SELECT try('CREATE INDEX ON t USING hnsw (v norm_ops)');
CREATE OPERATOR CLASS type_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector), FUNCTION 3 hnsw_bit_support(internal);
SELECT try('CREATE INDEX ON t USING hnsw (v type_ops)');
CREATE OPERATOR CLASS wrong_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS bare_ops FOR TYPE halfvec USING hnsw AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec);
SELECT try('CREATE INDEX ON t USING hnsw (h bare_ops)');
CREATE OPERATOR CLASS no_function_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops;
SELECT try('CREATE INDEX ON t USING hnsw (v no_function_ops)');
CREATE OPERATOR CLASS no_operator_ops FOR TYPE vector USING hnsw AS
	FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS odd_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 = (vector, vector), OPERATOR 2 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_dims(vector);
SELECT try('CREATE INDEX ON t USING hnsw (v odd_ops)');
-- the validator says what is wrong with each
SET client_min_messages = info;
SELECT opcname, amvalidate(oid) FROM pg_opclass
WHERE opcname IN ('my_ops', 'again_ops', 'norm_ops', 'type_ops', 'wrong_ops', 'bare_ops',
	'no_function_ops', 'no_operator_ops', 'odd_ops')
ORDER BY opcname;
SET client_min_messages = warning;
DROP INDEX t_v_idx1;
DROP OPERATOR FAMILY my_ops USING hnsw;
DROP OPERATOR FAMILY again_ops USING hnsw;
DROP OPERATOR FAMILY norm_ops USING hnsw;
DROP OPERATOR FAMILY type_ops USING hnsw;
DROP OPERATOR FAMILY wrong_ops USING hnsw;
DROP OPERATOR FAMILY bare_ops USING hnsw;
DROP OPERATOR FAMILY no_function_ops USING hnsw;
DROP OPERATOR FAMILY no_operator_ops USING hnsw;
DROP OPERATOR FAMILY odd_ops USING hnsw;
DROP FUNCTION my_distance;

--
-- Settings
--
SELECT name, setting, vartype, context, min_val, max_val, enumvals, boot_val
FROM pg_settings WHERE name ~ '^hnsw\.' ORDER BY name;
SELECT name, vartype, context, enumvals @> '{auto,scalar}' AS expected, boot_val
FROM pg_settings WHERE name ~ '^piramid\.' ORDER BY name;
SELECT statement, try(statement) AS result FROM unnest(ARRAY[
	'SET hnsw.ef_search = 1', 'SET hnsw.ef_search = 100000', 'SET hnsw.ef_search = 0', 'SET hnsw.ef_search = 100001',
	'SET hnsw.iterative_scan = relaxed_order', 'SET hnsw.iterative_scan = strict_order', 'SET hnsw.iterative_scan = on',
	'SET hnsw.max_scan_tuples = 1', 'SET hnsw.max_scan_tuples = 2147483647', 'SET hnsw.max_scan_tuples = 0',
	'SET hnsw.scan_mem_multiplier = 1.5', 'SET hnsw.scan_mem_multiplier = 1000', 'SET hnsw.scan_mem_multiplier = 0.9',
	'SET hnsw.scan_mem_multiplier = 1001',
	'SET piramid.simd = scalar', 'SET piramid.simd = auto']) AS s (statement);
SELECT try('SET piramid.simd = sse1') ~ '^22023: invalid value for parameter "piramid.simd": "sse1" HINT: Available values: auto, .*scalar';
SHOW piramid.simd;
RESET ALL;
SET client_min_messages = warning;
BEGIN;
SET LOCAL hnsw.ef_search = 7;
SHOW hnsw.ef_search;
COMMIT;
SHOW hnsw.ef_search;

-- the prefixes are reserved: a misspelt name is an error where the server can tell (15)
SELECT current_setting('server_version_num')::integer < 150000 OR
	(try('SET hnsw.efsearch = 1') ~ '^42602: ' AND try('SET piramid.nothing = 1') ~ '^42602: ') AS refused;

DROP TABLE t, any_dim, opclasses;
DROP FUNCTION try, try_index, plan;

-- settings made before the library is loaded are checked when it is
\c -
SET client_min_messages = error;
SELECT current_setting('hnsw.ef_search', true) IS NULL AS not_loaded;
SET hnsw.ef_search = 77;
SET hnsw.iterative_scan = backwards;
SET hnsw.max_scan_tuples = 0;
SET hnsw.nothing = 1;
SELECT '[1]'::vector;
SHOW hnsw.ef_search;
SHOW hnsw.iterative_scan;
SHOW hnsw.max_scan_tuples;
SELECT current_setting('server_version_num')::integer < 150000 OR
	current_setting('hnsw.nothing', true) IS NULL AS dropped;
