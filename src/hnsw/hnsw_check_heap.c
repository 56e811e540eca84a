/*-------------------------------------------------------------------------
 *
 * hnsw_check_heap.c
 *	  Verifies that an hnsw index and its table agree: HNSW-I6, I10, I11, I14
 *	  to I16.
 *
 * am/am_check_rows.c merges the rows of both; here is what a row's node must be
 * like.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_check.h"

/* For comparing codes */
typedef struct HeapCheck
{
	PirHnswCheck *hc;
	uint8	   *code;
	void	   *scratch;
	BlockNumber page_blkno;		/* what 'page' is a copy of */
	Page		page;
} HeapCheck;

/* HNSW-I16: the stored code is what the value encodes to. */
static void
compare_code(HeapCheck *heap, const ItemPointerData *tid, uint32 nid, const void *input)
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
	pir_quant_encode(hc->quant, input, heap->code, heap->scratch);
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

static void
check_row(void *arg, const ItemPointerData *tid, int64 node, int64 place, const void *input)
{
	HeapCheck  *heap = arg;
	PirHnswCheck *hc = heap->hc;
	uint32		nid = (uint32) node;

	if (nid >= hc->nnodes || STATE_OF(hc, nid) != PIR_NODE_LIVE)
		return;
	if (hc->quant != NULL)
		compare_code(heap, tid, nid, input);
	check_findable(heap, tid, nid);
}

static const PirCheckRowsKind rows_kind = {
	.twice = "HNSW-I6",
	.missing = "HNSW-I14",
	.dangling = "HNSW-I15",
	.what = "node",
	.row = check_row
};

void
pir_hnsw_check_heap_begin(PirHnswCheck *hc)
{
	HeapCheck  *heap = palloc0(sizeof(HeapCheck));

	heap->hc = hc;
	heap->code = palloc(hc->head->item_size);
	heap->page = palloc(BLCKSZ);
	heap->page_blkno = InvalidBlockNumber;
	if (hc->quant != NULL)
		heap->scratch = pir_alloc_aligned(CurrentMemoryContext, pir_quant_scratch_size(hc->quant), false);
	hc->rows = pir_check_rows_begin(hc->check, &rows_kind, &hc->value, heap);
}
