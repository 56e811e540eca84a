/*-------------------------------------------------------------------------
 *
 * am_cost.c
 *	  Cost of an ordered index scan, in what is common to the index kinds.
 *
 * Almost all the work of such a scan comes before its first row, so the
 * startup cost is what matters. See README.md, "Costs".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "am/am_cost.h"
#include "am/am_value.h"
#include "base/pir_compat.h"
#include "vector/vector.h"

/* Rows compared by their heap values, beyond those that are wanted */
#define RERANK_EXTRA_ROWS	10

/* Rows wanted, when the query does not say */
#define DEFAULT_WANTED_ROWS	10

static double
value_bytes(const PirMetaHeadOnPage *head)
{
	switch ((PirValueType) head->value_type)
	{
		case PIR_VALUE_VECTOR:
			return PIR_VECTOR_SIZE(head->dim);
		case PIR_VALUE_HALFVEC:
			return PIR_HALFVEC_SIZE(head->dim);
		case PIR_VALUE_BIT:
			return head->dim / BITS_PER_BYTE;
		case PIR_VALUE_SPARSEVEC:
			break;
	}
	return 0;					/* depends on the values */
}

/* Do codes give the distances themselves, so that no row is fetched for them? */
static bool
codes_exact(const PirMetaHeadOnPage *head)
{
	return (head->quantizer == PIR_QUANT_NONE || head->quantizer == PIR_QUANT_BITS) &&
		(head->flags & PIR_META_SKETCH) == 0;
}

void
pir_cost_rows(PirCostSearch *search, const PirMetaHeadOnPage *head)
{
	search->value_bytes = value_bytes(head);
	search->rerank = !codes_exact(head);
}

double
pir_cost_pages_touched(double total, double draws)
{
	return total > 0 ? total * (1 - exp(-draws / total)) : 0;
}

bool
pir_cost_possible(const IndexPath *path)
{
	return path->indexorderbys != NIL;
}

void
pir_cost_impossible(IndexPath *path, Cost *startup, Cost *total,
					Selectivity *selectivity, double *correlation, double *pages)
{
	*startup = get_float8_infinity();
	*total = get_float8_infinity();
	*selectivity = 0;
	*correlation = 0;
	*pages = 0;
	pir_disable_path(&path->path);
}

/*
 * Price of reading 'pages' distinct pages of the index: as core does for
 * bitmap heap scans, something between random and sequential, the nearer to
 * the latter the greater the share of the index that is read. Repeated scans
 * find pages in the cache.
 */
static Cost
index_io_cost(PlannerInfo *root, const IndexOptInfo *index, double loop_count,
			  double pages, bool sequential)
{
	double		all_pages = Max(index->pages, 1);
	double		random_cost;
	double		seq_cost;
	double		page_cost;

	get_tablespace_page_costs(index->reltablespace, &random_cost, &seq_cost);
	pages = Min(pages, all_pages);
	page_cost = sequential ? seq_cost
		: random_cost - (random_cost - seq_cost) * sqrt(pages / all_pages);

	if (loop_count > 1)
		pages = index_pages_fetched(pages * loop_count, index->pages, all_pages, root) / loop_count;
	return pages * page_cost;
}

/*
 * Core takes no account of TOAST: a sequential scan with a sort that fetches
 * every vector from there costs what its main table costs. To be comparable,
 * our pages are priced at the same discount: the share that the main table
 * has in what a table of such rows would take. Where the size of the values is
 * unknown, the index is taken as a lower bound of it.
 */
static double
toast_discount(const IndexOptInfo *index, double value_bytes)
{
	double		heap_pages = Max(index->rel->pages, 1);
	double		full_pages = value_bytes > 0
		? index->rel->tuples * value_bytes / BLCKSZ
		: index->pages;

	return full_pages > heap_pages ? heap_pages / full_pages : 1.0;
}

/* Price of comparing the heap value of one row, as cost_index() spreads it */
static Cost
rerank_cost(PlannerInfo *root, const IndexOptInfo *index, double loop_count)
{
	double		rows = Max(index->rel->tuples, 1) * Max(loop_count, 1);
	double		random_cost;
	double		heap_pages;

	get_tablespace_page_costs(index->rel->reltablespace, &random_cost, NULL);
	heap_pages = index_pages_fetched(rows, index->rel->pages, index->pages, root);
	return random_cost * heap_pages / rows + cpu_tuple_cost + cpu_operator_cost;
}

void
pir_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
				  const PirCostSearch *search, Cost *startup, Cost *total,
				  Selectivity *selectivity, double *correlation, double *pages)
{
	const IndexOptInfo *index = path->indexinfo;
	double		rows = Max(index->tuples, 1);
	double		wanted = root->limit_tuples > 0 ? root->limit_tuples : DEFAULT_WANTED_ROWS;
	double		discount = toast_discount(index, search->value_bytes);
	Cost		code_cost = cpu_index_tuple_cost + cpu_operator_cost;
	Cost		argument_cost = index_other_operands_eval_cost(root, path->indexorderbys);
	Cost		row_cost = search->rerank ? rerank_cost(root, index, loop_count) : 0;
	Cost		first;
	Cost		all;

	first = discount * index_io_cost(root, index, loop_count, search->pages, search->sequential) +
		Min(search->evaluations, rows) * code_cost +
		search->links * cpu_operator_cost +
		Min(wanted + RERANK_EXTRA_ROWS, rows) * row_cost;

	/* every page, every code, every row of the heap */
	all = discount * index_io_cost(root, index, loop_count, index->pages, search->sequential) +
		rows * code_cost +
		search->all_links * cpu_operator_cost +
		rows * row_cost;

	*startup = argument_cost + first;
	*total = argument_cost + Max(first, all);

	/* a partial index has fewer rows than the table */
	*selectivity = clauselist_selectivity(root,
										  add_predicate_to_index_quals(path->indexinfo, NIL),
										  index->rel->relid, JOIN_INNER, NULL);
	*correlation = 0;
	*pages = search->pages;
}
