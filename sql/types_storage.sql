-- How values lie on disk and on the wire: every header, out of line, as arrays
-- and in composite types; binary output byte by byte.
\set VERBOSITY terse

SELECT typname, typlen, typbyval, typalign, typstorage, typcategory, typispreferred, typdelim, typarray::regtype, typsubscript, typmodout, typanalyze, typcollation
FROM pg_type WHERE typname IN ('vector', 'halfvec', 'sparsevec') AND typnamespace = 'public'::regnamespace ORDER BY typname;

-- network byte order, the reserved field zero
SELECT vector_send('[1,-2]'), vector_send('[0,-0,1e-45,3.4028235e38]');
SELECT halfvec_send('[1,-2]'), halfvec_send('[0,-0,5.96e-8,65504]');
SELECT sparsevec_send('{1:1,3:-2}/5'), sparsevec_send('{}/1000000000'), sparsevec_send('{1000000000:1e-45}/1000000000');

-- sizes: 8 + 4n, 8 + 2n, 16 + 8 nnz
SELECT n, pg_column_size(v) - 4 * n AS vector, pg_column_size(v::halfvec) - 2 * n AS halfvec, pg_column_size(v::sparsevec) - 8 * n AS sparsevec
FROM unnest(ARRAY[1, 2, 29, 30, 31, 1000, 16000]) n, LATERAL (SELECT array_fill(1, ARRAY[n])::vector AS v) s;

-- short headers at every alignment, long ones, out of line: all functions see the same values
CREATE TABLE types_storage (id int, pad text, v vector, h halfvec, s sparsevec, b varbit);
INSERT INTO types_storage
SELECT n * 10 + p, repeat('x', p), v, v::halfvec, v::sparsevec, rpad('', n, '1101')::varbit
FROM unnest(ARRAY[1, 2, 3, 5, 13, 14, 15, 28, 29, 30, 31, 60, 61, 62, 100, 500, 505, 2000, 16000]) n, generate_series(0, 4) p,
	LATERAL (SELECT array_agg((i * 7 + p) % 19 - 12 ORDER BY i)::vector AS v FROM generate_series(1, n) i) s;
-- the same values as they come out of a function: plain
CREATE FUNCTION pg_temp.plain(id int) RETURNS vector LANGUAGE sql AS $$
	SELECT array_agg((i * 7 + id % 10) % 19 - 12 ORDER BY i)::vector FROM generate_series(1, id / 10) i $$;
SELECT count(*) AS rows,
	count(*) FILTER (WHERE v <> p OR h <> p::halfvec OR s <> p::sparsevec) AS equal,
	count(*) FILTER (WHERE v <-> p <> 0 OR h <-> p::halfvec <> 0 OR s <-> p::sparsevec <> 0 OR v <+> p <> 0 OR h <+> p::halfvec <> 0 OR s <+> p::sparsevec <> 0) AS distance,
	count(*) FILTER (WHERE v <#> p <> p <#> p OR h <#> p::halfvec <> p <#> p OR s <#> p::sparsevec <> p <#> p) AS product,
	count(*) FILTER (WHERE v <=> p <> 0 OR h <=> p::halfvec <> 0 OR s <=> p::sparsevec <> 0) AS cosine,
	count(*) FILTER (WHERE vector_norm(v) <> vector_norm(p) OR l2_norm(h) <> vector_norm(p) OR l2_norm(s) <> vector_norm(p)) AS norm,
	count(*) FILTER (WHERE v::text <> p::text OR h::text <> p::text OR s::text <> p::sparsevec::text OR vector_send(v) <> vector_send(p) OR halfvec_send(h) <> halfvec_send(p) OR sparsevec_send(s) <> sparsevec_send(p)) AS output,
	count(*) FILTER (WHERE v + v <> p + p OR h * h <> p::halfvec * p::halfvec OR l2_normalize(v) <> l2_normalize(p) OR l2_normalize(h) <> l2_normalize(p::halfvec) OR l2_normalize(s) <> l2_normalize(p::sparsevec)) AS arithmetic,
	count(*) FILTER (WHERE v::halfvec <> h OR v::sparsevec <> s OR h::vector <> v OR h::sparsevec <> s OR s::vector <> v OR s::halfvec <> h OR v::real[] <> p::real[] OR h::real[] <> p::real[]) AS casts,
	count(*) FILTER (WHERE vector(v, vector_dims(p), false) <> p OR halfvec(h, vector_dims(p), false) <> p::halfvec OR sparsevec(s, vector_dims(p), false) <> p::sparsevec) AS typmod,
	count(*) FILTER (WHERE vector_dims(v) <> vector_dims(p) OR vector_dims(h) <> vector_dims(p) OR binary_quantize(v) <> binary_quantize(p) OR binary_quantize(h) <> binary_quantize(p)
		OR subvector(v, 1, 3) <> subvector(p, 1, 3) OR subvector(h, 1, 3) <> subvector(p::halfvec, 1, 3)) AS parts,
	count(*) FILTER (WHERE b <~> ~b <> length(b) OR b <~> b <> 0 OR b <%> b <> 0 OR hamming_distance(b, rpad('', length(b), '1101')::varbit) <> 0) AS bits
FROM types_storage, LATERAL pg_temp.plain(id) p;
SELECT vector_dims(v || v), vector_dims(h || h), v || v = p || p, h || h = (p || p)::halfvec FROM types_storage, LATERAL pg_temp.plain(id) p WHERE id IN (10, 31, 303, 20004) ORDER BY id;
SELECT vector_dims(v) AS n, avg(v) = avg(p) AS avg, sum(v) = sum(p) AS sum, avg(h) = avg(p::halfvec) AS avg, sum(h) = sum(p::halfvec) AS sum FROM types_storage, LATERAL pg_temp.plain(id) p GROUP BY vector_dims(v) ORDER BY n;

-- never compressed; plain storage fails when a row does not fit a page
SELECT bool_or(pg_column_compression(v) IS NOT NULL OR pg_column_compression(h) IS NOT NULL OR pg_column_compression(s) IS NOT NULL) AS compressed FROM types_storage;
SELECT pg_relation_size(reltoastrelid) > 0 AS out_of_line FROM pg_class WHERE oid = 'types_storage'::regclass;
ALTER TABLE types_storage ALTER v SET STORAGE plain;
\set VERBOSITY sqlstate
INSERT INTO types_storage (v) SELECT array_fill(1, ARRAY[3000])::vector;
\set VERBOSITY terse
INSERT INTO types_storage (id, v) SELECT -1, array_fill(1, ARRAY[1000])::vector;
SELECT v <-> array_fill(2, ARRAY[1000])::vector = sqrt(1000) FROM types_storage WHERE id = -1;
-- a compressed value, which only a table with other settings can hold
ALTER TABLE types_storage ALTER v SET STORAGE main, ALTER h SET STORAGE extended, ALTER s SET STORAGE extended;
INSERT INTO types_storage (id, v, h, s) SELECT -2, v, v, v::sparsevec FROM (SELECT array_fill(1, ARRAY[9000])::vector AS v) x;
SELECT pg_column_compression(h) IS NOT NULL AS compressed, v <-> (v + v) = sqrt(9000) AS v, h <+> (h + h) AS h, s <#> s AS s, v = h::vector AND s = v::sparsevec AS equal FROM types_storage WHERE id = -2;
DROP TABLE types_storage;

-- in arrays, rows and domains
SELECT ARRAY['[1,2]', '[3]']::vector[], ARRAY['{1:1}/2']::sparsevec[], (ARRAY['[1,2]', '[3]']::halfvec[])[2], array_agg(v) FROM (VALUES ('[1]'::vector), (NULL)) t(v);
SELECT unnest('{"[1,2]","[3,4]"}'::vector[]) <-> '[1,2]', ARRAY['[1]']::vector[] = ARRAY['[1]']::vector[], ARRAY['[2]']::vector[] > ARRAY['[1,5]']::vector[];
CREATE TYPE types_pair AS (v vector(2), s sparsevec(3));
SELECT ROW('[1,2]', '{1:1}/3')::types_pair, '("[1,2]",{}/3)'::types_pair;
SELECT '("[1,2,3]",{}/3)'::types_pair;
CREATE DOMAIN types_unit AS vector(2) CHECK (abs(vector_norm(VALUE) - 1) < 1e-6);
SELECT '[0.6,0.8]'::types_unit, '[0.6,0.8]'::types_unit <-> '[1,1]';
SELECT '[1,1]'::types_unit;
DROP TYPE types_pair;
DROP DOMAIN types_unit;

-- COPY (binary is in the fuzz tier)
CREATE TABLE types_copy (v vector(3), h halfvec(3), s sparsevec(3), va vector[]);
INSERT INTO types_copy VALUES ('[1,-0,1e-45]', '[1,-0,5.96e-8]', '{2:1}/3', '{"[1]","[2,3]",NULL}'), (NULL, NULL, NULL, NULL);
COPY types_copy TO stdout;
COPY types_copy TO stdout (FORMAT csv, FORCE_QUOTE *);
COPY types_copy FROM stdin (FORMAT csv);
"[4,5,6]","[4,5,6]","{1:4,2:5,3:6}/3","{""[7]""}"
\.
SELECT * FROM types_copy;
DROP TABLE types_copy;
