/*-------------------------------------------------------------------------
 *
 * page_wal.c
 *	  One atomic, WAL-logged change of up to four pages.
 *
 * Records are those of the server's generic resource manager, so that any
 * server replays them; but they are written here, not by GenericXLogFinish().
 * Such a record has, for each page that is not logged whole, fragments
 *
 *		uint16 offset, uint16 length, the new bytes
 *
 * and replay writes them to the page and zeroes what is then between pd_lower
 * and pd_upper. That has been so since there are generic records (9.6), and
 * test/t/420_wal_standby.pl compares every page. Two things are done better:
 *
 *	- pages are compared by words, not bytes: 0.3 us instead of 5 for a page,
 *	  with exclusive locks held;
 *	- what a growing pd_lower uncovers is known to be zero and only logged
 *	  where it is not; GenericXLog takes it for unknown.
 *
 * See README.md section 8 for why not a resource manager of our own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/rmgr.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/page_wal.h"

#undef pir_wal_finish
#undef pir_wal_log_build

StaticAssertDecl(PIR_WAL_MAX_PAGES <= MAX_GENERIC_XLOG_PAGES,
				 "replay takes as many pages as we promise");

/* Offset and length of a fragment; so many equal bytes do not end one. */
#define FRAGMENT_HEAD	(2 * sizeof(uint16))

/*
 * A fragment is ended by more equal bytes than the head of the next takes, so
 * fragments are never longer than what they are taken from, but for the first
 * of each of three regions.
 */
#define MAX_DELTA		(BLCKSZ + 3 * FRAGMENT_HEAD)

/*
 * What a change works with. One for all, since a backend makes one change at
 * a time; 'serial' makes sure of that.
 */
static PGAlignedBlock copies[PIR_WAL_MAX_PAGES];
static char deltas[PIR_WAL_MAX_PAGES][MAX_DELTA];
static uint64 serial = 0;

static const PGAlignedBlock zeros = {{0}};

static inline void
check_current(const PirWal *wal)
{
	if (unlikely(wal->serial != serial))
		elog(ERROR, "a change of pages was begun within another one");
}

void
pir_wal_begin(PirWal *wal, Relation index)
{
	wal->index = index;
	wal->logged = RelationNeedsWAL(index);
	wal->serial = ++serial;
	wal->npages = 0;
}

static Page
add_page(PirWal *wal, Buffer buf, bool whole)
{
	check_current(wal);
	if (wal->npages == PIR_WAL_MAX_PAGES)
		elog(ERROR, "a change of pages has more than %d", PIR_WAL_MAX_PAGES);
	wal->bufs[wal->npages] = buf;
	wal->whole[wal->npages] = whole;
	return (Page) copies[wal->npages++].data;
}

/* Copy the page, with zeros in place of what is not used. */
static void
copy_page(Page to, Page from)
{
	Size		lower = ((PageHeader) from)->pd_lower;
	Size		upper = ((PageHeader) from)->pd_upper;

	memcpy(to, from, lower);
	memset(to + lower, 0, upper - lower);
	memcpy(to + upper, from + upper, BLCKSZ - upper);
}

Page
pir_wal_page(PirWal *wal, Buffer buf)
{
	Page		page = BufferGetPage(buf);
	PageHeader	header = (PageHeader) page;
	Page		copy;

	for (int i = 0; i < wal->npages; i++)
	{
		if (wal->bufs[i] == buf)
			return (Page) copies[i].data;
	}
	if (unlikely(header->pd_lower < PIR_PAGE_CONTENT || header->pd_lower > header->pd_upper ||
				 header->pd_upper != header->pd_special))
		pir_report_corrupted(wal->index, BufferGetBlockNumber(buf),
							 "page is used up to %u and from %u on, its special space begins at %u",
							 header->pd_lower, header->pd_upper, header->pd_special);
	copy = add_page(wal, buf, false);
	copy_page(copy, page);
	return copy;
}

Page
pir_wal_new_page(PirWal *wal, Buffer buf, uint8 kind, uint32 logical)
{
	Page		copy = add_page(wal, buf, true);

	pir_page_init(copy, kind, logical);
	return copy;
}

/* The first place from 'at' on where the pages differ, or 'end'. */
static inline Size
first_difference(const char *old, const char *new, Size at, Size end)
{
	while (at + 32 <= end)
	{
		uint64		a[4];
		uint64		b[4];

		memcpy(a, old + at, sizeof(a));
		memcpy(b, new + at, sizeof(b));
		if (((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) != 0)
			break;
		at += 32;
	}
	while (at < end && old[at] == new[at])
		at++;
	return at;
}

/* Append the fragments for bytes begin .. end - 1; returns the new end of the delta. */
static char *
write_fragments(char *delta, const char *old, const char *new, Size begin, Size end)
{
	Size		at = begin;

	while ((at = first_difference(old, new, at, end)) < end)
	{
		uint16		head[2];
		Size		last = at;	/* the last byte that differs */

		for (Size i = at + 1; i < end && i - last <= FRAGMENT_HEAD + 1; i++)
		{
			if (old[i] != new[i])
				last = i;
		}
		head[0] = (uint16) at;
		head[1] = (uint16) (last + 1 - at);
		memcpy(delta, head, FRAGMENT_HEAD);
		memcpy(delta + FRAGMENT_HEAD, new + at, head[1]);
		delta += FRAGMENT_HEAD + head[1];
		at = last + 1;
	}
	return delta;
}

/* What leads from the page to its copy; returns the length of it. */
static Size
compute_delta(char *delta, const char *page, const char *copy)
{
	Size		old_lower = ((PageHeader) page)->pd_lower;
	Size		lower = ((PageHeader) copy)->pd_lower;
	Size		upper = ((PageHeader) copy)->pd_upper;
	char	   *end;

	end = write_fragments(delta, page, copy, 0, Min(lower, old_lower));
	if (lower > old_lower)
		end = write_fragments(end, zeros.data, copy, old_lower, lower);
	end = write_fragments(end, page, copy, upper, BLCKSZ);
	return end - delta;
}

void
pir_wal_finish(PirWal *wal)
{
	Size		length[PIR_WAL_MAX_PAGES];
	int			nchanged = 0;
	XLogRecPtr	lsn;

	check_current(wal);
	for (int i = 0; i < wal->npages; i++)
	{
		Assert(((PageHeader) copies[i].data)->pd_upper == ((PageHeader) copies[i].data)->pd_special);
		length[i] = wal->whole[i] ? 0 :
			compute_delta(deltas[i], BufferGetPage(wal->bufs[i]), copies[i].data);
		if (wal->whole[i] || length[i] > 0)
			nchanged++;
	}
	if (nchanged > 0)
	{
		if (wal->logged)
			XLogBeginInsert();

		START_CRIT_SECTION();
		for (int i = 0; i < wal->npages; i++)
		{
			if (!wal->whole[i] && length[i] == 0)
				continue;
			copy_page(BufferGetPage(wal->bufs[i]), copies[i].data);
			MarkBufferDirty(wal->bufs[i]);
			if (!wal->logged)
				continue;
			if (wal->whole[i])
				XLogRegisterBuffer(i, wal->bufs[i], REGBUF_FORCE_IMAGE | REGBUF_STANDARD);
			else
			{
				XLogRegisterBuffer(i, wal->bufs[i], REGBUF_STANDARD);
				XLogRegisterBufData(i, deltas[i], length[i]);
			}
		}
		if (wal->logged)
		{
			lsn = XLogInsert(RM_GENERIC_ID, 0);
			for (int i = 0; i < wal->npages; i++)
			{
				if (wal->whole[i] || length[i] > 0)
					PageSetLSN(BufferGetPage(wal->bufs[i]), lsn);
			}
		}
		END_CRIT_SECTION();
	}
	wal->serial = 0;
}

void
pir_wal_abort(PirWal *wal)
{
	check_current(wal);
	wal->serial = 0;
}

void
pir_wal_log_build(Relation index, ForkNumber fork)
{
	if (RelationNeedsWAL(index) || fork == INIT_FORKNUM)
		log_newpage_range(index, fork, 0, RelationGetNumberOfBlocksInFork(index, fork), true);
}
