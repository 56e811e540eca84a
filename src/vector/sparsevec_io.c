/*-------------------------------------------------------------------------
 *
 * sparsevec_io.c
 *	  Text and binary input and output of sparsevec, and its type modifier.
 *
 * Text is '{' [ index ':' number ( ',' index ':' number )* ] '}' '/' dimensions
 * with one-based indices in any order. The binary form is what lies in memory,
 * in network byte order: zero-based ascending indices, then values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "vector/vector_private.h"

typedef struct SparseEntry
{
	int32		index;			/* one-based, as written */
	float		value;
} SparseEntry;

static int
compare_entries(const void *a, const void *b)
{
	int32		x = ((const SparseEntry *) a)->index;
	int32		y = ((const SparseEntry *) b)->index;

	return (x > y) - (x < y);
}

/*
 * Read the list between the braces into 'entries', leaving out zeros, and
 * return how many there are. *sorted tells if the indices ascend.
 */
static int
read_entries(PirLiteral *lit, SparseEntry *entries, bool *sorted)
{
	int			n = 0;

	*sorted = true;
	pir_literal_skip_space(lit);
	if (pir_literal_accept(lit, '}'))
		return 0;

	do
	{
		SparseEntry entry;
		const char *start;
		bool		underflow;

		pir_literal_skip_space(lit);
		entry.index = pir_literal_int32(lit, "an index");
		pir_literal_skip_space(lit);
		pir_literal_expect(lit, ':', "\":\"");
		pir_literal_skip_space(lit);
		start = lit->pos;
		entry.value = pir_literal_float(lit, &underflow);
		/* it would silently vanish from the value */
		if (underflow)
			pir_literal_out_of_range(lit, start);
		pir_literal_skip_space(lit);

		if (entry.value != 0)
		{
			if (n > 0 && entries[n - 1].index >= entry.index)
				*sorted = false;
			entries[n++] = entry;
		}
	} while (pir_literal_accept(lit, ','));
	pir_literal_expect(lit, '}', "\",\" or \"}\"");
	return n;
}

/* Sorted entries: each index within the dimensions, and none twice */
static void
check_indices(const SparseEntry *entries, int nnz, int dim)
{
	for (int i = 0; i < nnz; i++)
	{
		int32		index = entries[i].index;

		if (index < 1 || index > dim)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("index %d is out of bounds for type sparsevec of %d dimensions", index, dim),
					 errdetail("Indices in text start at 1.")));
		if (i > 0 && index == entries[i - 1].index)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("duplicate index %d in value of type sparsevec", index)));
	}
}

PG_FUNCTION_INFO_V1(pir_sparsevec_in);
Datum
pir_sparsevec_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	PirLiteral	lit = {PIR_SPARSEVEC_NAME, text, text};
	int			nelements = pir_literal_count_commas(&lit) + 1;
	SparseEntry *entries;
	int			nnz;
	int			dim;
	bool		sorted;
	PirSparsevec *result;
	float	   *values;

	/* the commas bound the elements: know the memory before reading on */
	pir_check_nnz(nelements);
	entries = (SparseEntry *) palloc(sizeof(SparseEntry) * nelements);

	pir_literal_skip_space(&lit);
	pir_literal_expect(&lit, '{', "\"{\"");
	nnz = read_entries(&lit, entries, &sorted);
	pir_literal_skip_space(&lit);
	pir_literal_expect(&lit, '/', "\"/\"");
	pir_literal_skip_space(&lit);
	dim = pir_literal_int32(&lit, "the number of dimensions");
	pir_literal_expect_end(&lit);

	pir_check_dim_range(PIR_SPARSEVEC_NAME, dim, PIR_SPARSEVEC_MAX_DIM);
	pir_check_expected_dim(PIR_SPARSEVEC_NAME, typmod, dim);

	if (!sorted)
		qsort(entries, nnz, sizeof(SparseEntry), compare_entries);
	check_indices(entries, nnz, dim);

	result = pir_sparsevec_new(dim, nnz);
	values = pir_sparsevec_values(result);
	for (int i = 0; i < nnz; i++)
	{
		result->indices[i] = entries[i].index - 1;
		values[i] = entries[i].value;
	}
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(pir_sparsevec_out);
Datum
pir_sparsevec_out(PG_FUNCTION_ARGS)
{
	PirSparsevecView v = pir_sparsevec_view(PG_GETARG_DATUM(0));
	char	   *text;
	char	   *p;

	/* per element: index of at most 10 digits, ':', number, separator */
	text = p = (char *) palloc((Size) v.nnz * (11 + FLOAT_SHORTEST_DECIMAL_LEN) + 16);
	*p++ = '{';
	for (int i = 0; i < v.nnz; i++)
	{
		if (i > 0)
			*p++ = ',';
		p += pg_ltoa(pir_load_int32(v.indices + i) + 1, p);
		*p++ = ':';
		p += float_to_shortest_decimal_bufn(pir_load_float(v.values + i), p);
	}
	*p++ = '}';
	*p++ = '/';
	pg_ltoa(v.dim, p);
	PG_RETURN_CSTRING(text);
}

/* Nothing is allocated before the length of the message is known to fit */
PG_FUNCTION_INFO_V1(pir_sparsevec_recv);
Datum
pir_sparsevec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	int32		dim = (int32) pq_getmsgint(buf, 4);
	int32		nnz = (int32) pq_getmsgint(buf, 4);
	int32		unused = (int32) pq_getmsgint(buf, 4);
	const char *data;
	PirSparsevec *result;
	float	   *values;

	pir_check_dim_range(PIR_SPARSEVEC_NAME, dim, PIR_SPARSEVEC_MAX_DIM);
	if (nnz < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("invalid binary value of type sparsevec"),
				 errdetail("The number of elements must not be negative, but is %d.", nnz)));
	pir_check_nnz(nnz);
	if (nnz > dim)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d non-zero elements do not fit in %d dimensions of type sparsevec", nnz, dim)));
	pir_check_expected_dim(PIR_SPARSEVEC_NAME, typmod, dim);
	if (unused != 0)
		pir_report_bad_unused(PIR_SPARSEVEC_NAME, unused);

	data = pq_getmsgbytes(buf, nnz * (int) (sizeof(int32) + sizeof(float)));
	result = pir_sparsevec_new(dim, nnz);
	values = pir_sparsevec_values(result);

	for (int i = 0; i < nnz; i++)
	{
		uint32		bits;
		int32		index;

		memcpy(&bits, data + sizeof(int32) * i, sizeof(bits));
		index = (int32) pg_ntoh32(bits);
		if (index < 0 || index >= dim)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("index %d is out of bounds for type sparsevec of %d dimensions", index, dim),
					 errdetail("Indices in binary start at 0.")));
		if (i > 0 && index == result->indices[i - 1])
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("duplicate index %d in binary value of type sparsevec", index)));
		if (i > 0 && index < result->indices[i - 1])
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("indices in a binary value of type sparsevec must ascend"),
					 errdetail("Index %d follows index %d.", index, result->indices[i - 1])));
		result->indices[i] = index;
	}

	data += sizeof(int32) * nnz;
	for (int i = 0; i < nnz; i++)
	{
		values[i] = pir_read_network_float(data + sizeof(float) * i);
		if (values[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("binary value of type sparsevec must not contain zeros"),
					 errdetail("The value of index %d is zero.", result->indices[i])));
	}
	pir_check_finite(PIR_SPARSEVEC_NAME, values, 0, nnz);
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(pir_sparsevec_send);
Datum
pir_sparsevec_send(PG_FUNCTION_ARGS)
{
	PirSparsevecView v = pir_sparsevec_view(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, 12 + (sizeof(int32) + sizeof(float)) * v.nnz);
	pq_writeint32(&buf, v.dim);
	pq_writeint32(&buf, v.nnz);
	pq_writeint32(&buf, 0);
	for (int i = 0; i < v.nnz; i++)
		pq_writeint32(&buf, pir_load_int32(v.indices + i));
	for (int i = 0; i < v.nnz; i++)
		pq_writeint32(&buf, pir_float_bits(pir_load_float(v.values + i)));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(pir_sparsevec_typmod_in);
Datum
pir_sparsevec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pir_typmod_in(fcinfo, PIR_SPARSEVEC_NAME, PIR_SPARSEVEC_MAX_DIM));
}
