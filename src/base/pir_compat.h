/*-------------------------------------------------------------------------
 *
 * pir_compat.h
 *	  The differences between PostgreSQL 14 and 18, in one place: the only
 *	  file of the tree that may look at PG_VERSION_NUM.
 *
 * Each section gives one name that means the same on every version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_COMPAT_H
#define PIR_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 140000
#error "piramid requires PostgreSQL 14 or later"
#endif

/* PG_MODULE_MAGIC_EXT reports name and version (18) */
#define PIR_HAVE_MODULE_MAGIC_EXT	(PG_VERSION_NUM >= 180000)

/* varlena macros moved out of postgres.h (16) */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * The library hides its symbols (-fvisibility=hidden); what SQL or the server
 * calls is exported by this mark, which is empty outside Windows before 16.
 */
#if PG_VERSION_NUM < 160000 && !defined(_WIN32)
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* rd_node became rd_locator (16) */
#if PG_VERSION_NUM >= 160000
#define pir_read_recent_buffer(rel, blkno, buf) \
	ReadRecentBuffer((rel)->rd_locator, MAIN_FORKNUM, (blkno), (buf))
#define PirFile			RelFileLocator
#define pir_file_number(file)	((file).relNumber)
#else
#define pir_read_recent_buffer(rel, blkno, buf) \
	ReadRecentBuffer((rel)->rd_node, MAIN_FORKNUM, (blkno), (buf))
#define PirFile			RelFileNode
#define pir_file_number(file)	((file).relNode)
#endif

/* vacuum_delay_point() tells whether ANALYZE calls (18) */
#if PG_VERSION_NUM >= 180000
#define pir_vacuum_delay_point()	vacuum_delay_point(false)
#else
#define pir_vacuum_delay_point()	vacuum_delay_point()
#endif

/* placeholders under a prefix of ours are unknown settings (14 had a function that only warned) */
#if PG_VERSION_NUM >= 150000
#define pir_reserve_guc_prefix(prefix)	MarkGUCPrefixReserved(prefix)
#else
#define pir_reserve_guc_prefix(prefix)	EmitWarningsOnPlaceholders(prefix)
#endif

/* a path counts how often it goes against a setting (18); before, infinite cost is enough */
#if PG_VERSION_NUM >= 180000
#define pir_disable_path(path)	((path)->disabled_nodes = 2)
#else
#define pir_disable_path(path)	((void) (path))
#endif

/* pg_attribute_noreturn() became pg_noreturn, in another place (18) */
#define PIR_NORETURN __attribute__((noreturn))

/* a random number below n; the generator became pg_prng (15) */
#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#define pir_random_below(n)	pg_prng_uint64_range(&pg_global_prng_state, 0, (n) - 1)
#else
#define pir_random_below(n)	((uint64) random() % (n))
#endif

/* does the role own the relation? (the check became a general one in 16) */
#if PG_VERSION_NUM >= 160000
#define pir_owns_relation(relid, roleid)	object_ownercheck(RelationRelationId, (relid), (roleid))
#else
#define pir_owns_relation(relid, roleid)	pg_class_ownercheck((relid), (roleid))
#endif

/* where to learn about replay (15) */
#if PG_VERSION_NUM >= 150000
#define PIR_XLOGRECOVERY_H	"access/xlogrecovery.h"
#else
#define PIR_XLOGRECOVERY_H	"access/xlog.h"
#endif

/* a safe search_path for functions run on behalf of a table's owner (17) */
#if PG_VERSION_NUM >= 170000
#define pir_restrict_search_path()	RestrictSearchPath()
#else
#define pir_restrict_search_path()	((void) 0)
#endif

/* EXPLAIN counts index searches (18) */
#if PG_VERSION_NUM >= 180000
#define pir_count_index_search(scan) \
	do { \
		if ((scan)->instrument) \
			(scan)->instrument->nsearches++; \
	} while (0)
#else
#define pir_count_index_search(scan)	((void) 0)
#endif

/* the snapshot that TOAST is read with: one of the caller's (14), or the server's (18) */
#if PG_VERSION_NUM >= 180000
#define pir_toast_snapshot(space)	((void) (space), get_toast_snapshot())
#else
#define pir_toast_snapshot(space)	(init_toast_snapshot(space), (space))
#endif

/* reads may bypass the kernel's cache, and then it cannot be asked to read ahead (16) */
#if PG_VERSION_NUM >= 160000
#define pir_kernel_reads_ahead()	((io_direct_flags & IO_DIRECT_DATA) == 0)
#else
#define pir_kernel_reads_ahead()	true
#endif

/* an index scan may count what it does for EXPLAIN (18); here it does not */
#if PG_VERSION_NUM >= 180000
#define pir_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), NULL, (nkeys), 0)
#else
#define pir_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), (nkeys), 0)
#endif

/* the transaction's number in this backend (moved in 17) */
#if PG_VERSION_NUM >= 170000
#define pir_local_xid()	(MyProc->vxid.lxid)
#else
#define pir_local_xid()	(MyProc->lxid)
#endif

/* reading a sort of datums takes a word on who owns the result (16); here always the caller */
#if PG_VERSION_NUM >= 160000
#define pir_sort_next_datum(sort, value, isnull) \
	tuplesort_getdatum((sort), true, true, (value), (isnull), NULL)
#else
#define pir_sort_next_datum(sort, value, isnull) \
	tuplesort_getdatum((sort), true, (value), (isnull), NULL)
#endif

/* BufFileWrite() took a pointer to non-const (before 16) */
#define pir_buffile_write(file, data, size)	BufFileWrite((file), unconstify(void *, (const void *) (data)), (size))

#endif							/* PIR_COMPAT_H */
