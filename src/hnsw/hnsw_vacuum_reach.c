/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum_reach.c
 *	  VACUUM, passes 2 and 3: every live node is reachable from the root along
 *	  anchors that live nodes hold, whatever becomes of the tombstones.
 *
 * See README.md section 5 for why that lasts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "commands/vacuum.h"
#include "hnsw/hnsw_vacuum.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

/* --- pass 2: flags --- */

/*
 * From here on nobody adds an edge to a tombstone's list, so nobody relies on
 * it for an anchor. One atomic change per list page.
 */
void
pir_hnsw_vacuum_flag_lists(PirHnswVacuum *vac)
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
collect_live(PirHnswVacuum *vac)
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
sweep(PirHnswVacuum *vac, bool grow)
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
spread_from(PirHnswVacuum *vac, uint32 nid)
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
link_node(PirHnswVacuum *vac, uint32 nid)
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
ensure_root(PirHnswVacuum *vac)
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

void
pir_hnsw_vacuum_reach(PirHnswVacuum *vac)
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
