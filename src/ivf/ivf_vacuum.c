/*-------------------------------------------------------------------------
 *
 * ivf_vacuum.c
 *	  Removing dead rows: one pass over the lists.
 *
 * A posting page is compacted in place; an empty one leaves its chain and
 * joins the free pages, with both neighbours locked. Readers copy what they
 * want of a page under its lock and go on to the next one with locks
 * coupled, so they miss nothing. README.md section 7.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "commands/vacuum.h"
#include "ivf/ivf_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct IvfVacuum
{
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
	PirIvfIndex ivf;
	ItemPointerData *tids;		/* of one page */
} IvfVacuum;

/* What became of a page */
typedef struct PageState
{
	bool		gone;			/* it is no page of the list */
	uint32		nrows;
	BlockNumber next;
} PageState;

/* Does any row of the page have to go? Locks: the page, share, while it is copied. */
static bool
look_at_page(IvfVacuum *vac, uint32 list, BlockNumber blkno, PageState *state)
{
	Buffer		buf;
	Page		page;
	bool		dead = false;

	state->gone = !pir_ivf_lock_postings(&vac->ivf, blkno, list, PIR_LOCK_SHARE, &buf, &page);
	if (state->gone)
		return false;
	state->nrows = pir_page_special(page)->nslots;
	state->next = pir_page_special(page)->next;
	memcpy(vac->tids, pir_ivf_tids(page), state->nrows * sizeof(ItemPointerData));
	pir_page_release(buf);

	for (uint32 i = 0; i < state->nrows && !dead; i++)
		dead = vac->callback != NULL && vac->callback(&vac->tids[i], vac->callback_state);
	return dead;
}

/*
 * Remove the dead rows of a page; the last row takes the place of each.
 * Locks: flat: block 0; the page; exclusively.
 */
static void
clean_page(IvfVacuum *vac, uint32 list, BlockNumber blkno, PageState *state)
{
	PirIvfIndex *ivf = &vac->ivf;
	const PirMetaHeadOnPage *head = &ivf->meta.head;
	bool		flat = ivf->meta.state == PIR_IVF_FLAT;
	Buffer		metabuf = InvalidBuffer;
	Buffer		buf;
	Page		page;
	PirWal		wal;
	uint32		removed = 0;

	if (flat)
		metabuf = pir_meta_read(ivf->rel, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
	state->gone = !pir_ivf_lock_postings(ivf, blkno, list, PIR_LOCK_EXCLUSIVE, &buf, &page);
	if (!state->gone)
	{
		uint32		n = pir_page_special(page)->nslots;

		pir_wal_begin(&wal, ivf->rel);
		page = pir_wal_page(&wal, buf);
		for (uint32 i = 0; i < n;)
		{
			if (!vac->callback(&pir_ivf_tids(page)[i], vac->callback_state))
			{
				i++;
				continue;
			}
			n--;
			removed++;
			if (i < n)
			{
				pir_ivf_tids(page)[i] = pir_ivf_tids(page)[n];
				memcpy(pir_ivf_item(head, page, i), pir_ivf_item(head, page, n), head->item_size);
			}
			/* places that are not in use are zero */
			memset(&pir_ivf_tids(page)[n], 0, sizeof(ItemPointerData));
			memset(pir_ivf_item(head, page, n), 0, head->item_size);
		}
		pir_page_special(page)->nslots = n;
		pir_page_set_used(page, pir_ivf_postings_used(head, n));
		if (flat)
			((PirIvfMetaOnPage *) pir_page_content(pir_wal_page(&wal, metabuf)))->nflat -= removed;
		pir_wal_finish(&wal);
		state->nrows = n;
		state->next = pir_page_special(pir_page_of(buf))->next;
		pir_page_release(buf);
	}
	if (metabuf != InvalidBuffer)
		pir_page_release(metabuf);
	vac->stats->tuples_removed += removed;
}

/*
 * Take an empty page out of its list, behind 'before' (InvalidBlockNumber: it is
 * the first), and free it. False if rows have come to it meanwhile.
 * Locks: block 0, the root's page, the page before, the page, exclusively.
 */
static bool
unlink_page(IvfVacuum *vac, uint32 list, BlockNumber before, BlockNumber blkno, PageState *state)
{
	PirIvfIndex *ivf = &vac->ivf;
	bool		flat = ivf->meta.state == PIR_IVF_FLAT;
	Buffer		metabuf = pir_meta_read(ivf->rel, PIR_KIND_IVF, PIR_LOCK_EXCLUSIVE);
	Buffer		rootbuf = InvalidBuffer;
	Buffer		before_buf = InvalidBuffer;
	Buffer		buf = InvalidBuffer;
	Page		before_page = NULL;
	Page		page;
	PirIvfRootOnPage *root;
	bool		ok = true;

	if (flat)
		root = pir_ivf_root_at(ivf, pir_page_of(metabuf), list);
	else
		root = pir_ivf_lock_root(ivf, list, PIR_LOCK_EXCLUSIVE, &rootbuf);
	if (before == InvalidBlockNumber)
		ok = root->first == blkno;
	else
	{
		ok = pir_ivf_lock_postings(ivf, before, list, PIR_LOCK_EXCLUSIVE, &before_buf, &before_page);
		if (!ok)
			before_buf = InvalidBuffer;
		else
			ok = pir_page_special(before_page)->next == blkno;
	}
	if (!ok)
		pir_report_corrupted(ivf->rel, blkno, "page is not where it was in list %u", list);

	if (!pir_ivf_lock_postings(ivf, blkno, list, PIR_LOCK_EXCLUSIVE, &buf, &page))
		pir_report_corrupted(ivf->rel, blkno, "page is none of list %u", list);
	state->nrows = pir_page_special(page)->nslots;
	state->next = pir_page_special(page)->next;
	ok = state->nrows == 0;
	if (ok)
	{
		PirWal		wal;
		Page		metapage;

		pir_wal_begin(&wal, ivf->rel);
		metapage = pir_wal_page(&wal, metabuf);
		root = pir_ivf_root_at(ivf, flat ? metapage : pir_wal_page(&wal, rootbuf), list);
		if (before_page == NULL)
			root->first = state->next;
		else
			pir_page_special(pir_wal_page(&wal, before_buf))->next = state->next;
		if (root->hint == blkno || root->first == InvalidBlockNumber)
			root->hint = before_page == NULL ? state->next : before;
		pir_page_free(pir_meta_head(metapage), blkno, pir_wal_page(&wal, buf));
		pir_wal_finish(&wal);
		vac->stats->pages_newly_deleted++;
	}
	pir_page_release(buf);
	if (before_buf != InvalidBuffer)
		pir_page_release(before_buf);
	if (rootbuf != InvalidBuffer)
		pir_page_release(rootbuf);
	pir_page_release(metabuf);
	return ok;
}

/* Let inserts begin at the first page that has room. Locks: the root's page, exclusively. */
static void
set_hint(IvfVacuum *vac, uint32 list, BlockNumber blkno)
{
	PirIvfIndex *ivf = &vac->ivf;
	Buffer		rootbuf;
	PirIvfRootOnPage *root = pir_ivf_lock_root(ivf, list, PIR_LOCK_EXCLUSIVE, &rootbuf);
	PirWal		wal;

	if (root == NULL)
		return;
	if (root->hint != blkno && root->first != InvalidBlockNumber)
	{
		pir_wal_begin(&wal, ivf->rel);
		pir_ivf_root_at(ivf, pir_wal_page(&wal, rootbuf), list)->hint = blkno;
		pir_wal_finish(&wal);
	}
	pir_page_release(rootbuf);
}

static void
vacuum_list(IvfVacuum *vac, uint32 list)
{
	PirIvfIndex *ivf = &vac->ivf;
	Buffer		rootbuf;
	PirIvfRootOnPage *root = pir_ivf_lock_root(ivf, list, PIR_LOCK_SHARE, &rootbuf);
	BlockNumber before = InvalidBlockNumber;
	BlockNumber roomy = InvalidBlockNumber;
	BlockNumber blkno;
	bool		cleaned = false;

	if (root == NULL)
		elog(ERROR, "index \"%s\" was trained while it was vacuumed", RelationGetRelationName(ivf->rel));
	blkno = root->first;
	pir_page_release(rootbuf);

	/* only VACUUM takes pages out of lists, and there is one at a time */
	while (blkno != InvalidBlockNumber)
	{
		PageState	state = {0};

		pir_vacuum_delay_point();
		if (look_at_page(vac, list, blkno, &state))
		{
			clean_page(vac, list, blkno, &state);
			cleaned = true;
		}
		if (state.gone)
			pir_report_corrupted(ivf->rel, blkno, "page is none of list %u", list);
		if (state.nrows == 0 && unlink_page(vac, list, before, blkno, &state))
		{
			blkno = state.next;
			continue;
		}
		vac->stats->num_index_tuples += state.nrows;
		if (roomy == InvalidBlockNumber && state.nrows < ivf->meta.head.nodes_per_page)
			roomy = blkno;
		before = blkno;
		blkno = state.next;
	}
	if (cleaned && roomy != InvalidBlockNumber)
		set_hint(vac, list, roomy);
}

static void
vacuum_index(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			 IndexBulkDeleteCallback callback, void *callback_state)
{
	IvfVacuum	vac = {0};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "piramid ivf vacuum",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		training_lock = false;

	vac.stats = stats;
	vac.callback = callback;
	vac.callback_state = callback_state;

	pir_ivf_open(&vac.ivf, info->index);
	if (vac.ivf.meta.state == PIR_IVF_FLAT)
	{
		/* training must not copy rows that we are removing */
		pir_ivf_close(&vac.ivf);
		pir_index_lock_training(info->index);
		training_lock = true;
		pir_ivf_open(&vac.ivf, info->index);
	}
	vac.tids = palloc(vac.ivf.meta.head.nodes_per_page * sizeof(ItemPointerData));
	stats->num_index_tuples = 0;
	for (uint32 list = 0; list < vac.ivf.meta.nlists; list++)
		vacuum_list(&vac, list);
	pir_ivf_free_retired(info->index);

	stats->pages_free = vac.ivf.meta.head.nfree + stats->pages_newly_deleted;
	pir_ivf_close(&vac.ivf);
	if (training_lock)
		pir_index_unlock_training(info->index);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

IndexBulkDeleteResult *
pir_ivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				   IndexBulkDeleteCallback callback, void *state)
{
	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	vacuum_index(info, stats, callback, state);
	return stats;
}

IndexBulkDeleteResult *
pir_ivf_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;
	if (stats == NULL)
	{
		/* what a training left that was interrupted at its end */
		pir_ivf_free_retired(info->index);
		return NULL;
	}
	stats->num_pages = pir_page_count(info->index);
	return stats;
}
