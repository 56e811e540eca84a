/*-------------------------------------------------------------------------
 *
 * obs_index.h
 *	  Opening an index of ours from SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_OBS_INDEX_H
#define PIR_OBS_INDEX_H

#include "am/am.h"
#include "storage/lockdefs.h"

/* Who may call */
typedef enum PirObsRight
{
	PIR_OBS_READ,				/* who may read the table, and pg_stat_scan_tables */
	PIR_OBS_OWN					/* owner of the table */
} PirObsRight;

/*
 * Open an index and its table; returns its kind.
 * Locks: 'lock' on the table, then on the index, until pir_obs_close().
 * Errors: WRONG_OBJECT_TYPE if it is no index of ours, INSUFFICIENT_PRIVILEGE,
 * FEATURE_NOT_SUPPORTED (another session's temporary index; an unlogged one on
 * a standby), OBJECT_NOT_IN_PREREQUISITE_STATE (nothing was built yet).
 */
extern const PirIndexKind *pir_obs_open(Oid indexid, PirObsRight right, LOCKMODE lock,
										Relation *heap, Relation *index);
extern void pir_obs_close(Relation heap, Relation index, LOCKMODE lock);

#endif							/* PIR_OBS_INDEX_H */
