/*-------------------------------------------------------------------------
 *
 * hnsw_handler.c
 *	  The access method hnsw: handler, cost, phases, support functions.
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
#include "hnsw/hnsw.h"
#include "hnsw/hnsw_private.h"
#include "vector/vector.h"

PIR_SQL_FUNCTION(pir_hnsw_handler);
PIR_SQL_FUNCTION(pir_hnsw_halfvec_support);
PIR_SQL_FUNCTION(pir_hnsw_bit_support);
PIR_SQL_FUNCTION(pir_hnsw_sparsevec_support);

/*
 * Distinct pages that a search reads, for each code it compares and for each
 * list of neighbours it follows: nodes near each other lie near each other.
 */
#define CODE_PAGES_PER_EVALUATION	0.35
#define LIST_PAGES_PER_EXPANSION	0.5

/*
 * Codes that a search in the graph compares. The law is that of a hierarchical
 * graph, which is known to fit: a descent of ln n / ln m steps, and at the
 * bottom a share of the 2 m neighbours of ef expanded nodes, the others having
 * been seen before.
 */
static double
search_evaluations(double n, double m, double ef)
{
	double		levels = floor(log(n) / log(m));
	double		unseen = 0.55 * log(n) / (log(m) * (1 + log(ef)));

	return levels * m + 2 * m * ef * Min(unseen, 1.0);
}

static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count,
			  Cost *startup, Cost *total, Selectivity *selectivity,
			  double *correlation, double *pages)
{
	double		n = Max(path->indexinfo->tuples, 1);
	double		ef = pir_hnsw_ef_search;
	PirCostSearch search = {.rerank = true};
	PirHnswMetaOnPage meta;
	Relation	index;
	Buffer		buf;

	if (!pir_cost_possible(path))
	{
		pir_cost_impossible(path, startup, total, selectivity, correlation, pages);
		return;
	}

	if (path->indexinfo->hypothetical)
	{
		/* an advisor's: there is no index to look at, so suppose the defaults */
		memset(&meta, 0, sizeof(meta));
		meta.head.m = PIR_HNSW_DEFAULT_M;
		meta.head.tables[PIR_TABLE_CODE].npages = path->indexinfo->pages;
		meta.state = n < PIR_HNSW_TRAIN_ROWS ? PIR_HNSW_FLAT : PIR_HNSW_GRAPH;
	}
	else
	{
		index = index_open(path->indexinfo->indexoid, NoLock);
		buf = pir_meta_read(index, PIR_KIND_HNSW, PIR_LOCK_SHARE);
		memcpy(&meta, pir_page_content(pir_page_of(buf)), sizeof(meta));
		pir_page_release(buf);
		index_close(index, NoLock);
		pir_cost_rows(&search, &meta.head);
	}

	if (meta.state == PIR_HNSW_FLAT)
	{
		search.evaluations = n;
		search.pages = path->indexinfo->pages;
		search.sequential = true;
	}
	else
	{
		search.evaluations = Min(search_evaluations(n, meta.head.m, ef), n);
		search.links = Min(ef, n) * 2 * meta.head.m;
		search.all_links = n * 2 * meta.head.m;
		search.pages =
			pir_cost_pages_touched(meta.head.tables[PIR_TABLE_CODE].npages,
						  search.evaluations * CODE_PAGES_PER_EVALUATION * meta.head.pages_per_node) +
			pir_cost_pages_touched(meta.head.tables[PIR_TABLE_LIST].npages,
						  Min(ef, n) * LIST_PAGES_PER_EXPANSION);
	}
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
		case PIR_HNSW_PHASE_LOAD:
			return "loading tuples";
		case PIR_HNSW_PHASE_SAMPLE:
			return "sampling";
		case PIR_HNSW_PHASE_GRAPH:
			return "building graph";
		case PIR_HNSW_PHASE_WRITE:
			return "writing pages";
		case PIR_HNSW_PHASE_DIVIDE:
			return "dividing rows into shards";
		case PIR_HNSW_PHASE_SORT:
			return "sorting rows by shard";
		case PIR_HNSW_PHASE_JOIN:
			return "joining shards";
		case PIR_HNSW_PHASE_MERGE:
			return "merging lists";
		default:
			return NULL;
	}
}

/*
 * Order by distance, and nothing else: no search strategy, no second column,
 * no backward, bitmap, index-only or parallel scan.
 */
PG_FUNCTION_INFO_V1(pir_hnsw_handler);
Datum
pir_hnsw_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amstrategies = 0;		/* operators order, none searches */
	am->amsupport = 3;			/* distance, norm, marker of the type */
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;

	am->ambuild = pir_hnsw_build;
	am->ambuildempty = pir_hnsw_build_empty;
	am->aminsert = pir_hnsw_insert;
	am->ambulkdelete = pir_hnsw_bulkdelete;
	am->amvacuumcleanup = pir_hnsw_vacuumcleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = pir_hnsw_options;
	am->ambuildphasename = build_phase_name;
	am->amvalidate = pir_opclass_validate;
	am->ambeginscan = pir_hnsw_beginscan;
	am->amrescan = pir_hnsw_rescan;
	am->amgettuple = pir_hnsw_gettuple;
	am->amendscan = pir_hnsw_endscan;

	PG_RETURN_POINTER(am);
}

/* Support function 3 of the operator classes of each type but vector */
PG_FUNCTION_INFO_V1(pir_hnsw_halfvec_support);
Datum
pir_hnsw_halfvec_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(pir_opclass_type_info(PIR_VALUE_HALFVEC));
}

PG_FUNCTION_INFO_V1(pir_hnsw_bit_support);
Datum
pir_hnsw_bit_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(pir_opclass_type_info(PIR_VALUE_BIT));
}

PG_FUNCTION_INFO_V1(pir_hnsw_sparsevec_support);
Datum
pir_hnsw_sparsevec_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(pir_opclass_type_info(PIR_VALUE_SPARSEVEC));
}
