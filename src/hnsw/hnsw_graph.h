/*-------------------------------------------------------------------------
 *
 * hnsw_graph.h
 *	  The graph as an algorithm: neighbour selection, and construction of a
 *	  whole graph in memory. Knows codes (quant/), not pages.
 *
 * Host-free like quant/: no PostgreSQL header, no allocation, no error
 * reporting; arrays come from the caller, long loops call a poll callback.
 * hnsw_build.c writes the result to pages; hnsw_insert.c and hnsw_vacuum.c
 * use the selection on single nodes.
 *
 * See README.md section 4 for the algorithms and where they differ from the
 * papers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_GRAPH_H
#define PIR_HNSW_GRAPH_H

#include "quant/quant.h"

/*
 * An edge is the number of the node it leads to. The top bit marks an anchor:
 * the one in-link of that node which pruning may never remove (README.md,
 * "Anchors").
 */
#define PIR_EDGE_ANCHOR		UINT32_C(0x80000000)
#define PIR_EDGE_NODE(e)	((e) & ~PIR_EDGE_ANCHOR)
#define PIR_NODE_NONE		UINT32_C(0x7FFFFFFF)

/* alpha of the second selection pass, on search distances */
#define PIR_HNSW_ALPHA		1.2f

/*
 * Anchors that construction puts into one list of capacity 'cap'; the rest of
 * the list stays free for the edges that searches want. At least 2, or the
 * anchors could only form a chain; single inserts may go up to cap / 2.
 */
#define PIR_HNSW_MAX_ANCHORS(cap)	((cap) / 4 > 2 ? (cap) / 4 : 2)

/* A candidate neighbour of some base node. */
typedef struct PirHnswCandidate
{
	float		dist;			/* search distance from the base node */
	uint32_t	node;			/* node number; may carry PIR_EDGE_ANCHOR (kept always) */
	const void *item;			/* its code item */
} PirHnswCandidate;

/*
 * Choose at most 'max' of n candidates as neighbours of the node with item
 * 'base', in place: the chosen ones are moved to the front, nearest first, and
 * their number is returned (the rest follows in unspecified order).
 * Candidates marked PIR_EDGE_ANCHOR are kept whatever the rule says (the
 * caller guarantees there are at most max of them). For the others, nearest
 * first: keep v unless a kept u nearer than v has d(u,v) <= d(base,v); then a
 * second pass over the rest keeps v unless a kept u nearer than v has
 * ALPHA * d(u,v) <= d(base,v). Here d is the search distance, but for
 * PIR_METRIC_IP 1 - cos, computed from codes, while "nearest" still goes by
 * inner product (README.md, "Selection"). Ties are broken by node
 * number, so the result does not depend on the order of the input. At most
 * n * max code distances, and n + 1 more for PIR_METRIC_IP.
 *
 * 'base' is read for PIR_METRIC_IP only. Memory: scratch of
 * pir_hnsw_select_scratch_size(quant, n), 16-byte aligned, contents
 * irrelevant. max and n below 65533.
 */
extern size_t pir_hnsw_select_scratch_size(const PirQuant *quant, int n);
extern int	pir_hnsw_select(const PirQuant *quant, const void *base, PirHnswCandidate *cands,
							int n, int max, void *scratch);

/* Called now and then with the count of nodes done; may longjmp away. */
typedef void (*PirHnswPoll) (void *arg, uint32_t done, uint32_t total);

typedef struct PirHnswGraph
{
	const PirQuant *quant;
	uint32_t	n;				/* nodes */
	uint16_t	m;				/* neighbours chosen for a new node */
	uint16_t	cap;			/* capacity of a list: 2 m */
	uint16_t	ef;				/* ef_construction */
	const uint8_t *items;		/* node i's code item at items + i * item_stride */
	size_t		item_stride;
	uint8_t    *nedges;			/* n */
	uint32_t   *edges;			/* n * cap */
	PirHnswPoll poll;
	void	   *poll_arg;
} PirHnswGraph;

/*
 * Bytes of working memory for a graph of at most n nodes, beside items,
 * nedges and edges. One zero-filled block, 16-byte aligned. The same block
 * then serves pir_hnsw_graph_search() with an ef up to this one, and
 * pir_hnsw_graph_order().
 */
extern size_t pir_hnsw_graph_scratch_size(const PirQuant *quant, uint32_t n, uint16_t m, uint16_t ef);

/*
 * Build all edges. Nodes are inserted in batches (1, 2, 4, 8, 16, 16, ...,
 * 2 % of those already in once that is more): each node of a batch searches the graph as it was before
 * the batch, then the reverse edges are sorted by target and each full list
 * is pruned once. The result depends on the input only, not on who would run
 * the searches of a batch. Afterwards no node is without in-links, every node
 * can be reached from node 0 along anchors, and every node but node 0 has
 * exactly one anchor in-link.
 */
extern void pir_hnsw_graph_build(PirHnswGraph *graph, void *scratch);

/*
 * The same by several processes on shared memory. 'graph' of each member
 * points to the same items, nedges and edges (perhaps at other addresses) and
 * to a quantizer of its own; 'shared' is common, of shared_size bytes;
 * 'own' is each member's, zero-filled, of private_size bytes. Both are
 * 64-byte aligned. The result is that of pir_hnsw_graph_build(), whatever the
 * number of members.
 *
 * The first team->barrier() is reached by member 0 after a while of working
 * alone; all members must call this function, with the same graph.
 */
typedef struct PirHnswTeam
{
	int			member;			/* 0 is the leader */
	void		(*barrier) (void *arg); /* wait for all members; may longjmp away */
	void	   *arg;
} PirHnswTeam;

extern size_t pir_hnsw_graph_shared_size(uint32_t n, uint16_t m);
extern size_t pir_hnsw_graph_private_size(const PirQuant *quant, uint32_t n, uint16_t m, uint16_t ef);
extern void pir_hnsw_graph_build_team(PirHnswGraph *graph, void *shared, void *own,
									  const PirHnswTeam *team);

/*
 * Nearest nodes of a prepared query in the finished or growing graph, from
 * given entry nodes (distinct): fills 'out' (capacity ef) nearest first, returns count.
 * 'scratch' is that of a build, or for searches alone a block of
 * pir_hnsw_graph_search_scratch_size() bytes, 64-byte aligned, zero at first.
 */
extern size_t pir_hnsw_graph_search_scratch_size(const PirQuant *quant, uint32_t n, int cap, int ef);
extern int	pir_hnsw_graph_search(const PirHnswGraph *graph, const PirQuantQuery *query,
								  const uint32_t *entries, int nentries, int ef,
								  PirHnswCandidate *out, void *scratch);

/*
 * Placement: order[i] = node to be stored at position i, so that groups of
 * 'per_page' consecutive positions hold nodes that link to each other or are
 * linked to by the same nodes. A permutation of 0..n-1. Linear in n * cap^2.
 */
extern void pir_hnsw_graph_order(const PirHnswGraph *graph, uint32_t per_page,
								 uint32_t *order, void *scratch);

/* What pir_hnsw_graph_order() needs of 'scratch'; never more than for building. */
extern size_t pir_hnsw_graph_order_scratch_size(uint32_t n);

/* How many entry nodes an index of n nodes with items of item_size bytes keeps. */
extern uint32_t pir_hnsw_entry_target(uint32_t n, size_t item_size);

/* ------------------------------------------------------------------------
 *	Graphs in parts (README.md, "Shards")
 *
 *	Functions that work on lo .. hi - 1 may be called by any number of
 *	processes on disjoint ranges; 'own' is each caller's, zero-filled and
 *	64-byte aligned, of pir_hnsw_graph_private_size(quant, graph's n, m, ef).
 *	The result does not depend on who did which range.
 * ------------------------------------------------------------------------
 */

/* Items that are looked for in a finished graph which they are not part of. */
typedef struct PirHnswQueries
{
	uint32_t	n;
	const uint8_t *items;		/* query i's item at items + i * item_stride of the graph */
	uint16_t	ef;				/* width of the search; at most the graph's ef */
	uint16_t	max;			/* nodes wanted for each; at most ef */
	bool		select;			/* chosen as neighbours, else just the nearest */
	uint32_t   *found;			/* n * max nodes, nearest first */
	uint16_t   *nfound;			/* n */
} PirHnswQueries;

extern void pir_hnsw_graph_find(const PirHnswGraph *graph, const PirHnswQueries *queries,
								uint32_t lo, uint32_t hi, void *own);

/* Longest list that pir_hnsw_graph_choose() takes, for lists of capacity cap */
#define PIR_HNSW_CHOOSE_MAX(cap)	((uint32_t) (cap) + 256)

/*
 * Lists of candidates, to be cut down to 'cap' neighbours each. Nodes are
 * positions in 'items'; ties between equally distant ones go to the lower.
 */
typedef struct PirHnswLists
{
	uint32_t	n;
	uint16_t	cap;			/* of a list: 2 m */
	const uint8_t *items;
	size_t		item_stride;
	const uint32_t *base;		/* n: whose list it is */
	const uint32_t *start;		/* n: where it begins in 'nodes' */
	uint32_t   *count;			/* n: up to PIR_HNSW_CHOOSE_MAX, set to what was chosen */
	uint32_t   *nodes;			/* chosen ones to the front; PIR_EDGE_ANCHOR stays, is kept */
} PirHnswLists;

extern void pir_hnsw_graph_choose(const PirQuant *quant, const PirHnswLists *lists,
								  uint32_t lo, uint32_t hi, void *own);

/*
 * Divide n nodes with weights into groups of neighbours, none heavier than
 * 'capacity' unless it is a single node, by halving again and again where the
 * difference of the distances from two centres lets the weights be halved.
 * group[i] becomes the number of node i's group; those of neighbouring groups
 * follow each other. Returns the number of groups. About 14 n log2(groups)
 * distances. Memory: pir_hnsw_graph_divide_scratch_size(), 64-byte aligned.
 */
extern size_t pir_hnsw_graph_divide_scratch_size(const PirQuant *quant, uint32_t n);
extern uint32_t pir_hnsw_graph_divide(const PirQuant *quant, const uint8_t *items, size_t item_stride,
									  const uint64_t *weights, uint32_t n, uint64_t capacity,
									  uint32_t *group, void *scratch);

#endif							/* PIR_HNSW_GRAPH_H */
