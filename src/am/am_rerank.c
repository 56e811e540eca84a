/*-------------------------------------------------------------------------
 *
 * am_rerank.c
 *	  From a heap row's TID to the exact value the index stands for.
 *
 * See am_rerank.h; README.md, "Values read once".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "am/am_rerank.h"
#include "base/pir_compat.h"
#include "base/pir_recent.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "storage/page_heap.h"
#include "storage/page_io.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The memory of kept values goes, be it in an error: nobody may find them. */
static void
withdraw_kept(void *arg)
{
	PirRerank  *rerank = arg;

	for (int i = 0; i < PIR_RERANK_KEPT; i++)
		pir_recent_withdraw(rerank->kept[i].value);
}

PirRerank *
pir_rerank_begin(Relation heap, Relation index)
{
	PirRerank  *rerank = palloc0(sizeof(PirRerank));

	rerank->heap = heap;
	rerank->info = BuildIndexInfo(index);
	rerank->attno = rerank->info->ii_IndexAttrNumbers[0];
	if (rerank->attno == 0)
		rerank->estate = CreateExecutorState();
	rerank->fetch = table_index_fetch_begin(heap);
	rerank->slot = table_slot_create(heap, NULL);
	rerank->context = AllocSetContextCreate(CurrentMemoryContext, "piramid re-rank",
											ALLOCSET_DEFAULT_SIZES);
	pir_rerank_forget(rerank);
	return rerank;
}

bool
pir_rerank_fetch(PirRerank *rerank, ItemPointer tid, Snapshot snapshot, Datum *value)
{
	ItemPointerData copy = *tid;	/* the fetch moves it along the HOT chain */
	bool		call_again = false;
	bool		all_dead = false;
	bool		isnull;
	MemoryContext old;

	MemoryContextReset(rerank->context);
	/* the server would extend the table by a page */
	if (unlikely(ItemPointerGetBlockNumberNoCheck(tid) == InvalidBlockNumber))
		return false;
	if (!table_index_fetch_tuple(rerank->fetch, &copy, snapshot, rerank->slot,
								 &call_again, &all_dead))
		return false;

	old = MemoryContextSwitchTo(rerank->context);
	if (rerank->attno != 0)
		*value = slot_getattr(rerank->slot, rerank->attno, &isnull);
	else
	{
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];

		ResetPerTupleExprContext(rerank->estate);
		GetPerTupleExprContext(rerank->estate)->ecxt_scantuple = rerank->slot;
		FormIndexDatum(rerank->info, rerank->slot, rerank->estate, values, nulls);
		*value = values[0];
		isnull = nulls[0];
	}
	MemoryContextSwitchTo(old);
	return !isnull;
}

/* Where kept values live, and what reads them; made when the first one comes. */
static void
prepare_kept(PirRerank *rerank)
{
	MemoryContextCallback *callback;
	MemoryContext old;

	rerank->kept_context = AllocSetContextCreate(GetMemoryChunkContext(rerank),
												 "piramid values kept", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(rerank->kept_context);
	rerank->toast = pir_toast_scan_begin(rerank->heap);
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = withdraw_kept;
	callback->arg = rerank;
	MemoryContextRegisterResetCallback(rerank->kept_context, callback);
	MemoryContextSwitchTo(old);
}

/* Read a value into the memory of kept[i]; false if that is the server's business. */
static bool
read_kept(PirRerank *rerank, int i, const struct varatt_external *pointer)
{
	PirRerankKept *kept = &rerank->kept[i];
	Size		size = VARATT_EXTERNAL_GET_EXTSIZE(*pointer) + VARHDRSZ;
	MemoryContext old = MemoryContextSwitchTo(rerank->kept_context);
	bool		found;

	if (kept->capacity < size)
	{
		if (kept->value != NULL)
			pfree(kept->value);
		kept->capacity = 0;
		kept->value = palloc(size);
		kept->capacity = size;
	}
	found = pir_toast_scan_read(rerank->toast, pointer, VARDATA(kept->value));
	MemoryContextSwitchTo(old);
	if (found)
	{
		SET_VARSIZE(kept->value, size);
		kept->pointer = *pointer;
	}
	return found;
}

Datum
pir_rerank_detoast(PirRerank *rerank, Datum value, int *kept)
{
	struct varlena *attr = (struct varlena *) DatumGetPointer(value);
	struct varatt_external pointer;

	*kept = PIR_RERANK_NOT_KEPT;
	if (!VARATT_IS_EXTERNAL_ONDISK(attr) || rerank->nfree == 0)
		return value;
	VARATT_EXTERNAL_GET_POINTER(pointer, attr);
	if (VARATT_EXTERNAL_IS_COMPRESSED(pointer) ||
		VARATT_EXTERNAL_GET_EXTSIZE(pointer) > PIR_RERANK_KEPT_BYTES / PIR_RERANK_KEPT)
		return value;

	if (rerank->kept_context == NULL)
		prepare_kept(rerank);
	if (rerank->toast == NULL ||
		!read_kept(rerank, rerank->free_kept[rerank->nfree - 1], &pointer))
		return value;
	*kept = rerank->free_kept[--rerank->nfree];
	return PointerGetDatum(rerank->kept[*kept].value);
}

void
pir_rerank_read_ahead(PirRerank *rerank, ItemPointerData *tids, int ntids, Snapshot snapshot)
{
	if (!pir_heap_readable(rerank->heap))
		return;
	for (int i = 0; i < ntids; i++)
	{
		if (ItemPointerGetBlockNumberNoCheck(&tids[i]) != InvalidBlockNumber)
			pir_page_prefetch(rerank->heap, ItemPointerGetBlockNumberNoCheck(&tids[i]));
	}
	if (rerank->attno == 0)
		return;
	for (int i = 0; i < ntids; i++)
	{
		Datum		value;
		struct varlena *attr;
		struct varatt_external pointer;
		MemoryContext old;

		if (!pir_rerank_fetch(rerank, &tids[i], snapshot, &value))
			continue;
		attr = (struct varlena *) DatumGetPointer(value);
		if (!VARATT_IS_EXTERNAL_ONDISK(attr))
			continue;
		if (rerank->kept_context == NULL)
			prepare_kept(rerank);
		if (rerank->toast == NULL)
			return;
		VARATT_EXTERNAL_GET_POINTER(pointer, attr);
		old = MemoryContextSwitchTo(rerank->kept_context);
		pir_toast_scan_read_ahead(rerank->toast, &pointer);
		MemoryContextSwitchTo(old);
	}
}

void
pir_rerank_offer(PirRerank *rerank, int kept)
{
	if (rerank->offered != PIR_RERANK_NOT_KEPT)
	{
		pir_recent_withdraw(rerank->kept[rerank->offered].value);
		rerank->free_kept[rerank->nfree++] = rerank->offered;
	}
	if (kept != PIR_RERANK_NOT_KEPT)
		pir_recent_offer(&rerank->kept[kept].pointer, rerank->kept[kept].value);
	rerank->offered = kept;
	if (rerank->toast != NULL)
		pir_toast_scan_pause(rerank->toast);
}

void
pir_rerank_forget(PirRerank *rerank)
{
	withdraw_kept(rerank);
	rerank->offered = PIR_RERANK_NOT_KEPT;
	rerank->nfree = PIR_RERANK_KEPT;
	for (int i = 0; i < PIR_RERANK_KEPT; i++)
		rerank->free_kept[i] = PIR_RERANK_KEPT - 1 - i;
}

void
pir_rerank_end(PirRerank *rerank)
{
	if (rerank->toast != NULL)
		pir_toast_scan_end(rerank->toast);
	if (rerank->kept_context != NULL)
		MemoryContextDelete(rerank->kept_context);
	ExecDropSingleTupleTableSlot(rerank->slot);
	table_index_fetch_end(rerank->fetch);
	if (rerank->estate != NULL)
		FreeExecutorState(rerank->estate);
	MemoryContextDelete(rerank->context);
	pfree(rerank);
}
