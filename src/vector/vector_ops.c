/*-------------------------------------------------------------------------
 *
 * vector_ops.c
 *	  Order, arithmetic and reshaping of vector and halfvec.
 *
 * Arithmetic raises on overflow and on underflow to zero, as core's float
 * operators do; distances (vector_distance.c) do not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"
#include "utils/varbit.h"

#include "vector/vector_private.h"

typedef enum DenseOp
{
	DENSE_ADD,
	DENSE_SUB,
	DENSE_MUL
} DenseOp;

/*
 * Order of two values: the first pair of elements that differ decides; if one
 * value is the beginning of the other, the shorter is less. The same as core's
 * order of arrays, as no element is NaN. -0 equals 0.
 *
 * Memory: frees what it detoasts, as sorts compare in a long-lived context.
 */
static int
compare_vectors(FunctionCallInfo fcinfo)
{
	struct varlena *va = pir_detoast_packed(PG_GETARG_DATUM(0));
	struct varlena *vb = pir_detoast_packed(PG_GETARG_DATUM(1));
	PirVectorView a = pir_vector_view(PointerGetDatum(va));
	PirVectorView b = pir_vector_view(PointerGetDatum(vb));
	int			n = Min(a.dim, b.dim);
	int			result = (a.dim > b.dim) - (a.dim < b.dim);

	for (int i = 0; i < n; i++)
	{
		float		x = pir_load_float(a.x + i);
		float		y = pir_load_float(b.x + i);

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

/*
 * An integer that orders finite halves by value: sign and magnitude to
 * two's complement, which also makes one zero of two.
 */
static inline int
half_order_key(PirHalf h)
{
	int			magnitude = h & 0x7fff;

	return (h & 0x8000) ? -magnitude : magnitude;
}

/* As compare_vectors() */
static int
compare_halfvecs(FunctionCallInfo fcinfo)
{
	struct varlena *va = pir_detoast_packed(PG_GETARG_DATUM(0));
	struct varlena *vb = pir_detoast_packed(PG_GETARG_DATUM(1));
	PirHalfvecView a = pir_halfvec_view(PointerGetDatum(va));
	PirHalfvecView b = pir_halfvec_view(PointerGetDatum(vb));
	int			n = Min(a.dim, b.dim);
	int			result = (a.dim > b.dim) - (a.dim < b.dim);

	for (int i = 0; i < n; i++)
	{
		int			x = half_order_key(pir_load_half(a.x + i));
		int			y = half_order_key(pir_load_half(b.x + i));

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

PIR_COMPARISON_FUNCTION(pir_vector_lt, compare_vectors(fcinfo) < 0)
PIR_COMPARISON_FUNCTION(pir_vector_le, compare_vectors(fcinfo) <= 0)
PIR_COMPARISON_FUNCTION(pir_vector_eq, compare_vectors(fcinfo) == 0)
PIR_COMPARISON_FUNCTION(pir_vector_ne, compare_vectors(fcinfo) != 0)
PIR_COMPARISON_FUNCTION(pir_vector_ge, compare_vectors(fcinfo) >= 0)
PIR_COMPARISON_FUNCTION(pir_vector_gt, compare_vectors(fcinfo) > 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_lt, compare_halfvecs(fcinfo) < 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_le, compare_halfvecs(fcinfo) <= 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_eq, compare_halfvecs(fcinfo) == 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_ne, compare_halfvecs(fcinfo) != 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_ge, compare_halfvecs(fcinfo) >= 0)
PIR_COMPARISON_FUNCTION(pir_halfvec_gt, compare_halfvecs(fcinfo) > 0)

PG_FUNCTION_INFO_V1(pir_vector_cmp);
Datum
pir_vector_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_vectors(fcinfo));
}

PG_FUNCTION_INFO_V1(pir_halfvec_cmp);
Datum
pir_halfvec_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_halfvecs(fcinfo));
}

/* The element-wise operators + - * */
static Datum
dense_arithmetic(FunctionCallInfo fcinfo, const PirDenseType *type, DenseOp op)
{
	int			dim;
	int			dim_b;
	const float *a = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);
	const float *b = pir_dense_floats(type, PG_GETARG_DATUM(1), &dim_b);
	PirDense   *result;
	float	   *x;

	pir_check_same_dim(type->name, dim, dim_b);
	result = pir_dense_new(type, dim);
	x = pir_dense_buffer(type, result);

	switch (op)
	{
		case DENSE_ADD:
			for (int i = 0; i < dim; i++)
				x[i] = a[i] + b[i];
			break;
		case DENSE_SUB:
			for (int i = 0; i < dim; i++)
				x[i] = a[i] - b[i];
			break;
		case DENSE_MUL:
			for (int i = 0; i < dim; i++)
				x[i] = a[i] * b[i];
			break;
	}

	if (pir_dense_finish(type, result, x) >= 0)
		float_overflow_error();
	if (op == DENSE_MUL)
	{
		for (int i = 0; i < dim; i++)
		{
			if (pir_dense_is_zero(type, result, i) && a[i] != 0 && b[i] != 0)
				float_underflow_error();
		}
	}
	PG_RETURN_POINTER(result);
}

/* The operator ||: the elements of both, one after the other */
static Datum
dense_concat(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	PirDense   *a = (PirDense *) pir_detoast_plain(PG_GETARG_DATUM(0));
	PirDense   *b = (PirDense *) pir_detoast_plain(PG_GETARG_DATUM(1));
	int			dim = a->dim + b->dim;
	PirDense   *result;

	pir_check_dim_range(type->name, dim, PIR_VECTOR_MAX_DIM);
	result = pir_dense_new(type, dim);
	memcpy(result->data, a->data, type->elem_size * a->dim);
	memcpy(result->data + type->elem_size * a->dim, b->data, type->elem_size * b->dim);
	PG_RETURN_POINTER(result);
}

/*
 * 'count' elements from 'start' (one-based) on, clipped to the value like
 * substring(): positions before the first count but are not there.
 */
static Datum
dense_subvector(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	PirDense   *v = (PirDense *) pir_detoast_plain(PG_GETARG_DATUM(0));
	int64		start = PG_GETARG_INT32(1);
	int64		count = PG_GETARG_INT32(2);
	int64		first = Max(start, 1);
	int64		end = Min(start + count, (int64) v->dim + 1);
	PirDense   *result;

	pir_check_dim_range(type->name, count < 1 ? 0 : end - first, PIR_VECTOR_MAX_DIM);
	result = pir_dense_new(type, (int) (end - first));
	memcpy(result->data, v->data + type->elem_size * (first - 1), type->elem_size * (end - first));
	PG_RETURN_POINTER(result);
}

/*
 * The value divided by its Euclidean norm, computed in double; the zero
 * vector stays what it is.
 */
static Datum
dense_l2_normalize(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int			dim;
	const float *a = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);
	double		norm = sqrt(pir_kernels->norm2_f32(a, dim));
	PirDense   *result = pir_dense_new(type, dim);
	float	   *x = pir_dense_buffer(type, result);

	if (norm > 0)
	{
		for (int i = 0; i < dim; i++)
			x[i] = (float) (a[i] / norm);
	}
	else
		memcpy(x, a, sizeof(float) * dim);

	if (pir_dense_finish(type, result, x) >= 0)
		float_overflow_error();
	PG_RETURN_POINTER(result);
}

/* One bit per element: is it greater than zero? */
static Datum
dense_binary_quantize(FunctionCallInfo fcinfo, const PirDenseType *type)
{
	int			dim;
	const float *a = pir_dense_floats(type, PG_GETARG_DATUM(0), &dim);
	Size		size = VARBITTOTALLEN(dim);
	VarBit	   *result = (VarBit *) palloc0(size);
	bits8	   *bits = VARBITS(result);

	SET_VARSIZE(result, size);
	VARBITLEN(result) = dim;
	for (int i = 0; i < dim; i++)
		bits[i / 8] |= (a[i] > 0) << (7 - i % 8);
	PG_RETURN_VARBIT_P(result);
}

PG_FUNCTION_INFO_V1(pir_vector_add);
Datum
pir_vector_add(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_vector, DENSE_ADD);
}

PG_FUNCTION_INFO_V1(pir_vector_sub);
Datum
pir_vector_sub(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_vector, DENSE_SUB);
}

PG_FUNCTION_INFO_V1(pir_vector_mul);
Datum
pir_vector_mul(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_vector, DENSE_MUL);
}

PG_FUNCTION_INFO_V1(pir_vector_concat);
Datum
pir_vector_concat(PG_FUNCTION_ARGS)
{
	return dense_concat(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_subvector_vector);
Datum
pir_subvector_vector(PG_FUNCTION_ARGS)
{
	return dense_subvector(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_l2_normalize_vector);
Datum
pir_l2_normalize_vector(PG_FUNCTION_ARGS)
{
	return dense_l2_normalize(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_binary_quantize_vector);
Datum
pir_binary_quantize_vector(PG_FUNCTION_ARGS)
{
	return dense_binary_quantize(fcinfo, &pir_dense_vector);
}

PG_FUNCTION_INFO_V1(pir_vector_dims_vector);
Datum
pir_vector_dims_vector(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pir_vector_view(PG_GETARG_DATUM(0)).dim);
}

PG_FUNCTION_INFO_V1(pir_halfvec_add);
Datum
pir_halfvec_add(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_halfvec, DENSE_ADD);
}

PG_FUNCTION_INFO_V1(pir_halfvec_sub);
Datum
pir_halfvec_sub(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_halfvec, DENSE_SUB);
}

PG_FUNCTION_INFO_V1(pir_halfvec_mul);
Datum
pir_halfvec_mul(PG_FUNCTION_ARGS)
{
	return dense_arithmetic(fcinfo, &pir_dense_halfvec, DENSE_MUL);
}

PG_FUNCTION_INFO_V1(pir_halfvec_concat);
Datum
pir_halfvec_concat(PG_FUNCTION_ARGS)
{
	return dense_concat(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_subvector_halfvec);
Datum
pir_subvector_halfvec(PG_FUNCTION_ARGS)
{
	return dense_subvector(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_l2_normalize_halfvec);
Datum
pir_l2_normalize_halfvec(PG_FUNCTION_ARGS)
{
	return dense_l2_normalize(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_binary_quantize_halfvec);
Datum
pir_binary_quantize_halfvec(PG_FUNCTION_ARGS)
{
	return dense_binary_quantize(fcinfo, &pir_dense_halfvec);
}

PG_FUNCTION_INFO_V1(pir_vector_dims_halfvec);
Datum
pir_vector_dims_halfvec(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pir_halfvec_view(PG_GETARG_DATUM(0)).dim);
}
