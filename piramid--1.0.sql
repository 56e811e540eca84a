-- piramid 1.0: install script, kept by hand; see CONTRIBUTING.md, "The extension script".
--
-- Sections, in dependency order:
--   1 types and their I/O      2 casts               3 functions of the types
--   4 operators                5 aggregates          6 btree operator classes
--   7 access methods           8 hnsw operator classes
--   9 ivf and ivfflat operator classes            10 inspection
--
-- Lines that begin with "--|" document the object below them for users.

-- complain if the script is sourced in psql rather than through CREATE EXTENSION
\echo Use "CREATE EXTENSION piramid" to load this file. \quit

-- One set of these names per database: an extension that owns the same types and
-- access methods must be left first, with its data.
DO $$
DECLARE
	owner text;
	method name;
BEGIN
	SELECT pg_catalog.format(CASE WHEN e.oid IS NULL THEN 'access method "%2$s"' ELSE 'extension "%1$s"' END, e.extname, a.amname), a.amname
	INTO owner, method
	FROM pg_catalog.pg_am a
		LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_am'::pg_catalog.regclass AND d.objid = a.oid AND d.deptype = 'e'
		LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
	WHERE a.amname IN ('hnsw', 'ivfflat')
	ORDER BY a.amname LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'duplicate_object',
			MESSAGE = pg_catalog.format('extension "piramid" cannot live beside %s', owner),
			DETAIL = pg_catalog.format('Both want the name of access method "%s", and names of types and operators.', method),
			HINT = 'Move the data to a database of its own that has piramid: with pg_dump and pg_restore, or with logical replication.';
	END IF;
END $$;

-- ------------------------------------------------------------------------
-- 1 types and their I/O
-- ------------------------------------------------------------------------

--| vector(n): up to 16,000 single-precision elements, written '[1,2.5,-3]'.
--| No element is NaN or infinite. Without (n) a column takes any dimension.
CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_in';
COMMENT ON FUNCTION vector_in(cstring, oid, integer) IS 'text input';

CREATE FUNCTION vector_out(vector) RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_out';
COMMENT ON FUNCTION vector_out(vector) IS 'text output';

CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_typmod_in';
COMMENT ON FUNCTION vector_typmod_in(cstring[]) IS 'type modifier input';

CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_recv';
COMMENT ON FUNCTION vector_recv(internal, oid, integer) IS 'binary input';

CREATE FUNCTION vector_send(vector) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_send';
COMMENT ON FUNCTION vector_send(vector) IS 'binary output';

CREATE TYPE vector (
	INPUT = vector_in,
	OUTPUT = vector_out,
	TYPMOD_IN = vector_typmod_in,
	RECEIVE = vector_recv,
	SEND = vector_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = external
);
COMMENT ON TYPE vector IS 'single-precision vector';

--| halfvec(n): up to 16,000 half-precision elements, written '[1,2.5,-3]'.
--| Half the space of a vector; elements keep 11 significant bits, up to 65504.
CREATE TYPE halfvec;

CREATE FUNCTION halfvec_in(cstring, oid, integer) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_in';
COMMENT ON FUNCTION halfvec_in(cstring, oid, integer) IS 'text input';

CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_out';
COMMENT ON FUNCTION halfvec_out(halfvec) IS 'text output';

CREATE FUNCTION halfvec_typmod_in(cstring[]) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_typmod_in';
COMMENT ON FUNCTION halfvec_typmod_in(cstring[]) IS 'type modifier input';

CREATE FUNCTION halfvec_recv(internal, oid, integer) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_recv';
COMMENT ON FUNCTION halfvec_recv(internal, oid, integer) IS 'binary input';

CREATE FUNCTION halfvec_send(halfvec) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_send';
COMMENT ON FUNCTION halfvec_send(halfvec) IS 'binary output';

CREATE TYPE halfvec (
	INPUT = halfvec_in,
	OUTPUT = halfvec_out,
	TYPMOD_IN = halfvec_typmod_in,
	RECEIVE = halfvec_recv,
	SEND = halfvec_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = external
);
COMMENT ON TYPE halfvec IS 'half-precision vector';

--| sparsevec(n): up to 1,000,000,000 dimensions of which at most 16,000 are not
--| zero, written '{index:value,...}/dimensions' with indices from 1.
CREATE TYPE sparsevec;

CREATE FUNCTION sparsevec_in(cstring, oid, integer) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_in';
COMMENT ON FUNCTION sparsevec_in(cstring, oid, integer) IS 'text input';

CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_out';
COMMENT ON FUNCTION sparsevec_out(sparsevec) IS 'text output';

CREATE FUNCTION sparsevec_typmod_in(cstring[]) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_typmod_in';
COMMENT ON FUNCTION sparsevec_typmod_in(cstring[]) IS 'type modifier input';

CREATE FUNCTION sparsevec_recv(internal, oid, integer) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_recv';
COMMENT ON FUNCTION sparsevec_recv(internal, oid, integer) IS 'binary input';

CREATE FUNCTION sparsevec_send(sparsevec) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_send';
COMMENT ON FUNCTION sparsevec_send(sparsevec) IS 'binary output';

CREATE TYPE sparsevec (
	INPUT = sparsevec_in,
	OUTPUT = sparsevec_out,
	TYPMOD_IN = sparsevec_typmod_in,
	RECEIVE = sparsevec_recv,
	SEND = sparsevec_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = external
);
COMMENT ON TYPE sparsevec IS 'sparse vector';

-- ------------------------------------------------------------------------
-- 2 casts
-- ------------------------------------------------------------------------

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector';
COMMENT ON FUNCTION vector(vector, integer, boolean) IS 'check dimensions against a type modifier';

CREATE CAST (vector AS vector)
	WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS vector) IS 'check of dimensions';

CREATE FUNCTION halfvec(halfvec, integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec';
COMMENT ON FUNCTION halfvec(halfvec, integer, boolean) IS 'check dimensions against a type modifier';

CREATE CAST (halfvec AS halfvec)
	WITH FUNCTION halfvec(halfvec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (halfvec AS halfvec) IS 'check of dimensions';

CREATE FUNCTION sparsevec(sparsevec, integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec';
COMMENT ON FUNCTION sparsevec(sparsevec, integer, boolean) IS 'check dimensions against a type modifier';

CREATE CAST (sparsevec AS sparsevec)
	WITH FUNCTION sparsevec(sparsevec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (sparsevec AS sparsevec) IS 'check of dimensions';

CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_vector';
COMMENT ON FUNCTION array_to_vector(integer[], integer, boolean) IS 'convert integer[] to vector';

CREATE CAST (integer[] AS vector)
	WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS vector) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_vector';
COMMENT ON FUNCTION array_to_vector(real[], integer, boolean) IS 'convert real[] to vector';

CREATE CAST (real[] AS vector)
	WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS vector) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_vector';
COMMENT ON FUNCTION array_to_vector(double precision[], integer, boolean) IS 'convert double precision[] to vector';

CREATE CAST (double precision[] AS vector)
	WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS vector) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_vector';
COMMENT ON FUNCTION array_to_vector(numeric[], integer, boolean) IS 'convert numeric[] to vector';

CREATE CAST (numeric[] AS vector)
	WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS vector) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_halfvec(integer[], integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_halfvec';
COMMENT ON FUNCTION array_to_halfvec(integer[], integer, boolean) IS 'convert integer[] to halfvec';

CREATE CAST (integer[] AS halfvec)
	WITH FUNCTION array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS halfvec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_halfvec(real[], integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_halfvec';
COMMENT ON FUNCTION array_to_halfvec(real[], integer, boolean) IS 'convert real[] to halfvec';

CREATE CAST (real[] AS halfvec)
	WITH FUNCTION array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS halfvec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_halfvec(double precision[], integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_halfvec';
COMMENT ON FUNCTION array_to_halfvec(double precision[], integer, boolean) IS 'convert double precision[] to halfvec';

CREATE CAST (double precision[] AS halfvec)
	WITH FUNCTION array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS halfvec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_halfvec(numeric[], integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_halfvec';
COMMENT ON FUNCTION array_to_halfvec(numeric[], integer, boolean) IS 'convert numeric[] to halfvec';

CREATE CAST (numeric[] AS halfvec)
	WITH FUNCTION array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS halfvec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_sparsevec(integer[], integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_sparsevec';
COMMENT ON FUNCTION array_to_sparsevec(integer[], integer, boolean) IS 'convert integer[] to sparsevec';

CREATE CAST (integer[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS sparsevec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_sparsevec(real[], integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_sparsevec';
COMMENT ON FUNCTION array_to_sparsevec(real[], integer, boolean) IS 'convert real[] to sparsevec';

CREATE CAST (real[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS sparsevec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_sparsevec(double precision[], integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_sparsevec';
COMMENT ON FUNCTION array_to_sparsevec(double precision[], integer, boolean) IS 'convert double precision[] to sparsevec';

CREATE CAST (double precision[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS sparsevec) IS 'elements of a one-dimensional array';

CREATE FUNCTION array_to_sparsevec(numeric[], integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_array_to_sparsevec';
COMMENT ON FUNCTION array_to_sparsevec(numeric[], integer, boolean) IS 'convert numeric[] to sparsevec';

CREATE CAST (numeric[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS sparsevec) IS 'elements of a one-dimensional array';

CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_to_float4';
COMMENT ON FUNCTION vector_to_float4(vector, integer, boolean) IS 'convert vector to real[]';

CREATE CAST (vector AS real[])
	WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS real[]) IS 'elements as an array';

CREATE FUNCTION halfvec_to_float4(halfvec, integer, boolean) RETURNS real[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_to_float4';
COMMENT ON FUNCTION halfvec_to_float4(halfvec, integer, boolean) IS 'convert halfvec to real[]';

CREATE CAST (halfvec AS real[])
	WITH FUNCTION halfvec_to_float4(halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (halfvec AS real[]) IS 'elements as an array';

CREATE FUNCTION vector_to_halfvec(vector, integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_to_halfvec';
COMMENT ON FUNCTION vector_to_halfvec(vector, integer, boolean) IS 'convert vector to halfvec';

CREATE CAST (vector AS halfvec)
	WITH FUNCTION vector_to_halfvec(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS halfvec) IS 'each element rounded to half precision';

CREATE FUNCTION halfvec_to_vector(halfvec, integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_to_vector';
COMMENT ON FUNCTION halfvec_to_vector(halfvec, integer, boolean) IS 'convert halfvec to vector';

CREATE CAST (halfvec AS vector)
	WITH FUNCTION halfvec_to_vector(halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (halfvec AS vector) IS 'exact';

CREATE FUNCTION vector_to_sparsevec(vector, integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_to_sparsevec';
COMMENT ON FUNCTION vector_to_sparsevec(vector, integer, boolean) IS 'convert vector to sparsevec';

CREATE CAST (vector AS sparsevec)
	WITH FUNCTION vector_to_sparsevec(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS sparsevec) IS 'exact; zeros are dropped';

CREATE FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_to_vector';
COMMENT ON FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) IS 'convert sparsevec to vector';

CREATE CAST (sparsevec AS vector)
	WITH FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (sparsevec AS vector) IS 'exact, up to 16000 dimensions';

CREATE FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_to_sparsevec';
COMMENT ON FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) IS 'convert halfvec to sparsevec';

CREATE CAST (halfvec AS sparsevec)
	WITH FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (halfvec AS sparsevec) IS 'exact; zeros are dropped';

CREATE FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_to_halfvec';
COMMENT ON FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) IS 'convert sparsevec to halfvec';

CREATE CAST (sparsevec AS halfvec)
	WITH FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (sparsevec AS halfvec) IS 'each element rounded to half precision, up to 16000 dimensions';

-- ------------------------------------------------------------------------
-- 3 functions of the types
-- ------------------------------------------------------------------------

--| Euclidean distance; operator <->.
CREATE FUNCTION l2_distance(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_distance_vector';
COMMENT ON FUNCTION l2_distance(vector, vector) IS 'Euclidean distance';

CREATE FUNCTION l2_distance(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_distance_halfvec';
COMMENT ON FUNCTION l2_distance(halfvec, halfvec) IS 'Euclidean distance';

CREATE FUNCTION l2_distance(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_distance_sparsevec';
COMMENT ON FUNCTION l2_distance(sparsevec, sparsevec) IS 'Euclidean distance';

--| Inner product. The operator <#> is its negative, so that nearest comes first.
CREATE FUNCTION inner_product(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_inner_product_vector';
COMMENT ON FUNCTION inner_product(vector, vector) IS 'inner product';

CREATE FUNCTION inner_product(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_inner_product_halfvec';
COMMENT ON FUNCTION inner_product(halfvec, halfvec) IS 'inner product';

CREATE FUNCTION inner_product(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_inner_product_sparsevec';
COMMENT ON FUNCTION inner_product(sparsevec, sparsevec) IS 'inner product';

--| 1 - cosine similarity, between 0 and 2, or NaN if either vector is zero; operator <=>.
CREATE FUNCTION cosine_distance(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_cosine_distance_vector';
COMMENT ON FUNCTION cosine_distance(vector, vector) IS 'cosine distance';

CREATE FUNCTION cosine_distance(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_cosine_distance_halfvec';
COMMENT ON FUNCTION cosine_distance(halfvec, halfvec) IS 'cosine distance';

CREATE FUNCTION cosine_distance(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_cosine_distance_sparsevec';
COMMENT ON FUNCTION cosine_distance(sparsevec, sparsevec) IS 'cosine distance';

--| Sum of the absolute differences; operator <+>.
CREATE FUNCTION l1_distance(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l1_distance_vector';
COMMENT ON FUNCTION l1_distance(vector, vector) IS 'taxicab distance';

CREATE FUNCTION l1_distance(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l1_distance_halfvec';
COMMENT ON FUNCTION l1_distance(halfvec, halfvec) IS 'taxicab distance';

CREATE FUNCTION l1_distance(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l1_distance_sparsevec';
COMMENT ON FUNCTION l1_distance(sparsevec, sparsevec) IS 'taxicab distance';

--| Number of dimensions.
CREATE FUNCTION vector_dims(vector) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_dims_vector';
COMMENT ON FUNCTION vector_dims(vector) IS 'number of dimensions';

CREATE FUNCTION vector_dims(halfvec) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_dims_halfvec';
COMMENT ON FUNCTION vector_dims(halfvec) IS 'number of dimensions';

--| Euclidean norm of a vector.
CREATE FUNCTION vector_norm(vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_norm';
COMMENT ON FUNCTION vector_norm(vector) IS 'Euclidean norm';

--| Euclidean norm of a halfvec or sparsevec; that of a vector is vector_norm().
CREATE FUNCTION l2_norm(halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_norm_halfvec';
COMMENT ON FUNCTION l2_norm(halfvec) IS 'Euclidean norm';

CREATE FUNCTION l2_norm(sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_norm_sparsevec';
COMMENT ON FUNCTION l2_norm(sparsevec) IS 'Euclidean norm';

--| The value divided by its Euclidean norm; a zero vector stays as it is.
CREATE FUNCTION l2_normalize(vector) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_normalize_vector';
COMMENT ON FUNCTION l2_normalize(vector) IS 'scale to Euclidean norm 1';

CREATE FUNCTION l2_normalize(halfvec) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_normalize_halfvec';
COMMENT ON FUNCTION l2_normalize(halfvec) IS 'scale to Euclidean norm 1';

CREATE FUNCTION l2_normalize(sparsevec) RETURNS sparsevec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_l2_normalize_sparsevec';
COMMENT ON FUNCTION l2_normalize(sparsevec) IS 'scale to Euclidean norm 1';

--| One bit per element, set where the element is greater than zero.
CREATE FUNCTION binary_quantize(vector) RETURNS bit
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_binary_quantize_vector';
COMMENT ON FUNCTION binary_quantize(vector) IS 'one bit per element: is it greater than zero';

CREATE FUNCTION binary_quantize(halfvec) RETURNS bit
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_binary_quantize_halfvec';
COMMENT ON FUNCTION binary_quantize(halfvec) IS 'one bit per element: is it greater than zero';

--| The elements from the given start (counted from 1), as many as given or as there are.
CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_subvector_vector';
COMMENT ON FUNCTION subvector(vector, integer, integer) IS 'part of a vector: start (from 1), count';

CREATE FUNCTION subvector(halfvec, integer, integer) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_subvector_halfvec';
COMMENT ON FUNCTION subvector(halfvec, integer, integer) IS 'part of a vector: start (from 1), count';

--| Number of bits that differ; operator <~>.
CREATE FUNCTION hamming_distance(bit, bit) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_hamming_distance';
COMMENT ON FUNCTION hamming_distance(bit, bit) IS 'number of bits that differ';

--| 1 - (bits set in both) / (bits set in either); 1 if no common bit is set; operator <%>.
CREATE FUNCTION jaccard_distance(bit, bit) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_jaccard_distance';
COMMENT ON FUNCTION jaccard_distance(bit, bit) IS 'Jaccard distance';

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_add';
COMMENT ON FUNCTION vector_add(vector, vector) IS 'sum, element by element';

CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_sub';
COMMENT ON FUNCTION vector_sub(vector, vector) IS 'difference, element by element';

CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_mul';
COMMENT ON FUNCTION vector_mul(vector, vector) IS 'product, element by element';

CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_concat';
COMMENT ON FUNCTION vector_concat(vector, vector) IS 'elements of both, one after the other';

CREATE FUNCTION halfvec_add(halfvec, halfvec) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_add';
COMMENT ON FUNCTION halfvec_add(halfvec, halfvec) IS 'sum, element by element';

CREATE FUNCTION halfvec_sub(halfvec, halfvec) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_sub';
COMMENT ON FUNCTION halfvec_sub(halfvec, halfvec) IS 'difference, element by element';

CREATE FUNCTION halfvec_mul(halfvec, halfvec) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_mul';
COMMENT ON FUNCTION halfvec_mul(halfvec, halfvec) IS 'product, element by element';

CREATE FUNCTION halfvec_concat(halfvec, halfvec) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_concat';
COMMENT ON FUNCTION halfvec_concat(halfvec, halfvec) IS 'elements of both, one after the other';

CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_lt';
COMMENT ON FUNCTION vector_lt(vector, vector) IS 'less than';

CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_le';
COMMENT ON FUNCTION vector_le(vector, vector) IS 'less than or equal';

CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_eq';
COMMENT ON FUNCTION vector_eq(vector, vector) IS 'equal';

CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_ne';
COMMENT ON FUNCTION vector_ne(vector, vector) IS 'not equal';

CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_ge';
COMMENT ON FUNCTION vector_ge(vector, vector) IS 'greater than or equal';

CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_gt';
COMMENT ON FUNCTION vector_gt(vector, vector) IS 'greater than';

CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_cmp';
COMMENT ON FUNCTION vector_cmp(vector, vector) IS 'compare: less than, equal or greater than 0';

CREATE FUNCTION halfvec_lt(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_lt';
COMMENT ON FUNCTION halfvec_lt(halfvec, halfvec) IS 'less than';

CREATE FUNCTION halfvec_le(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_le';
COMMENT ON FUNCTION halfvec_le(halfvec, halfvec) IS 'less than or equal';

CREATE FUNCTION halfvec_eq(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_eq';
COMMENT ON FUNCTION halfvec_eq(halfvec, halfvec) IS 'equal';

CREATE FUNCTION halfvec_ne(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_ne';
COMMENT ON FUNCTION halfvec_ne(halfvec, halfvec) IS 'not equal';

CREATE FUNCTION halfvec_ge(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_ge';
COMMENT ON FUNCTION halfvec_ge(halfvec, halfvec) IS 'greater than or equal';

CREATE FUNCTION halfvec_gt(halfvec, halfvec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_gt';
COMMENT ON FUNCTION halfvec_gt(halfvec, halfvec) IS 'greater than';

CREATE FUNCTION halfvec_cmp(halfvec, halfvec) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_cmp';
COMMENT ON FUNCTION halfvec_cmp(halfvec, halfvec) IS 'compare: less than, equal or greater than 0';

CREATE FUNCTION sparsevec_lt(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_lt';
COMMENT ON FUNCTION sparsevec_lt(sparsevec, sparsevec) IS 'less than';

CREATE FUNCTION sparsevec_le(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_le';
COMMENT ON FUNCTION sparsevec_le(sparsevec, sparsevec) IS 'less than or equal';

CREATE FUNCTION sparsevec_eq(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_eq';
COMMENT ON FUNCTION sparsevec_eq(sparsevec, sparsevec) IS 'equal';

CREATE FUNCTION sparsevec_ne(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_ne';
COMMENT ON FUNCTION sparsevec_ne(sparsevec, sparsevec) IS 'not equal';

CREATE FUNCTION sparsevec_ge(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_ge';
COMMENT ON FUNCTION sparsevec_ge(sparsevec, sparsevec) IS 'greater than or equal';

CREATE FUNCTION sparsevec_gt(sparsevec, sparsevec) RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_gt';
COMMENT ON FUNCTION sparsevec_gt(sparsevec, sparsevec) IS 'greater than';

CREATE FUNCTION sparsevec_cmp(sparsevec, sparsevec) RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_cmp';
COMMENT ON FUNCTION sparsevec_cmp(sparsevec, sparsevec) IS 'compare: less than, equal or greater than 0';

CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_l2_squared_distance';
COMMENT ON FUNCTION vector_l2_squared_distance(vector, vector) IS 'squared Euclidean distance';

CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_negative_inner_product';
COMMENT ON FUNCTION vector_negative_inner_product(vector, vector) IS 'negative inner product';

CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_spherical_distance';
COMMENT ON FUNCTION vector_spherical_distance(vector, vector) IS 'angle between unit vectors as a fraction of a half turn';

CREATE FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_l2_squared_distance';
COMMENT ON FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) IS 'squared Euclidean distance';

CREATE FUNCTION halfvec_negative_inner_product(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_negative_inner_product';
COMMENT ON FUNCTION halfvec_negative_inner_product(halfvec, halfvec) IS 'negative inner product';

CREATE FUNCTION halfvec_spherical_distance(halfvec, halfvec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_spherical_distance';
COMMENT ON FUNCTION halfvec_spherical_distance(halfvec, halfvec) IS 'angle between unit vectors as a fraction of a half turn';

CREATE FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_l2_squared_distance';
COMMENT ON FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) IS 'squared Euclidean distance';

CREATE FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_sparsevec_negative_inner_product';
COMMENT ON FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) IS 'negative inner product';

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_accum';
COMMENT ON FUNCTION vector_accum(double precision[], vector) IS 'transition of avg';

CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_avg';
COMMENT ON FUNCTION vector_avg(double precision[]) IS 'result of avg';

CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_combine';
COMMENT ON FUNCTION vector_combine(double precision[], double precision[]) IS 'combine partial states of avg';

CREATE FUNCTION halfvec_accum(double precision[], halfvec) RETURNS double precision[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_accum';
COMMENT ON FUNCTION halfvec_accum(double precision[], halfvec) IS 'transition of avg';

CREATE FUNCTION halfvec_avg(double precision[]) RETURNS halfvec
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_halfvec_avg';
COMMENT ON FUNCTION halfvec_avg(double precision[]) IS 'result of avg';

CREATE FUNCTION halfvec_combine(double precision[], double precision[]) RETURNS double precision[]
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pir_vector_combine';
COMMENT ON FUNCTION halfvec_combine(double precision[], double precision[]) IS 'combine partial states of avg';

-- ------------------------------------------------------------------------
-- 4 operators
-- ------------------------------------------------------------------------

--| Euclidean distance.
CREATE OPERATOR <-> (
	FUNCTION = l2_distance, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (vector, vector) IS 'Euclidean distance';

--| Negative inner product: ORDER BY brings the largest inner product first.
CREATE OPERATOR <#> (
	FUNCTION = vector_negative_inner_product, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (vector, vector) IS 'negative inner product';

--| Cosine distance.
CREATE OPERATOR <=> (
	FUNCTION = cosine_distance, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (vector, vector) IS 'cosine distance';

--| Taxicab distance.
CREATE OPERATOR <+> (
	FUNCTION = l1_distance, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (vector, vector) IS 'taxicab distance';

CREATE OPERATOR <-> (
	FUNCTION = l2_distance, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (halfvec, halfvec) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	FUNCTION = halfvec_negative_inner_product, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (halfvec, halfvec) IS 'negative inner product';

CREATE OPERATOR <=> (
	FUNCTION = cosine_distance, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (halfvec, halfvec) IS 'cosine distance';

CREATE OPERATOR <+> (
	FUNCTION = l1_distance, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (halfvec, halfvec) IS 'taxicab distance';

CREATE OPERATOR <-> (
	FUNCTION = l2_distance, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (sparsevec, sparsevec) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	FUNCTION = sparsevec_negative_inner_product, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (sparsevec, sparsevec) IS 'negative inner product';

CREATE OPERATOR <=> (
	FUNCTION = cosine_distance, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (sparsevec, sparsevec) IS 'cosine distance';

CREATE OPERATOR <+> (
	FUNCTION = l1_distance, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (sparsevec, sparsevec) IS 'taxicab distance';

--| Hamming distance.
CREATE OPERATOR <~> (
	FUNCTION = hamming_distance, LEFTARG = bit, RIGHTARG = bit,
	COMMUTATOR = <~>
);
COMMENT ON OPERATOR <~> (bit, bit) IS 'Hamming distance';

--| Jaccard distance.
CREATE OPERATOR <%> (
	FUNCTION = jaccard_distance, LEFTARG = bit, RIGHTARG = bit,
	COMMUTATOR = <%>
);
COMMENT ON OPERATOR <%> (bit, bit) IS 'Jaccard distance';

CREATE OPERATOR + (
	FUNCTION = vector_add, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = +
);
COMMENT ON OPERATOR + (vector, vector) IS 'sum, element by element';

CREATE OPERATOR - (
	FUNCTION = vector_sub, LEFTARG = vector, RIGHTARG = vector
);
COMMENT ON OPERATOR - (vector, vector) IS 'difference, element by element';

CREATE OPERATOR * (
	FUNCTION = vector_mul, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = *
);
COMMENT ON OPERATOR * (vector, vector) IS 'product, element by element';

CREATE OPERATOR || (
	FUNCTION = vector_concat, LEFTARG = vector, RIGHTARG = vector
);
COMMENT ON OPERATOR || (vector, vector) IS 'elements of both, one after the other';

CREATE OPERATOR + (
	FUNCTION = halfvec_add, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = +
);
COMMENT ON OPERATOR + (halfvec, halfvec) IS 'sum, element by element';

CREATE OPERATOR - (
	FUNCTION = halfvec_sub, LEFTARG = halfvec, RIGHTARG = halfvec
);
COMMENT ON OPERATOR - (halfvec, halfvec) IS 'difference, element by element';

CREATE OPERATOR * (
	FUNCTION = halfvec_mul, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = *
);
COMMENT ON OPERATOR * (halfvec, halfvec) IS 'product, element by element';

CREATE OPERATOR || (
	FUNCTION = halfvec_concat, LEFTARG = halfvec, RIGHTARG = halfvec
);
COMMENT ON OPERATOR || (halfvec, halfvec) IS 'elements of both, one after the other';

CREATE OPERATOR < (
	FUNCTION = vector_lt, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (vector, vector) IS 'less than';

CREATE OPERATOR <= (
	FUNCTION = vector_le, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (vector, vector) IS 'less than or equal';

CREATE OPERATOR = (
	FUNCTION = vector_eq, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR = (vector, vector) IS 'equal';

CREATE OPERATOR <> (
	FUNCTION = vector_ne, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR <> (vector, vector) IS 'not equal';

CREATE OPERATOR >= (
	FUNCTION = vector_ge, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (vector, vector) IS 'greater than or equal';

CREATE OPERATOR > (
	FUNCTION = vector_gt, LEFTARG = vector, RIGHTARG = vector,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (vector, vector) IS 'greater than';

CREATE OPERATOR < (
	FUNCTION = halfvec_lt, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (halfvec, halfvec) IS 'less than';

CREATE OPERATOR <= (
	FUNCTION = halfvec_le, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (halfvec, halfvec) IS 'less than or equal';

CREATE OPERATOR = (
	FUNCTION = halfvec_eq, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR = (halfvec, halfvec) IS 'equal';

CREATE OPERATOR <> (
	FUNCTION = halfvec_ne, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR <> (halfvec, halfvec) IS 'not equal';

CREATE OPERATOR >= (
	FUNCTION = halfvec_ge, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (halfvec, halfvec) IS 'greater than or equal';

CREATE OPERATOR > (
	FUNCTION = halfvec_gt, LEFTARG = halfvec, RIGHTARG = halfvec,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (halfvec, halfvec) IS 'greater than';

CREATE OPERATOR < (
	FUNCTION = sparsevec_lt, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (sparsevec, sparsevec) IS 'less than';

CREATE OPERATOR <= (
	FUNCTION = sparsevec_le, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (sparsevec, sparsevec) IS 'less than or equal';

CREATE OPERATOR = (
	FUNCTION = sparsevec_eq, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR = (sparsevec, sparsevec) IS 'equal';

CREATE OPERATOR <> (
	FUNCTION = sparsevec_ne, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR <> (sparsevec, sparsevec) IS 'not equal';

CREATE OPERATOR >= (
	FUNCTION = sparsevec_ge, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (sparsevec, sparsevec) IS 'greater than or equal';

CREATE OPERATOR > (
	FUNCTION = sparsevec_gt, LEFTARG = sparsevec, RIGHTARG = sparsevec,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (sparsevec, sparsevec) IS 'greater than';

-- ------------------------------------------------------------------------
-- 5 aggregates
-- ------------------------------------------------------------------------

--| Mean of the values, element by element, summed in double precision.
CREATE AGGREGATE avg(vector) (
	SFUNC = vector_accum,
	STYPE = double precision[],
	FINALFUNC = vector_avg,
	COMBINEFUNC = vector_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(vector) IS 'mean of the values, element by element';

CREATE AGGREGATE avg(halfvec) (
	SFUNC = halfvec_accum,
	STYPE = double precision[],
	FINALFUNC = halfvec_avg,
	COMBINEFUNC = halfvec_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(halfvec) IS 'mean of the values, element by element';

--| Sum of the values, element by element, in the precision of the type.
CREATE AGGREGATE sum(vector) (
	SFUNC = vector_add,
	STYPE = vector,
	COMBINEFUNC = vector_add,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(vector) IS 'sum of the values, element by element';

CREATE AGGREGATE sum(halfvec) (
	SFUNC = halfvec_add,
	STYPE = halfvec,
	COMBINEFUNC = halfvec_add,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(halfvec) IS 'sum of the values, element by element';

-- ------------------------------------------------------------------------
-- 6 btree operator classes
-- ------------------------------------------------------------------------

CREATE OPERATOR FAMILY vector_ops USING btree;
COMMENT ON OPERATOR FAMILY vector_ops USING btree IS 'order of vector: element by element, then by dimensions';

CREATE OPERATOR CLASS vector_ops
	DEFAULT FOR TYPE vector USING btree FAMILY vector_ops AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 vector_cmp(vector, vector);
COMMENT ON OPERATOR CLASS vector_ops USING btree IS 'order of vector: element by element, then by dimensions';

CREATE OPERATOR FAMILY halfvec_ops USING btree;
COMMENT ON OPERATOR FAMILY halfvec_ops USING btree IS 'order of halfvec: element by element, then by dimensions';

CREATE OPERATOR CLASS halfvec_ops
	DEFAULT FOR TYPE halfvec USING btree FAMILY halfvec_ops AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 halfvec_cmp(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_ops USING btree IS 'order of halfvec: element by element, then by dimensions';

CREATE OPERATOR FAMILY sparsevec_ops USING btree;
COMMENT ON OPERATOR FAMILY sparsevec_ops USING btree IS 'order of sparsevec: element by element, then by dimensions';

CREATE OPERATOR CLASS sparsevec_ops
	DEFAULT FOR TYPE sparsevec USING btree FAMILY sparsevec_ops AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 sparsevec_cmp(sparsevec, sparsevec);
COMMENT ON OPERATOR CLASS sparsevec_ops USING btree IS 'order of sparsevec: element by element, then by dimensions';

-- ------------------------------------------------------------------------
-- 7 access methods
-- ------------------------------------------------------------------------

CREATE FUNCTION hnswhandler(internal) RETURNS index_am_handler
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_hnsw_handler';
COMMENT ON FUNCTION hnswhandler(internal) IS 'hnsw index access method handler';

--| Graph index for the nearest rows: CREATE INDEX ON t USING hnsw (v vector_l2_ops),
--| then ORDER BY v <-> q LIMIT k. Options: m, ef_construction, quantizer, bits.
CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER hnswhandler;
COMMENT ON ACCESS METHOD hnsw IS 'hnsw index access method: graph of quantized vectors';

CREATE FUNCTION hnsw_halfvec_support(internal) RETURNS internal
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_hnsw_halfvec_support';
COMMENT ON FUNCTION hnsw_halfvec_support(internal) IS 'hnsw support of type halfvec';

CREATE FUNCTION hnsw_bit_support(internal) RETURNS internal
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_hnsw_bit_support';
COMMENT ON FUNCTION hnsw_bit_support(internal) IS 'hnsw support of type bit';

CREATE FUNCTION hnsw_sparsevec_support(internal) RETURNS internal
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_hnsw_sparsevec_support';
COMMENT ON FUNCTION hnsw_sparsevec_support(internal) IS 'hnsw support of type sparsevec';

CREATE FUNCTION ivfhandler(internal) RETURNS index_am_handler
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_ivf_handler';
COMMENT ON FUNCTION ivfhandler(internal) IS 'ivf index access method handler';

--| Index of lists around centres: CREATE INDEX ON t USING ivf (v vector_l2_ops),
--| then ORDER BY v <-> q LIMIT k. Quicker to build and smaller than hnsw, slower to
--| search. Options: lists, quantizer, bits.
CREATE ACCESS METHOD ivf TYPE INDEX HANDLER ivfhandler;
COMMENT ON ACCESS METHOD ivf IS 'ivf index access method: lists of quantized vectors around centres';

CREATE FUNCTION ivfflathandler(internal) RETURNS index_am_handler
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_ivfflat_handler';
COMMENT ON FUNCTION ivfflathandler(internal) IS 'ivfflat index access method handler';

--| The same as ivf under the name, the defaults and the settings that other
--| software knows. Options: lists, quantizer, bits.
CREATE ACCESS METHOD ivfflat TYPE INDEX HANDLER ivfflathandler;
COMMENT ON ACCESS METHOD ivfflat IS 'ivfflat index access method: ivf with compatible defaults';

CREATE FUNCTION ivfflat_halfvec_support(internal) RETURNS internal
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_ivfflat_halfvec_support';
COMMENT ON FUNCTION ivfflat_halfvec_support(internal) IS 'ivf and ivfflat support of type halfvec';

CREATE FUNCTION ivfflat_bit_support(internal) RETURNS internal
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_ivfflat_bit_support';
COMMENT ON FUNCTION ivfflat_bit_support(internal) IS 'ivf and ivfflat support of type bit';

-- ------------------------------------------------------------------------
-- 8 hnsw operator classes
-- ------------------------------------------------------------------------

CREATE OPERATOR FAMILY vector_l2_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_l2_ops USING hnsw IS 'Euclidean distance of vector';

CREATE OPERATOR CLASS vector_l2_ops
	FOR TYPE vector USING hnsw FAMILY vector_l2_ops AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING hnsw IS 'Euclidean distance of vector';

CREATE OPERATOR FAMILY vector_ip_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_ip_ops USING hnsw IS 'negative inner product of vector';

CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING hnsw FAMILY vector_ip_ops AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING hnsw IS 'negative inner product of vector';

CREATE OPERATOR FAMILY vector_cosine_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING hnsw IS 'cosine distance of vector';

CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING hnsw FAMILY vector_cosine_ops AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING hnsw IS 'cosine distance of vector';

CREATE OPERATOR FAMILY vector_l1_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_l1_ops USING hnsw IS 'taxicab distance of vector';

CREATE OPERATOR CLASS vector_l1_ops
	FOR TYPE vector USING hnsw FAMILY vector_l1_ops AS
	OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l1_ops USING hnsw IS 'taxicab distance of vector';

CREATE OPERATOR FAMILY halfvec_l2_ops USING hnsw;
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING hnsw IS 'Euclidean distance of halfvec';

CREATE OPERATOR CLASS halfvec_l2_ops
	FOR TYPE halfvec USING hnsw FAMILY halfvec_l2_ops AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING hnsw IS 'Euclidean distance of halfvec';

CREATE OPERATOR FAMILY halfvec_ip_ops USING hnsw;
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING hnsw IS 'negative inner product of halfvec';

CREATE OPERATOR CLASS halfvec_ip_ops
	FOR TYPE halfvec USING hnsw FAMILY halfvec_ip_ops AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING hnsw IS 'negative inner product of halfvec';

CREATE OPERATOR FAMILY halfvec_cosine_ops USING hnsw;
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING hnsw IS 'cosine distance of halfvec';

CREATE OPERATOR CLASS halfvec_cosine_ops
	FOR TYPE halfvec USING hnsw FAMILY halfvec_cosine_ops AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 2 l2_norm(halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING hnsw IS 'cosine distance of halfvec';

CREATE OPERATOR FAMILY halfvec_l1_ops USING hnsw;
COMMENT ON OPERATOR FAMILY halfvec_l1_ops USING hnsw IS 'taxicab distance of halfvec';

CREATE OPERATOR CLASS halfvec_l1_ops
	FOR TYPE halfvec USING hnsw FAMILY halfvec_l1_ops AS
	OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l1_ops USING hnsw IS 'taxicab distance of halfvec';

CREATE OPERATOR FAMILY sparsevec_l2_ops USING hnsw;
COMMENT ON OPERATOR FAMILY sparsevec_l2_ops USING hnsw IS 'Euclidean distance of sparsevec';

CREATE OPERATOR CLASS sparsevec_l2_ops
	FOR TYPE sparsevec USING hnsw FAMILY sparsevec_l2_ops AS
	OPERATOR 1 <-> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_l2_squared_distance(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_l2_ops USING hnsw IS 'Euclidean distance of sparsevec';

CREATE OPERATOR FAMILY sparsevec_ip_ops USING hnsw;
COMMENT ON OPERATOR FAMILY sparsevec_ip_ops USING hnsw IS 'negative inner product of sparsevec';

CREATE OPERATOR CLASS sparsevec_ip_ops
	FOR TYPE sparsevec USING hnsw FAMILY sparsevec_ip_ops AS
	OPERATOR 1 <#> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_ip_ops USING hnsw IS 'negative inner product of sparsevec';

CREATE OPERATOR FAMILY sparsevec_cosine_ops USING hnsw;
COMMENT ON OPERATOR FAMILY sparsevec_cosine_ops USING hnsw IS 'cosine distance of sparsevec';

CREATE OPERATOR CLASS sparsevec_cosine_ops
	FOR TYPE sparsevec USING hnsw FAMILY sparsevec_cosine_ops AS
	OPERATOR 1 <=> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
	FUNCTION 2 l2_norm(sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_cosine_ops USING hnsw IS 'cosine distance of sparsevec';

CREATE OPERATOR FAMILY sparsevec_l1_ops USING hnsw;
COMMENT ON OPERATOR FAMILY sparsevec_l1_ops USING hnsw IS 'taxicab distance of sparsevec';

CREATE OPERATOR CLASS sparsevec_l1_ops
	FOR TYPE sparsevec USING hnsw FAMILY sparsevec_l1_ops AS
	OPERATOR 1 <+> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_l1_ops USING hnsw IS 'taxicab distance of sparsevec';

CREATE OPERATOR FAMILY bit_hamming_ops USING hnsw;
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING hnsw IS 'Hamming distance of bit strings';

CREATE OPERATOR CLASS bit_hamming_ops
	FOR TYPE bit USING hnsw FAMILY bit_hamming_ops AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 hamming_distance(bit, bit),
	FUNCTION 3 hnsw_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING hnsw IS 'Hamming distance of bit strings';

CREATE OPERATOR FAMILY bit_jaccard_ops USING hnsw;
COMMENT ON OPERATOR FAMILY bit_jaccard_ops USING hnsw IS 'Jaccard distance of bit strings';

CREATE OPERATOR CLASS bit_jaccard_ops
	FOR TYPE bit USING hnsw FAMILY bit_jaccard_ops AS
	OPERATOR 1 <%> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 jaccard_distance(bit, bit),
	FUNCTION 3 hnsw_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_jaccard_ops USING hnsw IS 'Jaccard distance of bit strings';

-- ------------------------------------------------------------------------
-- 9 ivf and ivfflat operator classes
-- ------------------------------------------------------------------------

CREATE OPERATOR FAMILY vector_l2_ops USING ivf;
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivf IS 'Euclidean distance of vector';

CREATE OPERATOR CLASS vector_l2_ops
	DEFAULT FOR TYPE vector USING ivf FAMILY vector_l2_ops AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector),
	FUNCTION 3 l2_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivf IS 'Euclidean distance of vector';

CREATE OPERATOR FAMILY vector_ip_ops USING ivf;
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivf IS 'negative inner product of vector';

CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING ivf FAMILY vector_ip_ops AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 3 vector_spherical_distance(vector, vector),
	FUNCTION 4 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivf IS 'negative inner product of vector';

CREATE OPERATOR FAMILY vector_cosine_ops USING ivf;
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivf IS 'cosine distance of vector';

CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING ivf FAMILY vector_cosine_ops AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 2 vector_norm(vector),
	FUNCTION 3 vector_spherical_distance(vector, vector),
	FUNCTION 4 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivf IS 'cosine distance of vector';

CREATE OPERATOR FAMILY halfvec_l2_ops USING ivf;
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING ivf IS 'Euclidean distance of halfvec';

CREATE OPERATOR CLASS halfvec_l2_ops
	FOR TYPE halfvec USING ivf FAMILY halfvec_l2_ops AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
	FUNCTION 3 l2_distance(halfvec, halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING ivf IS 'Euclidean distance of halfvec';

CREATE OPERATOR FAMILY halfvec_ip_ops USING ivf;
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING ivf IS 'negative inner product of halfvec';

CREATE OPERATOR CLASS halfvec_ip_ops
	FOR TYPE halfvec USING ivf FAMILY halfvec_ip_ops AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
	FUNCTION 4 l2_norm(halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING ivf IS 'negative inner product of halfvec';

CREATE OPERATOR FAMILY halfvec_cosine_ops USING ivf;
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING ivf IS 'cosine distance of halfvec';

CREATE OPERATOR CLASS halfvec_cosine_ops
	FOR TYPE halfvec USING ivf FAMILY halfvec_cosine_ops AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 2 l2_norm(halfvec),
	FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
	FUNCTION 4 l2_norm(halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING ivf IS 'cosine distance of halfvec';

CREATE OPERATOR FAMILY bit_hamming_ops USING ivf;
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING ivf IS 'Hamming distance of bit strings';

CREATE OPERATOR CLASS bit_hamming_ops
	FOR TYPE bit USING ivf FAMILY bit_hamming_ops AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 hamming_distance(bit, bit),
	FUNCTION 3 hamming_distance(bit, bit),
	FUNCTION 5 ivfflat_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING ivf IS 'Hamming distance of bit strings';

CREATE OPERATOR FAMILY vector_l2_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivfflat IS 'Euclidean distance of vector';

CREATE OPERATOR CLASS vector_l2_ops
	DEFAULT FOR TYPE vector USING ivfflat FAMILY vector_l2_ops AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector),
	FUNCTION 3 l2_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivfflat IS 'Euclidean distance of vector';

CREATE OPERATOR FAMILY vector_ip_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivfflat IS 'negative inner product of vector';

CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING ivfflat FAMILY vector_ip_ops AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 3 vector_spherical_distance(vector, vector),
	FUNCTION 4 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivfflat IS 'negative inner product of vector';

CREATE OPERATOR FAMILY vector_cosine_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivfflat IS 'cosine distance of vector';

CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING ivfflat FAMILY vector_cosine_ops AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 2 vector_norm(vector),
	FUNCTION 3 vector_spherical_distance(vector, vector),
	FUNCTION 4 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivfflat IS 'cosine distance of vector';

CREATE OPERATOR FAMILY halfvec_l2_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING ivfflat IS 'Euclidean distance of halfvec';

CREATE OPERATOR CLASS halfvec_l2_ops
	FOR TYPE halfvec USING ivfflat FAMILY halfvec_l2_ops AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
	FUNCTION 3 l2_distance(halfvec, halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING ivfflat IS 'Euclidean distance of halfvec';

CREATE OPERATOR FAMILY halfvec_ip_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING ivfflat IS 'negative inner product of halfvec';

CREATE OPERATOR CLASS halfvec_ip_ops
	FOR TYPE halfvec USING ivfflat FAMILY halfvec_ip_ops AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
	FUNCTION 4 l2_norm(halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING ivfflat IS 'negative inner product of halfvec';

CREATE OPERATOR FAMILY halfvec_cosine_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING ivfflat IS 'cosine distance of halfvec';

CREATE OPERATOR CLASS halfvec_cosine_ops
	FOR TYPE halfvec USING ivfflat FAMILY halfvec_cosine_ops AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 2 l2_norm(halfvec),
	FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
	FUNCTION 4 l2_norm(halfvec),
	FUNCTION 5 ivfflat_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING ivfflat IS 'cosine distance of halfvec';

CREATE OPERATOR FAMILY bit_hamming_ops USING ivfflat;
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING ivfflat IS 'Hamming distance of bit strings';

CREATE OPERATOR CLASS bit_hamming_ops
	FOR TYPE bit USING ivfflat FAMILY bit_hamming_ops AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 hamming_distance(bit, bit),
	FUNCTION 3 hamming_distance(bit, bit),
	FUNCTION 5 ivfflat_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING ivfflat IS 'Hamming distance of bit strings';

-- ------------------------------------------------------------------------
-- 10 inspection
-- ------------------------------------------------------------------------

--| What an index is and holds: its kind, state ('flat': every code is compared;
--| 'graph', 'lists'), value type, metric, quantizer with its bits per dimension, the
--| dimensions of the column and those that are encoded, rows its parameters were
--| computed from, the measured relative error of distances between near rows and
--| how many rows it makes a search look at to find the 10 nearest (codes that are
--| too coarse for the table show by more than 60; NULL if not measured), heap rows, nodes, entries of searches, pages by kind, size.
--| Nodes are fewer than heap rows where rows have the same code. For whoever may
--| read the table, and members of pg_stat_scan_tables. Works on standbys.
CREATE FUNCTION piramid_index_info(index regclass,
		OUT access_method text, OUT kind text, OUT state text, OUT value_type text,
		OUT metric text, OUT quantizer text, OUT bits integer, OUT dimensions integer,
		OUT code_dimensions integer, OUT m integer, OUT trained_rows bigint,
		OUT code_error double precision, OUT code_rows double precision,
		OUT heap_rows bigint, OUT live_nodes bigint, OUT dead_nodes bigint,
		OUT free_nodes bigint, OUT entries bigint, OUT pages jsonb, OUT bytes bigint,
		OUT bytes_per_row double precision, OUT format_version text) RETURNS record
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pir_index_info';
COMMENT ON FUNCTION piramid_index_info(regclass) IS 'what an index of this extension is and holds';

--| Verifies an index; one row per broken invariant, so none if all is well. The
--| invariants are those of the source tree's README files (STORAGE-I1, HNSW-I8);
--| block and node say where, if that makes sense. By default it locks the table
--| against writers (SHARE mode) while it runs and compares everything, the index
--| with the table too. With exclusive => false it hinders nobody and verifies only
--| what holds within one page. For the owner of the table. On a standby the full
--| check wants replay to stand still: pg_wal_replay_pause().
CREATE FUNCTION piramid_check(index regclass, exclusive boolean DEFAULT true,
		OUT invariant text, OUT block bigint, OUT node bigint, OUT detail text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pir_check';
COMMENT ON FUNCTION piramid_check(regclass, boolean) IS 'verify an index of this extension: one row per broken invariant';
