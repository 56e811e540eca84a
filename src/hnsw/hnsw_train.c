/*-------------------------------------------------------------------------
 *
 * hnsw_train.c
 *	  Training: an index that grew by inserts becomes a graph.
 *
 * The rows of the flat index are fetched from the heap once more, a centre is
 * computed, and a graph is built as CREATE INDEX does. Its pages are written
 * and logged behind those in use; one last record switches the meta page
 * over. README.md section 4 has the protocol.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "am/am_remains.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "hnsw/hnsw_builder.h"
#include "miscadmin.h"
#include "utils/memutils.h"

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

/* The input of a row of the index; false if the row was removed. */
static bool
fetch_input(PirHnswBuilder *builder, PirRemains *remains, ItemPointer tid)
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
	PirHnswBuilder		builder;
	PirRemains *remains;
	PirHnswSample		sample;
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
	 * Rows that are dead to everyone here are kept as long as their values can
	 * be read, for the sake of queries on standbys. VACUUM does not mind not
	 * finding those that are gone.
	 */
	remains = pir_remains_begin(heap, index);
	pir_hnsw_builder_init(&builder, heap, index, &hnsw.meta);

	pir_hnsw_sample_begin(&sample, &builder);
	if (pir_hnsw_sample_wanted(&builder))
	{
		for (int i = 0; i < nrows; i++)
		{
			if (fetch_input(&builder, remains, &tids[i]))
				pir_hnsw_sample_add(&sample, builder.input);
		}
	}
	pir_hnsw_sample_finish(&sample, nrows, false, &centre);
	pir_hnsw_builder_limit(&builder);
	builder.max_nodes = Max(builder.max_nodes, (uint32) nrows + 1);
	builder.max_dups = PG_UINT32_MAX;
	for (int i = 0; i < nrows; i++)
	{
		if (fetch_input(&builder, remains, &tids[i]))
			(void) pir_hnsw_builder_add(&builder, &tids[i]);
	}
	pir_remains_end(remains);

	/*
	 * While the training lock is held and the index is full, nobody else
	 * allocates pages.
	 */
	pir_sink_begin(&sink, index, MAIN_FORKNUM, hnsw.meta.head.nblocks, true);
	pir_hnsw_builder_write(&builder, centre, &sink, false, false);

	/* the switch */
	builder.meta.head.epoch++;
	builder.meta.retired = hnsw.meta.head.tables[PIR_TABLE_CODE].first;
	metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	if (meta->head.epoch != hnsw.meta.head.epoch || meta->head.nblocks != hnsw.meta.head.nblocks ||
		meta->nnodes != hnsw.meta.nnodes)
		elog(ERROR, "index \"%s\" changed while it was trained", RelationGetRelationName(index));
	pir_wal_begin(&wal, index);
	pir_hnsw_put_meta(pir_wal_page(&wal, metabuf), &builder.meta);
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
