/*-------------------------------------------------------------------------
 *
 * sparsevec_ops.c
 *	  Norm, normalization and order of sparsevec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"

#include "vector/vector_private.h"

double
pir_sparsevec_norm(PirSparsevecView a)
{
	return sqrt(pir_kernels->norm2_f32(a.values, a.nnz));
}

PG_FUNCTION_INFO_V1(pir_l2_norm_sparsevec);
Datum
pir_l2_norm_sparsevec(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pir_sparsevec_norm(pir_sparsevec_view(PG_GETARG_DATUM(0))));
}

/*
 * The value divided by its Euclidean norm; what becomes zero is dropped. The
 * zero vector stays what it is.
 */
PG_FUNCTION_INFO_V1(pir_l2_normalize_sparsevec);
Datum
pir_l2_normalize_sparsevec(PG_FUNCTION_ARGS)
{
	PirSparsevecView v = pir_sparsevec_view(PG_GETARG_DATUM(0));
	double		norm = pir_sparsevec_norm(v);
	float	   *scaled = (float *) palloc(sizeof(float) * Max(v.nnz, 1));
	int			nnz = 0;
	PirSparsevec *result;
	float	   *values;

	for (int i = 0; i < v.nnz; i++)
	{
		scaled[i] = (float) (pir_load_float(v.values + i) / norm);
		if (isinf(scaled[i]))
			float_overflow_error();
		nnz += (scaled[i] != 0);
	}

	result = pir_sparsevec_new(v.dim, nnz);
	values = pir_sparsevec_values(result);
	for (int i = 0, n = 0; i < v.nnz; i++)
	{
		if (scaled[i] != 0)
		{
			result->indices[n] = pir_load_int32(v.indices + i);
			values[n++] = scaled[i];
		}
	}
	PG_RETURN_POINTER(result);
}

/*
 * Order of the equivalent dense values: the first index below both dimensions
 * where they differ decides; if none does, the fewer dimensions are less.
 *
 * Memory: frees what it detoasts, as sorts compare in a long-lived context.
 */
static int
compare_sparsevecs(FunctionCallInfo fcinfo)
{
	struct varlena *va = pir_detoast_packed(PG_GETARG_DATUM(0));
	struct varlena *vb = pir_detoast_packed(PG_GETARG_DATUM(1));
	PirSparsevecView a = pir_sparsevec_view(PointerGetDatum(va));
	PirSparsevecView b = pir_sparsevec_view(PointerGetDatum(vb));
	int32		common = Min(a.dim, b.dim);
	int			result = (a.dim > b.dim) - (a.dim < b.dim);
	int			i = 0;
	int			j = 0;

	for (;;)
	{
		int32		ai = i < a.nnz ? pir_load_int32(a.indices + i) : common;
		int32		bi = j < b.nnz ? pir_load_int32(b.indices + j) : common;
		float		x = 0;
		float		y = 0;

		if (Min(ai, bi) >= common)
			break;
		if (ai <= bi)
			x = pir_load_float(a.values + i++);
		if (bi <= ai)
			y = pir_load_float(b.values + j++);
		if (x != y)
		{
			result = (x < y) ? -1 : 1;
			break;
		}
	}
	PG_FREE_IF_COPY(va, 0);
	PG_FREE_IF_COPY(vb, 1);
	return result;
}

PIR_COMPARISON_FUNCTION(pir_sparsevec_lt, compare_sparsevecs(fcinfo) < 0)
PIR_COMPARISON_FUNCTION(pir_sparsevec_le, compare_sparsevecs(fcinfo) <= 0)
PIR_COMPARISON_FUNCTION(pir_sparsevec_eq, compare_sparsevecs(fcinfo) == 0)
PIR_COMPARISON_FUNCTION(pir_sparsevec_ne, compare_sparsevecs(fcinfo) != 0)
PIR_COMPARISON_FUNCTION(pir_sparsevec_ge, compare_sparsevecs(fcinfo) >= 0)
PIR_COMPARISON_FUNCTION(pir_sparsevec_gt, compare_sparsevecs(fcinfo) > 0)

PG_FUNCTION_INFO_V1(pir_sparsevec_cmp);
Datum
pir_sparsevec_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_sparsevecs(fcinfo));
}
