/*-------------------------------------------------------------------------
 *
 * obs_index.c
 *	  Opening an index of ours from SQL.
 *
 * The functions of observe/ take the table's lock before the index's, as all
 * of core does. The check of the right to do so comes before either, so that
 * nobody can hold up a table that is none of his business.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xlog.h"
#include "base/pir_compat.h"
#include "catalog/index.h"
#include "catalog/pg_authid_d.h"
#include "catalog/pg_class_d.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "observe/obs_index.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

static void
report_no_index(Oid indexid)
{
	char	   *name = get_rel_name(indexid);
	char		relkind = get_rel_relkind(indexid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", indexid)));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a piramid index", name),
			 relkind == RELKIND_PARTITIONED_INDEX ?
			 errdetail("It is a partitioned index, which has no pages of its own.") :
			 errdetail("It is not an index."),
			 relkind == RELKIND_PARTITIONED_INDEX ?
			 errhint("Name the index of a partition.") : 0));
}

static void
check_right(Oid heapid, PirObsRight right)
{
	if (right == PIR_OBS_READ &&
		(pg_class_aclcheck(heapid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES)))
		return;
	if (pir_owns_relation(heapid, GetUserId()))
		return;
	aclcheck_error(right == PIR_OBS_OWN ? ACLCHECK_NOT_OWNER : ACLCHECK_NO_PRIV,
				   OBJECT_TABLE, get_rel_name(heapid));
}

const PirIndexKind *
pir_obs_open(Oid indexid, PirObsRight right, LOCKMODE lock, Relation *heap, Relation *index)
{
	Oid			heapid = InvalidOid;
	const PirIndexKind *kind;

	if (get_rel_relkind(indexid) == RELKIND_INDEX)
		heapid = IndexGetRelation(indexid, true);
	if (!OidIsValid(heapid))
		report_no_index(indexid);
	check_right(heapid, right);

	*heap = table_open(heapid, lock);
	*index = index_open(indexid, lock);

	/* the index may have been dropped, and its OID reused, before the locks */
	if (heapid != IndexGetRelation(indexid, true))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("could not open parent table of index \"%s\"",
						RelationGetRelationName(*index))));

	kind = pir_kind_of(*index);
	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a piramid index", RelationGetRelationName(*index)),
				 errdetail("Its access method is \"%s\".",
						   get_am_name((*index)->rd_rel->relam))));
	if (RELATION_IS_OTHER_TEMP(*index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary tables of other sessions")));
	if ((*index)->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access unlogged index \"%s\" during recovery",
						RelationGetRelationName(*index))));
	if (pir_page_count(*index) == 0 && !(*index)->rd_index->indisready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" has not been built", RelationGetRelationName(*index))));
	return kind;
}

void
pir_obs_close(Relation heap, Relation index, LOCKMODE lock)
{
	index_close(index, lock);
	table_close(heap, lock);
}
