/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum.c
 *	  Remove dead rows from an index, keep its graph whole, free the slots.
 *
 *	  1. rows		 code pages in order: dead rows go; nodes without rows
 *					 become tombstones (state DEAD), which searches still
 *					 walk through.
 *	  2. flags		 the lists of tombstones take no more edges.
 *	  3. reach		 every live node must be reachable from the root along
 *					 anchors that live nodes hold; others are linked anew.
 *	  4. lists		 edges to tombstones go, lists that became too thin are
 *					 repaired.
 *	  5. entries	 entries that are tombstones are replaced.
 *	  6. free		 tombstones become free slots.
 *
 * No pass waits for scans or inserts, and at no time is a live node out of
 * reach: the edges to tombstones stay until pass 3 has made sure that nobody
 * needs them. So it does not matter where a VACUUM is interrupted; the next
 * one finds the tombstones it left and finishes. See README.md section 7.
 *
 * A flat index has no lists: passes 1 and 6 only, under the training lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "commands/vacuum.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

/* Repair a list that has fewer than this share of its capacity ... */
#define REPAIR_BELOW(cap)		((cap) * 3 / 4)
/* ... and less than this share of what it had when last chosen. */
#define REPAIR_LOST(nfull)		((nfull) * 4 / 5)
/* Stop looking for candidates at so many, or after so many dead nodes. */
#define REPAIR_CANDIDATES		32
#define REPAIR_DEAD_VISITED		600

/* Sets of nodes */
typedef struct NodeSet
{
	uint64	   *words;
	uint32		size;			/* nodes */
} NodeSet;

typedef struct Vacuum
{
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;	/* NULL: only finish what was begun */
	void	   *callback_state;
	PirHnswIndex hnsw;
	MemoryContext context;
	MemoryContext work;			/* reset per list or node */
	PirPins		pins;

	NodeSet		dead;			/* tombstones of this run */
	NodeSet		gone;			/* slots that held no node in pass 1 */
	uint32		ndead;
	uint32	   *pending;		/* owners whose duplicate chain may be empty now */
	uint32		npending;
	uint32		pending_capacity;

	NodeSet		live;			/* as of the beginning of pass 3 */
	NodeSet		reached;		/* from the root, along anchors of live nodes */
	uint32		nlive;
} Vacuum;

static void
set_init(Vacuum *vac, NodeSet *set, uint32 size)
{
	set->size = size;
	set->words = MemoryContextAllocExtended(vac->context,
											pir_size_mul((Size) size / 64 + 1, sizeof(uint64)),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static inline bool
set_has(const NodeSet *set, uint32 nid)
{
	return nid < set->size && (set->words[nid / 64] >> (nid % 64) & 1) != 0;
}

static inline void
set_add(NodeSet *set, uint32 nid)
{
	if (nid < set->size)
		set->words[nid / 64] |= UINT64CONST(1) << (nid % 64);
}

static void
add_pending(Vacuum *vac, uint32 owner)
{
	if (vac->npending > 0 && vac->pending[vac->npending - 1] == owner)
		return;
	if (vac->npending == vac->pending_capacity)
	{
		vac->pending_capacity = Max(1024, vac->pending_capacity * 2);
		vac->pending = vac->pending == NULL
			? MemoryContextAllocHuge(vac->context, pir_size_mul(vac->pending_capacity, sizeof(uint32)))
			: repalloc_huge(vac->pending, pir_size_mul(vac->pending_capacity, sizeof(uint32)));
	}
	vac->pending[vac->npending++] = owner;
}

/* --- pass 1: rows --- */

static inline bool
is_dead(Vacuum *vac, ItemPointer tid)
{
	return vac->callback != NULL && vac->callback(tid, vac->callback_state);
}

/* Has a page anything to remove? Counts what stays if not. */
static bool
page_has_dead(Vacuum *vac, Page page, uint32 first, uint32 nslots)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	double		remaining = 0;

	for (uint32 nid = first; nid < first + nslots; nid++)
	{
		PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);

		switch (node->state)
		{
			case PIR_NODE_LIVE:
				if (ItemPointerIsValid(&node->tid))
				{
					if (is_dead(vac, &node->tid))
						return true;
					remaining++;
				}
				else
					add_pending(vac, nid);
				break;
			case PIR_NODE_TIDS:
				{
					PirHnswTidsOnPage *tids = (PirHnswTidsOnPage *) node;

					for (int i = 0; i < tids->ntids; i++)
					{
						if (is_dead(vac, &tids->tids[i]))
							return true;
					}
					remaining += tids->ntids;
					if (tids->ntids == 0)
						add_pending(vac, tids->owner);
					break;
				}
			case PIR_NODE_DEAD:
				set_add(&vac->dead, nid);
				vac->ndead++;
				break;
			default:
				set_add(&vac->gone, nid);
				break;
		}
	}
	vac->stats->num_index_tuples += remaining;
	return false;
}

/* Remove the dead rows of a page: one atomic change {meta, code page}. */
static void
clean_page(Vacuum *vac, Buffer buf, uint32 first)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	Relation	index = vac->hnsw.rel;
	Buffer		metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	PirHnswMetaOnPage *meta;
	PirWal		wal;
	Page		page;
	uint32		nslots;

	pir_page_lock(index, buf, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);
	pir_wal_begin(&wal, index);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
	page = pir_wal_page(&wal, buf);
	nslots = Min(pir_page_special(page)->nslots, head->nodes_per_page);

	for (uint32 nid = first; nid < first + nslots; nid++)
	{
		PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);

		if (node->state == PIR_NODE_LIVE)
		{
			if (ItemPointerIsValid(&node->tid) && is_dead(vac, &node->tid))
			{
				vac->stats->tuples_removed++;
				ItemPointerSetInvalid(&node->tid);
				if (node->link == PIR_NID_NONE)
				{
					node->state = PIR_NODE_DEAD;
					meta->nlive--;
					meta->ndead++;
				}
			}
			if (ItemPointerIsValid(&node->tid))
				vac->stats->num_index_tuples++;
			else if (node->state == PIR_NODE_LIVE)
				add_pending(vac, nid);
		}
		else if (node->state == PIR_NODE_TIDS)
		{
			PirHnswTidsOnPage *tids = (PirHnswTidsOnPage *) node;
			uint16		kept = 0;

			for (int i = 0; i < tids->ntids; i++)
			{
				if (is_dead(vac, &tids->tids[i]))
					vac->stats->tuples_removed++;
				else
					tids->tids[kept++] = tids->tids[i];
			}
			tids->ntids = kept;
			vac->stats->num_index_tuples += kept;
			if (kept == 0)
				add_pending(vac, tids->owner);
		}
		if (node->state == PIR_NODE_DEAD)
		{
			set_add(&vac->dead, nid);
			vac->ndead++;
		}
		else if (node->state != PIR_NODE_LIVE)
			set_add(&vac->gone, nid);
	}
	pir_wal_finish(&wal);
	pir_page_unlock(buf);
	pir_page_release(metabuf);
}

/*
 * Take empty TIDS nodes off the head of an owner's chain, and make the owner
 * a tombstone if it has no row left. Inserts only ever add at the head, with
 * both pages locked, so nothing can slip in between.
 */
static void
settle_owner(Vacuum *vac, uint32 owner)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	Relation	index = vac->hnsw.rel;

	for (;;)
	{
		Buffer		metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		Buffer		owner_buf = pir_table_pin(vac->hnsw.store, PIR_TABLE_CODE,
											  pir_hnsw_code_page(head, owner));
		Buffer		buf = owner_buf;
		PirHnswNodeOnPage *node;
		PirHnswMetaOnPage *meta;
		PirWal		wal;
		uint32		first;
		bool		again = false;

		/*
		 * The link cannot change while we hold the meta page: see
		 * append_tid(). What it leads to may be newer than what we know of the
		 * page table.
		 */
		(void) pir_store_sync(vac->hnsw.store, pir_meta_head(pir_page_of(metabuf)));
		pir_page_lock(index, owner_buf, PIR_PAGE_CODE, PIR_LOCK_SHARE);
		node = pir_hnsw_node_at(head, pir_page_of(owner_buf), owner);
		first = node->state == PIR_NODE_LIVE ? node->link : PIR_NID_NONE;
		pir_page_unlock(owner_buf);
		if (first != PIR_NID_NONE)
			buf = pir_table_pin(vac->hnsw.store, PIR_TABLE_CODE, pir_hnsw_code_page(head, first));

		pir_page_lock_pair(index, owner_buf, buf, PIR_PAGE_CODE);
		node = pir_hnsw_node_at(head, pir_page_of(owner_buf), owner);
		if (node->state == PIR_NODE_LIVE && first != PIR_NID_NONE)
		{
			PirHnswTidsOnPage *tids = (PirHnswTidsOnPage *) pir_hnsw_node_at(head, pir_page_of(buf), first);

			if (tids->state != PIR_NODE_TIDS || tids->owner != owner)
				pir_report_corrupted(index, pir_page_blkno(buf), "node %u is not a duplicate list of node %u",
									 first, owner);
			if (tids->ntids == 0)
			{
				PirHnswNodeOnPage *freed;
				uint32		next = tids->next;

				pir_wal_begin(&wal, index);
				meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
				node = pir_hnsw_node_at(head, pir_wal_page(&wal, owner_buf), owner);
				node->link = next;
				if (next == PIR_NID_NONE && !ItemPointerIsValid(&node->tid))
				{
					node->state = PIR_NODE_DEAD;
					meta->nlive--;
					meta->ndead++;
					set_add(&vac->dead, owner);
					vac->ndead++;
				}
				freed = pir_hnsw_node_at(head, pir_wal_page(&wal, buf), first);
				freed->state = PIR_NODE_FREE;
				ItemPointerSetInvalid(&freed->tid);
				freed->link = meta->free_node;
				meta->free_node = first;
				meta->nfree_nodes++;
				pir_wal_finish(&wal);
				again = true;
			}
		}
		else if (node->state == PIR_NODE_LIVE && !ItemPointerIsValid(&node->tid))
		{
			pir_wal_begin(&wal, index);
			meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
			pir_hnsw_node_at(head, pir_wal_page(&wal, owner_buf), owner)->state = PIR_NODE_DEAD;
			meta->nlive--;
			meta->ndead++;
			pir_wal_finish(&wal);
			set_add(&vac->dead, owner);
			vac->ndead++;
		}
		pir_page_unlock_pair(owner_buf, buf);
		if (buf != owner_buf || first != PIR_NID_NONE)
			pir_page_unpin(buf);
		pir_page_unpin(owner_buf);
		pir_page_release(metabuf);
		if (!again)
			break;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
remove_rows(Vacuum *vac)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	uint32		npages = head->tables[PIR_TABLE_CODE].npages;

	set_init(vac, &vac->dead, vac->hnsw.meta.nnodes);
	set_init(vac, &vac->gone, vac->hnsw.meta.nnodes);
	vac->stats->num_index_tuples = 0;

	for (uint32 logical = 0; logical < npages; logical += head->pages_per_node)
	{
		uint32		first = logical / head->pages_per_node * head->nodes_per_page;
		Buffer		buf;
		Page		page;
		bool		dirty;
		uint32		npending = vac->npending;
		uint32		ndead = vac->ndead;

		pir_vacuum_delay_point();
		buf = pir_table_pin(vac->hnsw.store, PIR_TABLE_CODE, logical);
		page = pir_page_lock(vac->hnsw.rel, buf, PIR_PAGE_CODE, PIR_LOCK_SHARE);
		dirty = page_has_dead(vac, page, first, Min(pir_page_special(page)->nslots, head->nodes_per_page));
		pir_page_unlock(buf);
		if (dirty)
		{
			/* begin the page again, now with the right to change it */
			vac->npending = npending;
			vac->ndead = ndead;
			clean_page(vac, buf, first);
		}
		pir_page_unpin(buf);
	}
	for (uint32 i = 0; i < vac->npending; i++)
	{
		pir_vacuum_delay_point();
		settle_owner(vac, vac->pending[i]);
	}
}

/* --- pass 2: flags --- */

/*
 * From here on nobody adds an edge to a tombstone's list, so nobody relies on
 * it for an anchor. One atomic change per list page.
 */
static void
flag_lists(Vacuum *vac)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	const PirMetaHeadOnPage *head = &hnsw->meta.head;

	for (uint32 nid = 0; nid < vac->dead.size;)
	{
		uint32		end = Min(nid - nid % head->lists_per_page + head->lists_per_page, vac->dead.size);
		Buffer		buf;
		PirWal		wal;
		Page		page;

		if (!set_has(&vac->dead, nid))
		{
			nid++;
			continue;
		}
		pir_vacuum_delay_point();
		buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, pir_hnsw_list_page(head, nid));
		pir_page_lock(hnsw->rel, buf, PIR_PAGE_LIST, PIR_LOCK_EXCLUSIVE);
		pir_wal_begin(&wal, hnsw->rel);
		page = pir_wal_page(&wal, buf);
		for (; nid < end; nid++)
		{
			if (set_has(&vac->dead, nid) && nid % head->lists_per_page < pir_page_special(page)->nslots)
				pir_hnsw_list_at(head, page, nid)->flags |= PIR_LIST_DEAD;
		}
		pir_wal_finish(&wal);
		pir_page_release(buf);
	}
}

/* --- pass 3: reach --- */

/* Which nodes are live now? */
static void
collect_live(Vacuum *vac)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	uint32		npages;

	pir_hnsw_refresh(&vac->hnsw);
	npages = head->tables[PIR_TABLE_CODE].npages;
	set_init(vac, &vac->live, vac->hnsw.meta.nnodes);
	set_init(vac, &vac->reached, vac->hnsw.meta.nnodes);
	vac->nlive = 0;
	for (uint32 logical = 0; logical < npages; logical += head->pages_per_node)
	{
		uint32		first = logical / head->pages_per_node * head->nodes_per_page;
		Buffer		buf = pir_table_pin(vac->hnsw.store, PIR_TABLE_CODE, logical);
		Page		page = pir_page_lock(vac->hnsw.rel, buf, PIR_PAGE_CODE, PIR_LOCK_SHARE);
		uint32		nslots = Min(pir_page_special(page)->nslots, head->nodes_per_page);

		for (uint32 nid = first; nid < first + nslots && nid < vac->live.size; nid++)
		{
			if (pir_hnsw_node_at(head, page, nid)->state == PIR_NODE_LIVE)
			{
				set_add(&vac->live, nid);
				vac->nlive++;
			}
		}
		pir_page_release(buf);
		pir_vacuum_delay_point();
	}
}

/*
 * One sweep over the list pages: spread 'reached' from reached nodes to their
 * neighbours along anchors, and if 'grow' along other edges as well, which
 * thereby become anchors. Returns whether a node was newly reached.
 */
static bool
sweep(Vacuum *vac, bool grow)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		npages = head->tables[PIR_TABLE_LIST].npages;
	int			max_anchors = hnsw->cap / 2;
	bool		progress = false;

	for (uint32 logical = 0; logical < npages; logical++)
	{
		uint32		first = logical * head->lists_per_page;
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, logical);
		PirWal		wal;
		Page		page;
		uint32		nslots;
		bool		write = false;

		pir_vacuum_delay_point();

		/* the first look decides whether the page must be written */
		for (;;)
		{
			page = pir_page_lock(hnsw->rel, buf, PIR_PAGE_LIST,
								 write ? PIR_LOCK_EXCLUSIVE : PIR_LOCK_SHARE);
			if (write)
			{
				pir_wal_begin(&wal, hnsw->rel);
				page = pir_wal_page(&wal, buf);
			}
			nslots = Min(pir_page_special(page)->nslots, head->lists_per_page);
			for (uint32 i = 0; i < nslots; i++)
			{
				PirHnswListOnPage *list = pir_hnsw_list_at(head, page, first + i);
				int			nanchors = 0;

				if (!set_has(&vac->reached, first + i))
					continue;
				for (int e = 0; e < list->nedges; e++)
					nanchors += (list->edges[e] & PIR_EDGE_ANCHOR) != 0 &&
						!set_has(&vac->dead, PIR_EDGE_NODE(list->edges[e]));
				for (int e = 0; e < list->nedges; e++)
				{
					uint32		target = PIR_EDGE_NODE(list->edges[e]);

					if (set_has(&vac->reached, target) || !set_has(&vac->live, target))
						continue;
					if ((list->edges[e] & PIR_EDGE_ANCHOR) == 0)
					{
						if (!grow || nanchors >= max_anchors)
							continue;
						if (!write)
						{
							/* come back with an exclusive lock */
							write = true;
							goto again;
						}
						list->edges[e] |= PIR_EDGE_ANCHOR;
						nanchors++;
					}
					set_add(&vac->reached, target);
					progress = true;
				}
			}
			break;
	again:
			pir_page_unlock(buf);
		}
		if (write)
			pir_wal_finish(&wal);
		pir_page_release(buf);
	}
	return progress;
}

/* What a newly reached node reaches along anchors. */
static void
spread_from(Vacuum *vac, uint32 nid)
{
	uint32		edges[2 * PIR_HNSW_MAX_M];
	uint32	   *todo = palloc(64 * sizeof(uint32));
	uint32		capacity = 64;
	uint32		n = 0;

	set_add(&vac->reached, nid);
	todo[n++] = nid;
	while (n > 0)
	{
		int			nedges = pir_hnsw_read_list(&vac->hnsw, &vac->pins, todo[--n], edges, NULL);

		for (int e = 0; e < nedges; e++)
		{
			uint32		target = PIR_EDGE_NODE(edges[e]);

			if ((edges[e] & PIR_EDGE_ANCHOR) == 0 ||
				set_has(&vac->reached, target) || !set_has(&vac->live, target))
				continue;
			set_add(&vac->reached, target);
			if (n == capacity)
			{
				capacity *= 2;
				todo = repalloc_huge(todo, pir_size_mul(capacity, sizeof(uint32)));
			}
			todo[n++] = target;
		}
		CHECK_FOR_INTERRUPTS();
	}
	pfree(todo);
}

/*
 * Give a node an anchor from the nearest reached node that has room for one.
 * If a search meets none (it may be caught where nothing is reached yet), from
 * any one: on average a list holds one anchor. Locks: none on entry and exit.
 */
static bool
link_node(Vacuum *vac, uint32 nid)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	MemoryContext old = MemoryContextSwitchTo(vac->work);
	Size		item_size = TYPEALIGN(16, hnsw->meta.head.item_size);
	char	   *item = pir_alloc_aligned(vac->work, 2 * item_size, false);
	char	   *other = item + item_size;
	bool		linked = false;
	PirHnswSearch search;
	PirQuantQuery *query;

	(void) pir_hnsw_copy_item(hnsw, &vac->pins, nid, item);
	query = pir_quant_prepare_item(hnsw->quant, item,
								   pir_alloc_aligned(vac->work, pir_quant_query_size(hnsw->quant), false));
	pir_hnsw_search_init(&search, hnsw, query, vac->work, false);
	pir_hnsw_search_run(&search, pir_hnsw_ef_construction(hnsw->rel));
	pir_hnsw_search_sort(&search);
	for (int limit = hnsw->cap / 2; !linked && limit <= (int) hnsw->cap; limit += hnsw->cap - hnsw->cap / 2)
	{
		for (int i = 0; i < search.nbest && !linked; i++)
		{
			uint32		from = search.found[search.best[i]].nid;

			if (from == nid || !set_has(&vac->reached, from) ||
				!pir_hnsw_copy_item(hnsw, &search.pins, from, other))
				continue;
			linked = pir_hnsw_add_edge(hnsw, &search.pins, from, other, nid, item, true, limit);
		}
	}
	pir_hnsw_search_unpin(&search);

	for (uint32 i = 0, from = pir_random_below(vac->reached.size); i < vac->reached.size && !linked; i++)
	{
		from = from + 1 == vac->reached.size ? 0 : from + 1;
		if (from == nid || !set_has(&vac->reached, from))
			continue;
		CHECK_FOR_INTERRUPTS();
		(void) pir_hnsw_copy_item(hnsw, &vac->pins, from, other);
		linked = pir_hnsw_add_edge(hnsw, &vac->pins, from, other, nid, item, true, hnsw->cap);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(vac->work);
	if (linked)
		spread_from(vac, nid);
	return linked;
}

typedef enum Root
{
	ROOT_LIVE,
	ROOT_NONE,					/* there is no live node */
	ROOT_CHANGED				/* an insert was faster */
} Root;

/*
 * Give the index a live root. It holds an anchor to the dead one, so that all
 * nodes stay in reach until pass 4.
 */
static Root
ensure_root(Vacuum *vac)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	char	   *item = pir_alloc_aligned(vac->context, hnsw->meta.head.item_size, false);

	if (set_has(&vac->live, hnsw->meta.root))
		return ROOT_LIVE;
	for (uint32 nid = 0; nid < vac->live.size; nid++)
	{
		Buffer		metabuf;
		bool		changed;

		if (!set_has(&vac->live, nid) || !pir_hnsw_copy_item(hnsw, &vac->pins, nid, item))
			continue;
		if (hnsw->meta.root != PIR_NID_NONE &&
			!pir_hnsw_add_edge(hnsw, &vac->pins, nid, item, hnsw->meta.root, item, true, hnsw->cap))
			continue;
		metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		changed = ((PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf)))->root != hnsw->meta.root;
		if (!changed)
			pir_hnsw_put_entry(hnsw, metabuf, 0, nid, item);
		pir_page_release(metabuf);
		hnsw->meta.root = nid;
		return changed ? ROOT_CHANGED : ROOT_LIVE;
	}
	return ROOT_NONE;
}

static void
ensure_reach(Vacuum *vac)
{
	uint32		nwords;
	Root		root;

	do
	{
		collect_live(vac);
		root = ensure_root(vac);
	} while (root == ROOT_CHANGED);
	if (root == ROOT_NONE)
		return;

	/* what the anchors reach is as it should be; then add as few as possible */
	set_add(&vac->reached, vac->hnsw.meta.root);
	while (sweep(vac, false))
		;
	while (sweep(vac, true))
		;

	nwords = vac->live.size / 64 + 1;
	for (uint32 w = 0; w < nwords; w++)
	{
		uint64		missing;

		while ((missing = vac->live.words[w] & ~vac->reached.words[w]) != 0)
		{
			uint32		nid = w * 64 + pg_rightmost_one_pos64(missing);

			if (!link_node(vac, nid))
				pir_report_corrupted(vac->hnsw.rel, PIR_META_BLKNO, "no node can link to node %u", nid);
			pir_vacuum_delay_point();
		}
	}
	pir_pins_release(&vac->pins);
}

/* --- pass 4: lists --- */

/*
 * The live neighbours of dead nodes, going on through further dead ones:
 * appends to found[], which has 'nfound' nodes to leave out already (the
 * list's own). Returns the new number.
 */
static int
gather_candidates(Vacuum *vac, uint32 self, uint32 *dead, int ndead, uint32 *found, int nfound)
{
	uint32		edges[2 * PIR_HNSW_MAX_M];
	int			wanted = nfound + REPAIR_CANDIDATES;

	for (int d = 0; d < ndead && nfound < wanted; d++)
	{
		int			nedges = pir_hnsw_read_list(&vac->hnsw, &vac->pins, dead[d], edges, NULL);

		for (int i = 0; i < nedges && nfound < wanted; i++)
		{
			uint32		nid = PIR_EDGE_NODE(edges[i]);
			bool		known = nid == self || set_has(&vac->gone, nid);

			if (set_has(&vac->dead, nid))
			{
				for (int j = 0; j < ndead && !known; j++)
					known = dead[j] == nid;
				if (!known && ndead < REPAIR_DEAD_VISITED)
					dead[ndead++] = nid;
				continue;
			}
			for (int j = 0; j < nfound && !known; j++)
				known = found[j] == nid;
			if (!known)
				found[nfound++] = nid;
		}
	}
	return nfound;
}

/*
 * Lists lose edges all the time; repair only what is both thin and much
 * thinner than it was. Keeps all live edges and adds the nearest candidates
 * that no edge makes superfluous. Returns the new length.
 */
static int
repair_list(Vacuum *vac, uint32 nid, uint32 *edges, int nedges, uint32 *dead, int ndead)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	Size		item_size = TYPEALIGN(16, hnsw->meta.head.item_size);
	uint32		found[2 * PIR_HNSW_MAX_M + REPAIR_CANDIDATES];
	int			nfound;
	PirHnswCandidate *cands;
	char	   *self;
	char	   *items;
	int			n = 0;
	int			nnew = 0;

	for (int i = 0; i < nedges; i++)
		found[i] = PIR_EDGE_NODE(edges[i]);
	nfound = gather_candidates(vac, nid, dead, ndead, found, nedges);
	if (nfound == nedges)
		return nedges;

	cands = palloc(nfound * sizeof(PirHnswCandidate));
	items = pir_alloc_aligned(CurrentMemoryContext, pir_size_mul(nfound + 1, item_size), false);
	self = items + nfound * item_size;
	if (!pir_hnsw_copy_item(hnsw, &vac->pins, nid, self))
		return nedges;
	for (int i = 0; i < nfound; i++)
	{
		char	   *item = items + i * item_size;

		if (!pir_hnsw_copy_item(hnsw, &vac->pins, found[i], item))
			continue;
		/* the selection keeps what is marked as anchor: so all that was there */
		cands[n].node = found[i] | (i < nedges ? PIR_EDGE_ANCHOR : 0);
		cands[n].item = item;
		cands[n].dist = pir_quant_code_distance(hnsw->quant, self, item);
		n++;
	}
	n = pir_hnsw_select(hnsw->quant, self, cands, n, hnsw->cap,
						pir_alloc_aligned(CurrentMemoryContext,
										  pir_hnsw_select_scratch_size(hnsw->quant, n), false));
	for (int c = 0; c < n; c++)
	{
		if (!(cands[c].node & PIR_EDGE_ANCHOR) && nedges + nnew < (int) hnsw->cap)
			edges[nedges + nnew++] = cands[c].node;
	}
	return nedges + nnew;
}

/*
 * Is a slot that held no node in pass 1 still without one? If it is used again
 * right after this look, the new node loses a plain edge: never its anchor,
 * because only edges to tombstones are removed regardless.
 */
static bool
still_gone(Vacuum *vac, uint32 nid)
{
	Buffer		buf;
	Page		page = pir_hnsw_lock_node(&vac->hnsw, &vac->pins, nid, PIR_LOCK_SHARE, &buf);
	uint16		state = pir_hnsw_node_at(&vac->hnsw.meta.head, page, nid)->state;

	pir_page_unlock(buf);
	return state != PIR_NODE_LIVE && state != PIR_NODE_DEAD;
}

/* The list of a node as it should be; false if it is so already. */
static bool
new_list(Vacuum *vac, uint32 nid, const PirHnswListOnPage *old, PirHnswListOnPage *new)
{
	uint32		dead[REPAIR_DEAD_VISITED];
	uint32		cap = vac->hnsw.cap;
	int			ndead = 0;
	int			n = 0;

	/* a tombstone keeps its edges: searches walk through it until it is freed */
	if (set_has(&vac->dead, nid) || set_has(&vac->gone, nid))
		return false;

	memset(new, 0, vac->hnsw.meta.head.list_size);
	new->flags = old->flags;
	new->nfull = old->nfull;
	for (int i = 0; i < old->nedges; i++)
	{
		uint32		target = PIR_EDGE_NODE(old->edges[i]);

		if (set_has(&vac->dead, target))
			dead[ndead++] = target;
		else if ((old->edges[i] & PIR_EDGE_ANCHOR) != 0 ||
				 !set_has(&vac->gone, target) || !still_gone(vac, target))
			new->edges[n++] = old->edges[i];
	}
	if (n == old->nedges)
		return false;
	if (n < (int) REPAIR_BELOW(cap) && n < REPAIR_LOST(old->nfull))
	{
		n = repair_list(vac, nid, new->edges, n, dead, ndead);
		new->nfull = n;
	}
	new->nedges = n;
	return true;
}

/*
 * One list page: compute the new lists without a lock, then write those whose
 * old list did not change meanwhile. Returns false if some did.
 */
static bool
repair_page(Vacuum *vac, uint32 logical)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		first = logical * head->lists_per_page;
	Size		list_size = head->list_size;
	Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, logical);
	Page		page = pir_page_lock(hnsw->rel, buf, PIR_PAGE_LIST, PIR_LOCK_SHARE);
	uint32		nslots = Min(pir_page_special(page)->nslots, head->lists_per_page);
	char	   *old = palloc(PIR_PAGE_CAPACITY);
	char	   *new = palloc(PIR_PAGE_CAPACITY);
	bool		changed[PIR_PAGE_CAPACITY / sizeof(uint32)];
	bool		any = false;
	bool		done = true;

	memcpy(old, pir_page_content(page), nslots * list_size);
	pir_page_unlock(buf);

	for (uint32 i = 0; i < nslots; i++)
	{
		MemoryContext context = MemoryContextSwitchTo(vac->work);

		if (((PirHnswListOnPage *) (old + i * list_size))->nedges > hnsw->cap)
			pir_report_corrupted(hnsw->rel, pir_page_blkno(buf), "node %u has no valid neighbour list", first + i);
		changed[i] = new_list(vac, first + i, (PirHnswListOnPage *) (old + i * list_size),
							  (PirHnswListOnPage *) (new + i * list_size));
		any |= changed[i];
		MemoryContextSwitchTo(context);
		MemoryContextReset(vac->work);
		CHECK_FOR_INTERRUPTS();
	}

	if (any)
	{
		PirWal		wal;

		pir_page_lock(hnsw->rel, buf, PIR_PAGE_LIST, PIR_LOCK_EXCLUSIVE);
		pir_wal_begin(&wal, hnsw->rel);
		page = pir_wal_page(&wal, buf);
		for (uint32 i = 0; i < nslots; i++)
		{
			char	   *list = pir_page_content(page) + i * list_size;

			if (!changed[i])
				continue;
			if (memcmp(list, old + i * list_size, list_size) == 0)
				memcpy(list, new + i * list_size, list_size);
			else
				done = false;
		}
		pir_wal_finish(&wal);
		pir_page_unlock(buf);
	}
	pir_page_unpin(buf);
	pfree(old);
	pfree(new);
	return done;
}

static void
repair_lists(Vacuum *vac)
{
	uint32		npages;

	pir_hnsw_refresh(&vac->hnsw);
	npages = vac->hnsw.meta.head.tables[PIR_TABLE_LIST].npages;
	for (uint32 logical = 0; logical < npages; logical++)
	{
		do
		{
			pir_vacuum_delay_point();
		} while (!repair_page(vac, logical));
	}
	pir_pins_release(&vac->pins);
}

/* --- pass 5: entries --- */

/* A random live node. */
static uint32
random_live(Vacuum *vac)
{
	uint32		nid = pir_random_below(vac->live.size);

	while (!set_has(&vac->live, nid))
		nid = nid + 1 == vac->live.size ? 0 : nid + 1;
	return nid;
}

/*
 * Replace entries that are tombstones; shorten the layer if fewer nodes
 * remain than it has entries. The root keeps slot 0: pass 3 saw to it.
 */
static void
replace_entries(Vacuum *vac)
{
	PirHnswIndex *hnsw = &vac->hnsw;
	uint32		keep = Min(pir_hnsw_entry_target(vac->nlive, hnsw->meta.head.item_size), vac->nlive);
	char	   *item = pir_alloc_aligned(vac->context, hnsw->meta.head.item_size, false);
	PirHnswEntryScan entries;
	uint32	   *stale = NULL;
	uint32		nstale = 0;
	uint32		slot = 0;
	int			nslots;

	pir_hnsw_refresh(&vac->hnsw);
	if (hnsw->meta.nentries > 0)
		stale = MemoryContextAllocHuge(vac->context, pir_size_mul(hnsw->meta.nentries, sizeof(uint32)));
	pir_hnsw_entry_begin(&entries, hnsw);
	while (pir_hnsw_entry_page(&entries, &nslots))
	{
		for (int i = 0; i < nslots; i++, slot++)
		{
			PirHnswEntryOnPage *entry = (PirHnswEntryOnPage *)
				(pir_page_content(entries.page) + i * entries.stride);

			/* inserts may have used slots again since 'live' was collected: no harm */
			if (slot > 0 && slot < keep && slot < hnsw->meta.nentries &&
				!set_has(&vac->live, entry->nid) && entry->nid < vac->live.size)
				stale[nstale++] = slot;
		}
	}

	for (uint32 i = 0; i < nstale; i++)
	{
		uint32		nid = random_live(vac);

		pir_vacuum_delay_point();
		if (pir_hnsw_copy_item(hnsw, &vac->pins, nid, item))
		{
			Buffer		metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);

			pir_hnsw_put_entry(hnsw, metabuf, stale[i], nid, item);
			pir_page_release(metabuf);
		}
	}
	pir_hnsw_truncate_entries(hnsw, keep);
	pir_pins_release(&vac->pins);
}

/* --- pass 6: free --- */

static void
free_dead(Vacuum *vac)
{
	const PirMetaHeadOnPage *head = &vac->hnsw.meta.head;
	Relation	index = vac->hnsw.rel;

	for (uint32 nid = 0; nid < vac->dead.size && vac->ndead > 0;)
	{
		uint32		first = nid - nid % head->nodes_per_page;
		uint32		end = Min(first + head->nodes_per_page, vac->dead.size);
		Buffer		metabuf;
		Buffer		buf;
		PirHnswMetaOnPage *meta;
		PirWal		wal;
		Page		page;

		if (!set_has(&vac->dead, nid))
		{
			nid++;
			continue;
		}
		pir_vacuum_delay_point();

		/* one atomic change for all dead nodes of the page */
		metabuf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		buf = pir_table_pin(vac->hnsw.store, PIR_TABLE_CODE, pir_hnsw_code_page(head, nid));
		pir_page_lock(index, buf, PIR_PAGE_CODE, PIR_LOCK_EXCLUSIVE);
		pir_wal_begin(&wal, index);
		meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
		page = pir_wal_page(&wal, buf);
		for (; nid < end; nid++)
		{
			PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);

			if (!set_has(&vac->dead, nid) || node->state != PIR_NODE_DEAD)
				continue;
			node->state = PIR_NODE_FREE;
			ItemPointerSetInvalid(&node->tid);
			node->link = meta->free_node;
			meta->free_node = nid;
			meta->nfree_nodes++;
			meta->ndead--;
		}
		pir_wal_finish(&wal);
		pir_page_release(buf);
		pir_page_release(metabuf);
	}
}

/* --- entry points --- */

static void
vacuum_index(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			 IndexBulkDeleteCallback callback, void *state)
{
	Vacuum	   *vac;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw vacuum",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		training_lock = false;

	vac = palloc0(sizeof(Vacuum));
	vac->info = info;
	vac->stats = stats;
	vac->callback = callback;
	vac->callback_state = state;
	vac->context = context;
	vac->work = AllocSetContextCreate(context, "piramid hnsw vacuum work", ALLOCSET_DEFAULT_SIZES);

	pir_hnsw_open(&vac->hnsw, info->index);
	if (vac->hnsw.meta.state == PIR_HNSW_FLAT)
	{
		/* training must not copy rows that we are removing */
		pir_hnsw_close(&vac->hnsw);
		pir_index_lock_training(info->index);
		training_lock = true;
		pir_hnsw_open(&vac->hnsw, info->index);
	}
	pir_pins_init(&vac->pins, vac->hnsw.store);

	remove_rows(vac);
	if (vac->hnsw.meta.state == PIR_HNSW_GRAPH)
	{
		flag_lists(vac);
		ensure_reach(vac);
		repair_lists(vac);
		replace_entries(vac);
	}
	free_dead(vac);
	pir_hnsw_free_retired(info->index);

	pir_pins_release(&vac->pins);
	pir_hnsw_close(&vac->hnsw);
	if (training_lock)
		pir_index_unlock_training(info->index);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

IndexBulkDeleteResult *
pir_hnsw_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
					IndexBulkDeleteCallback callback, void *state)
{
	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	vacuum_index(info, stats, callback, state);
	return stats;
}

IndexBulkDeleteResult *
pir_hnsw_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;

	if (stats == NULL)
	{
		PirHnswIndex hnsw;
		uint32		ndead;

		/* did an earlier VACUUM or training stop halfway? */
		pir_hnsw_open(&hnsw, info->index);
		ndead = hnsw.meta.ndead;
		pir_hnsw_close(&hnsw);
		if (ndead == 0)
		{
			pir_hnsw_free_retired(info->index);
			return NULL;
		}
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		vacuum_index(info, stats, NULL, NULL);
	}
	stats->num_pages = pir_page_count(info->index);
	return stats;
}
