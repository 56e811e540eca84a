/*-------------------------------------------------------------------------
 *
 * dist_avx512.c
 *	  Kernels for AVX-512: three tables.
 *
 *	  avx512		F, BW, DQ, VL			Skylake server
 *	  avx512vnni	and VNNI				Cascade Lake
 *	  avx512popcnt	and VNNI, VPOPCNTDQ		Ice Lake, Zen 4 and later
 *
 * Tails are loaded under masks, which suppress faults: no kernel touches a
 * byte beyond its arguments. Functions carry target attributes, so that the
 * file is compiled with the flags of every other; the tables are reachable
 * only through the probe in dist.c.
 *
 *-------------------------------------------------------------------------
 */
#include "distance/dist_internal.h"

#ifdef PIR_DIST_X86

#include <immintrin.h>

#define TARGET_BASE		"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt"
#define TARGET_AVX512	__attribute__((target(TARGET_BASE)))
#define TARGET_VNNI		__attribute__((target(TARGET_BASE ",avx512vnni")))
#define TARGET_POPCNT	__attribute__((target(TARGET_BASE ",avx512vpopcntdq")))

/* The lowest 'count' bits, 0 <= count < 64. */
#define LOW_BITS(count)	((UINT64_C(1) << (count)) - 1)

#define ROUND_NEAREST	(_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/*-------------------------------------------------------------------------
 * Floats: the vector operations of the templates
 *-------------------------------------------------------------------------
 */

#define KERNEL_TARGET	TARGET_AVX512
#define KERNEL(name)	name##_avx512
#define VEC_LANES		16

typedef __m512 Vec;
typedef __m512d VecD;

#define vec_zero()		_mm512_setzero_ps()
#define vec_add(a, b)	_mm512_add_ps(a, b)
#define vec_sub(a, b)	_mm512_sub_ps(a, b)
#define vec_abs(a)		_mm512_abs_ps(a)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_sum(a)		_mm512_reduce_add_ps(a)
#define vec_store(p, v)	_mm512_storeu_ps(p, v)
#define vec_scale(v, s)	_mm512_mul_ps(v, _mm512_set1_ps(s))
#define vecd_zero()		_mm512_setzero_pd()
#define vecd_add(a, b)	_mm512_add_pd(a, b)
#define vecd_sum(a)		_mm512_reduce_add_pd(a)

/* bfloat16 is the high half of a float. */
TARGET_AVX512
PIR_ALWAYS_INLINE Vec
widen_bf16(__m256i x)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

TARGET_AVX512
PIR_ALWAYS_INLINE Vec
vec_load(const void *p, PirElem type, size_t i)
{
	const void *at = elem_at(p, type, i);

	switch (type)
	{
		case PIR_ELEM_F32:
			return _mm512_loadu_ps(at);
		case PIR_ELEM_F16:
			return _mm512_cvtph_ps(_mm256_loadu_si256(at));
		case PIR_ELEM_BF16:
		case PIR_ELEM_BF16_ORDERED:
			return widen_bf16(_mm256_loadu_si256(at));
	}
	return vec_zero();
}

/*
 * For bfloat16 the even elements go into one vector and the odd ones into the
 * other: two cheap operations, where widening in order takes four.
 */
TARGET_AVX512
PIR_ALWAYS_INLINE void
vec_load2(const void *p, PirElem type, size_t i, Vec *v0, Vec *v1)
{
	if (type == PIR_ELEM_BF16)
	{
		__m512i		x = _mm512_loadu_si512(elem_at(p, type, i));

		*v0 = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
		*v1 = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(0xffff0000)));
		return;
	}
	*v0 = vec_load(p, type, i);
	*v1 = vec_load(p, type, i + VEC_LANES);
}

TARGET_AVX512
PIR_ALWAYS_INLINE Vec
vec_load_tail(const void *p, PirElem type, size_t i, size_t n)
{
	const void *at = elem_at(p, type, i);
	__mmask16	mask = LOW_BITS(n - i);

	switch (type)
	{
		case PIR_ELEM_F32:
			return _mm512_maskz_loadu_ps(mask, at);
		case PIR_ELEM_F16:
			return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at));
		case PIR_ELEM_BF16:
		case PIR_ELEM_BF16_ORDERED:
			return widen_bf16(_mm256_maskz_loadu_epi16(mask, at));
	}
	return vec_zero();
}

TARGET_AVX512
PIR_ALWAYS_INLINE void
vec_square_pd(Vec v, VecD *s0, VecD *s1)
{
	VecD		lo = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
	VecD		hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));

	*s0 = _mm512_fmadd_pd(lo, lo, *s0);
	*s1 = _mm512_fmadd_pd(hi, hi, *s1);
}

/*
 * Levels 1, 2, 4, 8 within a vector: swap the partners, then own value times
 * +1 in the lower and -1 in the upper lane of each pair. The multiply-add
 * rounds once, and its product is exact, so this is u + v and u - v.
 */
TARGET_AVX512
PIR_ALWAYS_INLINE Vec
vec_hadamard(Vec v)
{
	const Vec	one = _mm512_set1_ps(1.0f);
	const Vec	sign1 = _mm512_mask_sub_ps(one, 0xaaaa, vec_zero(), one);
	const Vec	sign2 = _mm512_mask_sub_ps(one, 0xcccc, vec_zero(), one);
	const Vec	sign4 = _mm512_mask_sub_ps(one, 0xf0f0, vec_zero(), one);
	const Vec	sign8 = _mm512_mask_sub_ps(one, 0xff00, vec_zero(), one);

	v = vec_fma(v, sign1, _mm512_permute_ps(v, 0xb1));
	v = vec_fma(v, sign2, _mm512_permute_ps(v, 0x4e));
	v = vec_fma(v, sign4, _mm512_shuffle_f32x4(v, v, 0xb1));
	v = vec_fma(v, sign8, _mm512_shuffle_f32x4(v, v, 0x4e));
	return v;
}

#include "distance/dist_float_template.h"
#include "distance/dist_fht_template.h"

TARGET_AVX512
static void
f16_to_f32_avx512(const PirHalf *a, float *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
		_mm512_storeu_ps(out + i, vec_load(a, PIR_ELEM_F16, i));
	if (i < n)
		_mm512_mask_storeu_ps(out + i, LOW_BITS(n - i), vec_load_tail(a, PIR_ELEM_F16, i, n));
}

TARGET_AVX512
static void
f32_to_f16_avx512(const float *a, PirHalf *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
		_mm256_storeu_si256((__m256i *) (out + i), _mm512_cvtps_ph(vec_load(a, PIR_ELEM_F32, i), ROUND_NEAREST));
	if (i < n)
		_mm256_mask_storeu_epi16(out + i, LOW_BITS(n - i),
								 _mm512_cvtps_ph(vec_load_tail(a, PIR_ELEM_F32, i, n), ROUND_NEAREST));
}

TARGET_AVX512
static void
flip_signs_f32_avx512(float *x, const uint8_t *signs, uint32_t n)
{
	const __m512 minus = _mm512_set1_ps(-0.0f);
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m512		v = _mm512_loadu_ps(x + i);
		uint16_t	flip;

		memcpy(&flip, signs + i / 8, sizeof(flip));
		_mm512_storeu_ps(x + i, _mm512_mask_xor_ps(v, flip, v, minus));
	}
	if (i < n)
	{
		__mmask16	mask = LOW_BITS(n - i);
		__m512		v = _mm512_maskz_loadu_ps(mask, x + i);
		uint32_t	flip = signs[i / 8];

		if (n - i > 8)
			flip |= (uint32_t) signs[i / 8 + 1] << 8;
		_mm512_mask_storeu_ps(x + i, mask, _mm512_mask_xor_ps(v, flip, v, minus));
	}
}

/*-------------------------------------------------------------------------
 * Bits, counted by a byte table (avx512) or by VPOPCNTQ (avx512popcnt)
 *-------------------------------------------------------------------------
 */

/* Bits set, per 64-bit lane. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
popcount_table(__m512i x)
{
	const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3,
															   1, 2, 2, 3, 2, 3, 3, 4));
	const __m512i low = _mm512_set1_epi8(15);
	__m512i		lo = _mm512_shuffle_epi8(table, _mm512_and_si512(x, low));
	__m512i		hi = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), low));

	return _mm512_sad_epu8(_mm512_add_epi8(lo, hi), _mm512_setzero_si512());
}

/* The 'nbytes' < 64 bytes at p and zeros. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
load_tail(const uint8_t *p, size_t nbytes)
{
	return _mm512_maskz_loadu_epi8(LOW_BITS(nbytes), p);
}

/* Sum of the eight lanes; each sum of a kernel fits 32 bits. */
TARGET_AVX512
PIR_ALWAYS_INLINE uint32_t
sum_epi64(__m512i x)
{
	return (uint32_t) _mm512_reduce_add_epi64(x);
}

#define BITS_TARGET		TARGET_AVX512
#define BITS(name)		name##_avx512
#define popcount_lanes(x) popcount_table(x)
#include "distance/dist_avx512_bits.h"

#define BITS_TARGET		TARGET_POPCNT
#define BITS(name)		name##_avx512popcnt
#define popcount_lanes(x) _mm512_popcnt_epi64(x)
#include "distance/dist_avx512_bits.h"

/*-------------------------------------------------------------------------
 * Packed codes: what the tables share
 *
 * A block of codes becomes plain element order without a shuffle: repeat its
 * bytes in each half (4 bit) or quarter (2 bit) of the register, and the bits
 * of interest in part k are those 4k (2k) and up. See README.md "Code layout".
 *-------------------------------------------------------------------------
 */

TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
repeat_u4(const uint8_t *code)
{
	return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) code));
}

TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
repeat_u2(const uint8_t *code)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) code));
}

/* The 64 query elements of a block where its code bit is set, else 0. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
select_u1(const uint8_t *code, const int8_t *q)
{
	return _mm512_maskz_loadu_epi8(load_u64(code), q);
}

TARGET_AVX512
static uint32_t
sum_u8_avx512(const uint8_t *a, uint32_t n)
{
	__m512i		sum = _mm512_setzero_si512();

	for (size_t i = 0; i < n; i += 64)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_loadu_si512(a + i), _mm512_setzero_si512()));
	return sum_epi64(sum);
}

/* Sums of the nibbles / of the bit pairs of each byte; at most 30 / 12. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
fold_u4(__m512i x)
{
	const __m512i low = _mm512_set1_epi8(15);

	return _mm512_add_epi8(_mm512_and_si512(x, low),
						   _mm512_and_si512(_mm512_srli_epi16(x, 4), low));
}

TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
fold_u2(__m512i x)
{
	const __m512i low = _mm512_set1_epi8(0x33);

	return fold_u4(_mm512_add_epi8(_mm512_and_si512(x, low),
								   _mm512_and_si512(_mm512_srli_epi16(x, 2), low)));
}

TARGET_AVX512
static uint32_t
sum_u4_avx512(const uint8_t *a, uint32_t n)
{
	const __m512i zero = _mm512_setzero_si512();
	size_t		nbytes = n / 2;
	__m512i		sum = zero;
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(fold_u4(_mm512_loadu_si512(a + i)), zero));
	if (i < nbytes)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(fold_u4(load_tail(a + i, nbytes - i)), zero));
	return sum_epi64(sum);
}

TARGET_AVX512
static uint32_t
sum_u2_avx512(const uint8_t *a, uint32_t n)
{
	const __m512i zero = _mm512_setzero_si512();
	size_t		nbytes = n / 4;
	__m512i		sum = zero;
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(fold_u2(_mm512_loadu_si512(a + i)), zero));
	if (i < nbytes)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(fold_u2(load_tail(a + i, nbytes - i)), zero));
	return sum_epi64(sum);
}

TARGET_AVX512
static uint32_t
l1_u8_u8_avx512(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	__m512i		sum = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= n; i += 64)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
	if (i < n)
		sum = _mm512_add_epi64(sum, _mm512_sad_epu8(load_tail(a + i, n - i), load_tail(b + i, n - i)));
	return sum_epi64(sum);
}

/*-------------------------------------------------------------------------
 * Products without VNNI
 *
 * VPMADDUBSW adds two products of an unsigned and a signed byte in 16 bits,
 * with saturation. Up to 15 x 128 x 2 = 3840 nothing saturates, and eight such
 * sums still fit; so 4-bit factors are added up in 16 bits over at most eight
 * blocks before they are widened, and 8-bit codes are taken as two nibbles.
 *-------------------------------------------------------------------------
 */

/* Pairs of 16-bit sums, each times 'factor', as 32-bit lanes added to acc. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
widen_add(__m512i acc, __m512i sums, int factor)
{
	return _mm512_add_epi32(acc, _mm512_madd_epi16(sums, _mm512_set1_epi16(factor)));
}

TARGET_AVX512
static int32_t
dot_u8_s8_avx512(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i		acc = _mm512_setzero_si512();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 8 * 64 ? i + 8 * 64 : n;
		__m512i		lo = _mm512_setzero_si512();
		__m512i		hi = _mm512_setzero_si512();

		for (; i < stop; i += 64)
		{
			__m512i		x = _mm512_loadu_si512(code + i);
			__m512i		y = _mm512_loadu_si512(q + i);

			lo = _mm512_add_epi16(lo, _mm512_maddubs_epi16(_mm512_and_si512(x, low), y));
			x = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
			hi = _mm512_add_epi16(hi, _mm512_maddubs_epi16(x, y));
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 16);
	}
	return _mm512_reduce_add_epi32(acc);
}

TARGET_AVX512
static int32_t
dot_u4_s8_avx512(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i low = _mm512_set1_epi8(15);
	const __m512i shift = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
	__m512i		acc = _mm512_setzero_si512();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 8 * 64 ? i + 8 * 64 : n;
		__m512i		sums = _mm512_setzero_si512();

		for (; i < stop; i += 64)
		{
			__m512i		x = _mm512_and_si512(_mm512_srlv_epi64(repeat_u4(code + i / 2), shift), low);

			sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(x, _mm512_loadu_si512(q + i)));
		}
		acc = widen_add(acc, sums, 1);
	}
	return _mm512_reduce_add_epi32(acc);
}

/* 3 x 128 x 2 = 768 a block: 42 blocks fit. */
TARGET_AVX512
static int32_t
dot_u2_s8_avx512(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i low = _mm512_set1_epi8(3);
	const __m512i shift = _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6);
	__m512i		acc = _mm512_setzero_si512();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 32 * 64 ? i + 32 * 64 : n;
		__m512i		sums = _mm512_setzero_si512();

		for (; i < stop; i += 64)
		{
			__m512i		x = _mm512_and_si512(_mm512_srlv_epi64(repeat_u2(code + i / 4), shift), low);

			sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(x, _mm512_loadu_si512(q + i)));
		}
		acc = widen_add(acc, sums, 1);
	}
	return _mm512_reduce_add_epi32(acc);
}

/* 128 x 2 = 256 a block: 127 blocks fit. */
TARGET_AVX512
static int32_t
dot_u1_s8_avx512(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i ones = _mm512_set1_epi8(1);
	__m512i		acc = _mm512_setzero_si512();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 64 * 64 ? i + 64 * 64 : n;
		__m512i		sums = _mm512_setzero_si512();

		for (; i < stop; i += 64)
			sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(ones, select_u1(code + i / 8, q + i)));
		acc = widen_add(acc, sums, 1);
	}
	return _mm512_reduce_add_epi32(acc);
}

/* Even and odd bytes as 16-bit numbers: a lane grows by 2 x 255^2 a block at most. */
TARGET_AVX512
static uint32_t
dot_u8_u8_avx512(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const __m512i even = _mm512_set1_epi16(255);
	__m512i		acc0 = _mm512_setzero_si512();
	__m512i		acc1 = _mm512_setzero_si512();

	for (size_t i = 0; i < n; i += 64)
	{
		__m512i		x = _mm512_loadu_si512(a + i);
		__m512i		y = _mm512_loadu_si512(b + i);

		acc0 = _mm512_add_epi32(acc0, _mm512_madd_epi16(_mm512_and_si512(x, even), _mm512_and_si512(y, even)));
		acc1 = _mm512_add_epi32(acc1, _mm512_madd_epi16(_mm512_srli_epi16(x, 8), _mm512_srli_epi16(y, 8)));
	}
	return _mm512_reduce_add_epi32(_mm512_add_epi32(acc0, acc1));
}

/* 16-bit sums of the products of the two nibbles of a byte and of its neighbour: up to 4 x 15^2 = 900 */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
multiply_u4(__m512i x, __m512i y)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i		lo = _mm512_maddubs_epi16(_mm512_and_si512(x, low), _mm512_and_si512(y, low));

	x = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
	y = _mm512_and_si512(_mm512_srli_epi16(y, 4), low);
	return _mm512_add_epi16(lo, _mm512_maddubs_epi16(x, y));
}

TARGET_AVX512
static uint32_t
dot_u4_u4_avx512(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	size_t		nbytes = n / 2;
	__m512i		acc = _mm512_setzero_si512();

	for (size_t i = 0; i < nbytes;)
	{
		size_t		stop = nbytes - i > 32 * 64 ? i + 32 * 64 : nbytes;	/* 32 x 900 fits */
		__m512i		sums = _mm512_setzero_si512();

		for (; i + 64 <= stop; i += 64)
			sums = _mm512_add_epi16(sums, multiply_u4(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
		if (i < stop)
		{
			sums = _mm512_add_epi16(sums, multiply_u4(load_tail(a + i, stop - i), load_tail(b + i, stop - i)));
			i = stop;
		}
		acc = widen_add(acc, sums, 1);
	}
	return _mm512_reduce_add_epi32(acc);
}

/* Products of all four elements of two neighbouring bytes: up to 8 x 3^2 = 72. */
TARGET_AVX512
PIR_ALWAYS_INLINE __m512i
multiply_u2(__m512i x, __m512i y)
{
	const __m512i low = _mm512_set1_epi8(3);
	__m512i		sum = _mm512_maddubs_epi16(_mm512_and_si512(x, low), _mm512_and_si512(y, low));

	for (int k = 2; k < 8; k += 2)
	{
		__m512i		xk = _mm512_and_si512(_mm512_srli_epi16(x, k), low);
		__m512i		yk = _mm512_and_si512(_mm512_srli_epi16(y, k), low);

		sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(xk, yk));
	}
	return sum;
}

/* At most 64 steps of 72 for PIR_DIST_MAX_DIM: no 16-bit lane overflows. */
TARGET_AVX512
static uint32_t
dot_u2_u2_avx512(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	size_t		nbytes = n / 4;
	__m512i		sums = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
		sums = _mm512_add_epi16(sums, multiply_u2(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
	if (i < nbytes)
		sums = _mm512_add_epi16(sums, multiply_u2(load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i)));
	return _mm512_reduce_add_epi32(widen_add(_mm512_setzero_si512(), sums, 1));
}

#include "distance/dist_avx512_vnni.h"

const PirKernels pir_kernels_avx512 = {
	.name = "avx512",
	PIR_TABLE_FLOAT(avx512),
	PIR_TABLE_BITS(avx512),
	PIR_TABLE_DOTS(avx512),
	PIR_TABLE_SUMS(avx512),
};

const PirKernels pir_kernels_avx512vnni = {
	.name = "avx512vnni",
	PIR_TABLE_FLOAT(avx512),
	PIR_TABLE_BITS(avx512),
	PIR_TABLE_DOTS(avx512vnni),
	PIR_TABLE_SUMS(avx512),
};

const PirKernels pir_kernels_avx512popcnt = {
	.name = "avx512popcnt",
	PIR_TABLE_FLOAT(avx512),
	PIR_TABLE_BITS(avx512popcnt),
	PIR_TABLE_DOTS(avx512vnni),
	PIR_TABLE_SUMS(avx512),
};

#endif							/* PIR_DIST_X86 */
