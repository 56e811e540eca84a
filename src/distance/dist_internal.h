/*-------------------------------------------------------------------------
 *
 * dist_internal.h
 *	  What the files of distance/ share: the tables by name, the CPU flags
 *	  they need, single-value conversions, small portable helpers.
 *
 * Never included from outside this folder.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_DIST_INTERNAL_H
#define PIR_DIST_INTERNAL_H

#include <string.h>

#include "distance/dist.h"

/*
 * Which files have content on this target. The kernels rely on GNU C (target
 * attributes, always_inline); any other compiler gets the scalar table alone.
 * Packed codes are byte strings, so the scalar kernels do not care about byte
 * order; the NEON ones were written for little-endian only.
 */
#if defined(__GNUC__) && defined(__x86_64__)
#define PIR_DIST_X86		1
#endif
#if defined(__GNUC__) && defined(__aarch64__) && !defined(__AARCH64EB__)
#define PIR_DIST_ARM64		1
#endif

/*
 * clang before 16 offers the dot product intrinsics only if the whole file is
 * compiled for them, and spells the target in its own way.
 */
#if defined(PIR_DIST_ARM64) && (!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_DOTPROD))
#define PIR_DIST_ARM64_DOT	1
#ifdef __clang__
#define PIR_TARGET_DOTPROD	"dotprod"
#else
#define PIR_TARGET_DOTPROD	"arch=armv8.2-a+dotprod"
#endif
#endif

#ifdef __GNUC__
#define PIR_ALWAYS_INLINE	static inline __attribute__((always_inline))
#else
#define PIR_ALWAYS_INLINE	static inline
#endif

/*
 * The rows of a table, in groups, for kernels named <kernel>_<suffix>. A table
 * may take single groups from another suffix.
 */
#define PIR_TABLE_FLOAT(suffix) \
	.l2sq_f32 = l2sq_f32_##suffix, \
	.dot_f32 = dot_f32_##suffix, \
	.l1_f32 = l1_f32_##suffix, \
	.cosine_f32 = cosine_f32_##suffix, \
	.norm2_f32 = norm2_f32_##suffix, \
	.l2sq_f16 = l2sq_f16_##suffix, \
	.dot_f16 = dot_f16_##suffix, \
	.l1_f16 = l1_f16_##suffix, \
	.cosine_f16 = cosine_f16_##suffix, \
	.norm2_f16 = norm2_f16_##suffix, \
	.l2sq_bf16 = l2sq_bf16_##suffix, \
	.dot_bf16 = dot_bf16_##suffix, \
	.l1_bf16 = l1_bf16_##suffix, \
	.cosine_bf16 = cosine_bf16_##suffix, \
	.norm2_bf16 = norm2_bf16_##suffix, \
	.l2sq_f16_f32 = l2sq_f16_f32_##suffix, \
	.dot_f16_f32 = dot_f16_f32_##suffix, \
	.l1_f16_f32 = l1_f16_f32_##suffix, \
	.l2sq_bf16_f32 = l2sq_bf16_f32_##suffix, \
	.dot_bf16_f32 = dot_bf16_f32_##suffix, \
	.l1_bf16_f32 = l1_bf16_f32_##suffix, \
	.f16_to_f32 = f16_to_f32_##suffix, \
	.f32_to_f16 = f32_to_f16_##suffix, \
	.fht_f32 = fht_f32_##suffix, \
	.flip_signs_f32 = flip_signs_f32_##suffix

/* popcounts */
#define PIR_TABLE_BITS(suffix) \
	.hamming = hamming_##suffix, \
	.jaccard = jaccard_##suffix, \
	.dot_u1_planes = dot_u1_planes_##suffix, \
	.dot_u1_u1 = dot_u1_u1_##suffix, \
	.sum_u1 = sum_u1_##suffix

/* products of small integers */
#define PIR_TABLE_DOTS(suffix) \
	.dot_u8_s8 = dot_u8_s8_##suffix, \
	.dot_u4_s8 = dot_u4_s8_##suffix, \
	.dot_u2_s8 = dot_u2_s8_##suffix, \
	.dot_u1_s8 = dot_u1_s8_##suffix, \
	.dot_u8_u8 = dot_u8_u8_##suffix, \
	.dot_u4_u4 = dot_u4_u4_##suffix, \
	.dot_u2_u2 = dot_u2_u2_##suffix

/* sums of absolute differences */
#define PIR_TABLE_SUMS(suffix) \
	.sum_u8 = sum_u8_##suffix, \
	.sum_u4 = sum_u4_##suffix, \
	.sum_u2 = sum_u2_##suffix, \
	.l1_u8_u8 = l1_u8_u8_##suffix

/*
 * CPU features, as found by dist.c. A feature counts only if the operating
 * system also saves the registers it works in.
 */
#define PIR_CPU_AVX2			(1u << 0)	/* AVX2, FMA, F16C and POPCNT */
#define PIR_CPU_AVX512			(1u << 1)	/* AVX2 as above and AVX-512 F, BW, DQ, VL */
#define PIR_CPU_AVX512_VNNI		(1u << 2)
#define PIR_CPU_AVX512_POPCNT	(1u << 3)	/* VPOPCNTDQ */
#define PIR_CPU_NEON			(1u << 4)
#define PIR_CPU_NEON_DOTPROD	(1u << 5)

/* dist_serial.c */
extern const PirKernels pir_kernels_scalar;

#ifdef PIR_DIST_X86
/* dist_avx2.c */
extern const PirKernels pir_kernels_avx2;

/* dist_avx512.c */
extern const PirKernels pir_kernels_avx512;
extern const PirKernels pir_kernels_avx512vnni;
extern const PirKernels pir_kernels_avx512popcnt;
#endif

#ifdef PIR_DIST_ARM64
/* dist_neon.c */
extern const PirKernels pir_kernels_neon;
#endif
#ifdef PIR_DIST_ARM64_DOT
extern const PirKernels pir_kernels_neondot;
#endif

/*
 * Element types of the float kernels. Each ISA file writes a kernel once, as
 * an always-inlined function of two such constants, and instantiates it.
 */
typedef enum PirElem
{
	PIR_ELEM_F32,
	PIR_ELEM_F16,
	PIR_ELEM_BF16,				/* two vectors of them may be loaded in another order */
	PIR_ELEM_BF16_ORDERED		/* the same, for company of another type */
} PirElem;

/* Address of element i. */
PIR_ALWAYS_INLINE const void *
elem_at(const void *p, PirElem type, size_t i)
{
	return (const char *) p + i * (type == PIR_ELEM_F32 ? sizeof(float) : sizeof(uint16_t));
}

PIR_ALWAYS_INLINE uint32_t
float_bits(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

PIR_ALWAYS_INLINE float
bits_float(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Typed loads and stores: no kernel may assume alignment, a plain access would. */
PIR_ALWAYS_INLINE float
load_f32(const void *p)
{
	float		f;

	memcpy(&f, p, sizeof(f));
	return f;
}

PIR_ALWAYS_INLINE void
store_f32(void *p, float f)
{
	memcpy(p, &f, sizeof(f));
}

PIR_ALWAYS_INLINE uint16_t
load_u16(const void *p)
{
	uint16_t	x;

	memcpy(&x, p, sizeof(x));
	return x;
}

PIR_ALWAYS_INLINE void
store_u16(void *p, uint16_t x)
{
	memcpy(p, &x, sizeof(x));
}

PIR_ALWAYS_INLINE uint64_t
load_u64(const uint8_t *p)
{
	uint64_t	x;

	memcpy(&x, p, sizeof(x));
	return x;
}

/*
 * Exact. A signalling NaN becomes quiet, as the conversion instructions of
 * x86 and ARM have it.
 */
PIR_ALWAYS_INLINE float
half_to_float(PirHalf h)
{
	uint32_t	sign = (uint32_t) (h & 0x8000) << 16;
	uint32_t	exponent = (h >> 10) & 0x1f;
	uint32_t	mantissa = h & 0x3ff;

	if (exponent == 0)
	{
		/* zero or subnormal: mantissa x 2^-24, a normal float or zero */
		return bits_float(float_bits((float) mantissa * 0x1p-24f) | sign);
	}
	if (exponent == 0x1f)
		return bits_float(sign | 0x7f800000 | (mantissa << 13) | (mantissa ? 0x400000 : 0));
	return bits_float(sign | ((exponent + 127 - 15) << 23) | (mantissa << 13));
}

/*
 * Round to nearest, ties to even; from 65520 on infinity. NaNs stay NaNs,
 * quiet, with the top bits of their payload.
 */
PIR_ALWAYS_INLINE PirHalf
float_to_half(float f)
{
	uint32_t	bits = float_bits(f);
	uint32_t	sign = (bits >> 16) & 0x8000;
	uint32_t	mag = bits & 0x7fffffff;

	if (mag >= 0x7f800000)
		return sign | 0x7c00 | (mag > 0x7f800000 ? 0x200 | ((mag >> 13) & 0x3ff) : 0);
	if (mag >= 0x477ff000)		/* 65520, half way from 65504 to 65536 */
		return sign | 0x7c00;
	if (mag >= 0x38800000)		/* 2^-14: a normal half; a carry may move the exponent */
		return sign | ((mag + 0xfff + ((mag >> 13) & 1) - 0x38000000) >> 13);
	if (mag <= 0x33000000)		/* up to 2^-25, half of the least subnormal */
		return sign;

	/* subnormal: count of 2^-24 */
	{
		uint32_t	shift = 126 - (mag >> 23);	/* 14 .. 24 */
		uint32_t	mantissa = (mag & 0x7fffff) | 0x800000;
		uint32_t	result = mantissa >> shift;
		uint32_t	rest = mantissa & ((1u << shift) - 1);
		uint32_t	tie = 1u << (shift - 1);

		if (rest > tie || (rest == tie && (result & 1)))
			result++;
		return sign | result;
	}
}

PIR_ALWAYS_INLINE float
bf16_to_float(PirBf16 h)
{
	return bits_float((uint32_t) h << 16);
}

/* Round to nearest, ties to even, overflowing to infinity; NaNs stay NaNs, quiet. */
PIR_ALWAYS_INLINE PirBf16
float_to_bf16(float f)
{
	uint32_t	bits = float_bits(f);

	if ((bits & 0x7fffffff) > 0x7f800000)
		return (bits >> 16) | 0x40;
	return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/*
 * Bits set in x. Written out rather than by the builtin: without a POPCNT
 * target that is a call into the compiler's runtime, which bitcode built for
 * the server's JIT cannot resolve.
 */
PIR_ALWAYS_INLINE uint32_t
popcount64_portable(uint64_t x)
{
	x -= (x >> 1) & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (uint32_t) ((x * UINT64_C(0x0101010101010101)) >> 56);
}

#endif							/* PIR_DIST_INTERNAL_H */
