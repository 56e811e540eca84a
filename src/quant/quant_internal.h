/*-------------------------------------------------------------------------
 *
 * quant_internal.h
 *	  What the files of quant/ share: the method table, the prepared structs,
 *	  small arithmetic helpers.
 *
 * Determinism. Codes and factors go to disk and are compared across machines,
 * so the arithmetic of encoding is written here and not taken from the kernel
 * table, in sums of a fixed number of lanes that no compiler may reorder, and
 * the files are compiled without contraction of a * b + c. The one kernel
 * that encoding uses is the Walsh-Hadamard transform. See README.md,
 * "Determinism".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_QUANT_INTERNAL_H
#define PIR_QUANT_INTERNAL_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "quant/quant.h"

#if defined(__GNUC__) || defined(__clang__)
#define PIR_QUANT_LIKELY(x)		__builtin_expect(!!(x), 1)
#define PIR_QUANT_UNLIKELY(x)	__builtin_expect(!!(x), 0)
#define PIR_QUANT_PREFETCH(p)	__builtin_prefetch(p)
#else
#define PIR_QUANT_LIKELY(x)		(x)
#define PIR_QUANT_UNLIKELY(x)	(x)
#define PIR_QUANT_PREFETCH(p)	((void) (p))
#endif

/* gcc has no such pragma in C and is told by -ffp-contract=off. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* Inner arrays start on a cache line. */
#define PIR_QUANT_ALIGN		64

/* Rounds of the rotation (quant_rotate.c). */
#define PIR_QUANT_ROUNDS	4

/* Bytes before the code in an item of factored form: add, F, error. */
#define PIR_QUANT_FACTORS	12

/*
 * One quantizer. Methods that serve several metrics or widths put the function
 * for the one at hand into the PirQuant at init, so that nothing is decided
 * per distance.
 */
typedef struct PirQuantMethod
{
	PirQuantId	id;
	const char *name;
	bool		exact;			/* distance() is the search distance itself */
	bool		centred;		/* uses spec.centre */
	bool		rotated;		/* uses spec.seed */

	const char *(*check_spec) (const PirQuantSpec *spec);
	size_t		(*item_size) (const PirQuantSpec *spec);

	/* fills in everything of 'quant' that is not spec, centre or signs */
	void		(*init) (PirQuant *quant);
	void		(*encode) (const PirQuant *quant, const void *vec, void *item, void *scratch);
	void		(*decode) (const PirQuant *quant, const void *item, float *vec, void *scratch);
	void		(*prepare_query) (const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch);
	void		(*prepare_item) (const PirQuant *quant, const void *item, PirQuantQuery *query);
} PirQuantMethod;

typedef float (*PirQuantDistanceFn) (const PirQuant *quant, const PirQuantQuery *query,
									 const void *item);
typedef void (*PirQuantManyFn) (const PirQuant *quant, const PirQuantQuery *query,
								const void *const *items, int m, float *out);
typedef float (*PirQuantErrorFn) (const PirQuant *quant, const PirQuantQuery *query,
								  const void *item, float dist);
typedef float (*PirQuantPairFn) (const PirQuant *quant, const void *a, const void *b);

/* Choose a code of x, centred and rotated, |x|^2 = norm2 > 0; elems: a byte per dimension. */
typedef void (*PirQuantChooseFn) (const PirQuant *quant, const float *x, double norm2,
								  uint8_t *elems);

/* A format of 16-bit floats (quant_half.c). */
typedef struct PirQuantNarrow PirQuantNarrow;

struct PirQuant
{
	/* what a distance of factored form reads, first cache line */
	int32_t		(*dot) (const uint8_t *code, const int8_t *q, uint32_t n);	/* NULL: another form */
	PirQuantDistanceFn distance;
	PirQuantManyFn distance_many;
	uint32_t	padded;			/* D: dimensions of a code */
	uint32_t	item_size;

	PirQuantErrorFn error;
	PirQuantPairFn code_distance;

	/* factored form (quant_code.c) */
	PirQuantChooseFn choose;
	uint32_t	(*dot_codes) (const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*sum_code) (const uint8_t *a, uint32_t n);
	int32_t		zero2;			/* twice the code value that stands for zero */
	double		caution;		/* squared losses of codes that are not rotated count so often */
	double		free_dim;		/* dimensions the error of a code can point to */
	uint32_t	coded;			/* dimensions whose code counts; those behind are 0 */
	double		centre_norm2;	/* |c|^2 */

	/* 16-bit floats (quant_half.c): against a float32 query, and among themselves */
	const PirQuantNarrow *narrow;
	float		(*l2sq_query) (const uint16_t *a, const float *q, uint32_t n);
	float		(*dot_query) (const uint16_t *a, const float *q, uint32_t n);
	float		(*l1_query) (const uint16_t *a, const float *q, uint32_t n);
	float		(*l2sq_pair) (const uint16_t *a, const uint16_t *b, uint32_t n);
	float		(*dot_pair) (const uint16_t *a, const uint16_t *b, uint32_t n);
	float		(*l1_pair) (const uint16_t *a, const uint16_t *b, uint32_t n);
	double		(*norm2_pair) (const uint16_t *a, uint32_t n);

	const PirQuantMethod *method;
	const uint8_t *signs;		/* of the rotation, or NULL */
	size_t		query_size;
	size_t		scratch_size;
	PirQuantSpec spec;			/* spec.centre points into this block */
};

struct PirQuantQuery
{
	/*
	 * Factored form: dist = item.add + add + item.F * scale * product, but not
	 * below 'floor'; product = 2 * dot - sub, or where the query is an item of
	 * 8-bit RaBitQ ('odd'), twice that and a sum over the code.
	 */
	double		add;
	double		scale;
	int32_t		sub;			/* zero2 * sum of the query's integers */
	float		floor;			/* 0 for squared distances of items, else -infinity */
	bool		odd;
	bool		is_item;		/* half, bf16: data is an item */
	float		err;			/* SQ8 with L1: what clamping lost of the query */
	void	   *data;			/* the query as the kernel wants it, aligned */
	double		norm2;			/* |q - c|^2 (half, bf16: |q|^2) */
	double		round2;			/* squared rounding error of the query, per dimension */
};

/* The table's rows. */
extern const PirQuantMethod pir_quant_none;
extern const PirQuantMethod pir_quant_half;
extern const PirQuantMethod pir_quant_sq8;
extern const PirQuantMethod pir_quant_rabitq;
extern const PirQuantMethod pir_quant_bits;
extern const PirQuantMethod pir_quant_bf16;
extern const PirQuantMethod pir_quant_bq;

/* quant_rotate.c */
extern size_t pir_quant_sign_bytes(uint32_t padded);
extern void pir_quant_make_signs(uint64_t seed, uint32_t padded, uint8_t *signs);
extern void pir_quant_rotate(const uint8_t *signs, float *x, uint32_t padded);
extern void pir_quant_unrotate(const uint8_t *signs, float *x, uint32_t padded);

/* quant_code.c: the factored form that RaBitQ and SQ8 share */
extern size_t pir_quant_code_item_size(const PirQuantSpec *spec);
extern void pir_quant_code_init(PirQuant *quant, PirQuantChooseFn choose, int32_t zero2,
								uint32_t free_dim);
extern void pir_quant_code_encode(const PirQuant *quant, const void *vec, void *item, void *scratch);
extern void pir_quant_code_decode(const PirQuant *quant, const void *item, float *vec, void *scratch);
extern void pir_quant_code_prepare(const PirQuant *quant, const void *vec, PirQuantQuery *query,
								   void *scratch);
extern void pir_quant_code_prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query);

/* Arithmetic of a fixed order (quant_code.c). */
extern double pir_quant_sum_squares(const float *x, uint32_t n);
extern double pir_quant_dot(const float *a, const float *b, uint32_t n);
extern float pir_quant_max_abs(const float *x, uint32_t n);

static inline uint32_t
pir_quant_round_up(uint32_t n, uint32_t to)
{
	return (n + to - 1) / to * to;
}

static inline void *
pir_quant_align(void *p)
{
	uintptr_t	over = (uintptr_t) p % PIR_QUANT_ALIGN;

	return (char *) p + (over == 0 ? 0 : PIR_QUANT_ALIGN - over);
}

/*
 * In a loop over items at random places: ask for the first line of the item
 * after the next few. The processor overlaps the work on four short items by
 * itself, and fetches the lines that follow; with items in memory this takes a
 * third off, with items in cache it costs nothing. All lines, or eight items
 * ahead, were no better.
 */
static inline void
pir_quant_prefetch(const void *const *items, int i, int m)
{
	if (i + 4 < m)
		PIR_QUANT_PREFETCH(items[i + 4]);
}

/*
 * Do n losses with this sum and sum of squares have a common sign? If the mean
 * is more than three deviations from zero; few losses cannot be, then if half
 * of their squares is in the mean.
 */
static inline bool
pir_quant_common_sign(double sum, double squares, double n)
{
	return sum * sum > squares * (n < 18 ? n / 2 : 9);
}

/* Factor number i of an item. */
static inline float
pir_quant_factor(const void *item, int i)
{
	float		f;

	memcpy(&f, (const char *) item + i * sizeof(float), sizeof(float));
	return f;
}

static inline void
pir_quant_set_factor(void *item, int i, float f)
{
	memcpy((char *) item + i * sizeof(float), &f, sizeof(float));
}

/* Nearest float32, with the largest finite ones standing for what lies beyond. */
static inline float
pir_quant_clamp_float(double d)
{
	if (d > FLT_MAX)
		return FLT_MAX;
	if (d < -FLT_MAX)
		return -FLT_MAX;
	return (float) d;
}

#endif							/* PIR_QUANT_INTERNAL_H */
