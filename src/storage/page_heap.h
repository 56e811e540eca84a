/*-------------------------------------------------------------------------
 *
 * page_heap.h
 *	  What a heap page has at a TID that an index holds.
 *
 * The table access method's interface tells whether a row is visible, not why
 * it is not: for verifying an index the difference between a row that is dead
 * and one that is not there matters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_HEAP_H
#define PIR_PAGE_HEAP_H

#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

typedef enum PirHeapItem
{
	PIR_HEAP_NO_BLOCK,			/* the table is not that long */
	PIR_HEAP_NO_ITEM,			/* the page has no such line pointer, or an unused one */
	PIR_HEAP_DEAD,				/* dead: VACUUM will take it out of the indexes first */
	PIR_HEAP_ONLY,				/* member of a HOT chain, which no index may point to */
	PIR_HEAP_ROOT				/* row, or head of a HOT chain */
} PirHeapItem;

/*
 * Look at 'tid' of a table of the heap access method. *buf keeps the page
 * pinned from one call to the next (InvalidBuffer at first; the caller
 * releases it with pir_page_unpin()).
 * Locks: share lock on the heap page, released.
 */
extern PirHeapItem pir_heap_item(Relation heap, const ItemPointerData *tid, Buffer *buf);

/* False for tables of other access methods, which pir_heap_item() cannot read. */
extern bool pir_heap_readable(Relation heap);

#endif							/* PIR_PAGE_HEAP_H */
