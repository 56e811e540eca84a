/*-------------------------------------------------------------------------
 *
 * vector_dense.c
 *	  Dense values of either type, seen as arrays of float.
 *
 * The functions that vector and halfvec share compute in float: a vector in
 * place, a halfvec in a widened copy that is narrowed when done. Narrowing a
 * float sum or product of two halves once equals computing in binary16,
 * because a float has more than twice the digits (11 * 2 + 2 <= 24).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "vector/vector_private.h"

const PirDenseType pir_dense_vector = {PIR_VECTOR_NAME, sizeof(float), false};
const PirDenseType pir_dense_halfvec = {PIR_HALFVEC_NAME, sizeof(PirHalf), true};

/* A value with its header filled and elements undefined */
PirDense *
pir_dense_new(const PirDenseType *type, int dim)
{
	Size		size = offsetof(PirDense, data) + type->elem_size * (Size) dim;
	PirDense   *result = (PirDense *) palloc(size);

	Assert(dim >= 1 && dim <= PIR_VECTOR_MAX_DIM);
	SET_VARSIZE(result, size);
	result->dim = (int16) dim;
	result->unused = 0;
	return result;
}

PirVector *
pir_vector_new(int dim)
{
	return (PirVector *) pir_dense_new(&pir_dense_vector, dim);
}

PirHalfvec *
pir_halfvec_new(int dim)
{
	return (PirHalfvec *) pir_dense_new(&pir_dense_halfvec, dim);
}

/*
 * The elements of a value as aligned floats, not to be written to: the Datum's
 * own where they are that already, else a copy.
 */
const float *
pir_dense_floats(const PirDenseType *type, Datum d, int *dim)
{
	if (type->is_half)
	{
		PirHalfvecView v = pir_halfvec_view(d);
		float	   *copy = (float *) palloc(sizeof(float) * v.dim);

		pir_kernels->f16_to_f32(v.x, copy, v.dim);
		*dim = v.dim;
		return copy;
	}
	else
	{
		PirVector  *v = pir_datum_vector(d);

		*dim = v->dim;
		return v->x;
	}
}

/*
 * Where to compute the elements of 'result': in itself, or, for a halfvec,
 * in a float array of its own. pir_dense_finish() brings them home.
 */
float *
pir_dense_buffer(const PirDenseType *type, PirDense *result)
{
	if (!type->is_half)
		return ((PirVector *) result)->x;
	return (float *) palloc(sizeof(float) * result->dim);
}

/*
 * Store what was computed in 'buffer', rounding to nearest even. Returns the
 * position of the first element that the type cannot hold (it became infinite,
 * or was infinite or NaN), or -1 if all is well.
 */
int
pir_dense_finish(const PirDenseType *type, PirDense *result, const float *buffer)
{
	int			dim = result->dim;
	uint32		special = 0;

	if (type->is_half)
	{
		PirHalf    *x = ((PirHalfvec *) result)->x;

		pir_kernels->f32_to_f16(buffer, x, dim);
		for (int i = 0; i < dim; i++)
			special |= pir_half_is_special(x[i]);
		for (int i = 0; special && i < dim; i++)
		{
			if (pir_half_is_special(x[i]))
				return i;
		}
	}
	else
	{
		Assert(buffer == ((PirVector *) result)->x);
		for (int i = 0; i < dim; i++)
			special |= pir_float_is_special(buffer[i]);
		for (int i = 0; special && i < dim; i++)
		{
			if (pir_float_is_special(buffer[i]))
				return i;
		}
	}
	return -1;
}

/*
 * pir_dense_finish() for casts: an element out of the type's range is an
 * error that names it. The elements were finite as floats.
 */
Datum
pir_dense_finish_cast(const PirDenseType *type, PirDense *result, const float *buffer)
{
	int			bad = pir_dense_finish(type, result, buffer);

	if (bad >= 0)
		pir_report_out_of_range(type->name, buffer[bad]);
	return PointerGetDatum(result);
}

/* Is element i of an aligned value zero, of either sign? */
bool
pir_dense_is_zero(const PirDenseType *type, const PirDense *value, int i)
{
	if (type->is_half)
		return pir_half_is_zero(((const PirHalfvec *) value)->x[i]);
	return ((const PirVector *) value)->x[i] == 0;
}
