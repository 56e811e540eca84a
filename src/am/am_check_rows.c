/*-------------------------------------------------------------------------
 *
 * am_check_rows.c
 *	  Verifying that an index and its table agree, for all index kinds.
 *
 * The heap rows of the index are sorted by TID (within maintenance_work_mem,
 * else on disk) and merged with a scan of the table, which comes in the order
 * of its blocks. Members of a HOT chain come under the TID of its root, as in
 * an index build.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "am/am_check_rows.h"
#include "base/pir_compat.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/page_heap.h"
#include "storage/page_io.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

/* A row of the index */
typedef struct IndexRow
{
	ItemPointerData tid;
	bool		found;			/* by the table's scan */
	int64		node;
	int64		place;
} IndexRow;

struct PirCheckRows
{
	PirCheck   *check;
	const PirCheckRowsKind *kind;
	const PirValueInfo *value;
	void	   *arg;

	/* the rows as (tid, node, place), all int8 */
	Tuplesortstate *sort;
	TupleTableSlot *row;		/* to put */
	TupleTableSlot *slot;		/* to get */

	/* the next row of the sorted ones, not yet in rows[] */
	bool		have_next;
	IndexRow	next;

	/* the rows in one heap block, by offset */
	BlockNumber blkno;
	IndexRow   *rows;
	int			nrows;
	int			max_rows;

	bool		readable;		/* the table's pages, by pir_heap_item() */
	Buffer		buf;			/* pinned heap page */

	MemoryContext context;		/* reset for each row */
	void	   *input;
};

/* TIDs as numbers in the same order. */
static int64
encode_tid(const ItemPointerData *tid)
{
	return ((int64) ItemPointerGetBlockNumberNoCheck(tid) << 16) |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

PirCheckRows *
pir_check_rows_begin(PirCheck *check, const PirCheckRowsKind *kind, const PirValueInfo *value, void *arg)
{
	PirCheckRows *rows = palloc0(sizeof(PirCheckRows));
	TupleDesc	desc = CreateTemplateTupleDesc(3);
	AttrNumber	keys[2] = {1, 2};
	Oid			operators[2] = {Int8LessOperator, Int8LessOperator};
	Oid			collations[2] = {InvalidOid, InvalidOid};
	bool		nulls_first[2] = {false, false};

	rows->check = check;
	rows->kind = kind;
	rows->value = value;
	rows->arg = arg;
	TupleDescInitEntry(desc, 1, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "node", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 3, "place", INT8OID, -1, 0);
	rows->sort = tuplesort_begin_heap(desc, 2, keys, operators, collations, nulls_first,
									  maintenance_work_mem, NULL, 0);
	rows->row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	rows->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	return rows;
}

void
pir_check_rows_add(PirCheckRows *rows, const ItemPointerData *tid, int64 node, int64 place)
{
	TupleTableSlot *slot = rows->row;

	ExecClearTuple(slot);
	slot->tts_values[0] = Int64GetDatum(encode_tid(tid));
	slot->tts_values[1] = Int64GetDatum(node);
	slot->tts_values[2] = Int64GetDatum(place);
	slot->tts_isnull[0] = slot->tts_isnull[1] = slot->tts_isnull[2] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(rows->sort, slot);
}

static void
fetch_next(PirCheckRows *rows)
{
	bool		isnull;
	int64		tid;

	rows->have_next = tuplesort_gettupleslot(rows->sort, true, false, rows->slot, NULL);
	if (!rows->have_next)
		return;
	tid = DatumGetInt64(slot_getattr(rows->slot, 1, &isnull));
	ItemPointerSet(&rows->next.tid, (BlockNumber) (tid >> 16), (OffsetNumber) (tid & 0xFFFF));
	rows->next.node = DatumGetInt64(slot_getattr(rows->slot, 2, &isnull));
	rows->next.place = DatumGetInt64(slot_getattr(rows->slot, 3, &isnull));
	rows->next.found = false;
}

/*
 * Done with the rows of a block: those the scan did not see are dead or not
 * yet visible, which is as it should be; but their line pointers must exist.
 */
static void
finish_block(PirCheckRows *rows)
{
	PirCheck   *check = rows->check;

	for (int i = 0; i < rows->nrows; i++)
	{
		IndexRow   *row = &rows->rows[i];
		OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(&row->tid);

		if (i > 0 && offset == ItemPointerGetOffsetNumberNoCheck(&rows->rows[i - 1].tid))
			pir_check_add(check, rows->kind->twice, PIR_CHECK_NONE, row->node,
						  "heap row (%u,%u) is also in %s " INT64_FORMAT,
						  rows->blkno, offset, rows->kind->what, rows->rows[i - 1].node);
		if (row->found || !rows->readable)
			continue;
		switch (pir_heap_item(check->heap, &row->tid, &rows->buf))
		{
			case PIR_HEAP_NO_BLOCK:
			case PIR_HEAP_NO_ITEM:
				pir_check_add(check, rows->kind->dangling, PIR_CHECK_NONE, row->node,
							  "heap row (%u,%u) does not exist", rows->blkno, offset);
				break;
			case PIR_HEAP_ONLY:
				pir_check_add(check, rows->kind->dangling, PIR_CHECK_NONE, row->node,
							  "heap row (%u,%u) is a member of a HOT chain, not its root",
							  rows->blkno, offset);
				break;
			case PIR_HEAP_DEAD:
			case PIR_HEAP_ROOT:
				break;
		}
	}
	rows->nrows = 0;
}

/* Take the rows of the next block that has any, if it is not behind 'limit'. */
static bool
next_block(PirCheckRows *rows, BlockNumber limit)
{
	finish_block(rows);
	if (!rows->have_next || ItemPointerGetBlockNumberNoCheck(&rows->next.tid) > limit)
		return false;
	rows->blkno = ItemPointerGetBlockNumberNoCheck(&rows->next.tid);
	while (rows->have_next && ItemPointerGetBlockNumberNoCheck(&rows->next.tid) == rows->blkno)
	{
		if (rows->nrows == rows->max_rows)
		{
			rows->max_rows *= 2;
			rows->rows = repalloc_huge(rows->rows, rows->max_rows * sizeof(IndexRow));
		}
		rows->rows[rows->nrows++] = rows->next;
		fetch_next(rows);
	}
	return true;
}

/* A row that the check's snapshot sees; partial predicates are behind us. */
static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	PirCheckRows *rows = state;
	BlockNumber blkno = ItemPointerGetBlockNumber(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	MemoryContext old;
	bool		wanted = false;
	int			nfound = 0;

	CHECK_FOR_INTERRUPTS();
	while (rows->nrows == 0 || rows->blkno < blkno)
	{
		if (!next_block(rows, blkno))
			break;
	}

	MemoryContextReset(rows->context);
	old = MemoryContextSwitchTo(rows->context);
	if (!isnull[0])
		wanted = pir_value_input(rows->value, values[0], rows->input);

	for (int i = 0; i < rows->nrows && rows->blkno == blkno; i++)
	{
		IndexRow   *row = &rows->rows[i];

		if (ItemPointerGetOffsetNumberNoCheck(&row->tid) != offset)
			continue;
		row->found = true;
		nfound++;
		if (!wanted)
			pir_check_add(rows->check, rows->kind->dangling, PIR_CHECK_NONE, row->node,
						  "heap row (%u,%u) has nothing to be indexed", blkno, offset);
		else
			rows->kind->row(rows->arg, tid, row->node, row->place, rows->input);
	}
	if (wanted && nfound == 0)
		pir_check_add(rows->check, rows->kind->missing, PIR_CHECK_NONE, PIR_CHECK_NONE,
					  "heap row (%u,%u) is not in the index", blkno, offset);
	MemoryContextSwitchTo(old);
}

void
pir_check_rows_compare(PirCheckRows *rows)
{
	PirCheck   *check = rows->check;
	IndexInfo  *info = BuildIndexInfo(check->index);
	Snapshot	snapshot;
	TableScanDesc scan;

	rows->max_rows = 512;
	rows->rows = palloc(rows->max_rows * sizeof(IndexRow));
	rows->readable = pir_heap_readable(check->heap);
	rows->buf = InvalidBuffer;
	rows->context = AllocSetContextCreate(CurrentMemoryContext, "piramid check row",
										  ALLOCSET_DEFAULT_SIZES);
	rows->input = palloc(pir_value_input_size(rows->value));

	tuplesort_performsort(rows->sort);
	fetch_next(rows);

	/*
	 * An MVCC snapshot, taken after the writers were shut out: it sees every
	 * committed row. 'ii_Concurrent' is how a caller's own scan says that its
	 * snapshot decides. The scan must begin at block 0, so no synchronised one.
	 */
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	info->ii_Concurrent = true;
	info->ii_Unique = false;
	info->ii_ExclusionOps = NULL;
	scan = table_beginscan_strat(check->heap, snapshot, 0, NULL, true, false);
	table_index_build_scan(check->heap, check->index, info, true, false, check_row, rows, scan);

	while (next_block(rows, MaxBlockNumber))
		CHECK_FOR_INTERRUPTS();

	if (rows->buf != InvalidBuffer)
		pir_page_unpin(rows->buf);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(rows->slot);
	ExecDropSingleTupleTableSlot(rows->row);
	tuplesort_end(rows->sort);
	MemoryContextDelete(rows->context);
}
