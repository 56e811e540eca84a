/*-------------------------------------------------------------------------
 *
 * hnsw_node.c
 *	  Nodes and lists <-> pages.
 *
 * Everything here reads; see hnsw_insert.c and hnsw_vacuum.c for who writes.
 * Locks are taken on one page at a time.
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

/* Read the centre: dim floats in 'context', or NULL if there is none. */
static float *
read_centre(Relation index, const PirHnswMetaOnPage *meta, MemoryContext context)
{
	uint32		dim = meta->head.code_dim;
	BlockNumber blkno = meta->centre;
	float	   *centre;
	uint32		done = 0;

	if (blkno == InvalidBlockNumber)
		return NULL;

	centre = MemoryContextAlloc(context, pir_size_mul(dim, sizeof(float)));
	while (done < dim)
	{
		Buffer		buf = pir_page_read(index, blkno, PIR_PAGE_CENTRE, PIR_LOCK_SHARE);
		Page		page = pir_page_of(buf);
		uint32		count = pir_page_special(page)->nslots;

		if (count == 0 || count > PIR_HNSW_CENTRE_FANOUT || count > dim - done)
			pir_report_corrupted(index, blkno, "centre page has %u values where at most %u are missing",
								 count, dim - done);
		memcpy(centre + done, pir_page_content(page), count * sizeof(float));
		done += count;
		blkno = pir_page_special(page)->next;
		pir_page_release(buf);
	}
	return centre;
}

void
pir_hnsw_quant_spec(const PirHnswMetaOnPage *meta, const float *centre, PirQuantSpec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->quantizer = meta->head.quantizer;
	spec->metric = meta->head.metric;
	spec->bits = meta->head.bits;
	spec->dim = meta->head.code_dim;
	spec->seed = meta->head.seed;
	spec->scale = meta->scale;
	spec->offset = meta->offset;
	spec->centre = centre;
}

void
pir_hnsw_value_info(const PirHnswMetaOnPage *meta, PirValueInfo *info)
{
	info->type = (PirValueType) meta->head.value_type;
	info->metric = (PirMetric) meta->head.metric;
	info->dim = meta->head.dim;
	info->code_dim = meta->head.code_dim;
	info->sketch = (meta->head.flags & PIR_META_SKETCH) != 0;
	info->seed = meta->head.seed;
}

/*
 * Copy the meta page. What loops and allocations depend on is checked: the
 * state, and that there are pages for all nodes.
 */
static void
read_meta(Relation index, PirHnswMetaOnPage *meta)
{
	Buffer		buf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_SHARE);

	memcpy(meta, pir_page_content(pir_page_of(buf)), sizeof(PirHnswMetaOnPage));
	pir_page_release(buf);
	if (meta->state != PIR_HNSW_FLAT && meta->state != PIR_HNSW_GRAPH)
		pir_report_corrupted(index, PIR_META_BLKNO, "state is %u", meta->state);
	if (meta->nnodes > (uint64) (meta->head.tables[PIR_TABLE_CODE].npages / meta->head.pages_per_node) *
		meta->head.nodes_per_page)
		pir_report_corrupted(index, PIR_META_BLKNO, "there are no pages for %u nodes", meta->nnodes);
}

void
pir_hnsw_open(PirHnswIndex *hnsw, Relation index)
{
	hnsw->rel = index;
	hnsw->mirror = NULL;
	do
	{
		read_meta(index, &hnsw->meta);
		hnsw->store = pir_store_open(index, &hnsw->meta.head);
	} while (hnsw->store == NULL);

	if (hnsw->store->kind_data == NULL)
	{
		MemoryContext context = hnsw->store->context;
		PirQuantSpec spec;

		pir_hnsw_quant_spec(&hnsw->meta, read_centre(index, &hnsw->meta, context), &spec);
		if (pir_quant_check_spec(&spec) != NULL ||
			pir_quant_item_size(&spec) != hnsw->meta.head.item_size)
			pir_report_corrupted(index, PIR_META_BLKNO, "quantizer %u does not fit the index",
								 spec.quantizer);
		hnsw->store->kind_data =
			pir_quant_init(pir_alloc_aligned(context, pir_quant_size(&spec), false), &spec);
	}
	hnsw->quant = hnsw->store->kind_data;
	hnsw->cap = 2 * hnsw->meta.head.m;
	pir_hnsw_value_info(&hnsw->meta, &hnsw->value);
}

void
pir_hnsw_close(PirHnswIndex *hnsw)
{
	pir_store_close(hnsw->store);
}

void
pir_hnsw_refresh(PirHnswIndex *hnsw)
{
	read_meta(hnsw->rel, &hnsw->meta);
	(void) pir_store_sync(hnsw->store, &hnsw->meta.head);
}

Page
pir_hnsw_lock_node(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, PirLock lock, Buffer *buf)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	Page		page;

	*buf = pir_pins_get(pins, PIR_TABLE_CODE, pir_hnsw_code_page(head, nid));
	page = pir_page_lock_pinned(*buf, lock);
	if (unlikely(nid % head->nodes_per_page >= pir_page_special(page)->nslots))
		pir_report_corrupted(hnsw->rel, pir_page_blkno(*buf), "node %u does not exist", nid);
	return page;
}

Page
pir_hnsw_lock_list(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, PirLock lock, Buffer *buf)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	Page		page;

	*buf = pir_pins_get(pins, PIR_TABLE_LIST, pir_hnsw_list_page(head, nid));
	page = pir_page_lock_pinned(*buf, lock);
	/* a slot that was never used is all zero: an empty list */
	if (unlikely(pir_hnsw_list_at(head, page, nid)->nedges > hnsw->cap))
		pir_report_corrupted(hnsw->rel, pir_page_blkno(*buf), "node %u has no valid neighbour list", nid);
	return page;
}

const void *
pir_hnsw_item(PirHnswIndex *hnsw, Page page, uint32 nid, void *scratch)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);
	Size		done = PIR_HNSW_CHUNK;
	uint32		logical = pir_hnsw_code_page(head, nid);

	if (likely(head->pages_per_node == 1))
		return node->item;

	/*
	 * The chunks behind the first are read while the first page stays
	 * locked, which also keeps the slot from being freed and used again.
	 * Their pins are not taken from 'pins': that might evict the first page,
	 * which is locked.
	 */
	memcpy(scratch, node->item, PIR_HNSW_CHUNK);
	while (done < head->item_size)
	{
		Size		count = Min(PIR_HNSW_CHUNK, head->item_size - done);
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, ++logical);
		Page		chunk = pir_page_lock(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_SHARE);

		memcpy((char *) scratch + done, pir_page_content(chunk), count);
		pir_page_release(buf);
		done += count;
	}
	return scratch;
}

int
pir_hnsw_read_list(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, uint32 *edges, uint8 *flags)
{
	Buffer		buf;
	Page		page = pir_hnsw_lock_list(hnsw, pins, nid, PIR_LOCK_SHARE, &buf);
	PirHnswListOnPage *list = pir_hnsw_list_at(&hnsw->meta.head, page, nid);
	int			n = list->nedges;

	memcpy(edges, list->edges, n * sizeof(uint32));
	if (flags != NULL)
		*flags = list->flags;
	pir_page_unlock(buf);
	return n;
}

/* One attempt of pir_hnsw_read_tids(): false if the chain changed under us. */
static bool
read_tids_once(PirHnswIndex *hnsw, PirPins *pins, uint32 owner, uint32 nid,
			   ItemPointerData **tids, int *ntids, int *capacity)
{
	uint32		steps = 0;

	while (nid != PIR_NID_NONE)
	{
		Buffer		buf;
		Page		page = pir_hnsw_lock_node(hnsw, pins, nid, PIR_LOCK_SHARE, &buf);
		PirHnswTidsOnPage *node = (PirHnswTidsOnPage *) pir_hnsw_node_at(&hnsw->meta.head, page, nid);
		int			n;

		if (node->state != PIR_NODE_TIDS || node->owner != owner)
		{
			pir_page_unlock(buf);
			return false;
		}
		n = node->ntids;
		if (n > PIR_HNSW_TIDS_CAPACITY(hnsw->meta.head.node_size) ||
			steps++ > hnsw->meta.head.tables[PIR_TABLE_CODE].npages * (uint64) hnsw->meta.head.nodes_per_page + 1000000)
			pir_report_corrupted(hnsw->rel, pir_page_blkno(buf), "duplicate chain of node %u is broken", owner);
		if (*ntids + n > *capacity)
		{
			*capacity = Max(*ntids + n, Max(64, *capacity * 2));
			*tids = *tids == NULL ? palloc(*capacity * sizeof(ItemPointerData))
				: repalloc_huge(*tids, *capacity * sizeof(ItemPointerData));
		}
		memcpy(*tids + *ntids, node->tids, n * sizeof(ItemPointerData));
		*ntids += n;
		nid = node->next;
		pir_page_unlock(buf);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

void
pir_hnsw_read_tids(PirHnswIndex *hnsw, PirPins *pins, uint32 owner, uint32 first,
				   ItemPointerData **tids, int *ntids, int *capacity)
{
	int			start = *ntids;
	int			attempts = 0;

	/*
	 * VACUUM unlinks and frees empty TIDS nodes from the head of the chain,
	 * and the slot may be used again before we get there: it then is no TIDS
	 * node of this owner any more. Begin again from the owner.
	 */
	while (!read_tids_once(hnsw, pins, owner, first, tids, ntids, capacity))
	{
		Buffer		buf;
		Page		page;
		PirHnswNodeOnPage *node;

		CHECK_FOR_INTERRUPTS();
		if (++attempts > PIR_HNSW_CHAIN_ATTEMPTS)
			pir_report_corrupted(hnsw->rel, PIR_META_BLKNO, "node %u leads to no duplicates of its own", owner);
		*ntids = start;
		page = pir_hnsw_lock_node(hnsw, pins, owner, PIR_LOCK_SHARE, &buf);
		node = pir_hnsw_node_at(&hnsw->meta.head, page, owner);
		first = node->state == PIR_NODE_LIVE ? node->link : PIR_NID_NONE;
		pir_page_unlock(buf);
	}
}
