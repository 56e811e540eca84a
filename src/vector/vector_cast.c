/*-------------------------------------------------------------------------
 *
 * vector_cast.c
 *	  Casts of vector and halfvec: to themselves (type modifier), to each
 *	  other, from and to SQL arrays.
 *
 * Cast functions take (value, typmod, is explicit); typmod -1 means any
 * number of dimensions, and the third argument changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "vector/vector_private.h"

/* Start to read an array as floats; it must be 1-D, or empty, without NULL */
void
pir_array_begin(PirArrayReader *reader, ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("array must be one-dimensional"),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array))));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array must not contain null elements")));

	reader->elem_type = ARR_ELEMTYPE(array);
	reader->next = ARR_DATA_PTR(array);
	reader->nelements = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/*
 * The next element as float, rounded to nearest. Integers and doubles beyond
 * float's range become infinite; numeric raises as core's cast does.
 */
float
pir_array_next(PirArrayReader *reader)
{
	float		value = 0;

	switch (reader->elem_type)
	{
		case INT4OID:
			value = (float) *(const int32 *) reader->next;
			reader->next += sizeof(int32);
			break;
		case FLOAT4OID:
			value = *(const float4 *) reader->next;
			reader->next += sizeof(float4);
			break;
		case FLOAT8OID:
			value = (float) *(const float8 *) reader->next;
			reader->next += sizeof(float8);
			break;
		case NUMERICOID:
			reader->next = (char *) att_align_pointer(reader->next, TYPALIGN_INT, -1, reader->next);
			value = DatumGetFloat4(DirectFunctionCall1(numeric_float4,
													   PointerGetDatum(reader->next)));
			reader->next = att_addlength_pointer(reader->next, -1, reader->next);
			break;
		default:
			elog(ERROR, "unexpected array element type %u", reader->elem_type);
	}
	return value;
}

static Datum
array_to_dense(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int32		typmod = PG_GETARG_INT32(1);
	PirArrayReader reader;
	PirDense   *result;
	float	   *x;

	pir_array_begin(&reader, PG_GETARG_ARRAYTYPE_P(0));
	pir_check_dim_range(type->name, reader.nelements, PIR_VECTOR_MAX_DIM);
	pir_check_expected_dim(type->name, typmod, reader.nelements);

	result = pir_dense_new(type, reader.nelements);
	x = pir_dense_buffer(type, result);
	for (int i = 0; i < reader.nelements; i++)
		x[i] = pir_array_next(&reader);
	pir_check_finite(type->name, x, 0, reader.nelements);
	return pir_dense_finish_cast(type, result, x);
}

static Datum
dense_to_float4_array(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int			dim;
	const float *x = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * dim;
	ArrayType  *result = (ArrayType *) palloc0(size);

	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->dataoffset = 0;
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = dim;
	ARR_LBOUND(result)[0] = 1;
	memcpy(ARR_DATA_PTR(result), x, sizeof(float4) * dim);
	PG_RETURN_ARRAYTYPE_P(result);
}

PG_FUNCTION_INFO_V1(pir_vector);
Datum
pir_vector(PG_FUNCTION_ARGS)
{
	struct varlena *value = pir_detoast_packed(PG_GETARG_DATUM(0));

	pir_check_expected_dim(PIR_VECTOR_NAME, PG_GETARG_INT32(1),
						   pir_vector_view(PointerGetDatum(value)).dim);
	PG_RETURN_POINTER(value);
}

PG_FUNCTION_INFO_V1(pir_halfvec);
Datum
pir_halfvec(PG_FUNCTION_ARGS)
{
	struct varlena *value = pir_detoast_packed(PG_GETARG_DATUM(0));

	pir_check_expected_dim(PIR_HALFVEC_NAME, PG_GETARG_INT32(1),
						   pir_halfvec_view(PointerGetDatum(value)).dim);
	PG_RETURN_POINTER(value);
}

PG_FUNCTION_INFO_V1(pir_array_to_vector);
Datum
pir_array_to_vector(PG_FUNCTION_ARGS)
{
	return array_to_dense(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_array_to_halfvec);
Datum
pir_array_to_halfvec(PG_FUNCTION_ARGS)
{
	return array_to_dense(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_vector_to_float4);
Datum
pir_vector_to_float4(PG_FUNCTION_ARGS)
{
	return dense_to_float4_array(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_halfvec_to_float4);
Datum
pir_halfvec_to_float4(PG_FUNCTION_ARGS)
{
	return dense_to_float4_array(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_vector_to_halfvec);
Datum
pir_vector_to_halfvec(PG_FUNCTION_ARGS)
{
	PirVector  *v = pir_datum_vector(PG_GETARG_DATUM(0));

	pir_check_expected_dim(PIR_HALFVEC_NAME, PG_GETARG_INT32(1), v->dim);
	return pir_dense_finish_cast(&pir_dense_halfvec, pir_dense_new(&pir_dense_halfvec, v->dim), v->x);
}

PG_FUNCTION_INFO_V1(pir_halfvec_to_vector);
Datum
pir_halfvec_to_vector(PG_FUNCTION_ARGS)
{
	PirHalfvecView v = pir_halfvec_view(PG_GETARG_DATUM(0));
	PirVector  *result;

	pir_check_expected_dim(PIR_VECTOR_NAME, PG_GETARG_INT32(1), v.dim);
	result = pir_vector_new(v.dim);
	pir_kernels->f16_to_f32(v.x, result->x, v.dim);
	PG_RETURN_POINTER(result);
}
