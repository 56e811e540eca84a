/*-------------------------------------------------------------------------
 *
 * quant.c
 *	  The table of quantizers, and the calls of quant.h that go through it.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

#define MAX_DIM		16000		/* of a vector */
#define MAX_BIT_DIM	1048576		/* of a bit string */

/* Indexed by PirQuantId. */
static const PirQuantMethod *const methods[] = {
	&pir_quant_none,
	&pir_quant_half,
	&pir_quant_sq8,
	&pir_quant_rabitq,
	&pir_quant_bits,
	&pir_quant_bf16,
	&pir_quant_bq
};

#define NMETHODS	((int) (sizeof(methods) / sizeof(methods[0])))

const char *
pir_quant_check_spec(const PirQuantSpec *spec)
{
	if (spec->quantizer >= NMETHODS)
		return "unknown quantizer";
	if (spec->metric >= PIR_NMETRICS)
		return "unknown metric";
	if (spec->dim < 1)
		return "a vector has at least 1 dimension";
	if (spec->dim > (spec->quantizer == PIR_QUANT_BITS ? MAX_BIT_DIM : MAX_DIM))
		return spec->quantizer == PIR_QUANT_BITS
			? "a bit string can have at most 1048576 bits"
			: "a vector can have at most 16000 dimensions";
	return methods[spec->quantizer]->check_spec(spec);
}

size_t
pir_quant_item_size(const PirQuantSpec *spec)
{
	return methods[spec->quantizer]->item_size(spec);
}

int
pir_quant_id_by_name(const char *name)
{
	for (int i = 0; i < NMETHODS; i++)
	{
		if (strcmp(methods[i]->name, name) == 0)
			return i;
	}
	return -1;
}

const char *
pir_quant_name(int id)
{
	return id >= 0 && id < NMETHODS ? methods[id]->name : NULL;
}

/*
 * Memory of a PirQuant: the struct, the signs of the rotation, the centre. It
 * may begin anywhere that suits a double.
 */
size_t
pir_quant_size(const PirQuantSpec *spec)
{
	const PirQuantMethod *method = methods[spec->quantizer];
	size_t		size = sizeof(PirQuant) + 2 * PIR_QUANT_ALIGN;

	if (method->rotated)
		size += pir_quant_sign_bytes(pir_quant_round_up(spec->dim, PIR_DIST_BLOCK));
	if (method->centred && spec->centre != NULL)
		size += spec->dim * sizeof(float);
	return size;
}

/*
 * Prepare a quantizer in 'memory' (pir_quant_size() bytes, aligned for a
 * double). The spec must have passed pir_quant_check_spec(); its centre is
 * copied. The kernels in use at this moment are bound for good.
 */
PirQuant *
pir_quant_init(void *memory, const PirQuantSpec *spec)
{
	const PirQuantMethod *method = methods[spec->quantizer];
	PirQuant   *quant = memory;
	char	   *rest = pir_quant_align(quant + 1);

	memset(quant, 0, sizeof(*quant));
	quant->method = method;
	quant->spec = *spec;
	quant->spec.centre = NULL;
	quant->padded = pir_quant_round_up(spec->dim, PIR_DIST_BLOCK);
	quant->item_size = (uint32_t) method->item_size(spec);

	if (method->rotated)
	{
		pir_quant_make_signs(spec->seed, quant->padded, (uint8_t *) rest);
		quant->signs = (uint8_t *) rest;
		rest = pir_quant_align(rest + pir_quant_sign_bytes(quant->padded));
	}
	if (method->centred && spec->centre != NULL)
	{
		memcpy(rest, spec->centre, spec->dim * sizeof(float));
		quant->spec.centre = (const float *) rest;
		quant->centre_norm2 = pir_quant_sum_squares(spec->centre, spec->dim);
	}

	method->init(quant);
	return quant;
}

const PirQuantSpec *
pir_quant_spec(const PirQuant *quant)
{
	return &quant->spec;
}

size_t
pir_quant_scratch_size(const PirQuant *quant)
{
	return quant->scratch_size;
}

void
pir_quant_encode(const PirQuant *quant, const void *vec, void *item, void *scratch)
{
	quant->method->encode(quant, vec, item, scratch);
}

void
pir_quant_decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	quant->method->decode(quant, item, vec, scratch);
}

size_t
pir_quant_query_size(const PirQuant *quant)
{
	return quant->query_size;
}

PirQuantQuery *
pir_quant_prepare_query(const PirQuant *quant, const void *vec, void *memory, void *scratch)
{
	PirQuantQuery *query = memory;

	memset(query, 0, sizeof(*query));
	query->data = pir_quant_align(query + 1);
	quant->method->prepare_query(quant, vec, query, scratch);
	return query;
}

PirQuantQuery *
pir_quant_prepare_item(const PirQuant *quant, const void *item, void *memory)
{
	PirQuantQuery *query = memory;

	memset(query, 0, sizeof(*query));
	query->data = pir_quant_align(query + 1);
	quant->method->prepare_item(quant, item, query);
	return query;
}

float
pir_quant_distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return quant->distance(quant, query, item);
}

void
pir_quant_distance_many(const PirQuant *quant, const PirQuantQuery *query,
						const void *const *items, int m, float *out)
{
	quant->distance_many(quant, query, items, m, out);
}

float
pir_quant_error(const PirQuant *quant, const PirQuantQuery *query, const void *item, float dist)
{
	return quant->error == NULL ? 0.0f : quant->error(quant, query, item, dist);
}

bool
pir_quant_is_exact(const PirQuant *quant)
{
	return quant->method->exact;
}

float
pir_quant_code_distance(const PirQuant *quant, const void *item_a, const void *item_b)
{
	return quant->code_distance(quant, item_a, item_b);
}
