-- Text input and output of vector and halfvec, and their type modifiers.
-- Every row of the input table of the types: what is accepted, what is refused,
-- with which SQLSTATE, and that the message says where.
\set VERBOSITY terse
SET client_min_messages = warning;

-- evaluate an expression: its value, or SQLSTATE, message and detail
CREATE FUNCTION pg_temp.try(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
	detail text;
BEGIN
	EXECUTE 'SELECT (' || expression || ')::text' INTO result;
	RETURN coalesce(result, '<null>');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', state, message, '(' || nullif(detail, '') || ')');
END $$;
-- both dense types read the same language
CREATE TEMP TABLE literals (id int GENERATED ALWAYS AS IDENTITY, literal text);
INSERT INTO literals (literal) VALUES
	('[1,2,3]'), (E' \t\n\r\f\x0B[ 1 , 2\t,\n3 ] \x0B'), ('[+1,-1,.5,1.,-.5e1,1E2,00012]'),
	('[0x10,0X1.8p1,-0x1p-3]'), ('[0,-0,-0.0,0e5]'), ('[1e-7,0.1,1.5,1234.5678]'),
	-- empty and cut short
	(''), ('  '), ('['), ('[]'), ('[ ]'), ('[1'), ('[1,'), ('[1,2'), ('1,2]'), ('[1,2 '),
	-- wrong or missing elements and separators
	('[,]'), ('[1,]'), ('[,1]'), ('[1,,2]'), ('[1 2]'), ('[1;2]'), ('[a]'), ('[1a]'), ('[1,a]'),
	('[.]'), ('[-]'), ('[+-1]'), ('[- 1]'), ('[1e]'), ('[1e+]'), ('[1e 5]'), ('[0x]'), ('[0xg]'), ('[1_000]'),
	('["1"]'), ('[null]'), ('[true]'), ('[[1,2]]'),
	-- other brackets, junk behind
	('{1,2}'), ('(1,2)'), ('x[1]'), ('[1,2]x'), ('[1,2]]'), ('[1,2] ,'), ('[1,2][3]'),
	-- words and magnitudes
	('[nan]'), ('[1,NaN]'), ('[-nan]'), ('[nan(7)]'), ('[inf]'), ('[-Inf]'), ('[1,infinity]'), ('[infinit]'),
	('[1e39]'), ('[1,-1e39]'), ('[1e400]'), ('[3.4028236e38]'), ('[1e99999999999999999999]'), ('[0x1p128]'),
	-- underflow becomes zero and keeps its sign
	('[1e-46,-1e-46]'), ('[1e-400]'), ('[0x1p-200]'), ('[1e-99999999999999999999]'),
	-- the first fault counts
	('[nan,x]'), ('[x,nan]'), ('[1e39,x]');
SELECT literal, pg_temp.try(quote_literal(literal) || '::vector') AS vector,
	CASE WHEN pg_temp.try(quote_literal(literal) || '::halfvec') =
		replace(pg_temp.try(quote_literal(literal) || '::vector'), 'type vector', 'type halfvec')
	THEN 'same' ELSE pg_temp.try(quote_literal(literal) || '::halfvec') END AS halfvec
FROM literals ORDER BY id;

-- positions count characters, not bytes; what was found is shown whole
SELECT pg_temp.try($$'é[1]'::vector$$);
SELECT pg_temp.try($$'[1,é]'::vector$$);
SELECT pg_temp.try($$'[1é]'::halfvec$$);
SELECT pg_temp.try($$'[1]é'::vector$$);

-- where float4 and binary16 end
SELECT v AS vector, pg_temp.try(quote_literal(v) || '::vector') AS value FROM unnest(ARRAY[
	'[3.4028235e38]', '[-3.4028235e38]', '[3.4028235677973362e38]', '[3.4028235677973366e38]',
	'[1e-45]', '[7.0064923216240854e-46]', '[7.0064923216240853e-46]', '[1.1754942e-38]']) v;
SELECT v AS halfvec, pg_temp.try(quote_literal(v) || '::halfvec') AS value FROM unnest(ARRAY[
	'[65504]', '[65519.99]', '[65520]', '[-65519]', '[-65520]', '[1e5]', '[1,2,7e4]',
	'[5.96e-8]', '[2.99e-8]', '[2.98e-8]', '[-1e-10]', '[6.1e-5]', '[2049]', '[2051]', '[0.3333333]']) v;

-- at most 16000 elements
SELECT t, n, pg_temp.try(format($$vector_dims(('[' || repeat('1,', %s - 1) || '1]')::%s)$$, n, t)) AS dims
FROM unnest(ARRAY['vector', 'halfvec']) t, unnest(ARRAY[1, 15999, 16000, 16001, 100000]) n ORDER BY t, n;
-- the limit is noticed before what stands behind it, and not before that
SELECT pg_temp.try($$('[' || repeat('1,', 16000) || 'x]')::vector$$);
SELECT left(pg_temp.try($$('[' || repeat('1,', 15999) || 'x]')::vector$$), 50);
SELECT left(pg_temp.try($$('[x' || repeat(',1', 16000) || ']')::halfvec$$), 50);

-- shortest digits that read back as the same value, whatever the session says
SELECT '[1,16777216,1.5e38,1e-7,-0,0.1,1e15,123456.789,1e-5]'::vector;
SELECT '[0.6,0.1,65504,-0,5.96e-8,0.333]'::halfvec;
SET extra_float_digits = -3;
SELECT '[0.1,0.3333333333,16777217]'::vector, '[0.333]'::halfvec;
RESET extra_float_digits;

-- every finite half, and many a float4, reads back as what was written
SELECT count(*) AS halves, count(*) FILTER (WHERE substr(halfvec_send(once), 5) <> bits OR
	halfvec_send(once::text::halfvec) <> halfvec_send(once)) AS differ
FROM (SELECT decode(lpad(to_hex(h), 4, '0'), 'hex') AS bits,
		((CASE WHEN h >= 32768 THEN '[-' ELSE '[' END) || (CASE WHEN h & 31744 = 0
			THEN (h & 1023) * 2.0::float8 ^ -24
			ELSE (1024 + (h & 1023)) * 2.0::float8 ^ (((h & 31744) >> 10) - 25) END) || ']')::halfvec AS once
	FROM generate_series(0, 65535) h WHERE h & 31744 <> 31744) s;
SELECT setseed(0.5);
SELECT count(*) AS differ FROM (
	SELECT ((random() - 0.5) * 10.0 ^ floor(random() * 76 - 38))::real AS f FROM generate_series(1, 20000)) s
WHERE ('[' || f || ']')::vector::real[] <> ARRAY[f] OR ('[' || f || ']')::vector::text <> '[' || f || ']';

-- type modifiers
SELECT t, m, pg_temp.try(format($$'[1,2,3]'::%s%s$$, t, m)) FROM unnest(ARRAY['vector', 'halfvec']) t,
	unnest(ARRAY['', '(3)', '(2)', '(4)', '(0)', '(-1)', '(1)', '(15999)', '(16000)', '(16001)', '(1,2)', '(''3'')', '(''x'')', '(3.5)', '(99999999999)']) m;
SELECT t, m, pg_temp.try(format('%s_typmod_in(%L)', t, m)) FROM unnest(ARRAY['vector', 'halfvec']) t,
	unnest(ARRAY['{3}', '{}', '{a}', '{3,4}', '{NULL}', '{0}', '{16000}', '{16001}', '{2147483647}']) m;
SELECT format_type('vector'::regtype, 3), format_type('vector'::regtype, -1), format_type('_halfvec'::regtype, 5);
SELECT '[1,2]'::vector(3)::vector(2);
SELECT pg_temp.try($$'[1,2]'::vector::vector(3)$$), pg_temp.try($$vector('[1,2]', 3, true)$$), vector('[1,2]', -1, true), halfvec('[1,2]', 2, false);

-- arrays check each element
SELECT '{"[1,2]","[3,4]"}'::vector(2)[], pg_temp.try($$'{"[1,2]","[3]"}'::vector(2)[]$$), pg_temp.try($$'{"[1,2]","[3]"}'::halfvec[]::halfvec(2)[]$$);

-- columns
CREATE TABLE types_columns (v vector(3), h halfvec(2));
INSERT INTO types_columns VALUES ('[1,2,3]', '[1,2]');
INSERT INTO types_columns VALUES ('[1,2]', '[1,2]');
INSERT INTO types_columns VALUES ('[1,2,3]', '[1]');
COPY types_columns FROM stdin;
[4,5,6]	[7,8]
\N	\N
\.
COPY types_columns FROM stdin;
[4,5]	[7,8]
\.
SELECT * FROM types_columns ORDER BY v;
SELECT attname, format_type(atttypid, atttypmod), atttypmod, attstorage FROM pg_attribute
WHERE attrelid = 'types_columns'::regclass AND attnum > 0 ORDER BY attnum;
DROP TABLE types_columns;

-- STRICT
SELECT vector_in(NULL, 0, -1) IS NULL, NULL::vector IS NULL, vector_out(NULL) IS NULL;
