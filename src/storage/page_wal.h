/*-------------------------------------------------------------------------
 *
 * page_wal.h
 *	  One atomic, WAL-logged change of up to four pages.
 *
 *		PirWal wal;
 *		pir_wal_begin(&wal, index);
 *		page = pir_wal_page(&wal, buf);		(exclusive lock held)
 *		... change 'page' ...
 *		pir_wal_finish(&wal);				(locks still held; release after)
 *
 * Changes are made on a private copy and reach the buffer in finish, inside
 * the critical section that writes the record; an ERROR before that leaves
 * the pages untouched. A backend has one change at a time, and may forget it
 * in an error. Records are generic ones, so that any server can replay them,
 * also without this library. Works for unlogged and temporary indexes (no
 * record is written then).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_WAL_H
#define PIR_PAGE_WAL_H

#include "storage/page_debug.h"
#include "storage/page_io.h"

#define PIR_WAL_MAX_PAGES	4

typedef struct PirWal
{
	Relation	index;
	bool		logged;
	uint64		serial;			/* which change of this backend */
	int			npages;
	Buffer		bufs[PIR_WAL_MAX_PAGES];
	bool		whole[PIR_WAL_MAX_PAGES];	/* logged whole */
} PirWal;

extern void pir_wal_begin(PirWal *wal, Relation index);

/*
 * Add a page (once more: the same copy); returns the copy to change. 'buf'
 * must be exclusively locked and stay so until finish. What is behind pd_lower
 * is zero in it. Errors: INDEX_CORRUPTED if the page header makes no sense.
 */
extern Page pir_wal_page(PirWal *wal, Buffer buf);

/* The same for a page that is initialised from scratch (logged whole). */
extern Page pir_wal_new_page(PirWal *wal, Buffer buf, uint8 kind, uint32 logical);

/* Pages that were added but are as they were take no part in the record. */
extern void pir_wal_finish(PirWal *wal);
extern void pir_wal_abort(PirWal *wal);

/*
 * End of a build: log every block of the fork as a full image (if the index
 * needs WAL). The pages must be dirty in shared buffers or on disk.
 */
extern void pir_wal_log_build(Relation index, ForkNumber fork);

/* In test builds every change is a stop point, named after its function. */
#ifdef PIR_TEST_BUILD
#define pir_wal_finish(wal)		(pir_wal_finish(wal), PIR_STOP_POINT(__func__))
#define pir_wal_log_build(index, fork) \
	(PIR_STOP_POINT("before_build_log"), pir_wal_log_build(index, fork), PIR_STOP_POINT("after_build_log"))
#endif

#endif							/* PIR_PAGE_WAL_H */
