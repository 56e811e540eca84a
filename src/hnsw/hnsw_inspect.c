/*-------------------------------------------------------------------------
 *
 * hnsw_inspect.c
 *	  Describes an hnsw index, and registers it as an index kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "hnsw/hnsw.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"

/* Pages of a chain, or -1 if it is not what 'meta' says it is (any more). */
static int64
chain_length(Relation index, const PirHnswMetaOnPage *meta, BlockNumber blkno, int kind)
{
	int64		n = 0;

	while (blkno != InvalidBlockNumber)
	{
		Buffer		buf;
		Page		page;

		CHECK_FOR_INTERRUPTS();
		if (n > meta->head.nblocks)
			pir_report_corrupted(index, blkno, "chain of pages has no end");
		buf = pir_page_pin(index, blkno);
		if (!pir_page_lock_if(index, buf, kind, PIR_LOCK_SHARE, &page))
		{
			pir_page_unpin(buf);
			return -1;
		}
		blkno = pir_page_special(page)->next;
		pir_page_release(buf);
		n++;
	}
	return n;
}

/*
 * Heap rows of the index. Without duplicates that is what the meta page
 * counts; else the rows of each node must be looked at.
 */
static uint64
count_rows(PirHnswIndex *hnsw)
{
	const PirHnswMetaOnPage *meta = &hnsw->meta;
	PirPins		pins;
	uint64		rows = 0;

	if (meta->nnodes == meta->nlive + meta->ndead + meta->nfree_nodes)
		return meta->nlive;

	pir_pins_init(&pins, hnsw->store);
	for (uint32 nid = 0; nid < meta->nnodes;)
	{
		Buffer		buf;
		Page		page;
		uint32		end = nid + 1;

		CHECK_FOR_INTERRUPTS();
		if (meta->head.pages_per_node == 1)
			end = Min(meta->nnodes, (nid / meta->head.nodes_per_page + 1) * meta->head.nodes_per_page);
		page = pir_hnsw_lock_node(hnsw, &pins, nid, PIR_LOCK_SHARE, &buf);
		for (; nid < end; nid++)
		{
			const PirHnswNodeOnPage *node = pir_hnsw_node_at(&meta->head, page, nid);

			if (node->state == PIR_NODE_LIVE && ItemPointerIsValid(&node->tid))
				rows++;
			else if (node->state == PIR_NODE_TIDS)
				rows += ((const PirHnswTidsOnPage *) node)->ntids;
		}
		pir_page_unlock(buf);
	}
	pir_pins_release(&pins);
	return rows;
}

static void
add_pages(PirIndexInfo *info, const char *name, uint64 count)
{
	Assert(info->npage_kinds < PIR_INDEX_MAX_PAGE_KINDS);
	info->page_kinds[info->npage_kinds].name = name;
	info->page_kinds[info->npage_kinds].count = count;
	info->npage_kinds++;
}

static void
describe(Relation index, PirIndexInfo *info)
{
	for (;;)
	{
		PirHnswIndex hnsw;
		const PirHnswMetaOnPage *meta = &hnsw.meta;
		const PirTableOnPage *tables = meta->head.tables;
		int64		entry_pages;
		int64		centre_pages;
		uint64		table_pages = 0;

		pir_hnsw_open(&hnsw, index);
		entry_pages = chain_length(index, meta, meta->entry, PIR_PAGE_ENTRY);
		centre_pages = chain_length(index, meta, meta->centre, PIR_PAGE_CENTRE);
		if (entry_pages < 0 || centre_pages < 0)
		{
			/* the graph was made anew meanwhile, or the index is corrupted */
			uint32		epoch = meta->head.epoch;

			pir_hnsw_close(&hnsw);
			pir_hnsw_open(&hnsw, index);
			if (meta->head.epoch == epoch)
				pir_report_corrupted(index, PIR_META_BLKNO, "a chain of pages has a page of another kind");
			pir_hnsw_close(&hnsw);
			continue;
		}
		for (int t = 0; t < PIR_NTABLES; t++)
			table_pages += tables[t].npages / PIR_TABLE_FANOUT +
				(tables[t].npages % PIR_TABLE_FANOUT != 0);

		info->state = meta->state == PIR_HNSW_FLAT ? "flat" : "graph";
		info->head = meta->head;
		info->trained_rows = meta->ntrained;
		info->code_error = meta->code_error;
		info->code_rows = meta->code_rows;
		info->heap_rows = count_rows(&hnsw);
		info->live_nodes = meta->nlive;
		info->dead_nodes = meta->ndead;
		info->free_nodes = meta->nfree_nodes;
		info->entries = meta->nentries;
		add_pages(info, "meta", 1);
		add_pages(info, "table", table_pages);
		add_pages(info, "code", tables[PIR_TABLE_CODE].npages);
		add_pages(info, "list", tables[PIR_TABLE_LIST].npages);
		add_pages(info, "entry", entry_pages);
		add_pages(info, "centre", centre_pages);
		pir_hnsw_close(&hnsw);
		return;
	}
}

const PirIndexKind pir_hnsw_kind = {
	.id = PIR_KIND_HNSW,
	.name = "hnsw",
	.build = pir_hnsw_build,
	.describe = describe,
	.check = pir_hnsw_check
};
