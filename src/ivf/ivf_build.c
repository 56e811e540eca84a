/*-------------------------------------------------------------------------
 *
 * ivf_build.c
 *	  CREATE INDEX.
 *
 * Three passes over the table: a few blocks tell how many rows there are,
 * random blocks give the sample that lists are learned from, and the whole of
 * it is sent to lists. Pages are written once and logged once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "base/pir_compat.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "ivf/ivf_builder.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

/* Blocks that the number of rows is estimated from */
#define ESTIMATE_BLOCKS		128

typedef struct TableSample
{
	PirIvfBuilder *builder;
	double		nrows;			/* rows with something to be indexed */
	bool		keep;			/* offer them to the sample */
} TableSample;

/* Quantizer input of a row to builder->input; false if it is not indexed. */
static bool
row_input(PirIvfBuilder *builder, const Datum *values, const bool *isnull)
{
	MemoryContext old;
	bool		found;

	if (isnull[0])
		return false;
	MemoryContextReset(builder->row_context);
	old = MemoryContextSwitchTo(builder->row_context);
	found = pir_value_input(&builder->value, values[0], builder->input);
	MemoryContextSwitchTo(old);
	return found;
}

/* Callback of the sampling scans. */
static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	TableSample *scan = arg;

	if (!row_input(scan->builder, values, isnull))
		return;
	scan->nrows++;
	if (scan->keep)
		pir_ivf_sample_offer(scan->builder);
}

/* Scan at most 'want' random blocks of the table; returns how many it were. */
static BlockNumber
scan_blocks(TableSample *scan, IndexInfo *info, BlockNumber nblocks, BlockNumber want)
{
	PirIvfBuilder *builder = scan->builder;
	BlockSamplerData sampler;
	BlockNumber nread = 0;

	BlockSampler_Init(&sampler, nblocks, want, pir_random_below(PG_UINT32_MAX));
	while (BlockSampler_HasMore(&sampler))
	{
		BlockNumber block = BlockSampler_Next(&sampler);

		CHECK_FOR_INTERRUPTS();
		/* "any visible" rows will do, but an MVCC scan has no such mode */
		table_index_build_range_scan(builder->heap, builder->index, info,
									 false, !info->ii_Concurrent, false, block, 1,
									 sample_row, scan, NULL);
		nread++;
	}
	return nread;
}

/*
 * How many lists the index gets, 0 for none, with a sample to learn them from.
 * Blocks come in the order of the table, so a sample must read all that it
 * has chosen: the first of them are not like the others.
 */
static uint32
sample_table(PirIvfBuilder *builder, IndexInfo *info)
{
	TableSample	scan = {.builder = builder};
	BlockNumber nblocks = pir_page_count(builder->heap);
	BlockNumber nread;
	double		per_block;
	double		nrows;
	uint32		nlists;
	uint32		capacity;

	nread = scan_blocks(&scan, info, nblocks, ESTIMATE_BLOCKS);
	if (nread == 0 || scan.nrows == 0)
		return 0;
	per_block = scan.nrows / nread;
	nrows = per_block * nblocks;
	if (nrows < PIR_IVF_TRAIN_ROWS)
		return 0;

	nlists = builder->meta.wanted > 0 ? builder->meta.wanted
		: pir_ivf_lists_for(nrows, builder->meta.head.nodes_per_page);
	capacity = pir_ivf_sample_rows(builder, nlists);
	if (capacity == 0)
		pir_ivf_report_memory(builder, nlists);
	pir_ivf_sample_begin(builder, Min(capacity, (uint32) Min(nrows * 1.2 + 1000, 4e9)));
	scan.keep = true;
	(void) scan_blocks(&scan, info, nblocks,
					   (BlockNumber) Min((double) nblocks, ceil(1.1 * capacity / per_block)));
	return nlists;
}

/* Callback of the scan of the whole table. */
static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	PirIvfBuilder *builder = arg;

	if (!row_input(builder, values, isnull))
		return;
	pir_ivf_builder_add(builder, tid);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) builder->nrows);
}

/* Write block 0, the first of its fork. */
static void
write_first_meta(PirPageSink *sink, const PirIvfMetaOnPage *meta)
{
	pir_ivf_put_meta(pir_sink_page(sink, PIR_PAGE_META, 0), meta);
	pir_sink_done(sink);
}

IndexBuildResult *
pir_ivf_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	PirIvfBuilder builder;
	PirIvfMetaOnPage meta;
	PirPageSink sink;
	Buffer		buf;
	uint32		nlists;

	if (pir_page_count(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));

	pir_ivf_identity(index, &meta);
	pir_ivf_builder_init(&builder, heap, index, &meta);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_IVF_PHASE_KMEANS);
	nlists = sample_table(&builder, info);
	pir_ivf_builder_train(&builder, nlists);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_IVF_PHASE_ASSIGN);
	result->heap_tuples = table_index_build_scan(heap, index, info, true, true, build_row, &builder, NULL);
	result->index_tuples = builder.nrows;

	pir_sink_begin(&sink, index, MAIN_FORKNUM, 0, false);
	write_first_meta(&sink, &builder.meta);
	pir_ivf_builder_write(&builder, &sink, true);

	/* block 0 once more, now that all is known: nobody else can see it yet */
	buf = pir_page_read(index, PIR_META_BLKNO, PIR_PAGE_META, PIR_LOCK_EXCLUSIVE);
	pir_ivf_put_meta(pir_page_of(buf), &builder.meta);
	pir_page_dirty_release(buf);
	pir_wal_log_build(index, MAIN_FORKNUM);

	MemoryContextDelete(builder.context);
	return result;
}

void
pir_ivf_build_empty(Relation index)
{
	PirIvfMetaOnPage meta;
	PirPageSink sink;

	pir_ivf_identity(index, &meta);
	pir_sink_begin(&sink, index, INIT_FORKNUM, 0, false);
	write_first_meta(&sink, &meta);
	pir_wal_log_build(index, INIT_FORKNUM);
}
