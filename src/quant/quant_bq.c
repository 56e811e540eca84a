/*-------------------------------------------------------------------------
 *
 * quant_bq.c
 *	  Binary quantization: the sign of each component, as it is.
 *
 * One bit says on which side of the centre a component lies. Unlike 1-bit
 * RaBitQ there is no rotation, and a code can be read, dimension by dimension;
 * what is given up is that errors point nowhere in particular. They are
 * measured in each vector and charged as those of SQ8 are. Otherwise the
 * factored form of quant_code.c, with the same three factors: distances are
 * estimated with the full query and have an error unit, where a plain Hamming
 * distance has neither.
 *
 * The bits behind the last dimension are 0 and stand for nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

/*
 * Where components differ in their deviations, the large ones are what a sign
 * loses most of, and what near rows share: their estimates are biased. Twice
 * the squared loss covers it on the data of README.md.
 */
#define CAUTION		2.0

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 1)
		return "quantizer \"bq\" has 1 bit per dimension";
	if (spec->metric > PIR_METRIC_COSINE)
		return "quantizer \"bq\" serves Euclidean distance, inner product and cosine distance only";
	return NULL;
}

static void
choose(const PirQuant *quant, const float *x, double norm2, uint8_t *elems)
{
	(void) norm2;
	for (size_t i = 0; i < quant->padded; i++)
		elems[i] = x[i] > 0;
}

static void
init(PirQuant *quant)
{
	pir_quant_code_init(quant, choose, 1, quant->spec.dim - 1);
	quant->coded = quant->spec.dim;
	quant->caution = CAUTION;
}

const PirQuantMethod pir_quant_bq = {
	.id = PIR_QUANT_BQ,
	.name = "bq",
	.exact = false,
	.centred = true,
	.rotated = false,
	.check_spec = check_spec,
	.item_size = pir_quant_code_item_size,
	.init = init,
	.encode = pir_quant_code_encode,
	.decode = pir_quant_code_decode,
	.prepare_query = pir_quant_code_prepare,
	.prepare_item = pir_quant_code_prepare_item
};
