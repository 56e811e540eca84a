/*-------------------------------------------------------------------------
 *
 * hnsw_entry.c
 *	  The entry layer: a uniform sample of nodes where searches begin.
 *
 * Slot 0 is the root of the anchor tree, from which every node can be
 * reached. The rest is kept uniform by reservoir sampling. Writers hold the
 * meta page, so there is one at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"

Size
pir_hnsw_entry_stride(const PirMetaHeadOnPage *head, bool *has_items)
{
	*has_items = head->item_size <= PIR_HNSW_ENTRY_MAX_ITEM;
	return *has_items ? TYPEALIGN(4, sizeof(uint32) + head->item_size) : sizeof(uint32);
}

/* Pages of the chain are numbered, so that a chain cannot lead back into itself. */
static inline void
check_number(PirHnswIndex *hnsw, Buffer buf, uint32 number)
{
	uint32		found = pir_page_special(pir_page_of(buf))->logical;

	if (unlikely(found != number))
		pir_report_corrupted(hnsw->rel, pir_page_blkno(buf), "entry page has number %u instead of %u",
							 found, number);
}

void
pir_hnsw_entry_begin(PirHnswEntryScan *scan, PirHnswIndex *hnsw)
{
	scan->hnsw = hnsw;
	scan->next = hnsw->meta.entry;
	scan->buf = InvalidBuffer;
	scan->page = NULL;
	scan->npages = 0;
	scan->stride = pir_hnsw_entry_stride(&hnsw->meta.head, &scan->has_items);
}

bool
pir_hnsw_entry_page(PirHnswEntryScan *scan, int *nslots)
{
	if (scan->buf != InvalidBuffer)
	{
		pir_page_release(scan->buf);
		scan->buf = InvalidBuffer;
	}
	if (scan->next == InvalidBlockNumber)
		return false;

	scan->buf = pir_page_read(scan->hnsw->rel, scan->next, PIR_PAGE_ENTRY, PIR_LOCK_SHARE);
	scan->page = pir_page_of(scan->buf);
	check_number(scan->hnsw, scan->buf, scan->npages++);
	*nslots = pir_page_special(scan->page)->nslots;
	if (*nslots * scan->stride > PIR_PAGE_CAPACITY)
		pir_report_corrupted(scan->hnsw->rel, scan->next, "entry page has %d entries of %zu bytes",
							 *nslots, scan->stride);
	scan->next = pir_page_special(scan->page)->next;
	return true;
}

void
pir_hnsw_put_entry(PirHnswIndex *hnsw, Buffer metabuf, uint32 slot, uint32 nid, const void *item)
{
	PirHnswMetaOnPage *meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	bool		has_items;
	Size		stride = pir_hnsw_entry_stride(&hnsw->meta.head, &has_items);
	uint32		per_page = PIR_PAGE_CAPACITY / stride;
	BlockNumber blkno = meta->entry;
	Buffer		prev = InvalidBuffer;
	Buffer		buf;
	PirHnswEntryOnPage *entry;
	PirWal		wal;
	Page		page;

	slot = Min(slot, meta->nentries);

	/* walk to the page of the slot, which may have to be added */
	for (uint32 i = 0; i < slot / per_page; i++)
	{
		if (prev != InvalidBuffer)
			pir_page_release(prev);
		prev = pir_page_read(hnsw->rel, blkno, PIR_PAGE_ENTRY, PIR_LOCK_EXCLUSIVE);
		check_number(hnsw, prev, i);
		blkno = pir_page_special(pir_page_of(prev))->next;
	}

	pir_wal_begin(&wal, hnsw->rel);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
	if (blkno == InvalidBlockNumber)
	{
		buf = pir_page_alloc(hnsw->rel, &meta->head);
		page = pir_wal_new_page(&wal, buf, PIR_PAGE_ENTRY, slot / per_page);
		if (prev != InvalidBuffer)
			pir_page_special(pir_wal_page(&wal, prev))->next = pir_page_blkno(buf);
		else
			meta->entry = pir_page_blkno(buf);
	}
	else
	{
		buf = pir_page_read(hnsw->rel, blkno, PIR_PAGE_ENTRY, PIR_LOCK_EXCLUSIVE);
		check_number(hnsw, buf, slot / per_page);
		page = pir_wal_page(&wal, buf);
	}

	entry = (PirHnswEntryOnPage *) (pir_page_content(page) + (slot % per_page) * stride);
	entry->nid = nid;
	if (has_items)
		memcpy(entry->item, item, hnsw->meta.head.item_size);
	if (slot == meta->nentries)
	{
		meta->nentries++;
		pir_page_special(page)->nslots = slot % per_page + 1;
		pir_page_set_used(page, pir_page_special(page)->nslots * stride);
	}
	if (slot == 0)
		meta->root = nid;
	pir_wal_finish(&wal);

	pir_page_release(buf);
	if (prev != InvalidBuffer)
		pir_page_release(prev);
}

void
pir_hnsw_sample_entry(PirHnswIndex *hnsw, uint32 nid, const void *item, uint32 nlive)
{
	uint32		target = pir_hnsw_entry_target(nlive, hnsw->meta.head.item_size);
	uint32		slot = pir_random_below(Max(nlive, 2));
	Buffer		metabuf;
	PirHnswMetaOnPage *meta;

	if (hnsw->meta.nentries >= target && slot >= hnsw->meta.nentries)
		return;

	metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
	meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	if (meta->nentries < target)
		pir_hnsw_put_entry(hnsw, metabuf, meta->nentries, nid, item);
	else if (slot > 0 && slot < meta->nentries)
		pir_hnsw_put_entry(hnsw, metabuf, slot, nid, item);
	pir_page_release(metabuf);
}

static bool
is_live(PirHnswIndex *hnsw, uint32 nid)
{
	PirPins		pins;
	Buffer		buf;
	Page		page;
	bool		live;

	pir_pins_init(&pins, hnsw->store);
	page = pir_hnsw_lock_node(hnsw, &pins, nid, PIR_LOCK_SHARE, &buf);
	live = pir_hnsw_node_at(&hnsw->meta.head, page, nid)->state == PIR_NODE_LIVE;
	pir_page_unlock(buf);
	pir_pins_release(&pins);
	return live;
}

/*
 * One atomic change {meta, entry page} per page that is shortened; the pages
 * stay in the chain for later entries. From the last to the first, so that
 * the slots in use are always the first ones. A live root stays, if an insert
 * put it there after the caller found nothing alive.
 */
void
pir_hnsw_truncate_entries(PirHnswIndex *hnsw, uint32 keep)
{
	bool		has_items;
	Size		stride = pir_hnsw_entry_stride(&hnsw->meta.head, &has_items);
	uint32		per_page = PIR_PAGE_CAPACITY / stride;

	for (;;)
	{
		Buffer		metabuf = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_EXCLUSIVE);
		PirHnswMetaOnPage *meta = (PirHnswMetaOnPage *) pir_page_content(pir_page_of(metabuf));
		BlockNumber blkno = meta->entry;
		uint32		last;
		Buffer		buf;
		PirWal		wal;
		Page		page;

		(void) pir_store_sync(hnsw->store, &meta->head);
		if (keep == 0 && meta->root != PIR_NID_NONE && is_live(hnsw, meta->root))
			keep = 1;
		if (meta->nentries <= keep)
		{
			pir_page_release(metabuf);
			return;
		}
		last = (meta->nentries - 1) / per_page;
		for (uint32 i = 0; i < last; i++)
		{
			buf = pir_page_read(hnsw->rel, blkno, PIR_PAGE_ENTRY, PIR_LOCK_SHARE);
			check_number(hnsw, buf, i);
			blkno = pir_page_special(pir_page_of(buf))->next;
			pir_page_release(buf);
		}
		buf = pir_page_read(hnsw->rel, blkno, PIR_PAGE_ENTRY, PIR_LOCK_EXCLUSIVE);
		check_number(hnsw, buf, last);
		pir_wal_begin(&wal, hnsw->rel);
		meta = (PirHnswMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf));
		page = pir_wal_page(&wal, buf);
		meta->nentries = Max(keep, last * per_page);
		pir_page_special(page)->nslots = meta->nentries - last * per_page;
		pir_page_set_used(page, pir_page_special(page)->nslots * stride);
		if (meta->nentries == 0)
			meta->root = PIR_NID_NONE;
		pir_wal_finish(&wal);
		pir_page_release(buf);
		pir_page_release(metabuf);
		CHECK_FOR_INTERRUPTS();
	}
}
