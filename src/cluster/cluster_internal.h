/*-------------------------------------------------------------------------
 *
 * cluster_internal.h
 *	  What the files of this folder share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_CLUSTER_INTERNAL_H
#define PIR_CLUSTER_INTERNAL_H

#include "cluster/cluster.h"

/* Lists from which centres are sought in two levels */
#define PIR_CLUSTER_TWO_LEVELS		256

/* Centres that a row is compared with in a round of the last phase */
#define PIR_CLUSTER_NEIGHBOURS		64

/* Groups in which the neighbours of a centre are sought */
#define PIR_CLUSTER_NEAR_GROUPS		16

/* Rows of one piece */
#define PIR_CLUSTER_PIECE			512

#define PIR_CLUSTER_DEFAULT_ROUNDS	5

/* A clustering in progress. Arrays are slices of the caller's memory. */
typedef struct PirClustering
{
	PirClusterSpec spec;
	const PirClusterRows *rows;
	const PirClusterHost *host;
	uint64_t	random;			/* state of SplitMix64 */

	float	   *centres;		/* spec.nlists x dim */
	uint32_t	ncentres;

	/* by row */
	uint32_t   *list;			/* centre it belongs to */
	float	   *dist;			/* its squared distance from that */
	uint32_t   *order;			/* row numbers, ordered by list where 'start' says so */

	/* by centre */
	uint32_t   *start;			/* slice of 'order': start[c] .. start[c + 1] - 1 */
	uint32_t   *neighbours;		/* nneighbours of each, itself first */
	uint32_t	nneighbours;
	uint32_t   *group;			/* group of each centre */

	/* two levels: groups of centres */
	uint32_t	ngroups;		/* 0 with one level */
	float	   *group_centres;
	uint32_t   *group_start;	/* slice of group_members */
	uint32_t   *group_members;	/* centres, ordered by group */

	float	   *scratch;		/* dim floats for each worker */
	double	   *sum;			/* dim */
	float	   *near_dist;		/* nneighbours for each worker */
	uint32_t   *spare;			/* room for a number for each row */
} PirClustering;

static inline const float *
pir_cluster_row(const PirClustering *c, uint32_t i, uint32_t worker)
{
	return c->rows->row(c->rows->arg, i, c->scratch + (size_t) worker * c->spec.dim);
}

static inline float *
pir_cluster_centre(const PirClustering *c, uint32_t i)
{
	return c->centres + (size_t) i * c->spec.dim;
}

/* --- cluster.c --- */

extern void pir_cluster_run(PirClustering *c, PirClusterPiece piece, void *state, uint32_t npieces);
extern double pir_cluster_uniform(PirClustering *c);

/*
 * Mean of the rows ids[0 .. n - 1] (of unit length if spherical) to *out. If
 * there is none, for n = 0 or because the rows cancel each other, *out stays.
 */
extern void pir_cluster_mean(PirClustering *c, const uint32_t *ids, uint32_t n, float *out);

/* --- cluster_seed.c --- */

/*
 * k-means++ and a few plain rounds among the rows ids[0 .. n - 1]: at most k
 * centres to out, returns their number (0 only if n is). Sets list (base + 0,
 * 1 ...) and dist of these rows.
 */
extern uint32_t pir_cluster_plain(PirClustering *c, const uint32_t *ids, uint32_t n, uint32_t k,
								  uint32_t base, uint32_t rounds, float *out);

/* First centres for all rows, in one level or two; fills list, dist and groups. */
extern void pir_cluster_seed(PirClustering *c);

#endif							/* PIR_CLUSTER_INTERNAL_H */
