/*-------------------------------------------------------------------------
 *
 * hnsw_graph_join.c
 *	  One graph out of several: searches from outside, and lists chosen anew.
 *
 * A build with little memory makes a graph of each shard of its nodes. Nodes
 * near a border then look for neighbours in the shards on the other side, and
 * lists that got too long by that are chosen anew. See README.md section 4,
 * "Shards".
 *
 *-------------------------------------------------------------------------
 */
#include "hnsw/hnsw_graph_internal.h"

/* Sample of a graph's nodes where a search begins, and how many of it do. */
#define FIND_SAMPLE		64
#define FIND_ENTRIES	4

/*
 * The nodes of the sample lie at even distances: nodes are numbered in the
 * order of their pages or codes, so that is a sample of all regions.
 */
static int
find_entries(const PirHnswGraph *graph, PirHnswSearcher *s, const PirQuantQuery *query)
{
	uint32_t	sample[FIND_SAMPLE];
	uint32_t	nsample = graph->n < FIND_SAMPLE ? graph->n : FIND_SAMPLE;
	int			entries = graph->ef < FIND_ENTRIES ? graph->ef : FIND_ENTRIES;
	int			count;

	for (uint32_t i = 0; i < nsample; i++)
		sample[i] = (uint32_t) ((uint64_t) i * graph->n / nsample);
	count = pir_hnsw_pool_best_of(graph, s, query, sample, (int) nsample, s->pool, entries);
	for (int i = 0; i < count; i++)
		s->visited[key_node(s->pool[i])] = *s->epoch;
	return count;
}

void
pir_hnsw_graph_find(const PirHnswGraph *graph, const PirHnswQueries *queries,
					uint32_t lo, uint32_t hi, void *own)
{
	PirHnswSearcher s;

	pir_hnsw_searcher_layout(&s, own, graph->quant, graph->n, graph->cap, graph->ef);
	for (uint32_t i = lo; i < hi; i++)
	{
		const uint8_t *item = queries->items + (size_t) i * graph->item_stride;
		uint32_t   *found = queries->found + (size_t) i * queries->max;
		PirQuantQuery *query;
		int			count;

		pir_hnsw_searcher_begin(&s, graph->n);
		query = pir_quant_prepare_item(graph->quant, item, s.query);
		count = find_entries(graph, &s, query);
		pir_hnsw_pool_search(graph, &s, query, queries->ef, &count);
		pir_hnsw_pool_candidates(graph, s.pool, count, s.cands);
		if (queries->select)
			count = pir_hnsw_select(graph->quant, item, s.cands, count, queries->max, s.select_scratch);
		else if (count > queries->max)
			count = queries->max;
		for (int j = 0; j < count; j++)
			found[j] = s.cands[j].node;
		queries->nfound[i] = (uint16_t) count;
	}
}

void
pir_hnsw_graph_choose(const PirQuant *quant, const PirHnswLists *lists,
					  uint32_t lo, uint32_t hi, void *own)
{
	PirHnswSearcher s;

	pir_hnsw_searcher_layout(&s, own, quant, 0, lists->cap, 1);
	for (uint32_t i = lo; i < hi; i++)
	{
		const uint8_t *base = lists->items + lists->base[i] * lists->item_stride;
		uint32_t   *nodes = lists->nodes + lists->start[i];
		int			count = (int) lists->count[i];
		PirQuantQuery *query = pir_quant_prepare_item(quant, base, s.query);

		for (int done = 0; done < count;)
		{
			int			chunk = count - done < lists->cap ? count - done : lists->cap;

			for (int j = 0; j < chunk; j++)
				s.items[j] = lists->items + PIR_EDGE_NODE(nodes[done + j]) * lists->item_stride;
			pir_quant_distance_many(quant, query, s.items, chunk, s.dists);
			for (int j = 0; j < chunk; j++, done++)
			{
				s.cands[done].dist = s.dists[j];
				s.cands[done].node = nodes[done];
				s.cands[done].item = s.items[j];
			}
		}
		count = pir_hnsw_select(quant, base, s.cands, count, lists->cap, s.select_scratch);
		for (int j = 0; j < count; j++)
			nodes[j] = s.cands[j].node;
		lists->count[i] = (uint32_t) count;
	}
}
