/*-------------------------------------------------------------------------
 *
 * dist_avx512_vnni.h
 *	  Products of small integers with VNNI; a part of dist_avx512.c.
 *
 * VPDPBUSD adds four products of an unsigned and a signed byte to a 32-bit
 * lane, without saturation. There is then no need to shift codes down: a
 * nibble of the high half counts 16-fold, which one shift of the final sums
 * undoes exactly, as every lane there is a multiple of 16. The largest lane
 * sum is 240 x 128 x PIR_DIST_MAX_DIM < 2^29.
 *
 * Four sums in turn hide the latency of the instruction.
 *
 *-------------------------------------------------------------------------
 */

TARGET_VNNI
static int32_t
dot_u8_s8_avx512vnni(const uint8_t *code, const int8_t *q, uint32_t n)
{
	__m512i		s0 = _mm512_setzero_si512();
	__m512i		s1 = _mm512_setzero_si512();
	__m512i		s2 = _mm512_setzero_si512();
	__m512i		s3 = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 256 <= n; i += 256)
	{
		s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(code + i), _mm512_loadu_si512(q + i));
		s1 = _mm512_dpbusd_epi32(s1, _mm512_loadu_si512(code + i + 64), _mm512_loadu_si512(q + i + 64));
		s2 = _mm512_dpbusd_epi32(s2, _mm512_loadu_si512(code + i + 128), _mm512_loadu_si512(q + i + 128));
		s3 = _mm512_dpbusd_epi32(s3, _mm512_loadu_si512(code + i + 192), _mm512_loadu_si512(q + i + 192));
	}
	for (; i < n; i += 64)
		s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(code + i), _mm512_loadu_si512(q + i));
	return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3)));
}

TARGET_VNNI
static int32_t
dot_u4_s8_avx512vnni(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i mask = _mm512_setr_epi64(0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f,
										   0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f,
										   0xf0f0f0f0f0f0f0f0, 0xf0f0f0f0f0f0f0f0,
										   0xf0f0f0f0f0f0f0f0, 0xf0f0f0f0f0f0f0f0);
	const __m512i unscale = _mm512_setr_epi64(0, 0, 0, 0,
											  0x0000000400000004, 0x0000000400000004,
											  0x0000000400000004, 0x0000000400000004);
	__m512i		s0 = _mm512_setzero_si512();
	__m512i		s1 = _mm512_setzero_si512();
	__m512i		s2 = _mm512_setzero_si512();
	__m512i		s3 = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 256 <= n; i += 256, code += 128)
	{
		__m512i		x0 = _mm512_and_si512(repeat_u4(code), mask);
		__m512i		x1 = _mm512_and_si512(repeat_u4(code + 32), mask);
		__m512i		x2 = _mm512_and_si512(repeat_u4(code + 64), mask);
		__m512i		x3 = _mm512_and_si512(repeat_u4(code + 96), mask);

		s0 = _mm512_dpbusd_epi32(s0, x0, _mm512_loadu_si512(q + i));
		s1 = _mm512_dpbusd_epi32(s1, x1, _mm512_loadu_si512(q + i + 64));
		s2 = _mm512_dpbusd_epi32(s2, x2, _mm512_loadu_si512(q + i + 128));
		s3 = _mm512_dpbusd_epi32(s3, x3, _mm512_loadu_si512(q + i + 192));
	}
	for (; i < n; i += 64, code += 32)
		s0 = _mm512_dpbusd_epi32(s0, _mm512_and_si512(repeat_u4(code), mask), _mm512_loadu_si512(q + i));
	s0 = _mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3));
	return _mm512_reduce_add_epi32(_mm512_srav_epi32(s0, unscale));
}

TARGET_VNNI
static int32_t
dot_u2_s8_avx512vnni(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i mask = _mm512_setr_epi64(0x0303030303030303, 0x0303030303030303,
										   0x0c0c0c0c0c0c0c0c, 0x0c0c0c0c0c0c0c0c,
										   0x3030303030303030, 0x3030303030303030,
										   0xc0c0c0c0c0c0c0c0, 0xc0c0c0c0c0c0c0c0);
	const __m512i unscale = _mm512_setr_epi64(0, 0,
											  0x0000000200000002, 0x0000000200000002,
											  0x0000000400000004, 0x0000000400000004,
											  0x0000000600000006, 0x0000000600000006);
	__m512i		s0 = _mm512_setzero_si512();
	__m512i		s1 = _mm512_setzero_si512();
	__m512i		s2 = _mm512_setzero_si512();
	__m512i		s3 = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 256 <= n; i += 256, code += 64)
	{
		__m512i		x0 = _mm512_and_si512(repeat_u2(code), mask);
		__m512i		x1 = _mm512_and_si512(repeat_u2(code + 16), mask);
		__m512i		x2 = _mm512_and_si512(repeat_u2(code + 32), mask);
		__m512i		x3 = _mm512_and_si512(repeat_u2(code + 48), mask);

		s0 = _mm512_dpbusd_epi32(s0, x0, _mm512_loadu_si512(q + i));
		s1 = _mm512_dpbusd_epi32(s1, x1, _mm512_loadu_si512(q + i + 64));
		s2 = _mm512_dpbusd_epi32(s2, x2, _mm512_loadu_si512(q + i + 128));
		s3 = _mm512_dpbusd_epi32(s3, x3, _mm512_loadu_si512(q + i + 192));
	}
	for (; i < n; i += 64, code += 16)
		s0 = _mm512_dpbusd_epi32(s0, _mm512_and_si512(repeat_u2(code), mask), _mm512_loadu_si512(q + i));
	s0 = _mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3));
	return _mm512_reduce_add_epi32(_mm512_srav_epi32(s0, unscale));
}

TARGET_VNNI
static int32_t
dot_u1_s8_avx512vnni(const uint8_t *code, const int8_t *q, uint32_t n)
{
	const __m512i ones = _mm512_set1_epi8(1);
	__m512i		s0 = _mm512_setzero_si512();
	__m512i		s1 = _mm512_setzero_si512();
	__m512i		s2 = _mm512_setzero_si512();
	__m512i		s3 = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 256 <= n; i += 256, code += 32)
	{
		s0 = _mm512_dpbusd_epi32(s0, ones, select_u1(code, q + i));
		s1 = _mm512_dpbusd_epi32(s1, ones, select_u1(code + 8, q + i + 64));
		s2 = _mm512_dpbusd_epi32(s2, ones, select_u1(code + 16, q + i + 128));
		s3 = _mm512_dpbusd_epi32(s3, ones, select_u1(code + 24, q + i + 192));
	}
	for (; i < n; i += 64, code += 8)
		s0 = _mm512_dpbusd_epi32(s0, ones, select_u1(code, q + i));
	return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3)));
}

/* One side must be signed: sum(x * y) = sum(x * (y - 128)) + 128 * sum(x). */
TARGET_VNNI
static uint32_t
dot_u8_u8_avx512vnni(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const __m512i flip = _mm512_set1_epi8(-128);
	const __m512i zero = _mm512_setzero_si512();
	__m512i		s0 = zero;
	__m512i		s1 = zero;
	__m512i		sum_a = zero;
	size_t		i = 0;

	for (; i + 128 <= n; i += 128)
	{
		__m512i		x0 = _mm512_loadu_si512(a + i);
		__m512i		x1 = _mm512_loadu_si512(a + i + 64);

		s0 = _mm512_dpbusd_epi32(s0, x0, _mm512_xor_si512(_mm512_loadu_si512(b + i), flip));
		s1 = _mm512_dpbusd_epi32(s1, x1, _mm512_xor_si512(_mm512_loadu_si512(b + i + 64), flip));
		sum_a = _mm512_add_epi64(sum_a, _mm512_sad_epu8(x0, zero));
		sum_a = _mm512_add_epi64(sum_a, _mm512_sad_epu8(x1, zero));
	}
	if (i < n)
	{
		__m512i		x0 = _mm512_loadu_si512(a + i);

		s0 = _mm512_dpbusd_epi32(s0, x0, _mm512_xor_si512(_mm512_loadu_si512(b + i), flip));
		sum_a = _mm512_add_epi64(sum_a, _mm512_sad_epu8(x0, zero));
	}

	/* sum_a has zeros in its odd 32-bit lanes, so one reduction does for all */
	s0 = _mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_slli_epi64(sum_a, 7));
	return _mm512_reduce_add_epi32(s0);
}

/* High nibbles of x as they stand, 16-fold, into a sum of their own. */
TARGET_VNNI
PIR_ALWAYS_INLINE void
multiply_add_u4(__m512i *lo, __m512i *hi, __m512i x, __m512i y)
{
	const __m512i low = _mm512_set1_epi8(15);

	*lo = _mm512_dpbusd_epi32(*lo, _mm512_and_si512(x, low), _mm512_and_si512(y, low));
	*hi = _mm512_dpbusd_epi32(*hi, _mm512_andnot_si512(low, x),
							  _mm512_and_si512(_mm512_srli_epi16(y, 4), low));
}

TARGET_VNNI
static uint32_t
dot_u4_u4_avx512vnni(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	size_t		nbytes = n / 2;
	__m512i		lo0 = _mm512_setzero_si512();
	__m512i		hi0 = _mm512_setzero_si512();
	__m512i		lo1 = _mm512_setzero_si512();
	__m512i		hi1 = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 128 <= nbytes; i += 128)
	{
		multiply_add_u4(&lo0, &hi0, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
		multiply_add_u4(&lo1, &hi1, _mm512_loadu_si512(a + i + 64), _mm512_loadu_si512(b + i + 64));
	}
	if (i + 64 <= nbytes)
	{
		multiply_add_u4(&lo0, &hi0, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
		i += 64;
	}
	if (i < nbytes)
		multiply_add_u4(&lo1, &hi1, load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i));
	hi0 = _mm512_srli_epi32(_mm512_add_epi32(hi0, hi1), 4);
	return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(lo0, lo1), hi0));
}

/* Pair k of each byte of x as it stands, 4^k-fold, into sum k. */
TARGET_VNNI
PIR_ALWAYS_INLINE void
multiply_add_u2(__m512i *sums, __m512i x, __m512i y)
{
	const __m512i low = _mm512_set1_epi8(3);

	sums[0] = _mm512_dpbusd_epi32(sums[0], _mm512_and_si512(x, low),
								  _mm512_and_si512(y, low));
	sums[1] = _mm512_dpbusd_epi32(sums[1], _mm512_and_si512(x, _mm512_set1_epi8(0x0c)),
								  _mm512_and_si512(_mm512_srli_epi16(y, 2), low));
	sums[2] = _mm512_dpbusd_epi32(sums[2], _mm512_and_si512(x, _mm512_set1_epi8(0x30)),
								  _mm512_and_si512(_mm512_srli_epi16(y, 4), low));
	sums[3] = _mm512_dpbusd_epi32(sums[3], _mm512_and_si512(x, _mm512_set1_epi8(-64)),
								  _mm512_and_si512(_mm512_srli_epi16(y, 6), low));
}

TARGET_VNNI
static uint32_t
dot_u2_u2_avx512vnni(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	size_t		nbytes = n / 4;
	__m512i		sums[4];
	size_t		i = 0;

	sums[0] = sums[1] = sums[2] = sums[3] = _mm512_setzero_si512();
	for (; i + 64 <= nbytes; i += 64)
		multiply_add_u2(sums, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
	if (i < nbytes)
		multiply_add_u2(sums, load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i));
	sums[0] = _mm512_add_epi32(sums[0], _mm512_srli_epi32(sums[1], 2));
	sums[2] = _mm512_add_epi32(_mm512_srli_epi32(sums[2], 4), _mm512_srli_epi32(sums[3], 6));
	return _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[2]));
}
