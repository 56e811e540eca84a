/*-------------------------------------------------------------------------
 *
 * page_heap.c
 *	  What a heap page has at a TID that an index holds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/pir_compat.h"
#include "catalog/pg_am.h"
#include "storage/bufmgr.h"
#include "storage/page_heap.h"

bool
pir_heap_readable(Relation heap)
{
	return heap->rd_rel->relam == HEAP_TABLE_AM_OID;
}

PirHeapItem
pir_heap_item(Relation heap, const ItemPointerData *tid, Buffer *buf)
{
	BlockNumber blkno = ItemPointerGetBlockNumberNoCheck(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(tid);
	PirHeapItem result = PIR_HEAP_NO_ITEM;
	Page		page;

	Assert(pir_heap_readable(heap));
	if (!BufferIsValid(*buf) || BufferGetBlockNumber(*buf) != blkno)
	{
		if (BufferIsValid(*buf))
			ReleaseBuffer(*buf);
		*buf = InvalidBuffer;
		if (blkno >= RelationGetNumberOfBlocks(heap))
			return PIR_HEAP_NO_BLOCK;
		*buf = ReadBuffer(heap, blkno);
	}

	LockBuffer(*buf, BUFFER_LOCK_SHARE);
	page = BufferGetPage(*buf);
	if (!PageIsNew(page) &&
		offset >= FirstOffsetNumber && offset <= PageGetMaxOffsetNumber(page))
	{
		ItemId		item = PageGetItemId(page, offset);

		if (ItemIdIsDead(item))
			result = PIR_HEAP_DEAD;
		else if (ItemIdIsRedirected(item))
			result = PIR_HEAP_ROOT;
		else if (ItemIdIsNormal(item))
			result = HeapTupleHeaderIsHeapOnly((HeapTupleHeader) PageGetItem(page, item)) ?
				PIR_HEAP_ONLY : PIR_HEAP_ROOT;
	}
	LockBuffer(*buf, BUFFER_LOCK_UNLOCK);
	return result;
}
