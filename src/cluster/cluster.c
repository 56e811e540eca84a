/*-------------------------------------------------------------------------
 *
 * cluster.c
 *	  k-means with a bounded number of comparisons for each row.
 *
 * After the first centres (cluster_seed.c) come rounds in which a row is
 * compared with the centres nearest to the one it has, and no others: a row
 * moves to a neighbouring list or to none, so little is lost, and a round
 * costs the same whatever the number of lists. README.md section 4.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/cluster_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A round that moves fewer rows than this share is the last. */
#define ENOUGH	0.002

/* --- memory --- */

/* Slices of one block, each aligned for a double. With base NULL: sizes only. */
typedef struct Carver
{
	char	   *base;
	size_t		used;
	bool		overflow;
} Carver;

static void *
carve(Carver *carver, size_t n, size_t each)
{
	size_t		at = carver->used;
	size_t		bytes;

	if (each != 0 && n > (SIZE_MAX - 7) / each)
		carver->overflow = true;
	bytes = (n * each + 7) & ~(size_t) 7;
	if (bytes > SIZE_MAX - at)
		carver->overflow = true;
	carver->used = at + bytes;
	return carver->base == NULL ? NULL : carver->base + at;
}

static uint32_t
max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void
lay_out(PirClustering *c, Carver *carver)
{
	size_t		n = c->spec.nrows;
	size_t		k = c->spec.nlists;
	size_t		dim = c->spec.dim;
	size_t		groups = k >= PIR_CLUSTER_TWO_LEVELS ? (size_t) sqrt((double) k) : 0;
	size_t		workers = c->spec.nworkers;

	c->nneighbours = k < PIR_CLUSTER_NEIGHBOURS ? k : PIR_CLUSTER_NEIGHBOURS;
	c->list = carve(carver, n, sizeof(uint32_t));
	c->dist = carve(carver, n, sizeof(float));
	c->order = carve(carver, n, sizeof(uint32_t));
	c->start = carve(carver, k + 1, sizeof(uint32_t));
	c->neighbours = carve(carver, k * c->nneighbours, sizeof(uint32_t));
	c->group = carve(carver, k, sizeof(uint32_t));
	c->group_centres = carve(carver, groups * dim, sizeof(float));
	c->group_start = carve(carver, groups + 1, sizeof(uint32_t));
	c->group_members = carve(carver, max_u32(c->spec.nrows, c->spec.nlists), sizeof(uint32_t));
	c->scratch = carve(carver, workers * dim, sizeof(float));
	c->sum = carve(carver, dim, sizeof(double));
	c->near_dist = carve(carver, workers * c->nneighbours, sizeof(float));
	c->spare = carve(carver, n, sizeof(uint32_t));
}

size_t
pir_cluster_memory(const PirClusterSpec *spec)
{
	PirClustering c = {.spec = *spec};
	Carver		carver = {0};

	lay_out(&c, &carver);
	return carver.overflow ? SIZE_MAX : carver.used;
}

/* --- helpers of both files --- */

void
pir_cluster_run(PirClustering *c, PirClusterPiece piece, void *state, uint32_t npieces)
{
	const PirClusterHost *host = c->host;

	if (host != NULL && host->run != NULL)
	{
		host->run(host->arg, piece, state, npieces);
		return;
	}
	for (uint32_t i = 0; i < npieces; i++)
	{
		if (host != NULL && host->interrupt != NULL)
			host->interrupt(host->arg);
		piece(state, i, 0);
	}
}

/* SplitMix64, as a number in [0, 1) */
double
pir_cluster_uniform(PirClustering *c)
{
	uint64_t	z = (c->random += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	z ^= z >> 31;
	return (double) (z >> 11) * 0x1.0p-53;
}

void
pir_cluster_mean(PirClustering *c, const uint32_t *ids, uint32_t n, float *out)
{
	uint32_t	dim = c->spec.dim;
	double		scale;

	if (n == 0)
		return;
	memset(c->sum, 0, dim * sizeof(double));
	for (uint32_t i = 0; i < n; i++)
	{
		const float *row = pir_cluster_row(c, ids[i], 0);

		for (uint32_t j = 0; j < dim; j++)
			c->sum[j] += row[j];
	}
	scale = 1.0 / n;
	if (c->spec.spherical)
	{
		double		norm2 = 0;

		for (uint32_t j = 0; j < dim; j++)
			norm2 += c->sum[j] * c->sum[j];
		/* rows of unit length that cancel leave rounding errors: no direction */
		if (!(norm2 > 1e-12 * n * n))
			return;
		scale = 1.0 / sqrt(norm2);
	}
	for (uint32_t j = 0; j < dim; j++)
		out[j] = (float) (c->sum[j] * scale);
}

/* --- the last phase --- */

static uint32_t
pieces_of(uint32_t n)
{
	return n / PIR_CLUSTER_PIECE + (n % PIR_CLUSTER_PIECE != 0);
}

/* Order 'order' by list; fills 'start'. */
static void
sort_rows(PirClustering *c)
{
	uint32_t	k = c->ncentres;

	memset(c->start, 0, (k + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < c->spec.nrows; i++)
		c->start[c->list[i] + 1]++;
	for (uint32_t j = 0; j < k; j++)
		c->start[j + 1] += c->start[j];
	for (uint32_t i = 0; i < c->spec.nrows; i++)
		c->order[c->start[c->list[i]]++] = i;
	memmove(c->start + 1, c->start, k * sizeof(uint32_t));
	c->start[0] = 0;
}

/* Group the centres: group_members by group[]. */
static void
sort_groups(PirClustering *c)
{
	memset(c->group_start, 0, (c->ngroups + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < c->ncentres; i++)
		c->group_start[c->group[i] + 1]++;
	for (uint32_t g = 0; g < c->ngroups; g++)
		c->group_start[g + 1] += c->group_start[g];
	for (uint32_t i = 0; i < c->ncentres; i++)
		c->group_members[c->group_start[c->group[i]]++] = i;
	memmove(c->group_start + 1, c->group_start, c->ngroups * sizeof(uint32_t));
	c->group_start[0] = 0;
}

/* The groups whose centres are nearest to centre 'i', at most 'max', its own first. */
static uint32_t
near_groups(const PirClustering *c, uint32_t i, uint32_t *groups, uint32_t max)
{
	float		dists[PIR_CLUSTER_NEAR_GROUPS];
	uint32_t	n = 0;

	for (uint32_t g = 0; g < c->ngroups; g++)
	{
		float		dist = -1;
		uint32_t	at;

		if (g != c->group[i])
			dist = pir_kernels->l2sq_f32(pir_cluster_centre(c, i),
										 c->group_centres + (size_t) g * c->spec.dim, c->spec.dim);
		if (n == max && !(dist < dists[n - 1]))
			continue;
		at = n < max ? n++ : n - 1;
		for (; at > 0 && dist < dists[at - 1]; at--)
		{
			dists[at] = dists[at - 1];
			groups[at] = groups[at - 1];
		}
		dists[at] = dist;
		groups[at] = g;
	}
	return n;
}

/* Keep the candidates that are nearest so far: a max-heap by distance. */
static void
offer(float *dists, uint32_t *ids, uint32_t *n, uint32_t max, float dist, uint32_t id)
{
	uint32_t	at;

	if (*n < max)
	{
		for (at = (*n)++; at > 0 && dist > dists[(at - 1) / 2]; at = (at - 1) / 2)
		{
			dists[at] = dists[(at - 1) / 2];
			ids[at] = ids[(at - 1) / 2];
		}
	}
	else
	{
		if (!(dist < dists[0]))
			return;
		at = 0;
		for (;;)
		{
			uint32_t	child = 2 * at + 1;

			if (child >= *n)
				break;
			if (child + 1 < *n && dists[child + 1] > dists[child])
				child++;
			if (!(dists[child] > dist))
				break;
			dists[at] = dists[child];
			ids[at] = ids[child];
			at = child;
		}
	}
	dists[at] = dist;
	ids[at] = id;
}

/* Neighbours of one centre: itself, and the nearest others. */
static void
neighbours_of_centre(void *state, uint32_t i, uint32_t worker)
{
	PirClustering *c = state;
	const float *centre = pir_cluster_centre(c, i);
	float	   *dists = c->near_dist + (size_t) worker * c->nneighbours;
	uint32_t   *out = c->neighbours + (size_t) i * c->nneighbours;
	uint32_t	found = 0;
	uint32_t	want = c->nneighbours - 1;

	out[0] = i;
	if (c->ngroups == 0)
	{
		for (uint32_t j = 0; j < c->ncentres && want > 0; j++)
		{
			if (j != i)
				offer(dists, out + 1, &found, want,
					  pir_kernels->l2sq_f32(centre, pir_cluster_centre(c, j), c->spec.dim), j);
		}
	}
	else
	{
		uint32_t	groups[PIR_CLUSTER_NEAR_GROUPS];
		uint32_t	n = near_groups(c, i, groups, PIR_CLUSTER_NEAR_GROUPS);

		for (uint32_t g = 0; g < n; g++)
		{
			for (uint32_t m = c->group_start[groups[g]]; m < c->group_start[groups[g] + 1]; m++)
			{
				uint32_t	j = c->group_members[m];

				if (j != i)
					offer(dists, out + 1, &found, want,
						  pir_kernels->l2sq_f32(centre, pir_cluster_centre(c, j), c->spec.dim), j);
			}
		}
	}
	for (found++; found < c->nneighbours; found++)
		out[found] = i;
}

/* Compare a piece of the rows with the neighbours of their centres. */
static void
move_piece(void *state, uint32_t piece, uint32_t worker)
{
	PirClustering *c = state;
	uint32_t	end = (piece + 1) * PIR_CLUSTER_PIECE;

	if (end > c->spec.nrows)
		end = c->spec.nrows;
	/* in the order of lists: the centres compared stay in the cache */
	for (uint32_t at = piece * PIR_CLUSTER_PIECE; at < end; at++)
	{
		uint32_t	i = c->order[at];
		const float *row = pir_cluster_row(c, i, worker);
		const uint32_t *neighbours = c->neighbours + (size_t) c->list[i] * c->nneighbours;
		float		best = INFINITY;
		uint32_t	list = c->list[i];

		for (uint32_t j = 0; j < c->nneighbours; j++)
		{
			float		dist = pir_kernels->l2sq_f32(row, pir_cluster_centre(c, neighbours[j]), c->spec.dim);

			if (dist < best)
			{
				best = dist;
				list = neighbours[j];
			}
		}
		c->dist[i] = best;
		c->list[i] = list;
	}
}

/*
 * A centre without rows takes the row that is farthest from its own. False if
 * every row is equal to its centre: there are no further values.
 */
static bool
reseed(PirClustering *c, uint32_t centre)
{
	uint32_t	farthest = 0;

	for (uint32_t i = 1; i < c->spec.nrows; i++)
	{
		if (c->dist[i] > c->dist[farthest])
			farthest = i;
	}
	if (!(c->dist[farthest] > 0))
		return false;
	memcpy(pir_cluster_centre(c, centre), pir_cluster_row(c, farthest, 0),
		   c->spec.dim * sizeof(float));
	c->list[farthest] = centre;
	c->dist[farthest] = 0;
	if (c->ngroups > 0)
	{
		float		best = INFINITY;

		for (uint32_t g = 0; g < c->ngroups; g++)
		{
			float		dist = pir_kernels->l2sq_f32(pir_cluster_centre(c, centre),
													 c->group_centres + (size_t) g * c->spec.dim,
													 c->spec.dim);

			if (dist < best)
			{
				best = dist;
				c->group[centre] = g;
			}
		}
	}
	return true;
}

/* Means of the lists. Rows that were taken for an empty list count there only in the next round. */
static void
move_centres(PirClustering *c)
{
	for (uint32_t j = 0; j < c->ncentres; j++)
		pir_cluster_mean(c, c->order + c->start[j], c->start[j + 1] - c->start[j],
						 pir_cluster_centre(c, j));
}

/* Drop the centres that no row has. */
static void
drop_empty(PirClustering *c)
{
	uint32_t	kept = 0;

	for (uint32_t j = 0; j < c->ncentres; j++)
	{
		if (c->start[j] == c->start[j + 1])
			continue;
		if (kept != j)
			memmove(pir_cluster_centre(c, kept), pir_cluster_centre(c, j), c->spec.dim * sizeof(float));
		kept++;
	}
	c->ncentres = kept;
}

static uint32_t
refine(PirClustering *c)
{
	uint32_t	max_rounds = c->spec.max_rounds > 0 ? c->spec.max_rounds : PIR_CLUSTER_DEFAULT_ROUNDS;
	uint32_t	enough = (uint32_t) (c->spec.nrows * ENOUGH);
	uint32_t	round = 0;
	bool		more = true;
	uint32_t   *before = c->spare;	/* lists before the round */

	sort_rows(c);
	while (more && round < max_rounds)
	{
		uint32_t	moved = 0;

		round++;
		move_centres(c);
		if (c->ngroups > 0)
			sort_groups(c);
		pir_cluster_run(c, neighbours_of_centre, c, c->ncentres);
		memcpy(before, c->list, c->spec.nrows * sizeof(uint32_t));
		pir_cluster_run(c, move_piece, c, pieces_of(c->spec.nrows));
		for (uint32_t i = 0; i < c->spec.nrows; i++)
			moved += c->list[i] != before[i];
		more = moved > enough;

		/* reseeding changes lists, and may empty one more: look at it again then */
		sort_rows(c);
		for (uint32_t j = 0; j < c->ncentres; j++)
		{
			if (c->start[j] == c->start[j + 1] && round < max_rounds && reseed(c, j))
				more = true;
		}
		sort_rows(c);
	}
	move_centres(c);
	drop_empty(c);
	return round;
}

void
pir_cluster_train(const PirClusterSpec *spec, const PirClusterRows *rows, const PirClusterHost *host,
				  float *centres, void *memory, PirClusterResult *result)
{
	PirClustering c = {.spec = *spec, .rows = rows, .host = host, .random = spec->seed, .centres = centres};
	Carver		carver = {.base = memory};

	memset(result, 0, sizeof(*result));
	if (spec->nrows == 0)
		return;
	lay_out(&c, &carver);
	pir_cluster_seed(&c);
	result->rounds = refine(&c);
	for (uint32_t i = 0; i < spec->nrows; i++)
		result->residual += c.dist[i] <= FLT_MAX ? c.dist[i] : FLT_MAX;
	result->residual /= spec->nrows;
	result->nlists = c.ncentres;
}
