/*-------------------------------------------------------------------------
 *
 * dist_neon.c
 *	  Kernels for 64-bit ARM: two tables.
 *
 *	  neon			every ARMv8-A processor
 *	  neondot		and the dot product instructions (ARMv8.2: Cortex-A55 and
 *					A76, Neoverse, Apple M1 and later)
 *
 * Conversion between float16 and float32 is part of ARMv8-A, so float16 needs
 * no table of its own. The half-precision arithmetic of ARMv8.2 is of no use
 * here: it would accumulate in 11 bits.
 *
 * No kernel touches a byte beyond its arguments, nor assumes alignment.
 *
 *-------------------------------------------------------------------------
 */
#include "distance/dist_internal.h"

#ifdef PIR_DIST_ARM64

#include <arm_neon.h>

/*-------------------------------------------------------------------------
 * Floats: the vector operations of the templates
 *-------------------------------------------------------------------------
 */

#define KERNEL_TARGET
#define KERNEL(name)	name##_neon
#define VEC_LANES		4

typedef float32x4_t Vec;
typedef float64x2_t VecD;

#define vec_zero()		vdupq_n_f32(0)
#define vec_add(a, b)	vaddq_f32(a, b)
#define vec_sub(a, b)	vsubq_f32(a, b)
#define vec_abs(a)		vabsq_f32(a)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_sum(a)		vaddvq_f32(a)
#define vec_scale(v, s)	vmulq_n_f32(v, s)
#define vecd_zero()		vdupq_n_f64(0)
#define vecd_add(a, b)	vaddq_f64(a, b)
#define vecd_sum(a)		vaddvq_f64(a)

/* Loads and stores go by bytes: the typed ones expect aligned elements. */
PIR_ALWAYS_INLINE Vec
load_floats(const void *p)
{
	return vreinterpretq_f32_u8(vld1q_u8(p));
}

PIR_ALWAYS_INLINE void
vec_store(void *p, Vec v)
{
	vst1q_u8(p, vreinterpretq_u8_f32(v));
}

PIR_ALWAYS_INLINE Vec
widen(uint16x4_t x, PirElem type)
{
	if (type == PIR_ELEM_F16)
		return vcvt_f32_f16(vreinterpret_f16_u16(x));
	return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
}

PIR_ALWAYS_INLINE Vec
vec_load(const void *p, PirElem type, size_t i)
{
	const void *at = elem_at(p, type, i);

	if (type == PIR_ELEM_F32)
		return load_floats(at);
	return widen(vreinterpret_u16_u8(vld1_u8(at)), type);
}

PIR_ALWAYS_INLINE void
vec_load2(const void *p, PirElem type, size_t i, Vec *v0, Vec *v1)
{
	const void *at = elem_at(p, type, i);

	if (type == PIR_ELEM_F32)
	{
		*v0 = load_floats(at);
		*v1 = load_floats((const float *) at + VEC_LANES);
	}
	else
	{
		uint16x8_t	x = vreinterpretq_u16_u8(vld1q_u8(at));

		*v0 = widen(vget_low_u16(x), type);
		*v1 = widen(vget_high_u16(x), type);
	}
}

/*
 * The last n - i < 4 elements. Take the last four and clear those that were
 * counted before; if there never were four, go through a buffer.
 */
PIR_ALWAYS_INLINE Vec
vec_load_tail(const void *p, PirElem type, size_t i, size_t n)
{
	static const uint32_t window[8] = {0, 0, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
	uint32_t	buffer[4] = {0};

	if (i >= 4)
	{
		uint32x4_t	mask = vld1q_u32(window + (n - i));

		return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(vec_load(p, type, n - 4)), mask));
	}
	memcpy(buffer, p, n * (type == PIR_ELEM_F32 ? sizeof(float) : sizeof(uint16_t)));
	return vec_load(buffer, type, 0);
}

PIR_ALWAYS_INLINE void
vec_square_pd(Vec v, VecD *s0, VecD *s1)
{
	VecD		lo = vcvt_f64_f32(vget_low_f32(v));
	VecD		hi = vcvt_high_f64_f32(v);

	*s0 = vfmaq_f64(*s0, lo, lo);
	*s1 = vfmaq_f64(*s1, hi, hi);
}

/*
 * Levels 1 and 2 within a vector: swap the partners, then own value times +1
 * in the lower and -1 in the upper lane of each pair. The multiply-add rounds
 * once, and its product is exact, so this is u + v and u - v.
 */
PIR_ALWAYS_INLINE Vec
vec_hadamard(Vec v)
{
	const Vec	sign1 = {1, -1, 1, -1};
	const Vec	sign2 = {1, 1, -1, -1};

	v = vec_fma(v, sign1, vrev64q_f32(v));
	v = vec_fma(v, sign2, vextq_f32(v, v, 2));
	return v;
}

#include "distance/dist_float_template.h"
#include "distance/dist_fht_template.h"

static void
f16_to_f32_neon(const PirHalf *a, float *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 4 <= n; i += 4)
		vec_store(out + i, vec_load(a, PIR_ELEM_F16, i));
	for (; i < n; i++)
		store_f32(out + i, half_to_float(load_u16(a + i)));
}

static void
f32_to_f16_neon(const float *a, PirHalf *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 4 <= n; i += 4)
		vst1_u8((uint8_t *) (out + i), vreinterpret_u8_f16(vcvt_f16_f32(load_floats(a + i))));
	for (; i < n; i++)
		store_u16(out + i, float_to_half(load_f32(a + i)));
}

static void
flip_signs_f32_neon(float *x, const uint8_t *signs, uint32_t n)
{
	/* lane k: bit k (or 4 + k) of the byte moved to the sign bit */
	const int32x4_t shift_lo = {31, 30, 29, 28};
	const int32x4_t shift_hi = {27, 26, 25, 24};
	const uint32x4_t minus = vdupq_n_u32(0x80000000);
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		uint32x4_t	byte = vdupq_n_u32(signs[i / 8]);
		uint32x4_t	lo = vandq_u32(vshlq_u32(byte, shift_lo), minus);
		uint32x4_t	hi = vandq_u32(vshlq_u32(byte, shift_hi), minus);
		uint32x4_t	v0 = vreinterpretq_u32_f32(load_floats(x + i));
		uint32x4_t	v1 = vreinterpretq_u32_f32(load_floats(x + i + 4));

		vec_store(x + i, vreinterpretq_f32_u32(veorq_u32(v0, lo)));
		vec_store(x + i + 4, vreinterpretq_f32_u32(veorq_u32(v1, hi)));
	}
	for (; i < n; i++)
	{
		uint32_t	sign = (signs[i / 8] >> (i % 8)) & 1;

		store_f32(x + i, bits_float(float_bits(load_f32(x + i)) ^ (sign << 31)));
	}
}

/*-------------------------------------------------------------------------
 * Bits
 *
 * CNT counts the bits of each byte. Counts are added up in 16-bit lanes, 16 a
 * step at most, over at most BITS_STEPS steps, and then widened.
 *-------------------------------------------------------------------------
 */

#define BITS_STEPS		1024

/* The 0 to 15 bytes at p and zeros. */
PIR_ALWAYS_INLINE uint8x16_t
load_tail(const uint8_t *p, size_t nbytes)
{
	uint8_t		buffer[16] = {0};

	memcpy(buffer, p, nbytes);
	return vld1q_u8(buffer);
}

/* counts + the bits of x, in 16-bit lanes */
PIR_ALWAYS_INLINE uint16x8_t
add_bits(uint16x8_t counts, uint8x16_t x)
{
	return vpadalq_u8(counts, vcntq_u8(x));
}

static uint64_t
hamming_neon(const uint8_t *a, const uint8_t *b, uint32_t nbytes)
{
	uint64_t	sum = 0;
	size_t		i = 0;

	while (i + 16 <= nbytes)
	{
		size_t		stop = nbytes - i > 16 * BITS_STEPS ? i + 16 * BITS_STEPS : nbytes;
		uint16x8_t	counts = vdupq_n_u16(0);

		for (; i + 16 <= stop; i += 16)
			counts = add_bits(counts, veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
		sum += vaddlvq_u16(counts);
	}
	if (i < nbytes)
	{
		uint8x16_t	x = veorq_u8(load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i));

		sum += vaddlvq_u8(vcntq_u8(x));
	}
	return sum;
}

static void
jaccard_neon(const uint8_t *a, const uint8_t *b, uint32_t nbytes, PirBitSums *out)
{
	uint64_t	both = 0;
	uint64_t	either = 0;
	size_t		i = 0;

	while (i + 16 <= nbytes)
	{
		size_t		stop = nbytes - i > 16 * BITS_STEPS ? i + 16 * BITS_STEPS : nbytes;
		uint16x8_t	counts_both = vdupq_n_u16(0);
		uint16x8_t	counts_either = vdupq_n_u16(0);

		for (; i + 16 <= stop; i += 16)
		{
			uint8x16_t	x = vld1q_u8(a + i);
			uint8x16_t	y = vld1q_u8(b + i);

			counts_both = add_bits(counts_both, vandq_u8(x, y));
			counts_either = add_bits(counts_either, vorrq_u8(x, y));
		}
		both += vaddlvq_u16(counts_both);
		either += vaddlvq_u16(counts_either);
	}
	if (i < nbytes)
	{
		uint8x16_t	x = load_tail(a + i, nbytes - i);
		uint8x16_t	y = load_tail(b + i, nbytes - i);

		both += vaddlvq_u8(vcntq_u8(vandq_u8(x, y)));
		either += vaddlvq_u8(vcntq_u8(vorrq_u8(x, y)));
	}
	out->both = both;
	out->either = either;
}

/* For codes: nbytes is a multiple of 8 and at most PIR_DIST_MAX_DIM / 8, 128 steps. */
PIR_ALWAYS_INLINE uint32_t
count_both(const uint8_t *a, const uint8_t *b, size_t nbytes)
{
	uint16x8_t	counts = vdupq_n_u16(0);
	size_t		i = 0;

	for (; i + 16 <= nbytes; i += 16)
		counts = add_bits(counts, vandq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
	if (i < nbytes)
		counts = add_bits(counts, vcombine_u8(vand_u8(vld1_u8(a + i), vld1_u8(b + i)), vdup_n_u8(0)));
	return vaddlvq_u16(counts);
}

static uint32_t
dot_u1_u1_neon(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	return count_both(a, b, n / 8);
}

static uint32_t
dot_u1_planes_neon(const uint8_t *code, const uint8_t *planes, uint32_t nplanes, uint32_t n)
{
	size_t		nbytes = n / 8;
	uint32_t	sum = 0;

	for (uint32_t p = 0; p < nplanes; p++, planes += nbytes)
		sum += count_both(code, planes, nbytes) << p;
	return sum;
}

static uint32_t
sum_u1_neon(const uint8_t *a, uint32_t n)
{
	return count_both(a, a, n / 8);
}

/*-------------------------------------------------------------------------
 * Sums of packed codes
 *-------------------------------------------------------------------------
 */

/* acc + the sum of the bytes of x, spread over four lanes */
PIR_ALWAYS_INLINE uint32x4_t
add_bytes(uint32x4_t acc, uint8x16_t x)
{
	return vpadalq_u16(acc, vpaddlq_u8(x));
}

/* Sum of the nibbles of each byte. */
PIR_ALWAYS_INLINE uint8x16_t
fold_u4(uint8x16_t x)
{
	return vaddq_u8(vandq_u8(x, vdupq_n_u8(15)), vshrq_n_u8(x, 4));
}

/* Sum of the bit pairs of each byte. */
PIR_ALWAYS_INLINE uint8x16_t
fold_u2(uint8x16_t x)
{
	const uint8x16_t low = vdupq_n_u8(0x33);

	return fold_u4(vaddq_u8(vandq_u8(x, low), vandq_u8(vshrq_n_u8(x, 2), low)));
}

static uint32_t
sum_u8_neon(const uint8_t *a, uint32_t n)
{
	uint32x4_t	acc = vdupq_n_u32(0);

	for (size_t i = 0; i < n; i += 16)
		acc = add_bytes(acc, vld1q_u8(a + i));
	return vaddvq_u32(acc);
}

static uint32_t
sum_u4_neon(const uint8_t *a, uint32_t n)
{
	uint32x4_t	acc = vdupq_n_u32(0);

	for (size_t i = 0; i < n / 2; i += 16)
		acc = add_bytes(acc, fold_u4(vld1q_u8(a + i)));
	return vaddvq_u32(acc);
}

static uint32_t
sum_u2_neon(const uint8_t *a, uint32_t n)
{
	uint32x4_t	acc = vdupq_n_u32(0);

	for (size_t i = 0; i < n / 4; i += 16)
		acc = add_bytes(acc, fold_u2(vld1q_u8(a + i)));
	return vaddvq_u32(acc);
}

static uint32_t
l1_u8_u8_neon(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32x4_t	acc = vdupq_n_u32(0);
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
		acc = add_bytes(acc, vabdq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
	if (i < n)
		acc = add_bytes(acc, vabdq_u8(load_tail(a + i, n - i), load_tail(b + i, n - i)));
	return vaddvq_u32(acc);
}

/*-------------------------------------------------------------------------
 * Products of packed codes, by widening multiplications (neon) or by the dot
 * product instructions (neondot)
 *-------------------------------------------------------------------------
 */

/* The query bytes whose code bit is set, else 0: 16 bits of code to 16 bytes. */
PIR_ALWAYS_INLINE int8x16_t
select_u1(const uint8_t *code, const int8_t *q)
{
	const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t	spread = vcombine_u8(vdup_n_u8(code[0]), vdup_n_u8(code[1]));

	return vandq_s8(vreinterpretq_s8_u8(vtstq_u8(spread, bit)), vld1q_s8(q));
}

/*
 * acc + x * y, 16 products in four lanes. Each product fits 16 bits, the sum
 * of two may not, so every one is widened by itself.
 */
PIR_ALWAYS_INLINE int32x4_t
multiply_add_s8(int32x4_t acc, int8x16_t x, int8x16_t y)
{
	acc = vpadalq_s16(acc, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
	return vpadalq_s16(acc, vmull_high_s8(x, y));
}

PIR_ALWAYS_INLINE uint32x4_t
multiply_add_u8(uint32x4_t acc, uint8x16_t x, uint8x16_t y)
{
	acc = vpadalq_u16(acc, vmull_u8(vget_low_u8(x), vget_low_u8(y)));
	return vpadalq_u16(acc, vmull_high_u8(x, y));
}

#define DOTS_TARGET
#define DOTS(name)		name##_neon
#define dot_s8(acc, x, y) multiply_add_s8(acc, x, y)
#define dot_u8(acc, x, y) multiply_add_u8(acc, x, y)
#include "distance/dist_neon_dots.h"

const PirKernels pir_kernels_neon = {
	.name = "neon",
	PIR_TABLE_FLOAT(neon),
	PIR_TABLE_BITS(neon),
	PIR_TABLE_DOTS(neon),
	PIR_TABLE_SUMS(neon),
};

#ifdef PIR_DIST_ARM64_DOT

#define DOTS_TARGET		__attribute__((target(PIR_TARGET_DOTPROD)))
#define DOTS(name)		name##_neondot
#define dot_s8(acc, x, y) vdotq_s32(acc, x, y)
#define dot_u8(acc, x, y) vdotq_u32(acc, x, y)
#include "distance/dist_neon_dots.h"

const PirKernels pir_kernels_neondot = {
	.name = "neondot",
	PIR_TABLE_FLOAT(neon),
	PIR_TABLE_BITS(neon),
	PIR_TABLE_DOTS(neondot),
	PIR_TABLE_SUMS(neon),
};

#endif							/* PIR_DIST_ARM64_DOT */
#endif							/* PIR_DIST_ARM64 */
