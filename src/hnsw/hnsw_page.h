/*-------------------------------------------------------------------------
 *
 * hnsw_page.h
 *	  Bytes on disk of an hnsw index.
 *
 * An index is a table of nodes stored by column: node number n (a "nid") has
 * a slot on a code page (what a search computes with) and a slot on a list
 * page (its edges). Both are found by arithmetic and a page table.
 *
 *	  block 0        meta page
 *	  TABLE pages    logical code page / list page -> block
 *	  CODE pages     node slots
 *	  LIST pages     neighbour lists
 *	  ENTRY pages    copies of sampled nodes, where searches begin
 *	  CENTRE pages   the mean that was subtracted before encoding
 *	  FREE pages     left over from the flat state, to be used again
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_PAGE_H
#define PIR_HNSW_PAGE_H

#include "storage/itemptr.h"
#include "storage/page_format.h"

/*
 * hnsw meta page, block 0, from PIR_PAGE_CONTENT on, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0   120  head           PirMetaHeadOnPage
 *      120     1  state          PIR_HNSW_FLAT or PIR_HNSW_GRAPH
 *      121     3  reserved       0
 *      124     4  nnodes         node slots ever used; the next new nid
 *      128     4  nlive          live nodes
 *      132     4  ndead          tombstones (being removed by VACUUM)
 *      136     4  free_node      first nid of the chain of free slots, or PIR_NID_NONE
 *      140     4  nfree_nodes    slots in that chain
 *      144     4  centre         first centre page, or InvalidBlockNumber
 *      148     4  entry          first entry page, or InvalidBlockNumber
 *      152     4  nentries       entry slots in use
 *      156     4  root           nid of the root of the anchor tree, or PIR_NID_NONE
 *      160     4  scale          of the scalar code for L1
 *      164     4  offset         of the scalar code for L1
 *      168     4  ntrained       rows that the centre was computed from
 *      172     4  retired        first page-table page of the flat state whose pages are
 *                                still to be freed, or InvalidBlockNumber
 *      176     4  code_error     PirQuantMeasure.error of the codes; 0 if not measured
 *      180     4  code_rows      PirQuantMeasure.rows; 0 if not measured
 *
 *   Written by hnsw_build.c, hnsw_insert.c, hnsw_vacuum.c. Guarded by the
 *   content lock of block 0.
 */
typedef struct PirHnswMetaOnPage
{
	PirMetaHeadOnPage head;
	uint8		state;
	uint8		reserved[3];
	uint32		nnodes;
	uint32		nlive;
	uint32		ndead;
	uint32		free_node;
	uint32		nfree_nodes;
	BlockNumber centre;
	BlockNumber entry;
	uint32		nentries;
	uint32		root;
	float		scale;
	float		offset;
	uint32		ntrained;
	BlockNumber retired;
	float		code_error;
	float		code_rows;
} PirHnswMetaOnPage;

StaticAssertDecl(sizeof(PirHnswMetaOnPage) == 184, "hnsw meta page is 184 bytes");

/* PirHnswMetaOnPage.state */
#define PIR_HNSW_FLAT		1	/* no lists, no entries: every code is scanned */
#define PIR_HNSW_GRAPH		2

/* No node. Nids are below this, so that an edge has a bit to spare. */
#define PIR_NID_NONE		UINT32_C(0x7FFFFFFF)

/*
 * Node slot on a CODE page, head->node_size bytes each, slot nid %
 * nodes_per_page of logical page nid / nodes_per_page, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     2  state          PIR_NODE_*
 *        2     6  tid            heap row; invalid if deleted while duplicates remain
 *        8     4  link           LIVE, DEAD: first TIDS node with further rows of the
 *                                same code, or PIR_NID_NONE; FREE: next free slot
 *       12     0  item           code item, head->item_size bytes
 *
 *   If a node does not fit a page (pages_per_node > 1), logical page nid *
 *   pages_per_node has the slot with the first PIR_HNSW_CHUNK bytes of the
 *   item, and the following ones have nothing but the next bytes of it.
 *
 *   The bytes of a LIVE or DEAD node's item never change. Written by
 *   hnsw_build.c, hnsw_insert.c, hnsw_vacuum.c. Guarded by the content lock
 *   of its page.
 */
typedef struct PirHnswNodeOnPage
{
	uint16		state;
	ItemPointerData tid;
	uint32		link;
	uint8		item[FLEXIBLE_ARRAY_MEMBER];
} PirHnswNodeOnPage;

/* PirHnswNodeOnPage.state */
#define PIR_NODE_UNUSED		0	/* never used */
#define PIR_NODE_LIVE		1
#define PIR_NODE_DEAD		2	/* tombstone: walked through, never returned */
#define PIR_NODE_FREE		3	/* in the chain of free slots */
#define PIR_NODE_TIDS		4	/* more heap rows of another node */

/*
 * A TIDS node: a slot whose item part holds heap rows of duplicates, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     2  state          PIR_NODE_TIDS
 *        2     2  ntids          rows here
 *        4     4  owner          nid of the node whose duplicates these are
 *        8     4  next           next TIDS node of the same owner, or PIR_NID_NONE
 *       12     0  tids           ItemPointerData, PIR_HNSW_TIDS_CAPACITY of them
 *
 *   Only the first of a chain may be partly filled by inserts; any may be
 *   thinned by VACUUM. Guarded by the content lock of its page; changed only
 *   with the owner's page locked exclusively as well, except by VACUUM's
 *   removal of dead rows in place.
 */
typedef struct PirHnswTidsOnPage
{
	uint16		state;
	uint16		ntids;
	uint32		owner;
	uint32		next;
	ItemPointerData tids[FLEXIBLE_ARRAY_MEMBER];
} PirHnswTidsOnPage;

StaticAssertDecl(offsetof(PirHnswNodeOnPage, item) == 12, "node head is 12 bytes");
StaticAssertDecl(offsetof(PirHnswTidsOnPage, tids) == 12, "tids head is 12 bytes");

#define PIR_HNSW_NODE_HEAD	offsetof(PirHnswNodeOnPage, item)
/* a slot holds at least this much, so that duplicates have room */
#define PIR_HNSW_MIN_NODE	(PIR_HNSW_NODE_HEAD + 4 * sizeof(ItemPointerData))
#define PIR_HNSW_TIDS_CAPACITY(node_size) \
	((Min((node_size), PIR_PAGE_CAPACITY) - PIR_HNSW_NODE_HEAD) / sizeof(ItemPointerData))
/* bytes of an item on the first page and on each further page of a large node */
#define PIR_HNSW_CHUNK		(PIR_PAGE_CAPACITY - PIR_HNSW_NODE_HEAD)

/*
 * Neighbour list slot on a LIST page, head->list_size bytes each, slot nid %
 * lists_per_page of logical page nid / lists_per_page, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     1  nedges         edges in use, at most 2 m
 *        1     1  flags          PIR_LIST_DEAD
 *        2     1  nfull          most edges it had, as far as known; inserts leave it behind
 *        3     1  reserved       0
 *        4     0  edges          uint32: nid, and PIR_EDGE_ANCHOR
 *
 *   An edge may be stale: lead to a slot that was freed or used again. It
 *   then leads to some valid node or to none, and does no harm.
 *   Written by hnsw_build.c, hnsw_insert.c, hnsw_vacuum.c. Guarded by the
 *   content lock of its page.
 */
typedef struct PirHnswListOnPage
{
	uint8		nedges;
	uint8		flags;
	uint8		nfull;
	uint8		reserved;
	uint32		edges[FLEXIBLE_ARRAY_MEMBER];
} PirHnswListOnPage;

StaticAssertDecl(offsetof(PirHnswListOnPage, edges) == 4, "list head is 4 bytes");

/* PirHnswListOnPage.flags */
#define PIR_LIST_DEAD		0x01	/* the node is a tombstone: take no new edge */

/*
 * Entry slot on an ENTRY page, format 1. Slots follow each other from
 * PIR_PAGE_CONTENT on, special.nslots of them on each page of the chain.
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  nid            a node to begin a search from
 *        4     0  item           copy of its code item (absent if the item
 *                                is larger than PIR_HNSW_ENTRY_MAX_ITEM)
 *
 *   The copy only ranks entries; a stale one costs quality, not correctness.
 *   Guarded by the content lock of its page.
 */
typedef struct PirHnswEntryOnPage
{
	uint32		nid;
	uint8		item[FLEXIBLE_ARRAY_MEMBER];
} PirHnswEntryOnPage;

#define PIR_HNSW_ENTRY_MAX_ITEM	(PIR_PAGE_CAPACITY - sizeof(uint32))

/*
 * CENTRE pages: the dim floats of the centre, PIR_HNSW_CENTRE_FANOUT on each
 * page of the chain.
 */
#define PIR_HNSW_CENTRE_FANOUT	(PIR_PAGE_CAPACITY / sizeof(float))

/* The geometry that follows from item size and m; stored in the meta page. */
static inline void
pir_hnsw_geometry(PirMetaHeadOnPage *head)
{
	Size		node = Max(TYPEALIGN(4, PIR_HNSW_NODE_HEAD + head->item_size),
						   PIR_HNSW_MIN_NODE);
	Size		list = offsetof(PirHnswListOnPage, edges) + 2 * head->m * sizeof(uint32);

	head->node_size = node;
	head->list_size = list;
	head->lists_per_page = PIR_PAGE_CAPACITY / list;
	if (node <= PIR_PAGE_CAPACITY)
	{
		head->nodes_per_page = PIR_PAGE_CAPACITY / node;
		head->pages_per_node = 1;
	}
	else
	{
		head->nodes_per_page = 1;
		head->pages_per_node = (head->item_size + PIR_HNSW_CHUNK - 1) / PIR_HNSW_CHUNK;
	}
}

#endif							/* PIR_HNSW_PAGE_H */
