/*-------------------------------------------------------------------------
 *
 * am_remains.c
 *	  The indexed value of a row that may be dead, as long as it is there.
 *
 * All versions of a row in one HOT chain have the same indexed columns, so
 * the first that is there will do, whatever its state. A value out of line is
 * put together here and not by the server's function, for which a missing
 * part is an error: VACUUM may be removing it at this moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/toast_internals.h"
#include "am/am_remains.h"
#include "base/pir_compat.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PirRemains *
pir_remains_begin(Relation heap, Relation index)
{
	PirRemains *remains = palloc0(sizeof(PirRemains));

	remains->rerank = pir_rerank_begin(heap, index);
	if (remains->rerank->attno != 0)
		remains->attrs = bms_make_singleton(remains->rerank->attno - FirstLowInvalidHeapAttributeNumber);
	else
		pull_varattnos((Node *) remains->rerank->info->ii_Expressions, 1, &remains->attrs);
	remains->slot = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsVirtual);
	return remains;
}

/*
 * All parts of an out-of-line value, in a palloc'd copy, compressed if it is
 * so; NULL if one is missing.
 */
static struct varlena *
read_parts(const struct varatt_external *pointer)
{
	Size		size = VARATT_EXTERNAL_GET_EXTSIZE(*pointer);
	struct varlena *result = palloc(size + VARHDRSZ);
	Relation	toast = table_open(pointer->va_toastrelid, AccessShareLock);
	Relation   *indexes;
	int			nindexes;
	int			valid = toast_open_indexes(toast, AccessShareLock, &indexes, &nindexes);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Size		done = 0;
	int32		seq = 0;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(pointer->va_valueid));
	scan = systable_beginscan_ordered(toast, indexes[valid], SnapshotAny, 1, &key);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;
		TupleDesc	desc = RelationGetDescr(toast);
		int32		number = DatumGetInt32(fastgetattr(tuple, 2, desc, &isnull));
		struct varlena *chunk = (struct varlena *) DatumGetPointer(fastgetattr(tuple, 3, desc, &isnull));
		Size		bytes = VARSIZE_ANY_EXHDR(chunk);

		if (number != seq++ || bytes > size - done)
			break;
		memcpy(VARDATA(result) + done, VARDATA_ANY(chunk), bytes);
		done += bytes;
	}
	systable_endscan_ordered(scan);
	toast_close_indexes(indexes, nindexes, AccessShareLock);
	table_close(toast, AccessShareLock);

	if (tuple != NULL || done != size)
		return NULL;
	if (VARATT_EXTERNAL_IS_COMPRESSED(*pointer))
		SET_VARSIZE_COMPRESSED(result, size + VARHDRSZ);
	else
		SET_VARSIZE(result, size + VARHDRSZ);
	return result;
}

/*
 * Put the row in rerank->slot into remains->slot, the columns of the index in
 * line. False if a value is not complete.
 */
static bool
take_row(PirRemains *remains)
{
	TupleTableSlot *from = remains->rerank->slot;
	TupleTableSlot *to = remains->slot;
	TupleDesc	desc = to->tts_tupleDescriptor;
	bool		all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, remains->attrs);

	ExecClearTuple(to);
	slot_getallattrs(from);
	for (int i = 0; i < desc->natts; i++)
	{
		struct varlena *value;
		struct varatt_external pointer;

		to->tts_values[i] = from->tts_values[i];
		to->tts_isnull[i] = from->tts_isnull[i];
		if (to->tts_isnull[i] || TupleDescAttr(desc, i)->attlen != -1 ||
			!(all || bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, remains->attrs)))
			continue;
		value = (struct varlena *) DatumGetPointer(to->tts_values[i]);
		if (!VARATT_IS_EXTERNAL_ONDISK(value))
			continue;
		VARATT_EXTERNAL_GET_POINTER(pointer, value);
		value = read_parts(&pointer);
		if (value == NULL)
			return false;
		to->tts_values[i] = PointerGetDatum(value);
	}
	ExecStoreVirtualTuple(to);
	return true;
}

bool
pir_remains_fetch(PirRemains *remains, ItemPointer tid, Datum *value)
{
	PirRerank  *rerank = remains->rerank;
	ItemPointerData copy = *tid;
	bool		call_again = false;
	bool		all_dead = false;
	bool		isnull = true;
	MemoryContext old;

	MemoryContextReset(rerank->context);
	/* the server would extend the table by a page */
	if (unlikely(ItemPointerGetBlockNumberNoCheck(tid) == InvalidBlockNumber))
		return false;
	if (!table_index_fetch_tuple(rerank->fetch, &copy, SnapshotAny, rerank->slot, &call_again, &all_dead))
		return false;

	old = MemoryContextSwitchTo(rerank->context);
	if (take_row(remains))
	{
		if (rerank->attno != 0)
			*value = slot_getattr(remains->slot, rerank->attno, &isnull);
		else
		{
			Datum		values[INDEX_MAX_KEYS];
			bool		nulls[INDEX_MAX_KEYS];

			ResetPerTupleExprContext(rerank->estate);
			GetPerTupleExprContext(rerank->estate)->ecxt_scantuple = remains->slot;
			FormIndexDatum(rerank->info, remains->slot, rerank->estate, values, nulls);
			*value = values[0];
			isnull = nulls[0];
		}
	}
	MemoryContextSwitchTo(old);
	return !isnull;
}

void
pir_remains_end(PirRemains *remains)
{
	ExecDropSingleTupleTableSlot(remains->slot);
	pir_rerank_end(remains->rerank);
	bms_free(remains->attrs);
	pfree(remains);
}
