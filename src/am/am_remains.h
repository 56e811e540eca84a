/*-------------------------------------------------------------------------
 *
 * am_remains.h
 *	  The indexed value of a row that may be dead, as long as it is there.
 *
 * A row that no snapshot here can see may still be seen by a query on a
 * standby. Whoever makes an index anew in the middle of its life must not
 * leave such a row out, because only the removal of the row itself tells the
 * standby to cancel queries that see it. So what counts is whether the row,
 * and its value out of line, is there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_REMAINS_H
#define PIR_AM_REMAINS_H

#include "am/am_rerank.h"

typedef struct PirRemains
{
	PirRerank  *rerank;			/* how to get from a TID to a row */
	Bitmapset  *attrs;			/* columns of the indexed expression, offset as in pull_varattnos() */
	TupleTableSlot *slot;		/* the row with these columns in line */
} PirRemains;

/* Memory: in the current context. */
extern PirRemains *pir_remains_begin(Relation heap, Relation index);

/*
 * The value that the index has for the row at 'tid', whether dead or alive;
 * valid until the next call. False if it is NULL, or the row or part of the
 * value was removed: then every standby that replays as far as that has
 * cancelled the queries that could see it.
 * Locks: as an index scan, and AccessShareLock on the TOAST table while it is
 * read.
 */
extern bool pir_remains_fetch(PirRemains *remains, ItemPointer tid, Datum *value);

extern void pir_remains_end(PirRemains *remains);

#endif							/* PIR_AM_REMAINS_H */
