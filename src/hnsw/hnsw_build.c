/*-------------------------------------------------------------------------
 *
 * hnsw_build.c
 *	  CREATE INDEX.
 *
 * A sample of the table gives the centre, one scan of it the codes; then the
 * graph is built in memory, written once and logged once. When the codes and
 * their graph no longer fit into maintenance_work_mem, codes go to a temporary
 * file and the graph is built in shards (hnsw_shards.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "hnsw/hnsw_shards.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

/* Blocks that the centre is computed from, at most */
#define SAMPLE_BLOCKS	4096

/* Callback of the sampling scan. */
static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	PirHnswSample *sample = arg;
	PirHnswBuilder *builder = sample->builder;
	MemoryContext old;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(builder->row_context);
	if (pir_value_input(&builder->value, values[0], builder->input))
		pir_hnsw_sample_add(sample, builder->input);
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
}

/* PirHnswSample random blocks of the table. */
static void
sample_table(PirHnswBuilder *builder, IndexInfo *info, float **centre)
{
	PirHnswSample		sample;
	double		table_rows = 0;

	pir_hnsw_sample_begin(&sample, builder);
	if (pir_hnsw_sample_wanted(builder))
	{
		BlockNumber nblocks = pir_page_count(builder->heap);
		BlockNumber nread = 0;
		BlockSamplerData sampler;

		BlockSampler_Init(&sampler, nblocks, SAMPLE_BLOCKS, pir_random_below(PG_UINT32_MAX));
		while (sample.nrows < PIR_HNSW_SAMPLE_ROWS && BlockSampler_HasMore(&sampler))
		{
			BlockNumber block = BlockSampler_Next(&sampler);

			CHECK_FOR_INTERRUPTS();
			/* "any visible" rows will do, but an MVCC scan has no such mode */
			table_index_build_range_scan(builder->heap, builder->index, info,
										 false, !info->ii_Concurrent, false, block, 1,
										 sample_row, &sample, NULL);
			nread++;
		}
		if (nread > 0)
			table_rows = (double) sample.nrows / nread * nblocks;
	}
	pir_hnsw_sample_finish(&sample, table_rows, true, centre);
}

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

/* Write block 0, the first of its fork. */
static void
write_first_meta(PirPageSink *sink, const PirHnswMetaOnPage *meta)
{
	pir_hnsw_put_meta(pir_sink_page(sink, PIR_PAGE_META, 0), meta);
	pir_sink_done(sink);
}

typedef struct BuildState
{
	PirHnswBuilder builder;
	float	   *centre;
	PirHnswShards *shards;		/* NULL as long as all fits into memory */
} BuildState;

/* Write what was collected as the index's content, all of it logged. */
static void
finish_build(BuildState *state)
{
	PirHnswBuilder *builder = &state->builder;
	PirPageSink sink;
	Buffer		buf;

	pir_sink_begin(&sink, builder->index, MAIN_FORKNUM, 0, false);
	write_first_meta(&sink, &builder->meta);
	if (state->shards != NULL)
		pir_hnsw_shards_finish(state->shards, state->centre, &sink);
	else
	{
		/* a centre needs its page, and a flat index has none */
		pir_hnsw_builder_write(builder, state->centre, &sink,
							   state->centre == NULL && builder->nrows < PIR_HNSW_TRAIN_ROWS, true);
	}

	/* block 0 once more, now that all is known: nobody else can see it yet */
	buf = pir_page_read(builder->index, PIR_META_BLKNO, PIR_PAGE_META, PIR_LOCK_EXCLUSIVE);
	pir_hnsw_put_meta(pir_page_of(buf), &builder->meta);
	pir_page_dirty_release(buf);
	pir_wal_log_build(builder->index, MAIN_FORKNUM);
}

/* Callback of the heap scan. */
static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	BuildState *state = arg;
	PirHnswBuilder *builder = &state->builder;
	MemoryContext old;

	if (isnull[0])
		return;

	old = MemoryContextSwitchTo(builder->row_context);
	if (pir_value_input(&builder->value, values[0], builder->input))
	{
		if (state->shards == NULL && !pir_hnsw_builder_add(builder, tid))
		{
			ereport(NOTICE,
					(errmsg("hnsw graph no longer fits into maintenance_work_mem after %u rows",
							builder->n + builder->ndups),
					 errdetail("It is built in parts, which takes up to twice as long."),
					 errhint("Increase maintenance_work_mem to speed up builds.")));
			state->shards = pir_hnsw_shards_begin(builder);
		}
		if (state->shards != NULL)
			pir_hnsw_shards_add(state->shards, tid);
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
	pir_hnsw_builder_init(&state.builder, heap, index, &meta);
	state.centre = NULL;
	state.shards = NULL;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_SAMPLE);
	sample_table(&state.builder, info, &state.centre);
	pir_hnsw_builder_limit(&state.builder);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_HNSW_PHASE_LOAD);
	result->heap_tuples = table_index_build_scan(heap, index, info, true, true, build_row, &state, NULL);
	result->index_tuples = state.builder.nrows;
	finish_build(&state);
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
