/*-------------------------------------------------------------------------
 *
 * ivf_list.c
 *	  The directory of lists, and posting pages.
 *
 * Everything here reads; ivf_insert.c and ivf_vacuum.c write.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "ivf/ivf_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* --- opening --- */

/* Read the centre: dim floats in 'context', or NULL if there is none. */
static float *
read_centre(Relation index, const PirIvfMetaOnPage *meta, MemoryContext context)
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

		if (count == 0 || count > PIR_IVF_CENTRE_FANOUT || count > dim - done)
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
pir_ivf_quant_spec(const PirIvfMetaOnPage *meta, const float *centre, PirQuantSpec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->quantizer = meta->head.quantizer;
	spec->metric = meta->head.metric;
	spec->bits = meta->head.bits;
	spec->dim = meta->head.code_dim;
	spec->seed = meta->head.seed;
	spec->scale = 1.0f;
	spec->centre = centre;
}

/*
 * Lists under the inner product are cones: rows and centres are compared by
 * angle. The mean of the rows, which have any length, says nothing there.
 */
void
pir_ivf_centre_spec(const PirIvfMetaOnPage *meta, const float *centre, PirQuantSpec *spec)
{
	pir_ivf_quant_spec(meta, centre, spec);
	spec->quantizer = meta->centre_quantizer;
	spec->bits = meta->centre_bits;
	if (meta->head.metric == PIR_METRIC_IP)
	{
		spec->metric = PIR_METRIC_COSINE;
		spec->centre = NULL;
	}
}

void
pir_ivf_value_info(const PirIvfMetaOnPage *meta, PirValueInfo *info)
{
	info->type = (PirValueType) meta->head.value_type;
	info->metric = (PirMetric) meta->head.metric;
	info->dim = meta->head.dim;
	info->code_dim = meta->head.code_dim;
	info->sketch = (meta->head.flags & PIR_META_SKETCH) != 0;
	info->seed = meta->head.seed;
}

/* Copy the meta page. What loops and arithmetic depend on is checked. */
static void
read_meta(Relation index, PirIvfMetaOnPage *meta)
{
	Buffer		buf = pir_meta_read(index, PIR_KIND_IVF, PIR_LOCK_SHARE);
	PirMetaHeadOnPage expected;

	memcpy(meta, pir_page_content(pir_page_of(buf)), sizeof(PirIvfMetaOnPage));
	pir_page_release(buf);
	if (meta->state != PIR_IVF_FLAT && meta->state != PIR_IVF_LISTS)
		pir_report_corrupted(index, PIR_META_BLKNO, "state is %u", meta->state);
	expected = meta->head;
	pir_ivf_geometry(&expected, meta->head.list_size - offsetof(PirIvfSlotOnPage, item));
	if (expected.nodes_per_page == 0 || expected.nodes_per_page != meta->head.nodes_per_page ||
		expected.lists_per_page == 0 || expected.lists_per_page != meta->head.lists_per_page)
		pir_report_corrupted(index, PIR_META_BLKNO, "sizes of rows and lists do not fit the pages");
	if (meta->nlists == 0 ||
		(meta->state == PIR_IVF_LISTS &&
		 meta->nlists > (uint64) meta->head.tables[PIR_TABLE_LIST].npages * meta->head.lists_per_page))
		pir_report_corrupted(index, PIR_META_BLKNO, "there are no pages for %u lists", meta->nlists);
}

static PirQuant *
make_quant(Relation index, const PirQuantSpec *spec, Size item_size, MemoryContext context)
{
	if (pir_quant_check_spec(spec) != NULL || pir_quant_item_size(spec) != item_size)
		pir_report_corrupted(index, PIR_META_BLKNO, "quantizer %u does not fit the index",
							 spec->quantizer);
	return pir_quant_init(pir_alloc_aligned(context, pir_quant_size(spec), false), spec);
}

void
pir_ivf_open(PirIvfIndex *ivf, Relation index)
{
	PirIvfCache *cache;

	ivf->rel = index;
	do
	{
		read_meta(index, &ivf->meta);
		ivf->store = pir_store_open(index, &ivf->meta.head);
	} while (ivf->store == NULL);

	cache = ivf->store->kind_data;
	if (cache == NULL)
	{
		MemoryContext context = ivf->store->context;
		float	   *centre = read_centre(index, &ivf->meta, context);
		PirQuantSpec spec;

		cache = MemoryContextAllocZero(context, sizeof(PirIvfCache));
		pir_ivf_quant_spec(&ivf->meta, centre, &spec);
		cache->quant = make_quant(index, &spec, ivf->meta.head.item_size, context);
		if (ivf->meta.state == PIR_IVF_LISTS)
		{
			pir_ivf_centre_spec(&ivf->meta, centre, &spec);
			cache->centre_quant = make_quant(index, &spec,
											 ivf->meta.head.list_size - offsetof(PirIvfSlotOnPage, item),
											 context);
		}
		ivf->store->kind_data = cache;
	}
	ivf->quant = cache->quant;
	ivf->centre_quant = cache->centre_quant;
	pir_ivf_value_info(&ivf->meta, &ivf->value);
}

void
pir_ivf_close(PirIvfIndex *ivf)
{
	pir_store_close(ivf->store);
}

/* --- roots --- */

PirIvfRootOnPage *
pir_ivf_root_at(const PirIvfIndex *ivf, Page page, uint32 list)
{
	const PirMetaHeadOnPage *head = &ivf->meta.head;

	if (ivf->meta.state == PIR_IVF_FLAT)
		return &((PirIvfMetaOnPage *) pir_page_content(page))->flat;
	return &((PirIvfSlotOnPage *) (pir_page_content(page) +
								   (Size) (list % head->lists_per_page) * head->list_size))->root;
}

PirIvfRootOnPage *
pir_ivf_lock_root(PirIvfIndex *ivf, uint32 list, PirLock lock, Buffer *buf)
{
	Page		page;

	if (ivf->meta.state == PIR_IVF_FLAT)
	{
		*buf = pir_meta_read(ivf->rel, PIR_KIND_IVF, lock);
		page = pir_page_of(*buf);
		if (pir_meta_head(page)->epoch != ivf->meta.head.epoch)
		{
			pir_page_release(*buf);
			return NULL;
		}
	}
	else
	{
		*buf = pir_table_pin(ivf->store, PIR_TABLE_LIST, list / ivf->meta.head.lists_per_page);
		page = pir_page_lock(ivf->rel, *buf, PIR_PAGE_LIST, lock);
		if (list % ivf->meta.head.lists_per_page >= pir_page_special(page)->nslots)
			pir_report_corrupted(ivf->rel, pir_page_blkno(*buf), "list %u does not exist", list);
	}
	return pir_ivf_root_at(ivf, page, list);
}

/* --- posting pages --- */

void
pir_ivf_append(const PirMetaHeadOnPage *head, Page page, const void *item, const ItemPointerData *tid)
{
	uint32		row = pir_page_special(page)->nslots;

	Assert(row < head->nodes_per_page);
	pir_ivf_tids(page)[row] = *tid;
	memcpy(pir_ivf_item(head, page, row), item, head->item_size);
	pir_page_special(page)->nslots = row + 1;
	pir_page_set_used(page, pir_ivf_postings_used(head, row + 1));
}

bool
pir_ivf_lock_postings(PirIvfIndex *ivf, BlockNumber blkno, uint32 list, PirLock lock,
					  Buffer *buf, Page *page)
{
	*buf = pir_page_pin(ivf->rel, blkno);
	if (!pir_page_lock_if(ivf->rel, *buf, PIR_PAGE_CODE, lock, page))
	{
		pir_page_unpin(*buf);
		return false;
	}
	if (pir_page_special(*page)->logical != list ||
		((PirIvfPostingsOnPage *) pir_page_content(*page))->epoch != ivf->meta.head.epoch)
	{
		pir_page_release(*buf);
		return false;
	}
	if (pir_page_special(*page)->nslots > ivf->meta.head.nodes_per_page)
		pir_report_corrupted(ivf->rel, blkno, "posting page has %u rows, and room for %u",
							 pir_page_special(*page)->nslots, ivf->meta.head.nodes_per_page);
	return true;
}

void
pir_ivf_check_length(PirIvfIndex *ivf, uint32 list, BlockNumber blkno, uint32 npages)
{
	if (unlikely(npages >= ivf->meta.head.nblocks && npages >= pir_page_count(ivf->rel)))
		pir_report_corrupted(ivf->rel, blkno, "list %u has no end", list);
}

void
pir_ivf_list_begin(PirIvfListScan *scan, PirIvfIndex *ivf, uint32 list)
{
	PirIvfRootOnPage *root;

	scan->ivf = ivf;
	scan->list = list;
	scan->next = InvalidBlockNumber;
	scan->page = NULL;
	scan->npages = 0;
	root = pir_ivf_lock_root(ivf, list, PIR_LOCK_SHARE, &scan->buf);
	scan->changed = root == NULL;
	if (scan->changed)
		scan->buf = InvalidBuffer;
	else
		scan->next = root->first;
}

bool
pir_ivf_list_page(PirIvfListScan *scan)
{
	Buffer		before = scan->buf;
	BlockNumber blkno;
	bool		found = false;

	if (before == InvalidBuffer)
		return false;
	if (scan->page != NULL)
		scan->next = pir_page_special(scan->page)->next;
	blkno = scan->next;
	if (blkno != InvalidBlockNumber)
	{
		/* with a page locked, interrupts are not served: a circle would be for ever */
		pir_ivf_check_length(scan->ivf, scan->list, blkno, ++scan->npages);
		found = pir_ivf_lock_postings(scan->ivf, blkno, scan->list, PIR_LOCK_SHARE,
									  &scan->buf, &scan->page);
		/* only training may take a page away from under a reader */
		if (!found && scan->ivf->meta.state != PIR_IVF_FLAT)
			pir_report_corrupted(scan->ivf->rel, blkno, "page is none of list %u", scan->list);
		scan->changed = !found;
	}
	pir_page_release(before);
	if (!found)
		scan->buf = InvalidBuffer;
	CHECK_FOR_INTERRUPTS();
	return found;
}
