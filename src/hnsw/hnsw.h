/*-------------------------------------------------------------------------
 *
 * hnsw.h
 *	  The index kind hnsw, for piramid.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_H
#define PIR_HNSW_H

#include "am/am.h"

/* Define the options of the access method. Called once, by _PG_init. */
extern void pir_hnsw_init(void);

/* What piramid.c registers. */
extern const PirIndexKind pir_hnsw_kind;

#endif							/* PIR_HNSW_H */
