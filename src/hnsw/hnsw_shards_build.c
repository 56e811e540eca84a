/*-------------------------------------------------------------------------
 *
 * hnsw_shards_build.c
 *	  Building a graph with little memory: a graph of each shard.
 *
 * Rows come sorted by group and item, so that equal items follow each other.
 * Each shard is loaded, built and placed; its nodes have their final numbers
 * then, and their code pages are written. Lists wait in a temporary file for
 * what other shards will add to them, and nodes near a border are sent to the
 * shards beyond it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "hnsw/hnsw_shards.h"
#include "miscadmin.h"

/* The stream of sorted rows, and what the loader keeps of it. */
typedef struct Loader
{
	PirHnswShards *shards;
	bytea	   *row;			/* the next one; NULL: none left */
	BufFile    *dups;			/* further rows of the shard's nodes, by node */
	uint64		nrows;			/* taken so far */
} Loader;

/* Parts of a row's record */
static inline uint32
row_group(const bytea *row)
{
	return pir_get_number((const uint8 *) VARDATA(row));
}

static inline const uint8 *
row_item(const bytea *row)
{
	return (const uint8 *) VARDATA(row) + 4;
}

static void
row_tid(const PirHnswShards *shards, const bytea *row, ItemPointer tid)
{
	const uint8 *tail = row_item(row) + shards->builder->meta.head.item_size;

	ItemPointerSet(tid, pir_get_number(tail), (OffsetNumber) pir_get_number(tail + 4));
}

static uint32
row_foreign(const PirHnswShards *shards, const bytea *row, int i)
{
	return pir_get_number(row_item(row) + shards->builder->meta.head.item_size + 8 + 4 * i);
}

static void
next_row(Loader *loader)
{
	if (loader->row != NULL)
	{
		pfree(loader->row);
		if (++loader->nrows % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	loader->row = pir_sort_next(loader->shards->rows);
}

/* Load the rows of one shard, as far as they fit. */
static void
load_shard(Loader *loader, PirHnswShard *shard, const PirShardLayout *layout)
{
	PirHnswShards *shards = loader->shards;
	Size		stride = shards->builder->stride;
	uint32		item_size = shards->builder->meta.head.item_size;

	pir_spool_rewind(loader->dups);
	shard->n = 0;
	while (loader->row != NULL && row_group(loader->row) == shard->group)
	{
		uint32		last = shard->n - 1;
		ItemPointerData tid;

		row_tid(shards, loader->row, &tid);
		if (shard->n > 0 && memcmp(layout->items + last * stride, row_item(loader->row), item_size) == 0)
		{
			layout->ndups[last]++;
			pir_buffile_write(loader->dups, &tid, sizeof(tid));
		}
		else
		{
			uint32		node = shard->n;

			if (node == shards->max_nodes)
				break;
			memset(layout->items + node * stride, 0, stride);
			memcpy(layout->items + node * stride, row_item(loader->row), item_size);
			layout->tids[node] = tid;
			layout->ndups[node] = 0;
			for (int i = 0; i < PIR_SHARD_FOREIGN; i++)
				layout->foreign[node * PIR_SHARD_FOREIGN + i] = row_foreign(shards, loader->row, i);
			shard->n++;
		}
		next_row(loader);
	}
}

/* Give the nodes their numbers, behind those of the shards before. */
static void
number_nodes(PirHnswShards *shards, PirHnswShard *shard, const PirShardLayout *layout)
{
	uint32		per_node = PIR_HNSW_TIDS_CAPACITY(shards->builder->meta.head.node_size);
	uint64		ntids_nodes = 0;

	for (uint32 i = 0; i < shard->n; i++)
	{
		layout->nids[layout->order[i]] = i;
		ntids_nodes += (layout->ndups[i] + (uint64) per_node - 1) / per_node;
	}
	if (shards->nnodes + shard->n + ntids_nodes >= PIR_NID_NONE)
		pir_hnsw_too_many_nodes(shards->builder->index);
	shard->base = shards->nnodes;
	shard->ntids_nodes = (uint32) ntids_nodes;
	shard->root = shard->base + layout->nids[0];
	shards->nnodes += shard->n + shard->ntids_nodes;
}

/* TIDS nodes follow those of the shard, in the order of its nodes' items. */
static void
write_codes(Loader *loader, const PirHnswShard *shard, const PirShardLayout *layout)
{
	PirHnswShards *shards = loader->shards;
	uint32		per_node = PIR_HNSW_TIDS_CAPACITY(shards->builder->meta.head.node_size);
	ItemPointerData *tids = palloc(per_node * sizeof(ItemPointerData));
	uint32	   *first = layout->scratch;	/* TIDS node of each node; free since placement */
	uint32		next = shard->base + shard->n;

	for (uint32 i = 0; i < shard->n; i++)
	{
		first[i] = next;
		next += (layout->ndups[i] + per_node - 1) / per_node;
	}
	for (uint32 at = 0; at < shard->n; at++)
	{
		uint32		i = layout->order[at];

		pir_hnsw_put_node(shards->pages, &layout->tids[i],
						  layout->ndups[i] > 0 ? first[i] : PIR_NID_NONE,
						  layout->items + i * shards->builder->stride);
	}
	pir_spool_rewind(loader->dups);
	for (uint32 i = 0; i < shard->n; i++)
	{
		uint32		nid = first[i];

		for (uint32 left = layout->ndups[i]; left > 0;)
		{
			uint32		count = Min(left, per_node);

			left -= count;
			pir_spool_read(loader->dups, tids, count * sizeof(ItemPointerData));
			pir_hnsw_put_tids(shards->pages, shard->base + layout->nids[i],
							  left > 0 ? nid + 1 : PIR_NID_NONE, tids, count);
			nid++;
		}
	}
	pfree(tids);
}

/* Keep the lists, in the order of nids. */
static void
keep_lists(PirHnswShards *shards, const PirHnswShard *shard, const PirHnswGraph *graph, const PirShardLayout *layout)
{
	uint32		list[256];

	for (uint32 at = 0; at < shard->n; at++)
	{
		uint32		i = layout->order[at];
		const uint32 *edges = layout->edges + (Size) i * graph->cap;
		uint8		nedges = layout->nedges[i];

		for (int e = 0; e < nedges; e++)
			list[e] = (shard->base + layout->nids[PIR_EDGE_NODE(edges[e])]) | (edges[e] & PIR_EDGE_ANCHOR);
		pir_buffile_write(shards->lists, &nedges, 1);
		pir_buffile_write(shards->lists, list, nedges * sizeof(uint32));
	}
}

/*
 * Send nodes to the groups where they have neighbours, too. A group of several
 * parts gets visits in its first one, and its parts form a chain.
 */
static void
send_queries(PirHnswShards *shards, const PirHnswShard *shard, const PirShardLayout *layout)
{
	Size		size = pir_query_record_size(shards);
	uint32		item_size = shards->builder->meta.head.item_size;
	bytea	   *record = palloc(VARHDRSZ + size);
	uint8	   *data = (uint8 *) VARDATA(record);

	for (uint32 at = 0; at < shard->n; at++)
	{
		uint32		i = layout->order[at];

		pir_put_number(data + 8, shard->base + at);
		memcpy(data + 12, layout->items + i * shards->builder->stride, item_size);
		for (int f = 0; f < PIR_SHARD_FOREIGN; f++)
		{
			uint32		group = layout->foreign[i * PIR_SHARD_FOREIGN + f];

			if (group == PIR_GROUP_NONE)
				break;
			pir_put_number(data, group);
			pir_put_number(data + 4, 0);
			pir_sort_put(shards->queries, record, size);
		}
		if (shard->part > 0)
		{
			pir_put_number(data, shard->group);
			pir_put_number(data + 4, shard->part - 1);
			pir_sort_put(shards->queries, record, size);
		}
		if (at % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	pfree(record);
}

/* The next shard: of the next row's group, perhaps another part of it. */
static PirHnswShard *
add_shard(PirHnswShards *shards, uint32 group)
{
	PirHnswShard *shard;

	if (shards->nshards == shards->shards_capacity)
	{
		shards->shards_capacity = Max(16, 2 * shards->shards_capacity);
		shards->shards = shards->shards == NULL
			? palloc(shards->shards_capacity * sizeof(PirHnswShard))
			: repalloc_huge(shards->shards, shards->shards_capacity * sizeof(PirHnswShard));
	}
	shard = &shards->shards[shards->nshards++];
	shard->group = group;
	shard->part = shards->nshards > 1 && shard[-1].group == group ? shard[-1].part + 1 : 0;
	return shard;
}

void
pir_shards_build(PirHnswShards *shards)
{
	Loader		loader = {.shards = shards};
	PirShardLayout layout;

	pir_shards_phase(PIR_HNSW_PHASE_GRAPH, shards->nrows);
	pir_hnsw_pages_begin(shards->pages, shards->sink, &shards->builder->meta.head, PIR_PAGE_CODE);
	shards->first_code = shards->pages->first;
	shards->queries = pir_sort_begin(shards);
	shards->lists = BufFileCreateTemp(false);
	loader.dups = BufFileCreateTemp(false);
	pir_shard_layout(shards, &layout, shards->arena, shards->max_nodes);
	next_row(&loader);
	while (loader.row != NULL)
	{
		PirHnswShard *shard = add_shard(shards, row_group(loader.row));
		PirHnswGraph graph;

		load_shard(&loader, shard, &layout);
		pir_shard_graph(shards, &layout, shard->n, &graph);
		graph.poll = pir_hnsw_poll_graph;
		pir_hnsw_crew_build(shards->crew, &graph, layout.scratch);
		pir_hnsw_graph_order(&graph, shards->builder->meta.head.nodes_per_page, layout.order, layout.scratch);
		number_nodes(shards, shard, &layout);
		write_codes(&loader, shard, &layout);
		keep_lists(shards, shard, &graph, &layout);
		send_queries(shards, shard, &layout);
		pir_shards_progress(loader.nrows);
		ereport(DEBUG1,
				(errmsg_internal("shard %u (group %u, part %u): %u nodes, %u more slots for duplicates",
								 shards->nshards - 1, shard->group, shard->part, shard->n, shard->ntids_nodes)));
	}
	BufFileClose(loader.dups);
	tuplesort_end(shards->rows);
	pir_hnsw_pages_end(shards->pages, &shards->builder->meta.head.tables[PIR_TABLE_CODE]);
}
