/*-------------------------------------------------------------------------
 *
 * page_toast_scan.h
 *	  Out-of-line values of one table, read through the TOAST index.
 *
 * The server opens and closes the TOAST table and its index for every value.
 * A scan that reads dozens of them keeps both open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_TOAST_SCAN_H
#define PIR_PAGE_TOAST_SCAN_H

#include "postgres.h"

#include "base/pir_compat.h"
#include "utils/relcache.h"

typedef struct PirToastScan PirToastScan;

/*
 * Prepare to read values of 'table'. NULL if it has no TOAST table, or one
 * that is not a heap. Allocated in the current memory context, which must be
 * current in all other calls, too; a snapshot must be active or registered.
 * Locks: AccessShareLock on TOAST table and index.
 */
extern PirToastScan *pir_toast_scan_begin(Relation table);

/*
 * Copy the value behind 'pointer' as it is stored (possibly compressed) to
 * 'out', VARATT_EXTERNAL_GET_EXTSIZE() bytes. False if it is not of this TOAST
 * table or its chunks are not as they should be: the server then knows better.
 * Pins of TOAST pages are kept until pir_toast_scan_pause().
 */
extern bool pir_toast_scan_read(PirToastScan *scan, const struct varatt_external *pointer, char *out);

/* Have the pages of a value read that will be wanted soon. */
extern void pir_toast_scan_read_ahead(PirToastScan *scan, const struct varatt_external *pointer);

/* Drop pins until the next read: before the executor gets control back. */
extern void pir_toast_scan_pause(PirToastScan *scan);

extern void pir_toast_scan_end(PirToastScan *scan);

#endif							/* PIR_PAGE_TOAST_SCAN_H */
