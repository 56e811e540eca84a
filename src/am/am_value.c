/*-------------------------------------------------------------------------
 *
 * am_value.c
 *	  Column values as the indexes see them: what the quantizer takes, and
 *	  the exact distance of two values.
 *
 * This is where the four column types end: past it, an index knows arrays of
 * floats (or bytes), code items and search distances.
 *
 * Sketches. A sparse value may have 10^9 dimensions, the quantizer must not.
 * Values of more than PIR_SKETCH_DIM dimensions are folded by signed hashing:
 * dimension i is added to, or subtracted from, bucket h(i). Inner products
 * are kept in expectation, and with few non-zeros for many buckets they are
 * kept closely: Weinberger et al., "Feature Hashing for Large Scale Multitask
 * Learning", ICML 2009. The exact distances that decide an answer come from
 * the values themselves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "am/am_value.h"
#include "distance/dist.h"
#include "utils/memutils.h"
#include "vector/vector.h"

/* Sparse values have at most this many dimensions in the quantizer. */
#define PIR_SKETCH_DIM		1024

const char *
pir_value_type_name(PirValueType type)
{
	switch (type)
	{
		case PIR_VALUE_VECTOR:
			return "vector";
		case PIR_VALUE_HALFVEC:
			return "halfvec";
		case PIR_VALUE_SPARSEVEC:
			return "sparsevec";
		case PIR_VALUE_BIT:
			return "bit";
	}
	return "unknown";
}

uint32
pir_value_code_dim(PirValueType type, uint32 dim, bool *sketch)
{
	*sketch = type == PIR_VALUE_SPARSEVEC && dim > PIR_SKETCH_DIM;
	return *sketch ? PIR_SKETCH_DIM : dim;
}

Size
pir_value_input_size(const PirValueInfo *info)
{
	if (info->type == PIR_VALUE_BIT)
		return (info->dim + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
	return (Size) info->code_dim * sizeof(float);
}

/* ERROR unless a value has the dimensions of the column. */
static inline void
check_dim(const PirValueInfo *info, int dim)
{
	if (likely(dim == (int) info->dim))
		return;
	if (info->type == PIR_VALUE_BIT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %u bits for type bit(%u), got %d", info->dim, info->dim, dim)));
	pir_check_expected_dim(pir_value_type_name(info->type), (int32) info->dim, dim);
}

/*
 * Not a kernel: what is encoded goes to disk, and must not depend on the
 * processor's vector instructions. The lanes fix the order of the sum.
 */
static double
sum_squares(const float *x, uint32 dim)
{
	double		lane[8] = {0};
	uint32		i = 0;

	for (; i + 8 <= dim; i += 8)
	{
		for (int j = 0; j < 8; j++)
			lane[j] += (double) x[i + j] * x[i + j];
	}
	for (; i < dim; i++)
		lane[i % 8] += (double) x[i] * x[i];
	return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/*
 * Scale to unit length, in place; false for a zero vector. The norm is summed
 * in double and cannot overflow there.
 */
static bool
normalise(float *x, uint32 dim)
{
	double		norm = sqrt(sum_squares(x, dim));

	if (norm == 0.0)
		return false;
	for (uint32 i = 0; i < dim; i++)
		x[i] = (float) (x[i] / norm);
	return true;
}

/* The finaliser of MurmurHash3 (Appleby, public domain): mixes all 64 bits. */
static inline uint64
mix_bits(uint64 h)
{
	h ^= h >> 33;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64CONST(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}

/*
 * Fold a sparse value into code_dim buckets. 'scale' multiplies the elements.
 * Sums of huge elements stay finite, because the quantizers want that.
 *
 * Part of the on-disk format: stored codes were made with this hash.
 */
static void
sketch_value(const PirValueInfo *info, PirSparsevecView view, double scale, float *out)
{
	memset(out, 0, pir_value_input_size(info));
	for (int i = 0; i < view.nnz; i++)
	{
		uint64		h = mix_bits((uint64) pir_load_int32(view.indices + i) ^ info->seed);
		uint32		bucket = (uint32) (((h >> 32) * info->code_dim) >> 32);
		double		element = pir_load_float(view.values + i) * scale;
		double		sum = out[bucket] + ((h & 1) ? element : -element);

		out[bucket] = (float) Max(Min(sum, FLT_MAX), -FLT_MAX);
	}
}

/*
 * The same for COSINE: a unit vector. A value whose elements cancel each
 * other in all buckets is no zero vector; it is indexed with some direction
 * and found by whoever comes near that.
 */
static bool
sketch_unit_value(const PirValueInfo *info, PirSparsevecView view, float *out)
{
	double		norm = pir_sparsevec_norm(view);

	if (norm == 0.0)
		return false;
	sketch_value(info, view, 1.0 / norm, out);
	if (!normalise(out, info->code_dim))
		out[0] = 1.0f;
	return true;
}

bool
pir_value_input(const PirValueInfo *info, Datum value, void *out)
{
	switch (info->type)
	{
		case PIR_VALUE_VECTOR:
			{
				PirVectorView view = pir_vector_view(value);

				check_dim(info, view.dim);
				memcpy(out, view.x, view.dim * sizeof(float));
				break;
			}
		case PIR_VALUE_HALFVEC:
			{
				PirHalfvecView view = pir_halfvec_view(value);

				check_dim(info, view.dim);
				pir_kernels->f16_to_f32(view.x, out, view.dim);
				break;
			}
		case PIR_VALUE_SPARSEVEC:
			{
				PirSparsevecView view = pir_sparsevec_view(value);

				check_dim(info, view.dim);
				if (info->sketch && info->metric == PIR_METRIC_COSINE)
					return sketch_unit_value(info, view, out);
				if (info->sketch)
					sketch_value(info, view, 1.0, out);
				else
					pir_sparsevec_to_dense(view, out);
				break;
			}
		case PIR_VALUE_BIT:
			{
				PirBitView	view = pir_bit_view(value);

				check_dim(info, view.nbits);
				memcpy(out, view.x, view.nbytes);
				return true;
			}
	}
	return info->metric != PIR_METRIC_COSINE || normalise(out, info->code_dim);
}

/*
 * Search distance for COSINE: 2 (1 - cos). Rounding may push a cosine out of
 * [-1, 1], hence the clamp; NaN (a zero vector, overflow) passes.
 */
static float
cosine_search_distance(double dot, double norm_product)
{
	double		cosine = dot / norm_product;

	if (cosine > 1.0)
		cosine = 1.0;
	else if (cosine < -1.0)
		cosine = -1.0;
	return (float) (2.0 * (1.0 - cosine));
}

static float
vector_distance(PirMetric metric, PirVectorView a, PirVectorView b)
{
	pir_check_same_dim("vector", a.dim, b.dim);
	switch (metric)
	{
		case PIR_METRIC_L2:
			return pir_kernels->l2sq_f32(a.x, b.x, a.dim);
		case PIR_METRIC_IP:
			return -pir_kernels->dot_f32(a.x, b.x, a.dim);
		case PIR_METRIC_COSINE:
			{
				PirCosineSums sums;

				pir_kernels->cosine_f32(a.x, b.x, a.dim, &sums);
				return cosine_search_distance(sums.dot, sqrt((double) sums.norm2_a * (double) sums.norm2_b));
			}
		case PIR_METRIC_L1:
			return pir_kernels->l1_f32(a.x, b.x, a.dim);
		case PIR_METRIC_HAMMING:
		case PIR_METRIC_JACCARD:
			break;
	}
	elog(ERROR, "metric %d is not one of type vector", (int) metric);
}

static float
halfvec_distance(PirMetric metric, PirHalfvecView a, PirHalfvecView b)
{
	pir_check_same_dim("halfvec", a.dim, b.dim);
	switch (metric)
	{
		case PIR_METRIC_L2:
			return pir_kernels->l2sq_f16(a.x, b.x, a.dim);
		case PIR_METRIC_IP:
			return -pir_kernels->dot_f16(a.x, b.x, a.dim);
		case PIR_METRIC_COSINE:
			{
				PirCosineSums sums;

				pir_kernels->cosine_f16(a.x, b.x, a.dim, &sums);
				return cosine_search_distance(sums.dot, sqrt((double) sums.norm2_a * (double) sums.norm2_b));
			}
		case PIR_METRIC_L1:
			return pir_kernels->l1_f16(a.x, b.x, a.dim);
		case PIR_METRIC_HAMMING:
		case PIR_METRIC_JACCARD:
			break;
	}
	elog(ERROR, "metric %d is not one of type halfvec", (int) metric);
}

static float
sparsevec_distance(PirMetric metric, PirSparsevecView a, PirSparsevecView b)
{
	pir_check_same_dim("sparsevec", a.dim, b.dim);
	switch (metric)
	{
		case PIR_METRIC_L2:
			return pir_sparsevec_l2sq(a, b);
		case PIR_METRIC_IP:
			return -pir_sparsevec_dot(a, b);
		case PIR_METRIC_COSINE:
			return cosine_search_distance(pir_sparsevec_dot(a, b),
										  pir_sparsevec_norm(a) * pir_sparsevec_norm(b));
		case PIR_METRIC_L1:
			return pir_sparsevec_l1(a, b);
		case PIR_METRIC_HAMMING:
		case PIR_METRIC_JACCARD:
			break;
	}
	elog(ERROR, "metric %d is not one of type sparsevec", (int) metric);
}

static float
bit_distance(const PirValueInfo *info, PirBitView a, PirBitView b)
{
	check_dim(info, a.nbits);
	check_dim(info, b.nbits);
	if (info->metric == PIR_METRIC_HAMMING)
		return (float) pir_bit_hamming(a, b);
	if (info->metric == PIR_METRIC_JACCARD)
		return (float) pir_bit_jaccard(a, b);
	elog(ERROR, "metric %d is not one of type bit", (int) info->metric);
}

float
pir_value_distance(const PirValueInfo *info, Datum query, Datum value)
{
	switch (info->type)
	{
		case PIR_VALUE_VECTOR:
			return vector_distance(info->metric, pir_vector_view(query), pir_vector_view(value));
		case PIR_VALUE_HALFVEC:
			return halfvec_distance(info->metric, pir_halfvec_view(query), pir_halfvec_view(value));
		case PIR_VALUE_SPARSEVEC:
			return sparsevec_distance(info->metric, pir_sparsevec_view(query), pir_sparsevec_view(value));
		case PIR_VALUE_BIT:
			return bit_distance(info, pir_bit_view(query), pir_bit_view(value));
	}
	elog(ERROR, "unknown value type %d", (int) info->type);
}

Datum
pir_value_detoast(const PirValueInfo *info, Datum value, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Datum		copy = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));

	MemoryContextSwitchTo(old);

	switch (info->type)
	{
		case PIR_VALUE_VECTOR:
			check_dim(info, pir_vector_view(copy).dim);
			break;
		case PIR_VALUE_HALFVEC:
			check_dim(info, pir_halfvec_view(copy).dim);
			break;
		case PIR_VALUE_SPARSEVEC:
			check_dim(info, pir_sparsevec_view(copy).dim);
			break;
		case PIR_VALUE_BIT:
			check_dim(info, pir_bit_view(copy).nbits);
			break;
	}
	return copy;
}
