/*-------------------------------------------------------------------------
 *
 * ivf_page.h
 *	  Bytes on disk of an ivf index.
 *
 * An index is a directory of lists; a list is a chain of posting pages. What
 * posting pages hold is columns: the heap rows of a page, then their codes.
 *
 *	  block 0        meta page
 *	  TABLE pages    logical directory page -> block
 *	  LIST pages     the directory: where each list begins, and its centre
 *	  CODE pages     posting pages
 *	  CENTRE pages   the mean that was subtracted before encoding
 *	  FREE pages     emptied by VACUUM or left over from the flat state
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_IVF_PAGE_H
#define PIR_IVF_PAGE_H

#include "storage/itemptr.h"
#include "storage/page_format.h"

/*
 * Where a list is: part of a directory slot, and of the meta page for the one
 * list of a flat index
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  first          first page of the chain, or InvalidBlockNumber
 *        4     4  hint           page of the chain where inserts look for room first;
 *                                InvalidBlockNumber if first is
 *
 *   Guarded by the content lock of its page.
 */
typedef struct PirIvfRootOnPage
{
	BlockNumber first;
	BlockNumber hint;
} PirIvfRootOnPage;

/*
 * ivf meta page, block 0, from PIR_PAGE_CONTENT on, format 1. Of the head:
 * node_size is the bytes of a row (TID and item), nodes_per_page the rows of
 * a posting page, list_size the bytes of a directory slot, lists_per_page the
 * slots of a directory page; tables[PIR_TABLE_LIST] maps the directory.
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0   120  head           PirMetaHeadOnPage
 *      120     1  state          PIR_IVF_FLAT or PIR_IVF_LISTS
 *      121     1  partitioner    PirIvfPartitionerId
 *      122     1  centre_quantizer  PirQuantId of the lists' centres
 *      123     1  centre_bits    bits per dimension of these
 *      124     4  nlists         posting lists; 1 in a flat index
 *      128     4  nflat          rows of a flat index; 0 later
 *      132     4  centre         first centre page, or InvalidBlockNumber
 *      136     4  ntrained       rows that centre and lists were computed from
 *      140     4  retired        first posting page of the flat state that is still to
 *                                be freed, or InvalidBlockNumber
 *      144     8  flat           the list of a flat index
 *      152     4  wanted         lists asked for, 0 = as many as the rows want
 *      156     4  residual       mean squared distance from the centres at training
 *
 *   Written by ivf_build.c, ivf_train.c, ivf_insert.c, ivf_vacuum.c. Guarded by
 *   the content lock of block 0.
 */
typedef struct PirIvfMetaOnPage
{
	PirMetaHeadOnPage head;
	uint8		state;
	uint8		partitioner;
	uint8		centre_quantizer;
	uint8		centre_bits;
	uint32		nlists;
	uint32		nflat;
	BlockNumber centre;
	uint32		ntrained;
	BlockNumber retired;
	PirIvfRootOnPage flat;
	uint32		wanted;
	float		residual;
} PirIvfMetaOnPage;

StaticAssertDecl(sizeof(PirIvfRootOnPage) == 8, "root of a list is 8 bytes");
StaticAssertDecl(sizeof(PirIvfMetaOnPage) == 160, "ivf meta page is 160 bytes");

/* PirIvfMetaOnPage.state */
#define PIR_IVF_FLAT		1	/* one list without a centre */
#define PIR_IVF_LISTS		2

/* PirIvfMetaOnPage.partitioner: on-disk ids, never reused */
typedef enum PirIvfPartitionerId
{
	PIR_IVF_KMEANS = 1
} PirIvfPartitionerId;

/*
 * Directory slot on a LIST page, head->list_size bytes each, list number n in
 * slot n % lists_per_page of logical page n / lists_per_page, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     8  root           where the list is
 *        8     0  item           code of its centre
 *
 *   Guarded by the content lock of its page; 'item' never changes.
 */
typedef struct PirIvfSlotOnPage
{
	PirIvfRootOnPage root;
	uint8		item[FLEXIBLE_ARRAY_MEMBER];
} PirIvfSlotOnPage;

StaticAssertDecl(offsetof(PirIvfSlotOnPage, item) == 8, "head of a directory slot is 8 bytes");

/*
 * Posting page, page kind CODE, format 1. special.logical is the number of
 * the list, special.next the next page of its chain, special.nslots the rows.
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  epoch          of the index when the page was taken
 *        4     4  reserved       0
 *        8     0  tids           heap rows, nodes_per_page places; then, at
 *                                pir_ivf_items_offset(), the code items of the same rows
 *
 *   Rows 0 .. nslots - 1 are in use, in no order; a removed row's place is
 *   taken by the last one. Written by ivf_builder.c, ivf_insert.c,
 *   ivf_vacuum.c. Guarded by the content lock of the page.
 */
typedef struct PirIvfPostingsOnPage
{
	uint32		epoch;
	uint32		reserved;
	ItemPointerData tids[FLEXIBLE_ARRAY_MEMBER];
} PirIvfPostingsOnPage;

StaticAssertDecl(offsetof(PirIvfPostingsOnPage, tids) == 8, "head of a posting page is 8 bytes");

/*
 * CENTRE pages: the dim floats of the centre, PIR_IVF_CENTRE_FANOUT on each
 * page of the chain.
 */
#define PIR_IVF_CENTRE_FANOUT	(PIR_PAGE_CAPACITY / sizeof(float))

/* Longest code item, of a row or of a centre */
#define PIR_IVF_MAX_ITEM	(PIR_PAGE_CAPACITY - offsetof(PirIvfPostingsOnPage, tids) - \
							 TYPEALIGN(4, sizeof(ItemPointerData)))

static inline Size
pir_ivf_items_offset(const PirMetaHeadOnPage *head)
{
	return offsetof(PirIvfPostingsOnPage, tids) +
		TYPEALIGN(4, head->nodes_per_page * sizeof(ItemPointerData));
}

/* Bytes of a posting page's content with n rows on it */
static inline Size
pir_ivf_postings_used(const PirMetaHeadOnPage *head, uint32 n)
{
	return pir_ivf_items_offset(head) + (Size) n * head->item_size;
}

/* The geometry that follows from the sizes of items; stored in the meta page. */
static inline void
pir_ivf_geometry(PirMetaHeadOnPage *head, Size centre_item_size)
{
	Size		room = PIR_PAGE_CAPACITY - offsetof(PirIvfPostingsOnPage, tids) - 2;

	head->node_size = sizeof(ItemPointerData) + head->item_size;
	head->nodes_per_page = room / head->node_size;
	head->pages_per_node = 1;
	head->list_size = offsetof(PirIvfSlotOnPage, item) + centre_item_size;
	head->lists_per_page = PIR_PAGE_CAPACITY / head->list_size;
}

#endif							/* PIR_IVF_PAGE_H */
