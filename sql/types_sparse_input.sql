-- Text input and output of sparsevec and its type modifier.
\set VERBOSITY terse

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
CREATE TEMP TABLE literals (id int GENERATED ALWAYS AS IDENTITY, literal text);
INSERT INTO literals (literal) VALUES
	('{}/5'), ('{ }/5'), ('{1:1,3:-2}/5'), (E' \t{ 1\n: 1.5 , 3 : -2 } / 5 \x0B'), ('{+1:0x10}/+5'), ('{007:.5}/010'),
	-- any order; zeros vanish before their indices are looked at
	('{3:1,1:2,2:3}/3'), ('{1:0,2:-0,3:1}/3'), ('{9:0,1:1}/1'), ('{0:0,-7:0}/1'), ('{1:0,1:1}/5'), ('{1:0e-99}/5'),
	-- empty and cut short
	(''), (' '), ('{'), ('{1'), ('{1:'), ('{1:1'), ('{1:1,'), ('{1:1}'), ('{1:1} '), ('{1:1}/'), ('{}'), ('{}/ '),
	-- wrong or missing elements and separators
	('{:1}/5'), ('{1}/5'), ('{1:}/5'), ('{1:1,}/5'), ('{,1:1}/5'), ('{1:1,,2:1}/5'), ('{1:1 2:1}/5'), ('{1 1:1}/5'),
	('{1::1}/5'), ('{1:1:1}/5'), ('{a:1}/5'), ('{1:a}/5'), ('{1.5:1}/5'), ('{1e0:1}/5'), ('{0x1:1}/5'), ('{- 1:1}/5'),
	('{1:1}5'), ('{1:1}//5'), ('{1:1}\5'), ('{1:1}/x'), ('{1:1}/0x5'), ('{é:1}/5'),
	-- other brackets, junk behind
	('1:1}/5'), ('[1,2]'), ('[1:1]/5'), ('{1:1}/5x'), ('{1:1}/5 x'), ('{1:1}/5.5'), ('{1:1}/5,'), ('{1:1}/1e3'),
	-- words and magnitudes; what is not zero must not become it
	('{1:nan}/5'), ('{1:-Infinity}/5'), ('{1:1e39}/5'), ('{1:1,2:-1e400}/5'), ('{1:1e-46}/5'), ('{1:-1e-400}/5'),
	('{1:1e-45}/5'), ('{1:3.4028235e38}/5'),
	-- dimensions
	('{}/1'), ('{}/0'), ('{}/-1'), ('{}/1000000000'), ('{}/1000000001'), ('{}/2147483648'), ('{}/99999999999999999999'), ('{}/-99999999999999999999'),
	-- indices
	('{0:1}/5'), ('{-1:1}/5'), ('{5:1}/5'), ('{6:1}/5'), ('{1000000000:1}/1000000000'), ('{2147483647:1}/5'), ('{-2147483648:1}/5'),
	('{99999999999:1}/5'), ('{-99999999999:1}/5'), ('{1:1,1:2}/5'), ('{1:1,3:1,2:2,1:3}/5'), ('{2147483648:1,2147483647:2}/5'),
	-- what is told first: elements, then dimensions, then indices
	('{6:1,1:nan}/5'), ('{6:1,1:1}/0'), ('{1:1,1:1}/1000000001'), ('{6:1,6:1}/5');
SELECT literal, pg_temp.try(quote_literal(literal) || '::sparsevec') AS value FROM literals ORDER BY id;
-- the type modifier is looked at between dimensions and indices
SELECT literal, pg_temp.try(quote_literal(literal) || '::sparsevec(4)') AS value FROM unnest(ARRAY['{6:1}/5', '{6:1}/0', '{1:1}/4']) literal;

-- at most 16000 elements, counted by commas before anything else
SELECT n, left(pg_temp.try(format($$('{' || (SELECT string_agg(i || ':1', ',') FROM generate_series(1, %s) i) || '}/20000')::sparsevec$$, n)), 60)
FROM unnest(ARRAY[15999, 16000, 16001]) n;
SELECT n, left(pg_temp.try(format($$('{' || repeat('1:0,', %s - 1) || '1:0}/20000')::sparsevec$$, n)), 80) FROM unnest(ARRAY[15999, 16000, 16001]) n;
SELECT n, left(pg_temp.try(format($$repeat(',', %s)::sparsevec$$, n)), 80) FROM unnest(ARRAY[15999, 16000]) n;

-- output
SELECT '{1:1,2:1e-7,1000000000:16777217}/1000000000'::sparsevec, '{5:-1.5e38}/5'::sparsevec;

-- type modifiers
SELECT m, pg_temp.try(format($$'{1:1}/3'::sparsevec%s$$, m)) FROM unnest(ARRAY['', '(3)', '(2)', '(0)', '(-1)', '(1000000000)', '(1000000001)', '(1,2)', '(''x'')']) m;
SELECT m, pg_temp.try(format('sparsevec_typmod_in(%L)', m)) FROM unnest(ARRAY['{3}', '{}', '{3,4}', '{NULL}', '{0}', '{1000000000}', '{1000000001}']) m;
SELECT format_type('sparsevec'::regtype, 3), pg_temp.try($$'{}/5'::sparsevec::sparsevec(3)$$), sparsevec('{}/5', -1, true), pg_temp.try($$sparsevec('{}/5', 4, true)$$);
SELECT '{"{1:1}/2","{}/2"}'::sparsevec(2)[], pg_temp.try($$'{"{1:1}/2","{}/3"}'::sparsevec(2)[]$$);
CREATE TABLE types_columns (s sparsevec(5));
INSERT INTO types_columns VALUES ('{1:1}/5'), ('{}/5'), (NULL);
INSERT INTO types_columns VALUES ('{1:1}/4');
COPY types_columns TO stdout;
DROP TABLE types_columns;
