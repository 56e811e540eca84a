/*-------------------------------------------------------------------------
 *
 * page_toast_scan.c
 *	  Out-of-line values of one table, read through the TOAST index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heaptoast.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/toast_internals.h"
#include "base/pir_compat.h"
#include "storage/page_heap.h"
#include "storage/page_io.h"
#include "storage/page_toast_scan.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

struct PirToastScan
{
	Relation	rel;
	Relation   *indexes;
	int			nindexes;
	SnapshotData snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool		paused;			/* no pins */
};

PirToastScan *
pir_toast_scan_begin(Relation table)
{
	PirToastScan *scan;
	Relation	rel;
	int			valid;

	if (!OidIsValid(table->rd_rel->reltoastrelid))
		return NULL;
	rel = table_open(table->rd_rel->reltoastrelid, AccessShareLock);
	if (!pir_heap_readable(rel))
	{
		table_close(rel, AccessShareLock);
		return NULL;
	}
	scan = palloc0(sizeof(PirToastScan));
	scan->rel = rel;
	valid = toast_open_indexes(rel, AccessShareLock, &scan->indexes, &scan->nindexes);
	scan->scan = pir_index_beginscan(rel, scan->indexes[valid],
									 pir_toast_snapshot(&scan->snapshot), 1);
	scan->slot = table_slot_create(rel, NULL);
	scan->paused = true;
	return scan;
}

/* Make the chunks of a value what the scan returns next. */
static void
stand_before(PirToastScan *scan, const struct varatt_external *pointer)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(pointer->va_valueid));
	index_rescan(scan->scan, &key, 1, NULL, 0);
	scan->paused = false;
}

/* Copy one chunk; false unless it is the one wanted. */
static bool
copy_chunk(TupleTableSlot *slot, int32 seq, int32 size, char *out)
{
	bool		isnull[2];
	int32		found = DatumGetInt32(slot_getattr(slot, 2, &isnull[0]));
	struct varlena *chunk = (struct varlena *) DatumGetPointer(slot_getattr(slot, 3, &isnull[1]));

	if (isnull[0] || isnull[1] || found != seq ||
		VARATT_IS_EXTERNAL(chunk) || VARATT_IS_COMPRESSED(chunk) ||
		VARSIZE_ANY_EXHDR(chunk) != size)
		return false;
	memcpy(out, VARDATA_ANY(chunk), size);
	return true;
}

bool
pir_toast_scan_read(PirToastScan *scan, const struct varatt_external *pointer, char *out)
{
	int32		size = VARATT_EXTERNAL_GET_EXTSIZE(*pointer);
	int32		done = 0;

	if (pointer->va_toastrelid != RelationGetRelid(scan->rel))
		return false;

	stand_before(scan, pointer);
	for (int32 seq = 0; done < size; seq++)
	{
		int32		count = Min(size - done, TOAST_MAX_CHUNK_SIZE);

		if (!index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot) ||
			!copy_chunk(scan->slot, seq, count, out + done))
			return false;
		done += count;
	}
	return true;
}

void
pir_toast_scan_read_ahead(PirToastScan *scan, const struct varatt_external *pointer)
{
	BlockNumber last = InvalidBlockNumber;
	ItemPointer tid;

	if (pointer->va_toastrelid != RelationGetRelid(scan->rel))
		return;
	stand_before(scan, pointer);
	while ((tid = index_getnext_tid(scan->scan, ForwardScanDirection)) != NULL)
	{
		BlockNumber blkno = ItemPointerGetBlockNumber(tid);

		if (blkno != last)
			pir_page_prefetch(scan->rel, blkno);
		last = blkno;
	}
}

void
pir_toast_scan_pause(PirToastScan *scan)
{
	if (scan->paused)
		return;
	ExecClearTuple(scan->slot);
	/* with the keys it has; a rescan releases what the scan stands on */
	index_rescan(scan->scan, NULL, 1, NULL, 0);
	scan->paused = true;
}

void
pir_toast_scan_end(PirToastScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->slot);
	index_endscan(scan->scan);
	toast_close_indexes(scan->indexes, scan->nindexes, AccessShareLock);
	table_close(scan->rel, AccessShareLock);
	pfree(scan);
}
