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
#include "nodes/execnodes.h"
#include "utils/snapshot.h"

typedef struct PirRerank
{
	Relation	heap;
	IndexInfo  *info;
	AttrNumber	attno;			/* of a plain column; 0 = expression */
	EState	   *estate;			/* only for expressions */
	struct IndexFetchTableData *fetch;
	TupleTableSlot *slot;
	MemoryContext context;		/* reset at each fetch: holds the value */
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

extern void pir_rerank_end(PirRerank *rerank);

#endif							/* PIR_AM_RERANK_H */
