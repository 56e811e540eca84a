/*-------------------------------------------------------------------------
 *
 * vector_agg.c
 *	  The aggregate avg of vector and halfvec. (sum is the operator +.)
 *
 * The state is a float8[]: {count, sum 1, ..., sum n}, and {0} while it is
 * empty. It is a plain SQL value, so anyone can call these functions with
 * any array; each state is checked before use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/float.h"

#include "vector/vector_private.h"

/* A checked state: values[0] is the count, 'dim' sums follow */
typedef struct AvgState
{
	ArrayType  *array;
	float8	   *values;
	int			dim;
} AvgState;

static AvgState
avg_state(FunctionCallInfo fcinfo, int argno, const char *caller)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argno);

	if (ARR_NDIM(array) != 1 ||
		ARR_DIMS(array)[0] < 1 ||
		ARR_HASNULL(array) ||
		ARR_ELEMTYPE(array) != FLOAT8OID)
		elog(ERROR, "%s: expected a state array", caller);
	return (AvgState) {array, (float8 *) ARR_DATA_PTR(array), ARR_DIMS(array)[0] - 1};
}

/* A state of 'dim' sums, all values undefined */
static AvgState
new_avg_state(int dim)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * (dim + 1);
	ArrayType  *array = (ArrayType *) palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = FLOAT8OID;
	ARR_DIMS(array)[0] = dim + 1;
	ARR_LBOUND(array)[0] = 1;
	return (AvgState) {array, (float8 *) ARR_DATA_PTR(array), dim};
}

/*
 * Transition: add a value. Inside an aggregate the state is ours and changes
 * in place once it has its size.
 */
static Datum
dense_accum(FunctionCallInfo fcinfo, const PirDenseType *type, const char *caller)
{
	AvgState	state = avg_state(fcinfo, 0, caller);
	AvgState	result;
	int			dim;
	const float *x = pir_dense_floats(type, PG_GETARG_DATUM(1), &dim);

	if (state.dim > 0)
		pir_check_expected_dim(type->name, state.dim, dim);

	if (state.dim > 0 && AggCheckCallContext(fcinfo, NULL))
		result = state;
	else
		result = new_avg_state(dim);

	result.values[0] = state.values[0] + 1;
	for (int i = 1; i <= dim; i++)
	{
		result.values[i] = (state.dim > 0) ? state.values[i] + x[i - 1] : x[i - 1];
		if (unlikely(isinf(result.values[i])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(result.array);
}

/* Final: the mean, in the precision of the type */
static Datum
dense_avg(FunctionCallInfo fcinfo, const PirDenseType *type, const char *caller)
{
	AvgState	state = avg_state(fcinfo, 0, caller);
	float8		count = state.values[0];
	PirDense   *result;
	float	   *x;
	int			bad;

	if (count == 0)
		PG_RETURN_NULL();

	pir_check_dim_range(type->name, state.dim, PIR_VECTOR_MAX_DIM);
	result = pir_dense_new(type, state.dim);
	x = pir_dense_buffer(type, result);
	for (int i = 0; i < state.dim; i++)
		x[i] = (float) (state.values[i + 1] / count);
	pir_check_finite(type->name, x, 0, state.dim);
	bad = pir_dense_finish(type, result, x);
	if (bad >= 0)
		pir_report_out_of_range(type->name, x[bad]);
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(pir_vector_accum);
Datum
pir_vector_accum(PG_FUNCTION_ARGS)
{
	return dense_accum(fcinfo, &pir_dense_vector, "vector_accum");
}

PG_FUNCTION_INFO_V1(pir_halfvec_accum);
Datum
pir_halfvec_accum(PG_FUNCTION_ARGS)
{
	return dense_accum(fcinfo, &pir_dense_halfvec, "halfvec_accum");
}

PG_FUNCTION_INFO_V1(pir_vector_avg);
Datum
pir_vector_avg(PG_FUNCTION_ARGS)
{
	return dense_avg(fcinfo, &pir_dense_vector, "vector_avg");
}

PG_FUNCTION_INFO_V1(pir_halfvec_avg);
Datum
pir_halfvec_avg(PG_FUNCTION_ARGS)
{
	return dense_avg(fcinfo, &pir_dense_halfvec, "halfvec_avg");
}

/*
 * Combine the states of two partial aggregates of either type. One without
 * sums has seen no row and adds nothing; two such make a third.
 */
PG_FUNCTION_INFO_V1(pir_vector_combine);
Datum
pir_vector_combine(PG_FUNCTION_ARGS)
{
	AvgState	a = avg_state(fcinfo, 0, "vector_combine");
	AvgState	b = avg_state(fcinfo, 1, "vector_combine");
	int			dim = Max(a.dim, b.dim);
	AvgState	result;

	if (a.dim > 0 && b.dim > 0)
		pir_check_expected_dim(PIR_VECTOR_NAME, a.dim, b.dim);
	if (dim > 0)
		pir_check_dim_range(PIR_VECTOR_NAME, dim, PIR_VECTOR_MAX_DIM);

	if (a.dim == dim && AggCheckCallContext(fcinfo, NULL))
		result = a;
	else
		result = new_avg_state(dim);

	result.values[0] = a.values[0] + b.values[0];
	for (int i = 1; i <= dim; i++)
	{
		if (a.dim == 0 || b.dim == 0)
		{
			result.values[i] = (a.dim > 0) ? a.values[i] : b.values[i];
			continue;
		}
		result.values[i] = a.values[i] + b.values[i];
		if (unlikely(isinf(result.values[i])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(result.array);
}
