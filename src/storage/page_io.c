/*-------------------------------------------------------------------------
 *
 * page_io.c
 *	  Pins, locks and checks of pages: the only callers of the buffer
 *	  manager beside page_pins.c and page_wal.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "executor/instrument.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "storage/page_debug.h"
#include "storage/page_io.h"
#include "utils/spccache.h"

/* Looks of pir_io_expected() for which a wait counts. */
#define IO_COUNTS_FOR	8

/*
 * Time a read takes if it is one. From the kernel's cache it takes 3 us, from
 * the fastest disks some 50, with the work between two looks in it.
 */
#define IO_SLOW_US		40

Buffer
pir_page_pin(Relation index, BlockNumber blkno)
{
	return ReadBuffer(index, blkno);
}

/*
 * A broken link may lead to a page that we hold locked. Waiting for ourselves
 * could not even be interrupted.
 */
static inline void
check_not_locked(Relation index, Buffer buf)
{
	if (!BufferIsLocal(buf) &&
		unlikely(LWLockHeldByMe(BufferDescriptorGetContentLock(GetBufferDescriptor(buf - 1)))))
		pir_report_corrupted(index, BufferGetBlockNumber(buf), "a link leads to a page in use for something else");
}

Page
pir_page_lock(Relation index, Buffer buf, int kinds, PirLock lock)
{
	Page		page;

	check_not_locked(index, buf);
	LockBuffer(buf, lock == PIR_LOCK_SHARE ? BUFFER_LOCK_SHARE : BUFFER_LOCK_EXCLUSIVE);
	PIR_DEBUG_LOCKED(buf, lock == PIR_LOCK_EXCLUSIVE);
	page = BufferGetPage(buf);
	pir_page_check(index, BufferGetBlockNumber(buf), page, kinds);
	return page;
}

Page
pir_page_lock_pinned(Buffer buf, PirLock lock)
{
	LockBuffer(buf, lock == PIR_LOCK_SHARE ? BUFFER_LOCK_SHARE : BUFFER_LOCK_EXCLUSIVE);
	PIR_DEBUG_LOCKED(buf, lock == PIR_LOCK_EXCLUSIVE);
	return BufferGetPage(buf);
}

bool
pir_page_lock_if(Relation index, Buffer buf, int kinds, PirLock lock, Page *page)
{
	*page = pir_page_lock(index, buf, PIR_PAGE_ANY, lock);
	if (pir_page_special(*page)->kind & kinds)
		return true;
	LockBuffer(buf, BUFFER_LOCK_UNLOCK);
	return false;
}

/*
 * Is there such a block? The length of the last file asked for is remembered,
 * as files of ours only grow: it would take a system call for every link that
 * is followed.
 */
static inline bool
block_exists(Relation index, BlockNumber blkno)
{
	static Oid	file = InvalidOid;
	static BlockNumber length = 0;

	if (unlikely(index->rd_rel->relfilenode != file || blkno >= length))
	{
		file = InvalidOid;
		length = pir_page_count(index);
		file = index->rd_rel->relfilenode;
	}
	return blkno < length;
}

Buffer
pir_page_read(Relation index, BlockNumber blkno, int kinds, PirLock lock)
{
	Buffer		buf;

	/*
	 * ReadBuffer would take InvalidBlockNumber for a wish to extend the file,
	 * and beyond the end its message would not tell what is wrong.
	 */
	if (unlikely(blkno == InvalidBlockNumber))
		pir_report_corrupted(index, PIR_META_BLKNO, "a link leads to no block");
	if (blkno != PIR_META_BLKNO && unlikely(!block_exists(index, blkno)))
		pir_report_corrupted(index, PIR_META_BLKNO, "a link leads to block %u, beyond the end", blkno);
	buf = ReadBuffer(index, blkno);
	(void) pir_page_lock(index, buf, kinds, lock);
	return buf;
}

void
pir_page_lock_pair(Relation index, Buffer a, Buffer b, int kinds)
{
	Buffer		first = BufferGetBlockNumber(a) <= BufferGetBlockNumber(b) ? a : b;

	(void) pir_page_lock(index, first, kinds, PIR_LOCK_EXCLUSIVE);
	if (a != b)
		(void) pir_page_lock(index, first == a ? b : a, kinds, PIR_LOCK_EXCLUSIVE);
}

void
pir_page_unlock_pair(Buffer a, Buffer b)
{
	LockBuffer(a, BUFFER_LOCK_UNLOCK);
	if (a != b)
		LockBuffer(b, BUFFER_LOCK_UNLOCK);
}

void
pir_page_unlock(Buffer buf)
{
	LockBuffer(buf, BUFFER_LOCK_UNLOCK);
}

void
pir_page_unpin(Buffer buf)
{
	ReleaseBuffer(buf);
}

void
pir_page_release(Buffer buf)
{
	UnlockReleaseBuffer(buf);
}

void
pir_page_dirty_release(Buffer buf)
{
	MarkBufferDirty(buf);
	UnlockReleaseBuffer(buf);
}

Page
pir_page_of(Buffer buf)
{
	return BufferGetPage(buf);
}

BlockNumber
pir_page_blkno(Buffer buf)
{
	return BufferGetBlockNumber(buf);
}

char *
pir_page_fault(Page page, int kinds)
{
	PirPageSpecialOnPage *special;

	/* an all-zero page has pd_special 0, hence the first test */
	if (PageIsNew(page))
		return pstrdup("page is empty");
	if (((PageHeader) page)->pd_special != BLCKSZ - sizeof(PirPageSpecialOnPage))
		return psprintf("special space begins at %u instead of %zu",
						((PageHeader) page)->pd_special, BLCKSZ - sizeof(PirPageSpecialOnPage));
	special = pir_page_special(page);
	if (special->page_id != PIR_PAGE_ID)
		return psprintf("page id is 0x%04X instead of 0x%04X", special->page_id, PIR_PAGE_ID);
	if (special->format != PIR_FORMAT_MAJOR)
		return psprintf("page has format version %u, not %u", special->format, PIR_FORMAT_MAJOR);
	if ((special->kind & kinds) == 0)
		return psprintf("page has kind 0x%02X where 0x%02X was expected", special->kind, kinds);
	return NULL;
}

/* The cold half of pir_page_check(): say what is wrong. */
static void
report_bad_page(Relation index, BlockNumber blkno, Page page, int kinds)
{
	if (((PageHeader) page)->pd_special == BLCKSZ - sizeof(PirPageSpecialOnPage))
	{
		PirPageSpecialOnPage *special = pir_page_special(page);

		if (special->page_id == PIR_PAGE_ID && special->format != PIR_FORMAT_MAJOR)
			pir_report_foreign_version(index, blkno, special->format, PIR_FORMAT_MAJOR);
	}
	pir_report_corrupted(index, blkno, "%s", pir_page_fault(page, kinds));
}

void
pir_page_check(Relation index, BlockNumber blkno, Page page, int kinds)
{
	PirPageSpecialOnPage *special;

	/* also catches an all-zero page */
	if (unlikely(((PageHeader) page)->pd_special != BLCKSZ - sizeof(PirPageSpecialOnPage)))
		report_bad_page(index, blkno, page, kinds);
	special = pir_page_special(page);
	if (unlikely(special->page_id != PIR_PAGE_ID ||
				 special->format != PIR_FORMAT_MAJOR ||
				 (special->kind & kinds) == 0))
		report_bad_page(index, blkno, page, kinds);
}

void
pir_page_init(Page page, uint8 kind, uint32 logical)
{
	PirPageSpecialOnPage *special;

	PageInit(page, BLCKSZ, sizeof(PirPageSpecialOnPage));
	memset(pir_page_content(page), 0, PIR_PAGE_CAPACITY);
	special = pir_page_special(page);
	special->logical = logical;
	special->next = InvalidBlockNumber;
	special->nslots = 0;
	special->kind = kind;
	special->format = PIR_FORMAT_MAJOR;
	special->reserved = 0;
	special->page_id = PIR_PAGE_ID;
	pir_page_set_used(page, PIR_PAGE_CAPACITY);
}

void
pir_page_set_used(Page page, Size bytes)
{
	Assert(bytes <= PIR_PAGE_CAPACITY);
	((PageHeader) page)->pd_lower = PIR_PAGE_CONTENT + bytes;
}

BlockNumber
pir_page_count(Relation index)
{
	return RelationGetNumberOfBlocks(index);
}

void
pir_page_prefetch(Relation relation, BlockNumber blkno)
{
	PrefetchBuffer(relation, MAIN_FORKNUM, blkno);
}

void
pir_io_watch(PirIoWatch *watch)
{
	watch->blocks_read = pgBufferUsage.shared_blks_read;
	INSTR_TIME_SET_CURRENT(watch->time);
	watch->left = 0;
}

bool
pir_io_expected(PirIoWatch *watch, Relation relation)
{
	int64		reads = pgBufferUsage.shared_blks_read - watch->blocks_read;

	instr_time	now;
	instr_time	since;

	INSTR_TIME_SET_CURRENT(now);
	since = now;
	INSTR_TIME_SUBTRACT(since, watch->time);
	watch->time = now;
	watch->blocks_read += reads;
	if (reads > 0 && INSTR_TIME_GET_MICROSEC(since) >= IO_SLOW_US * (uint64) reads)
		watch->left = IO_COUNTS_FOR;
	else if (watch->left > 0)
		watch->left--;
	return watch->left > 0 && pir_kernel_reads_ahead() &&
		get_tablespace_io_concurrency(relation->rd_rel->reltablespace) > 0;
}

Buffer
pir_page_new(Relation index, ForkNumber fork, BlockNumber blkno)
{
	Buffer		buf;

	/*
	 * The file may be longer than what is in use, if a crash or error came
	 * between extending it and the record that would have linked the page.
	 */
	if (blkno < RelationGetNumberOfBlocksInFork(index, fork))
	{
		/* what it holds, or whether it can be read, does not matter */
		buf = ReadBufferExtended(index, fork, blkno, RBM_ZERO_ON_ERROR, NULL);
		check_not_locked(index, buf);
		LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
		memset(BufferGetPage(buf), 0, BLCKSZ);
		PIR_DEBUG_LOCKED(buf, true);
		return buf;
	}

	buf = ReadBufferExtended(index, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);
	if (BufferGetBlockNumber(buf) != blkno)
		elog(ERROR, "index \"%s\" was extended to block %u while %u was expected",
			 RelationGetRelationName(index), BufferGetBlockNumber(buf), blkno);
	PIR_DEBUG_LOCKED(buf, true);
	return buf;
}

void
pir_index_lock_training(Relation index)
{
	LockPage(index, PIR_META_BLKNO, ExclusiveLock);
}

void
pir_index_unlock_training(Relation index)
{
	UnlockPage(index, PIR_META_BLKNO, ExclusiveLock);
}
