/*-------------------------------------------------------------------------
 *
 * am_check_rows.h
 *	  Verifying that an index and its table agree, for all index kinds.
 *
 * A kind adds every heap row that its index points to, with the number of the
 * node (or list) that has it; then they are sorted by TID and merged with a
 * scan of the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_CHECK_ROWS_H
#define PIR_AM_CHECK_ROWS_H

#include "am/am_value.h"
#include "storage/itemptr.h"
#include "storage/page_check.h"

typedef struct PirCheckRows PirCheckRows;

/* What a kind has to say about it; invariants are constants. */
typedef struct PirCheckRowsKind
{
	const char *twice;			/* a row is in the index once */
	const char *missing;		/* a visible row with something to index is in it */
	const char *dangling;		/* every row of the index exists, and has something to index */
	const char *what;			/* what 'node' numbers: "node" */

	/*
	 * Look at a row that is visible and in the index under 'node' with 'place'.
	 * 'input' is its value as quantizer input. Runs in a context that is reset
	 * for each row.
	 */
	void		(*row) (void *arg, const ItemPointerData *tid, int64 node, int64 place,
						const void *input);
} PirCheckRowsKind;

/*
 * Begin to collect rows, within maintenance_work_mem, else on disk. All
 * arguments must live until the end.
 */
extern PirCheckRows *pir_check_rows_begin(PirCheck *check, const PirCheckRowsKind *kind,
										  const PirValueInfo *value, void *arg);

/* The index points to 'tid'; 'place' is handed back to kind->row(). */
extern void pir_check_rows_add(PirCheckRows *rows, const ItemPointerData *tid, int64 node, int64 place);

/*
 * Compare with the table; ends it. The caller has shut writers out.
 * Locks: share lock on one heap page at a time.
 */
extern void pir_check_rows_compare(PirCheckRows *rows);

#endif							/* PIR_AM_CHECK_ROWS_H */
