/*-------------------------------------------------------------------------
 *
 * dist_avx2.c
 *	  Kernels for AVX2 with FMA, F16C and POPCNT (Haswell, Zen and later).
 *
 * Functions carry target attributes, so that the file is compiled with the
 * flags of every other; the table is reachable only through the probe in
 * dist.c. Tails: see vec_load_tail() and load_last(). No kernel touches a byte beyond its
 * arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "distance/dist_internal.h"

#ifdef PIR_DIST_X86

#include <immintrin.h>

#define TARGET_AVX2		__attribute__((target("avx2,fma,f16c,popcnt")))

#define ROUND_NEAREST	(_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/*-------------------------------------------------------------------------
 * Floats: the vector operations of the templates
 *-------------------------------------------------------------------------
 */

#define KERNEL_TARGET	TARGET_AVX2
#define KERNEL(name)	name##_avx2
#define VEC_LANES		8

typedef __m256 Vec;
typedef __m256d VecD;

#define vec_zero()		_mm256_setzero_ps()
#define vec_add(a, b)	_mm256_add_ps(a, b)
#define vec_sub(a, b)	_mm256_sub_ps(a, b)
#define vec_abs(a)		_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_store(p, v)	_mm256_storeu_ps(p, v)
#define vec_scale(v, s)	_mm256_mul_ps(v, _mm256_set1_ps(s))
#define vecd_zero()		_mm256_setzero_pd()
#define vecd_add(a, b)	_mm256_add_pd(a, b)

TARGET_AVX2
PIR_ALWAYS_INLINE float
vec_sum(Vec v)
{
	__m128		sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
	sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
	return _mm_cvtss_f32(sum);
}

TARGET_AVX2
PIR_ALWAYS_INLINE double
vecd_sum(VecD v)
{
	__m128d		sum = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(sum, _mm_unpackhi_pd(sum, sum)));
}

/* bfloat16 is the high half of a float. */
TARGET_AVX2
PIR_ALWAYS_INLINE Vec
widen(__m128i x, PirElem type)
{
	if (type == PIR_ELEM_F16)
		return _mm256_cvtph_ps(x);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}

TARGET_AVX2
PIR_ALWAYS_INLINE Vec
vec_load(const void *p, PirElem type, size_t i)
{
	const void *at = elem_at(p, type, i);

	if (type == PIR_ELEM_F32)
		return _mm256_loadu_ps(at);
	return widen(_mm_loadu_si128(at), type);
}

/*
 * For bfloat16 the even elements go into one vector and the odd ones into the
 * other: two cheap operations, where widening in order takes four.
 */
TARGET_AVX2
PIR_ALWAYS_INLINE void
vec_load2(const void *p, PirElem type, size_t i, Vec *v0, Vec *v1)
{
	if (type == PIR_ELEM_BF16)
	{
		__m256i		x = _mm256_loadu_si256(elem_at(p, type, i));

		*v0 = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
		*v1 = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff0000)));
		return;
	}
	*v0 = vec_load(p, type, i);
	*v1 = vec_load(p, type, i + VEC_LANES);
}

/*
 * The last n - i < 8 elements. Take the last eight and clear those that were
 * counted before; if there never were eight, there is a load under a mask for
 * floats, and a buffer for 16-bit types.
 */
TARGET_AVX2
PIR_ALWAYS_INLINE Vec
vec_load_tail(const void *p, PirElem type, size_t i, size_t n)
{
	static const int32_t window[16] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
	uint16_t	buffer[8] = {0};

	if (i >= 8)
	{
		__m256		mask = _mm256_loadu_ps((const float *) (window + (n - i)));

		return _mm256_and_ps(vec_load(p, type, n - 8), mask);
	}
	if (type == PIR_ELEM_F32)
	{
		/* the first n lanes: the window from its other end, upside down */
		__m256i		absent = _mm256_loadu_si256((const __m256i *) (window + (8 - n)));

		return _mm256_maskload_ps(p, _mm256_xor_si256(absent, _mm256_set1_epi32(-1)));
	}
	memcpy(buffer, p, n * sizeof(uint16_t));
	return widen(_mm_loadu_si128((const __m128i *) buffer), type);
}

TARGET_AVX2
PIR_ALWAYS_INLINE void
vec_square_pd(Vec v, VecD *s0, VecD *s1)
{
	VecD		lo = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
	VecD		hi = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));

	*s0 = _mm256_fmadd_pd(lo, lo, *s0);
	*s1 = _mm256_fmadd_pd(hi, hi, *s1);
}

/*
 * Levels 1, 2, 4 within a vector: swap the partners, then own value times +1
 * in the lower and -1 in the upper lane of each pair. The multiply-add rounds
 * once, and its product is exact, so this is u + v and u - v.
 */
TARGET_AVX2
PIR_ALWAYS_INLINE Vec
vec_hadamard(Vec v)
{
	const Vec	sign1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
	const Vec	sign2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
	const Vec	sign4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);

	v = vec_fma(v, sign1, _mm256_permute_ps(v, 0xb1));
	v = vec_fma(v, sign2, _mm256_permute_ps(v, 0x4e));
	v = vec_fma(v, sign4, _mm256_permute2f128_ps(v, v, 0x01));
	return v;
}

#include "distance/dist_float_template.h"
#include "distance/dist_fht_template.h"

TARGET_AVX2
static void
f16_to_f32_avx2(const PirHalf *a, float *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, vec_load(a, PIR_ELEM_F16, i));
	for (; i < n; i++)
		store_f32(out + i, _cvtsh_ss(load_u16(a + i)));
}

TARGET_AVX2
static void
f32_to_f16_avx2(const float *a, PirHalf *out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm_storeu_si128((__m128i *) (out + i), _mm256_cvtps_ph(_mm256_loadu_ps(a + i), ROUND_NEAREST));
	for (; i < n; i++)
		store_u16(out + i, _cvtss_sh(load_f32(a + i), ROUND_NEAREST));
}

TARGET_AVX2
static void
flip_signs_f32_avx2(float *x, const uint8_t *signs, uint32_t n)
{
	/* lane k: bit k of the byte moved to the sign bit */
	const __m256i shift = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
	const __m256 minus = _mm256_set1_ps(-0.0f);
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		__m256i		bits = _mm256_sllv_epi32(_mm256_set1_epi32(signs[i / 8]), shift);
		__m256		flip = _mm256_and_ps(_mm256_castsi256_ps(bits), minus);

		_mm256_storeu_ps(x + i, _mm256_xor_ps(_mm256_loadu_ps(x + i), flip));
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
 * Counted by a table of nibbles, 32 bytes at a time, and by POPCNT, 8 bytes at
 * a time, at the end: a table look-up handles twice the bytes per cycle where
 * POPCNT has one execution port, and loses little where it has more.
 *-------------------------------------------------------------------------
 */

#define load256(p)		_mm256_loadu_si256((const __m256i *) (p))
#define popcount64(x)	((uint64_t) _mm_popcnt_u64(x))

/* Bits set, per byte. */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
popcount_bytes(__m256i x)
{
	const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
										   0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
	const __m256i low = _mm256_set1_epi8(15);
	__m256i		lo = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
	__m256i		hi = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));

	return _mm256_add_epi8(lo, hi);
}

/* acc + the sum of the bytes of x, spread over four lanes */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
add_bytes(__m256i acc, __m256i x)
{
	return _mm256_add_epi64(acc, _mm256_sad_epu8(x, _mm256_setzero_si256()));
}

TARGET_AVX2
PIR_ALWAYS_INLINE uint64_t
sum_epi64(__m256i x)
{
	__m128i		sum = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	return _mm_cvtsi128_si64(_mm_add_epi64(sum, _mm_unpackhi_epi64(sum, sum)));
}

TARGET_AVX2
PIR_ALWAYS_INLINE int32_t
sum_epi32(__m256i x)
{
	__m128i		sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
	return _mm_cvtsi128_si32(sum);
}

/* The last 0 to 7 bytes of a bit string as a number. */
TARGET_AVX2
PIR_ALWAYS_INLINE uint64_t
load_last(const uint8_t *p, size_t nbytes)
{
	uint64_t	x = 0;

	for (size_t i = 0; i < nbytes; i++)
		x |= (uint64_t) p[i] << (8 * i);
	return x;
}

TARGET_AVX2
static uint64_t
hamming_avx2(const uint8_t *a, const uint8_t *b, uint32_t nbytes)
{
	__m256i		acc = _mm256_setzero_si256();
	uint64_t	sum = 0;
	size_t		i = 0;

	for (; i + 32 <= nbytes; i += 32)
		acc = add_bytes(acc, popcount_bytes(_mm256_xor_si256(load256(a + i), load256(b + i))));
	for (; i + 8 <= nbytes; i += 8)
		sum += popcount64(load_u64(a + i) ^ load_u64(b + i));
	if (i < nbytes)
		sum += popcount64(load_last(a + i, nbytes - i) ^ load_last(b + i, nbytes - i));
	return sum + sum_epi64(acc);
}

TARGET_AVX2
static void
jaccard_avx2(const uint8_t *a, const uint8_t *b, uint32_t nbytes, PirBitSums *out)
{
	__m256i		acc_both = _mm256_setzero_si256();
	__m256i		acc_either = _mm256_setzero_si256();
	uint64_t	both = 0;
	uint64_t	either = 0;
	size_t		i = 0;

	for (; i + 32 <= nbytes; i += 32)
	{
		__m256i		x = load256(a + i);
		__m256i		y = load256(b + i);

		acc_both = add_bytes(acc_both, popcount_bytes(_mm256_and_si256(x, y)));
		acc_either = add_bytes(acc_either, popcount_bytes(_mm256_or_si256(x, y)));
	}
	for (; i + 8 <= nbytes; i += 8)
	{
		both += popcount64(load_u64(a + i) & load_u64(b + i));
		either += popcount64(load_u64(a + i) | load_u64(b + i));
	}
	if (i < nbytes)
	{
		uint64_t	x = load_last(a + i, nbytes - i);
		uint64_t	y = load_last(b + i, nbytes - i);

		both += popcount64(x & y);
		either += popcount64(x | y);
	}
	out->both = both + sum_epi64(acc_both);
	out->either = either + sum_epi64(acc_either);
}

/* Bits set in both of two strings of a multiple of 8 bytes. */
TARGET_AVX2
PIR_ALWAYS_INLINE uint32_t
count_both(const uint8_t *a, const uint8_t *b, size_t nbytes)
{
	__m256i		acc = _mm256_setzero_si256();
	uint64_t	sum = 0;
	size_t		i = 0;

	for (; i + 32 <= nbytes; i += 32)
		acc = add_bytes(acc, popcount_bytes(_mm256_and_si256(load256(a + i), load256(b + i))));
	for (; i < nbytes; i += 8)
		sum += popcount64(load_u64(a + i) & load_u64(b + i));
	return (uint32_t) (sum + sum_epi64(acc));
}

TARGET_AVX2
static uint32_t
dot_u1_u1_avx2(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	return count_both(a, b, n / 8);
}

/* Lane sums of all planes together; only the odd words at the end one by one. */
TARGET_AVX2
static uint32_t
dot_u1_planes_avx2(const uint8_t *code, const uint8_t *planes, uint32_t nplanes, uint32_t n)
{
	size_t		nbytes = n / 8;
	__m128i		shift = _mm_setzero_si128();
	__m256i		acc = _mm256_setzero_si256();
	uint64_t	sum = 0;

	for (uint32_t p = 0; p < nplanes; p++, planes += nbytes)
	{
		__m256i		plane_acc = _mm256_setzero_si256();
		uint64_t	plane_sum = 0;
		size_t		i = 0;

		for (; i + 32 <= nbytes; i += 32)
			plane_acc = add_bytes(plane_acc, popcount_bytes(_mm256_and_si256(load256(code + i), load256(planes + i))));
		for (; i < nbytes; i += 8)
			plane_sum += popcount64(load_u64(code + i) & load_u64(planes + i));
		acc = _mm256_add_epi64(acc, _mm256_sll_epi64(plane_acc, shift));
		sum += plane_sum << p;
		shift = _mm_add_epi64(shift, _mm_cvtsi32_si128(1));
	}
	return (uint32_t) (sum + sum_epi64(acc));
}

TARGET_AVX2
static uint32_t
sum_u1_avx2(const uint8_t *a, uint32_t n)
{
	return count_both(a, a, n / 8);
}

/*-------------------------------------------------------------------------
 * Packed codes
 *
 * VPMADDUBSW adds two products of an unsigned and a signed byte in 16 bits,
 * with saturation. 255 x 128 x 2 would saturate; 15 x 128 x 2 = 3840 does not,
 * and eight such sums still fit. So 4-bit factors are added up in 16 bits over
 * a bounded number of steps before they are widened, and 8-bit codes are taken
 * as two nibbles. Each kernel states its bound.
 *-------------------------------------------------------------------------
 */

/* Pairs of 16-bit sums, each times 'factor', as 32-bit lanes added to acc. */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
widen_add(__m256i acc, __m256i sums, int factor)
{
	return _mm256_add_epi32(acc, _mm256_madd_epi16(sums, _mm256_set1_epi16(factor)));
}

/* sums + x * y, x unsigned, y signed */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
multiply_add(__m256i sums, __m256i x, __m256i y)
{
	return _mm256_add_epi16(sums, _mm256_maddubs_epi16(x, y));
}

/* 8 steps of 3840 for each nibble: 30720 */
TARGET_AVX2
static int32_t
dot_u8_s8_avx2(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 8 * 32 ? i + 8 * 32 : n;
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = _mm256_setzero_si256();

		for (; i < stop; i += 32)
		{
			__m256i		x = load256(code + i);
			__m256i		y = load256(q + i);

			lo = multiply_add(lo, _mm256_and_si256(x, low), y);
			hi = multiply_add(hi, _mm256_and_si256(_mm256_srli_epi16(x, 4), low), y);
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 16);
	}
	return sum_epi32(acc);
}

/* 8 blocks of 3840 for each half: 30720 */
TARGET_AVX2
static int32_t
dot_u4_s8_avx2(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 8 * 64 ? i + 8 * 64 : n;
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = _mm256_setzero_si256();

		for (; i < stop; i += 64)
		{
			__m256i		x = load256(code + i / 2);

			lo = multiply_add(lo, _mm256_and_si256(x, low), load256(q + i));
			hi = multiply_add(hi, _mm256_and_si256(_mm256_srli_epi16(x, 4), low), load256(q + i + 32));
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 1);
	}
	return sum_epi32(acc);
}

/* 32 blocks of 3 x 128 x 2 = 768 for each half: 24576 */
TARGET_AVX2
static int32_t
dot_u2_s8_avx2(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m256i low = _mm256_set1_epi8(3);
	const __m256i shift = _mm256_setr_epi64x(0, 0, 2, 2);
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 32 * 64 ? i + 32 * 64 : n;
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = _mm256_setzero_si256();

		for (; i < stop; i += 64)
		{
			/* the 16 bytes twice; the second time two bits further on */
			__m256i		x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) (code + i / 4)));

			x = _mm256_srlv_epi64(x, shift);
			lo = multiply_add(lo, _mm256_and_si256(x, low), load256(q + i));
			hi = multiply_add(hi, _mm256_and_si256(_mm256_srli_epi16(x, 4), low), load256(q + i + 32));
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 1);
	}
	return sum_epi32(acc);
}

/* The query bytes whose code bit is set, else 0: 32 bits of code to 32 bytes. */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
select_u1(const uint8_t *code, const int8_t *q)
{
	const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
											2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
	const __m256i bit = _mm256_set1_epi64x(INT64_C(0x8040201008040201));
	int32_t		word;
	__m256i		x;

	memcpy(&word, code, sizeof(word));
	x = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(word), spread), bit);
	return _mm256_and_si256(_mm256_cmpeq_epi8(x, bit), load256(q));
}

/* 64 blocks of 128 x 2 = 256 for each half: 16384 */
TARGET_AVX2
static int32_t
dot_u1_s8_avx2(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m256i ones = _mm256_set1_epi8(1);
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n;)
	{
		size_t		stop = n - i > 64 * 64 ? i + 64 * 64 : n;
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = _mm256_setzero_si256();

		for (; i < stop; i += 64)
		{
			lo = multiply_add(lo, ones, select_u1(code + i / 8, q + i));
			hi = multiply_add(hi, ones, select_u1(code + i / 8 + 4, q + i + 32));
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 1);
	}
	return sum_epi32(acc);
}

/* Even and odd bytes as 16-bit numbers: a lane grows by 2 x 255^2 a step at most. */
TARGET_AVX2
static uint32_t
dot_u8_u8_avx2(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const __m256i even = _mm256_set1_epi16(255);
	__m256i		acc0 = _mm256_setzero_si256();
	__m256i		acc1 = _mm256_setzero_si256();

	for (size_t i = 0; i < n; i += 32)
	{
		__m256i		x = load256(a + i);
		__m256i		y = load256(b + i);

		acc0 = _mm256_add_epi32(acc0, _mm256_madd_epi16(_mm256_and_si256(x, even), _mm256_and_si256(y, even)));
		acc1 = _mm256_add_epi32(acc1, _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srli_epi16(y, 8)));
	}
	return sum_epi32(_mm256_add_epi32(acc0, acc1));
}

/* 64 steps of 15^2 x 2 = 450 for each nibble: 28800 */
TARGET_AVX2
static uint32_t
dot_u4_u4_avx2(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const __m256i low = _mm256_set1_epi8(15);
	size_t		nbytes = n / 2;
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < nbytes;)
	{
		size_t		stop = nbytes - i > 64 * 32 ? i + 64 * 32 : nbytes;
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = _mm256_setzero_si256();

		for (; i < stop; i += 32)
		{
			__m256i		x = load256(a + i);
			__m256i		y = load256(b + i);

			lo = multiply_add(lo, _mm256_and_si256(x, low), _mm256_and_si256(y, low));
			x = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
			y = _mm256_and_si256(_mm256_srli_epi16(y, 4), low);
			hi = multiply_add(hi, x, y);
		}
		acc = widen_add(acc, lo, 1);
		acc = widen_add(acc, hi, 1);
	}
	return sum_epi32(acc);
}

/*
 * A lane grows by at most 8 x 3^2 = 72 a step, 128 steps for PIR_DIST_MAX_DIM:
 * 9216. The last block of 16 bytes may stand alone; the upper half is then 0.
 */
TARGET_AVX2
static uint32_t
dot_u2_u2_avx2(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const __m256i low = _mm256_set1_epi8(3);
	size_t		nbytes = n / 4;
	__m256i		sums = _mm256_setzero_si256();
	size_t		i = 0;

	while (i < nbytes)
	{
		__m256i		x;
		__m256i		y;

		if (i + 32 <= nbytes)
		{
			x = load256(a + i);
			y = load256(b + i);
			i += 32;
		}
		else
		{
			x = _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) (a + i)));
			y = _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) (b + i)));
			i += 16;
		}
		sums = multiply_add(sums, _mm256_and_si256(x, low), _mm256_and_si256(y, low));
		sums = multiply_add(sums, _mm256_and_si256(_mm256_srli_epi16(x, 2), low),
							_mm256_and_si256(_mm256_srli_epi16(y, 2), low));
		sums = multiply_add(sums, _mm256_and_si256(_mm256_srli_epi16(x, 4), low),
							_mm256_and_si256(_mm256_srli_epi16(y, 4), low));
		sums = multiply_add(sums, _mm256_and_si256(_mm256_srli_epi16(x, 6), low),
							_mm256_and_si256(_mm256_srli_epi16(y, 6), low));
	}
	return sum_epi32(widen_add(_mm256_setzero_si256(), sums, 1));
}

TARGET_AVX2
static uint32_t
sum_u8_avx2(const uint8_t *a, uint32_t n)
{
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n; i += 32)
		acc = add_bytes(acc, load256(a + i));
	return (uint32_t) sum_epi64(acc);
}

/* Sum of the nibbles of each byte. */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
fold_u4(__m256i x)
{
	const __m256i low = _mm256_set1_epi8(15);

	return _mm256_add_epi8(_mm256_and_si256(x, low), _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
}

TARGET_AVX2
static uint32_t
sum_u4_avx2(const uint8_t *a, uint32_t n)
{
	__m256i		acc = _mm256_setzero_si256();

	for (size_t i = 0; i < n / 2; i += 32)
		acc = add_bytes(acc, fold_u4(load256(a + i)));
	return (uint32_t) sum_epi64(acc);
}

/* Sum of the bit pairs of each byte. */
TARGET_AVX2
PIR_ALWAYS_INLINE __m256i
fold_u2(__m256i x)
{
	const __m256i low = _mm256_set1_epi8(0x33);

	return fold_u4(_mm256_add_epi8(_mm256_and_si256(x, low), _mm256_and_si256(_mm256_srli_epi16(x, 2), low)));
}

TARGET_AVX2
static uint32_t
sum_u2_avx2(const uint8_t *a, uint32_t n)
{
	size_t		nbytes = n / 4;
	__m256i		acc = _mm256_setzero_si256();
	size_t		i = 0;

	for (; i + 32 <= nbytes; i += 32)
		acc = add_bytes(acc, fold_u2(load256(a + i)));
	if (i < nbytes)
		acc = add_bytes(acc, fold_u2(_mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) (a + i)))));
	return (uint32_t) sum_epi64(acc);
}

TARGET_AVX2
static uint32_t
l1_u8_u8_avx2(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	__m256i		acc = _mm256_setzero_si256();
	uint32_t	sum = 0;
	size_t		i = 0;

	for (; i + 32 <= n; i += 32)
		acc = _mm256_add_epi64(acc, _mm256_sad_epu8(load256(a + i), load256(b + i)));
	for (; i + 8 <= n; i += 8)
	{
		__m128i		x = _mm_loadl_epi64((const __m128i *) (a + i));
		__m128i		y = _mm_loadl_epi64((const __m128i *) (b + i));

		acc = _mm256_add_epi64(acc, _mm256_zextsi128_si256(_mm_sad_epu8(x, y)));
	}
	for (; i < n; i++)
		sum += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
	return sum + (uint32_t) sum_epi64(acc);
}

const PirKernels pir_kernels_avx2 = {
	.name = "avx2",
	PIR_TABLE_FLOAT(avx2),
	PIR_TABLE_BITS(avx2),
	PIR_TABLE_DOTS(avx2),
	PIR_TABLE_SUMS(avx2),
};

#endif							/* PIR_DIST_X86 */
