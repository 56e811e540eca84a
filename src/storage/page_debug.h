/*-------------------------------------------------------------------------
 *
 * page_debug.h
 *	  What test builds have beside others: stop points, and a check of the
 *	  order in which content locks are taken.
 *
 * A test build is made with COPT=-DPIR_TEST_BUILD; a server with assertions
 * has the check of the lock order too. In any other build all of this is
 * nothing.
 *
 * A stop point is a place where a test can have the backend stop: by dying
 * as in a crash, by an ERROR, or by a cancel. Every atomic change is one,
 * just after its record was written and while its locks are held, under the
 * name of the function that makes it: pir_wal_finish() sees to that, so none
 * can be forgotten. Others are named with PIR_STOP_POINT. Tests reach them by
 *
 *		CREATE FUNCTION stop_at(text) RETURNS text
 *			AS '$libdir/piramid', 'pir_debug_stop_at' LANGUAGE C STRICT;
 *		SELECT stop_at('crash write_node 3');	at the third time it is reached
 *		SELECT stop_at('error sweep 1');
 *		SELECT stop_at('cancel repair_page 1');
 *		SELECT stop_at('');						never
 *
 * which also returns the names reached in this session since the last call,
 * each with how often, and begins to count anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_DEBUG_H
#define PIR_PAGE_DEBUG_H

#include "storage/buf.h"
#include "storage/page_format.h"

#ifdef PIR_TEST_BUILD
extern void pir_debug_stop_point(const char *name);
#define PIR_STOP_POINT(name)	pir_debug_stop_point(name)
#else
#define PIR_STOP_POINT(name)	((void) 0)
#endif

#if defined(PIR_TEST_BUILD) || defined(USE_ASSERT_CHECKING)
/*
 * Call after every content lock of a page of ours was taken: PANIC unless the
 * order of README.md section 6, and hnsw/README.md section 6 for an index of
 * that kind, allows it with those held. Need not be told of unlocks.
 */
extern void pir_debug_locked(Buffer buf, bool exclusive);

/* Says which kind of index the file of this buffer is. */
extern void pir_debug_kind(Buffer buf, PirKindId kind);

#define PIR_DEBUG_LOCKED(buf, exclusive)	pir_debug_locked((buf), (exclusive))
#define PIR_DEBUG_KIND(buf, kind)			pir_debug_kind((buf), (kind))
#else
#define PIR_DEBUG_LOCKED(buf, exclusive)	((void) 0)
#define PIR_DEBUG_KIND(buf, kind)			((void) 0)
#endif

#endif							/* PIR_PAGE_DEBUG_H */
