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
#include "commands/vacuum.h"
#include "hnsw/hnsw_vacuum.h"
#include "miscadmin.h"

static void
add_pending(PirHnswVacuum *vac, uint32 owner)
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
is_dead(PirHnswVacuum *vac, ItemPointer tid)
{
	return vac->callback != NULL && vac->callback(tid, vac->callback_state);
}

/* Has a page anything to remove? Counts what stays if not. */
static bool
page_has_dead(PirHnswVacuum *vac, Page page, uint32 first, uint32 nslots)
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
clean_page(PirHnswVacuum *vac, Buffer buf, uint32 first)
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
settle_owner(PirHnswVacuum *vac, uint32 owner)
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
remove_rows(PirHnswVacuum *vac)
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

/* --- pass 6: free --- */

static void
free_dead(PirHnswVacuum *vac)
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
	PirHnswVacuum *vac;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw vacuum",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		training_lock = false;

	vac = palloc0(sizeof(PirHnswVacuum));
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
		pir_hnsw_vacuum_flag_lists(vac);
		pir_hnsw_vacuum_reach(vac);
		pir_hnsw_vacuum_lists(vac);
		pir_hnsw_vacuum_entries(vac);
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
