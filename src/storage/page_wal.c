/*-------------------------------------------------------------------------
 *
 * page_wal.c
 *	  One atomic, WAL-logged change of up to four pages.
 *
 * See README.md section 8 for why GenericXLog and not a resource manager of
 * our own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/xloginsert.h"
#include "base/pir_compat.h"
#include "storage/bufmgr.h"
#include "storage/page_wal.h"

StaticAssertDecl(PIR_WAL_MAX_PAGES <= MAX_GENERIC_XLOG_PAGES,
				 "GenericXLog takes as many pages as we promise");

void
pir_wal_begin(PirWal *wal, Relation index)
{
	wal->state = GenericXLogStart(index);
	wal->npages = 0;
}

Page
pir_wal_page(PirWal *wal, Buffer buf)
{
	Assert(wal->npages < PIR_WAL_MAX_PAGES);
	wal->npages++;
	return GenericXLogRegisterBuffer(wal->state, buf, 0);
}

Page
pir_wal_new_page(PirWal *wal, Buffer buf, uint8 kind, uint32 logical)
{
	Page		page;

	Assert(wal->npages < PIR_WAL_MAX_PAGES);
	wal->npages++;
	page = GenericXLogRegisterBuffer(wal->state, buf, GENERIC_XLOG_FULL_IMAGE);
	pir_page_init(page, kind, logical);
	return page;
}

void
pir_wal_finish(PirWal *wal)
{
	GenericXLogFinish(wal->state);
	wal->state = NULL;
}

void
pir_wal_abort(PirWal *wal)
{
	GenericXLogAbort(wal->state);
	wal->state = NULL;
}

void
pir_wal_log_build(Relation index, ForkNumber fork)
{
	if (RelationNeedsWAL(index) || fork == INIT_FORKNUM)
		log_newpage_range(index, fork, 0, RelationGetNumberOfBlocksInFork(index, fork), true);
}
