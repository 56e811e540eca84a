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

#ifdef __GNUC__
#define PIR_ALWAYS_INLINE	static inline __attribute__((always_inline))
#else
#define PIR_ALWAYS_INLINE	static inline
#endif

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
	PIR_ELEM_BF16
} PirElem;

/* Address of element i. */
PIR_ALWAYS_INLINE const void *
elem_at(const void *p, PirElem type, uint32_t i)
{
	return (const char *) p + (size_t) i * (type == PIR_ELEM_F32 ? sizeof(float) : sizeof(uint16_t));
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
