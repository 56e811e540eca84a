/*-------------------------------------------------------------------------
 *
 * obs_check.c
 *	  piramid_check(index, exclusive): one row per broken invariant.
 *
 * Locks. By default the table is locked in SHARE mode, as by CREATE INDEX: the
 * function waits for running writers and keeps others waiting, so that it can
 * compare pages with each other and the index with its table, and report
 * nothing that is merely in motion. With exclusive = false it takes no lock
 * that hinders anyone, and verifies only what holds within one page at any
 * moment. The locks are released at the end of the function, as nothing it
 * does depends on them later.
 *
 * Standby. SHARE locks cannot be had there, and replay respects no lock of
 * ours; the full check runs nevertheless, and it is an error if replay went on
 * meanwhile. Who pauses it (pg_wal_replay_pause()) has a check that succeeds.
 *
 * Rights. The caller must own the table, as LOCK TABLE would want; and as the
 * check evaluates expressions and predicates of the index, it does so as the
 * table's owner, in a security-restricted operation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/pir_compat.h"
#include PIR_XLOGRECOVERY_H
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "observe/obs_index.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

extern PGDLLEXPORT Datum pir_check(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pir_check);

/* Columns of the result */
enum
{
	COL_INVARIANT,
	COL_BLOCK,
	COL_NODE,
	COL_DETAIL,
	NCOLS
};

/*
 * The caller's tuplestore, with the expected row type.
 * Errors: FEATURE_NOT_SUPPORTED if the caller does not take one.
 */
static Tuplestorestate *
make_result(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	Tuplestorestate *store;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE || (*desc)->natts != NCOLS)
		elog(ERROR, "return type must be a row type of %d columns", NCOLS);

	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	*desc = CreateTupleDescCopy(*desc);
	store = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
								  false, work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = store;
	rsinfo->setDesc = *desc;
	MemoryContextSwitchTo(old);
	return store;
}

/*
 * An index whose oldest rows may be missing for old snapshots (HOT chains that
 * were broken when it was built) can only be compared by newer ones.
 */
static void
check_snapshot_age(Relation index)
{
	if (IsolationUsesXactSnapshot() && index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
							   GetTransactionSnapshot()->xmin))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("index \"%s\" cannot be checked by the transaction's snapshot",
						RelationGetRelationName(index))));
}

static void
run_check(const PirIndexKind *kind, PirCheck *check, bool standby)
{
	XLogRecPtr	before = InvalidXLogRecPtr;

	if (!check->index->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot check index \"%s\"", RelationGetRelationName(check->index)),
				 errdetail("It is not valid.")));
	if (check->complete)
		check_snapshot_age(check->index);

	if (standby)
		before = GetXLogReplayRecPtr(NULL);
	kind->check(check);
	if (standby && check->complete && GetXLogReplayRecPtr(NULL) != before)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("replay of WAL went on while index \"%s\" was checked",
						RelationGetRelationName(check->index)),
				 errhint("Pause it with pg_wal_replay_pause(), or check with exclusive => false.")));
	pir_check_close(check);
}

Datum
pir_check(PG_FUNCTION_ARGS)
{
	Oid			indexid = PG_GETARG_OID(0);
	bool		exclusive = PG_GETARG_BOOL(1);
	bool		standby = RecoveryInProgress();
	LOCKMODE	lock = exclusive && !standby ? ShareLock : AccessShareLock;
	TupleDesc	desc;
	Tuplestorestate *store = make_result(fcinfo, &desc);
	const PirIndexKind *kind;
	Relation	heap;
	Relation	index;
	PirCheck	check;
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	ListCell   *cell;

	kind = pir_obs_open(indexid, PIR_OBS_OWN, lock, &heap, &index);

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(heap->rd_rel->relowner,
						   sec_context | SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	pir_restrict_search_path();

	pir_check_init(&check, index, heap, exclusive);
	run_check(kind, &check, standby);

	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
	pir_obs_close(heap, index, lock);

	foreach(cell, check.findings)
	{
		PirFinding *finding = lfirst(cell);
		Datum		values[NCOLS];
		bool		nulls[NCOLS] = {false};

		values[COL_INVARIANT] = CStringGetTextDatum(finding->invariant);
		values[COL_BLOCK] = Int64GetDatum(finding->blkno);
		nulls[COL_BLOCK] = finding->blkno == PIR_CHECK_NONE;
		values[COL_NODE] = Int64GetDatum(finding->node);
		nulls[COL_NODE] = finding->node == PIR_CHECK_NONE;
		values[COL_DETAIL] = CStringGetTextDatum(finding->detail);
		tuplestore_putvalues(store, desc, values, nulls);
	}
	return (Datum) 0;
}
