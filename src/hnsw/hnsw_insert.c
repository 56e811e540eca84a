/*-------------------------------------------------------------------------
 *
 * hnsw_insert.c
 *	  One row into the pages of an index, beside scans and other inserts.
 *
 * Flat state: one atomic change {meta, code page}. Graph state:
 *
 *	  1. search on codes, choose neighbours, plan the links from their lists
 *		 (share locks, one page at a time);
 *	  2. one atomic change {meta, code page, list page, list page}: the node
 *		 with its own list and its anchor;
 *	  3. the other links, by atomic changes of up to four list pages
 *		 (hnsw_link.c).
 *
 * A crash or error between these leaves a node that is hardly found (not at
 * all, if another backend changed the list that was to give the anchor), whose
 * row never committed; VACUUM removes it. See README.md sections 4, 6 and 8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/*
 * A statement that has inserted so many rows goes on with a copy of the graph
 * in memory. Copying n nodes costs what the copy saves in some n / 1000 rows.
 */
#define MIRROR_FROM(nnodes)	((nnodes) / 128 + 100)

/*
 * Widths of the beams that look for the node of a row whose vector did not
 * change, one after the other.
 */
static const int unchanged_ef[] = {1, 8};

/* How far to look for a node that takes an anchor. */
#define MAX_LINK_EF			65535

/* --- slots --- */

/* Write the parts of an item that do not fit the first page of its node. */
static void
write_chunks(PirHnswIndex *hnsw, uint32 nid, const uint8 *item)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		logical = pir_hnsw_code_page(head, nid);

	for (Size done = PIR_HNSW_CHUNK; done < head->item_size; done += PIR_HNSW_CHUNK)
	{
		Size		count = Min(PIR_HNSW_CHUNK, head->item_size - done);
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, ++logical);
		PirWal		wal;
		Page		page;

		pir_page_lock(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);
		pir_wal_begin(&wal, hnsw->rel);
		page = pir_wal_page(&wal, buf);
		memcpy(pir_page_content(page), item + done, count);
		pir_page_set_used(page, count);
		pir_wal_finish(&wal);
		pir_page_release(buf);
	}
}

/*
 * Choose the slot for a new node: the first free one, else the next unused,
 * adding pages as needed.
 * Locks: caller holds 'metabuf' exclusively and no other content lock.
 */
static uint32
choose_slot(PirHnswIndex *hnsw, Buffer metabuf, bool with_list)
{
	PirHnswMetaOnPage *meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		nid = meta->free_node;

	if (nid == PIR_NID_NONE)
	{
		nid = meta->nnodes;
		if (nid >= PIR_NID_NONE - 1)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("index \"%s\" cannot have more than %u nodes",
							RelationGetRelationName(hnsw->rel), PIR_NID_NONE - 1)));
		/* those before it have their pages */
		if (meta->head.tables[PIR_TABLE_CODE].npages < pir_hnsw_code_page(head, nid) ||
			(with_list && meta->head.tables[PIR_TABLE_LIST].npages < pir_hnsw_list_page(head, nid)))
			pir_report_corrupted(hnsw->rel, PIR_META_BLKNO, "there are no pages for %u nodes", nid);
		while (meta->head.tables[PIR_TABLE_CODE].npages <
			   pir_hnsw_code_page(head, nid) + head->pages_per_node)
			pir_table_append(hnsw->store, metabuf, PIR_TABLE_CODE, PIR_PAGE_CODE);
		if (with_list &&
			meta->head.tables[PIR_TABLE_LIST].npages <= pir_hnsw_list_page(head, nid))
			pir_table_append(hnsw->store, metabuf, PIR_TABLE_LIST, PIR_PAGE_LIST);
	}
	(void) pir_store_sync(hnsw->store, &meta->head);
	return nid;
}

/*
 * Take the chosen slot off the chain of free ones, or count it as used, in
 * the WAL copies of the meta page and of its code page.
 */
static PirHnswNodeOnPage *
take_slot(PirHnswIndex *hnsw, PirHnswMetaOnPage *meta, Page page, uint32 nid, BlockNumber blkno)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);
	uint32		slot = nid % head->nodes_per_page;

	if (nid == meta->free_node)
	{
		if (node->state != PIR_NODE_FREE)
			pir_report_corrupted(hnsw->rel, blkno, "node %u is in the chain of free slots but has state %u",
								 nid, node->state);
		meta->free_node = node->link;
		meta->nfree_nodes--;
	}
	else
	{
		if (node->state != PIR_NODE_UNUSED)
			pir_report_corrupted(hnsw->rel, blkno, "node %u was never used but has state %u",
								 nid, node->state);
		meta->nnodes = nid + 1;
		pir_page_special(page)->nslots = Max(pir_page_special(page)->nslots, slot + 1);
		/* at once for all slots of a page that will fill up: less to log */
		pir_page_set_used(page, meta->state == PIR_HNSW_GRAPH ? PIR_PAGE_CAPACITY :
						  Min((Size) pir_page_special(page)->nslots * head->node_size,
							  PIR_PAGE_CAPACITY));
	}
	return node;
}

static void
fill_node(const PirMetaHeadOnPage *head, PirHnswNodeOnPage *node, const void *item, ItemPointer tid)
{
	node->state = PIR_NODE_LIVE;
	node->tid = *tid;
	node->link = PIR_NID_NONE;
	memcpy(node->item, item,
		   head->pages_per_node > 1 ? PIR_HNSW_CHUNK : head->item_size);
}

/* --- flat state --- */

typedef enum FlatResult
{
	FLAT_DONE,
	FLAT_FULL,					/* rows enough to train */
	FLAT_CHANGED				/* the index is no longer what we opened */
} FlatResult;

static FlatResult
insert_flat(PirHnswIndex *hnsw, const void *item, ItemPointer tid)
{
	Buffer		metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	PirHnswMetaOnPage *meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	PirWal		wal;
	Buffer		buf;
	Page		page;
	uint32		nid;

	if (meta->head.epoch != hnsw->meta.head.epoch)
	{
		pir_page_release(metabuf);
		return FLAT_CHANGED;
	}
	if (meta->nlive >= PIR_HNSW_TRAIN_ROWS)
	{
		pir_page_release(metabuf);
		return FLAT_FULL;
	}

	nid = choose_slot(hnsw, metabuf, false);
	if (hnsw->meta.head.pages_per_node > 1)
		write_chunks(hnsw, nid, item);
	buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, pir_hnsw_code_page(&hnsw->meta.head, nid));
	pir_page_lock(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);

	pir_wal_begin(&wal, hnsw->rel);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
	page = pir_wal_page(&wal, buf);
	fill_node(&hnsw->meta.head, take_slot(hnsw, meta, page, nid, pir_page_blkno(buf)), item, tid);
	meta->nlive++;
	pir_wal_finish(&wal);

	pir_page_release(buf);
	pir_page_release(metabuf);
	return FLAT_DONE;
}

/* --- graph state: duplicates --- */

/*
 * Is this live node (still) the one with this item? Its slot may have been
 * freed and used again since the item was copied.
 * Locks: caller holds 'page' locked.
 */
static bool
has_item(PirHnswIndex *hnsw, Page page, uint32 nid, const void *item, void *scratch)
{
	return pir_hnsw_node_at(&hnsw->meta.head, page, nid)->state == PIR_NODE_LIVE &&
		memcmp(pir_hnsw_item(hnsw, page, nid, scratch), item, hnsw->meta.head.item_size) == 0;
}

/*
 * Add a heap row to a node with the same code. False if the node is no longer
 * live, or another one. See README.md, "Duplicates", for the protocol.
 */
static bool
append_tid(PirHnswIndex *hnsw, PirPins *pins, uint32 owner, const void *item, ItemPointer tid)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	void	   *scratch = palloc(head->item_size);

	for (int attempts = 0;; attempts++)
	{
		Buffer		metabuf;
		Buffer		owner_buf;
		Buffer		buf;
		Page		page;
		PirHnswNodeOnPage *node;
		PirHnswTidsOnPage *tids;
		PirHnswMetaOnPage *meta;
		PirWal		wal;
		uint32		first;
		uint32		nid;

		CHECK_FOR_INTERRUPTS();

		/* the owner's own place may be empty */
		page = pir_hnsw_lock_node(hnsw, pins, owner, PIR_LOCK_EXCLUSIVE, &owner_buf);
		node = pir_hnsw_node_at(head, page, owner);
		if (!has_item(hnsw, page, owner, item, scratch))
		{
			pir_page_unlock(owner_buf);
			return false;
		}
		if (!ItemPointerIsValid(&node->tid))
		{
			pir_wal_begin(&wal, hnsw->rel);
			pir_hnsw_node_at(head, pir_wal_page(&wal, owner_buf), owner)->tid = *tid;
			pir_wal_finish(&wal);
			pir_page_unlock(owner_buf);
			return true;
		}
		if (attempts > PIR_HNSW_CHAIN_ATTEMPTS)
			pir_report_corrupted(hnsw->rel, pir_page_blkno(owner_buf),
								 "node %u leads to no duplicates of its own", owner);
		first = node->link;
		pir_page_unlock(owner_buf);

		/* room in the first TIDS node? */
		if (first != PIR_NID_NONE)
		{
			bool		added = false;
			bool		valid;

			buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, pir_hnsw_code_page(head, first));
			pir_page_lock_pair(hnsw->rel, owner_buf, buf, PIR_PAGE_CODE);
			node = pir_hnsw_node_at(head, pir_page_of(owner_buf), owner);
			tids = (PirHnswTidsOnPage *) pir_hnsw_node_at(head, pir_page_of(buf), first);
			valid = node->link == first && has_item(hnsw, pir_page_of(owner_buf), owner, item, scratch) &&
				tids->state == PIR_NODE_TIDS && tids->owner == owner;
			if (valid && tids->ntids < PIR_HNSW_TIDS_CAPACITY(head->node_size))
			{
				pir_wal_begin(&wal, hnsw->rel);
				tids = (PirHnswTidsOnPage *) pir_hnsw_node_at(head, pir_wal_page(&wal, buf), first);
				tids->tids[tids->ntids++] = *tid;
				pir_wal_finish(&wal);
				added = true;
			}
			pir_page_unlock_pair(owner_buf, buf);
			pir_page_unpin(buf);
			if (added)
				return true;
			if (!valid)
				continue;
		}

		/* a new TIDS node at the head of the chain */
		metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		nid = choose_slot(hnsw, metabuf, true);
		buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, pir_hnsw_code_page(head, nid));
		pir_page_lock_pair(hnsw->rel, owner_buf, buf, PIR_PAGE_CODE);
		node = pir_hnsw_node_at(head, pir_page_of(owner_buf), owner);
		if (node->link != first || !has_item(hnsw, pir_page_of(owner_buf), owner, item, scratch))
		{
			/* changed meanwhile: look again */
			pir_page_unlock_pair(owner_buf, buf);
			pir_page_unpin(buf);
			pir_page_release(metabuf);
			continue;
		}
		pir_wal_begin(&wal, hnsw->rel);
		meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
		page = pir_wal_page(&wal, buf);
		tids = (PirHnswTidsOnPage *) take_slot(hnsw, meta, page, nid, pir_page_blkno(buf));
		tids->state = PIR_NODE_TIDS;
		tids->ntids = 1;
		tids->owner = owner;
		tids->next = first;
		tids->tids[0] = *tid;
		if (buf != owner_buf)
			page = pir_wal_page(&wal, owner_buf);
		pir_hnsw_node_at(head, page, owner)->link = nid;
		pir_wal_finish(&wal);
		pir_page_unlock_pair(owner_buf, buf);
		pir_page_unpin(buf);
		pir_page_release(metabuf);
		return true;
	}
}

/* --- graph state: the insert --- */

/*
 * Write the node, its own list, and the links that lie on the page of that
 * list or of its anchor: one atomic change, so that the node is in reach from
 * the moment it exists. 'links' may be NULL. Returns its nid.
 */
static uint32
write_node(PirHnswIndex *hnsw, const void *item, ItemPointer tid,
		   const PirHnswCandidate *chosen, int nchosen, PirHnswLinks *links, uint32 *nlive)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		anchor_page = 0;
	Buffer		anchor_buf = InvalidBuffer;
	Buffer		metabuf;
	Buffer		buf;
	Buffer		list_buf;
	uint32		nid;
	uint32		list_slot;
	PirHnswMetaOnPage *meta;
	PirHnswListOnPage *list;
	PirWal		wal;
	Page		page;

	if (links != NULL && pir_hnsw_anchor_page(links, &anchor_page))
		anchor_buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, anchor_page);
	metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	nid = choose_slot(hnsw, metabuf, true);
	list_slot = nid % head->lists_per_page;
	if (head->pages_per_node > 1)
		write_chunks(hnsw, nid, item);
	buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, pir_hnsw_code_page(head, nid));
	list_buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, pir_hnsw_list_page(head, nid));
	pir_page_lock(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);
	if (anchor_buf != InvalidBuffer)
		pir_page_lock_pair(hnsw->rel, list_buf, anchor_buf, PIR_PAGE_LIST);
	else
		pir_page_lock(hnsw->rel, list_buf, PIR_PAGE_LIST, PIR_LOCK_EXCLUSIVE);

	pir_wal_begin(&wal, hnsw->rel);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
	page = pir_wal_page(&wal, buf);
	fill_node(head, take_slot(hnsw, meta, page, nid, pir_page_blkno(buf)), item, tid);
	*nlive = ++meta->nlive;

	page = pir_wal_page(&wal, list_buf);
	if (list_slot >= pir_page_special(page)->nslots)
	{
		pir_page_special(page)->nslots = list_slot + 1;
		pir_page_set_used(page, PIR_PAGE_CAPACITY);
	}
	list = pir_hnsw_list_at(head, page, nid);
	list->nedges = list->flags = 0;
	for (int i = 0; i < nchosen; i++)
	{
		/* the slot may have been that of a neighbour until a moment ago */
		if (chosen[i].node != nid)
			list->edges[list->nedges++] = chosen[i].node;
	}
	list->nfull = list->nedges;
	if (links != NULL)
		pir_hnsw_put_links(links, page, pir_hnsw_list_page(head, nid), nid);
	if (anchor_buf != InvalidBuffer && anchor_buf != list_buf)
		pir_hnsw_put_links(links, pir_wal_page(&wal, anchor_buf), anchor_page, nid);
	pir_wal_finish(&wal);

	if (anchor_buf != InvalidBuffer)
		pir_page_unlock_pair(list_buf, anchor_buf);
	else
		pir_page_unlock(list_buf);
	if (anchor_buf != InvalidBuffer)
		pir_page_unpin(anchor_buf);
	pir_page_unpin(list_buf);
	pir_page_release(buf);
	pir_page_release(metabuf);
	return nid;
}

/*
 * Nothing alive was found: the node becomes the root. It holds an anchor to
 * the root so far, through which whatever that one led to stays in reach.
 * False if the root has changed since hnsw->meta was read: look again.
 */
static bool
become_root(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, const void *item)
{
	uint32		root = hnsw->meta.root;
	Buffer		metabuf;
	bool		changed;

	/* the list is not full, so that nothing has to be chosen */
	if (root != PIR_NID_NONE && root != nid)
		(void) pir_hnsw_add_edge(hnsw, pins, nid, item, root, item, true, hnsw->cap);

	metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	changed = ((PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf)))->root != root;
	if (!changed)
		pir_hnsw_put_entry(hnsw, metabuf, 0, nid, item);
	pir_page_release(metabuf);
	return !changed;
}

/*
 * Search for neighbours: the nearest live nodes beside 'self', with copies of
 * their items. If 'tid' is given and a node with this very item is among them,
 * the row is added to that one and the result is -1.
 */
static int
find_candidates(PirHnswIndex *hnsw, PirHnswSearch *search, const PirQuantQuery *query, int ef,
				const void *item, uint32 self, ItemPointer tid, PirHnswCandidate **cands)
{
	Size		item_size = TYPEALIGN(16, hnsw->meta.head.item_size);
	char	   *items;
	int			n = 0;

	pir_hnsw_search_init(search, hnsw, query, CurrentMemoryContext, false);
	pir_hnsw_search_run(search, ef);
	pir_hnsw_search_sort(search);

	*cands = palloc(Max(search->nbest, 1) * sizeof(PirHnswCandidate));
	items = pir_alloc_aligned(CurrentMemoryContext,
							  pir_size_mul(Max(search->nbest, 1), item_size), false);
	for (int i = 0; i < search->nbest; i++)
	{
		uint32		nid = search->found[search->best[i]].nid;
		char	   *copy = items + n * item_size;

		if (nid == self || !pir_hnsw_copy_item(hnsw, &search->pins, nid, copy))
			continue;
		if (tid != NULL && memcmp(copy, item, hnsw->meta.head.item_size) == 0 &&
			append_tid(hnsw, &search->pins, nid, item, tid))
			return -1;
		(*cands)[n].node = nid;
		(*cands)[n].item = copy;
		(*cands)[n].dist = pir_quant_code_distance(hnsw->quant, item, copy);
		n++;
	}
	return n;
}

/*
 * The same by the mirror of the index. Locks: none, or as append_tid().
 */
static int
find_mirrored(PirHnswIndex *hnsw, PirPins *pins, int ef, const void *item, ItemPointer tid,
			  PirHnswCandidate **cands)
{
	PirQuantQuery *query = pir_alloc_aligned(CurrentMemoryContext,
											 pir_quant_query_size(hnsw->quant), false);
	int			n;

	*cands = palloc(ef * sizeof(PirHnswCandidate));
	n = pir_hnsw_mirror_search(hnsw->mirror, hnsw, pir_quant_prepare_item(hnsw->quant, item, query),
							   ef, *cands);
	for (int i = 0; i < n; i++)
	{
		if (memcmp((*cands)[i].item, item, hnsw->meta.head.item_size) == 0 &&
			append_tid(hnsw, pins, (*cands)[i].node, item, tid))
			return -1;
	}
	return n;
}

/* Let the mirror know what was inserted; without room for it, it is given up. */
static void
tell_mirror(PirHnswIndex *hnsw, uint32 nid, const void *item,
			const PirHnswCandidate *chosen, int nchosen, const PirHnswLinks *links)
{
	uint32		edges[2 * PIR_HNSW_MAX_M];

	if (!pir_hnsw_mirror_add(hnsw->mirror, hnsw, nid, item))
	{
		hnsw->mirror = NULL;
		return;
	}
	for (int i = 0; i < nchosen; i++)
		edges[i] = chosen[i].node;
	pir_hnsw_mirror_set_list(hnsw->mirror, nid, edges, nchosen);
	pir_hnsw_mirror_links(links);
}

static PirQuantQuery *
prepare_query(PirHnswIndex *hnsw, const void *input, void *scratch)
{
	return pir_quant_prepare_query(hnsw->quant, input,
								   pir_alloc_aligned(CurrentMemoryContext,
													 pir_quant_query_size(hnsw->quant), false),
								   scratch);
}

static void
insert_graph(PirHnswIndex *hnsw, const void *input, const void *item, ItemPointer tid,
			 bool unchanged, void *scratch)
{
	PirHnswSearch search;
	PirQuantQuery *query = NULL;
	PirHnswCandidate *cands;
	PirHnswLinks *links;
	int			ef = pir_hnsw_ef_construction(hnsw->rel);
	int			ncands = 0;
	int			nchosen;
	uint32		nid;
	uint32		nlive;

	/* a narrow beam finds the node that the row's last version is in */
	if (hnsw->mirror != NULL)
	{
		pir_pins_init(&search.pins, hnsw->store);
		for (int i = 0; i < lengthof(unchanged_ef) && unchanged && ncands >= 0; i++)
			ncands = find_mirrored(hnsw, &search.pins, Min(unchanged_ef[i], ef), item, tid, &cands);
		if (ncands >= 0)
			ncands = find_mirrored(hnsw, &search.pins, ef, item, tid, &cands);
	}
	else if (unchanged)
	{
		query = prepare_query(hnsw, input, scratch);
		for (int i = 0; i < lengthof(unchanged_ef) && ncands >= 0; i++)
		{
			ncands = find_candidates(hnsw, &search, query, unchanged_ef[i], item, PIR_NID_NONE, tid, &cands);
			pir_hnsw_search_unpin(&search);
		}
	}
	if (ncands == 0 || (ncands > 0 && hnsw->mirror == NULL))
	{
		if (hnsw->mirror != NULL)
			pir_hnsw_search_unpin(&search);
		if (query == NULL)
			query = prepare_query(hnsw, input, scratch);
		ncands = find_candidates(hnsw, &search, query, ef, item, PIR_NID_NONE, tid, &cands);
	}
	if (ncands < 0)
	{
		pir_hnsw_search_unpin(&search);
		return;
	}

	/* chosen ones first, the others behind them */
	nchosen = pir_hnsw_select(hnsw->quant, item, cands, ncands, hnsw->meta.head.m,
							  pir_alloc_aligned(CurrentMemoryContext,
												pir_hnsw_select_scratch_size(hnsw->quant, ncands), false));
	links = pir_hnsw_plan_links(hnsw, &search.pins, cands, nchosen, item);
	nid = write_node(hnsw, item, tid, cands, nchosen, links, &nlive);

	/*
	 * All candidates may have become tombstones by now, or hold as many
	 * anchors as they can: search again, and further. (On average a list
	 * holds one anchor.)
	 */
	for (;;)
	{
		bool		linked;

		if (ncands > 0)
			linked = pir_hnsw_write_links(links, &search.pins, nid, item, cands, nchosen, ncands);
		else
			linked = become_root(hnsw, &search.pins, nid, item);
		pir_hnsw_search_unpin(&search);
		if (linked)
			break;

		CHECK_FOR_INTERRUPTS();
		pir_hnsw_refresh(hnsw);
		ef = Min(ef * 2, MAX_LINK_EF);
		if (query == NULL)
			query = prepare_query(hnsw, input, scratch);
		ncands = find_candidates(hnsw, &search, query, ef, item, nid, NULL, &cands);
		nchosen = pir_hnsw_select(hnsw->quant, item, cands, ncands, hnsw->meta.head.m,
								  pir_alloc_aligned(CurrentMemoryContext,
													pir_hnsw_select_scratch_size(hnsw->quant, ncands), false));
		for (int i = 0; i < nchosen; i++)
			(void) pir_hnsw_add_edge(hnsw, &search.pins, nid, item, cands[i].node, cands[i].item, false, 0);
		links = pir_hnsw_plan_links(hnsw, &search.pins, cands, nchosen, item);
	}
	if (ncands > 0)
		pir_hnsw_sample_entry(hnsw, nid, item, nlive);
	if (hnsw->mirror != NULL)
		tell_mirror(hnsw, nid, item, cands, nchosen, links);
}

void
pir_hnsw_insert_input(PirHnswIndex *hnsw, Relation heap, const void *input, ItemPointer tid,
					  bool unchanged)
{
	for (;;)
	{
		void	   *scratch = pir_alloc_aligned(CurrentMemoryContext,
												pir_quant_scratch_size(hnsw->quant), false);
		void	   *item = pir_alloc_aligned(CurrentMemoryContext, hnsw->meta.head.item_size, true);
		Relation	index = hnsw->rel;

		pir_quant_encode(hnsw->quant, input, item, scratch);
		if (hnsw->meta.state == PIR_HNSW_GRAPH)
		{
			insert_graph(hnsw, input, item, tid, unchanged, scratch);
			return;
		}
		switch (insert_flat(hnsw, item, tid))
		{
			case FLAT_DONE:
				return;
			case FLAT_FULL:
				pir_hnsw_train(index, heap);
				break;
			case FLAT_CHANGED:
				break;
		}
		pir_hnsw_close(hnsw);
		pir_hnsw_open(hnsw, index);
	}
}

/* What the inserts of one statement into one index share; in IndexInfo. */
typedef struct Statement
{
	uint64		nrows;
	PirHnswMirror *mirror;		/* or NULL */
	bool		no_mirror;		/* there is not enough memory */
} Statement;

/* Let a statement that inserts many rows work with a copy of the graph. */
static void
use_mirror(PirHnswIndex *hnsw, Statement *statement, MemoryContext context)
{
	if (hnsw->meta.state != PIR_HNSW_GRAPH)
		return;
	if (statement->mirror != NULL && pir_hnsw_mirror_outdated(statement->mirror, hnsw))
	{
		pir_hnsw_mirror_free(statement->mirror);
		statement->mirror = NULL;
	}
	if (statement->mirror == NULL && !statement->no_mirror &&
		statement->nrows >= MIRROR_FROM(hnsw->meta.nnodes))
	{
		statement->mirror = pir_hnsw_mirror_make(hnsw, context);
		statement->no_mirror = statement->mirror == NULL;
	}
	hnsw->mirror = statement->mirror;
}

bool
pir_hnsw_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
				Relation heap, IndexUniqueCheck unique, bool unchanged, IndexInfo *info)
{
	Statement  *statement = info->ii_AmCache;
	MemoryContext context;
	MemoryContext old;
	PirHnswIndex hnsw;
	void	   *input;

	if (isnull[0])
		return false;

	if (statement == NULL)
		statement = info->ii_AmCache = MemoryContextAllocZero(info->ii_Context, sizeof(Statement));
	statement->nrows++;

	context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw insert",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	pir_hnsw_open(&hnsw, index);
	use_mirror(&hnsw, statement, info->ii_Context);
	input = pir_alloc_aligned(context, pir_value_input_size(&hnsw.value), true);
	if (pir_value_input(&hnsw.value, values[0], input))
		pir_hnsw_insert_input(&hnsw, heap, input, tid, unchanged);
	if (statement->mirror != NULL && hnsw.mirror == NULL)
	{
		pir_hnsw_mirror_free(statement->mirror);
		statement->mirror = NULL;
		statement->no_mirror = true;
	}
	pir_hnsw_close(&hnsw);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
