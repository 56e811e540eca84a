/*-------------------------------------------------------------------------
 *
 * am_rerank.c
 *	  From a heap row's TID to the exact value the index stands for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am_rerank.h"
#include "base/pir_compat.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/rel.h"

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

void
pir_rerank_end(PirRerank *rerank)
{
	ExecDropSingleTupleTableSlot(rerank->slot);
	table_index_fetch_end(rerank->fetch);
	if (rerank->estate != NULL)
		FreeExecutorState(rerank->estate);
	MemoryContextDelete(rerank->context);
	pfree(rerank);
}
