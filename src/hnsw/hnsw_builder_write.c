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

static void
poll_graph(void *arg, uint32 done, uint32 total)
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
fill_node_slot(const PirHnswBuilder *builder, const Layout *layout, uint32 nid, PirHnswNodeOnPage *node)
{
	const PirMetaHeadOnPage *head = &builder->meta.head;

	if (nid < builder->n)
	{
		uint32		i = layout->order[nid];

		node->state = PIR_NODE_LIVE;
		node->tid = builder->tids[i];
		node->link = builder->ndups == 0 ? PIR_NID_NONE : first_tids(builder, layout, nid);
		memcpy(node->item, builder->items + i * builder->stride,
			   head->pages_per_node > 1 ? PIR_HNSW_CHUNK : head->item_size);
	}
	else
	{
		PirHnswTidsOnPage *tids = (PirHnswTidsOnPage *) node;
		uint32		t = nid - builder->n;
		uint32		first = layout->tids_first[t];

		tids->state = PIR_NODE_TIDS;
		tids->ntids = layout->tids_first[t + 1] - first;
		tids->owner = builder->dups[first].node;
		tids->next = t + 1 < layout->ntids_nodes &&
			builder->dups[layout->tids_first[t + 1]].node == tids->owner ? nid + 1 : PIR_NID_NONE;
		for (uint32 j = 0; j < tids->ntids; j++)
			tids->tids[j] = builder->dups[first + j].tid;
	}
}

static void
write_code_pages(const PirHnswBuilder *builder, const Layout *layout, PirPageSink *sink, PirTableOnPage *table)
{
	const PirMetaHeadOnPage *head = &builder->meta.head;
	uint32		nnodes = builder->n + layout->ntids_nodes;
	BlockNumber first = sink->next;
	uint32		logical = 0;

	for (uint32 nid = 0; nid < nnodes; nid += head->nodes_per_page)
	{
		uint32		count = Min(head->nodes_per_page, nnodes - nid);
		Page		page = pir_sink_page(sink, PIR_PAGE_CODE, logical++);

		for (uint32 i = 0; i < count; i++)
			fill_node_slot(builder, layout, nid + i, pir_hnsw_node_at(head, page, nid + i));
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, Min((Size) count * head->node_size, PIR_PAGE_CAPACITY));
		pir_sink_done(sink);

		for (uint32 chunk = 1; chunk < head->pages_per_node; chunk++)
		{
			Size		done = chunk * PIR_HNSW_CHUNK;
			Size		bytes = 0;

			page = pir_sink_page(sink, PIR_PAGE_CODE, logical++);
			if (nid < builder->n)
			{
				bytes = Min(PIR_HNSW_CHUNK, head->item_size - done);
				memcpy(pir_page_content(page),
					   builder->items + layout->order[nid] * builder->stride + done, bytes);
			}
			pir_page_set_used(page, bytes);
			pir_sink_done(sink);
		}
	}
	pir_sink_table(sink, table, first, logical);
}

static void
write_list_pages(const PirHnswBuilder *builder, const Layout *layout, PirPageSink *sink, PirTableOnPage *table)
{
	const PirMetaHeadOnPage *head = &builder->meta.head;
	uint32		nnodes = builder->n + layout->ntids_nodes;
	BlockNumber first = sink->next;
	uint32		logical = 0;

	for (uint32 nid = 0; nid < nnodes; nid += head->lists_per_page)
	{
		uint32		count = Min(head->lists_per_page, nnodes - nid);
		Page		page = pir_sink_page(sink, PIR_PAGE_LIST, logical++);

		for (uint32 i = 0; i < count && nid + i < builder->n; i++)
		{
			PirHnswListOnPage *list = pir_hnsw_list_at(head, page, nid + i);
			uint32		node = layout->order[nid + i];
			const uint32 *edges = layout->edges + (Size) node * 2 * head->m;

			list->nedges = list->nfull = layout->nedges[node];
			for (int e = 0; e < list->nedges; e++)
				list->edges[e] = layout->nids[PIR_EDGE_NODE(edges[e])] | (edges[e] & PIR_EDGE_ANCHOR);
		}
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, (Size) count * head->list_size);
		pir_sink_done(sink);
	}
	pir_sink_table(sink, table, first, logical);
}

/*
 * The entry layer: the root first, then nodes at even distances in storage
 * order. As that order follows the clusters, this is a stratified sample.
 */
static void
write_entries(PirHnswBuilder *builder, const Layout *layout, PirPageSink *sink)
{
	PirMetaHeadOnPage *head = &builder->meta.head;
	uint32		target = Min(pir_hnsw_entry_target(builder->n, head->item_size), builder->n);
	bool		has_items;
	Size		stride = pir_hnsw_entry_stride(head, &has_items);
	uint32		per_page = PIR_PAGE_CAPACITY / stride;
	uint32		root = builder->n > 0 ? layout->nids[0] : PIR_NID_NONE;
	uint32		done = 0;

	builder->meta.root = root;
	builder->meta.entry = InvalidBlockNumber;
	builder->meta.nentries = target;
	while (done < target)
	{
		uint32		count = Min(per_page, target - done);
		Page		page = pir_sink_page(sink, PIR_PAGE_ENTRY, done / per_page);
		BlockNumber blkno;

		for (uint32 i = 0; i < count; i++)
		{
			PirHnswEntryOnPage *entry = (PirHnswEntryOnPage *) (pir_page_content(page) + i * stride);
			uint32		k = done + i;
			uint32		nid;

			/* slot 0 is the root's; the root's own stratum goes to its neighbour */
			if (k == 0)
				nid = root;
			else
			{
				nid = (uint32) ((uint64) k * builder->n / target);
				if (nid == root)
					nid = (uint64) (k + 1) * builder->n / target > nid + 1 ? nid + 1 : 0;
			}
			entry->nid = nid;
			if (has_items)
				memcpy(entry->item, builder->items + layout->order[nid] * builder->stride,
					   head->item_size);
		}
		done += count;
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, count * stride);
		if (done < target)
			pir_page_special(page)->next = sink->next + 1;
		blkno = pir_sink_done(sink);
		if (builder->meta.entry == InvalidBlockNumber)
			builder->meta.entry = blkno;
	}
}

static void
write_centre(PirHnswBuilder *builder, const float *centre, PirPageSink *sink)
{
	uint32		dim = builder->value.code_dim;
	uint32		done = 0;

	builder->meta.centre = InvalidBlockNumber;
	while (centre != NULL && done < dim)
	{
		uint32		count = Min((uint32) PIR_HNSW_CENTRE_FANOUT, dim - done);
		Page		page = pir_sink_page(sink, PIR_PAGE_CENTRE, done / PIR_HNSW_CENTRE_FANOUT);
		BlockNumber blkno;

		memcpy(pir_page_content(page), centre + done, count * sizeof(float));
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, count * sizeof(float));
		done += count;
		if (done < dim)
			pir_page_special(page)->next = sink->next + 1;
		blkno = pir_sink_done(sink);
		if (builder->meta.centre == InvalidBlockNumber)
			builder->meta.centre = blkno;
	}
}

/*
 * Build the graph and put its nodes in order, with parallel workers if that
 * can be: then the result is a handle on the memory that the layout and the
 * builder's items lie in.
 */
static PirHnswParallel *
build_graph(PirHnswBuilder *builder, const float *centre, Layout *layout, bool progress)
{
	uint16		m = builder->meta.head.m;
	PirHnswParallel *parallel = NULL;
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
	graph.poll = poll_graph;
	graph.poll_arg = progress ? builder : NULL;
	if (progress)
		parallel = pir_hnsw_parallel_build(builder, centre, &graph);

	if (parallel != NULL)
		scratch = pir_alloc_aligned(builder->context, pir_hnsw_graph_order_scratch_size(builder->n), true);
	else
	{
		graph.items = builder->items;
		graph.nedges = MemoryContextAllocExtended(builder->context, builder->n,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		graph.edges = MemoryContextAllocHuge(builder->context,
											 pir_size_mul(builder->n, graph.cap * sizeof(uint32)));
		scratch = pir_alloc_aligned(builder->context,
									pir_hnsw_graph_scratch_size(builder->quant, builder->n, m,
																builder->ef_construction), true);
		pir_hnsw_graph_build(&graph, scratch);
	}
	pir_hnsw_graph_order(&graph, builder->meta.head.nodes_per_page, layout->order, scratch);
	layout->nedges = graph.nedges;
	layout->edges = graph.edges;
	return parallel;
}

void
pir_hnsw_builder_write(PirHnswBuilder *builder, const float *centre, PirPageSink *sink, bool flat, bool progress)
{
	PirMetaHeadOnPage *head = &builder->meta.head;
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	PirHnswParallel *parallel = NULL;
	Layout		layout;

	memset(&layout, 0, sizeof(layout));
	layout.order = MemoryContextAllocHuge(builder->context,
										  pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	layout.nids = MemoryContextAllocHuge(builder->context,
										 pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	for (uint32 i = 0; i < builder->n; i++)
		layout.order[i] = i;

	if (!flat && builder->n > 0)
		parallel = build_graph(builder, centre, &layout, progress);
	for (uint32 i = 0; i < builder->n; i++)
		layout.nids[layout.order[i]] = i;

	if (progress)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_WRITE);
	layout_duplicates(builder, &layout);
	if ((uint64) builder->n + layout.ntids_nodes >= PIR_NID_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more than %u nodes",
						RelationGetRelationName(builder->index), PIR_NID_NONE - 1)));

	write_code_pages(builder, &layout, sink, &head->tables[PIR_TABLE_CODE]);
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
		write_list_pages(builder, &layout, sink, &head->tables[PIR_TABLE_LIST]);
		write_entries(builder, &layout, sink);
	}
	write_centre(builder, centre, sink);

	builder->meta.state = flat ? PIR_HNSW_FLAT : PIR_HNSW_GRAPH;
	builder->meta.nnodes = builder->n + layout.ntids_nodes;
	builder->meta.nlive = builder->n;
	builder->meta.ndead = 0;
	builder->meta.free_node = PIR_NID_NONE;
	builder->meta.nfree_nodes = 0;
	head->nblocks = sink->next;
	if (parallel != NULL)
		pir_hnsw_parallel_end(parallel);
	MemoryContextSwitchTo(old);
}

void
pir_hnsw_put_meta(Page page, const PirHnswMetaOnPage *meta)
{
	memcpy(pir_page_content(page), meta, sizeof(*meta));
	pir_page_set_used(page, sizeof(*meta));
}
