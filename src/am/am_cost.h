/*-------------------------------------------------------------------------
 *
 * am_cost.h
 *	  Cost of an ordered index scan, in what is common to the index kinds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_COST_H
#define PIR_AM_COST_H

#include "nodes/pathnodes.h"

#include "storage/page_format.h"

/* What a kind expects a scan to do, by the time the first row comes out. */
typedef struct PirCostSearch
{
	double		evaluations;	/* codes compared */
	double		links;			/* edges looked at */
	double		pages;			/* distinct pages of the index read */
	double		all_links;		/* edges looked at to return every row */
	bool		sequential;		/* pages are read in physical order */
	bool		rerank;			/* candidates are compared again by their heap values */
	double		value_bytes;	/* size of a value in the heap, 0 if not known */
} PirCostSearch;

/* Fill 'rerank' and 'value_bytes' from what an index is. */
extern void pir_cost_rows(PirCostSearch *search, const PirMetaHeadOnPage *head);

/* Of 'total' pages, those that 'draws' independent draws touch */
extern double pir_cost_pages_touched(double total, double draws);

/* False if the path has nothing that an index of ours could do. */
extern bool pir_cost_possible(const IndexPath *path);

/* For those: never the plan, as long as there is another. */
extern void pir_cost_impossible(IndexPath *path, Cost *startup, Cost *total,
								Selectivity *selectivity, double *correlation, double *pages);

/* For the others; arguments as of amcostestimate. */
extern void pir_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
							  const PirCostSearch *search, Cost *startup, Cost *total,
							  Selectivity *selectivity, double *correlation, double *pages);

#endif							/* PIR_AM_COST_H */
