/*-------------------------------------------------------------------------
 *
 * sparsevec_cast.c
 *	  Casts of sparsevec: to itself (type modifier), from and to vector and
 *	  halfvec, from SQL arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/array.h"

#include "vector/vector_private.h"

/* A value with its header filled, indices and values undefined */
PirSparsevec *
pir_sparsevec_new(int dim, int nnz)
{
	Size		size = PIR_SPARSEVEC_SIZE(nnz);
	PirSparsevec *result = (PirSparsevec *) palloc(size);

	Assert(dim >= 1 && dim <= PIR_SPARSEVEC_MAX_DIM);
	Assert(nnz >= 0 && nnz <= PIR_SPARSEVEC_MAX_NNZ && nnz <= dim);
	SET_VARSIZE(result, size);
	result->dim = dim;
	result->nnz = nnz;
	result->unused = 0;
	return result;
}

void
pir_sparsevec_to_dense(PirSparsevecView v, float *out)
{
	memset(out, 0, sizeof(float) * v.dim);
	for (int i = 0; i < v.nnz; i++)
		out[pir_load_int32(v.indices + i)] = pir_load_float(v.values + i);
}

/* The non-zero elements of 'dim' floats */
static Datum
floats_to_sparsevec(const float *x, int dim, int32 typmod)
{
	PirSparsevec *result;
	float	   *values;
	int			nnz = 0;

	pir_check_expected_dim(PIR_SPARSEVEC_NAME, typmod, dim);
	for (int i = 0; i < dim; i++)
		nnz += (x[i] != 0);

	result = pir_sparsevec_new(dim, nnz);
	values = pir_sparsevec_values(result);
	for (int i = 0, n = 0; i < dim; i++)
	{
		if (x[i] != 0)
		{
			result->indices[n] = i;
			values[n++] = x[i];
		}
	}
	PG_RETURN_POINTER(result);
}

static Datum
dense_to_sparsevec(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int			dim;
	const float *x = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);

	return floats_to_sparsevec(x, dim, PG_GETARG_INT32(1));
}

static Datum
sparsevec_to_dense(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	PirSparsevecView v = pir_sparsevec_view(PG_GETARG_DATUM(0));
	PirDense   *result;
	float	   *x;

	pir_check_dim_range(type->name, v.dim, PIR_VECTOR_MAX_DIM);
	pir_check_expected_dim(type->name, PG_GETARG_INT32(1), v.dim);
	result = pir_dense_new(type, v.dim);
	x = pir_dense_buffer(type, result);
	pir_sparsevec_to_dense(v, x);
	return pir_dense_finish_cast(type, result, x);
}

PG_FUNCTION_INFO_V1(pir_sparsevec);
Datum
pir_sparsevec(PG_FUNCTION_ARGS)
{
	struct varlena *value = pir_detoast_packed(PG_GETARG_DATUM(0));

	pir_check_expected_dim(PIR_SPARSEVEC_NAME, PG_GETARG_INT32(1),
						   pir_sparsevec_view(PointerGetDatum(value)).dim);
	PG_RETURN_POINTER(value);
}

/*
 * An array may be far longer than the number of elements that are not zero,
 * so it is read once, into room for as many as are allowed.
 */
PG_FUNCTION_INFO_V1(pir_array_to_sparsevec);
Datum
pir_array_to_sparsevec(PG_FUNCTION_ARGS)
{
	int32		typmod = PG_GETARG_INT32(1);
	PirArrayReader reader;
	int			room;
	int32	   *indices;
	float	   *values;
	int			nnz = 0;
	PirSparsevec *result;

	pir_array_begin(&reader, PG_GETARG_ARRAYTYPE_P(0));
	pir_check_dim_range(PIR_SPARSEVEC_NAME, reader.nelements, PIR_SPARSEVEC_MAX_DIM);
	pir_check_expected_dim(PIR_SPARSEVEC_NAME, typmod, reader.nelements);

	room = Min(reader.nelements, PIR_SPARSEVEC_MAX_NNZ);
	indices = (int32 *) palloc(sizeof(int32) * room);
	values = (float *) palloc(sizeof(float) * room);
	for (int i = 0; i < reader.nelements; i++)
	{
		float		value = pir_array_next(&reader);

		if (unlikely(i % 65536 == 65535))
			CHECK_FOR_INTERRUPTS();
		if (value == 0)
			continue;
		pir_check_finite(PIR_SPARSEVEC_NAME, &value, i, 1);
		if (nnz == room)
			pir_check_nnz(nnz + 1);
		indices[nnz] = i;
		values[nnz++] = value;
	}

	result = pir_sparsevec_new(reader.nelements, nnz);
	memcpy(result->indices, indices, sizeof(int32) * nnz);
	memcpy(pir_sparsevec_values(result), values, sizeof(float) * nnz);
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(pir_vector_to_sparsevec);
Datum
pir_vector_to_sparsevec(PG_FUNCTION_ARGS)
{
	return dense_to_sparsevec(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_halfvec_to_sparsevec);
Datum
pir_halfvec_to_sparsevec(PG_FUNCTION_ARGS)
{
	return dense_to_sparsevec(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_sparsevec_to_vector);
Datum
pir_sparsevec_to_vector(PG_FUNCTION_ARGS)
{
	return sparsevec_to_dense(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_sparsevec_to_halfvec);
Datum
pir_sparsevec_to_halfvec(PG_FUNCTION_ARGS)
{
	return sparsevec_to_dense(fcinfo, &pir_dense_halfvec);
}
