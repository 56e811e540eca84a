/*-------------------------------------------------------------------------
 *
 * hnsw_check.c
 *	  Verifies an hnsw index: HNSW-I1 to HNSW-I13, on its own pages.
 *
 * One pass over the code pages learns the state of every node (one byte
 * each); the others compare lists, chains and entries with it. The walk for
 * reachability goes over the list pages in their order, as often as it takes,
 * so that memory stays at a byte per node and reading stays sequential.
 *
 * hnsw_check_heap.c compares the index with its table. README.md section 5
 * explains each invariant and the tolerances.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_check.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* How often a check of a moving index begins again. */
#define MAX_RESTARTS	20

static const uint8 table_kinds[PIR_NTABLES] = {
	[PIR_TABLE_CODE] = PIR_PAGE_CODE,
	[PIR_TABLE_LIST] = PIR_PAGE_LIST
};

/* --- places --- */

BlockNumber
pir_hnsw_check_code_block(const PirHnswCheck *hc, uint32 nid)
{
	uint32		logical = pir_hnsw_code_page(hc->head, nid);

	return logical < hc->check->nmapped[PIR_TABLE_CODE] ?
		hc->check->mapped[PIR_TABLE_CODE][logical] : InvalidBlockNumber;
}

BlockNumber
pir_hnsw_check_list_block(const PirHnswCheck *hc, uint32 nid)
{
	uint32		logical = pir_hnsw_list_page(hc->head, nid);

	return logical < hc->check->nmapped[PIR_TABLE_LIST] ?
		hc->check->mapped[PIR_TABLE_LIST][logical] : InvalidBlockNumber;
}

const void *
pir_hnsw_check_item(PirHnswCheck *hc, Page page, uint32 nid)
{
	PirHnswNodeOnPage *node = pir_hnsw_node_at(hc->head, page, nid);
	uint32		logical = pir_hnsw_code_page(hc->head, nid);

	if (hc->head->pages_per_node == 1)
		return node->item;

	memcpy(hc->item, node->item, PIR_HNSW_CHUNK);
	for (Size done = PIR_HNSW_CHUNK; done < hc->head->item_size; done += PIR_HNSW_CHUNK)
	{
		BlockNumber blkno = InvalidBlockNumber;

		if (++logical < hc->check->nmapped[PIR_TABLE_CODE])
			blkno = hc->check->mapped[PIR_TABLE_CODE][logical];
		if (blkno == InvalidBlockNumber ||
			!pir_check_page(hc->check, blkno, PIR_PAGE_CODE, hc->chunk))
			return NULL;
		memcpy(hc->item + done, pir_page_content(hc->chunk),
			   Min(PIR_HNSW_CHUNK, hc->head->item_size - done));
	}
	return hc->item;
}

/*
 * Does the node number exist? If others write, it may have come into being
 * since the meta page was read.
 */
static bool
node_exists(PirHnswCheck *hc, uint32 nid)
{
	if (likely(nid < hc->known_nnodes))
		return true;
	if (hc->check->complete)
		return false;
	if (pir_check_page(hc->check, PIR_META_BLKNO, PIR_PAGE_META, hc->chunk))
		hc->known_nnodes = ((PirHnswMetaOnPage *) pir_page_content(hc->chunk))->nnodes;
	return nid < hc->known_nnodes;
}

/* The next change of a page erases what lies behind pd_lower. */
static void
check_used(PirHnswCheck *hc, const char *invariant, BlockNumber blkno, Page page, Size used)
{
	if (((PageHeader) page)->pd_lower < PIR_PAGE_CONTENT + used)
		pir_check_add(hc->check, invariant, blkno, PIR_CHECK_NONE,
					  "pd_lower is %u, the slots end at %zu",
					  ((PageHeader) page)->pd_lower, PIR_PAGE_CONTENT + used);
}

/* --- meta page: HNSW-I1 --- */

static void
fault_meta(PirHnswCheck *hc, const char *what, uint32 found, uint32 expected)
{
	pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
				  "%s is %u instead of %u", what, found, expected);
}

/*
 * The identity is under a checksum, so that its faults are faults of whoever
 * wrote it; pages cannot be read without it. False if they cannot.
 */
static bool
check_geometry(PirHnswCheck *hc)
{
	const PirMetaHeadOnPage *head = hc->head;
	PirMetaHeadOnPage expected = *head;
	PirQuantSpec spec;
	const char *why;

	if (head->m < PIR_HNSW_MIN_M || head->m > PIR_HNSW_MAX_M)
	{
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "m is %u", head->m);
		return false;
	}
	pir_hnsw_quant_spec(&hc->meta, NULL, &spec);
	why = pir_quant_check_spec(&spec);
	if (why != NULL)
	{
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE, "%s", why);
		return false;
	}
	if (head->item_size != pir_quant_item_size(&spec))
	{
		fault_meta(hc, "item_size", head->item_size, pir_quant_item_size(&spec));
		return false;
	}
	pir_hnsw_geometry(&expected);
	if (head->node_size != expected.node_size)
		fault_meta(hc, "node_size", head->node_size, expected.node_size);
	else if (head->list_size != expected.list_size)
		fault_meta(hc, "list_size", head->list_size, expected.list_size);
	else if (head->nodes_per_page != expected.nodes_per_page)
		fault_meta(hc, "nodes_per_page", head->nodes_per_page, expected.nodes_per_page);
	else if (head->pages_per_node != expected.pages_per_node)
		fault_meta(hc, "pages_per_node", head->pages_per_node, expected.pages_per_node);
	else if (head->lists_per_page != expected.lists_per_page)
		fault_meta(hc, "lists_per_page", head->lists_per_page, expected.lists_per_page);
	else
		return true;
	return false;
}

/* The changing part; afterwards hc->nnodes says which nodes can be looked at. */
static void
check_meta(PirHnswCheck *hc)
{
	const PirHnswMetaOnPage *meta = &hc->meta;
	uint64		mapped;

	if (meta->state != PIR_HNSW_FLAT && meta->state != PIR_HNSW_GRAPH)
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "state is %u", meta->state);
	if (meta->reserved[0] != 0 || meta->reserved[1] != 0 || meta->reserved[2] != 0)
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "reserved bytes are not zero");
	if (meta->state == PIR_HNSW_FLAT &&
		(meta->entry != InvalidBlockNumber || meta->nentries != 0 ||
		 meta->centre != InvalidBlockNumber || meta->head.tables[PIR_TABLE_LIST].npages != 0))
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "flat index has parts of a graph");

	mapped = hc->check->nmapped[PIR_TABLE_CODE] / hc->head->pages_per_node *
		(uint64) hc->head->nodes_per_page;
	hc->nnodes = Min(meta->nnodes, mapped);
	if (meta->nnodes > mapped)
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "meta page counts %u nodes, the code pages have room for " UINT64_FORMAT,
					  meta->nnodes, mapped);
	mapped = hc->check->nmapped[PIR_TABLE_LIST] * (uint64) hc->head->lists_per_page;
	if (meta->state == PIR_HNSW_GRAPH && meta->nnodes > mapped)
		pir_check_add(hc->check, "HNSW-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "meta page counts %u nodes, the list pages have room for " UINT64_FORMAT,
					  meta->nnodes, mapped);
	hc->known_nnodes = hc->nnodes;
}

/* A page table of the flat state, whose pages training left to be freed. */
static void
visit_retired(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
	const BlockNumber *blocks = (const BlockNumber *) pir_page_content(page);
	uint32		n = pir_page_special(page)->nslots;

	if (n > PIR_TABLE_FANOUT)
	{
		pir_check_add(check, "STORAGE-I4", blkno, PIR_CHECK_NONE,
					  "page of the retired page table has %u entries", n);
		n = 0;
	}
	for (uint32 i = 0; i < n; i++)
		(void) pir_check_claim(check, blocks[i], PIR_USE_MAPPED);
}

/* --- centre: HNSW-I13 --- */

static void
visit_centre(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
	PirHnswCheck *hc = arg;
	uint32		n = pir_page_special(page)->nslots;
	const float *values = (const float *) pir_page_content(page);

	if (n == 0 || n > PIR_HNSW_CENTRE_FANOUT || n > hc->head->code_dim - hc->ncentre)
	{
		pir_check_add(check, "HNSW-I13", blkno, PIR_CHECK_NONE,
					  "centre page has %u values where at most %u are missing",
					  n, hc->head->code_dim - hc->ncentre);
		return;
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (!isfinite(values[i]))
			pir_check_add(check, "HNSW-I13", blkno, PIR_CHECK_NONE,
						  "component %u of the centre is %g", hc->ncentre + i, values[i]);
	}
	memcpy(hc->centre + hc->ncentre, values, n * sizeof(float));
	hc->ncentre += n;
}

/* Read the centre and prepare the quantizer. */
static void
check_centre(PirHnswCheck *hc)
{
	PirQuantSpec spec;

	hc->centre = palloc0(pir_size_mul(hc->head->code_dim, sizeof(float)));
	(void) pir_check_chain(hc->check, hc->meta.centre, PIR_PAGE_CENTRE, visit_centre, hc);
	if (hc->meta.centre != InvalidBlockNumber && hc->ncentre != hc->head->code_dim)
	{
		pir_check_add(hc->check, "HNSW-I13", hc->meta.centre, PIR_CHECK_NONE,
					  "centre has %u of %u components", hc->ncentre, hc->head->code_dim);
		return;
	}
	if (!isfinite(hc->meta.scale) || !isfinite(hc->meta.offset))
	{
		pir_check_add(hc->check, "HNSW-I13", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "scale is %g, offset %g", hc->meta.scale, hc->meta.offset);
		return;
	}
	pir_hnsw_quant_spec(&hc->meta,
						hc->meta.centre == InvalidBlockNumber ? NULL : hc->centre, &spec);
	hc->quant = pir_quant_init(pir_alloc_aligned(CurrentMemoryContext, pir_quant_size(&spec), false),
							   &spec);
	hc->item = palloc(hc->head->item_size);
}

/* --- node slots: HNSW-I2, I4, I7 --- */

static bool
check_tid(PirHnswCheck *hc, BlockNumber blkno, uint32 nid, const ItemPointerData *tid, uint32 owner)
{
	if (!ItemPointerIsValid(tid) ||
		ItemPointerGetOffsetNumberNoCheck(tid) > MaxOffsetNumber)
	{
		pir_check_add(hc->check, "HNSW-I4", blkno, nid, "heap row (%u,%u) is not valid",
					  ItemPointerGetBlockNumberNoCheck(tid),
					  ItemPointerGetOffsetNumberNoCheck(tid));
		return false;
	}
	if (hc->check->complete)
		pir_check_rows_add(hc->rows, tid, owner, 0);
	return true;
}

static void
note_chain(PirHnswCheck *hc, uint32 owner, uint32 first)
{
	if (!hc->check->complete)
		return;
	if (hc->nchains == hc->max_chains)
	{
		uint32		capacity = Max(1024, hc->max_chains * 2);
		Size		size = pir_size_mul(capacity, sizeof(PirHnswCheckChain));

		hc->chains = hc->chains == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, size)
			: repalloc_huge(hc->chains, size);
		hc->max_chains = capacity;
	}
	hc->chains[hc->nchains].owner = owner;
	hc->chains[hc->nchains].first = first;
	hc->nchains++;
}

static void
check_item(PirHnswCheck *hc, BlockNumber blkno, Page page, uint32 nid)
{
	const void *item;

	/* several pages together are only one item if nobody writes */
	if (hc->quant == NULL || (hc->head->pages_per_node > 1 && !hc->check->complete))
		return;
	item = pir_hnsw_check_item(hc, page, nid);
	if (item != NULL && isnan(pir_quant_code_distance(hc->quant, item, item)))
		pir_check_add(hc->check, "HNSW-I7", blkno, nid, "code has no distance from itself");
}

static void
check_node(PirHnswCheck *hc, BlockNumber blkno, Page page, uint32 nid)
{
	PirHnswNodeOnPage *node = pir_hnsw_node_at(hc->head, page, nid);
	PirHnswTidsOnPage *tids = (PirHnswTidsOnPage *) node;
	uint32		state = node->state;

	if (state > MARK_STATE || state > PIR_NODE_TIDS)
	{
		pir_check_add(hc->check, "HNSW-I4", blkno, nid, "node has state %u", state);
		return;
	}
	hc->counts[state]++;
	hc->marks[nid] = state;

	switch (state)
	{
		case PIR_NODE_UNUSED:
			pir_check_add(hc->check, "HNSW-I4", blkno, nid, "slot was never used");
			break;

		case PIR_NODE_LIVE:
		case PIR_NODE_DEAD:
			if (state == PIR_NODE_LIVE)
			{
				if (ItemPointerIsValid(&node->tid))
					(void) check_tid(hc, blkno, nid, &node->tid, nid);
				else if (node->link == PIR_NID_NONE)
					pir_check_add(hc->check, "HNSW-I4", blkno, nid, "live node has no heap row");
			}
			if (node->link != PIR_NID_NONE)
			{
				if (!node_exists(hc, node->link))
					pir_check_add(hc->check, "HNSW-I5", blkno, nid,
								  "duplicates are said to be in node %u, which does not exist",
								  node->link);
				else
					note_chain(hc, nid, node->link);
			}
			check_item(hc, blkno, page, nid);
			break;

		case PIR_NODE_FREE:
			if (node->link != PIR_NID_NONE && !node_exists(hc, node->link))
				pir_check_add(hc->check, "HNSW-I3", blkno, nid,
							  "next free slot is said to be %u, which does not exist", node->link);
			break;

		case PIR_NODE_TIDS:
			if (tids->ntids > PIR_HNSW_TIDS_CAPACITY(hc->head->node_size))
				pir_check_add(hc->check, "HNSW-I5", blkno, nid, "holds %u rows of at most %zu",
							  tids->ntids, PIR_HNSW_TIDS_CAPACITY(hc->head->node_size));
			else if (!node_exists(hc, tids->owner) ||
					 (tids->next != PIR_NID_NONE && !node_exists(hc, tids->next)))
				pir_check_add(hc->check, "HNSW-I5", blkno, nid,
							  "rows of node %u, followed by those in node %u: no such node",
							  tids->owner, tids->next);
			else
			{
				for (int i = 0; i < tids->ntids; i++)
				{
					if (!check_tid(hc, blkno, nid, &tids->tids[i], tids->owner))
						break;
				}
			}
			break;
	}
}

static void
check_code_pages(PirHnswCheck *hc)
{
	const PirMetaHeadOnPage *head = hc->head;
	Page		page = palloc(BLCKSZ);

	for (uint32 logical = 0; logical < hc->check->nmapped[PIR_TABLE_CODE]; logical++)
	{
		BlockNumber blkno = hc->check->mapped[PIR_TABLE_CODE][logical];
		uint32		nid;
		uint32		nslots;

		/* the further pages of large nodes hold nothing but bytes of codes */
		if (head->pages_per_node > 1 && logical % head->pages_per_node != 0)
			continue;
		if (blkno == InvalidBlockNumber || !pir_check_page(hc->check, blkno, PIR_PAGE_CODE, page))
			continue;

		nslots = pir_page_special(page)->nslots;
		if (nslots > head->nodes_per_page)
		{
			pir_check_add(hc->check, "HNSW-I4", blkno, PIR_CHECK_NONE,
						  "code page has %u slots of at most %u", nslots, head->nodes_per_page);
			continue;
		}
		check_used(hc, "HNSW-I4", blkno, page, Min((Size) nslots * head->node_size, PIR_PAGE_CAPACITY));
		nid = logical / head->pages_per_node * head->nodes_per_page;
		for (uint32 slot = 0; slot < head->nodes_per_page; slot++, nid++)
		{
			if (nid < hc->nnodes)
			{
				if (slot < nslots)
					check_node(hc, blkno, page, nid);
				else
					pir_check_add(hc->check, "HNSW-I4", blkno, nid,
								  "node is outside the %u slots of its page", nslots);
			}
			else if ((slot < nslots ||
					  pir_hnsw_node_at(head, page, nid)->state != PIR_NODE_UNUSED) &&
					 !node_exists(hc, nid))
			{
				pir_check_add(hc->check, "HNSW-I4", blkno, nid,
							  "slot is in use, the meta page counts %u nodes", hc->known_nnodes);
				break;
			}
		}
	}
	pfree(page);
}

static void
compare_count(PirHnswCheck *hc, const char *what, uint32 counted, uint32 noted)
{
	if (counted != noted)
		pir_check_add(hc->check, "HNSW-I2", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "there are %u %s nodes, the meta page says %u", counted, what, noted);
}

/* --- chains of slots: HNSW-I3, I5 --- */

/* Copy a node's page; NULL if it cannot be had. */
static PirHnswNodeOnPage *
read_node(PirHnswCheck *hc, uint32 nid, Page page)
{
	BlockNumber blkno = pir_hnsw_check_code_block(hc, nid);

	if (blkno == InvalidBlockNumber || !pir_check_page(hc->check, blkno, PIR_PAGE_CODE, page))
		return NULL;
	return pir_hnsw_node_at(hc->head, page, nid);
}

static void
check_free_slots(PirHnswCheck *hc)
{
	Page		page = palloc(BLCKSZ);
	uint32		nid = hc->meta.free_node;
	uint32		n = 0;

	while (nid != PIR_NID_NONE)
	{
		PirHnswNodeOnPage *node;

		if (nid >= hc->nnodes || STATE_OF(hc, nid) != PIR_NODE_FREE)
		{
			pir_check_add(hc->check, "HNSW-I3", PIR_CHECK_NONE, nid,
						  "is in the chain of free slots but not free");
			break;
		}
		if (MARK_OF(hc, nid, MARK_LINKED))
		{
			pir_check_add(hc->check, "HNSW-I3", PIR_CHECK_NONE, nid,
						  "chain of free slots comes back to this one");
			break;
		}
		hc->marks[nid] |= MARK_LINKED;
		n++;
		node = read_node(hc, nid, page);
		if (node == NULL)
			break;
		nid = node->link;
	}
	if (n != hc->meta.nfree_nodes)
		pir_check_add(hc->check, "HNSW-I3", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "chain of free slots has %u slots, the meta page says %u",
					  n, hc->meta.nfree_nodes);
	for (nid = 0; nid < hc->nnodes; nid++)
	{
		if (STATE_OF(hc, nid) == PIR_NODE_FREE && !MARK_OF(hc, nid, MARK_LINKED))
			pir_check_add(hc->check, "HNSW-I3", PIR_CHECK_NONE, nid,
						  "is free but not in the chain of free slots");
	}
	pfree(page);
}

static void
check_chains(PirHnswCheck *hc)
{
	Page		page = palloc(BLCKSZ);

	for (uint32 i = 0; i < hc->nchains; i++)
	{
		uint32		owner = hc->chains[i].owner;
		uint32		nid = hc->chains[i].first;

		while (nid != PIR_NID_NONE)
		{
			PirHnswTidsOnPage *tids;

			if (nid >= hc->nnodes || STATE_OF(hc, nid) != PIR_NODE_TIDS)
			{
				pir_check_add(hc->check, "HNSW-I5", PIR_CHECK_NONE, nid,
							  "is in the chain of duplicates of node %u but holds none", owner);
				break;
			}
			if (MARK_OF(hc, nid, MARK_LINKED))
			{
				pir_check_add(hc->check, "HNSW-I5", PIR_CHECK_NONE, nid,
							  "is twice in a chain of duplicates (node %u)", owner);
				break;
			}
			hc->marks[nid] |= MARK_LINKED;
			tids = (PirHnswTidsOnPage *) read_node(hc, nid, page);
			if (tids == NULL)
				break;
			if (tids->owner != owner)
				pir_check_add(hc->check, "HNSW-I5", PIR_CHECK_NONE, nid,
							  "is in the chain of duplicates of node %u but holds those of %u",
							  owner, tids->owner);
			nid = tids->next;
		}
	}
	for (uint32 nid = 0; nid < hc->nnodes; nid++)
	{
		if (STATE_OF(hc, nid) == PIR_NODE_TIDS && !MARK_OF(hc, nid, MARK_LINKED))
			pir_check_add(hc->check, "HNSW-I5", PIR_CHECK_NONE, nid,
						  "holds duplicates, but no node leads to it");
	}
	pfree(page);
}

/* --- neighbour lists: HNSW-I8, I9 --- */

/* Is an edge with this target (besides number 'i') among the first i? */
static bool
is_repeated(const uint32 *edges, int i)
{
	for (int j = 0; j < i; j++)
	{
		if (PIR_EDGE_NODE(edges[j]) == PIR_EDGE_NODE(edges[i]))
			return true;
	}
	return false;
}

static void
check_list(PirHnswCheck *hc, BlockNumber blkno, const PirHnswListOnPage *list, uint32 nid)
{
	uint32		state = STATE_OF(hc, nid);

	if (list->nedges > hc->cap || list->nfull > hc->cap)
	{
		pir_check_add(hc->check, "HNSW-I8", blkno, nid, "list has %u edges (%u when chosen) of at most %u",
					  list->nedges, list->nfull, hc->cap);
		return;
	}
	if ((list->flags & ~PIR_LIST_DEAD) != 0 || list->reserved != 0)
		pir_check_add(hc->check, "HNSW-I8", blkno, nid, "list has unknown flags 0x%02X or reserved byte 0x%02X",
					  list->flags, list->reserved);

	/* the list of a slot that is no node is left over, and nobody reads it */
	if (hc->check->complete)
	{
		if (!IS_NODE(hc, nid))
			return;
		/* not the other way round: VACUUM marks the node first */
		if (state == PIR_NODE_LIVE && (list->flags & PIR_LIST_DEAD) != 0)
			pir_check_add(hc->check, "HNSW-I8", blkno, nid, "list says that the node is dead");
	}

	for (int i = 0; i < list->nedges; i++)
	{
		uint32		target = PIR_EDGE_NODE(list->edges[i]);

		if (target == nid)
			pir_check_add(hc->check, "HNSW-I8", blkno, nid, "list has an edge to its own node");
		else if (is_repeated(list->edges, i))
			pir_check_add(hc->check, "HNSW-I8", blkno, nid, "list has two edges to node %u", target);
		if (!node_exists(hc, target))
			pir_check_add(hc->check, "HNSW-I9", blkno, nid,
						  "list has an edge to node %u, which does not exist", target);
		else if (hc->check->complete)
			hc->marks[target] |= IS_NODE(hc, target) ? MARK_LINKED : 0;
	}
}

static void
check_list_pages(PirHnswCheck *hc)
{
	Page		page = palloc(BLCKSZ);
	uint32		nid = 0;

	for (uint32 logical = 0; logical < hc->check->nmapped[PIR_TABLE_LIST]; logical++)
	{
		BlockNumber blkno = hc->check->mapped[PIR_TABLE_LIST][logical];
		uint32		end = Min(hc->nnodes, nid + hc->head->lists_per_page);
		uint32		nslots;

		if (blkno == InvalidBlockNumber || !pir_check_page(hc->check, blkno, PIR_PAGE_LIST, page))
		{
			nid = end;
			continue;
		}
		nslots = pir_page_special(page)->nslots;
		if (nslots > hc->head->lists_per_page)
		{
			pir_check_add(hc->check, "HNSW-I8", blkno, PIR_CHECK_NONE,
						  "list page has %u slots of at most %u", nslots, hc->head->lists_per_page);
			nslots = hc->head->lists_per_page;
		}
		check_used(hc, "HNSW-I8", blkno, page, (Size) nslots * hc->head->list_size);
		for (uint32 slot = 0; nid < end; slot++, nid++)
		{
			if (slot < nslots)
				check_list(hc, blkno, pir_hnsw_list_at(hc->head, page, nid), nid);
			else if (hc->check->complete && IS_NODE(hc, nid))
				pir_check_add(hc->check, "HNSW-I8", blkno, nid, "node has no list");
		}
	}
	pfree(page);
}

/* --- entry layer and reachability: HNSW-I10 to I12 --- */

static void
visit_entries(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
	PirHnswCheck *hc = arg;
	bool		has_items;
	Size		stride = pir_hnsw_entry_stride(hc->head, &has_items);
	uint32		n = pir_page_special(page)->nslots;
	Page		node_page = palloc(BLCKSZ);

	if (n * stride > PIR_PAGE_CAPACITY)
	{
		pir_check_add(check, "HNSW-I12", blkno, PIR_CHECK_NONE,
					  "entry page has %u entries of %zu bytes", n, stride);
		n = PIR_PAGE_CAPACITY / stride;
	}
	check_used(hc, "HNSW-I12", blkno, page, n * stride);
	for (uint32 i = 0; i < n; i++, hc->nentries++)
	{
		const PirHnswEntryOnPage *entry = (const PirHnswEntryOnPage *)
		(pir_page_content(page) + i * stride);
		uint32		nid = entry->nid;
		const void *item;

		if (!node_exists(hc, nid))
		{
			pir_check_add(check, "HNSW-I12", blkno, nid,
						  "entry %u is a node that does not exist", hc->nentries);
			continue;
		}
		if (!check->complete)
			continue;
		if (hc->nentries == 0 && nid != hc->meta.root)
			pir_check_add(check, "HNSW-I12", blkno, nid,
						  "first entry is not the root of the anchors, which is node %u", hc->meta.root);
		if (!IS_NODE(hc, nid))
		{
			pir_check_add(check, "HNSW-I12", blkno, nid, "entry %u is a slot in state %u",
						  hc->nentries, STATE_OF(hc, nid));
			continue;
		}
		hc->marks[nid] |= MARK_REACHED;

		if (!has_items || STATE_OF(hc, nid) != PIR_NODE_LIVE ||
			read_node(hc, nid, node_page) == NULL)
			continue;
		item = pir_hnsw_check_item(hc, node_page, nid);
		if (item != NULL && memcmp(item, entry->item, hc->head->item_size) != 0)
			pir_check_add(check, "HNSW-I12", blkno, nid,
						  "entry %u has another code than its node", hc->nentries);
	}
	pfree(node_page);
}

static void
check_entries(PirHnswCheck *hc)
{
	(void) pir_check_chain(hc->check, hc->meta.entry, PIR_PAGE_ENTRY, visit_entries, hc);
	if (!hc->check->complete)
		return;
	if (hc->nentries != hc->meta.nentries)
		pir_check_add(hc->check, "HNSW-I12", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "there are %u entries, the meta page says %u",
					  hc->nentries, hc->meta.nentries);
	if (hc->nentries == 0 && hc->meta.root != PIR_NID_NONE)
		pir_check_add(hc->check, "HNSW-I12", PIR_META_BLKNO, hc->meta.root,
					  "is the root of the anchors, but there are no entries");
}

/*
 * Follow the edges (or only the anchors) of all nodes marked as 'reached',
 * until nothing new is. The pages are read in order; what lies behind the node
 * at hand is followed in the same sweep.
 */
static void
mark_reachable(PirHnswCheck *hc, uint8 reached, uint8 followed, bool anchors_only)
{
	Page		page = palloc(BLCKSZ);
	bool		more = true;

	while (more)
	{
		more = false;
		for (uint32 logical = 0; logical < hc->check->nmapped[PIR_TABLE_LIST]; logical++)
		{
			BlockNumber blkno = hc->check->mapped[PIR_TABLE_LIST][logical];
			uint32		first = logical * hc->head->lists_per_page;
			uint32		end = Min(hc->nnodes, first + hc->head->lists_per_page);
			bool		have_page = false;

			if (blkno == InvalidBlockNumber)
				continue;
			for (uint32 nid = first; nid < end; nid++)
			{
				const PirHnswListOnPage *list;

				if (MARK_OF(hc, nid, reached | followed) != reached)
					continue;
				hc->marks[nid] |= followed;
				if (!have_page && !pir_check_page(hc->check, blkno, PIR_PAGE_LIST, page))
					break;
				have_page = true;
				list = pir_hnsw_list_at(hc->head, page, nid);
				for (int i = 0; i < Min(list->nedges, hc->cap); i++)
				{
					uint32		target = PIR_EDGE_NODE(list->edges[i]);

					if (target >= hc->nnodes || MARK_OF(hc, target, reached) || !IS_NODE(hc, target) ||
						(anchors_only && (list->edges[i] & PIR_EDGE_ANCHOR) == 0))
						continue;
					hc->marks[target] |= reached;
					if (target < nid)
						more = true;
				}
			}
		}
	}
	pfree(page);
}

/* --- all of it --- */

/* One run; false if the index became another one meanwhile. */
static bool
check_once(PirCheck *check)
{
	PirHnswCheck checker = {0};
	PirHnswCheck *hc = &checker;
	PirHnswMetaOnPage now;

	hc->check = check;
	hc->head = &hc->meta.head;
	hc->chunk = palloc(BLCKSZ);
	if (!pir_check_meta(check, PIR_KIND_HNSW, &hc->meta, sizeof(hc->meta)) || !check_geometry(hc))
		return true;

	hc->cap = 2 * hc->head->m;
	pir_hnsw_value_info(&hc->meta, &hc->value);
	pir_check_tables(check, hc->head, table_kinds);
	check_meta(hc);
	check_centre(hc);

	hc->marks = MemoryContextAllocExtended(CurrentMemoryContext, Max(hc->nnodes, 1),
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (check->complete)
		pir_hnsw_check_heap_begin(hc);
	check_code_pages(hc);
	if (check->complete)
	{
		compare_count(hc, "live", hc->counts[PIR_NODE_LIVE], hc->meta.nlive);
		compare_count(hc, "dead", hc->counts[PIR_NODE_DEAD], hc->meta.ndead);
		compare_count(hc, "free", hc->counts[PIR_NODE_FREE], hc->meta.nfree_nodes);
		check_free_slots(hc);
		check_chains(hc);
	}
	check_list_pages(hc);
	check_entries(hc);
	if (check->complete)
	{
		mark_reachable(hc, MARK_REACHED, MARK_EXPANDED, false);
		if (hc->meta.root < hc->nnodes)
			hc->marks[hc->meta.root] |= MARK_ANCHORED;
		mark_reachable(hc, MARK_ANCHORED, MARK_FOLLOWED, true);
		(void) pir_check_chain(check, hc->meta.retired, PIR_PAGE_TABLE, visit_retired, hc);
		pir_check_unclaimed(check);
		pir_check_rows_compare(hc->rows);
		return true;
	}

	return pir_check_meta(check, PIR_KIND_HNSW, &now, sizeof(now)) &&
		now.head.seed == hc->head->seed && now.head.epoch == hc->head->epoch;
}

/*
 * Beside writers, the graph may replace the flat state in the middle of a
 * check (once in the life of an index, and again after it was emptied): what
 * was found until then means nothing.
 */
void
pir_hnsw_check(PirCheck *check)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; !check_once(check); i++)
	{
		if (i == MAX_RESTARTS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("index \"%s\" was rebuilt %d times while it was checked",
							RelationGetRelationName(check->index), i)));
		pir_check_reset(check);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
