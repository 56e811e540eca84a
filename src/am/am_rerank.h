/*-------------------------------------------------------------------------
 *
 * am_rerank.h
 *	  From a heap row's TID to the exact value the index stands for.
 *
 * The index keeps codes only; whoever needs the value itself (re-ranking,
 * training, the checker) fetches the row and evaluates the index's column or
 * expression on it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_RERANK_H
#define PIR_AM_RERANK_H

#include "postgres.h"

#include "access/tableam.h"
#include "base/pir_compat.h"
#include "nodes/execnodes.h"
#include "storage/page_toast_scan.h"
#include "utils/snapshot.h"

/*
 * Values that a scan may hold back until it returns their rows. It fetches
 * some k + 10 rows for k, so few wait at a time.
 */
#define PIR_RERANK_KEPT		32
#define PIR_RERANK_KEPT_BYTES	(1024 * 1024)
#define PIR_RERANK_NOT_KEPT	(-1)

/* An out-of-line value that was read. */
typedef struct PirRerankKept
{
	struct varatt_external pointer;
	struct varlena *value;
	Size		capacity;		/* allocated at 'value' */
} PirRerankKept;

typedef struct PirRerank
{
	Relation	heap;
	IndexInfo  *info;
	AttrNumber	attno;			/* of a plain column; 0 = expression */
	EState	   *estate;			/* only for expressions */
	struct IndexFetchTableData *fetch;
	TupleTableSlot *slot;
	MemoryContext context;		/* reset at each fetch: holds the value */

	MemoryContext kept_context; /* of what follows; child of the creator's */
	PirToastScan *toast;		/* NULL without kept_context, or without a TOAST table */
	PirRerankKept kept[PIR_RERANK_KEPT];
	int			free_kept[PIR_RERANK_KEPT];
	int			nfree;
	int			offered;		/* the one offered to the executor, or PIR_RERANK_NOT_KEPT */
} PirRerank;

/*
 * Prepare to fetch rows of 'heap' for 'index'. Everything is allocated in the
 * current memory context and must be closed in it.
 */
extern PirRerank *pir_rerank_begin(Relation heap, Relation index);

/*
 * Fetch the row version at 'tid' (or the visible one of its HOT chain) under
 * the snapshot. False if there is none, or if it does not belong in a partial
 * index's column (NULL). The value lives until the next fetch.
 */
extern bool pir_rerank_fetch(PirRerank *rerank, ItemPointer tid, Snapshot snapshot, Datum *value);

/*
 * Bring the fetched value in line. If it was out of line and there is room, it
 * is kept: *kept gets its number, to be given to pir_rerank_offer() when the
 * row is returned; else PIR_RERANK_NOT_KEPT. The result lives until then, or
 * until the next fetch.
 */
extern Datum pir_rerank_detoast(PirRerank *rerank, Datum value, int *kept);

/*
 * The rows at tids[] will be fetched next: have what is not in buffers read
 * now, all of it at the same time. For callers that expect reads; it costs
 * half of what fetching does.
 */
extern void pir_rerank_read_ahead(PirRerank *rerank, ItemPointerData *tids, int ntids, Snapshot snapshot);

/*
 * The row whose value is number 'kept' (or was not kept) is being returned:
 * the executor finds the value in base/pir_recent.h until the next call.
 * Drops the pins of TOAST pages.
 */
extern void pir_rerank_offer(PirRerank *rerank, int kept);

/* Nothing is kept or offered any more: the scan begins anew. */
extern void pir_rerank_forget(PirRerank *rerank);

extern void pir_rerank_end(PirRerank *rerank);

#endif							/* PIR_AM_RERANK_H */
