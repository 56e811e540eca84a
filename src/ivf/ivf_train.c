/*-------------------------------------------------------------------------
 *
 * ivf_train.c
 *	  Training: an index that grew by inserts gets lists.
 *
 * The rows of the flat index are fetched from the heap once more, lists are
 * learned from them and written, as CREATE INDEX does, behind the blocks in
 * use; one last record switches the meta page over. README.md section 4 has
 * the protocol.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "am/am_remains.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "ivf/ivf_builder.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/*
 * An index that reaches training by inserts goes on growing; lists are for
 * this many rows, and for four times as many they do. (The rows at hand must
 * have some for each list.)
 */
#define GROWN_ROWS		(4.0 * PIR_IVF_TRAIN_ROWS)

/* Rows of the sample, whatever maintenance_work_mem is */
#define MIN_TRAIN_SAMPLE	64

/*
 * All rows of a flat index, in a palloc'd array. The caller holds the
 * training lock, and the index is full, so they cannot change.
 */
static ItemPointerData *
flat_rows(PirIvfIndex *ivf, Size *nrows)
{
	Size		capacity = PIR_IVF_TRAIN_ROWS;
	ItemPointerData *tids = palloc(capacity * sizeof(ItemPointerData));
	PirIvfListScan scan;

	*nrows = 0;
	pir_ivf_list_begin(&scan, ivf, 0);
	while (pir_ivf_list_page(&scan))
	{
		uint32		n = pir_page_special(scan.page)->nslots;

		if (*nrows + n > capacity)
		{
			capacity = Max(capacity * 2, *nrows + n);
			tids = repalloc_huge(tids, pir_size_mul(capacity, sizeof(ItemPointerData)));
		}
		memcpy(tids + *nrows, pir_ivf_tids(scan.page), n * sizeof(ItemPointerData));
		*nrows += n;
	}
	if (scan.changed)
		elog(ERROR, "index \"%s\" changed while it was trained", RelationGetRelationName(ivf->rel));
	return tids;
}

/* Input of a row to builder->input; false if the row was removed. */
static bool
fetch_input(PirIvfBuilder *builder, PirRemains *remains, ItemPointer tid)
{
	MemoryContext old;
	Datum		value;
	bool		found;

	CHECK_FOR_INTERRUPTS();
	if (!pir_remains_fetch(remains, tid, &value))
		return false;
	old = MemoryContextSwitchTo(remains->rerank->context);
	found = pir_value_input(&builder->value, value, builder->input);
	MemoryContextSwitchTo(old);
	return found;
}

void
pir_ivf_free_retired(Relation index)
{
	for (;;)
	{
		Buffer		metabuf = pir_meta_read(index, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
		PirIvfMetaOnPage *meta = (PirIvfMetaOnPage *) pir_page_content(pir_page_of(metabuf));
		BlockNumber blkno = meta->retired;
		Buffer		buf;
		PirWal		wal;
		Page		page;

		CHECK_FOR_INTERRUPTS();
		if (blkno == InvalidBlockNumber)
		{
			pir_page_release(metabuf);
			return;
		}
		buf = pir_page_read(index, blkno, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);
		pir_wal_begin(&wal, index);
		meta = (PirIvfMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
		page = pir_wal_page(&wal, buf);
		meta->retired = pir_page_special(page)->next;
		pir_page_free(&meta->head, blkno, page);
		pir_wal_finish(&wal);
		pir_page_release(buf);
		pir_page_release(metabuf);
	}
}

static void
train_locked(Relation index, Relation heap)
{
	PirIvfIndex ivf;
	PirIvfBuilder builder;
	PirRemains *remains;
	PirPageSink sink;
	PirIvfMetaOnPage *meta;
	Buffer		metabuf;
	PirWal		wal;
	ItemPointerData *tids;
	Size		nrows;
	uint32		nlists;

	pir_ivf_open(&ivf, index);
	if (ivf.meta.state != PIR_IVF_FLAT || ivf.meta.nflat < PIR_IVF_TRAIN_ROWS)
	{
		/* somebody else was first */
		pir_ivf_close(&ivf);
		return;
	}
	tids = flat_rows(&ivf, &nrows);

	/*
	 * Rows that are dead to everyone here are kept as long as their values can
	 * be read, for the sake of queries on standbys. VACUUM does not mind not
	 * finding those that are gone.
	 */
	remains = pir_remains_begin(heap, index);
	pir_ivf_builder_init(&builder, heap, index, &ivf.meta);
	builder.meta.head.epoch++;	/* that of the pages to be written */

	/* an insert must not fail because somebody has asked for more than there is memory for */
	nlists = ivf.meta.wanted > 0 ? ivf.meta.wanted : pir_ivf_lists_for(GROWN_ROWS, ivf.meta.head.nodes_per_page);
	nlists = Max(1, Min(nlists, nrows / 2));
	while (nlists > 1 && pir_ivf_sample_rows(&builder, nlists) == 0)
		nlists /= 2;
	pir_ivf_sample_begin(&builder, Min(nrows, Max(pir_ivf_sample_rows(&builder, nlists), MIN_TRAIN_SAMPLE)));
	for (Size i = 0; i < nrows; i++)
	{
		if (fetch_input(&builder, remains, &tids[i]))
			pir_ivf_sample_offer(&builder);
	}
	pir_ivf_builder_train(&builder, nlists);
	for (Size i = 0; i < nrows; i++)
	{
		if (fetch_input(&builder, remains, &tids[i]))
			pir_ivf_builder_add(&builder, &tids[i]);
	}
	pir_remains_end(remains);

	/*
	 * While the training lock is held and the index is full, nobody else
	 * allocates pages.
	 */
	pir_sink_begin(&sink, index, MAIN_FORKNUM, ivf.meta.head.nblocks, true);
	pir_ivf_builder_write(&builder, &sink, false);

	/* the switch */
	builder.meta.retired = ivf.meta.flat.first;
	metabuf = pir_meta_read(index, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
	meta = (PirIvfMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	if (meta->head.epoch != ivf.meta.head.epoch || meta->head.nblocks != ivf.meta.head.nblocks ||
		meta->nflat != ivf.meta.nflat)
		elog(ERROR, "index \"%s\" changed while it was trained", RelationGetRelationName(index));
	pir_wal_begin(&wal, index);
	pir_ivf_put_meta(pir_wal_page(&wal, metabuf), &builder.meta);
	pir_wal_finish(&wal);
	pir_page_release(metabuf);

	pir_ivf_free_retired(index);
	pir_ivf_close(&ivf);
	MemoryContextDelete(builder.context);
}

void
pir_ivf_train(Relation index, Relation heap)
{
	pir_index_lock_training(index);
	train_locked(index, heap);
	pir_index_unlock_training(index);
}
