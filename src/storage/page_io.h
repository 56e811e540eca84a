/*-------------------------------------------------------------------------
 *
 * page_io.h
 *	  Pins, locks and checks of pages: the only callers of the buffer
 *	  manager.
 *
 * Lock order: see README.md section 6. A "pin" here is a Buffer held without
 * content lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_IO_H
#define PIR_PAGE_IO_H

#include "portability/instr_time.h"
#include "storage/buf.h"
#include "storage/page_format.h"
#include "utils/rel.h"

typedef enum PirLock
{
	PIR_LOCK_SHARE,
	PIR_LOCK_EXCLUSIVE
} PirLock;

/*
 * Pin block blkno, lock it, and check that it is a page of ours of one of
 * 'kinds' (mask of PIR_PAGE_*).
 * Locks: returns with pin and content lock. Errors: INDEX_CORRUPTED.
 */
extern Buffer pir_page_read(Relation index, BlockNumber blkno, int kinds, PirLock lock);

/* Pin only; nothing may be read from the page before pir_page_lock(). */
extern Buffer pir_page_pin(Relation index, BlockNumber blkno);

/* Lock a pinned page and check its kind. */
extern Page pir_page_lock(Relation index, Buffer buf, int kinds, PirLock lock);

/*
 * The same for a page that may have become another kind meanwhile: false, and
 * unlocked, if it is none of 'kinds'.
 */
extern bool pir_page_lock_if(Relation index, Buffer buf, int kinds, PirLock lock, Page *page);

/*
 * The same without a check, for a page whose kind was checked since it was
 * pinned and cannot have changed: see pir_pins_get().
 */
extern Page pir_page_lock_pinned(Buffer buf, PirLock lock);

/*
 * Lock two pinned pages exclusively, in ascending order of blocks; they may be
 * the same one. pir_page_unlock_pair() undoes it.
 */
extern void pir_page_lock_pair(Relation index, Buffer a, Buffer b, int kinds);
extern void pir_page_unlock_pair(Buffer a, Buffer b);

extern void pir_page_unlock(Buffer buf);
extern void pir_page_unpin(Buffer buf);

/* Unlock and unpin. */
extern void pir_page_release(Buffer buf);

/*
 * Mark dirty, unlock and unpin: for pages of a build in progress, which are
 * logged at its end. All other changes go through page_wal.h.
 */
extern void pir_page_dirty_release(Buffer buf);

extern Page pir_page_of(Buffer buf);
extern BlockNumber pir_page_blkno(Buffer buf);

/* ERROR unless the (locked) page is well-formed and of one of 'kinds'. */
extern void pir_page_check(Relation index, BlockNumber blkno, Page page, int kinds);

/*
 * What pir_page_check() would complain of, as a clause in the current memory
 * context; NULL if nothing.
 */
extern char *pir_page_fault(Page page, int kinds);

/*
 * Make an empty page of the given kind: header, zeroed content, special
 * space. pd_lower is set so that all of the content is logged; narrow it
 * with pir_page_set_used().
 */
extern void pir_page_init(Page page, uint8 kind, uint32 logical);

/* Declare the first 'bytes' of the content as used (sets pd_lower). */
extern void pir_page_set_used(Page page, Size bytes);

/*
 * The training lock of an index: whoever changes what its node numbers mean
 * holds it, and so does VACUUM while they might change. A heavyweight lock;
 * waits are interruptible and deadlocks are detected. Never waited for with a
 * content lock held.
 */
extern void pir_index_lock_training(Relation index);
extern void pir_index_unlock_training(Relation index);

/* Blocks of the index file now. */
extern BlockNumber pir_page_count(Relation index);

/* Ask the kernel or the server to fetch a block soon, if no buffer has it. */
extern void pir_page_prefetch(Relation relation, BlockNumber blkno);

/* Does this backend wait for reads? */
typedef struct PirIoWatch
{
	int64		blocks_read;	/* when last looked */
	instr_time	time;			/* of that look */
	int			left;			/* looks for which the last wait still counts */
} PirIoWatch;

/* Begin to watch, from now on. */
extern void pir_io_watch(PirIoWatch *watch);

/*
 * Whether it pays to look ahead for blocks that are not in a buffer: blocks
 * have been read lately, and slowly, so not from the kernel's cache; and the
 * tablespace of 'relation' allows concurrent reads (effective_io_concurrency).
 * To be asked once per step of the work that reads.
 */
extern bool pir_io_expected(PirIoWatch *watch, Relation relation);

/*
 * Pin and exclusively lock block blkno of a fork for a new page, contents
 * zero: an unused block if the file reaches so far, else the file is extended
 * by it.
 * Locks: the caller must be the only one who extends the fork (README.md
 * section 6).
 */
extern Buffer pir_page_new(Relation index, ForkNumber fork, BlockNumber blkno);

#endif							/* PIR_PAGE_IO_H */
