/*-------------------------------------------------------------------------
 *
 * page_check.c
 *	  Verifying what all index kinds share: STORAGE-I1 to STORAGE-I6.
 *
 * Every block below nblocks is claimed once by whoever uses it: the meta
 * page, the page tables and the free pages here, the rest by the index kind.
 * What nobody claimed is reported at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/page_check.h"
#include "utils/memutils.h"

static const char *const use_names[] = {
	[PIR_USE_NONE] = "nothing",
	[PIR_USE_META] = "the meta page",
	[PIR_USE_TABLE] = "a page-table page",
	[PIR_USE_MAPPED] = "a mapped page",
	[PIR_USE_CHAIN] = "a member of a chain",
	[PIR_USE_FREE] = "a free page",
};

void
pir_check_init(PirCheck *check, Relation index, Relation heap, bool complete)
{
	memset(check, 0, sizeof(*check));
	check->index = index;
	check->heap = heap;
	check->complete = complete;
	check->context = CurrentMemoryContext;
	check->page = palloc(BLCKSZ);
}

void
pir_check_reset(PirCheck *check)
{
	check->findings = NIL;
	check->suppressed = NIL;
}

/* Findings of an invariant so far. */
static int
count_findings(PirCheck *check, const char *invariant)
{
	ListCell   *cell;
	int			n = 0;

	foreach(cell, check->findings)
	{
		PirFinding *finding = lfirst(cell);

		if (strcmp(finding->invariant, invariant) == 0)
			n++;
	}
	return n;
}

void
pir_check_add(PirCheck *check, const char *invariant, int64 blkno, int64 node,
			  const char *detail,...)
{
	MemoryContext old;
	PirFinding *finding;
	StringInfoData text;
	ListCell   *cell;

	foreach(cell, check->suppressed)
	{
		finding = lfirst(cell);
		if (strcmp(finding->invariant, invariant) == 0)
		{
			/* 'node' counts here; see pir_check_close() */
			finding->node++;
			return;
		}
	}

	old = MemoryContextSwitchTo(check->context);
	finding = palloc(sizeof(PirFinding));
	finding->invariant = invariant;
	if (count_findings(check, invariant) == PIR_CHECK_MAX_PER_INVARIANT)
	{
		finding->blkno = PIR_CHECK_NONE;
		finding->node = 1;
		finding->detail = NULL;
		check->suppressed = lappend(check->suppressed, finding);
	}
	else
	{
		initStringInfo(&text);
		for (;;)
		{
			va_list		args;
			int			needed;

			va_start(args, detail);
			needed = appendStringInfoVA(&text, detail, args);
			va_end(args);
			if (needed == 0)
				break;
			enlargeStringInfo(&text, needed);
		}
		finding->blkno = blkno;
		finding->node = node;
		finding->detail = text.data;
		check->findings = lappend(check->findings, finding);
	}
	MemoryContextSwitchTo(old);
}

void
pir_check_close(PirCheck *check)
{
	MemoryContext old = MemoryContextSwitchTo(check->context);
	ListCell   *cell;

	foreach(cell, check->suppressed)
	{
		PirFinding *finding = lfirst(cell);

		finding->detail = psprintf(INT64_FORMAT " more findings of this kind", finding->node);
		finding->node = PIR_CHECK_NONE;
		check->findings = lappend(check->findings, finding);
	}
	check->suppressed = NIL;
	MemoryContextSwitchTo(old);
}

bool
pir_check_meta(PirCheck *check, PirKindId kind, void *meta, Size size)
{
	Buffer		buf;
	Page		page;
	char	   *fault;

	if (pir_page_count(check->index) == 0)
	{
		pir_check_add(check, "STORAGE-I1", PIR_META_BLKNO, PIR_CHECK_NONE, "file is empty");
		return false;
	}

	buf = ReadBuffer(check->index, PIR_META_BLKNO);
	LockBuffer(buf, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buf);
	fault = pir_page_fault(page, PIR_PAGE_META);
	if (fault == NULL)
		fault = pir_meta_fault(pir_meta_head(page), kind);
	if (fault == NULL)
		memcpy(meta, pir_page_content(page), size);
	UnlockReleaseBuffer(buf);

	if (fault != NULL)
	{
		pir_check_add(check, "STORAGE-I1", PIR_META_BLKNO, PIR_CHECK_NONE, "%s", fault);
		pfree(fault);
		return false;
	}

	check->file_blocks = pir_page_count(check->index);
	check->nblocks = ((PirMetaHeadOnPage *) meta)->nblocks;
	if (check->nblocks == 0 || check->nblocks > check->file_blocks)
	{
		pir_check_add(check, "STORAGE-I2", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "meta page counts %u blocks, the file has %u",
					  check->nblocks, check->file_blocks);
		check->nblocks = Max(1, Min(check->nblocks, check->file_blocks));
	}
	return true;
}

bool
pir_check_page(PirCheck *check, BlockNumber blkno, int kinds, Page page)
{
	PageHeader	header = (PageHeader) page;
	Buffer		buf;
	char	   *fault;

	CHECK_FOR_INTERRUPTS();
	if (blkno >= check->file_blocks && !check->complete)
		check->file_blocks = pir_page_count(check->index);
	if (blkno >= check->file_blocks)
	{
		pir_check_add(check, "STORAGE-I3", blkno, PIR_CHECK_NONE,
					  "block is behind the end of the file (%u blocks)", check->file_blocks);
		return false;
	}
	buf = ReadBuffer(check->index, blkno);
	LockBuffer(buf, BUFFER_LOCK_SHARE);
	memcpy(page, BufferGetPage(buf), BLCKSZ);
	UnlockReleaseBuffer(buf);

	fault = pir_page_fault(page, kinds);
	if (fault == NULL)
	{
		/* what lies behind pd_lower is not part of full-page images */
		if (header->pd_lower < PIR_PAGE_CONTENT || header->pd_lower > header->pd_special)
			fault = psprintf("pd_lower is %u", header->pd_lower);
		else if (pir_page_special(page)->reserved != 0)
			fault = psprintf("reserved field of the special space is %u",
							 pir_page_special(page)->reserved);
	}
	if (fault == NULL)
		return true;

	pir_check_add(check, "STORAGE-I3", blkno, PIR_CHECK_NONE, "%s", fault);
	pfree(fault);
	return false;
}

bool
pir_check_claim(PirCheck *check, BlockNumber blkno, PirPageUse use)
{
	/* a page that came into use after the meta page was read */
	if (blkno >= check->nblocks && !check->complete)
		return true;
	if (blkno >= check->nblocks)
	{
		pir_check_add(check, "STORAGE-I6", blkno, PIR_CHECK_NONE,
					  "block is used as %s but not among the %u blocks in use",
					  use_names[use], check->nblocks);
		return false;
	}
	if (check->uses[blkno] != PIR_USE_NONE)
	{
		pir_check_add(check, "STORAGE-I6", blkno, PIR_CHECK_NONE,
					  "block is used as %s and as %s",
					  use_names[check->uses[blkno]], use_names[use]);
		return false;
	}
	check->uses[blkno] = use;
	return true;
}

/*
 * Block numbers of one page table. Faulty pages leave InvalidBlockNumber in
 * the map; what can be reached is still read.
 */
static void
check_table(PirCheck *check, int t, const PirTableOnPage *table, uint8 kind)
{
	uint32		npages = table->npages;
	uint32		ndirs;
	uint32		dir = 0;
	BlockNumber blkno = table->first;
	BlockNumber last = InvalidBlockNumber;

	if (npages > check->nblocks)
	{
		pir_check_add(check, "STORAGE-I4", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "page table %d counts %u pages, the index has %u blocks",
					  t, npages, check->nblocks);
		npages = check->nblocks;
	}
	ndirs = npages / PIR_TABLE_FANOUT + (npages % PIR_TABLE_FANOUT != 0);

	check->nmapped[t] = npages;
	check->mapped[t] = MemoryContextAllocHuge(check->context,
											  pir_size_mul(Max(npages, 1), sizeof(BlockNumber)));
	memset(check->mapped[t], 0xFF, sizeof(BlockNumber) * (Size) npages);

	while (blkno != InvalidBlockNumber)
	{
		PirPageSpecialOnPage *special;
		uint32		first = dir * PIR_TABLE_FANOUT;
		uint32		expected = Min(npages - Min(npages, first), (uint32) PIR_TABLE_FANOUT);

		if (!pir_check_claim(check, blkno, PIR_USE_TABLE))
			break;
		if (!pir_check_page(check, blkno, PIR_PAGE_TABLE, check->page))
			break;
		special = pir_page_special(check->page);
		if (special->logical != dir)
			pir_check_add(check, "STORAGE-I4", blkno, PIR_CHECK_NONE,
						  "page %u of page table %d has number %u", dir, t, special->logical);

		/* others may have appended since the meta page was read */
		if (special->nslots > PIR_TABLE_FANOUT || special->nslots < expected ||
			(check->complete && special->nslots != expected))
			pir_check_add(check, "STORAGE-I4", blkno, PIR_CHECK_NONE,
						  "page %u of page table %d has %u entries instead of %u",
						  dir, t, special->nslots, expected);
		memcpy(check->mapped[t] + Min(first, npages), pir_page_content(check->page),
			   Min(expected, special->nslots) * sizeof(BlockNumber));
		last = blkno;
		blkno = special->next;

		/* one empty page may follow, from an append that did not get further */
		if (++dir > ndirs + 1)
			break;
	}

	if (dir < ndirs)
		pir_check_add(check, "STORAGE-I4", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "page table %d has %u of its %u pages", t, dir, ndirs);
	if (check->complete && blkno == InvalidBlockNumber && last != table->last)
		pir_check_add(check, "STORAGE-I4", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "last page of page table %d is block %u, the meta page says %u",
					  t, last, table->last);

	for (uint32 i = 0; i < npages; i++)
	{
		uint32		logical;

		blkno = check->mapped[t][i];
		if (blkno == InvalidBlockNumber)
			continue;
		check->mapped[t][i] = InvalidBlockNumber;
		if (!pir_check_claim(check, blkno, PIR_USE_MAPPED))
			continue;
		if (!pir_check_page(check, blkno, kind, check->page))
			continue;
		logical = pir_page_special(check->page)->logical;
		if (logical != i)
			pir_check_add(check, "STORAGE-I4", blkno, PIR_CHECK_NONE,
						  "page %u of page table %d bears the number %u", i, t, logical);
		else
			check->mapped[t][i] = blkno;
	}
}

/* The chain of free pages. */
static void
check_free(PirCheck *check, const PirMetaHeadOnPage *head)
{
	BlockNumber blkno = head->free_head;
	uint32		n = 0;

	while (blkno != InvalidBlockNumber)
	{
		if (!pir_check_claim(check, blkno, PIR_USE_FREE))
			break;
		n++;
		if (!pir_check_page(check, blkno, PIR_PAGE_FREE, check->page))
			break;
		blkno = pir_page_special(check->page)->next;
	}
	if (n != head->nfree)
		pir_check_add(check, "STORAGE-I5", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "chain of free pages has %u pages, the meta page says %u", n, head->nfree);
}

void
pir_check_tables(PirCheck *check, const PirMetaHeadOnPage *head, const uint8 kinds[PIR_NTABLES])
{
	check->uses = MemoryContextAllocExtended(check->context, check->nblocks,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	(void) pir_check_claim(check, PIR_META_BLKNO, PIR_USE_META);
	for (int t = 0; t < PIR_NTABLES; t++)
		check_table(check, t, &head->tables[t], kinds[t]);
	if (check->complete)
		check_free(check, head);
}

uint32
pir_check_chain(PirCheck *check, BlockNumber first, int kind, PirCheckVisit visit, void *arg)
{
	BlockNumber blkno = first;
	uint32		n = 0;

	while (blkno != InvalidBlockNumber)
	{
		BlockNumber next;

		if (!pir_check_claim(check, blkno, PIR_USE_CHAIN))
			break;
		if (!pir_check_page(check, blkno, kind, check->page))
			break;
		next = pir_page_special(check->page)->next;
		visit(check, blkno, check->page, arg);
		blkno = next;

		/* claims alone do not find a loop among pages newer than the meta page */
		if (n++ > check->file_blocks)
			break;
	}
	return n;
}

void
pir_check_unclaimed(PirCheck *check)
{
	const int	any = PIR_PAGE_META | PIR_PAGE_TABLE | PIR_PAGE_CODE | PIR_PAGE_LIST |
		PIR_PAGE_ENTRY | PIR_PAGE_CENTRE | PIR_PAGE_FREE;

	for (BlockNumber blkno = 0; blkno < check->nblocks; blkno++)
	{
		if (check->uses[blkno] != PIR_USE_NONE ||
			!pir_check_page(check, blkno, any, check->page))
			continue;
		pir_check_add(check, "STORAGE-I6", blkno, PIR_CHECK_NONE,
					  "block of kind 0x%02X is in use but nothing leads to it",
					  pir_page_special(check->page)->kind);
	}
}
