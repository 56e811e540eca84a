-- What users and client libraries rely on: names, signatures, cast contexts,
-- operator classes, settings. A line that has to change here is a change that
-- breaks somebody.

BEGIN;
SELECT * FROM no_plan();

-- types and their array types are found by name
SELECT has_type(name, 'type ' || name) FROM unnest(array['vector', 'halfvec', 'sparsevec', '_vector', '_halfvec', '_sparsevec']) name;
SELECT is(format('%s(3)', name), format_type(to_regtype(name), 3), name || '(3) is spelt so')
FROM unnest(array['vector', 'halfvec', 'sparsevec']) name;
SELECT is(array_agg(DISTINCT concat(typstorage, typcategory, typdelim, typalign)), array['eU,i'],
	'storage external, category U, delimiter comma, alignment int4')
FROM pg_type WHERE typname IN ('vector', 'halfvec', 'sparsevec');

-- functions by signature
SELECT has_function(name, string_to_array(args, ' '), format('%s(%s)', name, args))
FROM (VALUES
	('l2_distance', 'vector vector'), ('l2_distance', 'halfvec halfvec'), ('l2_distance', 'sparsevec sparsevec'),
	('inner_product', 'vector vector'), ('inner_product', 'halfvec halfvec'), ('inner_product', 'sparsevec sparsevec'),
	('cosine_distance', 'vector vector'), ('cosine_distance', 'halfvec halfvec'), ('cosine_distance', 'sparsevec sparsevec'),
	('l1_distance', 'vector vector'), ('l1_distance', 'halfvec halfvec'), ('l1_distance', 'sparsevec sparsevec'),
	('hamming_distance', 'bit bit'), ('jaccard_distance', 'bit bit'),
	('vector_dims', 'vector'), ('vector_dims', 'halfvec'), ('vector_norm', 'vector'),
	('l2_norm', 'halfvec'), ('l2_norm', 'sparsevec'),
	('l2_normalize', 'vector'), ('l2_normalize', 'halfvec'), ('l2_normalize', 'sparsevec'),
	('binary_quantize', 'vector'), ('binary_quantize', 'halfvec'),
	('subvector', 'vector integer integer'), ('subvector', 'halfvec integer integer'),
	('vector_l2_squared_distance', 'vector vector'), ('vector_negative_inner_product', 'vector vector'),
	('vector_spherical_distance', 'vector vector'), ('halfvec_spherical_distance', 'halfvec halfvec')) f(name, args);
SELECT hasnt_function('vector_dims', array['sparsevec'], 'vector_dims(sparsevec) does not exist');
SELECT hasnt_function('l2_norm', array['vector'], 'l2_norm(vector) does not exist');

-- distance operators: same function, commute with themselves, no selectivity
SELECT is((SELECT proname FROM pg_proc WHERE oid = o.oprcode) || ' ' || (o.oprcom = o.oid)::text || ' ' || o.oprrest::text, f || ' true -', format('%s %s %s', t, op, t))
FROM (VALUES
	('vector', '<->', 'l2_distance'), ('halfvec', '<->', 'l2_distance'), ('sparsevec', '<->', 'l2_distance'),
	('vector', '<#>', 'vector_negative_inner_product'), ('halfvec', '<#>', 'halfvec_negative_inner_product'),
	('sparsevec', '<#>', 'sparsevec_negative_inner_product'),
	('vector', '<=>', 'cosine_distance'), ('halfvec', '<=>', 'cosine_distance'), ('sparsevec', '<=>', 'cosine_distance'),
	('vector', '<+>', 'l1_distance'), ('halfvec', '<+>', 'l1_distance'), ('sparsevec', '<+>', 'l1_distance'),
	('bit', '<~>', 'hamming_distance'), ('bit', '<%>', 'jaccard_distance')) e(t, op, f)
LEFT JOIN pg_operator o ON o.oprname = op AND o.oprleft = t::regtype AND o.oprright = t::regtype;

-- casts and how they may be applied: nothing beyond these
SELECT set_eq(
	$$SELECT castsource::regtype::text, casttarget::regtype::text, castcontext::text FROM pg_cast
	  WHERE castsource::regtype::text ~ '^(vector|halfvec|sparsevec)$' OR casttarget::regtype::text ~ '^(vector|halfvec|sparsevec)$'$$,
	$$VALUES ('double precision[]', 'halfvec', 'a'), ('double precision[]', 'sparsevec', 'a'), ('double precision[]', 'vector', 'a'),
		('halfvec', 'halfvec', 'i'), ('halfvec', 'real[]', 'a'), ('halfvec', 'sparsevec', 'i'), ('halfvec', 'vector', 'a'),
		('integer[]', 'halfvec', 'a'), ('integer[]', 'sparsevec', 'a'), ('integer[]', 'vector', 'a'),
		('numeric[]', 'halfvec', 'a'), ('numeric[]', 'sparsevec', 'a'), ('numeric[]', 'vector', 'a'),
		('real[]', 'halfvec', 'a'), ('real[]', 'sparsevec', 'a'), ('real[]', 'vector', 'a'),
		('sparsevec', 'halfvec', 'a'), ('sparsevec', 'sparsevec', 'i'), ('sparsevec', 'vector', 'a'),
		('vector', 'halfvec', 'i'), ('vector', 'real[]', 'i'), ('vector', 'sparsevec', 'i'), ('vector', 'vector', 'i')$$,
	'casts and their contexts');

-- operator classes; hnsw has no default one, btree and the kinds of ivf have
SELECT set_eq(
	$$SELECT amname::text, opcname::text, opcintype::regtype::text, opcdefault FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	  JOIN pg_depend d ON d.classid = 'pg_opclass'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'piramid'$$,
	$$VALUES ('btree', 'halfvec_ops', 'halfvec', true), ('btree', 'sparsevec_ops', 'sparsevec', true), ('btree', 'vector_ops', 'vector', true),
		('hnsw', 'bit_hamming_ops', 'bit', false), ('hnsw', 'bit_jaccard_ops', 'bit', false),
		('hnsw', 'halfvec_cosine_ops', 'halfvec', false), ('hnsw', 'halfvec_ip_ops', 'halfvec', false),
		('hnsw', 'halfvec_l1_ops', 'halfvec', false), ('hnsw', 'halfvec_l2_ops', 'halfvec', false),
		('hnsw', 'sparsevec_cosine_ops', 'sparsevec', false), ('hnsw', 'sparsevec_ip_ops', 'sparsevec', false),
		('hnsw', 'sparsevec_l1_ops', 'sparsevec', false), ('hnsw', 'sparsevec_l2_ops', 'sparsevec', false),
		('hnsw', 'vector_cosine_ops', 'vector', false), ('hnsw', 'vector_ip_ops', 'vector', false),
		('hnsw', 'vector_l1_ops', 'vector', false), ('hnsw', 'vector_l2_ops', 'vector', false),
		('ivf', 'bit_hamming_ops', 'bit', false), ('ivf', 'halfvec_cosine_ops', 'halfvec', false),
		('ivf', 'halfvec_ip_ops', 'halfvec', false), ('ivf', 'halfvec_l2_ops', 'halfvec', false),
		('ivf', 'vector_cosine_ops', 'vector', false), ('ivf', 'vector_ip_ops', 'vector', false),
		('ivf', 'vector_l2_ops', 'vector', true),
		('ivfflat', 'bit_hamming_ops', 'bit', false), ('ivfflat', 'halfvec_cosine_ops', 'halfvec', false),
		('ivfflat', 'halfvec_ip_ops', 'halfvec', false), ('ivfflat', 'halfvec_l2_ops', 'halfvec', false),
		('ivfflat', 'vector_cosine_ops', 'vector', false), ('ivfflat', 'vector_ip_ops', 'vector', false),
		('ivfflat', 'vector_l2_ops', 'vector', true)$$,
	'operator classes');

-- settings, their defaults and ranges; they come with the library
LOAD 'piramid';
SELECT set_eq(
	$$SELECT name, vartype, boot_val, min_val, max_val, context FROM pg_settings WHERE name ~ '^hnsw\.'$$,
	$$VALUES ('hnsw.ef_search', 'integer', '40', '1', '100000', 'user'),
		('hnsw.iterative_scan', 'enum', 'off', NULL, NULL, 'user'),
		('hnsw.max_scan_tuples', 'integer', '20000', '1', '2147483647', 'user'),
		('hnsw.scan_mem_multiplier', 'real', '1', '1', '1000', 'user')$$,
	'settings of hnsw');
SELECT is(current_setting('piramid.simd'), 'auto', 'piramid.simd is auto');
SELECT throws_ok('SET hnsw.iterative_scan = on', '22023', NULL, 'iterative_scan does not take on');
SELECT throws_ok('SET hnsw.ef_search = 0', '22023', NULL, 'ef_search is at least 1');
SELECT throws_ok('SET hnsw.unknown = 1', '42602', NULL, 'the prefix hnsw is reserved');
SELECT throws_ok('SET piramid.unknown = 1', '42602', NULL, 'the prefix piramid is reserved');

-- every object can be explained by \dx+ and its friends
SELECT is_empty(
	$$SELECT pg_describe_object(classid, objid, 0) FROM pg_depend d JOIN pg_extension e ON e.oid = refobjid AND extname = 'piramid'
	  WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND obj_description(objid, classid::regclass::text::name) IS NULL$$,
	'every object of the extension has a comment');

SELECT * FROM finish();
ROLLBACK;
