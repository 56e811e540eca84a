/*-------------------------------------------------------------------------
 *
 * hnsw_shards.c
 *	  Building a graph with little memory: sorting rows into shards.
 *
 * Rows are spooled as codes. A sample of them are the centres of cells; the
 * cells are divided into groups that fit into memory (hnsw_graph_divide.c),
 * and each row is sorted to the group of its nearest cell. The groups of its
 * next nearest cells are those where it will look for neighbours, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "catalog/pg_type_d.h"
#include "commands/progress.h"
#include "hnsw/hnsw_shards.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/typcache.h"

/*
 * Cells: this many for each shard, but at least CELLS_MIN if there are rows
 * enough for ROWS_PER_CELL each. Numbers of cells are kept in 16 bits.
 */
#define CELLS_PER_SHARD		32
#define CELLS_MIN			1024
#define CELLS_MAX			65000
#define ROWS_PER_CELL		8

/* Nearest cells that are looked at to find out which groups are near a row */
#define NEAR_CELLS			12
#define NO_CELL				PG_UINT16_MAX

/* A shard must have room for this many nodes, whatever the limit. */
#define MIN_SHARD_NODES		256

/* Most rows that are searched for in one go */
#define MAX_BATCH			4096

/* ------------------------------------------------------------------------
 *	Small things that all steps share
 * ------------------------------------------------------------------------
 */

void
pir_spool_read(BufFile *file, void *data, Size size)
{
	if (BufFileRead(file, data, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from a temporary file of an index build")));
}

void
pir_spool_rewind(BufFile *file)
{
	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind a temporary file of an index build")));
}

void
pir_put_number(uint8 *to, uint32 number)
{
	to[0] = number >> 24;
	to[1] = number >> 16;
	to[2] = number >> 8;
	to[3] = number;
}

uint32
pir_get_number(const uint8 *from)
{
	return (uint32) from[0] << 24 | (uint32) from[1] << 16 | (uint32) from[2] << 8 | from[3];
}

Tuplesortstate *
pir_sort_begin(const PirHnswShards *shards)
{
	return tuplesort_begin_datum(BYTEAOID, lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR)->lt_opr,
								 InvalidOid, false, shards->sort_kilobytes, NULL, 0);
}

void
pir_sort_put(Tuplesortstate *sort, bytea *record, Size size)
{
	SET_VARSIZE(record, VARHDRSZ + size);
	tuplesort_putdatum(sort, PointerGetDatum(record), false);
}

bytea *
pir_sort_next(Tuplesortstate *sort)
{
	Datum		value;
	bool		isnull;

	return pir_sort_next_datum(sort, &value, &isnull) ? (bytea *) DatumGetPointer(value) : NULL;
}

Size
pir_row_record_size(const PirHnswShards *shards)
{
	/* group, item, block and offset of the row, foreign groups */
	return 4 + shards->builder->meta.head.item_size + 8 + 4 * PIR_SHARD_FOREIGN;
}

Size
pir_query_record_size(const PirHnswShards *shards)
{
	/* group, part, nid, item */
	return 12 + shards->builder->meta.head.item_size;
}

void
pir_shards_phase(int phase, uint64 total)
{
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, (int64) total);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, 0);
}

void
pir_shards_progress(uint64 done)
{
	CHECK_FOR_INTERRUPTS();
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) done);
}

static inline void *
take(uint8 *base, Size *offset, Size size)
{
	Size		at = *offset;

	*offset = pir_size_add(at, TYPEALIGN(PIR_CACHE_LINE, size));
	return base == NULL ? NULL : base + at;
}

Size
pir_shard_layout(const PirHnswShards *shards, PirShardLayout *layout, uint8 *base, uint32 n)
{
	const PirHnswBuilder *builder = shards->builder;
	uint16		m = builder->meta.head.m;
	Size		offset = 0;

	layout->items = take(base, &offset, pir_size_mul(n, builder->stride));
	layout->nedges = take(base, &offset, n);
	layout->edges = take(base, &offset, pir_size_mul(n, 2 * (Size) m * sizeof(uint32)));
	layout->scratch = take(base, &offset, Max(pir_hnsw_graph_shared_size(n, m),
											  pir_hnsw_graph_order_scratch_size(n)));
	layout->tids = take(base, &offset, pir_size_mul(n, sizeof(ItemPointerData)));
	layout->ndups = take(base, &offset, pir_size_mul(n, sizeof(uint32)));
	layout->foreign = take(base, &offset, pir_size_mul(n, PIR_SHARD_FOREIGN * sizeof(uint32)));
	layout->order = take(base, &offset, pir_size_mul(n, sizeof(uint32)));
	layout->nids = take(base, &offset, pir_size_mul(n, sizeof(uint32)));
	return offset;
}

void
pir_shard_graph(const PirHnswShards *shards, const PirShardLayout *layout, uint32 n, PirHnswGraph *graph)
{
	const PirHnswBuilder *builder = shards->builder;

	graph->quant = builder->quant;
	graph->n = n;
	graph->m = builder->meta.head.m;
	graph->cap = 2 * graph->m;
	graph->ef = builder->ef_construction;
	graph->items = layout->items;
	graph->item_stride = builder->stride;
	graph->nedges = layout->nedges;
	graph->edges = layout->edges;
	graph->poll = NULL;
	graph->poll_arg = NULL;
}

/* ------------------------------------------------------------------------
 *	Limits
 * ------------------------------------------------------------------------
 */

/* Most nodes whose shard fits into so many bytes of the arena. */
static uint32
nodes_that_fit(const PirHnswShards *shards, Size size)
{
	uint32		low = 1;
	uint32		high = PIR_NID_NONE - 1;

	while (low < high)
	{
		uint32		middle = low + (high - low + 1) / 2;
		PirShardLayout layout;

		if (pir_shard_layout(shards, &layout, NULL, middle) <= size)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/*
 * An eighth of the memory is for each of the two sorts that work at a time, a
 * sixteenth for buffers and the members' own marks, the rest is the arena.
 */
static void
set_limits(PirHnswShards *shards)
{
	Size		limit = (Size) maintenance_work_mem * 1024;
	PirShardLayout layout;

	shards->sort_kilobytes = Max(64, maintenance_work_mem / 8);
	shards->arena_size = limit / 16 * 11;
	shards->arena_size = Max(shards->arena_size, pir_shard_layout(shards, &layout, NULL, MIN_SHARD_NODES));
	shards->arena_size = Max(shards->arena_size, pir_shards_merge_size(shards));
	shards->max_nodes = nodes_that_fit(shards, shards->arena_size);
}

/* ------------------------------------------------------------------------
 *	The spool
 * ------------------------------------------------------------------------
 */

static void
spool_row(PirHnswShards *shards, const ItemPointerData *tid, const uint8 *item)
{
	pir_buffile_write(shards->spool, tid, sizeof(*tid));
	pir_buffile_write(shards->spool, item, shards->builder->meta.head.item_size);
	shards->nrows++;
}

PirHnswShards *
pir_hnsw_shards_begin(PirHnswBuilder *builder)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	PirHnswShards *shards = palloc0(sizeof(PirHnswShards));

	shards->builder = builder;
	shards->context = builder->context;
	set_limits(shards);
	shards->spool = BufFileCreateTemp(false);
	for (uint32 i = 0; i < builder->n; i++)
		spool_row(shards, &builder->tids[i], builder->items + i * builder->stride);
	for (uint32 i = 0; i < builder->ndups; i++)
		spool_row(shards, &builder->dups[i].tid, builder->items + builder->dups[i].node * builder->stride);
	pfree(builder->items);
	pfree(builder->tids);
	pfree(builder->hash);
	if (builder->dups != NULL)
		pfree(builder->dups);

	/* for one item at a time */
	builder->items = palloc0(builder->stride);
	MemoryContextSwitchTo(old);
	return shards;
}

void
pir_hnsw_shards_add(PirHnswShards *shards, ItemPointer tid)
{
	PirHnswBuilder *builder = shards->builder;

	pir_quant_encode(builder->quant, builder->input, builder->items, builder->scratch);
	spool_row(shards, tid, builder->items);
}

/* ------------------------------------------------------------------------
 *	Cells
 * ------------------------------------------------------------------------
 */

/* Rows in the arena, being searched for, behind the graph of cells. */
typedef struct Batch
{
	PirHnswQueries queries;
	uint32		capacity;
} Batch;

typedef struct Cells
{
	uint32		n;
	PirHnswGraph graph;			/* in the arena */
	uint64	   *counts;			/* rows of each */
	uint32	   *groups;			/* group of each */
	uint32		ngroups;
	BufFile    *near;			/* NEAR_CELLS numbers of each row, nearest first */
	Batch		batch;
} Cells;

/* Bytes from one row in the spool to the next */
static Size
spool_stride(const PirHnswShards *shards)
{
	return sizeof(ItemPointerData) + shards->builder->meta.head.item_size;
}

/*
 * Take rows at even distances as centres: the table's order does not matter
 * then, and dense regions get more of them.
 */
static void
sample_cells(PirHnswShards *shards, Cells *cells, uint8 *items)
{
	Size		stride = spool_stride(shards);
	Size		to_stride = shards->builder->stride;

	/* what the spool has in its buffer is written out by the first rewind */
	pir_spool_rewind(shards->spool);
	memset(items, 0, cells->n * to_stride);
	for (uint32 i = 0; i < cells->n; i++)
	{
		uint64		row = (uint64) i * shards->nrows / cells->n;
		ItemPointerData tid;

		CHECK_FOR_INTERRUPTS();
		if (BufFileSeek(shards->spool, 0, (off_t) (row * stride), SEEK_SET) != 0)
			elog(ERROR, "could not seek to row " UINT64_FORMAT " of a spool", row);
		pir_spool_read(shards->spool, &tid, sizeof(tid));
		pir_spool_read(shards->spool, items + i * to_stride, shards->builder->meta.head.item_size);
	}
}

/* Choose the cells' centres and build a graph of them, in half the arena. */
static void
make_cells(PirHnswShards *shards, Cells *cells)
{
	uint64		wanted = Max(CELLS_MIN, CELLS_PER_SHARD * (shards->nrows / shards->max_nodes + 1));
	PirShardLayout layout;
	Size		used;
	Size		per_query;

	cells->n = (uint32) Min(Min(wanted, CELLS_MAX), Max(1, shards->nrows / ROWS_PER_CELL));
	cells->n = Min(cells->n, nodes_that_fit(shards, shards->arena_size / 2));
	used = pir_shard_layout(shards, &layout, shards->arena, cells->n);
	sample_cells(shards, cells, layout.items);
	pir_shard_graph(shards, &layout, cells->n, &cells->graph);
	cells->graph.poll = pir_hnsw_poll_graph;
	pir_hnsw_crew_build(shards->crew, &cells->graph, layout.scratch);

	cells->counts = palloc0(cells->n * sizeof(uint64));
	cells->groups = palloc(cells->n * sizeof(uint32));

	per_query = shards->builder->stride + NEAR_CELLS * sizeof(uint32) + sizeof(uint16);
	cells->batch.capacity = (uint32) Min(MAX_BATCH, (shards->arena_size - used - 3 * PIR_CACHE_LINE) / per_query);
	cells->batch.capacity = Max(cells->batch.capacity, 1);
	cells->batch.queries.items = take(shards->arena, &used, cells->batch.capacity * shards->builder->stride);
	cells->batch.queries.found = take(shards->arena, &used, cells->batch.capacity * NEAR_CELLS * sizeof(uint32));
	cells->batch.queries.nfound = take(shards->arena, &used, cells->batch.capacity * sizeof(uint16));
	cells->batch.queries.ef = Min(NEAR_CELLS, cells->graph.ef);
	cells->batch.queries.max = cells->batch.queries.ef;
	cells->batch.queries.select = false;
}

/* Find the nearest cells of each row; count the rows of each cell. */
static void
find_cells(PirHnswShards *shards, Cells *cells)
{
	PirHnswQueries *queries = &cells->batch.queries;
	uint8	   *items = unconstify(uint8 *, queries->items);
	Size		stride = shards->builder->stride;

	pir_spool_rewind(shards->spool);
	cells->near = BufFileCreateTemp(false);
	for (uint64 done = 0; done < shards->nrows; done += queries->n)
	{
		queries->n = (uint32) Min(cells->batch.capacity, shards->nrows - done);
		for (uint32 i = 0; i < queries->n; i++)
		{
			ItemPointerData tid;

			pir_spool_read(shards->spool, &tid, sizeof(tid));
			pir_spool_read(shards->spool, items + i * stride, shards->builder->meta.head.item_size);
		}
		pir_hnsw_crew_find(shards->crew, &cells->graph, queries);
		for (uint32 i = 0; i < queries->n; i++)
		{
			const uint32 *found = queries->found + (Size) i * queries->max;
			uint16		near[NEAR_CELLS];

			for (int j = 0; j < NEAR_CELLS; j++)
				near[j] = j < queries->nfound[i] ? found[j] : NO_CELL;
			cells->counts[near[0]]++;
			pir_buffile_write(cells->near, near, sizeof(near));
		}
		pir_shards_progress(done);
	}
}

/* Divide the cells into groups of at most max_nodes rows, if that can be. */
static void
group_cells(PirHnswShards *shards, Cells *cells)
{
	void	   *scratch = pir_alloc_aligned(CurrentMemoryContext,
											pir_hnsw_graph_divide_scratch_size(shards->builder->quant, cells->n),
											false);

	cells->ngroups = pir_hnsw_graph_divide(shards->builder->quant, cells->graph.items, cells->graph.item_stride,
										   cells->counts, cells->n, shards->max_nodes, cells->groups, scratch);
}

/* Sort all rows to their groups. */
static void
sort_rows(PirHnswShards *shards, Cells *cells)
{
	uint32		item_size = shards->builder->meta.head.item_size;
	Size		size = pir_row_record_size(shards);
	bytea	   *record = palloc(VARHDRSZ + size);
	uint8	   *data = (uint8 *) VARDATA(record);

	shards->rows = pir_sort_begin(shards);
	pir_spool_rewind(shards->spool);
	pir_spool_rewind(cells->near);
	for (uint64 row = 0; row < shards->nrows; row++)
	{
		uint16		near[NEAR_CELLS];
		uint32		foreign[PIR_SHARD_FOREIGN];
		uint32		nforeign = 0;
		uint32		group;
		ItemPointerData tid;
		uint8	   *tail = data + 4 + item_size;

		pir_spool_read(shards->spool, &tid, sizeof(tid));
		pir_spool_read(shards->spool, data + 4, item_size);
		pir_spool_read(cells->near, near, sizeof(near));
		group = cells->groups[near[0]];
		for (int j = 1; j < NEAR_CELLS && near[j] != NO_CELL && nforeign < PIR_SHARD_FOREIGN; j++)
		{
			uint32		other = cells->groups[near[j]];
			bool		known = other == group;

			for (uint32 k = 0; k < nforeign; k++)
				known = known || foreign[k] == other;
			if (!known)
				foreign[nforeign++] = other;
		}
		while (nforeign < PIR_SHARD_FOREIGN)
			foreign[nforeign++] = PIR_GROUP_NONE;

		pir_put_number(data, group);
		pir_put_number(tail, ItemPointerGetBlockNumber(&tid));
		pir_put_number(tail + 4, ItemPointerGetOffsetNumber(&tid));
		for (int j = 0; j < PIR_SHARD_FOREIGN; j++)
			pir_put_number(tail + 8 + 4 * j, foreign[j]);
		pir_sort_put(shards->rows, record, size);
		if (row % 1024 == 0)
			pir_shards_progress(row);
	}
	BufFileClose(shards->spool);
	BufFileClose(cells->near);
	tuplesort_performsort(shards->rows);
}

/* Spool -> rows sorted into shards. In a context of its own, gone afterwards. */
static void
divide_rows(PirHnswShards *shards)
{
	MemoryContext context = AllocSetContextCreate(shards->context, "piramid hnsw cells", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Cells		cells;

	pir_shards_phase(PIR_HNSW_PHASE_DIVIDE, shards->nrows);
	memset(&cells, 0, sizeof(cells));
	make_cells(shards, &cells);
	find_cells(shards, &cells);
	group_cells(shards, &cells);
	ereport(DEBUG1,
			(errmsg_internal(UINT64_FORMAT " rows in %u cells, %u groups of at most %u",
							 shards->nrows, cells.n, cells.ngroups, shards->max_nodes)));

	/* the sort is to last */
	MemoryContextSwitchTo(shards->context);
	pir_shards_phase(PIR_HNSW_PHASE_SORT, shards->nrows);
	sort_rows(shards, &cells);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
pir_hnsw_shards_finish(PirHnswShards *shards, const float *centre, PirPageSink *sink)
{
	PirHnswBuilder *builder = shards->builder;
	PirHnswMetaOnPage *meta = &builder->meta;
	MemoryContext old = MemoryContextSwitchTo(shards->context);
	uint32		nlive = 0;

	shards->sink = sink;
	shards->pages = palloc(sizeof(PirHnswPages));
	shards->crew = pir_hnsw_crew_begin(builder, centre, (double) shards->nrows, shards->arena_size, true);
	shards->arena = pir_hnsw_crew_arena(shards->crew);

	divide_rows(shards);
	pir_shards_build(shards);
	pir_shards_find_edges(shards);
	pir_shards_write_lists(shards);
	pir_hnsw_crew_end(shards->crew);

	pir_shards_phase(PIR_HNSW_PHASE_WRITE, 0);
	pir_hnsw_put_entries(sink, meta, shards->first_code, shards->nnodes, shards->shards[0].root);
	pir_hnsw_put_centre(sink, meta, centre);
	for (uint32 s = 0; s < shards->nshards; s++)
		nlive += shards->shards[s].n;
	meta->state = PIR_HNSW_GRAPH;
	meta->nnodes = shards->nnodes;
	meta->nlive = nlive;
	meta->ndead = 0;
	meta->free_node = PIR_NID_NONE;
	meta->nfree_nodes = 0;
	meta->head.nblocks = sink->next;
	MemoryContextSwitchTo(old);
}
