/*-------------------------------------------------------------------------
 *
 * vector.h
 *	  The SQL types vector, halfvec and sparsevec, and core's bit as a
 *	  vector of bits: layouts, limits, access to values, SQL functions.
 *
 * A value inside a Datum comes in three shapes: plain (4-byte header,
 * aligned), packed (1-byte header, any alignment; how short values lie on
 * disk) and out of line. The pir_*_view() functions take all three and copy
 * only the last: what they return points into the Datum and may be
 * unaligned, which is what the kernels of distance/ are made for. The
 * pir_datum_*() functions return an aligned value, copying also the second.
 * Copies lie in the current memory context; nothing here frees them, because
 * all callers run in contexts that are reset per tuple.
 *
 * See README.md for the rules of the types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_VECTOR_H
#define PIR_VECTOR_H

#include "postgres.h"

#include "fmgr.h"

#include "base/pir_compat.h"
#include "base/pir_detoast.h"
#include "base/pir_recent.h"
#include "distance/dist.h"

/* Limits of the types; all are part of the compatible surface */
#define PIR_VECTOR_MAX_DIM		16000
#define PIR_SPARSEVEC_MAX_DIM	1000000000
#define PIR_SPARSEVEC_MAX_NNZ	16000

/*
 * vector, native byte order
 *
 *   +--------+-----+--------+-----------+
 *   | varlen | dim | unused | float x n |
 *   +--------+-----+--------+-----------+
 *
 *   OFFSET  SIZE  FIELD     MEANING
 *        0     4  vl_len_   varlena header; access with the VAR* macros only
 *        4     2  dim       number of elements, 1..PIR_VECTOR_MAX_DIM
 *        6     2  unused    always 0
 *        8     0  x         dim finite float32; -0 is kept
 */
typedef struct PirVector
{
	int32		vl_len_;
	int16		dim;
	int16		unused;
	float		x[FLEXIBLE_ARRAY_MEMBER];
} PirVector;

/*
 * halfvec, native byte order
 *
 *   +--------+-----+--------+--------------+
 *   | varlen | dim | unused | binary16 x n |
 *   +--------+-----+--------+--------------+
 *
 *   OFFSET  SIZE  FIELD     MEANING
 *        0     4  vl_len_   varlena header; access with the VAR* macros only
 *        4     2  dim       number of elements, 1..PIR_VECTOR_MAX_DIM
 *        6     2  unused    always 0
 *        8     0  x         dim finite IEEE binary16; -0 is kept
 */
typedef struct PirHalfvec
{
	int32		vl_len_;
	int16		dim;
	int16		unused;
	PirHalf		x[FLEXIBLE_ARRAY_MEMBER];
} PirHalfvec;

/*
 * sparsevec, native byte order
 *
 *   +--------+-----+-----+--------+-------------+-------------+
 *   | varlen | dim | nnz | unused | int32 x nnz | float x nnz |
 *   +--------+-----+-----+--------+-------------+-------------+
 *
 *   OFFSET  SIZE  FIELD     MEANING
 *        0     4  vl_len_   varlena header; access with the VAR* macros only
 *        4     4  dim       number of elements, 1..PIR_SPARSEVEC_MAX_DIM
 *        8     4  nnz       number of non-zero elements, 0..PIR_SPARSEVEC_MAX_NNZ
 *       12     4  unused    always 0
 *       16     0  indices   nnz zero-based positions, strictly ascending, < dim
 *
 *   The values follow the indices: nnz finite float32, none of them zero.
 */
typedef struct PirSparsevec
{
	int32		vl_len_;
	int32		dim;
	int32		nnz;
	int32		unused;
	int32		indices[FLEXIBLE_ARRAY_MEMBER];
} PirSparsevec;

StaticAssertDecl(offsetof(PirVector, dim) == 4, "PirVector.dim");
StaticAssertDecl(offsetof(PirVector, unused) == 6, "PirVector.unused");
StaticAssertDecl(offsetof(PirVector, x) == 8, "PirVector.x");
StaticAssertDecl(offsetof(PirHalfvec, dim) == 4, "PirHalfvec.dim");
StaticAssertDecl(offsetof(PirHalfvec, unused) == 6, "PirHalfvec.unused");
StaticAssertDecl(offsetof(PirHalfvec, x) == 8, "PirHalfvec.x");
StaticAssertDecl(offsetof(PirSparsevec, dim) == 4, "PirSparsevec.dim");
StaticAssertDecl(offsetof(PirSparsevec, nnz) == 8, "PirSparsevec.nnz");
StaticAssertDecl(offsetof(PirSparsevec, unused) == 12, "PirSparsevec.unused");
StaticAssertDecl(offsetof(PirSparsevec, indices) == 16, "PirSparsevec.indices");
StaticAssertDecl(sizeof(float) == 4 && sizeof(PirHalf) == 2, "element widths");

/* Bytes of a value, header included */
#define PIR_VECTOR_SIZE(dim)		(offsetof(PirVector, x) + sizeof(float) * (Size) (dim))
#define PIR_HALFVEC_SIZE(dim)		(offsetof(PirHalfvec, x) + sizeof(PirHalf) * (Size) (dim))
#define PIR_SPARSEVEC_SIZE(nnz) \
	(offsetof(PirSparsevec, indices) + (sizeof(int32) + sizeof(float)) * (Size) (nnz))

/* The values of a plain (aligned) sparsevec */
static inline float *
pir_sparsevec_values(const PirSparsevec *v)
{
	return (float *) (v->indices + v->nnz);
}

/*
 * Values in place. Pointers may be unaligned: hand them to kernels, or read
 * elements with pir_load_float() and its sisters, which compile to one load.
 */
typedef struct PirVectorView
{
	const float *x;
	int			dim;
} PirVectorView;

typedef struct PirHalfvecView
{
	const PirHalf *x;
	int			dim;
} PirHalfvecView;

typedef struct PirSparsevecView
{
	const int32 *indices;
	const float *values;
	int			nnz;
	int			dim;
} PirSparsevecView;

typedef struct PirBitView
{
	const uint8 *x;
	int			nbits;
	int			nbytes;
} PirBitView;

static inline float
pir_load_float(const float *p)
{
	float		value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static inline int32
pir_load_int32(const int32 *p)
{
	int32		value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static inline PirHalf
pir_load_half(const PirHalf *p)
{
	PirHalf		value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/*
 * The value in line to look at only, neither to be changed nor freed: it may be
 * the value that an index scan has at hand.
 */
static inline struct varlena *
pir_detoast_view(Datum d)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(d);
	struct varlena *recent = NULL;

	if (unlikely(VARATT_IS_EXTERNAL(v)))
		recent = pir_recent_find(v);
	return recent != NULL ? recent : pir_detoast_packed(d);
}

static inline PirVectorView
pir_vector_view(Datum d)
{
	struct varlena *v = pir_detoast_view(d);
	const char *data = VARDATA_ANY(v);
	int16		dim;

	memcpy(&dim, data, sizeof(dim));
	Assert(VARSIZE_ANY_EXHDR(v) == PIR_VECTOR_SIZE(dim) - VARHDRSZ);
	return (PirVectorView) {(const float *) (data + 4), dim};
}

static inline PirHalfvecView
pir_halfvec_view(Datum d)
{
	struct varlena *v = pir_detoast_view(d);
	const char *data = VARDATA_ANY(v);
	int16		dim;

	memcpy(&dim, data, sizeof(dim));
	Assert(VARSIZE_ANY_EXHDR(v) == PIR_HALFVEC_SIZE(dim) - VARHDRSZ);
	return (PirHalfvecView) {(const PirHalf *) (data + 4), dim};
}

static inline PirSparsevecView
pir_sparsevec_view(Datum d)
{
	struct varlena *v = pir_detoast_view(d);
	const int32 *data = (const int32 *) VARDATA_ANY(v);
	PirSparsevecView view;

	view.dim = pir_load_int32(data);
	view.nnz = pir_load_int32(data + 1);
	view.indices = data + 3;
	view.values = (const float *) (view.indices + view.nnz);
	Assert(VARSIZE_ANY_EXHDR(v) == PIR_SPARSEVEC_SIZE(view.nnz) - VARHDRSZ);
	return view;
}

static inline PirBitView
pir_bit_view(Datum d)
{
	struct varlena *v = pir_detoast_view(d);
	const int32 *data = (const int32 *) VARDATA_ANY(v);
	PirBitView	view;

	view.nbits = pir_load_int32(data);
	view.nbytes = (int) (VARSIZE_ANY_EXHDR(v) - sizeof(int32));
	view.x = (const uint8 *) (data + 1);
	return view;
}

/* Aligned values */
static inline struct varlena *
pir_detoast_plain(Datum d)
{
	return PG_DETOAST_DATUM(PointerGetDatum(pir_detoast_packed(d)));
}

static inline PirVector *
pir_datum_vector(Datum d)
{
	return (PirVector *) pir_detoast_plain(d);
}

static inline PirHalfvec *
pir_datum_halfvec(Datum d)
{
	return (PirHalfvec *) pir_detoast_plain(d);
}

static inline PirSparsevec *
pir_datum_sparsevec(Datum d)
{
	return (PirSparsevec *) pir_detoast_plain(d);
}

/*
 * New values in the current memory context: header filled, unused zero,
 * elements undefined (the caller fills every one). 'dim' and 'nnz' must be
 * within the limits.
 */
extern PirVector *pir_vector_new(int dim);
extern PirHalfvec *pir_halfvec_new(int dim);
extern PirSparsevec *pir_sparsevec_new(int dim, int nnz);

/* A sparsevec value spelt out: 'out' has room for v.dim floats */
extern void pir_sparsevec_to_dense(PirSparsevecView v, float *out);

/*
 * Distances of two sparse values of equal dimension, on views: the functions
 * behind the SQL functions, for callers that keep values of their own.
 */
extern float pir_sparsevec_l2sq(PirSparsevecView a, PirSparsevecView b);
extern float pir_sparsevec_dot(PirSparsevecView a, PirSparsevecView b);
extern float pir_sparsevec_l1(PirSparsevecView a, PirSparsevecView b);
extern double pir_sparsevec_norm(PirSparsevecView a);

/* 1 - cosine similarity, within [0, 2]; NaN if a norm is 0 or sums overflowed */
extern double pir_cosine_distance(const PirCosineSums *sums);

/* Distances of two bit strings of equal length, of any length */
extern uint64 pir_bit_hamming(PirBitView a, PirBitView b);
extern double pir_bit_jaccard(PirBitView a, PirBitView b);

/*
 * Errors about dimensions, for every module that compares values. 'type' is
 * the SQL name of the type.
 */
extern void pir_check_dim_range(const char *type, int64 dim, int max_dim);
extern void pir_check_expected_dim(const char *type, int32 typmod, int dim);
extern void pir_report_dim_mismatch(const char *type, int a, int b) PIR_NORETURN;

static inline void
pir_check_same_dim(const char *type, int a, int b)
{
	if (unlikely(a != b))
		pir_report_dim_mismatch(type, a, b);
}

/*
 * SQL functions, by the file that defines them. Declared here so that others
 * can tell a support function by its address.
 */

#define PIR_SQL_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS)

/* vector_io.c */
PIR_SQL_FUNCTION(pir_vector_in);
PIR_SQL_FUNCTION(pir_vector_out);
PIR_SQL_FUNCTION(pir_vector_recv);
PIR_SQL_FUNCTION(pir_vector_send);
PIR_SQL_FUNCTION(pir_vector_typmod_in);
PIR_SQL_FUNCTION(pir_halfvec_in);
PIR_SQL_FUNCTION(pir_halfvec_out);
PIR_SQL_FUNCTION(pir_halfvec_recv);
PIR_SQL_FUNCTION(pir_halfvec_send);
PIR_SQL_FUNCTION(pir_halfvec_typmod_in);

/* vector_cast.c */
PIR_SQL_FUNCTION(pir_vector);
PIR_SQL_FUNCTION(pir_halfvec);
PIR_SQL_FUNCTION(pir_array_to_vector);
PIR_SQL_FUNCTION(pir_array_to_halfvec);
PIR_SQL_FUNCTION(pir_vector_to_float4);
PIR_SQL_FUNCTION(pir_halfvec_to_float4);
PIR_SQL_FUNCTION(pir_vector_to_halfvec);
PIR_SQL_FUNCTION(pir_halfvec_to_vector);

/* vector_distance.c */
PIR_SQL_FUNCTION(pir_l2_distance_vector);
PIR_SQL_FUNCTION(pir_inner_product_vector);
PIR_SQL_FUNCTION(pir_cosine_distance_vector);
PIR_SQL_FUNCTION(pir_l1_distance_vector);
PIR_SQL_FUNCTION(pir_vector_l2_squared_distance);
PIR_SQL_FUNCTION(pir_vector_negative_inner_product);
PIR_SQL_FUNCTION(pir_vector_spherical_distance);
PIR_SQL_FUNCTION(pir_vector_norm);
PIR_SQL_FUNCTION(pir_l2_distance_halfvec);
PIR_SQL_FUNCTION(pir_inner_product_halfvec);
PIR_SQL_FUNCTION(pir_cosine_distance_halfvec);
PIR_SQL_FUNCTION(pir_l1_distance_halfvec);
PIR_SQL_FUNCTION(pir_halfvec_l2_squared_distance);
PIR_SQL_FUNCTION(pir_halfvec_negative_inner_product);
PIR_SQL_FUNCTION(pir_halfvec_spherical_distance);
PIR_SQL_FUNCTION(pir_l2_norm_halfvec);
PIR_SQL_FUNCTION(pir_hamming_distance);
PIR_SQL_FUNCTION(pir_jaccard_distance);

/* vector_ops.c */
PIR_SQL_FUNCTION(pir_vector_dims_vector);
PIR_SQL_FUNCTION(pir_l2_normalize_vector);
PIR_SQL_FUNCTION(pir_binary_quantize_vector);
PIR_SQL_FUNCTION(pir_subvector_vector);
PIR_SQL_FUNCTION(pir_vector_add);
PIR_SQL_FUNCTION(pir_vector_sub);
PIR_SQL_FUNCTION(pir_vector_mul);
PIR_SQL_FUNCTION(pir_vector_concat);
PIR_SQL_FUNCTION(pir_vector_lt);
PIR_SQL_FUNCTION(pir_vector_le);
PIR_SQL_FUNCTION(pir_vector_eq);
PIR_SQL_FUNCTION(pir_vector_ne);
PIR_SQL_FUNCTION(pir_vector_ge);
PIR_SQL_FUNCTION(pir_vector_gt);
PIR_SQL_FUNCTION(pir_vector_cmp);
PIR_SQL_FUNCTION(pir_vector_dims_halfvec);
PIR_SQL_FUNCTION(pir_l2_normalize_halfvec);
PIR_SQL_FUNCTION(pir_binary_quantize_halfvec);
PIR_SQL_FUNCTION(pir_subvector_halfvec);
PIR_SQL_FUNCTION(pir_halfvec_add);
PIR_SQL_FUNCTION(pir_halfvec_sub);
PIR_SQL_FUNCTION(pir_halfvec_mul);
PIR_SQL_FUNCTION(pir_halfvec_concat);
PIR_SQL_FUNCTION(pir_halfvec_lt);
PIR_SQL_FUNCTION(pir_halfvec_le);
PIR_SQL_FUNCTION(pir_halfvec_eq);
PIR_SQL_FUNCTION(pir_halfvec_ne);
PIR_SQL_FUNCTION(pir_halfvec_ge);
PIR_SQL_FUNCTION(pir_halfvec_gt);
PIR_SQL_FUNCTION(pir_halfvec_cmp);

/* vector_agg.c; halfvec_combine is pir_vector_combine */
PIR_SQL_FUNCTION(pir_vector_accum);
PIR_SQL_FUNCTION(pir_vector_avg);
PIR_SQL_FUNCTION(pir_vector_combine);
PIR_SQL_FUNCTION(pir_halfvec_accum);
PIR_SQL_FUNCTION(pir_halfvec_avg);

/* sparsevec_io.c */
PIR_SQL_FUNCTION(pir_sparsevec_in);
PIR_SQL_FUNCTION(pir_sparsevec_out);
PIR_SQL_FUNCTION(pir_sparsevec_recv);
PIR_SQL_FUNCTION(pir_sparsevec_send);
PIR_SQL_FUNCTION(pir_sparsevec_typmod_in);

/* sparsevec_cast.c */
PIR_SQL_FUNCTION(pir_sparsevec);
PIR_SQL_FUNCTION(pir_array_to_sparsevec);
PIR_SQL_FUNCTION(pir_vector_to_sparsevec);
PIR_SQL_FUNCTION(pir_sparsevec_to_vector);
PIR_SQL_FUNCTION(pir_halfvec_to_sparsevec);
PIR_SQL_FUNCTION(pir_sparsevec_to_halfvec);

/* sparsevec_distance.c */
PIR_SQL_FUNCTION(pir_l2_distance_sparsevec);
PIR_SQL_FUNCTION(pir_inner_product_sparsevec);
PIR_SQL_FUNCTION(pir_cosine_distance_sparsevec);
PIR_SQL_FUNCTION(pir_l1_distance_sparsevec);
PIR_SQL_FUNCTION(pir_sparsevec_l2_squared_distance);
PIR_SQL_FUNCTION(pir_sparsevec_negative_inner_product);

/* sparsevec_ops.c */
PIR_SQL_FUNCTION(pir_l2_norm_sparsevec);
PIR_SQL_FUNCTION(pir_l2_normalize_sparsevec);
PIR_SQL_FUNCTION(pir_sparsevec_lt);
PIR_SQL_FUNCTION(pir_sparsevec_le);
PIR_SQL_FUNCTION(pir_sparsevec_eq);
PIR_SQL_FUNCTION(pir_sparsevec_ne);
PIR_SQL_FUNCTION(pir_sparsevec_ge);
PIR_SQL_FUNCTION(pir_sparsevec_gt);
PIR_SQL_FUNCTION(pir_sparsevec_cmp);

#endif							/* PIR_VECTOR_H */
