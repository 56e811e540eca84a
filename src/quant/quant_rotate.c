/*-------------------------------------------------------------------------
 *
 * quant_rotate.c
 *	  A pseudo-random orthogonal map in O(D log D), from a 64-bit seed.
 *
 * RaBitQ needs a random rotation so that the error of a code does not depend
 * on which vector was encoded. A dense random matrix would take D^2 floats and
 * D^2 operations; this takes four rounds of
 *
 *	  1. a sign flip of every coordinate, by a random bit;
 *	  2. an orthonormal Walsh-Hadamard transform of p = 2^floor(log2 D)
 *		 coordinates: the leading p in rounds 0 and 2, the trailing p in
 *		 rounds 1 and 3 (the same ones if D = p);
 *	  3. in rounds 1 and 3, if D is not a power of two, a rotation by 45
 *		 degrees of each pair (x_i, x_{i + D/2}), which mixes what the two
 *		 spans do not share.
 *
 * Pairs are mixed only once both spans were transformed. If they are in every
 * round, a coordinate i >= p can be exchanged between i and i - D/2 so that
 * each transform misses it: at D = 1536 an eighth of its energy then arrives
 * in two coordinates, and the errors of codes with it.
 *
 * Each step is orthogonal and its own inverse, so the inverse runs them
 * backwards.
 *
 * The signs are an on-disk contract: the 64-bit word number w of round r is
 * output number r * D/64 + w (from 0) of SplitMix64 started at the seed; bit i
 * of the word, least significant first, belongs to coordinate 64 w + i.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

/* Output number n (from 0) of SplitMix64 started at 'seed'. */
static uint64_t
splitmix64(uint64_t seed, uint64_t n)
{
	uint64_t	z = seed + (n + 1) * UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* Bytes that the signs of all rounds take; 'padded' is a multiple of 64. */
size_t
pir_quant_sign_bytes(uint32_t padded)
{
	return (size_t) PIR_QUANT_ROUNDS * (padded / 8);
}

/* Fill 'signs' (pir_quant_sign_bytes()) from the seed. */
void
pir_quant_make_signs(uint64_t seed, uint32_t padded, uint8_t *signs)
{
	uint32_t	nwords = PIR_QUANT_ROUNDS * (padded / 64);

	for (uint32_t w = 0; w < nwords; w++)
	{
		uint64_t	word = splitmix64(seed, w);

		for (int b = 0; b < 8; b++)
			*signs++ = (uint8_t) (word >> (8 * b));
	}
}

/* Largest power of two that is not above n. */
static uint32_t
power_below(uint32_t n)
{
	uint32_t	p = 1;

	while (p <= n / 2)
		p *= 2;
	return p;
}

/* (x_i, x_{i+h}) becomes their sum and difference over the root of 2. */
static void
mix_halves(float *x, uint32_t padded)
{
	const float root = 0.70710678118654752f;
	uint32_t	half = padded / 2;
	float	   *y = x + half;

	/* half is a multiple of 32 */
	for (size_t i = 0; i < half; i += 16)
	{
		for (int j = 0; j < 16; j++)
		{
			float		a = x[i + j];
			float		b = y[i + j];

			x[i + j] = (a + b) * root;
			y[i + j] = (a - b) * root;
		}
	}
}

/* Rotate 'padded' floats in place. */
void
pir_quant_rotate(const uint8_t *signs, float *x, uint32_t padded)
{
	uint32_t	span = power_below(padded);

	for (int r = 0; r < PIR_QUANT_ROUNDS; r++)
	{
		pir_kernels->flip_signs_f32(x, signs + r * (padded / 8), padded);
		pir_kernels->fht_f32(x + (r % 2 == 0 ? 0 : padded - span), span);
		if (span != padded && r % 2 == 1)
			mix_halves(x, padded);
	}
}

/* Undo pir_quant_rotate(), up to float rounding. */
void
pir_quant_unrotate(const uint8_t *signs, float *x, uint32_t padded)
{
	uint32_t	span = power_below(padded);

	for (int r = PIR_QUANT_ROUNDS - 1; r >= 0; r--)
	{
		if (span != padded && r % 2 == 1)
			mix_halves(x, padded);
		pir_kernels->fht_f32(x + (r % 2 == 0 ? 0 : padded - span), span);
		pir_kernels->flip_signs_f32(x, signs + r * (padded / 8), padded);
	}
}
