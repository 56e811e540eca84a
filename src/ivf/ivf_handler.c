/*-------------------------------------------------------------------------
 *
 * ivf_handler.c
 *	  The access methods ivf and ivfflat: handlers, cost, phases, support
 *	  functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/progress.h"
#include "commands/vacuum.h"
#include "fmgr.h"

#include "am/am_cost.h"
#include "base/pir_compat.h"
#include "base/pir_guc.h"
#include "ivf/ivf.h"
#include "ivf/ivf_private.h"
#include "vector/vector.h"

PIR_SQL_FUNCTION(pir_ivf_handler);
PIR_SQL_FUNCTION(pir_ivfflat_handler);
PIR_SQL_FUNCTION(pir_ivfflat_halfvec_support);
PIR_SQL_FUNCTION(pir_ivfflat_bit_support);

/*
 * Lists differ in length, and queries come from where rows are, so those that
 * are read are longer than the average.
 */
#define LENGTH_OF_READ_LISTS	1.3

static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count,
			  Cost *startup, Cost *total, Selectivity *selectivity,
			  double *correlation, double *pages)
{
	double		n = Max(path->indexinfo->tuples, 1);
	PirCostSearch search = {.rerank = true};
	PirIvfMetaOnPage meta;
	double		share = 1;

	if (!pir_cost_possible(path))
	{
		pir_cost_impossible(path, startup, total, selectivity, correlation, pages);
		return;
	}

	if (path->indexinfo->hypothetical)
	{
		/* an advisor's: there is no index to look at, so suppose the defaults */
		memset(&meta, 0, sizeof(meta));
		meta.nlists = pir_ivf_lists_for(n, 30);
		meta.state = n < PIR_IVF_TRAIN_ROWS ? PIR_IVF_FLAT : PIR_IVF_LISTS;
		share = Min(1, 2 / sqrt(meta.nlists));
	}
	else
	{
		Relation	index = index_open(path->indexinfo->indexoid, NoLock);
		Buffer		buf = pir_meta_read(index, PIR_KIND_IVF, PIR_LOCK_SHARE);

		memcpy(&meta, pir_page_content(pir_page_of(buf)), sizeof(meta));
		pir_page_release(buf);
		meta.nlists = Max(meta.nlists, 1);
		share = (double) pir_ivf_probes_of(pir_ivf_method(index), meta.nlists) / meta.nlists;
		index_close(index, NoLock);
		pir_cost_rows(&search, &meta.head);
	}

	if (meta.state == PIR_IVF_FLAT)
	{
		search.evaluations = n;
		search.pages = path->indexinfo->pages;
		search.sequential = true;
	}
	else
	{
		double		directory = meta.head.tables[PIR_TABLE_LIST].npages;

		share = Min(1, share * LENGTH_OF_READ_LISTS);
		search.evaluations = Min(n, share * n) + meta.nlists;
		search.pages = Min(path->indexinfo->pages, share * path->indexinfo->pages + directory);
		/* a list of several pages lies in one piece after a build */
		search.sequential = path->indexinfo->pages > 2.0 * meta.nlists;
	}
	/* candidates are ordered as a heap: linear to make, a sort to empty */
	search.links = search.evaluations;
	search.all_links = 2 * n * log2(n + 1);
	pir_cost_estimate(root, path, loop_count, &search,
					  startup, total, selectivity, correlation, pages);
}

/* Names that follow "building index: " in pg_stat_progress_create_index */
static char *
build_phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case PIR_IVF_PHASE_KMEANS:
			return "performing k-means";
		case PIR_IVF_PHASE_ASSIGN:
			return "assigning tuples";
		case PIR_IVF_PHASE_LOAD:
			return "loading tuples";
		default:
			return NULL;
	}
}

/*
 * Order by distance, and nothing else: no search strategy, no second column,
 * no backward, bitmap, index-only or parallel scan.
 */
static IndexAmRoutine *
make_routine(bytea *(*options) (Datum reloptions, bool validate))
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amstrategies = 0;		/* operators order, none searches */
	am->amsupport = 5;			/* distance, norm, two for k-means, marker of the type */
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;

	am->ambuild = pir_ivf_build;
	am->ambuildempty = pir_ivf_build_empty;
	am->aminsert = pir_ivf_insert;
	am->ambulkdelete = pir_ivf_bulkdelete;
	am->amvacuumcleanup = pir_ivf_vacuumcleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = options;
	am->ambuildphasename = build_phase_name;
	am->amvalidate = pir_opclass_validate;
	am->ambeginscan = pir_ivf_beginscan;
	am->amrescan = pir_ivf_rescan;
	am->amgettuple = pir_ivf_gettuple;
	am->amendscan = pir_ivf_endscan;
	return am;
}

PG_FUNCTION_INFO_V1(pir_ivf_handler);
Datum
pir_ivf_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(make_routine(pir_ivf_options));
}

PG_FUNCTION_INFO_V1(pir_ivfflat_handler);
Datum
pir_ivfflat_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(make_routine(pir_ivfflat_options));
}

/* Support function 5 of the operator classes of each type but vector */
PG_FUNCTION_INFO_V1(pir_ivfflat_halfvec_support);
Datum
pir_ivfflat_halfvec_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(pir_opclass_type_info(PIR_VALUE_HALFVEC));
}

PG_FUNCTION_INFO_V1(pir_ivfflat_bit_support);
Datum
pir_ivfflat_bit_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(pir_opclass_type_info(PIR_VALUE_BIT));
}
