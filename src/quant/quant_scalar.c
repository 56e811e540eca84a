/*-------------------------------------------------------------------------
 *
 * quant_scalar.c
 *	  SQ8: eight bits a dimension, not rotated.
 *
 * Two codes under one name, chosen by the metric.
 *
 * L2, inner product, cosine: the factored form of quant_code.c with the
 * vector's own step max|x_i| / 127 and codes 1 to 255 around 128, so that a
 * component equal to the centre's is kept exactly (sparse data). Cheaper to
 * encode than RaBitQ, but its error unit rests on rounding errors having
 * random signs, which only a rotation makes sure of; what shows in one vector
 * is charged (structured_loss2() in quant_code.c).
 *
 * L1: a rotation does not keep taxicab distances, so codes are plain
 * (v - offset) / scale with one scale and offset for the index, clamped to
 * 0..255, and a distance is scale times a sum of absolute differences.
 * An item is one float, its error unit, and the codes in plain order. With
 * r_i what component i lost, sums over the components inside the range,
 *
 *	  err = sqrt(sum r_i^2 + [sum r_i]^2) + (sum |r_i|, clamped ones) / PIR_QUANT_EPS
 *
 * where the bracket counts only if the losses have a common sign (many
 * components too small for the step). A clamped component is charged in full: PIR_QUANT_EPS units cover it with
 * certainty.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 8)
		return "quantizer \"sq8\" has 8 bits per dimension";
	if (spec->metric == PIR_METRIC_L1)
	{
		if (!(spec->scale > 0 && spec->scale <= FLT_MAX) || !isfinite(spec->offset))
			return "quantizer \"sq8\" needs a positive scale and a finite offset";
		return NULL;
	}
	if (spec->metric > PIR_METRIC_COSINE)
		return "quantizer \"sq8\" serves Euclidean distance, inner product, cosine and taxicab distance only";
	return NULL;
}

static size_t
item_size(const PirQuantSpec *spec)
{
	if (spec->metric == PIR_METRIC_L1)
		return sizeof(float) + pir_quant_round_up(spec->dim, 4);
	return pir_quant_code_item_size(spec);
}

/* Code of the factored form: nearest multiple of max / 127, plus 128. */
static void
choose(const PirQuant *quant, const float *x, double norm2, uint8_t *elems)
{
	float		inverse = 127.0f / pir_quant_max_abs(x, quant->padded);

	(void) norm2;
	for (size_t i = 0; i < quant->padded; i += 16)
	{
		for (int j = 0; j < 16; j++)
			elems[i + j] = (uint8_t) (x[i + j] * inverse + 128.5f);
	}
}

/*
 * Codes of 'vec' for L1 into 'out', zeros behind up to 'size' bytes. The
 * squared error unit of the components inside the range, and the sum of what
 * clamped ones lost.
 */
static void
encode_l1_codes(const PirQuantSpec *spec, const float *vec, uint8_t *out, size_t size,
				double *inside2, double *clamped)
{
	double		scale = spec->scale;
	double		inverse = 1.0 / scale;
	double		squares = 0;
	double		sum = 0;

	*clamped = 0;
	for (size_t i = 0; i < spec->dim; i++)
	{
		double		v = ((double) vec[i] - spec->offset) * inverse;
		double		u = v > 0 ? (v < 255 ? floor(v + 0.5) : 255) : 0;
		double		rest = (v - u) * scale;

		out[i] = (uint8_t) u;
		if (v < -0.5 || v > 255.5)
			*clamped += fabs(rest);
		else
		{
			sum += rest;
			squares += rest * rest;
		}
	}
	memset(out + spec->dim, 0, size - spec->dim);
	*inside2 = squares;
	if (pir_quant_common_sign(sum, squares, spec->dim))
		*inside2 += sum * sum;
}

static inline float
l1_of_codes(const PirQuant *quant, const uint8_t *a, const uint8_t *b)
{
	return quant->spec.scale * (float) pir_kernels->l1_u8_u8(a, b, quant->spec.dim);
}

static float
l1_distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return l1_of_codes(quant, (const uint8_t *) item + sizeof(float), query->data);
}

static void
l1_distance_many(const PirQuant *quant, const PirQuantQuery *query,
				 const void *const *items, int m, float *out)
{
	for (int i = 0; i < m; i++)
	{
		pir_quant_prefetch(items, i, m);
		out[i] = l1_distance(quant, query, items[i]);
	}
}

static float
l1_error(const PirQuant *quant, const PirQuantQuery *query, const void *item, float dist)
{
	double		err = pir_quant_factor(item, 0);
	double		unit = sqrt(err * err + query->round2) + query->err;

	if (!isfinite(dist))
		return 0.0f;
	return unit > FLT_MAX / 16 ? FLT_MAX / 16 : (float) unit;
}

static float
l1_pair_distance(const PirQuant *quant, const void *a, const void *b)
{
	return l1_of_codes(quant, (const uint8_t *) a + sizeof(float), (const uint8_t *) b + sizeof(float));
}

static void
init(PirQuant *quant)
{
	if (quant->spec.metric != PIR_METRIC_L1)
	{
		pir_quant_code_init(quant, choose, 256, quant->spec.dim - 1);
		return;
	}
	quant->distance = l1_distance;
	quant->distance_many = l1_distance_many;
	quant->error = l1_error;
	quant->code_distance = l1_pair_distance;
	quant->query_size = sizeof(PirQuantQuery) + PIR_QUANT_ALIGN + quant->padded;
	quant->scratch_size = PIR_QUANT_ALIGN;
}

static void
encode(const PirQuant *quant, const void *vec, void *item, void *scratch)
{
	double		inside2;
	double		clamped;

	if (quant->spec.metric != PIR_METRIC_L1)
	{
		pir_quant_code_encode(quant, vec, item, scratch);
		return;
	}
	encode_l1_codes(&quant->spec, vec, (uint8_t *) item + sizeof(float),
					quant->item_size - sizeof(float), &inside2, &clamped);
	pir_quant_set_factor(item, 0, pir_quant_clamp_float(sqrt(inside2) + clamped / PIR_QUANT_EPS));
}

static void
decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	const uint8_t *code = (const uint8_t *) item + sizeof(float);

	if (quant->spec.metric != PIR_METRIC_L1)
	{
		pir_quant_code_decode(quant, item, vec, scratch);
		return;
	}
	for (size_t i = 0; i < quant->spec.dim; i++)
		vec[i] = pir_quant_clamp_float(quant->spec.offset + (double) quant->spec.scale * code[i]);
}

static void
prepare_query(const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch)
{
	double		inside2;
	double		clamped;

	if (quant->spec.metric != PIR_METRIC_L1)
	{
		pir_quant_code_prepare(quant, vec, query, scratch);
		return;
	}
	encode_l1_codes(&quant->spec, vec, query->data, quant->padded, &inside2, &clamped);
	query->round2 = inside2;
	query->err = pir_quant_clamp_float(clamped / PIR_QUANT_EPS);
}

static void
prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query)
{
	if (quant->spec.metric != PIR_METRIC_L1)
		pir_quant_code_prepare_item(quant, item, query);
	else
		memcpy(query->data, (const char *) item + sizeof(float), quant->spec.dim);
}

/* Bring the k-th smallest (from 0) of n floats to its place. */
static float
select_float(float *a, uint32_t n, uint32_t k)
{
	uint32_t	left = 0;
	uint32_t	right = n - 1;

	while (left < right)
	{
		float		pivot = a[left + (right - left) / 2];
		int64_t		i = left;
		int64_t		j = right;

		while (i <= j)
		{
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i <= j)
			{
				float		swap = a[i];

				a[i++] = a[j];
				a[j--] = swap;
			}
		}
		if ((int64_t) k <= j)
			right = (uint32_t) j;
		else if ((int64_t) k >= i)
			left = (uint32_t) i;
		else
			break;
	}
	return a[k];
}

void
pir_quant_train_l1(float *low, float *high, uint32_t n, float *scale, float *offset)
{
	double		bottom;
	double		top;
	bool		integers = true;

	*scale = 1.0f;
	*offset = 0.0f;
	if (n == 0)
		return;
	for (size_t i = 0; i < n && integers; i++)
		integers = low[i] == truncf(low[i]) && high[i] == truncf(high[i]);
	bottom = select_float(low, n, n / 100);
	top = select_float(high, n, n - 1 - n / 100);
	*offset = (float) bottom;
	if (integers && top > bottom && top - bottom <= 255)
		*scale = 1.0f / floorf(255.0f / (float) (top - bottom));
	else if (top > bottom && (top - bottom) / 255 >= FLT_MIN)
		*scale = pir_quant_clamp_float((top - bottom) / 255);
}

const PirQuantMethod pir_quant_sq8 = {
	.id = PIR_QUANT_SQ8,
	.name = "sq8",
	.exact = false,
	.centred = true,
	.rotated = false,
	.check_spec = check_spec,
	.item_size = item_size,
	.init = init,
	.encode = encode,
	.decode = decode,
	.prepare_query = prepare_query,
	.prepare_item = prepare_item
};
