/*-------------------------------------------------------------------------
 *
 * hnsw_graph_search.c
 *	  Search of a graph in memory.
 *
 * The same search serves construction (hnsw_graph.c) and, with entries given
 * by the caller, inserts of many rows (hnsw_mirror.c) and tests. See README.md
 * section 4.
 *
 *-------------------------------------------------------------------------
 */
#include "hnsw/hnsw_graph_internal.h"

/*
 * Lay a PirHnswSearcher over 'base'. What depends on ef comes last, so that a block
 * made for a larger ef has the visited marks in the same place.
 */
size_t
pir_hnsw_searcher_layout(PirHnswSearcher *s, uint8_t *base, const PirQuant *quant,
						 uint32_t n, int cap, int ef)
{
	size_t		offset = 0;
	int			ncands = cap + PIR_HNSW_REVERSE_CHUNK;

	if (ncands < ef)
		ncands = ef;
	s->epoch = carve(base, &offset, 1);
	s->visited = carve(base, &offset, n);
	s->fresh = carve(base, &offset, sizeof(*s->fresh) * (size_t) cap);
	s->items = carve(base, &offset, sizeof(*s->items) * (size_t) cap);
	s->nodes = carve(base, &offset, sizeof(*s->nodes) * (size_t) cap);
	s->dists = carve(base, &offset, sizeof(*s->dists) * (size_t) cap);
	s->query = carve(base, &offset, pir_quant_query_size(quant));
	s->pool = carve(base, &offset, sizeof(*s->pool) * (size_t) (ef > cap ? ef : cap));
	s->cands = carve(base, &offset, sizeof(*s->cands) * (size_t) ncands);
	s->select_scratch = carve(base, &offset, pir_hnsw_select_scratch_size(quant, ncands));
	return offset;
}

/* Forget the visited marks. */
void
pir_hnsw_searcher_begin(PirHnswSearcher *s, uint32_t n)
{
	if (++*s->epoch == 0)
	{
		memset(s->visited, 0, n);
		*s->epoch = 1;
	}
}

/*
 * Merge a few keys, in any order, into a pool of *count keys with room for
 * ef; the farthest fall out. Returns the smallest position that changed.
 */
int
pir_hnsw_pool_merge(uint64_t *pool, int *count, int ef, uint64_t *fresh, int nfresh)
{
	int			total = *count + nfresh;
	int			i,
				j,
				at;

	/* insertion sort: nfresh is a few, a list's length at most */
	for (i = 1; i < nfresh; i++)
	{
		uint64_t	key = fresh[i];

		for (j = i; j > 0 && fresh[j - 1] > key; j--)
			fresh[j] = fresh[j - 1];
		fresh[j] = key;
	}

	/* from the back, skipping what does not fit */
	i = *count - 1;
	j = nfresh - 1;
	at = total - 1;
	while (j >= 0)
	{
		uint64_t	key;

		if (i >= 0 && pool[i] > fresh[j])
			key = pool[i--];
		else
			key = fresh[j--];
		if (at < ef)
			pool[at] = key;
		at--;
	}
	*count = total < ef ? total : ef;
	return at + 1;
}

/*
 * Best-first search from the nodes already in the pool (ascending, *count of
 * them, visited marked). The pool is the result.
 *
 * Nodes that fall out of the pool would never be expanded by the algorithm
 * with two heaps either, as they are farther than the ef-th best; so one
 * sorted array does for both. New nodes are merged once per expansion, which
 * keeps the cost per evaluation small even when ef is large.
 */
void
pir_hnsw_pool_search(const PirHnswGraph *graph, PirHnswSearcher *s,
					 const PirQuantQuery *query, int ef, int *count)
{
	const uint8_t epoch = *s->epoch;
	int			next = 0;

	while (next < *count)
	{
		const uint32_t *list;
		uint32_t	node;
		int			nedges;
		int			nnodes = 0;
		int			nfresh = 0;
		uint64_t	bound;

		if (s->pool[next] & PIR_HNSW_KEY_EXPANDED)
		{
			next++;
			continue;
		}
		s->pool[next] |= PIR_HNSW_KEY_EXPANDED;
		node = key_node(s->pool[next]);
		list = node_edges(graph, node);
		nedges = graph->nedges[node];
		for (int i = 0; i < nedges; i++)
		{
			uint32_t	neighbor = PIR_EDGE_NODE(list[i]);

			if (s->visited[neighbor] == epoch)
				continue;
			s->visited[neighbor] = epoch;
			prefetch_item(graph, neighbor);
			s->items[nnodes] = node_item(graph, neighbor);
			s->nodes[nnodes++] = neighbor;
		}
		next++;
		if (nnodes == 0)
			continue;

		/* likely the next to be expanded */
		if (next < *count)
			__builtin_prefetch(node_edges(graph, key_node(s->pool[next])));

		pir_quant_distance_many(graph->quant, query, s->items, nnodes, s->dists);
		bound = *count < ef ? UINT64_MAX : s->pool[ef - 1];
		for (int i = 0; i < nnodes; i++)
		{
			uint64_t	key = pack_key(s->dists[i], s->nodes[i]);

			if (key < bound)
				s->fresh[nfresh++] = key;
		}
		if (nfresh > 0)
		{
			int			changed = pir_hnsw_pool_merge(s->pool, count, ef, s->fresh, nfresh);

			if (changed < next)
				next = changed;
		}
	}
}

/*
 * Keep the best 'max' of the given nodes in 'best', ascending; returns how
 * many there are.
 */
int
pir_hnsw_pool_best_of(const PirHnswGraph *graph, PirHnswSearcher *s,
					  const PirQuantQuery *query, const uint32_t *nodes, int nnodes,
					  uint64_t *best, int max)
{
	int			count = 0;

	for (int done = 0; done < nnodes;)
	{
		int			chunk = nnodes - done < graph->cap ? nnodes - done : graph->cap;
		int			nfresh = 0;

		for (int i = 0; i < chunk; i++)
			s->items[i] = node_item(graph, nodes[done + i]);
		pir_quant_distance_many(graph->quant, query, s->items, chunk, s->dists);
		for (int i = 0; i < chunk; i++)
		{
			uint64_t	key = pack_key(s->dists[i], nodes[done + i]);

			if (count < max || key < best[max - 1])
				s->fresh[nfresh++] = key;
		}
		pir_hnsw_pool_merge(best, &count, max, s->fresh, nfresh);
		done += chunk;
	}
	return count;
}

void
pir_hnsw_pool_candidates(const PirHnswGraph *graph, const uint64_t *pool, int count,
						 PirHnswCandidate *out)
{
	for (int i = 0; i < count; i++)
	{
		out[i].dist = key_dist(pool[i]);
		out[i].node = key_node(pool[i]);
		out[i].item = node_item(graph, out[i].node);
	}
}

size_t
pir_hnsw_graph_search_scratch_size(const PirQuant *quant, uint32_t n, int cap, int ef)
{
	PirHnswSearcher s;

	return pir_hnsw_searcher_layout(&s, NULL, quant, n, cap, ef);
}

int
pir_hnsw_graph_search(const PirHnswGraph *graph, const PirQuantQuery *query,
					  const uint32_t *entries, int nentries, int ef,
					  PirHnswCandidate *out, void *scratch)
{
	PirHnswSearcher s;
	int			count;

	if (graph->n == 0 || ef <= 0)
		return 0;
	pir_hnsw_searcher_layout(&s, scratch, graph->quant, graph->n, graph->cap, ef);
	pir_hnsw_searcher_begin(&s, graph->n);
	count = pir_hnsw_pool_best_of(graph, &s, query, entries, nentries, s.pool, ef);
	for (int i = 0; i < nentries; i++)
		s.visited[entries[i]] = *s.epoch;
	pir_hnsw_pool_search(graph, &s, query, ef, &count);
	pir_hnsw_pool_candidates(graph, s.pool, count, out);
	return count;
}
