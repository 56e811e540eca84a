/*-------------------------------------------------------------------------
 *
 * quant_none.c
 *	  No quantization: an item is the vector's float32 components.
 *
 * Here so that callers have no special case. No centre, no factors, exact:
 * the distance is what the SQL function gives, up to float rounding.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 32)
		return "quantizer \"none\" has 32 bits per dimension";
	if (spec->metric > PIR_METRIC_L1)
		return "quantizer \"none\" serves distances between vectors only";
	return NULL;
}

static size_t
item_size(const PirQuantSpec *spec)
{
	return spec->dim * sizeof(float);
}

/*
 * Negative inner product where float32 sums left the range and may have met
 * as infinity minus infinity: in double no sum of ours can.
 */
static float
careful_negative_dot(const float *a, const float *b, uint32_t n)
{
	double		sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double) a[i] * (double) b[i];
	return (float) -sum;
}

static inline float
vector_distance(const PirQuant *quant, const float *a, const float *b)
{
	uint32_t	dim = quant->spec.dim;
	float		dot;

	switch (quant->spec.metric)
	{
		case PIR_METRIC_L1:
			return pir_kernels->l1_f32(a, b, dim);
		case PIR_METRIC_IP:
			dot = pir_kernels->dot_f32(a, b, dim);
			return PIR_QUANT_LIKELY(isfinite(dot)) ? -dot : careful_negative_dot(a, b, dim);
		default:
			return pir_kernels->l2sq_f32(a, b, dim);
	}
}

static float
distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return vector_distance(quant, item, query->data);
}

static void
distance_many(const PirQuant *quant, const PirQuantQuery *query,
			  const void *const *items, int m, float *out)
{
	for (int i = 0; i < m; i++)
	{
		pir_quant_prefetch(items, i, m);
		out[i] = vector_distance(quant, items[i], query->data);
	}
}

static float
code_distance(const PirQuant *quant, const void *a, const void *b)
{
	return vector_distance(quant, a, b);
}

static void
init(PirQuant *quant)
{
	quant->distance = distance;
	quant->distance_many = distance_many;
	quant->code_distance = code_distance;
	quant->query_size = sizeof(PirQuantQuery) + PIR_QUANT_ALIGN + quant->item_size;
	quant->scratch_size = PIR_QUANT_ALIGN;
}

static void
encode(const PirQuant *quant, const void *vec, void *item, void *scratch)
{
	(void) scratch;
	memcpy(item, vec, quant->item_size);
}

static void
decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	(void) scratch;
	memcpy(vec, item, quant->item_size);
}

static void
prepare_query(const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch)
{
	(void) scratch;
	memcpy(query->data, vec, quant->item_size);
}

static void
prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query)
{
	memcpy(query->data, item, quant->item_size);
}

const PirQuantMethod pir_quant_none = {
	.id = PIR_QUANT_NONE,
	.name = "none",
	.exact = true,
	.centred = false,
	.rotated = false,
	.check_spec = check_spec,
	.item_size = item_size,
	.init = init,
	.encode = encode,
	.decode = decode,
	.prepare_query = prepare_query,
	.prepare_item = prepare_item
};
