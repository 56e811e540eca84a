/*-------------------------------------------------------------------------
 *
 * hnsw_builder_write.c
 *	  Collected rows -> graph -> pages.
 *
 * The graph is built from the codes (hnsw_graph.c), its nodes are ordered so
 * that linked ones share pages, and all pages are written in one pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "commands/progress.h"
#include "hnsw/hnsw_builder.h"
#include "hnsw/hnsw_parallel.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

/* Items are moved into shared memory in slices of this many bytes. */
#define MOVE_SLICE		(64 * 1024 * 1024)

void
pir_hnsw_poll_graph(void *arg, uint32 done, uint32 total)
{
	CHECK_FOR_INTERRUPTS();
	if (arg != NULL)
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, total);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
	}
}

static int
compare_duplicates(const void *a, const void *b)
{
	const PirHnswDuplicate *x = a;
	const PirHnswDuplicate *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return ItemPointerCompare((ItemPointer) &x->tid, (ItemPointer) &y->tid);
}

/* What writing needs beside the builder. */
typedef struct Layout
{
	uint32	   *order;			/* builder number at each nid */
	uint32	   *nids;			/* the inverse */
	uint8	   *nedges;			/* by builder number; NULL in the flat state */
	uint32	   *edges;
	uint32		ntids_nodes;	/* TIDS nodes, behind the others */
	uint32	   *tids_first;		/* first duplicate of each, and the end */
} Layout;

/*
 * Distribute the duplicates over TIDS nodes; their numbers follow those of
 * the nodes proper.
 */
static void
layout_duplicates(PirHnswBuilder *builder, Layout *layout)
{
	uint32		per_node = PIR_HNSW_TIDS_CAPACITY(builder->meta.head.node_size);
	uint32		n = 0;

	for (uint32 i = 0; i < builder->ndups; i++)
		builder->dups[i].node = layout->nids[builder->dups[i].node];
	if (builder->ndups > 0)
		qsort(builder->dups, builder->ndups, sizeof(PirHnswDuplicate), compare_duplicates);
	layout->tids_first = MemoryContextAllocHuge(builder->context,
												pir_size_mul((Size) builder->ndups + 1, sizeof(uint32)));
	for (uint32 i = 0; i < builder->ndups;)
	{
		uint32		end = i + 1;

		while (end < builder->ndups && end - i < per_node &&
			   builder->dups[end].node == builder->dups[i].node)
			end++;
		layout->tids_first[n++] = i;
		i = end;
	}
	layout->tids_first[n] = builder->ndups;
	layout->ntids_nodes = n;
}

/* First TIDS node of a node, or none. Chains are written in ascending order. */
static uint32
first_tids(const PirHnswBuilder *builder, const Layout *layout, uint32 nid)
{
	uint32		low = 0;
	uint32		high = layout->ntids_nodes;

	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (builder->dups[layout->tids_first[middle]].node < nid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < layout->ntids_nodes && builder->dups[layout->tids_first[low]].node == nid)
		return builder->n + low;
	return PIR_NID_NONE;
}

static void
write_code_pages(const PirHnswBuilder *builder, const Layout *layout, PirHnswPages *pages)
{
	ItemPointerData *tids = palloc(builder->meta.head.node_size);

	for (uint32 nid = 0; nid < builder->n; nid++)
	{
		uint32		i = layout->order[nid];

		pir_hnsw_put_node(pages, &builder->tids[i],
						  builder->ndups == 0 ? PIR_NID_NONE : first_tids(builder, layout, nid),
						  builder->items + i * builder->stride);
	}
	for (uint32 t = 0; t < layout->ntids_nodes; t++)
	{
		uint32		first = layout->tids_first[t];
		uint32		end = layout->tids_first[t + 1];
		uint32		owner = builder->dups[first].node;
		bool		more = t + 1 < layout->ntids_nodes && builder->dups[end].node == owner;

		for (uint32 j = first; j < end; j++)
			tids[j - first] = builder->dups[j].tid;
		pir_hnsw_put_tids(pages, owner, more ? builder->n + t + 1 : PIR_NID_NONE, tids, end - first);
	}
	pfree(tids);
}

static void
write_list_pages(const PirHnswBuilder *builder, const Layout *layout, PirHnswPages *pages)
{
	uint32		cap = 2 * builder->meta.head.m;
	uint32	   *list = palloc(cap * sizeof(uint32));

	for (uint32 nid = 0; nid < builder->n; nid++)
	{
		uint32		node = layout->order[nid];
		const uint32 *edges = layout->edges + (Size) node * cap;

		for (int e = 0; e < layout->nedges[node]; e++)
			list[e] = layout->nids[PIR_EDGE_NODE(edges[e])] | (edges[e] & PIR_EDGE_ANCHOR);
		pir_hnsw_put_list(pages, list, layout->nedges[node]);
	}
	for (uint32 t = 0; t < layout->ntids_nodes; t++)
		pir_hnsw_put_list(pages, NULL, 0);
	pfree(list);
}

/* Move the builder's items into an arena, giving back the memory as it is emptied. */
static void
move_items(PirHnswBuilder *builder, uint8 *to)
{
	Size		left = pir_size_mul(builder->n, builder->stride);

	while (left > 0)
	{
		Size		slice = Min(left, (Size) MOVE_SLICE);

		left -= slice;
		memcpy(to + left, builder->items + left, slice);
		if (left > 0)
			builder->items = repalloc_huge(builder->items, left);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(builder->items);
	builder->items = to;
}

/*
 * Build the graph and put its nodes in order, with parallel workers if that
 * can be: then the result is the crew in whose memory the layout's lists and
 * the builder's items lie.
 */
static PirHnswCrew *
build_graph(PirHnswBuilder *builder, const float *centre, Layout *layout, bool progress)
{
	uint16		m = builder->meta.head.m;
	Size		items = TYPEALIGN(PIR_CACHE_LINE, pir_size_mul(builder->n, builder->stride));
	Size		nedges = TYPEALIGN(PIR_CACHE_LINE, builder->n);
	Size		edges = TYPEALIGN(PIR_CACHE_LINE, pir_size_mul(builder->n, 2 * m * sizeof(uint32)));
	PirHnswCrew *crew = NULL;
	PirHnswGraph graph;
	void	   *scratch;

	if (progress)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_GRAPH);
	pfree(builder->hash);
	builder->hash = NULL;

	graph.quant = builder->quant;
	graph.n = builder->n;
	graph.m = m;
	graph.cap = 2 * m;
	graph.ef = builder->ef_construction;
	graph.item_stride = builder->stride;
	graph.poll = pir_hnsw_poll_graph;
	graph.poll_arg = progress ? builder : NULL;
	if (progress)
		crew = pir_hnsw_crew_begin(builder, centre, builder->n,
								   items + nedges + edges + pir_hnsw_graph_shared_size(builder->n, m), false);

	if (crew != NULL)
	{
		uint8	   *arena = pir_hnsw_crew_arena(crew);

		move_items(builder, arena);
		graph.items = builder->items;
		graph.nedges = arena + items;
		graph.edges = (uint32 *) (arena + items + nedges);
		pir_hnsw_crew_build(crew, &graph, arena + items + nedges + edges);
		scratch = pir_alloc_aligned(builder->context, pir_hnsw_graph_order_scratch_size(builder->n), true);
	}
	else
	{
		graph.items = builder->items;
		graph.nedges = MemoryContextAllocExtended(builder->context, builder->n,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		graph.edges = MemoryContextAllocHuge(builder->context, edges);
		scratch = pir_alloc_aligned(builder->context,
									pir_hnsw_graph_scratch_size(builder->quant, builder->n, m,
																builder->ef_construction), true);
		pir_hnsw_graph_build(&graph, scratch);
	}
	pir_hnsw_graph_order(&graph, builder->meta.head.nodes_per_page, layout->order, scratch);
	layout->nedges = graph.nedges;
	layout->edges = graph.edges;
	return crew;
}

void
pir_hnsw_builder_write(PirHnswBuilder *builder, const float *centre, PirPageSink *sink, bool flat, bool progress)
{
	PirMetaHeadOnPage *head = &builder->meta.head;
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	PirHnswCrew *crew = NULL;
	PirHnswPages *pages = palloc(sizeof(PirHnswPages));
	BlockNumber first;
	Layout		layout;

	memset(&layout, 0, sizeof(layout));
	layout.order = MemoryContextAllocHuge(builder->context,
										  pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	layout.nids = MemoryContextAllocHuge(builder->context,
										 pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	for (uint32 i = 0; i < builder->n; i++)
		layout.order[i] = i;

	if (!flat && builder->n > 0)
		crew = build_graph(builder, centre, &layout, progress);
	for (uint32 i = 0; i < builder->n; i++)
		layout.nids[layout.order[i]] = i;

	if (progress)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_WRITE);
	layout_duplicates(builder, &layout);
	if ((uint64) builder->n + layout.ntids_nodes >= PIR_NID_NONE)
		pir_hnsw_too_many_nodes(builder->index);

	pir_hnsw_pages_begin(pages, sink, head, PIR_PAGE_CODE);
	write_code_pages(builder, &layout, pages);
	pir_hnsw_pages_end(pages, &head->tables[PIR_TABLE_CODE]);
	first = pages->first;
	if (flat)
	{
		head->tables[PIR_TABLE_LIST].first = head->tables[PIR_TABLE_LIST].last = InvalidBlockNumber;
		head->tables[PIR_TABLE_LIST].npages = 0;
		builder->meta.entry = InvalidBlockNumber;
		builder->meta.nentries = 0;
		builder->meta.root = PIR_NID_NONE;
	}
	else
	{
		pir_hnsw_pages_begin(pages, sink, head, PIR_PAGE_LIST);
		write_list_pages(builder, &layout, pages);
		pir_hnsw_pages_end(pages, &head->tables[PIR_TABLE_LIST]);
		pir_hnsw_put_entries(sink, &builder->meta, first, builder->n,
							 builder->n > 0 ? layout.nids[0] : PIR_NID_NONE);
	}
	pir_hnsw_put_centre(sink, &builder->meta, centre);

	builder->meta.state = flat ? PIR_HNSW_FLAT : PIR_HNSW_GRAPH;
	builder->meta.nnodes = builder->n + layout.ntids_nodes;
	builder->meta.nlive = builder->n;
	builder->meta.ndead = 0;
	builder->meta.free_node = PIR_NID_NONE;
	builder->meta.nfree_nodes = 0;
	head->nblocks = sink->next;
	if (crew != NULL)
		pir_hnsw_crew_end(crew);
	pfree(pages);
	MemoryContextSwitchTo(old);
}
