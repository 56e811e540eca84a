/*-------------------------------------------------------------------------
 *
 * hnsw_graph_divide.c
 *	  Dividing nodes into groups of neighbours of bounded weight.
 *
 * A range of nodes is cut in two where d(node, a) - d(node, b) passes a
 * value: for squared distances and inner products that is a hyperplane
 * between the centres a and b. The value is chosen by weight, the centres by
 * a few rounds of 2-means on that cut. Groups are so as large as they may
 * be, whatever the distribution, and there is no part made of remains.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hnsw/hnsw_graph_internal.h"

/* Rounds of 2-means for one cut */
#define CUT_ROUNDS		6

/*
 * Weights are exact but indivisible, so groups are planned to be this much
 * lighter than they may be.
 */
#define PLANNED_FILL	0.95

typedef struct Divider
{
	const PirQuant *quant;
	const uint8_t *items;
	size_t		stride;
	const uint64_t *weights;
	uint64_t	capacity;
	uint64_t   *keys;			/* n: difference of distances, and node */
	uint32_t   *nodes;			/* n: ordered by group */
	uint32_t   *stack;			/* n + 1: ends of the ranges to be cut, last one first */
	uint8_t    *centres[2];		/* items */
	PirQuantQuery *query;
	float	   *vector;			/* one decoded item */
	float	   *mean;
	void	   *codec;			/* scratch of the quantizer */
} Divider;

static size_t
layout_divider(Divider *d, uint8_t *base, const PirQuant *quant, uint32_t n)
{
	const PirQuantSpec *spec = pir_quant_spec(quant);
	size_t		offset = 0;

	d->keys = carve(base, &offset, sizeof(*d->keys) * (size_t) n);
	d->nodes = carve(base, &offset, sizeof(*d->nodes) * (size_t) n);
	d->stack = carve(base, &offset, sizeof(*d->stack) * ((size_t) n + 1));
	d->centres[0] = carve(base, &offset, pir_quant_item_size(spec));
	d->centres[1] = carve(base, &offset, pir_quant_item_size(spec));
	d->query = carve(base, &offset, pir_quant_query_size(quant));
	d->vector = carve(base, &offset, sizeof(float) * (size_t) spec->dim);
	d->mean = carve(base, &offset, sizeof(float) * (size_t) spec->dim);
	d->codec = carve(base, &offset, pir_quant_scratch_size(quant));
	return offset;
}

size_t
pir_hnsw_graph_divide_scratch_size(const PirQuant *quant, uint32_t n)
{
	Divider		d;

	return layout_divider(&d, NULL, quant, n);
}

static inline const uint8_t *
item_of(const Divider *d, uint32_t node)
{
	return d->items + (size_t) node * d->stride;
}

/* The node of nodes lo .. hi-1 that is farthest from an item. */
static uint32_t
farthest_from(const Divider *d, const uint8_t *item, uint32_t lo, uint32_t hi)
{
	PirQuantQuery *query = pir_quant_prepare_item(d->quant, item, d->query);
	uint32_t	farthest = d->nodes[lo];
	uint64_t	best = 0;

	for (uint32_t i = lo; i < hi; i++)
	{
		uint64_t	key = pack_key(pir_quant_distance(d->quant, query, item_of(d, d->nodes[i])), d->nodes[i]);

		if (key > best)
		{
			best = key;
			farthest = d->nodes[i];
		}
	}
	return farthest;
}

/* Make 'centre' the weighted mean of nodes lo .. hi-1. */
static void
move_centre(const Divider *d, uint8_t *centre, uint32_t lo, uint32_t hi)
{
	const PirQuantSpec *spec = pir_quant_spec(d->quant);
	double		total = 0;
	double		norm2 = 0;

	memset(d->mean, 0, sizeof(float) * (size_t) spec->dim);
	for (uint32_t i = lo; i < hi; i++)
	{
		double		weight = (double) d->weights[d->nodes[i]];

		if (weight == 0)
			continue;
		total += weight;
		pir_quant_decode(d->quant, item_of(d, d->nodes[i]), d->vector, d->codec);
		/* a running mean: sums of huge components would overflow */
		for (uint32_t j = 0; j < spec->dim; j++)
			d->mean[j] += (float) ((d->vector[j] - d->mean[j]) * (weight / total));
	}
	for (uint32_t j = 0; j < spec->dim; j++)
	{
		if (!(fabsf(d->mean[j]) <= 3.4e38f))
			return;
		norm2 += (double) d->mean[j] * d->mean[j];
	}
	if (spec->metric == PIR_METRIC_COSINE)
	{
		if (norm2 <= 0)
			return;
		for (uint32_t j = 0; j < spec->dim; j++)
			d->mean[j] = (float) (d->mean[j] / sqrt(norm2));
	}
	pir_quant_encode(d->quant, d->mean, centre, d->codec);
}

static int
compare_keys(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

/*
 * Order nodes lo .. hi-1 by how much nearer they are to the first centre than
 * to the second; returns where to cut so that the first part weighs 'wanted'.
 * Neither part is empty.
 */
static uint32_t
order_by_centres(const Divider *d, uint32_t lo, uint32_t hi, double wanted)
{
	PirQuantQuery *query = pir_quant_prepare_item(d->quant, d->centres[0], d->query);
	double		sum = 0;
	uint32_t	cut;

	for (uint32_t i = lo; i < hi; i++)
	{
		float		dist = pir_quant_distance(d->quant, query, item_of(d, d->nodes[i]));

		memcpy(&d->keys[i], &dist, sizeof(dist));
	}
	query = pir_quant_prepare_item(d->quant, d->centres[1], d->query);
	for (uint32_t i = lo; i < hi; i++)
	{
		float		near;
		float		difference;

		memcpy(&near, &d->keys[i], sizeof(near));
		difference = near - pir_quant_distance(d->quant, query, item_of(d, d->nodes[i]));
		d->keys[i] = pack_key(difference == difference ? difference : 0, d->nodes[i]);
	}
	qsort(d->keys + lo, hi - lo, sizeof(*d->keys), compare_keys);
	for (uint32_t i = lo; i < hi; i++)
		d->nodes[i] = key_node(d->keys[i]);
	for (cut = lo; cut < hi - 1 && (sum < wanted || cut == lo); cut++)
		sum += (double) d->weights[d->nodes[cut]];
	return cut;
}

/* Cut nodes lo .. hi-1, at least two of them, at the given share of their weight. */
static uint32_t
cut_range(const Divider *d, uint32_t lo, uint32_t hi, double wanted)
{
	size_t		size = pir_quant_item_size(pir_quant_spec(d->quant));
	bool		has_means = pir_quant_spec(d->quant)->quantizer != PIR_QUANT_BITS;
	uint32_t	cut;

	memcpy(d->centres[0], item_of(d, d->nodes[lo]), size);
	if (has_means)
		move_centre(d, d->centres[0], lo, hi);
	memcpy(d->centres[0], item_of(d, farthest_from(d, d->centres[0], lo, hi)), size);
	memcpy(d->centres[1], item_of(d, farthest_from(d, d->centres[0], lo, hi)), size);
	cut = order_by_centres(d, lo, hi, wanted);
	for (int round = 1; has_means && round < CUT_ROUNDS; round++)
	{
		move_centre(d, d->centres[0], lo, cut);
		move_centre(d, d->centres[1], cut, hi);
		cut = order_by_centres(d, lo, hi, wanted);
	}
	return cut;
}

uint32_t
pir_hnsw_graph_divide(const PirQuant *quant, const uint8_t *items, size_t item_stride,
					  const uint64_t *weights, uint32_t n, uint64_t capacity,
					  uint32_t *group, void *scratch)
{
	Divider		d;
	uint32_t	ngroups = 0;
	uint32_t	lo = 0;
	uint32_t	depth = 0;

	d.quant = quant;
	d.items = items;
	d.stride = item_stride;
	d.weights = weights;
	d.capacity = capacity;
	layout_divider(&d, scratch, quant, n);
	for (uint32_t i = 0; i < n; i++)
		d.nodes[i] = i;

	/* ranges end at stack[depth - 1], and begin where the one before ended */
	if (n > 0)
		d.stack[depth++] = n;
	while (depth > 0)
	{
		uint32_t	hi = d.stack[depth - 1];
		uint64_t	weight = 0;

		for (uint32_t i = lo; i < hi; i++)
			weight += weights[d.nodes[i]];
		if (weight <= capacity || hi - lo == 1)
		{
			for (uint32_t i = lo; i < hi; i++)
				group[d.nodes[i]] = ngroups;
			ngroups++;
			lo = hi;
			depth--;
		}
		else
		{
			double		parts = ceil((double) weight / (PLANNED_FILL * (double) capacity));
			double		share = parts < 2 ? 0.5 : floor(parts / 2) / parts;

			d.stack[depth++] = cut_range(&d, lo, hi, share * (double) weight);
		}
	}
	return ngroups;
}
