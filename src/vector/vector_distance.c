/*-------------------------------------------------------------------------
 *
 * vector_distance.c
 *	  SQL distance functions of vector, halfvec and bit: a thin layer over
 *	  the kernels of distance/.
 *
 * An exact search calls one of these per row, so they read packed values in
 * place and allocate nothing. Sums are float32 and may overflow to infinity
 * without error (README.md section 4).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/float.h"

#include "vector/vector_private.h"

/*
 * Both arguments of a function of a dense type, checked to have equal
 * dimensions: a type for the two, the function that gets them, and their
 * cosine distance.
 */
#define DENSE_PAIR(Pair, get_pair, Element, View, get_view, cosine, cosine_kernel, type_name) \
	typedef struct Pair \
	{ \
		const Element *a; \
		const Element *b; \
		uint32		dim; \
	} Pair; \
	static inline Pair \
	get_pair(FunctionCallInfo fcinfo) \
	{ \
		View		a = get_view(pir_distance_argument(fcinfo, 0)); \
		View		b = get_view(pir_distance_argument(fcinfo, 1)); \
		pir_check_same_dim(type_name, a.dim, b.dim); \
		pir_prefetch_below(a.x, sizeof(Element) * a.dim); \
		pir_prefetch_below(b.x, sizeof(Element) * b.dim); \
		pir_prefetch_across(a.x, sizeof(Element) * a.dim); \
		pir_prefetch_across(b.x, sizeof(Element) * b.dim); \
		return (Pair) {a.x, b.x, a.dim}; \
	} \
	static inline double \
	cosine(Pair v) \
	{ \
		PirCosineSums sums; \
		pir_kernels->cosine_kernel(v.a, v.b, v.dim, &sums); \
		return pir_cosine_distance(&sums); \
	}

DENSE_PAIR(VectorPair, vector_pair, float, PirVectorView, pir_vector_view,
		   vector_cosine, cosine_f32, PIR_VECTOR_NAME)
DENSE_PAIR(HalfvecPair, halfvec_pair, PirHalf, PirHalfvecView, pir_halfvec_view,
		   halfvec_cosine, cosine_f16, PIR_HALFVEC_NAME)

typedef struct BitPair
{
	PirBitView	a;
	PirBitView	b;
} BitPair;

static inline BitPair
bit_pair(FunctionCallInfo fcinfo)
{
	PirBitView	a = pir_bit_view(pir_distance_argument(fcinfo, 0));
	PirBitView	b = pir_bit_view(pir_distance_argument(fcinfo, 1));

	if (unlikely(a.nbits != b.nbits))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("operands of type bit have different lengths: %d and %d",
						a.nbits, b.nbits)));
	pir_prefetch_below(a.x, a.nbytes);
	pir_prefetch_below(b.x, b.nbytes);
	return (BitPair) {a, b};
}

/*
 * 1 - cosine similarity. Parallel vectors of different length can come out a
 * rounding step outside [-1, 1], hence the clamp; it lets NaN pass.
 */
double
pir_cosine_distance(const PirCosineSums *sums)
{
	double		similarity = sums->dot / sqrt((double) sums->norm2_a * (double) sums->norm2_b);

	if (similarity > 1)
		similarity = 1;
	else if (similarity < -1)
		similarity = -1;
	return 1 - similarity;
}

/* Angle between unit vectors as a fraction of a half turn */
static double
spherical_distance(double dot)
{
	if (dot > 1)
		dot = 1;
	else if (dot < -1)
		dot = -1;
	return acos(dot) / M_PI;
}

/* A SQL function of two values, 'v', that returns the double 'expression' */
#define DISTANCE_FUNCTION(name, Pair, get_pair, expression) \
	PG_FUNCTION_INFO_V1(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		Pair		v = get_pair(fcinfo); \
		PG_RETURN_FLOAT8(expression); \
	}

DISTANCE_FUNCTION(pir_l2_distance_vector, VectorPair, vector_pair,
				  sqrt((double) pir_kernels->l2sq_f32(v.a, v.b, v.dim)))
DISTANCE_FUNCTION(pir_vector_l2_squared_distance, VectorPair, vector_pair,
				  (double) pir_kernels->l2sq_f32(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_inner_product_vector, VectorPair, vector_pair,
				  (double) pir_kernels->dot_f32(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_vector_negative_inner_product, VectorPair, vector_pair,
				  -(double) pir_kernels->dot_f32(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_cosine_distance_vector, VectorPair, vector_pair,
				  vector_cosine(v))
DISTANCE_FUNCTION(pir_l1_distance_vector, VectorPair, vector_pair,
				  (double) pir_kernels->l1_f32(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_vector_spherical_distance, VectorPair, vector_pair,
				  spherical_distance(pir_kernels->dot_f32(v.a, v.b, v.dim)))

DISTANCE_FUNCTION(pir_l2_distance_halfvec, HalfvecPair, halfvec_pair,
				  sqrt((double) pir_kernels->l2sq_f16(v.a, v.b, v.dim)))
DISTANCE_FUNCTION(pir_halfvec_l2_squared_distance, HalfvecPair, halfvec_pair,
				  (double) pir_kernels->l2sq_f16(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_inner_product_halfvec, HalfvecPair, halfvec_pair,
				  (double) pir_kernels->dot_f16(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_halfvec_negative_inner_product, HalfvecPair, halfvec_pair,
				  -(double) pir_kernels->dot_f16(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_cosine_distance_halfvec, HalfvecPair, halfvec_pair,
				  halfvec_cosine(v))
DISTANCE_FUNCTION(pir_l1_distance_halfvec, HalfvecPair, halfvec_pair,
				  (double) pir_kernels->l1_f16(v.a, v.b, v.dim))
DISTANCE_FUNCTION(pir_halfvec_spherical_distance, HalfvecPair, halfvec_pair,
				  spherical_distance(pir_kernels->dot_f16(v.a, v.b, v.dim)))

PG_FUNCTION_INFO_V1(pir_vector_norm);
Datum
pir_vector_norm(PG_FUNCTION_ARGS)
{
	PirVectorView v = pir_vector_view(PG_GETARG_DATUM(0));

	PG_RETURN_FLOAT8(sqrt(pir_kernels->norm2_f32(v.x, v.dim)));
}

PG_FUNCTION_INFO_V1(pir_l2_norm_halfvec);
Datum
pir_l2_norm_halfvec(PG_FUNCTION_ARGS)
{
	PirHalfvecView v = pir_halfvec_view(PG_GETARG_DATUM(0));

	PG_RETURN_FLOAT8(sqrt(pir_kernels->norm2_f16(v.x, v.dim)));
}

/*
 * Bit strings have no limit of ours and the kernels have one, so long strings
 * go piece by piece.
 */
uint64
pir_bit_hamming(PirBitView a, PirBitView b)
{
	uint64		differing = 0;

	for (int at = 0; at < a.nbytes; at += PIR_DIST_MAX_DIM)
	{
		CHECK_FOR_INTERRUPTS();
		differing += pir_kernels->hamming(a.x + at, b.x + at,
										  Min(a.nbytes - at, PIR_DIST_MAX_DIM));
	}
	return differing;
}

/* 1 - |a AND b| / |a OR b|; 1 if no common bit is set, also if none is set */
double
pir_bit_jaccard(PirBitView a, PirBitView b)
{
	uint64		both = 0;
	uint64		either = 0;

	for (int at = 0; at < a.nbytes; at += PIR_DIST_MAX_DIM)
	{
		PirBitSums	sums;

		CHECK_FOR_INTERRUPTS();
		pir_kernels->jaccard(a.x + at, b.x + at,
							 Min(a.nbytes - at, PIR_DIST_MAX_DIM), &sums);
		both += sums.both;
		either += sums.either;
	}
	if (both == 0)
		return 1;
	return 1 - (double) both / (double) either;
}

PG_FUNCTION_INFO_V1(pir_hamming_distance);
Datum
pir_hamming_distance(PG_FUNCTION_ARGS)
{
	BitPair		v = bit_pair(fcinfo);

	PG_RETURN_FLOAT8((double) pir_bit_hamming(v.a, v.b));
}

PG_FUNCTION_INFO_V1(pir_jaccard_distance);
Datum
pir_jaccard_distance(PG_FUNCTION_ARGS)
{
	BitPair		v = bit_pair(fcinfo);

	PG_RETURN_FLOAT8(pir_bit_jaccard(v.a, v.b));
}
