/*-------------------------------------------------------------------------
 *
 * page_toast.h
 *	  Read out-of-line values in the order in which they were written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_TOAST_H
#define PIR_PAGE_TOAST_H

#include "postgres.h"

struct varatt_external;

/*
 * Read an uncompressed value from its TOAST table, in a new allocation of the
 * current memory context; see base/pir_detoast.h. NULL if the value is not found
 * where it was guessed to be, or guessing is not worth while: the server's own
 * function must be asked, which also reports what is wrong with it, if
 * anything is.
 *
 * Locks: takes AccessShareLock on the TOAST table and keeps it until the end
 * of the transaction, as scans keep the table's; holds one page at a time with
 * a share lock, and no pin on return.
 */
extern struct varlena *pir_toast_read(const struct varatt_external *pointer);

#endif							/* PIR_PAGE_TOAST_H */
