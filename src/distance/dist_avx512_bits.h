/*-------------------------------------------------------------------------
 *
 * dist_avx512_bits.h
 *	  Bit-counting kernels on 512-bit registers, for either way of counting.
 *
 * Included by dist_avx512.c with BITS_TARGET, BITS(name) and
 * popcount_lanes(x), the bits set in each 64-bit lane; undefines all three.
 *
 *-------------------------------------------------------------------------
 */

BITS_TARGET
static uint64_t
BITS(hamming) (const uint8_t *a, const uint8_t *b, uint32_t nbytes)
{
	__m512i		sum = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
	{
		__m512i		x = _mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));

		sum = _mm512_add_epi64(sum, popcount_lanes(x));
	}
	if (i < nbytes)
	{
		__m512i		x = _mm512_xor_si512(load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i));

		sum = _mm512_add_epi64(sum, popcount_lanes(x));
	}
	return _mm512_reduce_add_epi64(sum);
}

BITS_TARGET
static void
BITS(jaccard) (const uint8_t *a, const uint8_t *b, uint32_t nbytes, PirBitSums *out)
{
	__m512i		both = _mm512_setzero_si512();
	__m512i		either = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
	{
		__m512i		x = _mm512_loadu_si512(a + i);
		__m512i		y = _mm512_loadu_si512(b + i);

		both = _mm512_add_epi64(both, popcount_lanes(_mm512_and_si512(x, y)));
		either = _mm512_add_epi64(either, popcount_lanes(_mm512_or_si512(x, y)));
	}
	if (i < nbytes)
	{
		__m512i		x = load_tail(a + i, nbytes - i);
		__m512i		y = load_tail(b + i, nbytes - i);

		both = _mm512_add_epi64(both, popcount_lanes(_mm512_and_si512(x, y)));
		either = _mm512_add_epi64(either, popcount_lanes(_mm512_or_si512(x, y)));
	}

	/* both and either side by side in each pair of lanes: one sum for the two */
	{
		__m512i		pairs = _mm512_add_epi64(_mm512_unpacklo_epi64(both, either),
											 _mm512_unpackhi_epi64(both, either));
		__m256i		half = _mm256_add_epi64(_mm512_castsi512_si256(pairs),
											_mm512_extracti64x4_epi64(pairs, 1));
		__m128i		sums = _mm_add_epi64(_mm256_castsi256_si128(half),
										 _mm256_extracti128_si256(half, 1));

		out->both = _mm_cvtsi128_si64(sums);
		out->either = _mm_extract_epi64(sums, 1);
	}
}

BITS_TARGET
static uint32_t
BITS(dot_u1_u1) (const uint8_t *a, const uint8_t *b, uint32_t n)
{
	size_t		nbytes = n / 8;
	__m512i		sum = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
	{
		__m512i		x = _mm512_and_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));

		sum = _mm512_add_epi64(sum, popcount_lanes(x));
	}
	if (i < nbytes)
	{
		__m512i		x = _mm512_and_si512(load_tail(a + i, nbytes - i), load_tail(b + i, nbytes - i));

		sum = _mm512_add_epi64(sum, popcount_lanes(x));
	}
	return sum_epi64(sum);
}

/* The code is loaded once for all planes. */
BITS_TARGET
static uint32_t
BITS(dot_u1_planes) (const uint8_t *code, const uint8_t *planes, uint32_t nplanes, uint32_t n)
{
	const __m128i one = _mm_cvtsi32_si128(1);
	size_t		nbytes = n / 8;
	__m512i		sum = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
	{
		__m512i		x = _mm512_loadu_si512(code + i);
		const uint8_t *plane = planes + i;
		__m128i		shift = _mm_setzero_si128();

		for (uint32_t p = 0; p < nplanes; p++, plane += nbytes)
		{
			__m512i		count = popcount_lanes(_mm512_and_si512(x, _mm512_loadu_si512(plane)));

			sum = _mm512_add_epi64(sum, _mm512_sll_epi64(count, shift));
			shift = _mm_add_epi64(shift, one);
		}
	}
	if (i < nbytes)
	{
		__mmask64	mask = LOW_BITS(nbytes - i);
		__m512i		x = _mm512_maskz_loadu_epi8(mask, code + i);
		const uint8_t *plane = planes + i;
		__m128i		shift = _mm_setzero_si128();

		for (uint32_t p = 0; p < nplanes; p++, plane += nbytes)
		{
			__m512i		count = popcount_lanes(_mm512_and_si512(x, _mm512_maskz_loadu_epi8(mask, plane)));

			sum = _mm512_add_epi64(sum, _mm512_sll_epi64(count, shift));
			shift = _mm_add_epi64(shift, one);
		}
	}
	return sum_epi64(sum);
}

BITS_TARGET
static uint32_t
BITS(sum_u1) (const uint8_t *a, uint32_t n)
{
	size_t		nbytes = n / 8;
	__m512i		sum = _mm512_setzero_si512();
	size_t		i = 0;

	for (; i + 64 <= nbytes; i += 64)
		sum = _mm512_add_epi64(sum, popcount_lanes(_mm512_loadu_si512(a + i)));
	if (i < nbytes)
		sum = _mm512_add_epi64(sum, popcount_lanes(load_tail(a + i, nbytes - i)));
	return sum_epi64(sum);
}

#undef BITS_TARGET
#undef BITS
#undef popcount_lanes
