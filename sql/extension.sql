-- Installing, moving and leaving the extension.
\set SHOW_CONTEXT never

-- it leaves nothing behind
DROP EXTENSION piramid;
SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid NOT IN (SELECT oid FROM pg_extension);
SELECT typname FROM pg_type WHERE typname IN ('vector', 'halfvec', 'sparsevec');
SELECT amname FROM pg_am WHERE amname IN ('hnsw', 'ivfflat');

-- not beside another owner of its names
CREATE ACCESS METHOD ivfflat TYPE INDEX HANDLER bthandler;
CREATE EXTENSION piramid;
DROP ACCESS METHOD ivfflat;

-- in a schema of its own, not on the search path, and moved
CREATE SCHEMA "Vec tors";
CREATE EXTENSION piramid SCHEMA "Vec tors";
CREATE TABLE extension_moved (v "Vec tors".vector(2), h "Vec tors".halfvec(2), s "Vec tors".sparsevec(2));
INSERT INTO extension_moved VALUES ('[1,2]', '[1,2]', '{1:1}/2'), ('[3,4]', '[3,4]', '{2:1}/2');
SELECT v OPERATOR("Vec tors".<->) '[1,2]' AS distance, "Vec tors".l2_norm(h), s::"Vec tors".vector FROM extension_moved ORDER BY v OPERATOR("Vec tors".<->) '[3,4]';
SELECT DISTINCT v FROM extension_moved ORDER BY v;
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'extension_moved'::regclass AND attnum > 0;
ALTER EXTENSION piramid SET SCHEMA public;
SELECT v <-> '[1,2]' AS distance, v + '[1,1]' AS sum, avg(v) OVER () AS mean FROM extension_moved;
DROP EXTENSION piramid;
DROP TABLE extension_moved;
DROP EXTENSION piramid;
DROP SCHEMA "Vec tors";
CREATE EXTENSION piramid;
SELECT extname, extversion, extrelocatable FROM pg_extension WHERE extname = 'piramid';
