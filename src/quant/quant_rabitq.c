/*-------------------------------------------------------------------------
 *
 * quant_rabitq.c
 *	  RaBitQ with 1, 2, 4 or 8 bits a dimension: the choice of the code.
 *
 * The code of a rotated vector x has u_i = clamp(floor(t x_i) + 2^(B-1)), one
 * of 2^B equal steps around zero. Only the direction of the code matters (the
 * factor F of quant_code.c restores the length), so t is chosen to make the
 * angle between code and vector small: the best of nine.
 *
 * Coordinates of a rotated vector are nearly Gaussian. For 2 and 4 bits the
 * nine steps are multiples, 0.75 to 1.25, of the one that is best for a
 * Gaussian; the error is then within 1 % of that of an exhaustive search at
 * 64 dimensions, and 0.3 % from 512 on. At 8 bits next to nothing may be
 * clamped, and the best step follows the largest coordinate: nine multiples,
 * 0.94 to 1.10, of the step that just holds it come within 9 % at 64 and 2 %
 * at 512 dimensions (multiples of the Gaussian's: 23 % and 5 %).
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

#define NTRIALS			9

/* Trials are 'first' + i * 'next' times a base step. */
typedef struct StepRule
{
	double		gaussian;		/* base for deviation 1; 0: from the largest coordinate */
	double		first;
	double		next;
} StepRule;

/*
 * The Gaussian steps maximise <y,x> / |y||x|. One bit is the sign, whatever
 * the step.
 */
static const StepRule step_rules[] = {
	[1] = {1.0, 1.0, 0},
	[2] = {0.9957, 0.75, 0.0625},
	[4] = {0.3352, 0.75, 0.0625},
	[8] = {0, 0.94, 0.02}
};

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 1 && spec->bits != 2 && spec->bits != 4 && spec->bits != 8)
		return "quantizer \"rabitq\" has 1, 2, 4 or 8 bits per dimension";
	if (spec->metric > PIR_METRIC_COSINE)
		return "quantizer \"rabitq\" serves Euclidean distance, inner product and cosine distance only";
	return NULL;
}

/*
 * u_i = clamp(floor(t x_i) + 2^(B-1)), written without floor: after the lower
 * clamp the value is not negative, so the cast rounds down.
 */
static inline int32_t
element(float x, float t, float half, float top)
{
	float		v = x * t + half;

	v = v > 0.0f ? v : 0.0f;
	v = v < top ? v : top;
	return (int32_t) v;
}

/*
 * How well step t fits: <y,x>^2 / |y|^2, to be maximised. All in float32, as
 * SSE2 has no 32-bit multiplication; the rounding of these sums is far below
 * what one step gains on the next.
 */
static double
fit(const float *x, uint32_t n, float t, float half, float top)
{
	float		dot[16] = {0};
	float		norm2[16] = {0};
	float		zero = half - 0.5f;
	double		sum = 0;
	double		sum2 = 0;

	for (size_t i = 0; i < n; i += 16)
	{
		for (int j = 0; j < 16; j++)
		{
			float		y = (float) element(x[i + j], t, half, top) - zero;

			dot[j] += y * x[i + j];
			norm2[j] += y * y;
		}
	}
	for (int j = 0; j < 16; j++)
	{
		sum += dot[j];
		sum2 += norm2[j];
	}
	return sum * sum / sum2;
}

static void
choose(const PirQuant *quant, const float *x, double norm2, uint8_t *elems)
{
	uint32_t	n = quant->padded;
	float		half = (float) (1 << (quant->spec.bits - 1));
	float		top = 2 * half - 1;
	const StepRule *rule = &step_rules[quant->spec.bits];
	float		best_t;
	double		best = -1;
	double		base;

	if (rule->gaussian > 0)
		base = sqrt((double) n / norm2) / rule->gaussian;
	else
		base = half / pir_quant_max_abs(x, n);
	best_t = (float) base;

	if (quant->spec.bits > 1)
	{
		for (int i = 0; i < NTRIALS; i++)
		{
			float		t = (float) (base / (rule->first + i * rule->next));
			double		quality = fit(x, n, t, half, top);

			if (quality > best)
			{
				best = quality;
				best_t = t;
			}
		}
	}
	for (size_t i = 0; i < n; i += 16)
	{
		for (int j = 0; j < 16; j++)
			elems[i + j] = (uint8_t) element(x[i + j], best_t, half, top);
	}
}

static void
init(PirQuant *quant)
{
	pir_quant_code_init(quant, choose, (1 << quant->spec.bits) - 1, quant->padded - 1);
}

const PirQuantMethod pir_quant_rabitq = {
	.id = PIR_QUANT_RABITQ,
	.name = "rabitq",
	.exact = false,
	.centred = true,
	.rotated = true,
	.check_spec = check_spec,
	.item_size = pir_quant_code_item_size,
	.init = init,
	.encode = pir_quant_code_encode,
	.decode = pir_quant_code_decode,
	.prepare_query = pir_quant_code_prepare,
	.prepare_item = pir_quant_code_prepare_item
};
