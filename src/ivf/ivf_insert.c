/*-------------------------------------------------------------------------
 *
 * ivf_insert.c
 *	  Inserting a row: find its list, put it where there is room.
 *
 * One atomic change per row: of the posting page alone, and with it the meta
 * page while the index is flat. Only a new page needs more. README.md section 4
 * has the protocol.
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

typedef enum AddResult
{
	ADD_DONE,
	ADD_FULL,					/* flat, with rows enough to train */
	ADD_CHANGED					/* the index is no longer what we opened */
} AddResult;

/*
 * Where to look next for room in a list: 'blkno', or if it is InvalidBlockNumber
 * behind 'last', which was the end of the chain; both invalid in an empty list.
 */
typedef struct Search
{
	BlockNumber blkno;
	BlockNumber last;
} Search;

/* Count a row of a flat index, and remember where it went, in the WAL copy of the meta page. */
static void
count_flat(PirIvfIndex *ivf, PirWal *wal, Buffer metabuf, BlockNumber blkno)
{
	if (ivf->meta.state == PIR_IVF_FLAT)
	{
		PirIvfMetaOnPage *meta = (PirIvfMetaOnPage *) pir_page_content(pir_wal_page(wal, metabuf));

		meta->nflat++;
		meta->flat.hint = blkno;
	}
}

/*
 * Try the pages of the chain from search->blkno on. True if the row is in; else
 * the search is at the end of the chain, or at the start again because a page
 * was taken out of the list meanwhile.
 * Locks: one posting page exclusively; flat: the caller holds block 0.
 */
static bool
add_to_chain(PirIvfIndex *ivf, uint32 list, const void *item, ItemPointer tid,
			 Buffer metabuf, Search *search)
{
	for (uint32 npages = 1; search->blkno != InvalidBlockNumber; npages++)
	{
		Buffer		buf;
		Page		page;
		PirWal		wal;

		pir_ivf_check_length(ivf, list, search->blkno, npages);
		CHECK_FOR_INTERRUPTS();
		if (!pir_ivf_lock_postings(ivf, search->blkno, list, PIR_LOCK_EXCLUSIVE, &buf, &page))
		{
			search->blkno = search->last = InvalidBlockNumber;
			return false;
		}
		if (pir_page_special(page)->nslots < ivf->meta.head.nodes_per_page)
		{
			pir_wal_begin(&wal, ivf->rel);
			count_flat(ivf, &wal, metabuf, search->blkno);
			pir_ivf_append(&ivf->meta.head, pir_wal_page(&wal, buf), item, tid);
			pir_wal_finish(&wal);
			pir_page_release(buf);
			return true;
		}
		search->last = search->blkno;
		search->blkno = pir_page_special(page)->next;
		pir_page_release(buf);
	}
	return false;
}

/*
 * Add a page behind the end of the chain, with the row on it. False if the list
 * is no longer as the search found it. *changed tells
 * whether the index has another epoch.
 * Locks: block 0 (flat: held by the caller), the root's page, the last page, the
 * new page, all exclusively.
 */
static bool
add_page(PirIvfIndex *ivf, uint32 list, const void *item, ItemPointer tid,
		 Buffer flat_meta, const Search *search, bool *changed)
{
	bool		flat = ivf->meta.state == PIR_IVF_FLAT;
	Buffer		metabuf = flat ? flat_meta : pir_meta_read(ivf->rel, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
	Buffer		rootbuf = InvalidBuffer;
	Buffer		lastbuf = InvalidBuffer;
	PirIvfRootOnPage *root = NULL;
	Page		last = NULL;
	bool		ok = true;

	*changed = pir_meta_head(pir_page_of(metabuf))->epoch != ivf->meta.head.epoch;
	if (*changed)
		ok = false;
	else if (flat)
		root = pir_ivf_root_at(ivf, pir_page_of(metabuf), list);
	else
		root = pir_ivf_lock_root(ivf, list, PIR_LOCK_EXCLUSIVE, &rootbuf);

	if (ok && search->last == InvalidBlockNumber)
		ok = root->first == InvalidBlockNumber;
	else if (ok)
	{
		/* a flat index's root is on block 0, where no other can change it */
		ok = pir_ivf_lock_postings(ivf, search->last, list, PIR_LOCK_EXCLUSIVE, &lastbuf, &last);
		if (!ok)
			lastbuf = InvalidBuffer;
		else
			ok = pir_page_special(last)->next == InvalidBlockNumber &&
				pir_page_special(last)->nslots == ivf->meta.head.nodes_per_page;
	}
	if (ok)
	{
		PirWal		wal;
		PirIvfMetaOnPage *meta;
		Page		metapage;
		Page		page;
		Buffer		buf;
		BlockNumber blkno;

		pir_wal_begin(&wal, ivf->rel);
		metapage = pir_wal_page(&wal, metabuf);
		meta = (PirIvfMetaOnPage *) pir_page_content(metapage);
		root = pir_ivf_root_at(ivf, flat ? metapage : pir_wal_page(&wal, rootbuf), list);
		if (last != NULL)
			last = pir_wal_page(&wal, lastbuf);
		buf = pir_page_alloc(ivf->rel, &meta->head);
		blkno = pir_page_blkno(buf);
		page = pir_wal_new_page(&wal, buf, PIR_PAGE_CODE, list);
		((PirIvfPostingsOnPage *) pir_page_content(page))->epoch = ivf->meta.head.epoch;
		pir_ivf_append(&ivf->meta.head, page, item, tid);
		if (last != NULL)
			pir_page_special(last)->next = blkno;
		else
			root->first = blkno;
		root->hint = blkno;
		if (flat)
			meta->nflat++;
		pir_wal_finish(&wal);
		pir_page_release(buf);
	}
	if (lastbuf != InvalidBuffer)
		pir_page_release(lastbuf);
	if (rootbuf != InvalidBuffer)
		pir_page_release(rootbuf);
	if (!flat)
		pir_page_release(metabuf);
	return ok;
}

/* Let the next insert look here first. Locks: the directory page exclusively. */
static void
move_hint(PirIvfIndex *ivf, uint32 list, BlockNumber from, BlockNumber to)
{
	Buffer		rootbuf;
	PirIvfRootOnPage *root = pir_ivf_lock_root(ivf, list, PIR_LOCK_EXCLUSIVE, &rootbuf);

	if (root == NULL)
		return;
	/* 'to' may have been taken out of the list by now; a hint that leads nowhere is found out */
	if (root->hint == from)
	{
		PirWal		wal;

		pir_wal_begin(&wal, ivf->rel);
		pir_ivf_root_at(ivf, pir_wal_page(&wal, rootbuf), list)->hint = to;
		pir_wal_finish(&wal);
	}
	pir_page_release(rootbuf);
}

/* Put a row into a list. Flat: the caller holds block 0 exclusively. */
static AddResult
add_row(PirIvfIndex *ivf, uint32 list, const void *item, ItemPointer tid, Buffer metabuf)
{
	bool		flat = ivf->meta.state == PIR_IVF_FLAT;

	for (int attempts = 0; attempts < PIR_IVF_ATTEMPTS; attempts++)
	{
		PirIvfRootOnPage root;
		Search		search = {0};
		bool		changed;

		if (flat)
			root = *pir_ivf_root_at(ivf, pir_page_of(metabuf), list);
		else
		{
			Buffer		rootbuf;
			PirIvfRootOnPage *found = pir_ivf_lock_root(ivf, list, PIR_LOCK_SHARE, &rootbuf);

			if (found == NULL)
				return ADD_CHANGED;
			root = *found;
			pir_page_release(rootbuf);
		}
		/* a stale hint is of no use: look from the start */
		search.blkno = attempts % 2 == 0 ? root.hint : root.first;
		search.last = InvalidBlockNumber;
		if (add_to_chain(ivf, list, item, tid, metabuf, &search))
		{
			if (!flat && search.blkno != root.hint)
				move_hint(ivf, list, root.hint, search.blkno);
			return ADD_DONE;
		}
		if (search.last == InvalidBlockNumber && root.first != InvalidBlockNumber)
			continue;
		if (add_page(ivf, list, item, tid, metabuf, &search, &changed))
			return ADD_DONE;
		if (changed)
			return ADD_CHANGED;
	}
	pir_report_corrupted(ivf->rel, PIR_META_BLKNO, "list %u has no room for a row", list);
}

static AddResult
insert_flat(PirIvfIndex *ivf, const void *item, ItemPointer tid)
{
	Buffer		metabuf = pir_meta_read(ivf->rel, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
	PirIvfMetaOnPage *meta = (PirIvfMetaOnPage *) pir_page_content(pir_page_of(metabuf));
	AddResult	result;

	if (meta->head.epoch != ivf->meta.head.epoch)
		result = ADD_CHANGED;
	else if (meta->nflat >= PIR_IVF_TRAIN_ROWS)
		result = ADD_FULL;
	else
		result = add_row(ivf, 0, item, tid, metabuf);
	pir_page_release(metabuf);
	return result;
}

static void
insert_input(PirIvfIndex *ivf, Relation heap, const void *input, ItemPointer tid)
{
	for (;;)
	{
		void	   *scratch = pir_alloc_aligned(CurrentMemoryContext,
												pir_quant_scratch_size(ivf->quant), false);
		void	   *item = pir_alloc_aligned(CurrentMemoryContext, ivf->meta.head.item_size, true);
		Relation	index = ivf->rel;
		AddResult	result;

		pir_quant_encode(ivf->quant, input, item, scratch);
		if (ivf->meta.state == PIR_IVF_FLAT)
			result = insert_flat(ivf, item, tid);
		else
			result = add_row(ivf, pir_ivf_nearest(ivf, input), item, tid, InvalidBuffer);
		if (result == ADD_DONE)
			return;
		if (result == ADD_FULL)
			pir_ivf_train(index, heap);
		pir_ivf_close(ivf);
		pir_ivf_open(ivf, index);
	}
}

bool
pir_ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
			   Relation heap, IndexUniqueCheck unique, bool unchanged, IndexInfo *info)
{
	MemoryContext context;
	MemoryContext old;
	PirIvfIndex ivf;
	void	   *input;

	if (isnull[0])
		return false;

	context = AllocSetContextCreate(CurrentMemoryContext, "piramid ivf insert",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	pir_ivf_open(&ivf, index);
	input = pir_alloc_aligned(context, pir_value_input_size(&ivf.value), true);
	if (pir_value_input(&ivf.value, values[0], input))
		insert_input(&ivf, heap, input, tid);
	pir_ivf_close(&ivf);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
