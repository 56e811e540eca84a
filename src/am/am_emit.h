/*-------------------------------------------------------------------------
 *
 * am_emit.h
 *	  From candidates with lower bounds to rows in exact order.
 *
 * A search by codes gives for each row what its distance is not below. Rows
 * are fetched in the order of these bounds, and a fetched one is returned as
 * soon as its exact distance is not above the smallest bound not yet fetched:
 * about k plus a dozen rows for k returned, without knowing k.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_EMIT_H
#define PIR_AM_EMIT_H

#include "access/genam.h"
#include "access/relscan.h"
#include "am/am_rerank.h"
#include "am/am_value.h"

typedef struct PirCandidate
{
	float		bound;			/* lower bound; the distance itself once fetched */
	ItemPointerData tid;
	int16		kept;			/* once fetched: its value, for pir_rerank_offer() */
} PirCandidate;

/* A growing array, or a min-heap by bound */
typedef struct PirCandidates
{
	PirCandidate *items;
	Size		n;
	Size		capacity;
} PirCandidates;

typedef struct PirEmit
{
	const PirValueInfo *value;
	Datum		query;			/* detoasted */
	bool		fetch;			/* bounds are no distances: fetch the rows */
	MemoryContext context;		/* of the queues; reset by the caller */
	MemoryContext rerank_context;	/* of 'rerank', which outlives a rescan */
	PirRerank  *rerank;			/* made at first use */
	PirCandidates queue;
	PirCandidates exact;
} PirEmit;

/* Begin anew, with nothing queued. 'rerank' of an earlier scan is kept. */
extern void pir_emit_reset(PirEmit *emit, const PirValueInfo *value, Datum query, bool fetch,
						   MemoryContext context);

/* Add a candidate; NaN counts as infinitely far. pir_emit_settle() must follow. */
extern void pir_emit_add(PirEmit *emit, float bound, const ItemPointerData *tid);

/* Order what was added. */
extern void pir_emit_settle(PirEmit *emit);

/*
 * The next row: its TID, and its distance if rows are fetched or bounds are
 * exact. False if all candidates have been returned, or turned out to be
 * invisible to the scan's snapshot. The executor finds the row's value in
 * base/pir_recent.h until the next call, if it was out of line.
 * Locks: pins heap pages through the table access method; the caller holds no
 * content lock.
 */
extern bool pir_emit_next(PirEmit *emit, IndexScanDesc scan, PirCandidate *result);

extern void pir_emit_end(PirEmit *emit);

#endif							/* PIR_AM_EMIT_H */
