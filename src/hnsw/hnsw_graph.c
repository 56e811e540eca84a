/*-------------------------------------------------------------------------
 *
 * hnsw_graph.c
 *	  Construction of a graph in memory, in batches.
 *
 * Construction inserts the nodes in a fixed pseudo-random order, batch by
 * batch. A batch has these steps; "any" may be done by any number of workers
 * on disjoint ranges, with a barrier between steps, and gives the same bytes:
 *
 *	  find_entries	 any, by node	  best of the entry sample, for each node
 *	  arrange_batch	 one			  nodes with the same entry side by side
 *	  search_batch	 any, by node	  search the frozen graph, choose m
 *	  assign_anchors one			  one anchor each; list the reverse edges
 *	  sort_reverse	 one			  by target
 *	  apply_reverse	 any, by target	  append, or prune the list once
 *
 * A worker needs its own PirHnswSearcher; all else is the graph and the arrays of
 * Builder, of which every process can lay its own view over shared memory.
 *
 * See README.md section 4 for the reasons.
 *
 *-------------------------------------------------------------------------
 */
#include "hnsw/hnsw_graph_internal.h"

/* Entry sample of a growing graph, and how many of it start a search. */
#define BUILD_SAMPLE		128
#define BUILD_ENTRIES		4

/*
 * A batch has at most 1 / BATCH_FRACTION of the nodes already in, but
 * BATCH_MIN are allowed from the start (never more than are in).
 */
#define BATCH_FRACTION		50
#define BATCH_MIN			16

/* Steps towards the nearest child, before the search for a parent goes at random. */
#define GREEDY_DESCENTS		8

/* An in-degree that needs no help (README.md, "Anchors"). */
#define ENOUGH_IN_LINKS		2

/* Nodes between two calls of the poll callback. */
#define POLL_INTERVAL		64

/* A new edge target -> source, seen from the batch's node 'source'. */
typedef struct ReverseEdge
{
	uint32_t	target;
	uint32_t	source;			/* PIR_EDGE_ANCHOR set if it is source's anchor */
	float		dist;
} ReverseEdge;

/* What the members of a team tell each other; in the shared part of scratch. */
typedef struct TeamState
{
	uint32_t	nreverse;		/* leader's result of step 4 */
	uint32_t	next[3];		/* next piece of work of steps 1, 3 and 6 */
} TeamState;

/* Pieces of work in those steps: batch nodes, batch nodes, reverse edges */
#define PIECE_ENTRIES	64
#define PIECE_SEARCH	16
#define PIECE_REVERSE	256

/* Below this many nodes the leader works alone: a barrier would cost more. */
#define TEAM_MIN_NODES	4096

/* What all steps of construction share. */
typedef struct Builder
{
	PirHnswGraph *graph;
	PirHnswSearcher	searcher;		/* of this process */
	TeamState  *state;

	/* by node */
	uint32_t   *order;			/* n: nodes in order of insertion */
	uint8_t    *nanchors;		/* n: anchors in the list, or on their way into it */
	uint32_t   *counts;			/* n: 1 + first pending child's batch index; in-degrees at the end */

	/* of the batch */
	uint32_t	frozen;			/* nodes inserted before it */
	uint32_t	nbatch;
	uint64_t   *entries;		/* max batch x BUILD_ENTRIES: keys, ascending */
	uint64_t   *arranged;		/* max batch x BUILD_ENTRIES: for arrange_batch */
	float	   *own_dists;		/* max batch x m: distances of the chosen */
	uint32_t   *sibling;		/* max batch: 1 + next pending child of the same parent */
	ReverseEdge *reverse;		/* max batch x (m + 1) */
	ReverseEdge *reverse_tmp;	/* same, for sorting */
	uint32_t	nreverse;
} Builder;

/* A well mixed function of 64 bits (splitmix64's finisher). */
static inline uint64_t
mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xBF58476D1CE4E5B9);
	x ^= x >> 27;
	x *= UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/* Size of the batch after 'frozen' nodes: 1, 2, 4, ..., then a fraction. */
static inline uint32_t
batch_size(uint32_t frozen)
{
	uint32_t	size = frozen / BATCH_FRACTION;

	if (size < BATCH_MIN)
		size = BATCH_MIN;
	return size < frozen ? size : frozen;
}

/* ------------------------------------------------------------------------
 *	Memory
 * ------------------------------------------------------------------------
 */

/* Lay the part of a Builder that a team shares over 'base'. */
static size_t
layout_shared(Builder *b, uint8_t *base, uint32_t n, int m)
{
	size_t		offset = 0;
	size_t		batch = batch_size(n);

	b->state = carve(base, &offset, sizeof(*b->state));
	b->order = carve(base, &offset, sizeof(*b->order) * (size_t) n);
	b->nanchors = carve(base, &offset, n);
	b->counts = carve(base, &offset, sizeof(*b->counts) * (size_t) n);
	b->entries = carve(base, &offset, sizeof(*b->entries) * batch * BUILD_ENTRIES);
	b->arranged = carve(base, &offset, sizeof(*b->arranged) * batch * BUILD_ENTRIES);
	b->own_dists = carve(base, &offset, sizeof(*b->own_dists) * batch * (size_t) m);
	b->sibling = carve(base, &offset, sizeof(*b->sibling) * batch);
	b->reverse = carve(base, &offset, sizeof(*b->reverse) * batch * (size_t) (m + 1));
	b->reverse_tmp = carve(base, &offset, sizeof(*b->reverse) * batch * (size_t) (m + 1));
	return offset;
}

size_t
pir_hnsw_graph_private_size(const PirQuant *quant, uint32_t n, uint16_t m, uint16_t ef)
{
	PirHnswSearcher s;

	return pir_hnsw_searcher_layout(&s, NULL, quant, n, 2 * m, ef);
}

size_t
pir_hnsw_graph_shared_size(uint32_t n, uint16_t m)
{
	Builder		b;

	return layout_shared(&b, NULL, n, m);
}

size_t
pir_hnsw_graph_scratch_size(const PirQuant *quant, uint32_t n, uint16_t m, uint16_t ef)
{
	size_t		build = pir_hnsw_graph_private_size(quant, n, m, ef) + pir_hnsw_graph_shared_size(n, m);
	size_t		order = pir_hnsw_graph_order_scratch_size(n);

	return build > order ? build : order;
}

/* ------------------------------------------------------------------------
 *	Construction: the steps of a batch
 * ------------------------------------------------------------------------
 */

/* Call back, if asked to. */
static inline void
poll_progress(const PirHnswGraph *graph, uint32_t done)
{
	if (graph->poll != NULL)
		graph->poll(graph->poll_arg, done, graph->n);
}

/*
 * Order of insertion: node 0 first, since all anchors hang from it, then a
 * fixed pseudo-random permutation. Random, because nodes of one batch do not
 * see each other: rows that arrive sorted by topic would put whole clusters
 * into one batch and leave them without links among themselves.
 */
static void
init_order(Builder *b)
{
	uint32_t	n = b->graph->n;
	uint64_t	state = 0;

	for (uint32_t i = 0; i < n; i++)
		b->order[i] = i;
	for (uint32_t i = n - 1; i > 1; i--)
	{
		/* a multiply maps 32 random bits to 0 .. i - 1 */
		uint64_t	random = mix64(state += UINT64_C(0x9E3779B97F4A7C15)) >> 32;
		uint32_t	j = 1 + (uint32_t) ((random * i) >> 32);
		uint32_t	moved = b->order[i];

		b->order[i] = b->order[j];
		b->order[j] = moved;
	}
}

/* Step 1, any worker, batch nodes lo .. hi-1: the best of the entry sample. */
static void
find_entries(const Builder *b, PirHnswSearcher *s, uint32_t lo, uint32_t hi)
{
	const PirHnswGraph *graph = b->graph;
	int			nsample = b->frozen < BUILD_SAMPLE ? (int) b->frozen : BUILD_SAMPLE;

	for (uint32_t i = lo; i < hi; i++)
	{
		uint64_t   *best = b->entries + (size_t) i * BUILD_ENTRIES;
		PirQuantQuery *query;
		int			count;

		query = pir_quant_prepare_item(graph->quant, node_item(graph, b->order[b->frozen + i]), s->query);
		count = pir_hnsw_pool_best_of(graph, s, query, b->order, nsample, best, BUILD_ENTRIES);
		while (count < BUILD_ENTRIES)
			best[count++] = UINT64_MAX;
	}
}

/*
 * Step 2, one worker: sort the batch by best entry node, so that searches
 * that run one after another touch the same codes and lists.
 */
static void
arrange_batch(Builder *b)
{
	uint32_t   *nodes = b->order + b->frozen;
	uint32_t   *position = b->sibling;	/* free until step 4 */
	uint32_t	start[BUILD_SAMPLE + 1] = {0};
	uint32_t	nsample = b->frozen < BUILD_SAMPLE ? b->frozen : BUILD_SAMPLE;

	/* counts[node]: which sample node it is; zeroed again below */
	for (uint32_t i = 0; i < nsample; i++)
		b->counts[b->order[i]] = i;
	for (uint32_t i = 0; i < b->nbatch; i++)
		start[b->counts[key_node(b->entries[(size_t) i * BUILD_ENTRIES])] + 1]++;
	for (uint32_t i = 0; i < nsample; i++)
		start[i + 1] += start[i];
	for (uint32_t i = 0; i < b->nbatch; i++)
	{
		uint32_t	cell = b->counts[key_node(b->entries[(size_t) i * BUILD_ENTRIES])];

		position[i] = start[cell]++;
		memcpy(b->arranged + (size_t) position[i] * BUILD_ENTRIES,
			   b->entries + (size_t) i * BUILD_ENTRIES, BUILD_ENTRIES * sizeof(uint64_t));
	}
	for (uint32_t i = 0; i < nsample; i++)
		b->counts[b->order[i]] = 0;
	memcpy(b->entries, b->arranged, sizeof(uint64_t) * (size_t) b->nbatch * BUILD_ENTRIES);

	/* 'arranged' again, now for the nodes themselves */
	for (uint32_t i = 0; i < b->nbatch; i++)
		b->arranged[position[i]] = nodes[i];
	for (uint32_t i = 0; i < b->nbatch; i++)
		nodes[i] = (uint32_t) b->arranged[i];
}

/*
 * Step 3, any worker, batch nodes lo .. hi-1: search the frozen graph and
 * write the chosen neighbours into the node's own list, nearest first. Nobody
 * else reads or writes the lists of these nodes, and all others only get read.
 */
static void
search_batch(const Builder *b, PirHnswSearcher *s, uint32_t lo, uint32_t hi)
{
	const PirHnswGraph *graph = b->graph;
	int			ef = graph->ef;

	for (uint32_t i = lo; i < hi; i++)
	{
		uint32_t	node = b->order[b->frozen + i];
		const uint64_t *entries = b->entries + (size_t) i * BUILD_ENTRIES;
		uint32_t   *list = node_edges(graph, node);
		PirQuantQuery *query;
		int			count = 0;

		if (i % POLL_INTERVAL == 0)
			poll_progress(graph, b->frozen + i);
		pir_hnsw_searcher_begin(s, graph->n);
		while (count < BUILD_ENTRIES && count < ef && entries[count] != UINT64_MAX)
		{
			s->pool[count] = entries[count];
			s->visited[key_node(entries[count])] = *s->epoch;
			count++;
		}
		query = pir_quant_prepare_item(graph->quant, node_item(graph, node), s->query);
		pir_hnsw_pool_search(graph, s, query, ef, &count);
		pir_hnsw_pool_candidates(graph, s->pool, count, s->cands);
		count = pir_hnsw_select(graph->quant, node_item(graph, node), s->cands, count, graph->m,
								s->select_scratch);
		for (int j = 0; j < count; j++)
		{
			list[j] = s->cands[j].node;
			b->own_dists[(size_t) i * graph->m + j] = s->cands[j].dist;
		}
		graph->nedges[node] = (uint8_t) count;
	}
}

/*
 * Find a parent for batch node i when all its neighbours have as many anchors
 * as they may: go down the tree of anchors from its nearest neighbour.
 *
 * This always ends. The tree below any node is finite, and its leaves have no
 * anchors, so room; a node is left only towards one of its children. Going to
 * the nearest child keeps the parent near. After GREEDY_DESCENTS steps the
 * child is drawn at random (by a hash), for data where the nearest child leads
 * down one long path again and again: a random descent of a tree whose inner
 * nodes have A children ends after log_A(leaves) steps on average, whatever
 * its shape, since that is the entropy of where it ends.
 *
 * The children of 'parent' are the anchors in its list and those that this
 * batch has given to it so far.
 */
static uint32_t
descend_to_parent(const Builder *b, uint32_t i, uint32_t parent, float *dist)
{
	const PirHnswGraph *graph = b->graph;
	const PirHnswSearcher *s = &b->searcher;
	uint32_t	node = b->order[b->frozen + i];
	int			max_anchors = PIR_HNSW_MAX_ANCHORS(graph->cap);
	PirQuantQuery *query = pir_quant_prepare_item(graph->quant, node_item(graph, node), s->query);

	for (int depth = 0; b->nanchors[parent] >= max_anchors; depth++)
	{
		const uint32_t *list = node_edges(graph, parent);
		int			nchildren = 0;
		uint64_t	best = UINT64_MAX;

		for (int j = 0; j < graph->nedges[parent]; j++)
			if (list[j] & PIR_EDGE_ANCHOR)
				s->nodes[nchildren++] = PIR_EDGE_NODE(list[j]);
		for (uint32_t j = b->counts[parent]; j != 0; j = b->sibling[j - 1])
			s->nodes[nchildren++] = b->order[b->frozen + j - 1];

		if (depth >= GREEDY_DESCENTS)
		{
			uint64_t	random = mix64(((uint64_t) node << 32) + (uint32_t) depth) >> 32;

			parent = s->nodes[(random * (uint32_t) nchildren) >> 32];
			continue;
		}
		for (int j = 0; j < nchildren; j++)
			s->items[j] = node_item(graph, s->nodes[j]);
		pir_quant_distance_many(graph->quant, query, s->items, nchildren, s->dists);
		for (int j = 0; j < nchildren; j++)
		{
			uint64_t	key = pack_key(s->dists[j], s->nodes[j]);

			if (key < best)
				best = key;
		}
		parent = key_node(best);
	}
	*dist = pir_quant_distance(graph->quant, query, node_item(graph, parent));
	return parent;
}

/*
 * Step 4, one worker: give each node of the batch its anchor, and list the
 * reverse edges of all.
 *
 * The anchor comes from the nearest chosen neighbour that has less than the
 * allowed number, else from below the nearest (descend_to_parent). Either way
 * the parent was attached before: so the anchors form a tree from node 0.
 */
static void
assign_anchors(Builder *b)
{
	const PirHnswGraph *graph = b->graph;
	int			max_anchors = PIR_HNSW_MAX_ANCHORS(graph->cap);

	b->nreverse = 0;
	for (uint32_t i = 0; i < b->nbatch; i++)
	{
		uint32_t	node = b->order[b->frozen + i];
		const uint32_t *list = node_edges(graph, node);
		const float *dists = b->own_dists + (size_t) i * graph->m;
		int			nedges = graph->nedges[node];
		uint32_t	parent = PIR_NODE_NONE;

		for (int j = 0; j < nedges; j++)
		{
			ReverseEdge *edge = &b->reverse[b->nreverse++];

			edge->target = list[j];
			edge->source = node;
			edge->dist = dists[j];
			if (parent == PIR_NODE_NONE && b->nanchors[list[j]] < max_anchors)
			{
				parent = list[j];
				edge->source |= PIR_EDGE_ANCHOR;
			}
		}
		if (parent == PIR_NODE_NONE)
		{
			ReverseEdge *edge = &b->reverse[b->nreverse++];

			parent = descend_to_parent(b, i, list[0], &edge->dist);
			edge->target = parent;
			edge->source = node | PIR_EDGE_ANCHOR;
		}
		b->nanchors[parent]++;
		b->sibling[i] = b->counts[parent];
		b->counts[parent] = i + 1;
	}

	/* no child is pending any more once the lists are written */
	for (uint32_t i = 0; i < b->nreverse; i++)
		b->counts[b->reverse[i].target] = 0;
}

/* Step 5, one worker: reverse edges by target, those of one target as they were. */
static void
sort_reverse(Builder *b)
{
	ReverseEdge *from = b->reverse;
	ReverseEdge *to = b->reverse_tmp;

	for (int shift = 0; shift < 32 && (b->graph->n - 1) >> shift != 0; shift += 11)
	{
		uint32_t	start[2048] = {0};
		uint32_t	sum = 0;
		ReverseEdge *swap = from;

		for (uint32_t i = 0; i < b->nreverse; i++)
			start[(from[i].target >> shift) & 2047]++;
		for (int i = 0; i < 2048; i++)
		{
			uint32_t	here = start[i];

			start[i] = sum;
			sum += here;
		}
		for (uint32_t i = 0; i < b->nreverse; i++)
			to[start[(from[i].target >> shift) & 2047]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != b->reverse)
		memcpy(b->reverse, from, sizeof(*from) * (size_t) b->nreverse);
}

/*
 * Distances from 'node' to all of its neighbours, in the order of its list,
 * into s->dists, and their items into s->items. Returns their number.
 */
static int
measure_list(const PirHnswGraph *graph, PirHnswSearcher *s, uint32_t node)
{
	const uint32_t *list = node_edges(graph, node);
	int			nedges = graph->nedges[node];
	PirQuantQuery *query;

	for (int i = 0; i < nedges; i++)
	{
		s->items[i] = node_item(graph, PIR_EDGE_NODE(list[i]));
		prefetch_item(graph, PIR_EDGE_NODE(list[i]));
	}
	query = pir_quant_prepare_item(graph->quant, node_item(graph, node), s->query);
	pir_quant_distance_many(graph->quant, query, s->items, nedges, s->dists);
	return nedges;
}

/*
 * Add edges to the list of 'node', selecting among old and new ones if they
 * do not fit. At most PIR_HNSW_REVERSE_CHUNK of them; their sources are not
 * in the list.
 */
static void
add_edges(const PirHnswGraph *graph, PirHnswSearcher *s, uint32_t node,
		  const ReverseEdge *edges, int nedges)
{
	uint32_t   *list = node_edges(graph, node);
	int			count = graph->nedges[node];

	if (count + nedges <= graph->cap)
	{
		for (int i = 0; i < nedges; i++)
			list[count++] = edges[i].source;
		graph->nedges[node] = (uint8_t) count;
		return;
	}

	measure_list(graph, s, node);
	for (int i = 0; i < count; i++)
	{
		s->cands[i].dist = s->dists[i];
		s->cands[i].node = list[i];
		s->cands[i].item = s->items[i];
	}
	for (int i = 0; i < nedges; i++)
	{
		s->cands[count].dist = edges[i].dist;
		s->cands[count].node = edges[i].source;
		s->cands[count++].item = node_item(graph, PIR_EDGE_NODE(edges[i].source));
	}
	count = pir_hnsw_select(graph->quant, node_item(graph, node), s->cands, count, graph->cap,
							s->select_scratch);
	for (int i = 0; i < count; i++)
		list[i] = s->cands[i].node;
	graph->nedges[node] = (uint8_t) count;
}

/*
 * Step 6, any worker, sorted reverse edges lo .. hi-1 (where no target spans
 * two workers): write them into the lists of their targets.
 */
static void
apply_reverse(const Builder *b, PirHnswSearcher *s, uint32_t lo, uint32_t hi)
{
	const PirHnswGraph *graph = b->graph;
	uint32_t	done = 0;

	while (lo < hi)
	{
		uint32_t	end = lo + 1;

		while (end < hi && end - lo < PIR_HNSW_REVERSE_CHUNK &&
			   b->reverse[end].target == b->reverse[lo].target)
			end++;
		add_edges(graph, s, b->reverse[lo].target, b->reverse + lo, (int) (end - lo));
		lo = end;
		if (++done % (16 * POLL_INTERVAL) == 0)
			poll_progress(graph, b->frozen + b->nbatch);
	}
}

/* ------------------------------------------------------------------------
 *	Construction: orphans
 * ------------------------------------------------------------------------
 */

static bool
has_edge(const PirHnswGraph *graph, uint32_t from, uint32_t to)
{
	const uint32_t *list = node_edges(graph, from);

	for (int i = 0; i < graph->nedges[from]; i++)
		if (PIR_EDGE_NODE(list[i]) == to)
			return true;
	return false;
}

/*
 * Give the list of 'host' an edge to 'orphan'. A full list loses its farthest
 * entry that is no anchor and whose target keeps enough in-links; if 'must',
 * of any that is no anchor: its target has its own anchor elsewhere. Returns
 * whether it was done.
 */
static bool
adopt(Builder *b, uint32_t host, uint32_t orphan, bool must)
{
	const PirHnswGraph *graph = b->graph;
	PirHnswSearcher *s = &b->searcher;
	uint32_t   *list = node_edges(graph, host);
	int			place = -1;

	if (graph->nedges[host] < graph->cap)
		place = graph->nedges[host]++;
	else
	{
		int			nedges = measure_list(graph, s, host);
		uint64_t	farthest = 0;

		for (int i = 0; i < nedges; i++)
		{
			uint64_t	key;

			if (list[i] & PIR_EDGE_ANCHOR)
				continue;
			if (!must && b->counts[list[i]] <= ENOUGH_IN_LINKS)
				continue;
			key = pack_key(s->dists[i], list[i]);
			if (place < 0 || key > farthest)
			{
				place = i;
				farthest = key;
			}
		}
		if (place < 0)
			return false;
		b->counts[list[place]]--;
	}
	list[place] = orphan;
	b->counts[orphan]++;
	return true;
}

/*
 * A node with few in-links is found by few searches. Ask its own neighbours,
 * nearest first, to link back, until it has enough. Node 0, the only one
 * without an anchor, gets one link whatever it costs.
 */
static void
adopt_orphans(Builder *b)
{
	const PirHnswGraph *graph = b->graph;
	PirHnswSearcher *s = &b->searcher;

	memset(b->counts, 0, sizeof(*b->counts) * (size_t) graph->n);
	for (uint32_t node = 0; node < graph->n; node++)
	{
		const uint32_t *list = node_edges(graph, node);

		for (int i = 0; i < graph->nedges[node]; i++)
			b->counts[PIR_EDGE_NODE(list[i])]++;
	}

	for (uint32_t node = 0; node < graph->n; node++)
	{
		const uint32_t *list = node_edges(graph, node);
		int			nhosts;
		int			count = 0;

		if (node % (256 * POLL_INTERVAL) == 0)
			poll_progress(graph, graph->n);
		if (b->counts[node] >= ENOUGH_IN_LINKS)
			continue;

		nhosts = measure_list(graph, s, node);
		for (int i = 0; i < nhosts; i++)
			s->fresh[i] = pack_key(s->dists[i], PIR_EDGE_NODE(list[i]));
		pir_hnsw_pool_merge(s->pool, &count, nhosts, s->fresh, nhosts);
		for (int i = 0; i < nhosts && b->counts[node] < ENOUGH_IN_LINKS; i++)
		{
			uint32_t	host = key_node(s->pool[i]);

			if (!has_edge(graph, host, node))
				adopt(b, host, node, b->counts[node] == 0);
		}
	}
}

/* ------------------------------------------------------------------------
 *	Construction
 * ------------------------------------------------------------------------
 */

/*
 * Take the next piece of a step's work: true with *lo and *hi, or false if
 * there is none left. Alone, all of it is one piece.
 */
static bool
take_piece(Builder *b, const PirHnswTeam *team, int step, uint32_t size, uint32_t total,
		   uint32_t *lo, uint32_t *hi)
{
	if (team == NULL)
	{
		*lo = b->state->next[step];
		b->state->next[step] = *hi = total;
	}
	else
	{
		*lo = __atomic_fetch_add(&b->state->next[step], size, __ATOMIC_RELAXED);
		*hi = *lo < total && total - *lo > size ? *lo + size : total;
	}
	return *lo < total;
}

/* First reverse edge from 'at' on that begins a new target. */
static uint32_t
target_boundary(const Builder *b, uint32_t at)
{
	while (at > 0 && at < b->nreverse && b->reverse[at].target == b->reverse[at - 1].target)
		at++;
	return at;
}

static inline void
meet(const PirHnswTeam *team)
{
	if (team != NULL)
		team->barrier(team->arg);
}

/*
 * One batch, as the leader (team NULL: alone) or another member of a team.
 * The entries of the next batch may be sought while others still write lists
 * of this one: they depend on codes only.
 */
static void
build_batch(Builder *b, const PirHnswTeam *team, bool leader)
{
	TeamState  *state = b->state;
	uint32_t	lo;
	uint32_t	hi;

	while (take_piece(b, team, 0, PIECE_ENTRIES, b->nbatch, &lo, &hi))
		find_entries(b, &b->searcher, lo, hi);
	meet(team);
	if (leader)
	{
		arrange_batch(b);
		state->next[1] = 0;
	}
	meet(team);
	while (take_piece(b, team, 1, PIECE_SEARCH, b->nbatch, &lo, &hi))
		search_batch(b, &b->searcher, lo, hi);
	meet(team);
	if (leader)
	{
		assign_anchors(b);
		sort_reverse(b);
		state->nreverse = b->nreverse;
		state->next[0] = state->next[2] = 0;
	}
	meet(team);
	b->nreverse = state->nreverse;
	while (take_piece(b, team, 2, PIECE_REVERSE, b->nreverse, &lo, &hi))
		apply_reverse(b, &b->searcher, target_boundary(b, lo), target_boundary(b, hi));
}

static void
build_graph(Builder *b, const PirHnswTeam *team)
{
	PirHnswGraph *graph = b->graph;
	bool		leader = team == NULL || team->member == 0;
	bool		joined = false;

	if (leader)
	{
		memset(b->state, 0, sizeof(*b->state));
		memset(b->nanchors, 0, graph->n);
		memset(b->counts, 0, sizeof(*b->counts) * (size_t) graph->n);
		init_order(b);
		graph->nedges[0] = 0;
	}
	for (b->frozen = 1; b->frozen < graph->n; b->frozen += b->nbatch)
	{
		bool		together = team != NULL && b->frozen >= TEAM_MIN_NODES;

		b->nbatch = batch_size(b->frozen);
		if (b->nbatch > graph->n - b->frozen)
			b->nbatch = graph->n - b->frozen;
		if (together && !joined)
		{
			/* all that the leader has done so far is there now */
			meet(team);
			joined = true;
		}
		if (together || leader)
			build_batch(b, together ? team : NULL, leader);
	}
	meet(team);
	if (leader)
	{
		adopt_orphans(b);
		poll_progress(graph, graph->n);
	}
}

void
pir_hnsw_graph_build(PirHnswGraph *graph, void *scratch)
{
	Builder		b;

	if (graph->n == 0)
		return;
	b.graph = graph;
	layout_shared(&b, (uint8_t *) scratch +
				  pir_hnsw_searcher_layout(&b.searcher, scratch, graph->quant, graph->n,
										   graph->cap, graph->ef),
				  graph->n, graph->m);
	build_graph(&b, NULL);
}

void
pir_hnsw_graph_build_team(PirHnswGraph *graph, void *shared, void *own, const PirHnswTeam *team)
{
	Builder		b;

	if (graph->n == 0)
		return;
	b.graph = graph;
	pir_hnsw_searcher_layout(&b.searcher, own, graph->quant, graph->n, graph->cap, graph->ef);
	layout_shared(&b, shared, graph->n, graph->m);
	build_graph(&b, team);
}
