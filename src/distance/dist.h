/*-------------------------------------------------------------------------
 *
 * dist.h
 *	  The kernel table: every inner loop of the extension, once per
 *	  instruction set.
 *
 * This folder is host-free C11: no PostgreSQL header, no allocation, no
 * error reporting. One table of function pointers (PirKernels) exists per
 * instruction set; pir_dist_init() probes the CPU (and that the operating
 * system saves the wide registers) and points pir_kernels at the best one.
 * The serial table is the oracle that every other is tested against.
 *
 * Conventions, for all kernels:
 *	- 'n' counts elements (dimensions), not bytes, unless the name says bytes;
 *	- n = 0 is legal and gives 0; no kernel reads past element n - 1;
 *	- no alignment is required of any pointer;
 *	- float results accumulate in float32 (sums of squares may overflow to
 *	  +Infinity, as documented for the SQL functions); *_norm2 accumulate in
 *	  double;
 *	- integer results are exact, as long as n <= PIR_DIST_MAX_DIM (bit strings:
 *	  any length);
 *	- fht_f32 and all integer kernels give the same bits in every table, the
 *	  other float kernels agree within their error bound.
 *
 * See README.md for formulas, code layouts, error and overflow bounds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_DIST_H
#define PIR_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest number of elements any kernel is called with (16,000 padded). */
#define PIR_DIST_MAX_DIM	16384

/* Codes and rotated vectors are padded to a multiple of this. */
#define PIR_DIST_BLOCK		64

typedef uint16_t PirHalf;		/* IEEE binary16, as bits */
typedef uint16_t PirBf16;		/* bfloat16 (high half of a float32), as bits */

/* What cosine needs, gathered in one pass. */
typedef struct PirCosineSums
{
	float		dot;
	float		norm2_a;
	float		norm2_b;
} PirCosineSums;

/* What Jaccard needs, gathered in one pass. */
typedef struct PirBitSums
{
	uint64_t	both;			/* bits set in a AND b */
	uint64_t	either;			/* bits set in a OR b */
} PirBitSums;

typedef struct PirKernels
{
	const char *name;			/* "scalar", "avx2", "avx512vnni" ...: README.md section 9 */

	/* float32 x float32 */
	float		(*l2sq_f32) (const float *a, const float *b, uint32_t n);
	float		(*dot_f32) (const float *a, const float *b, uint32_t n);
	float		(*l1_f32) (const float *a, const float *b, uint32_t n);
	void		(*cosine_f32) (const float *a, const float *b, uint32_t n, PirCosineSums *out);
	double		(*norm2_f32) (const float *a, uint32_t n);

	/* float16 x float16 */
	float		(*l2sq_f16) (const PirHalf *a, const PirHalf *b, uint32_t n);
	float		(*dot_f16) (const PirHalf *a, const PirHalf *b, uint32_t n);
	float		(*l1_f16) (const PirHalf *a, const PirHalf *b, uint32_t n);
	void		(*cosine_f16) (const PirHalf *a, const PirHalf *b, uint32_t n, PirCosineSums *out);
	double		(*norm2_f16) (const PirHalf *a, uint32_t n);

	/* bfloat16 x bfloat16 */
	float		(*l2sq_bf16) (const PirBf16 *a, const PirBf16 *b, uint32_t n);
	float		(*dot_bf16) (const PirBf16 *a, const PirBf16 *b, uint32_t n);
	float		(*l1_bf16) (const PirBf16 *a, const PirBf16 *b, uint32_t n);
	void		(*cosine_bf16) (const PirBf16 *a, const PirBf16 *b, uint32_t n, PirCosineSums *out);
	double		(*norm2_bf16) (const PirBf16 *a, uint32_t n);

	/* stored float16 x float32 query */
	float		(*l2sq_f16_f32) (const PirHalf *a, const float *q, uint32_t n);
	float		(*dot_f16_f32) (const PirHalf *a, const float *q, uint32_t n);
	float		(*l1_f16_f32) (const PirHalf *a, const float *q, uint32_t n);

	/* stored bfloat16 x float32 query */
	float		(*l2sq_bf16_f32) (const PirBf16 *a, const float *q, uint32_t n);
	float		(*dot_bf16_f32) (const PirBf16 *a, const float *q, uint32_t n);
	float		(*l1_bf16_f32) (const PirBf16 *a, const float *q, uint32_t n);

	/* conversions, round to nearest even; f32 -> f16 overflows to infinity */
	void		(*f16_to_f32) (const PirHalf *a, float *out, uint32_t n);
	void		(*f32_to_f16) (const float *a, PirHalf *out, uint32_t n);

	/* bit strings, lengths in bytes; trailing padding bits are zero */
	uint64_t	(*hamming) (const uint8_t *a, const uint8_t *b, uint32_t nbytes);
	void		(*jaccard) (const uint8_t *a, const uint8_t *b, uint32_t nbytes, PirBitSums *out);

	/*
	 * Packed codes. n is a multiple of PIR_DIST_BLOCK. An element x_u is an
	 * unsigned integer of 8, 4, 2 or 1 bits; README.md section "Code layout"
	 * says where in its 64-element block each one lies, the same for every
	 * instruction set (it is what is stored on disk). Queries are signed
	 * 8-bit in plain element order.
	 */
	int32_t		(*dot_u8_s8) (const uint8_t *code, const int8_t *q, uint32_t n);
	int32_t		(*dot_u4_s8) (const uint8_t *code, const int8_t *q, uint32_t n);
	int32_t		(*dot_u2_s8) (const uint8_t *code, const int8_t *q, uint32_t n);
	int32_t		(*dot_u1_s8) (const uint8_t *code, const int8_t *q, uint32_t n);

	/*
	 * 1-bit code x query of 'nplanes' bit planes (plane p holds bit p of
	 * every unsigned query element; each plane n / 8 bytes, consecutive):
	 * sum over p of 2^p * popcount(code AND plane p). At most 16 planes.
	 */
	uint32_t	(*dot_u1_planes) (const uint8_t *code, const uint8_t *planes, uint32_t nplanes, uint32_t n);

	/* code x code, and the plain sum of a code's elements */
	uint32_t	(*dot_u8_u8) (const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*dot_u4_u4) (const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*dot_u2_u2) (const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*dot_u1_u1) (const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*sum_u8) (const uint8_t *a, uint32_t n);
	uint32_t	(*sum_u4) (const uint8_t *a, uint32_t n);
	uint32_t	(*sum_u2) (const uint8_t *a, uint32_t n);
	uint32_t	(*sum_u1) (const uint8_t *a, uint32_t n);

	/* sum of |a_i - b_i| of 8-bit codes; any n */
	uint32_t	(*l1_u8_u8) (const uint8_t *a, const uint8_t *b, uint32_t n);

	/*
	 * In-place Walsh-Hadamard transform of n = 2^k floats (natural order),
	 * scaled by 1/sqrt(n), hence orthonormal and its own inverse. Does not
	 * overflow as long as sum |x_i| is in range.
	 */
	void		(*fht_f32) (float *x, uint32_t n);

	/* x_i = -x_i where bit i of 'signs' (LSB first in each byte) is set */
	void		(*flip_signs_f32) (float *x, const uint8_t *signs, uint32_t n);
} PirKernels;

/* The table in use. Valid (serial) even before pir_dist_init(). */
extern const PirKernels *pir_kernels;

/*
 * Probe the CPU and choose. 'force' is NULL or "auto" for the best table, or
 * the name of one. Returns false, and changes nothing, if that name is
 * unknown or this machine cannot run it. Cheap; may be called again.
 */
extern bool pir_dist_init(const char *force);

/* The tables compiled in, best first, NULL-terminated. The last one is scalar. */
extern const PirKernels *const *pir_dist_tables(void);

/* Can this machine run the table? False also for a table that is not listed. */
extern bool pir_dist_usable(const PirKernels *table);

/*
 * Packing for the code kernels: element i of a code of 'bits' in {1,2,4,8}
 * from / to one byte per element. n is a multiple of PIR_DIST_BLOCK.
 * A packed code takes n * bits / 8 bytes.
 */
extern void pir_dist_pack(const uint8_t *elems, uint8_t *code, uint32_t n, int bits);
extern void pir_dist_unpack(const uint8_t *code, uint8_t *elems, uint32_t n, int bits);

/* Single values; exact, round to nearest even. */
extern float pir_half_to_float(PirHalf h);
extern PirHalf pir_float_to_half(float f);
extern float pir_bf16_to_float(PirBf16 h);
extern PirBf16 pir_float_to_bf16(float f);

#endif							/* PIR_DIST_H */
