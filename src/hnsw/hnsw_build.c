/*-------------------------------------------------------------------------
 *
 * hnsw_build.c
 *	  Whole graphs: CREATE INDEX, and the training of an index that grew by
 *	  inserts.
 *
 * Both collect rows into a builder (codes and heap TIDs, rows with equal
 * codes as duplicates of one node), build the graph in memory from the codes
 * (hnsw_graph.c), order the nodes so that linked ones share pages, and write
 * all pages in one pass. They differ in where rows come from and where pages
 * go: a build owns the file and logs it at the end; training writes logged
 * pages behind those in use and then switches the meta page over.
 *
 * Memory stays within maintenance_work_mem: when the builder is full, the
 * graph so far is written, and the remaining rows are inserted one by one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "am/am_rerank.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "common/hashfn.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/page_sink.h"
#include "utils/memutils.h"
#include "utils/sampling.h"
#include "utils/snapmgr.h"

/* Rows and blocks that the centre is computed from */
#define SAMPLE_ROWS		4096
#define SAMPLE_BLOCKS	4096

/* A heap row beside the first of a node. */
typedef struct Duplicate
{
	uint32		node;			/* builder number, later nid */
	ItemPointerData tid;
} Duplicate;

typedef struct Builder
{
	Relation	index;
	Relation	heap;
	MemoryContext context;
	MemoryContext row_context;	/* reset per row */
	PirHnswMetaOnPage meta;		/* identity and trained part filled in */
	PirValueInfo value;
	PirQuant   *quant;
	void	   *scratch;		/* quantizer's */
	void	   *input;			/* one row's */
	int			ef_construction;

	Size		stride;			/* bytes from item to item */
	uint32		n;				/* nodes */
	uint32		capacity;		/* nodes that the arrays have room for */
	uint32		max_nodes;		/* nodes that the memory limit allows */
	uint8	   *items;			/* n * stride */
	ItemPointerData *tids;		/* n */
	uint32	   *hash;			/* node + 1 by hash of its item; 0 = empty */
	uint32		hash_mask;
	Duplicate  *dups;
	uint32		ndups;
	uint32		dups_capacity;

	bool		full;			/* written; rows are inserted from here on */
	PirHnswIndex hnsw;			/* open if full */
	double		nrows;			/* rows taken into the index */
} Builder;

/* --- the sample: centre and scale --- */

typedef struct Sample
{
	Builder    *builder;
	double	   *sums;			/* per dimension */
	float	   *low;			/* smallest component of each row (L1) */
	float	   *high;
	uint32		nrows;
} Sample;

static void
sample_begin(Sample *sample, Builder *builder)
{
	sample->builder = builder;
	sample->nrows = 0;
	sample->sums = MemoryContextAllocZero(builder->context,
										  pir_size_mul(builder->value.code_dim, sizeof(double)));
	sample->low = MemoryContextAlloc(builder->context, SAMPLE_ROWS * sizeof(float));
	sample->high = MemoryContextAlloc(builder->context, SAMPLE_ROWS * sizeof(float));
}

static void
sample_add(Sample *sample, const float *input)
{
	uint32		dim = sample->builder->value.code_dim;
	float		low = input[0];
	float		high = input[0];

	if (sample->nrows == SAMPLE_ROWS)
		return;
	for (uint32 i = 0; i < dim; i++)
	{
		sample->sums[i] += input[i];
		low = Min(low, input[i]);
		high = Max(high, input[i]);
	}
	sample->low[sample->nrows] = low;
	sample->high[sample->nrows] = high;
	sample->nrows++;
}

/*
 * Prepare the builder's quantizer with what the sample taught: the centre if
 * there were enough rows, and the scale of scalar L1 codes.
 */
static void
sample_finish(Sample *sample, float **centre)
{
	Builder    *builder = sample->builder;
	PirQuantSpec spec;

	*centre = NULL;
	builder->meta.ntrained = 0;
	if (sample->nrows >= PIR_HNSW_TRAIN_ROWS)
	{
		*centre = MemoryContextAlloc(builder->context,
									 pir_size_mul(builder->value.code_dim, sizeof(float)));
		for (uint32 i = 0; i < builder->value.code_dim; i++)
			(*centre)[i] = (float) (sample->sums[i] / sample->nrows);
		builder->meta.ntrained = sample->nrows;
	}
	pir_quant_train_l1(sample->low, sample->high, sample->nrows,
					   &builder->meta.scale, &builder->meta.offset);

	pir_hnsw_quant_spec(&builder->meta, *centre, &spec);
	builder->quant = pir_quant_init(pir_alloc_aligned(builder->context, pir_quant_size(&spec), false),
									&spec);
	builder->scratch = pir_alloc_aligned(builder->context,
										 pir_quant_scratch_size(builder->quant), false);
}

/* Callback of the sampling scan. */
static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	Sample	   *sample = arg;
	Builder    *builder = sample->builder;
	MemoryContext old;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(builder->row_context);
	if (pir_value_input(&builder->value, values[0], builder->input))
		sample_add(sample, builder->input);
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
}

/* Does the quantizer learn from a sample at all? */
static bool
wants_sample(const Builder *builder)
{
	return builder->meta.head.quantizer == PIR_QUANT_RABITQ ||
		builder->meta.head.quantizer == PIR_QUANT_SQ8;
}

/* Sample random blocks of the table. */
static void
sample_table(Builder *builder, IndexInfo *info, float **centre)
{
	Sample		sample;

	sample_begin(&sample, builder);
	if (wants_sample(builder))
	{
		BlockNumber nblocks = pir_page_count(builder->heap);
		BlockSamplerData sampler;

		BlockSampler_Init(&sampler, nblocks, SAMPLE_BLOCKS, pir_random_below(PG_UINT32_MAX));
		while (sample.nrows < SAMPLE_ROWS && BlockSampler_HasMore(&sampler))
		{
			BlockNumber block = BlockSampler_Next(&sampler);

			CHECK_FOR_INTERRUPTS();
			/* "any visible" rows will do, but an MVCC scan has no such mode */
			table_index_build_range_scan(builder->heap, builder->index, info,
										 false, !info->ii_Concurrent, false, block, 1,
										 sample_row, &sample, NULL);
		}
	}
	sample_finish(&sample, centre);
}

/* --- collecting rows --- */

static void
builder_init(Builder *builder, Relation heap, Relation index, const PirHnswMetaOnPage *meta)
{
	memset(builder, 0, sizeof(*builder));
	builder->index = index;
	builder->heap = heap;
	builder->context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw build",
											 ALLOCSET_DEFAULT_SIZES);
	builder->row_context = AllocSetContextCreate(builder->context, "piramid hnsw build row",
												 ALLOCSET_DEFAULT_SIZES);
	builder->meta = *meta;
	pir_hnsw_value_info(meta, &builder->value);
	builder->input = pir_alloc_aligned(builder->context, pir_value_input_size(&builder->value), true);
	builder->ef_construction = pir_hnsw_ef_construction(index);
	builder->stride = TYPEALIGN(8, meta->head.item_size);
}

/* Bytes that n nodes take while their graph is built. */
static Size
builder_bytes(const Builder *builder, uint32 n)
{
	uint16		m = builder->meta.head.m;
	Size		per_node = builder->stride + sizeof(ItemPointerData) +
		1 + 2 * m * sizeof(uint32) +	/* list */
		4 * sizeof(uint32) +	/* hash, at most half full */
		2 * sizeof(uint32);		/* order and its inverse */

	return pir_size_add(pir_size_mul(n, per_node),
						pir_hnsw_graph_scratch_size(builder->quant, n, m, builder->ef_construction));
}

/* After the quantizer is known: how many nodes may there be? */
static void
builder_limit(Builder *builder)
{
	Size		limit = (Size) maintenance_work_mem * 1024;
	uint32		low = 1;
	uint32		high = PIR_NID_NONE - 1;

	while (low < high)
	{
		uint32		middle = low + (high - low + 1) / 2;

		if (builder_bytes(builder, middle) <= limit)
			low = middle;
		else
			high = middle - 1;
	}
	builder->max_nodes = Max(low, 64);
}

static void
builder_grow(Builder *builder)
{
	uint32		capacity = (uint32) Min((uint64) Max(builder->capacity, 512) * 2, builder->max_nodes);
	uint32		hash_size = 1024;

	if (builder->items == NULL)
	{
		builder->items = MemoryContextAllocHuge(builder->context, pir_size_mul(capacity, builder->stride));
		builder->tids = MemoryContextAllocHuge(builder->context,
											   pir_size_mul(capacity, sizeof(ItemPointerData)));
	}
	else
	{
		builder->items = repalloc_huge(builder->items, pir_size_mul(capacity, builder->stride));
		builder->tids = repalloc_huge(builder->tids, pir_size_mul(capacity, sizeof(ItemPointerData)));
		pfree(builder->hash);
	}
	builder->capacity = capacity;

	while (hash_size < 2 * (uint64) capacity && hash_size < UINT32_C(0x80000000))
		hash_size *= 2;
	builder->hash_mask = hash_size - 1;
	builder->hash = MemoryContextAllocExtended(builder->context,
											   pir_size_mul(hash_size, sizeof(uint32)),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < builder->n; i++)
	{
		uint32		slot = hash_bytes(builder->items + i * builder->stride,
									  builder->meta.head.item_size) & builder->hash_mask;

		while (builder->hash[slot] != 0)
			slot = (slot + 1) & builder->hash_mask;
		builder->hash[slot] = i + 1;
	}
}

/*
 * Take one row, whose input is in builder->input. False if there is no memory
 * for it.
 */
static bool
builder_add(Builder *builder, ItemPointer tid)
{
	uint8	   *item;
	uint32		slot;

	if (builder->n == builder->capacity)
	{
		if (builder->n == builder->max_nodes)
			return false;
		builder_grow(builder);
	}

	item = builder->items + builder->n * builder->stride;
	memset(item, 0, builder->stride);
	pir_quant_encode(builder->quant, builder->input, item, builder->scratch);

	slot = hash_bytes(item, builder->meta.head.item_size) & builder->hash_mask;
	for (; builder->hash[slot] != 0; slot = (slot + 1) & builder->hash_mask)
	{
		uint32		node = builder->hash[slot] - 1;

		if (memcmp(builder->items + node * builder->stride, item, builder->meta.head.item_size) == 0)
		{
			if (builder->ndups == builder->dups_capacity)
			{
				builder->dups_capacity = Max(1024, builder->dups_capacity * 2);
				builder->dups = builder->dups == NULL
					? MemoryContextAllocHuge(builder->context,
											 pir_size_mul(builder->dups_capacity, sizeof(Duplicate)))
					: repalloc_huge(builder->dups,
									pir_size_mul(builder->dups_capacity, sizeof(Duplicate)));
			}
			builder->dups[builder->ndups].node = node;
			builder->dups[builder->ndups++].tid = *tid;
			return true;
		}
	}
	builder->hash[slot] = builder->n + 1;
	builder->tids[builder->n++] = *tid;
	return true;
}

/* --- writing --- */

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
	const Duplicate *x = a;
	const Duplicate *y = b;

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
layout_duplicates(Builder *builder, Layout *layout)
{
	uint32		per_node = PIR_HNSW_TIDS_CAPACITY(builder->meta.head.node_size);
	uint32		n = 0;

	for (uint32 i = 0; i < builder->ndups; i++)
		builder->dups[i].node = layout->nids[builder->dups[i].node];
	if (builder->ndups > 0)
		qsort(builder->dups, builder->ndups, sizeof(Duplicate), compare_duplicates);
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
first_tids(const Builder *builder, const Layout *layout, uint32 nid)
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
fill_node_slot(const Builder *builder, const Layout *layout, uint32 nid, PirHnswNodeOnPage *node)
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
write_code_pages(const Builder *builder, const Layout *layout, PirPageSink *sink, PirTableOnPage *table)
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
write_list_pages(const Builder *builder, const Layout *layout, PirPageSink *sink, PirTableOnPage *table)
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
write_entries(Builder *builder, const Layout *layout, PirPageSink *sink)
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
write_centre(Builder *builder, const float *centre, PirPageSink *sink)
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
 * Build the graph of what was collected (unless the index stays flat) and
 * write it all, but for the meta page: builder->meta is completed instead.
 */
static void
builder_write(Builder *builder, const float *centre, PirPageSink *sink, bool flat, bool progress)
{
	PirMetaHeadOnPage *head = &builder->meta.head;
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	Layout		layout;

	memset(&layout, 0, sizeof(layout));
	layout.order = MemoryContextAllocHuge(builder->context,
										  pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	layout.nids = MemoryContextAllocHuge(builder->context,
										 pir_size_mul(Max(builder->n, 1), sizeof(uint32)));
	for (uint32 i = 0; i < builder->n; i++)
		layout.order[i] = i;

	if (!flat && builder->n > 0)
	{
		Size		cap = 2 * head->m;
		PirHnswGraph graph;
		void	   *scratch;

		if (progress)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_GRAPH);
		layout.nedges = MemoryContextAllocExtended(builder->context, builder->n,
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		layout.edges = MemoryContextAllocHuge(builder->context,
											  pir_size_mul(builder->n, cap * sizeof(uint32)));
		scratch = pir_alloc_aligned(builder->context,
									pir_hnsw_graph_scratch_size(builder->quant, builder->n, head->m,
																builder->ef_construction), true);
		graph.quant = builder->quant;
		graph.n = builder->n;
		graph.m = head->m;
		graph.cap = cap;
		graph.ef = builder->ef_construction;
		graph.items = builder->items;
		graph.item_stride = builder->stride;
		graph.nedges = layout.nedges;
		graph.edges = layout.edges;
		graph.poll = poll_graph;
		graph.poll_arg = progress ? builder : NULL;
		pir_hnsw_graph_build(&graph, scratch);
		pir_hnsw_graph_order(&graph, head->nodes_per_page, layout.order, scratch);
	}
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
	MemoryContextSwitchTo(old);
}

/* --- CREATE INDEX --- */

/* A meta page for an index without rows. */
static void
init_meta(Relation index, PirHnswMetaOnPage *meta)
{
	memset(meta, 0, sizeof(*meta));
	pir_hnsw_identity(index, &meta->head);
	pir_meta_seal(&meta->head);
	meta->head.nblocks = 1;
	meta->head.free_head = InvalidBlockNumber;
	for (int t = 0; t < PIR_NTABLES; t++)
		meta->head.tables[t].first = meta->head.tables[t].last = InvalidBlockNumber;
	meta->state = PIR_HNSW_FLAT;
	meta->free_node = PIR_NID_NONE;
	meta->root = PIR_NID_NONE;
	meta->centre = meta->entry = meta->retired = InvalidBlockNumber;
	pir_quant_train_l1(NULL, NULL, 0, &meta->scale, &meta->offset);
}

static void
put_meta(Page page, const PirHnswMetaOnPage *meta)
{
	memcpy(pir_page_content(page), meta, sizeof(*meta));
	pir_page_set_used(page, sizeof(*meta));
}

/* Write block 0, the first of its fork. */
static void
write_first_meta(PirPageSink *sink, const PirHnswMetaOnPage *meta)
{
	put_meta(pir_sink_page(sink, PIR_PAGE_META, 0), meta);
	pir_sink_done(sink);
}

/* Write what was collected as the index's content, all of it logged. */
static void
finish_build(Builder *builder, const float *centre, bool flat)
{
	PirPageSink sink;
	Buffer		buf;

	pir_sink_begin(&sink, builder->index, MAIN_FORKNUM, 0, false);
	write_first_meta(&sink, &builder->meta);
	builder_write(builder, centre, &sink, flat, true);

	/* block 0 once more, now that all is known: nobody else can see it yet */
	buf = pir_page_read(builder->index, PIR_META_BLKNO, PIR_PAGE_META, PIR_LOCK_EXCLUSIVE);
	put_meta(pir_page_of(buf), &builder->meta);
	pir_page_dirty_release(buf);
	pir_wal_log_build(builder->index, MAIN_FORKNUM);
}

typedef struct BuildState
{
	Builder		builder;
	float	   *centre;
} BuildState;

/* Callback of the heap scan. */
static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	BuildState *state = arg;
	Builder    *builder = &state->builder;
	MemoryContext old;

	if (isnull[0])
		return;

	old = MemoryContextSwitchTo(builder->row_context);
	if (pir_value_input(&builder->value, values[0], builder->input))
	{
		if (!builder->full && !builder_add(builder, tid))
		{
			ereport(NOTICE,
					(errmsg("hnsw graph no longer fits into maintenance_work_mem after %u rows",
							builder->n + builder->ndups),
					 errdetail("The remaining rows are inserted one by one, which takes longer."),
					 errhint("Increase maintenance_work_mem to speed up builds.")));
			finish_build(builder, state->centre, false);
			builder->full = true;
			MemoryContextSwitchTo(builder->context);
			pir_hnsw_open(&builder->hnsw, index);
			MemoryContextSwitchTo(builder->row_context);
			pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_LOAD);
		}
		if (builder->full)
			pir_hnsw_insert_input(&builder->hnsw, builder->heap, builder->input, tid);
		builder->nrows++;
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) builder->nrows);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
}

IndexBuildResult *
pir_hnsw_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	BuildState	state;
	PirHnswMetaOnPage meta;

	if (pir_page_count(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));

	init_meta(index, &meta);
	builder_init(&state.builder, heap, index, &meta);
	state.centre = NULL;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_SAMPLE);
	sample_table(&state.builder, info, &state.centre);
	builder_limit(&state.builder);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_LOAD);
	result->heap_tuples = table_index_build_scan(heap, index, info, true, true, build_row, &state, NULL);
	result->index_tuples = state.builder.nrows;
	if (state.builder.full)
		pir_hnsw_close(&state.builder.hnsw);
	else
	{
		/* a centre needs its page, and a flat index has none */
		finish_build(&state.builder, state.centre,
					 state.centre == NULL && state.builder.nrows < PIR_HNSW_TRAIN_ROWS);
	}
	MemoryContextDelete(state.builder.context);
	return result;
}

void
pir_hnsw_build_empty(Relation index)
{
	PirHnswMetaOnPage meta;
	PirPageSink sink;

	init_meta(index, &meta);
	pir_sink_begin(&sink, index, INIT_FORKNUM, 0, false);
	write_first_meta(&sink, &meta);
	pir_wal_log_build(index, INIT_FORKNUM);
}

/* --- training --- */

/*
 * All rows of a flat index, in a palloc'd array. The caller holds the
 * training lock, so the rows cannot change.
 */
static ItemPointerData *
flat_rows(PirHnswIndex *hnsw, int *nrows)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	ItemPointerData *tids = NULL;
	int			capacity = 0;
	PirPins		pins;

	*nrows = 0;
	pir_pins_init(&pins, hnsw->store);
	for (uint32 nid = 0; nid < hnsw->meta.nnodes; nid++)
	{
		Buffer		buf;
		Page		page = pir_hnsw_lock_node(hnsw, &pins, nid, PIR_LOCK_SHARE, &buf);
		PirHnswNodeOnPage node = *pir_hnsw_node_at(head, page, nid);

		pir_page_unlock(buf);
		if (node.state != PIR_NODE_LIVE)
			continue;
		if (*nrows == capacity)
		{
			capacity = Max(PIR_HNSW_TRAIN_ROWS, capacity * 2);
			tids = tids == NULL ? palloc(capacity * sizeof(ItemPointerData))
				: repalloc(tids, capacity * sizeof(ItemPointerData));
		}
		if (ItemPointerIsValid(&node.tid))
			tids[(*nrows)++] = node.tid;
		if (node.link != PIR_NID_NONE)
			pir_hnsw_read_tids(hnsw, &pins, nid, node.link, &tids, nrows, &capacity);
	}
	pir_pins_release(&pins);
	return tids;
}

/* The input of a row of the index; false if the row is dead to everyone. */
static bool
fetch_input(Builder *builder, PirRerank *rerank, Snapshot snapshot, ItemPointer tid)
{
	MemoryContext old;
	Datum		value;
	bool		found;

	CHECK_FOR_INTERRUPTS();
	if (!pir_rerank_fetch(rerank, tid, snapshot, &value))
		return false;
	old = MemoryContextSwitchTo(rerank->context);
	found = pir_value_input(&builder->value, value, builder->input);
	MemoryContextSwitchTo(old);
	return found;
}

void
pir_hnsw_free_retired(Relation index)
{
	for (;;)
	{
		Buffer		metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		PirHnswMetaOnPage *meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
		BlockNumber dir_blkno = meta->retired;
		Buffer		dir;
		PirWal		wal;
		Page		page;
		uint16		nslots;

		CHECK_FOR_INTERRUPTS();
		if (dir_blkno == InvalidBlockNumber)
		{
			pir_page_release(metabuf);
			return;
		}
		dir = pir_page_read(index, dir_blkno, PIR_PAGE_TABLE, PIR_LOCK_EXCLUSIVE);
		nslots = pir_page_special(pir_page_of(dir))->nslots;

		pir_wal_begin(&wal, index);
		meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
		page = pir_wal_page(&wal, dir);
		if (nslots > 0)
		{
			/* the last page that this page-table page knows */
			BlockNumber blkno = ((BlockNumber *) pir_page_content(page))[nslots - 1];
			Buffer		buf = pir_page_read(index, blkno, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);

			pir_page_free(&meta->head, blkno, pir_wal_page(&wal, buf));
			pir_page_special(page)->nslots = nslots - 1;
			pir_page_set_used(page, (nslots - 1) * sizeof(BlockNumber));
			pir_wal_finish(&wal);
			pir_page_release(buf);
		}
		else
		{
			/* the page-table page itself */
			meta->retired = pir_page_special(page)->next;
			pir_page_free(&meta->head, dir_blkno, page);
			pir_wal_finish(&wal);
		}
		pir_page_release(dir);
		pir_page_release(metabuf);
	}
}

static void
train_locked(Relation index, Relation heap)
{
	PirHnswIndex hnsw;
	Builder		builder;
	SnapshotData snapshot;
	PirRerank  *rerank;
	Sample		sample;
	PirPageSink sink;
	PirHnswMetaOnPage *meta;
	Buffer		metabuf;
	PirWal		wal;
	ItemPointerData *tids;
	float	   *centre;
	int			nrows;

	pir_hnsw_open(&hnsw, index);
	if (hnsw.meta.state != PIR_HNSW_FLAT)
	{
		/* somebody else was first */
		pir_hnsw_close(&hnsw);
		return;
	}
	tids = flat_rows(&hnsw, &nrows);

	/*
	 * Rows that are dead to everyone are left out: their values may be gone
	 * already, and VACUUM does not mind not finding them.
	 */
	InitNonVacuumableSnapshot(snapshot, GlobalVisTestFor(heap));
	rerank = pir_rerank_begin(heap, index);
	builder_init(&builder, heap, index, &hnsw.meta);

	sample_begin(&sample, &builder);
	if (wants_sample(&builder))
	{
		for (int i = 0; i < nrows; i++)
		{
			if (fetch_input(&builder, rerank, &snapshot, &tids[i]))
				sample_add(&sample, builder.input);
		}
	}
	sample_finish(&sample, &centre);
	builder_limit(&builder);
	builder.max_nodes = Max(builder.max_nodes, (uint32) nrows);
	for (int i = 0; i < nrows; i++)
	{
		if (fetch_input(&builder, rerank, &snapshot, &tids[i]))
			(void) builder_add(&builder, &tids[i]);
	}
	pir_rerank_end(rerank);

	/*
	 * While the training lock is held and the index is full, nobody else
	 * allocates pages.
	 */
	pir_sink_begin(&sink, index, MAIN_FORKNUM, hnsw.meta.head.nblocks, true);
	builder_write(&builder, centre, &sink, false, false);

	/* the switch */
	builder.meta.head.epoch++;
	builder.meta.retired = hnsw.meta.head.tables[PIR_TABLE_CODE].first;
	metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	if (meta->head.epoch != hnsw.meta.head.epoch || meta->head.nblocks != hnsw.meta.head.nblocks ||
		meta->nnodes != hnsw.meta.nnodes)
		elog(ERROR, "index \"%s\" changed while it was trained", RelationGetRelationName(index));
	pir_wal_begin(&wal, index);
	put_meta(pir_wal_page(&wal, metabuf), &builder.meta);
	pir_wal_finish(&wal);
	pir_page_release(metabuf);

	pir_hnsw_free_retired(index);
	pir_hnsw_close(&hnsw);
	MemoryContextDelete(builder.context);
}

void
pir_hnsw_train(Relation index, Relation heap)
{
	pir_index_lock_training(index);
	train_locked(index, heap);
	pir_index_unlock_training(index);
}
