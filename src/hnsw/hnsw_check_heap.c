/*-------------------------------------------------------------------------
 *
 * hnsw_check_heap.c
 *	  Verifies that an hnsw index and its table agree: HNSW-I6, I10, I11, I14
 *	  to I16.
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
#include "base/pir_compat.h"
#include "base/pir_memory.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "hnsw/hnsw_check.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/page_heap.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A row of the index in the heap block at hand. */
typedef struct IndexRow
{
	OffsetNumber offset;
	bool		found;			/* by the table's scan */
	uint32		nid;
} IndexRow;

typedef struct HeapCheck
{
	PirHnswCheck *hc;
	TupleTableSlot *slot;

	/* the next row of the sorted ones, not yet in rows[] */
	bool		have_next;
	ItemPointerData next_tid;
	uint32		next_nid;

	/* the rows in one heap block, by offset */
	BlockNumber blkno;
	IndexRow   *rows;
	int			nrows;
	int			max_rows;

	bool		readable;		/* the table's pages, by pir_heap_item() */
	Buffer		buf;			/* pinned heap page */

	/* for comparing codes */
	MemoryContext context;		/* reset for each row */
	void	   *input;
	uint8	   *code;
	void	   *scratch;
	BlockNumber page_blkno;		/* what 'page' is a copy of */
	Page		page;
} HeapCheck;

/* TIDs as numbers in the same order. */
static int64
encode_tid(const ItemPointerData *tid)
{
	return ((int64) ItemPointerGetBlockNumberNoCheck(tid) << 16) |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

void
pir_hnsw_check_heap_begin(PirHnswCheck *hc)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	AttrNumber	keys[2] = {1, 2};
	Oid			operators[2] = {Int8LessOperator, Int8LessOperator};
	Oid			collations[2] = {InvalidOid, InvalidOid};
	bool		nulls_first[2] = {false, false};

	TupleDescInitEntry(desc, 1, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "node", INT8OID, -1, 0);
	hc->rows = tuplesort_begin_heap(desc, 2, keys, operators, collations, nulls_first,
									maintenance_work_mem, NULL, 0);
	hc->row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

void
pir_hnsw_check_heap_add(PirHnswCheck *hc, const ItemPointerData *tid, uint32 nid)
{
	TupleTableSlot *slot = hc->row;

	ExecClearTuple(slot);
	slot->tts_values[0] = Int64GetDatum(encode_tid(tid));
	slot->tts_values[1] = Int64GetDatum((int64) nid);
	slot->tts_isnull[0] = slot->tts_isnull[1] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(hc->rows, slot);
}

static void
fetch_next(HeapCheck *heap)
{
	bool		isnull;
	int64		value;

	heap->have_next = tuplesort_gettupleslot(heap->hc->rows, true, false, heap->slot, NULL);
	if (!heap->have_next)
		return;
	value = DatumGetInt64(slot_getattr(heap->slot, 1, &isnull));
	ItemPointerSet(&heap->next_tid, (BlockNumber) (value >> 16), (OffsetNumber) (value & 0xFFFF));
	heap->next_nid = (uint32) DatumGetInt64(slot_getattr(heap->slot, 2, &isnull));
}

/*
 * Done with the rows of a block: those the scan did not see are dead or not
 * yet visible, which is as it should be; but their line pointers must exist.
 */
static void
finish_block(HeapCheck *heap)
{
	PirCheck   *check = heap->hc->check;

	for (int i = 0; i < heap->nrows; i++)
	{
		IndexRow   *row = &heap->rows[i];
		ItemPointerData tid;

		if (i > 0 && row->offset == heap->rows[i - 1].offset)
			pir_check_add(check, "HNSW-I6", PIR_CHECK_NONE, row->nid,
						  "heap row (%u,%u) is also in node %u",
						  heap->blkno, row->offset, heap->rows[i - 1].nid);
		if (row->found || !heap->readable)
			continue;
		ItemPointerSet(&tid, heap->blkno, row->offset);
		switch (pir_heap_item(check->heap, &tid, &heap->buf))
		{
			case PIR_HEAP_NO_BLOCK:
			case PIR_HEAP_NO_ITEM:
				pir_check_add(check, "HNSW-I15", PIR_CHECK_NONE, row->nid,
							  "heap row (%u,%u) does not exist", heap->blkno, row->offset);
				break;
			case PIR_HEAP_ONLY:
				pir_check_add(check, "HNSW-I15", PIR_CHECK_NONE, row->nid,
							  "heap row (%u,%u) is a member of a HOT chain, not its root",
							  heap->blkno, row->offset);
				break;
			case PIR_HEAP_DEAD:
			case PIR_HEAP_ROOT:
				break;
		}
	}
	heap->nrows = 0;
}

/* Take the rows of the next block that has any, if it is not behind 'limit'. */
static bool
next_block(HeapCheck *heap, BlockNumber limit)
{
	finish_block(heap);
	if (!heap->have_next || ItemPointerGetBlockNumber(&heap->next_tid) > limit)
		return false;
	heap->blkno = ItemPointerGetBlockNumber(&heap->next_tid);
	while (heap->have_next && ItemPointerGetBlockNumber(&heap->next_tid) == heap->blkno)
	{
		if (heap->nrows == heap->max_rows)
		{
			heap->max_rows *= 2;
			heap->rows = repalloc_huge(heap->rows, heap->max_rows * sizeof(IndexRow));
		}
		heap->rows[heap->nrows].offset = ItemPointerGetOffsetNumber(&heap->next_tid);
		heap->rows[heap->nrows].nid = heap->next_nid;
		heap->rows[heap->nrows].found = false;
		heap->nrows++;
		fetch_next(heap);
	}
	return true;
}

/* HNSW-I16: the stored code is what the value encodes to. */
static void
compare_code(HeapCheck *heap, const ItemPointerData *tid, uint32 nid)
{
	PirHnswCheck *hc = heap->hc;
	BlockNumber blkno = pir_hnsw_check_code_block(hc, nid);
	const void *item;

	if (blkno == InvalidBlockNumber)
		return;
	if (blkno != heap->page_blkno)
	{
		heap->page_blkno = InvalidBlockNumber;
		if (!pir_check_page(hc->check, blkno, PIR_PAGE_CODE, heap->page))
			return;
		heap->page_blkno = blkno;
	}
	item = pir_hnsw_check_item(hc, heap->page, nid);
	if (item == NULL)
		return;
	pir_quant_encode(hc->quant, heap->input, heap->code, heap->scratch);
	if (memcmp(item, heap->code, hc->head->item_size) != 0)
		pir_check_add(hc->check, "HNSW-I16", blkno, nid,
					  "stored code is not that of heap row (%u,%u)",
					  ItemPointerGetBlockNumberNoCheck(tid),
					  ItemPointerGetOffsetNumberNoCheck(tid));
}

/* HNSW-I10, I11: whoever looks for the row can find its node. */
static void
check_findable(HeapCheck *heap, const ItemPointerData *tid, uint32 nid)
{
	PirHnswCheck *hc = heap->hc;
	uint8	   *mark = &hc->marks[nid];

	if (hc->meta.state != PIR_HNSW_GRAPH)
		return;
	if ((*mark & MARK_REACHED) == 0)
		pir_check_add(hc->check, "HNSW-I11", pir_hnsw_check_list_block(hc, nid), nid,
					  (*mark & MARK_LINKED) == 0 ?
					  "no edge leads to the node of heap row (%u,%u)" :
					  "node of heap row (%u,%u) cannot be reached from the entry layer",
					  ItemPointerGetBlockNumberNoCheck(tid),
					  ItemPointerGetOffsetNumberNoCheck(tid));
	else if ((*mark & MARK_ANCHORED) == 0)
		pir_check_add(hc->check, "HNSW-I10", pir_hnsw_check_list_block(hc, nid), nid,
					  "node of heap row (%u,%u) cannot be reached from the root along anchors",
					  ItemPointerGetBlockNumberNoCheck(tid),
					  ItemPointerGetOffsetNumberNoCheck(tid));

	/* a node of several rows is reported once */
	*mark |= MARK_REACHED | MARK_ANCHORED;
}

/* A row that the check's snapshot sees; partial predicates are behind us. */
static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	HeapCheck  *heap = state;
	PirHnswCheck *hc = heap->hc;
	BlockNumber blkno = ItemPointerGetBlockNumber(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	MemoryContext old;
	bool		wanted = false;
	int			nfound = 0;

	CHECK_FOR_INTERRUPTS();
	while (heap->nrows == 0 || heap->blkno < blkno)
	{
		if (!next_block(heap, blkno))
			break;
	}

	MemoryContextReset(heap->context);
	old = MemoryContextSwitchTo(heap->context);
	if (!isnull[0])
		wanted = pir_value_input(&hc->value, values[0], heap->input);

	if (heap->nrows > 0 && heap->blkno == blkno)
	{
		for (int i = 0; i < heap->nrows; i++)
		{
			IndexRow   *row = &heap->rows[i];

			if (row->offset != offset)
				continue;
			row->found = true;
			nfound++;
			if (!wanted)
				pir_check_add(hc->check, "HNSW-I15", PIR_CHECK_NONE, row->nid,
							  "heap row (%u,%u) has nothing to be indexed", blkno, offset);
			else if (row->nid < hc->nnodes && STATE_OF(hc, row->nid) == PIR_NODE_LIVE)
			{
				if (hc->quant != NULL)
					compare_code(heap, tid, row->nid);
				check_findable(heap, tid, row->nid);
			}
		}
	}
	if (wanted && nfound == 0)
		pir_check_add(hc->check, "HNSW-I14", PIR_CHECK_NONE, PIR_CHECK_NONE,
					  "heap row (%u,%u) is not in the index", blkno, offset);
	MemoryContextSwitchTo(old);
}

void
pir_hnsw_check_heap(PirHnswCheck *hc)
{
	PirCheck   *check = hc->check;
	HeapCheck	heap = {0};
	IndexInfo  *info = BuildIndexInfo(check->index);
	Snapshot	snapshot;
	TableScanDesc scan;

	heap.hc = hc;
	heap.slot = MakeSingleTupleTableSlot(hc->row->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	heap.max_rows = 512;
	heap.rows = palloc(heap.max_rows * sizeof(IndexRow));
	heap.readable = pir_heap_readable(check->heap);
	heap.buf = InvalidBuffer;
	heap.context = AllocSetContextCreate(CurrentMemoryContext, "piramid check row",
										 ALLOCSET_DEFAULT_SIZES);
	heap.input = palloc(pir_value_input_size(&hc->value));
	heap.code = palloc(hc->head->item_size);
	heap.page = palloc(BLCKSZ);
	heap.page_blkno = InvalidBlockNumber;
	if (hc->quant != NULL)
		heap.scratch = pir_alloc_aligned(CurrentMemoryContext, pir_quant_scratch_size(hc->quant), false);

	tuplesort_performsort(hc->rows);
	fetch_next(&heap);

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
	table_index_build_scan(check->heap, check->index, info, true, false, check_row, &heap, scan);

	while (next_block(&heap, MaxBlockNumber))
		CHECK_FOR_INTERRUPTS();

	if (heap.buf != InvalidBuffer)
		pir_page_unpin(heap.buf);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(heap.slot);
	ExecDropSingleTupleTableSlot(hc->row);
	tuplesort_end(hc->rows);
	MemoryContextDelete(heap.context);
}
