/*-------------------------------------------------------------------------
 *
 * vector_private.h
 *	  What the files of this folder share; nobody else includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_VECTOR_PRIVATE_H
#define PIR_VECTOR_PRIVATE_H

#include "port/pg_bswap.h"
#include "utils/array.h"

#include "vector/vector.h"

/*
 * vector and halfvec differ in the width of an element and in nothing else,
 * so most of their SQL functions are one piece of code that is handed one of
 * these. Where time matters (distances, comparison) each has its own.
 */
typedef struct PirDenseType
{
	const char *name;			/* SQL name */
	Size		elem_size;
	bool		is_half;
} PirDenseType;

extern const PirDenseType pir_dense_vector;
extern const PirDenseType pir_dense_halfvec;

/* What PirVector and PirHalfvec have in common */
typedef struct PirDense
{
	int32		vl_len_;
	int16		dim;
	int16		unused;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} PirDense;

StaticAssertDecl(offsetof(PirDense, data) == offsetof(PirVector, x) &&
				 offsetof(PirDense, data) == offsetof(PirHalfvec, x),
				 "PirDense is the common head of both dense types");

#define PIR_VECTOR_NAME		"vector"
#define PIR_HALFVEC_NAME	"halfvec"
#define PIR_SPARSEVEC_NAME	"sparsevec"

/* vector_dense.c: dense values of either type, as float arrays */
extern PirDense *pir_dense_new(const PirDenseType *type, int dim);
extern const float *pir_dense_floats(const PirDenseType *type, Datum d, int *dim);
extern float *pir_dense_buffer(const PirDenseType *type, PirDense *result);
extern int	pir_dense_finish(const PirDenseType *type, PirDense *result, const float *buffer);
extern Datum pir_dense_finish_cast(const PirDenseType *type, PirDense *result, const float *buffer);
extern bool pir_dense_is_zero(const PirDenseType *type, const PirDense *value, int i);

/* vector_check.c: limits and their errors */
extern int32 pir_typmod_in(FunctionCallInfo fcinfo, const char *type, int max_dim);
extern void pir_check_nnz(int64 nnz);
extern void pir_check_finite(const char *type, const float *x, int64 first, int64 n);
extern void pir_report_out_of_range(const char *type, float value) PIR_NORETURN;
extern void pir_report_bad_unused(const char *type, int32 unused) PIR_NORETURN;

/* vector_cast.c: the elements of a SQL array as floats, one after the other */
typedef struct PirArrayReader
{
	Oid			elem_type;
	const char *next;
	int			nelements;
} PirArrayReader;

extern void pir_array_begin(PirArrayReader *reader, ArrayType *array);
extern float pir_array_next(PirArrayReader *reader);

/* vector_literal.c: reading text, with errors that say where */
typedef struct PirLiteral
{
	const char *type;			/* SQL name, for messages */
	const char *text;			/* the whole literal */
	const char *pos;			/* next byte to read */
} PirLiteral;

extern void pir_literal_skip_space(PirLiteral *lit);
extern bool pir_literal_accept(PirLiteral *lit, char c);
extern void pir_literal_expect(PirLiteral *lit, char c, const char *what);
extern void pir_literal_expect_end(PirLiteral *lit);
extern float pir_literal_float(PirLiteral *lit, bool *underflow);
extern int32 pir_literal_int32(PirLiteral *lit, const char *what);
extern int	pir_literal_count_commas(const PirLiteral *lit);
extern void pir_literal_error(const PirLiteral *lit, const char *expected) PIR_NORETURN;
extern void pir_literal_out_of_range(const PirLiteral *lit, const char *start) PIR_NORETURN;

/*
 * Ask for the cache lines of the value that a sequential scan will want next.
 * Heap pages fill downwards, so it lies just below this one, behind this row's
 * header and first columns; by the time the executor gets there the lines have
 * come. Exact scans of values of 200 to 1500 bytes run 1.2 to 2 times as fast.
 * Of larger values only the first lines are asked for, as the rest would keep
 * this value's own lines waiting. For a value that is not on a page these are
 * some useless requests; addresses that are not mapped the machine ignores.
 */
#define PIR_CACHE_LINE		64
#define PIR_PREFETCH_HEADER 96	/* row header and first columns, about */
#define PIR_PREFETCH_MAX	1536
#define PIR_PREFETCH_FIRST	256

static inline void
pir_prefetch_below(const void *value, Size size)
{
	const char *p = (const char *) value;
	Size		end = size + PIR_PREFETCH_HEADER;
	Size		begin = (size <= PIR_PREFETCH_MAX) ? PIR_CACHE_LINE : end - PIR_PREFETCH_FIRST;

	for (Size below = begin; below <= end; below += PIR_CACHE_LINE)
		__builtin_prefetch(p - below);
}

/*
 * The processor fetches ahead by itself, but not beyond a page of memory: ask
 * for the first lines of those that a large value reaches into.
 */
#define PIR_MEMORY_PAGE		4096

static inline void
pir_prefetch_across(const void *value, Size size)
{
	const char *end = (const char *) value + size;
	const char *page = (const char *) TYPEALIGN(PIR_MEMORY_PAGE, (uintptr_t) value);

	for (; page < end; page += PIR_MEMORY_PAGE)
	{
		for (int line = 0; line < 4; line++)
			__builtin_prefetch(page + line * PIR_CACHE_LINE);
	}
}

/* An argument of a distance function, kept in line if it is always the same */
static inline Datum
pir_distance_argument(FunctionCallInfo fcinfo, int n)
{
	return PointerGetDatum(pir_detoast_argument(fcinfo, n));
}

/* A SQL function of two arguments that returns the boolean 'expression' */
#define PIR_COMPARISON_FUNCTION(name, expression) \
	PG_FUNCTION_INFO_V1(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_BOOL(expression); \
	}

/* Send functions write, recv functions read, elements in network order */
static inline uint32
pir_float_bits(float f)
{
	uint32		bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static inline float
pir_read_network_float(const char *p)
{
	uint32		bits;
	float		f;

	memcpy(&bits, p, sizeof(bits));
	bits = pg_ntoh32(bits);
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* True for infinities and NaN */
static inline bool
pir_float_is_special(float f)
{
	return (pir_float_bits(f) & 0x7f800000) == 0x7f800000;
}

static inline bool
pir_half_is_special(PirHalf h)
{
	return (h & 0x7c00) == 0x7c00;
}

static inline bool
pir_half_is_zero(PirHalf h)
{
	return (h & 0x7fff) == 0;
}

#endif							/* PIR_VECTOR_PRIVATE_H */
