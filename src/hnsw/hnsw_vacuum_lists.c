/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum_lists.c
 *	  VACUUM, passes 4 and 5: no edge and no entry leads to a tombstone.
 *
 * Lists are repaired from what the tombstones' lists know, without a search;
 * see README.md section 7.
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

/* Repair a list that has fewer than this share of its capacity ... */
#define REPAIR_BELOW(cap)		((cap) * 3 / 4)
/* ... and less than this share of what it had when last chosen. */
#define REPAIR_LOST(nfull)		((nfull) * 4 / 5)
/* Stop looking for candidates at so many, or after so many dead nodes. */
#define REPAIR_CANDIDATES		32
#define REPAIR_DEAD_VISITED		600

/* --- pass 4: lists --- */

/*
 * The live neighbours of dead nodes, going on through further dead ones:
 * appends to found[], which has 'nfound' nodes to leave out already (the
 * list's own). Returns the new number.
 */
static int
gather_candidates(PirHnswVacuum *vac, uint32 self, uint32 *dead, int ndead, uint32 *found, int nfound)
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
repair_list(PirHnswVacuum *vac, uint32 nid, uint32 *edges, int nedges, uint32 *dead, int ndead)
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
still_gone(PirHnswVacuum *vac, uint32 nid)
{
	Buffer		buf;
	Page		page = pir_hnsw_lock_node(&vac->hnsw, &vac->pins, nid, PIR_LOCK_SHARE, &buf);
	uint16		state = pir_hnsw_node_at(&vac->hnsw.meta.head, page, nid)->state;

	pir_page_unlock(buf);
	return state != PIR_NODE_LIVE && state != PIR_NODE_DEAD;
}

/* The list of a node as it should be; false if it is so already. */
static bool
new_list(PirHnswVacuum *vac, uint32 nid, const PirHnswListOnPage *old, PirHnswListOnPage *new)
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
	new->nfull = Max(old->nfull, old->nedges);
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
	if (n < (int) REPAIR_BELOW(cap) && n < REPAIR_LOST(new->nfull))
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
repair_page(PirHnswVacuum *vac, uint32 logical)
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

void
pir_hnsw_vacuum_lists(PirHnswVacuum *vac)
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
random_live(PirHnswVacuum *vac)
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
void
pir_hnsw_vacuum_entries(PirHnswVacuum *vac)
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
