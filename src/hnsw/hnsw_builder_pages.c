/*-------------------------------------------------------------------------
 *
 * hnsw_builder_pages.c
 *	  Writing the pages of a new graph: nodes, lists, entries, centre.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hnsw/hnsw_builder.h"

/* --- code and list pages --- */

void
pir_hnsw_pages_begin(PirHnswPages *pages, PirPageSink *sink, const PirMetaHeadOnPage *head, uint8 kind)
{
	pages->sink = sink;
	pages->head = head;
	pages->kind = kind;
	pages->per_page = kind == PIR_PAGE_CODE ? head->nodes_per_page : head->lists_per_page;
	pages->slot_size = kind == PIR_PAGE_CODE ? head->node_size : head->list_size;
	pages->first = sink->next;
	pages->npages = 0;
	pages->nslots = 0;
	memset(pages->image, 0, PIR_PAGE_CAPACITY);
}

void
pir_hnsw_pages_flush(PirHnswPages *pages)
{
	Size		used = Min(pages->nslots * pages->slot_size, PIR_PAGE_CAPACITY);
	Page		page;

	if (pages->nslots == 0)
		return;
	page = pir_sink_page(pages->sink, pages->kind, pages->npages++);
	memcpy(pir_page_content(page), pages->image, used);
	pir_page_special(page)->nslots = pages->nslots;
	pir_page_set_used(page, used);
	pir_sink_done(pages->sink);
	pages->nslots = 0;
	memset(pages->image, 0, PIR_PAGE_CAPACITY);
}

void
pir_hnsw_pages_end(PirHnswPages *pages, PirTableOnPage *table)
{
	pir_hnsw_pages_flush(pages);
	pir_sink_table(pages->sink, table, pages->first, pages->npages);
}

static void *
next_slot(PirHnswPages *pages)
{
	if (pages->nslots == pages->per_page)
		pir_hnsw_pages_flush(pages);
	return pages->image + pages->nslots++ * pages->slot_size;
}

/* The further pages of a node that is larger than one; 'item' NULL: of a TIDS node. */
static void
put_further_pages(PirHnswPages *pages, const uint8 *item)
{
	const PirMetaHeadOnPage *head = pages->head;

	if (head->pages_per_node > 1)
		pir_hnsw_pages_flush(pages);
	for (uint32 chunk = 1; chunk < head->pages_per_node; chunk++)
	{
		Size		done = chunk * PIR_HNSW_CHUNK;
		Size		bytes = item == NULL ? 0 : Min(PIR_HNSW_CHUNK, head->item_size - done);
		Page		page = pir_sink_page(pages->sink, pages->kind, pages->npages++);

		if (item != NULL)
			memcpy(pir_page_content(page), item + done, bytes);
		pir_page_set_used(page, bytes);
		pir_sink_done(pages->sink);
	}
}

void
pir_hnsw_put_node(PirHnswPages *pages, const ItemPointerData *tid, uint32 link, const uint8 *item)
{
	const PirMetaHeadOnPage *head = pages->head;
	PirHnswNodeOnPage *node = next_slot(pages);

	node->state = PIR_NODE_LIVE;
	node->tid = *tid;
	node->link = link;
	memcpy(node->item, item, head->pages_per_node > 1 ? PIR_HNSW_CHUNK : head->item_size);
	put_further_pages(pages, item);
}

void
pir_hnsw_put_tids(PirHnswPages *pages, uint32 owner, uint32 next, const ItemPointerData *tids, uint32 ntids)
{
	PirHnswTidsOnPage *node = next_slot(pages);

	node->state = PIR_NODE_TIDS;
	node->ntids = ntids;
	node->owner = owner;
	node->next = next;
	memcpy(node->tids, tids, ntids * sizeof(ItemPointerData));
	put_further_pages(pages, NULL);
}

void
pir_hnsw_put_list(PirHnswPages *pages, const uint32 *edges, uint32 nedges)
{
	PirHnswListOnPage *list = next_slot(pages);

	list->nedges = list->nfull = nedges;
	if (nedges > 0)
		memcpy(list->edges, edges, nedges * sizeof(uint32));
}

bool
pir_hnsw_get_item(Relation index, const PirMetaHeadOnPage *head, BlockNumber first, uint32 nid, uint8 *item)
{
	BlockNumber blkno = first + pir_hnsw_code_page(head, nid);
	Buffer		buf = pir_page_read(index, blkno, PIR_PAGE_CODE, PIR_LOCK_SHARE);
	const PirHnswNodeOnPage *node = pir_hnsw_node_at(head, pir_page_of(buf), nid);
	bool		live = node->state == PIR_NODE_LIVE;

	if (live)
		memcpy(item, node->item, head->pages_per_node > 1 ? PIR_HNSW_CHUNK : head->item_size);
	pir_page_release(buf);
	for (uint32 chunk = 1; live && chunk < head->pages_per_node; chunk++)
	{
		Size		done = chunk * PIR_HNSW_CHUNK;

		buf = pir_page_read(index, blkno + chunk, PIR_PAGE_CODE, PIR_LOCK_SHARE);
		memcpy(item + done, pir_page_content(pir_page_of(buf)), Min(PIR_HNSW_CHUNK, head->item_size - done));
		pir_page_release(buf);
	}
	return live;
}

/* --- entry layer and centre --- */

/* First live node but the root among nids lo .. hi-1, or PIR_NID_NONE. */
static uint32
pick_entry(Relation index, const PirMetaHeadOnPage *head, BlockNumber first,
		   uint32 root, uint32 lo, uint32 hi, uint8 *item)
{
	for (uint32 nid = lo; nid < hi; nid++)
	{
		if (nid != root && pir_hnsw_get_item(index, head, first, nid, item))
			return nid;
	}
	return PIR_NID_NONE;
}

void
pir_hnsw_put_entries(PirPageSink *sink, PirHnswMetaOnPage *meta, BlockNumber first,
					 uint32 nnodes, uint32 root)
{
	const PirMetaHeadOnPage *head = &meta->head;
	uint32		target = pir_hnsw_entry_target(nnodes, head->item_size);
	bool		has_items;
	Size		stride = pir_hnsw_entry_stride(head, &has_items);
	uint32		per_page = PIR_PAGE_CAPACITY / stride;
	uint32	   *nids = palloc(Max(target, 1) * sizeof(uint32));
	uint8	   *item = palloc(head->item_size);
	uint32		count = 0;

	/* slot 0 is the root's; the root's own stratum goes to the first */
	for (uint32 k = 0; k < target; k++)
	{
		uint32		lo = (uint32) ((uint64) k * nnodes / target);
		uint32		hi = (uint32) ((uint64) (k + 1) * nnodes / target);
		uint32		nid = root;

		if (k > 0)
		{
			nid = pick_entry(sink->index, head, first, root, lo, hi, item);
			if (nid == PIR_NID_NONE && root >= lo && root < hi)
				nid = pick_entry(sink->index, head, first, root, 0, nnodes / target, item);
		}
		if (nid != PIR_NID_NONE)
			nids[count++] = nid;
	}

	meta->root = root;
	meta->entry = InvalidBlockNumber;
	meta->nentries = count;
	for (uint32 done = 0, logical = 0; done < count; logical++)
	{
		uint32		nslots = Min(per_page, count - done);
		char	   *image = palloc0(nslots * stride);
		BlockNumber blkno;
		Page		page;

		for (uint32 i = 0; i < nslots; i++)
		{
			PirHnswEntryOnPage *entry = (PirHnswEntryOnPage *) (image + i * stride);

			entry->nid = nids[done + i];
			if (has_items && pir_hnsw_get_item(sink->index, head, first, entry->nid, item))
				memcpy(entry->item, item, head->item_size);
		}
		done += nslots;
		page = pir_sink_page(sink, PIR_PAGE_ENTRY, logical);
		memcpy(pir_page_content(page), image, nslots * stride);
		pir_page_special(page)->nslots = nslots;
		pir_page_set_used(page, nslots * stride);
		if (done < count)
			pir_page_special(page)->next = sink->next + 1;
		blkno = pir_sink_done(sink);
		if (meta->entry == InvalidBlockNumber)
			meta->entry = blkno;
		pfree(image);
	}
	pfree(nids);
	pfree(item);
}

void
pir_hnsw_put_centre(PirPageSink *sink, PirHnswMetaOnPage *meta, const float *centre)
{
	uint32		dim = meta->head.code_dim;
	uint32		done = 0;

	meta->centre = InvalidBlockNumber;
	while (centre != NULL && done < dim)
	{
		uint32		count = Min((uint32) PIR_HNSW_CENTRE_FANOUT, dim - done);
		Page		page = pir_sink_page(sink, PIR_PAGE_CENTRE, done / PIR_HNSW_CENTRE_FANOUT);
		BlockNumber blkno;

		memcpy(pir_page_content(page), centre + done, count * sizeof(float));
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, count * sizeof(float));
		done += count;
		if (done < dim)
			pir_page_special(page)->next = sink->next + 1;
		blkno = pir_sink_done(sink);
		if (meta->centre == InvalidBlockNumber)
			meta->centre = blkno;
	}
}

void
pir_hnsw_too_many_nodes(Relation index)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("index \"%s\" cannot have more than %u nodes",
					RelationGetRelationName(index), PIR_NID_NONE - 1)));
}

void
pir_hnsw_put_meta(Page page, const PirHnswMetaOnPage *meta)
{
	memcpy(pir_page_content(page), meta, sizeof(*meta));
	pir_page_set_used(page, sizeof(*meta));
}
