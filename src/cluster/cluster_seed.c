/*-------------------------------------------------------------------------
 *
 * cluster_seed.c
 *	  First centres: k-means++ and a few rounds of Lloyd, in one level or two.
 *
 * One level compares every row with every centre, k times for the seeding and
 * once more a round. With many lists that is nearly all of the work, so they
 * are found in two levels: sqrt(k) groups of rows, and the centres of each
 * group among its own rows. What two levels lose, at the borders of groups,
 * the rounds that follow (cluster.c) win back.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/cluster_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rounds of Lloyd after each seeding */
#define SEED_ROUNDS		4

typedef struct Pass
{
	PirClustering *c;
	const uint32_t *ids;
	uint32_t	n;
	uint32_t	base;			/* number of the first centre */
	const float *centres;
	uint32_t	k;
	uint32_t	from;			/* centres before this one are known to dist[] */
} Pass;

static uint32_t
pieces_of(uint32_t n)
{
	return n / PIR_CLUSTER_PIECE + (n % PIR_CLUSTER_PIECE != 0);
}

/* Compare a piece of the rows with centres from .. k - 1. */
static void
nearest_piece(void *state, uint32_t piece, uint32_t worker)
{
	Pass	   *pass = state;
	PirClustering *c = pass->c;
	uint32_t	dim = c->spec.dim;
	uint32_t	end = (piece + 1) * PIR_CLUSTER_PIECE;

	if (end > pass->n)
		end = pass->n;
	for (uint32_t i = piece * PIR_CLUSTER_PIECE; i < end; i++)
	{
		uint32_t	id = pass->ids[i];
		const float *row = pir_cluster_row(c, id, worker);
		float		best = pass->from > 0 ? c->dist[id] : INFINITY;
		uint32_t	list = pass->from > 0 ? c->list[id] : pass->base;

		for (uint32_t j = pass->from; j < pass->k; j++)
		{
			float		dist = pir_kernels->l2sq_f32(row, pass->centres + (size_t) j * dim, dim);

			if (dist < best)
			{
				best = dist;
				list = pass->base + j;
			}
		}
		c->dist[id] = best;
		c->list[id] = list;
	}
}

static void
find_nearest(Pass *pass)
{
	pir_cluster_run(pass->c, nearest_piece, pass, pieces_of(pass->n));
}

/* A row's weight in the draw: overflowed distances weigh as the largest ones. */
static inline double
weight(float dist)
{
	return dist <= FLT_MAX ? dist : FLT_MAX;
}

/*
 * k-means++ (Arthur and Vassilvitskii): each further centre is a row, drawn
 * with its squared distance from the nearest centre so far as weight. Ends
 * when every row is equal to some centre.
 */
static uint32_t
draw_centres(Pass *pass, uint32_t k, float *out)
{
	PirClustering *c = pass->c;
	size_t		bytes = c->spec.dim * sizeof(float);
	uint32_t	first = (uint32_t) (pir_cluster_uniform(c) * pass->n);

	memcpy(out, pir_cluster_row(c, pass->ids[first], 0), bytes);
	pass->centres = out;
	for (pass->k = 1; pass->k < k; pass->k++)
	{
		double		total = 0;
		double		draw;
		uint32_t	chosen = 0;

		pass->from = pass->k - 1;
		find_nearest(pass);
		for (uint32_t i = 0; i < pass->n; i++)
			total += weight(c->dist[pass->ids[i]]);
		if (!(total > 0))
			break;
		draw = pir_cluster_uniform(c) * total;
		for (uint32_t i = 0; i < pass->n; i++)
		{
			double		w = weight(c->dist[pass->ids[i]]);

			if (w == 0)
				continue;
			chosen = i;			/* the last one, if sums were rounded so */
			draw -= w;
			if (draw < 0)
				break;
		}
		memcpy(out + (size_t) pass->k * c->spec.dim, pir_cluster_row(c, pass->ids[chosen], 0), bytes);
	}
	return pass->k;
}

/* Order ids[] by list, which is base + 0 .. k - 1: a counting sort by 'start'. */
static void
sort_by_list(PirClustering *c, const uint32_t *ids, uint32_t n, uint32_t base, uint32_t k,
			 uint32_t *start, uint32_t *sorted)
{
	memset(start, 0, (k + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
		start[c->list[ids[i]] - base + 1]++;
	for (uint32_t j = 0; j < k; j++)
		start[j + 1] += start[j];
	for (uint32_t i = 0; i < n; i++)
		sorted[start[c->list[ids[i]] - base]++] = ids[i];
	memmove(start + 1, start, k * sizeof(uint32_t));
	start[0] = 0;
}

uint32_t
pir_cluster_plain(PirClustering *c, const uint32_t *ids, uint32_t n, uint32_t k,
				  uint32_t base, uint32_t rounds, float *out)
{
	Pass		pass = {.c = c, .ids = ids, .n = n, .base = base};

	if (n == 0)
		return 0;
	k = draw_centres(&pass, k < n ? k : n, out);
	pass.k = k;
	for (uint32_t round = 0; round < rounds; round++)
	{
		pass.from = 0;
		find_nearest(&pass);
		sort_by_list(c, ids, n, base, k, c->start, c->spare);
		for (uint32_t j = 0; j < k; j++)
			pir_cluster_mean(c, c->spare + c->start[j], c->start[j + 1] - c->start[j],
							 out + (size_t) j * c->spec.dim);
	}
	pass.from = 0;
	find_nearest(&pass);
	return k;
}

/* Centres of the groups, then those of each group's rows. */
static void
seed_two_levels(PirClustering *c)
{
	uint32_t	n = c->spec.nrows;
	uint32_t	ngroups = (uint32_t) sqrt((double) c->spec.nlists);
	uint32_t	spare;
	uint32_t   *ids = c->group_members; /* free until it is filled */
	uint32_t   *group_rows = c->group_start;

	for (uint32_t i = 0; i < n; i++)
		c->order[i] = i;
	ngroups = pir_cluster_plain(c, c->order, n, ngroups, 0, SEED_ROUNDS, c->group_centres);
	sort_by_list(c, c->order, n, 0, ngroups, group_rows, ids);
	memcpy(c->order, ids, n * sizeof(uint32_t));

	/* one centre for each group, and the others in proportion to its rows */
	spare = c->spec.nlists - ngroups;
	c->ncentres = 0;
	for (uint32_t g = 0; g < ngroups; g++)
	{
		uint32_t	from = group_rows[g];
		uint32_t	to = group_rows[g + 1];
		uint32_t	k = 1 + (uint32_t) ((uint64_t) spare * to / n - (uint64_t) spare * from / n);
		uint32_t	found = pir_cluster_plain(c, c->order + from, to - from, k, c->ncentres, SEED_ROUNDS,
											  pir_cluster_centre(c, c->ncentres));

		for (uint32_t j = 0; j < found; j++)
			c->group[c->ncentres + j] = g;
		c->ncentres += found;
	}
	c->ngroups = ngroups;
}

void
pir_cluster_seed(PirClustering *c)
{
	if (c->spec.nlists >= PIR_CLUSTER_TWO_LEVELS)
	{
		seed_two_levels(c);
		return;
	}
	for (uint32_t i = 0; i < c->spec.nrows; i++)
		c->order[i] = i;
	c->ngroups = 0;
	c->ncentres = pir_cluster_plain(c, c->order, c->spec.nrows, c->spec.nlists, 0, 1, c->centres);
}
