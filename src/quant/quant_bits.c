/*-------------------------------------------------------------------------
 *
 * quant_bits.c
 *	  A bit string is its own code: Hamming and Jaccard distance, exact.
 *
 * An item is the string's bytes as PostgreSQL's bit type has them (first bit
 * is the most significant of its byte), with zeros behind up to a multiple of
 * four bytes. The bits behind the last one are cleared, whatever the caller's
 * bytes held there.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 1)
		return "quantizer \"bits\" has 1 bit per dimension";
	if (spec->metric != PIR_METRIC_HAMMING && spec->metric != PIR_METRIC_JACCARD)
		return "quantizer \"bits\" serves Hamming and Jaccard distance only";
	return NULL;
}

static size_t
item_size(const PirQuantSpec *spec)
{
	return pir_quant_round_up(spec->dim, 32) / 8;
}

static void
copy_bits(const PirQuant *quant, const void *vec, uint8_t *out)
{
	uint32_t	nbytes = (quant->spec.dim + 7) / 8;

	memset(out, 0, quant->item_size);
	memcpy(out, vec, nbytes);
	if (quant->spec.dim % 8 != 0)
		out[nbytes - 1] &= (uint8_t) (0xFF << (8 - quant->spec.dim % 8));
}

static inline float
bit_distance(const PirQuant *quant, const void *a, const void *b)
{
	PirBitSums	sums;

	if (quant->spec.metric == PIR_METRIC_HAMMING)
		return (float) pir_kernels->hamming(a, b, quant->item_size);
	pir_kernels->jaccard(a, b, quant->item_size, &sums);
	return sums.both == 0 ? 1.0f : (float) (1.0 - (double) sums.both / (double) sums.either);
}

static float
distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return bit_distance(quant, item, query->data);
}

static void
distance_many(const PirQuant *quant, const PirQuantQuery *query,
			  const void *const *items, int m, float *out)
{
	for (int i = 0; i < m; i++)
	{
		pir_quant_prefetch(items, i, m);
		out[i] = bit_distance(quant, items[i], query->data);
	}
}

static float
code_distance(const PirQuant *quant, const void *a, const void *b)
{
	return bit_distance(quant, a, b);
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
	copy_bits(quant, vec, item);
}

/* There is no vector of floats to give back. */
static void
decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	(void) quant;
	(void) item;
	(void) vec;
	(void) scratch;
}

static void
prepare_query(const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch)
{
	(void) scratch;
	copy_bits(quant, vec, query->data);
}

static void
prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query)
{
	memcpy(query->data, item, quant->item_size);
}

const PirQuantMethod pir_quant_bits = {
	.id = PIR_QUANT_BITS,
	.name = "bits",
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
