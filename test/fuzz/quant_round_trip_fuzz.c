/*-------------------------------------------------------------------------
 *
 * quant_round_trip_fuzz.c
 *	  Any spec, any finite vectors: encode, decode, and every distance, with
 *	  the promises of quant.h checked.
 *
 * Input: 6 bytes choose quantizer, metric, bits, dimensions (two bytes) and
 * options; the rest is taken in turn for the components of centre, item, other
 * item and query, as float32 bit patterns or (option) as small numbers, with
 * zeros when it runs out. Infinities and NaNs are made finite: the SQL types
 * let none in.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD			6
#define MAX_FUZZ_DIM	2100

#define OPTION_CENTRE	0x01
#define OPTION_SMALL	0x02	/* components are signed bytes / 16 */
#define OPTION_SAME		0x04	/* the query is the item's vector */
#define OPTION_SCALAR	0x08	/* scalar kernels */

static void
check(bool ok, const char *what)
{
	if (!ok)
	{
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static void *
xmalloc(size_t size)
{
	void	   *p = malloc(size == 0 ? 1 : size);

	if (p == NULL)
		abort();
	return p;
}

static float *
take_vector(const uint8_t **data, size_t *size, uint32_t dim, int options)
{
	float	   *x = xmalloc(dim * sizeof(float));
	size_t		width = options & OPTION_SMALL ? 1 : sizeof(float);

	for (uint32_t i = 0; i < dim; i++)
	{
		uint32_t	bits = 0;

		if (*size < width)
			x[i] = 0;
		else if (width == 1)
			x[i] = (float) (int8_t) **data / 16;
		else
		{
			memcpy(&bits, *data, sizeof(bits));
			if ((bits & 0x7f800000) == 0x7f800000)
				bits ^= 0x40000000;
			memcpy(&x[i], &bits, sizeof(bits));
		}
		if (*size >= width)
		{
			*data += width;
			*size -= width;
		}
	}
	return x;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t widths[] = {1, 2, 4, 8, 16, 32};
	PirQuantSpec spec = {0};
	PirQuant   *quant;
	PirQuantQuery *query;
	void	   *scratch;
	char	   *item[2];
	char	   *again;
	float	   *vec[2];
	float	   *centre;
	float	   *query_vec;
	float	   *back;
	float		dist[2];
	float		many[2];
	const void *items[2];
	size_t		item_size;
	int			options;

	if (size < HEAD)
		return 0;
	spec.quantizer = data[0] % 8;
	spec.metric = data[1] % 7;
	spec.bits = widths[data[2] % 6];
	spec.dim = (uint32_t) (data[3] | data[4] << 8) % (MAX_FUZZ_DIM + 1);
	options = data[5];
	spec.seed = data[5] * UINT64_C(0x9E3779B97F4A7C15);
	spec.scale = 1.0f / 16;
	spec.offset = -8;
	data += HEAD;
	size -= HEAD;
	if (pir_quant_check_spec(&spec) != NULL)
		return 0;

	check(pir_dist_init(options & OPTION_SCALAR ? "scalar" : NULL), "kernels");
	centre = take_vector(&data, &size, options & OPTION_CENTRE ? spec.dim : 0, options);
	spec.centre = options & OPTION_CENTRE ? centre : NULL;
	vec[0] = take_vector(&data, &size, spec.dim, options);
	vec[1] = take_vector(&data, &size, spec.dim, options);
	query_vec = options & OPTION_SAME ? vec[0] : take_vector(&data, &size, spec.dim, options);

	item_size = pir_quant_item_size(&spec);
	check(item_size > 0 && item_size % 4 == 0, "item size");
	quant = pir_quant_init(xmalloc(pir_quant_size(&spec)), &spec);
	scratch = xmalloc(pir_quant_scratch_size(quant));
	query = xmalloc(pir_quant_query_size(quant));
	back = xmalloc(spec.dim * sizeof(float));
	again = xmalloc(item_size);
	for (int i = 0; i < 2; i++)
	{
		item[i] = xmalloc(item_size);
		memset(item[i], 0xa5, item_size);
		memset(again, 0x5a, item_size);
		pir_quant_encode(quant, vec[i], item[i], scratch);
		pir_quant_encode(quant, vec[i], again, scratch);
		check(memcmp(item[i], again, item_size) == 0, "encoding is a function");
		items[i] = item[i];
		if (spec.quantizer != PIR_QUANT_BITS)
		{
			pir_quant_decode(quant, item[i], back, scratch);
			for (uint32_t j = 0; j < spec.dim; j++)
				check(isfinite(back[j]), "decoded vectors are finite");
		}
	}

	query = pir_quant_prepare_query(quant, query_vec, query, scratch);
	pir_quant_distance_many(quant, query, items, 2, many);
	for (int i = 0; i < 2; i++)
	{
		float		unit;

		dist[i] = pir_quant_distance(quant, query, items[i]);
		check(!isnan(dist[i]), "a distance is a number");
		check(dist[i] == many[i], "many at once");
		unit = pir_quant_error(quant, query, items[i], dist[i]);
		check(unit >= 0 && isfinite(unit), "a unit is finite and not negative");
		check(!isnan(dist[i] - PIR_QUANT_EPS_SURE * unit) && !isnan(dist[i] + PIR_QUANT_EPS_SURE * unit),
			  "bounds are numbers");
		check(!pir_quant_is_exact(quant) || unit == 0, "exact codes have no error");
	}
	for (int i = 0; i < 2; i++)
	{
		float		pair = pir_quant_code_distance(quant, items[0], items[i]);

		check(!isnan(pair), "a distance of items is a number");
		query = pir_quant_prepare_item(quant, items[0], query);
		check(pir_quant_distance(quant, query, items[i]) == pair, "a prepared item");
		if (spec.metric != PIR_METRIC_IP)
			check(pair >= 0, "distances of items are not negative");
	}

	free(quant);
	free(scratch);
	free(query);
	free(back);
	free(again);
	free(item[0]);
	free(item[1]);
	free(centre);
	if (query_vec != vec[0])
		free(query_vec);
	free(vec[0]);
	free(vec[1]);
	return 0;
}
