-- The catalog of the extension: complete, commented, consistent.
\set VERBOSITY terse

-- everything the extension owns, but for the array types, which the server makes (and counts in from 17 on)
CREATE TEMP VIEW members AS
SELECT classid, objid, objsubid, classid::regclass::text AS catalog, pg_describe_object(classid, objid, objsubid) AS name
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'piramid')
	AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type WHERE pg_type.oid = objid AND typelem <> 0));
CREATE TEMP VIEW functions AS SELECT p.* FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = p.oid;

-- the counts of the surface that clients know; what is ours beside it is named piramid_*
SELECT catalog, count(*) FROM members
WHERE catalog IN ('pg_type', 'pg_operator', 'pg_cast') AND name !~ 'piramid_' GROUP BY catalog ORDER BY catalog;
SELECT prokind, count(*) FROM functions WHERE proname !~ '^(piramid_|hnsw|ivf|lsh|annoy)' GROUP BY prokind ORDER BY prokind;

-- nothing without a comment
SELECT catalog, name FROM members
WHERE obj_description(objid, catalog) IS NULL ORDER BY catalog COLLATE "C", name COLLATE "C";
-- a comment says something: more than the name, no trailing stop
SELECT catalog, name, obj_description(objid, catalog) AS comment FROM members
WHERE length(obj_description(objid, catalog)) < 4 OR obj_description(objid, catalog) ~ '\.$' ORDER BY name COLLATE "C";

-- functions of the types are immutable, strict, parallel safe, cost 1, not leakproof
SELECT oid::regprocedure AS function, provolatile, proisstrict, proparallel, procost, proleakproof, prosupport FROM functions
WHERE proname !~ '^(piramid_|hnsw|ivf|lsh|annoy)' AND prokind = 'f'
	AND (provolatile, proisstrict, proparallel, procost, proleakproof, prosupport) IS DISTINCT FROM ('i'::"char", true, 's'::"char", 1::real, false, 0::regproc) ORDER BY 1;
SELECT oid::regprocedure AS aggregate, proparallel FROM functions WHERE prokind = 'a' AND proparallel <> 's';
-- handlers of access methods and of their types keep the defaults
SELECT oid::regprocedure AS function, provolatile, proisstrict, proparallel FROM functions
WHERE prorettype IN ('internal'::regtype, 'index_am_handler'::regtype) AND proname !~ '_(in|recv)$'
	AND (provolatile, proisstrict, proparallel) IS DISTINCT FROM ('v'::"char", false, 'u'::"char") ORDER BY 1;
-- ours are parallel safe or restricted on purpose; none is leakproof
SELECT oid::regprocedure AS function FROM functions WHERE proleakproof ORDER BY 1;

-- every C symbol is in the library: the server looks them up when functions are validated
SET check_function_bodies = on;
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT oid, oid::regprocedure AS signature, prosrc, probin FROM functions WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') LOOP
		PERFORM fmgr_c_validator(f.oid);
		IF f.prosrc !~ '^pir_' THEN
			RAISE WARNING 'symbol % of % has not our prefix', f.prosrc, f.signature;
		END IF;
	END LOOP;
END $$;
-- one symbol serves several functions only where it is meant to
SELECT prosrc, count(*), min(pronargs), max(pronargs) FROM functions WHERE prokind = 'f' AND prosrc ~ '^pir_' GROUP BY prosrc HAVING count(*) > 1 ORDER BY prosrc COLLATE "C";

-- operators: commutators and negators point back, have the same types, and estimators where core has them
SELECT o.oid::regoperator FROM pg_operator o JOIN members ON classid = 'pg_operator'::regclass AND objid = o.oid
WHERE o.oprcode = 0
	OR o.oprcom <> 0 AND NOT EXISTS (SELECT FROM pg_operator c WHERE c.oid = o.oprcom AND c.oprcom = o.oid AND c.oprleft = o.oprright AND c.oprright = o.oprleft)
	OR o.oprnegate <> 0 AND NOT EXISTS (SELECT FROM pg_operator n WHERE n.oid = o.oprnegate AND n.oprnegate = o.oid)
	OR (o.oprresult = 'boolean'::regtype) <> (o.oprrest <> 0) OR (o.oprrest <> 0) <> (o.oprjoin <> 0);
SELECT oprname, string_agg(oprleft::regtype::text, ' ' ORDER BY oprleft::regtype::text COLLATE "C") AS types,
	string_agg(DISTINCT oprrest::text, ' ') AS restrict, string_agg(DISTINCT oprjoin::text, ' ') AS "join", bool_or(oprcanhash OR oprcanmerge) AS hashes
FROM pg_operator o JOIN members ON classid = 'pg_operator'::regclass AND objid = o.oid GROUP BY oprname ORDER BY oprname COLLATE "C";
-- subtraction and concatenation do not commute, all else does
SELECT DISTINCT oprname FROM pg_operator o JOIN members ON classid = 'pg_operator'::regclass AND objid = o.oid WHERE oprcom = 0 ORDER BY 1;

-- operator classes: valid by the access method's own rules, each in a family of its name
SELECT am.amname, c.opcname FROM pg_opclass c JOIN members ON classid = 'pg_opclass'::regclass AND objid = c.oid JOIN pg_am am ON am.oid = opcmethod
WHERE NOT amvalidate(c.oid);
SELECT am.amname, c.opcname, f.opfname FROM pg_opclass c JOIN members ON classid = 'pg_opclass'::regclass AND objid = c.oid JOIN pg_am am ON am.oid = opcmethod JOIN pg_opfamily f ON f.oid = opcfamily
WHERE opcname <> opfname;
SELECT opcname, opcintype::regtype, opcdefault FROM pg_opclass c JOIN members ON classid = 'pg_opclass'::regclass AND objid = c.oid
WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') ORDER BY opcname;
SELECT f.opfname, string_agg(amopstrategy || ' ' || amopopr::regoperator, ', ' ORDER BY amopstrategy) FROM pg_amop a JOIN pg_opfamily f ON f.oid = amopfamily
JOIN members ON classid = 'pg_opfamily'::regclass AND objid = f.oid WHERE opfmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') GROUP BY f.opfname ORDER BY 1;
SELECT f.opfname, amprocnum, amproc FROM pg_amproc a JOIN pg_opfamily f ON f.oid = amprocfamily
JOIN members ON classid = 'pg_opfamily'::regclass AND objid = f.oid WHERE opfmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') ORDER BY 1, 2;
-- every cell of metric x type that hnsw has: its operator, its support functions
SELECT c.opcname, c.opcintype::regtype AS type, c.opcdefault AS "default", o.amopstrategy AS strategy, o.amopopr::regoper AS operator, o.amoppurpose AS purpose,
	(SELECT opfname FROM pg_opfamily WHERE oid = o.amopsortfamily) AS sort,
	(SELECT string_agg(amprocnum || ' ' || amproc, ', ' ORDER BY amprocnum) FROM pg_amproc p WHERE p.amprocfamily = c.opcfamily) AS support
FROM pg_opclass c JOIN members ON classid = 'pg_opclass'::regclass AND objid = c.oid JOIN pg_amop o ON o.amopfamily = c.opcfamily
WHERE c.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'hnsw') ORDER BY c.opcname;
