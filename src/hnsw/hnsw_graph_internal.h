/*-------------------------------------------------------------------------
 *
 * hnsw_graph_internal.h
 *	  What search and construction of a graph in memory share; nobody else
 *	  includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_GRAPH_INTERNAL_H
#define PIR_HNSW_GRAPH_INTERNAL_H

#include <string.h>

#include "hnsw/hnsw_graph.h"

/* Cache lines of an item that are prefetched; the hardware follows the rest. */
#define PREFETCH_LINES		8

/*
 * Most reverse edges that enter one selection together with the old list; a
 * node that got more in one batch has them selected in several rounds.
 */
#define PIR_HNSW_REVERSE_CHUNK		256

/*
 * What one running search needs. The pool holds the best nodes seen so far,
 * ascending, as keys (pack_key) whose lowest bit tells whether the node was
 * expanded.
 */
typedef struct PirHnswSearcher
{
	uint8_t    *epoch;			/* 1: current mark in 'visited' */
	uint8_t    *visited;		/* n */
	uint64_t   *pool;			/* max(ef, cap) */
	uint64_t   *fresh;			/* cap: accepted in one expansion */
	const void **items;			/* cap */
	uint32_t   *nodes;			/* cap */
	float	   *dists;			/* cap */
	PirHnswCandidate *cands;	/* max(ef, cap + PIR_HNSW_REVERSE_CHUNK) */
	PirQuantQuery *query;
	void	   *select_scratch;
} PirHnswSearcher;

/* ------------------------------------------------------------------------
 *	Keys
 * ------------------------------------------------------------------------
 */

/*
 * Distance, node and a spare bit as one integer that sorts by distance, then
 * node. Finite floats compare like their bits once negative ones are
 * inverted and the others get the top bit.
 */
static inline uint64_t
pack_key(float dist, uint32_t node)
{
	uint32_t	bits;

	dist += 0.0f;				/* -0 becomes +0 */
	memcpy(&bits, &dist, sizeof(bits));
	bits = (bits & UINT32_C(0x80000000)) ? ~bits : bits | UINT32_C(0x80000000);
	return ((uint64_t) bits << 32) | ((uint64_t) node << 1);
}

static inline float
key_dist(uint64_t key)
{
	uint32_t	bits = (uint32_t) (key >> 32);
	float		dist;

	bits = (bits & UINT32_C(0x80000000)) ? bits & ~UINT32_C(0x80000000) : ~bits;
	memcpy(&dist, &bits, sizeof(dist));
	return dist;
}

static inline uint32_t
key_node(uint64_t key)
{
	return ((uint32_t) key) >> 1;
}

#define PIR_HNSW_KEY_EXPANDED	UINT64_C(1)

/* ------------------------------------------------------------------------
 *	Access
 * ------------------------------------------------------------------------
 */
static inline const uint8_t *
node_item(const PirHnswGraph *graph, uint32_t node)
{
	return graph->items + (size_t) node * graph->item_stride;
}

static inline uint32_t *
node_edges(const PirHnswGraph *graph, uint32_t node)
{
	return graph->edges + (size_t) node * graph->cap;
}

static inline void
prefetch_item(const PirHnswGraph *graph, uint32_t node)
{
	const uint8_t *item = node_item(graph, node);
	size_t		size = graph->item_stride;

	if (size > PREFETCH_LINES * 64)
		size = PREFETCH_LINES * 64;
	for (size_t at = 0; at < size; at += 64)
		__builtin_prefetch(item + at);
}

/* ------------------------------------------------------------------------
 *	Memory
 * ------------------------------------------------------------------------
 */

/* Take 'size' bytes at *offset of 'base'; base may be NULL to only count. */
static inline void *
carve(uint8_t *base, size_t *offset, size_t size)
{
	size_t		at = *offset;

	*offset = at + ((size + 63) & ~(size_t) 63);
	return base == NULL ? NULL : base + at;
}

/* --- hnsw_graph_search.c --- */

/*
 * Lay a searcher over 'base'; returns the bytes it takes. 'base' may be NULL
 * to only count.
 */
extern size_t pir_hnsw_searcher_layout(PirHnswSearcher *s, uint8_t *base, const PirQuant *quant,
									   uint32_t n, int cap, int ef);

/* Forget the visited marks of a graph of n nodes. */
extern void pir_hnsw_searcher_begin(PirHnswSearcher *s, uint32_t n);

/*
 * Merge a few keys, in any order, into a pool of *count keys with room for
 * ef; the farthest fall out. Returns the smallest position that changed.
 */
extern int	pir_hnsw_pool_merge(uint64_t *pool, int *count, int ef, uint64_t *fresh, int nfresh);

/*
 * Best-first search from the nodes already in the pool (ascending, *count of
 * them, visited marked). The pool is the result.
 */
extern void pir_hnsw_pool_search(const PirHnswGraph *graph, PirHnswSearcher *s,
								 const PirQuantQuery *query, int ef, int *count);

/*
 * Keep the best 'max' of the given nodes in 'best', ascending; returns how
 * many there are.
 */
extern int	pir_hnsw_pool_best_of(const PirHnswGraph *graph, PirHnswSearcher *s,
								  const PirQuantQuery *query, const uint32_t *nodes, int nnodes,
								  uint64_t *best, int max);

/* The keys of a pool as candidates. */
extern void pir_hnsw_pool_candidates(const PirHnswGraph *graph, const uint64_t *pool, int count,
									 PirHnswCandidate *out);

#endif							/* PIR_HNSW_GRAPH_INTERNAL_H */
