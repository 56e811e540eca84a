/*-------------------------------------------------------------------------
 *
 * vector_io.c
 *	  Text and binary input and output of vector and halfvec, and their
 *	  type modifiers.
 *
 * Text is '[' number ( ',' number )* ']' with white space anywhere between.
 * The binary form is what lies in memory, in network byte order: int16
 * dimensions, int16 zero, elements.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"

#include "vector/vector_private.h"

/*
 * Read a literal. The commas tell how many elements there will be, so the
 * value is filled in place; a literal that has more than that, or fewer, is
 * malformed, and the loop says where.
 */
static Datum
dense_in(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	char	   *text = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	PirLiteral	lit = {type->name, text, text};
	int			nelements = pir_literal_count_commas(&lit) + 1;
	int			dim = 0;
	PirDense   *result;

	pir_literal_skip_space(&lit);
	pir_literal_expect(&lit, '[', "\"[\"");
	pir_literal_skip_space(&lit);
	if (*lit.pos == ']')
		pir_check_dim_range(type->name, 0, PIR_VECTOR_MAX_DIM);

	result = pir_dense_new(type, Min(nelements, PIR_VECTOR_MAX_DIM));
	do
	{
		const char *start;
		float		value;
		bool		underflow;

		if (dim == PIR_VECTOR_MAX_DIM)
			pir_check_dim_range(type->name, nelements, PIR_VECTOR_MAX_DIM);

		pir_literal_skip_space(&lit);
		start = lit.pos;
		value = pir_literal_float(&lit, &underflow);
		if (type->is_half)
		{
			PirHalf		half = pir_float_to_half(value);

			if (pir_half_is_special(half))
				pir_literal_out_of_range(&lit, start);
			((PirHalfvec *) result)->x[dim++] = half;
		}
		else
			((PirVector *) result)->x[dim++] = value;
		pir_literal_skip_space(&lit);
	} while (pir_literal_accept(&lit, ','));
	pir_literal_expect(&lit, ']', "\",\" or \"]\"");
	pir_literal_expect_end(&lit);

	Assert(dim == result->dim);
	pir_check_expected_dim(type->name, typmod, dim);
	PG_RETURN_POINTER(result);
}

/* Shortest digits that read back as the same value; no spaces */
static Datum
dense_out(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int			dim;
	const float *x = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);
	char	   *text;
	char	   *p;

	/* the length of the longest number includes a byte for the separator */
	text = p = (char *) palloc((Size) dim * FLOAT_SHORTEST_DECIMAL_LEN + 2);
	for (int i = 0; i < dim; i++)
	{
		*p++ = (i == 0) ? '[' : ',';
		p += float_to_shortest_decimal_bufn(x[i], p);
	}
	*p++ = ']';
	*p = '\0';
	PG_RETURN_CSTRING(text);
}

/* Nothing is allocated before the length of the message is known to fit */
static Datum
dense_recv(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	int			dim = (uint16) pq_getmsgint(buf, 2);
	int			unused = (int16) pq_getmsgint(buf, 2);
	const char *data;
	PirDense   *result;

	pir_check_dim_range(type->name, dim, PIR_VECTOR_MAX_DIM);
	pir_check_expected_dim(type->name, typmod, dim);
	if (unused != 0)
		pir_report_bad_unused(type->name, unused);

	data = pq_getmsgbytes(buf, dim * (int) type->elem_size);
	result = pir_dense_new(type, dim);
	if (type->is_half)
	{
		PirHalf    *x = ((PirHalfvec *) result)->x;

		memcpy(x, data, sizeof(PirHalf) * dim);
		for (int i = 0; i < dim; i++)
		{
			x[i] = pg_ntoh16(x[i]);
			if (unlikely(pir_half_is_special(x[i])))
			{
				float		value = pir_half_to_float(x[i]);

				pir_check_finite(type->name, &value, i, 1);
			}
		}
	}
	else
	{
		float	   *x = ((PirVector *) result)->x;

		for (int i = 0; i < dim; i++)
			x[i] = pir_read_network_float(data + sizeof(float) * i);
		pir_check_finite(type->name, x, 0, dim);
	}
	PG_RETURN_POINTER(result);
}

static Datum
dense_send(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	Datum		value = PG_GETARG_DATUM(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	if (type->is_half)
	{
		PirHalfvecView v = pir_halfvec_view(value);

		enlargeStringInfo(&buf, 4 + sizeof(PirHalf) * v.dim);
		pq_sendint16(&buf, v.dim);
		pq_sendint16(&buf, 0);
		for (int i = 0; i < v.dim; i++)
			pq_writeint16(&buf, pir_load_half(v.x + i));
	}
	else
	{
		PirVectorView v = pir_vector_view(value);

		enlargeStringInfo(&buf, 4 + sizeof(float) * v.dim);
		pq_sendint16(&buf, v.dim);
		pq_sendint16(&buf, 0);
		for (int i = 0; i < v.dim; i++)
			pq_writeint32(&buf, pir_float_bits(pir_load_float(v.x + i)));
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(pir_vector_in);
Datum
pir_vector_in(PG_FUNCTION_ARGS)
{
	return dense_in(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_vector_out);
Datum
pir_vector_out(PG_FUNCTION_ARGS)
{
	return dense_out(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_vector_recv);
Datum
pir_vector_recv(PG_FUNCTION_ARGS)
{
	return dense_recv(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_vector_send);
Datum
pir_vector_send(PG_FUNCTION_ARGS)
{
	return dense_send(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_vector_typmod_in);
Datum
pir_vector_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pir_typmod_in(fcinfo, PIR_VECTOR_NAME, PIR_VECTOR_MAX_DIM));
}

PG_FUNCTION_INFO_V1(pir_halfvec_in);
Datum
pir_halfvec_in(PG_FUNCTION_ARGS)
{
	return dense_in(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_halfvec_out);
Datum
pir_halfvec_out(PG_FUNCTION_ARGS)
{
	return dense_out(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_halfvec_recv);
Datum
pir_halfvec_recv(PG_FUNCTION_ARGS)
{
	return dense_recv(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_halfvec_send);
Datum
pir_halfvec_send(PG_FUNCTION_ARGS)
{
	return dense_send(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_halfvec_typmod_in);
Datum
pir_halfvec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pir_typmod_in(fcinfo, PIR_HALFVEC_NAME, PIR_VECTOR_MAX_DIM));
}
