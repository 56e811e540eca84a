/*-------------------------------------------------------------------------
 *
 * hnsw_check.h
 *	  What the two halves of the checker share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_CHECK_H
#define PIR_HNSW_CHECK_H

#include "am/am.h"
#include "am/am_check_rows.h"
#include "hnsw/hnsw_private.h"

/* Marks of a node: its state, and what the walk over all pages learned. */
#define MARK_STATE		0x07	/* PIR_NODE_* */
#define MARK_REACHED	0x08	/* from the entry layer */
#define MARK_EXPANDED	0x10	/* and its own edges were followed */
#define MARK_ANCHORED	0x20	/* reached from the root along anchors */
#define MARK_FOLLOWED	0x40	/* and its own anchors were followed */
#define MARK_LINKED		0x80	/* some edge leads here; TIDS: some chain does */

StaticAssertDecl(PIR_NODE_TIDS <= MARK_STATE, "node states fit their bits");

/* A node with further heap rows. */
typedef struct PirHnswCheckChain
{
	uint32		owner;
	uint32		first;
} PirHnswCheckChain;

typedef struct PirHnswCheck
{
	PirCheck   *check;
	PirHnswMetaOnPage meta;
	PirMetaHeadOnPage *head;	/* = &meta.head */
	uint32		nnodes;			/* slots to look at: meta.nnodes, if mapped */
	uint32		known_nnodes;	/* slots that exist; grows if others write */
	uint32		cap;			/* capacity of a list */
	PirValueInfo value;
	const PirQuant *quant;		/* NULL if it cannot be had */
	uint8	   *item;			/* room for one item */
	Page		chunk;			/* room for one page */

	uint8	   *marks;			/* of each node */
	uint32		counts[MARK_STATE + 1];

	PirHnswCheckChain *chains;
	uint32		nchains;
	uint32		max_chains;

	PirCheckRows *rows;			/* heap rows of the index with their nodes */

	float	   *centre;
	uint32		ncentre;
	uint32		nentries;
} PirHnswCheck;

#define MARK_OF(hc, nid, bits)	((hc)->marks[nid] & (bits))
#define STATE_OF(hc, nid)		((hc)->marks[nid] & MARK_STATE)
#define IS_NODE(hc, nid)		(STATE_OF(hc, nid) == PIR_NODE_LIVE || STATE_OF(hc, nid) == PIR_NODE_DEAD)

/* Block of a node's slot, or InvalidBlockNumber if its page is unusable. */
extern BlockNumber pir_hnsw_check_code_block(const PirHnswCheck *hc, uint32 nid);
extern BlockNumber pir_hnsw_check_list_block(const PirHnswCheck *hc, uint32 nid);

/*
 * The code item of a node: in place on 'page', the copy of its slot's page, or
 * put together in hc->item. NULL if a page is unusable.
 */
extern const void *pir_hnsw_check_item(PirHnswCheck *hc, Page page, uint32 nid);

/* hnsw_check_heap.c: HNSW-I6, I10, I11, I14 to I16. Sets hc->rows. */
extern void pir_hnsw_check_heap_begin(PirHnswCheck *hc);

#endif							/* PIR_HNSW_CHECK_H */
