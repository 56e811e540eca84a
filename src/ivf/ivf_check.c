/*-------------------------------------------------------------------------
 *
 * ivf_check.c
 *	  piramid_check() of an ivf index: IVF-I1 to I10 (README.md section 5).
 *
 * Works on copies of pages; no lock is held while pages are compared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/am_check_rows.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "ivf/ivf_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Times that an index may be trained under a check beside writers */
#define MAX_RESTARTS	5

static const uint8 table_kinds[PIR_NTABLES] = {PIR_PAGE_CODE, PIR_PAGE_LIST};

typedef struct IvfCheck
{
	PirCheck   *check;
	PirIvfMetaOnPage meta;
	PirMetaHeadOnPage *head;	/* = &meta.head */
	PirValueInfo value;
	const PirQuant *quant;		/* NULL if it cannot be had */
	const PirQuant *centre_quant;
	float	   *centre;
	uint32		ncentre;
	Page		page;			/* a posting page */

	/* comparing with the table */
	PirCheckRows *rows;
	void	   *code;
	void	   *scratch;
	BlockNumber row_blkno;		/* what row_page is a copy of */
	Page		row_page;
} IvfCheck;

/* --- meta page: IVF-I1 --- */

static void
fault_meta(IvfCheck *ic, const char *what, uint64 found, uint64 expected)
{
	pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
				  "%s is " UINT64_FORMAT " instead of " UINT64_FORMAT, what, found, expected);
}

/* False if pages cannot be read with what the meta page says. */
static bool
check_meta(IvfCheck *ic)
{
	const PirIvfMetaOnPage *meta = &ic->meta;
	PirMetaHeadOnPage expected = meta->head;
	PirQuantSpec spec;
	PirQuantSpec centre_spec;

	if (meta->state != PIR_IVF_FLAT && meta->state != PIR_IVF_LISTS)
	{
		pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE, "state is %u", meta->state);
		return false;
	}
	if (meta->partitioner != PIR_IVF_KMEANS)
	{
		pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "partitioner is %u", meta->partitioner);
		return false;
	}
	pir_ivf_quant_spec(meta, NULL, &spec);
	pir_ivf_centre_spec(meta, NULL, &centre_spec);
	if (pir_quant_check_spec(&spec) != NULL || pir_quant_check_spec(&centre_spec) != NULL)
	{
		pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "quantizer %u or %u does not fit the index", spec.quantizer, centre_spec.quantizer);
		return false;
	}
	expected.item_size = pir_quant_item_size(&spec);
	pir_ivf_geometry(&expected, pir_quant_item_size(&centre_spec));
	if (meta->head.item_size != expected.item_size)
		fault_meta(ic, "item_size", meta->head.item_size, expected.item_size);
	else if (meta->head.node_size != expected.node_size)
		fault_meta(ic, "node_size", meta->head.node_size, expected.node_size);
	else if (meta->head.nodes_per_page != expected.nodes_per_page || expected.nodes_per_page == 0)
		fault_meta(ic, "nodes_per_page", meta->head.nodes_per_page, expected.nodes_per_page);
	else if (meta->head.list_size != expected.list_size)
		fault_meta(ic, "list_size", meta->head.list_size, expected.list_size);
	else if (meta->head.lists_per_page != expected.lists_per_page || expected.lists_per_page == 0)
		fault_meta(ic, "lists_per_page", meta->head.lists_per_page, expected.lists_per_page);
	else if (meta->state == PIR_IVF_FLAT && meta->nlists != 1)
		fault_meta(ic, "nlists of a flat index", meta->nlists, 1);
	else
	{
		uint64		mapped = (uint64) ic->head->tables[PIR_TABLE_LIST].npages * ic->head->lists_per_page;

		if (meta->state == PIR_IVF_LISTS && (meta->nlists == 0 || meta->nlists > mapped))
			pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
						  "there are %u lists, and room for " UINT64_FORMAT, meta->nlists, mapped);
		else if (meta->state == PIR_IVF_FLAT &&
				 (meta->centre != InvalidBlockNumber || ic->head->tables[PIR_TABLE_LIST].npages != 0))
			pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
						  "flat index has a centre or a directory");
		else if (meta->state == PIR_IVF_LISTS &&
				 (meta->nflat != 0 || meta->flat.first != InvalidBlockNumber))
			pir_check_add(ic->check, "IVF-I1", PIR_META_BLKNO, PIR_CHECK_NONE,
						  "trained index has rows of a flat one");
		return true;
	}
	return false;
}

/* --- centre of the codes: IVF-I2 --- */

static void
visit_centre(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
	IvfCheck   *ic = arg;
	uint32		n = pir_page_special(page)->nslots;
	const float *values = (const float *) pir_page_content(page);

	if (n == 0 || n > PIR_IVF_CENTRE_FANOUT || n > ic->head->code_dim - ic->ncentre)
	{
		pir_check_add(check, "IVF-I2", blkno, PIR_CHECK_NONE,
					  "centre page has %u values where at most %u are missing",
					  n, ic->head->code_dim - ic->ncentre);
		return;
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (!isfinite(values[i]))
			pir_check_add(check, "IVF-I2", blkno, PIR_CHECK_NONE,
						  "component %u of the centre is %g", ic->ncentre + i, values[i]);
	}
	memcpy(ic->centre + ic->ncentre, values, n * sizeof(float));
	ic->ncentre += n;
}

/* Read the centre and prepare the quantizers. */
static void
check_centre(IvfCheck *ic)
{
	const float *centre = ic->meta.centre == InvalidBlockNumber ? NULL : ic->centre;
	PirQuantSpec spec;

	(void) pir_check_chain(ic->check, ic->meta.centre, PIR_PAGE_CENTRE, visit_centre, ic);
	if (centre != NULL && ic->ncentre != ic->head->code_dim)
	{
		pir_check_add(ic->check, "IVF-I2", ic->meta.centre, PIR_CHECK_NONE,
					  "centre has %u of %u components", ic->ncentre, ic->head->code_dim);
		return;
	}
	pir_ivf_quant_spec(&ic->meta, centre, &spec);
	ic->quant = pir_quant_init(pir_alloc_aligned(CurrentMemoryContext, pir_quant_size(&spec), false), &spec);
	pir_ivf_centre_spec(&ic->meta, centre, &spec);
	ic->centre_quant = pir_quant_init(pir_alloc_aligned(CurrentMemoryContext, pir_quant_size(&spec), false),
									  &spec);
}

/* --- lists: IVF-I3 to I6 --- */

/* Is an item a code? Its distance from itself is a number. */
static bool
is_code(const PirQuant *quant, const void *item)
{
	return quant == NULL || !isnan(pir_quant_code_distance(quant, item, item));
}

/* One posting page: a copy. 'list' may be -1, if the page is not reached through one. */
static void
check_postings(IvfCheck *ic, int64 list, BlockNumber blkno, Page page)
{
	const PirIvfPostingsOnPage *postings = (const PirIvfPostingsOnPage *) pir_page_content(page);
	uint32		n = pir_page_special(page)->nslots;

	if (postings->epoch != ic->head->epoch || postings->reserved != 0 ||
		(list >= 0 && pir_page_special(page)->logical != (uint32) list))
	{
		pir_check_add(ic->check, "IVF-I4", blkno, list,
					  "page of list %u and epoch %u is in the chain of a list of epoch %u",
					  pir_page_special(page)->logical, postings->epoch, ic->head->epoch);
		return;
	}
	if (n > ic->head->nodes_per_page)
	{
		pir_check_add(ic->check, "IVF-I4", blkno, list, "page has %u rows, and room for %u",
					  n, ic->head->nodes_per_page);
		return;
	}
	/* the next change of a page erases what lies behind pd_lower */
	if (((PageHeader) page)->pd_lower < PIR_PAGE_CONTENT + pir_ivf_postings_used(ic->head, n))
		pir_check_add(ic->check, "IVF-I4", blkno, list, "pd_lower is %u, the rows end at %zu",
					  ((PageHeader) page)->pd_lower, PIR_PAGE_CONTENT + pir_ivf_postings_used(ic->head, n));
	for (uint32 i = 0; i < n; i++)
	{
		const ItemPointerData *tid = &pir_ivf_tids(page)[i];

		if (!ItemPointerIsValid(tid) || ItemPointerGetOffsetNumberNoCheck(tid) > MaxOffsetNumber ||
			ItemPointerGetBlockNumberNoCheck(tid) == InvalidBlockNumber)
		{
			pir_check_add(ic->check, "IVF-I4", blkno, list, "heap row (%u,%u) of row %u is not valid",
						  ItemPointerGetBlockNumberNoCheck(tid), ItemPointerGetOffsetNumberNoCheck(tid), i);
			continue;
		}
		if (!is_code(ic->quant, pir_ivf_item(ic->head, page, i)))
			pir_check_add(ic->check, "IVF-I5", blkno, list, "code of row %u is none", i);
		if (ic->rows != NULL)
			pir_check_rows_add(ic->rows, tid, list, ((int64) blkno << 16) | i);
	}
}

typedef struct ListVisit
{
	IvfCheck   *ic;
	uint32		list;
	uint64		nrows;
} ListVisit;

static void
visit_postings(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
	ListVisit  *visit = arg;

	CHECK_FOR_INTERRUPTS();
	visit->nrows += pir_page_special(page)->nslots;
	check_postings(visit->ic, visit->list, blkno, page);
}

static void
check_list(IvfCheck *ic, uint32 list, const PirIvfRootOnPage *root, BlockNumber root_blkno)
{
	ListVisit	visit = {ic, list, 0};

	if ((root->first == InvalidBlockNumber) != (root->hint == InvalidBlockNumber))
		pir_check_add(ic->check, "IVF-I3", root_blkno, list,
					  "list begins at block %u, but inserts would begin at block %u",
					  root->first, root->hint);
	if (!ic->check->complete)
		return;
	(void) pir_check_chain(ic->check, root->first, PIR_PAGE_CODE, visit_postings, &visit);
	if (ic->meta.state == PIR_IVF_FLAT && visit.nrows != ic->meta.nflat)
		pir_check_add(ic->check, "IVF-I6", PIR_META_BLKNO, PIR_CHECK_NONE,
					  "meta page counts %u rows, the list has " UINT64_FORMAT, ic->meta.nflat, visit.nrows);
}

/* The directory, and with it all lists. */
static void
check_directory(IvfCheck *ic)
{
	Page		page = palloc(BLCKSZ);
	const PirMetaHeadOnPage *head = ic->head;

	if (ic->meta.state == PIR_IVF_FLAT)
	{
		check_list(ic, 0, &ic->meta.flat, PIR_META_BLKNO);
		return;
	}
	for (uint32 first = 0, logical = 0; first < ic->meta.nlists; first += head->lists_per_page, logical++)
	{
		uint32		n = Min(head->lists_per_page, ic->meta.nlists - first);
		BlockNumber blkno = logical < ic->check->nmapped[PIR_TABLE_LIST]
			? ic->check->mapped[PIR_TABLE_LIST][logical] : InvalidBlockNumber;

		if (blkno == InvalidBlockNumber || !pir_check_page(ic->check, blkno, PIR_PAGE_LIST, page))
			continue;
		if (pir_page_special(page)->nslots != n)
		{
			pir_check_add(ic->check, "IVF-I3", blkno, PIR_CHECK_NONE,
						  "directory page has %u lists instead of %u", pir_page_special(page)->nslots, n);
			continue;
		}
		if (((PageHeader) page)->pd_lower < PIR_PAGE_CONTENT + n * head->list_size)
			pir_check_add(ic->check, "IVF-I3", blkno, PIR_CHECK_NONE, "pd_lower is %u, the lists end at %zu",
						  ((PageHeader) page)->pd_lower, PIR_PAGE_CONTENT + (Size) n * head->list_size);
		for (uint32 i = 0; i < n; i++)
		{
			const PirIvfSlotOnPage *slot = (const PirIvfSlotOnPage *)
				(pir_page_content(page) + (Size) i * head->list_size);

			if (!is_code(ic->centre_quant, slot->item))
				pir_check_add(ic->check, "IVF-I5", blkno, first + i, "code of the list's centre is none");
			check_list(ic, first + i, &slot->root, blkno);
		}
	}
	pfree(page);
}

/* Pages of the flat state that training left to be freed. */
static void
visit_retired(PirCheck *check, BlockNumber blkno, Page page, void *arg)
{
}

/* --- the table: IVF-I7 to I10 --- */

/* IVF-I10: the stored code is what the value encodes to. */
static void
compare_row(void *arg, const ItemPointerData *tid, int64 node, int64 place, const void *input)
{
	IvfCheck   *ic = arg;
	BlockNumber blkno = (BlockNumber) (place >> 16);
	uint32		row = place & 0xFFFF;

	if (ic->quant == NULL)
		return;
	if (ic->row_blkno != blkno)
	{
		ic->row_blkno = InvalidBlockNumber;
		if (!pir_check_page(ic->check, blkno, PIR_PAGE_CODE, ic->row_page))
			return;
		ic->row_blkno = blkno;
	}
	pir_quant_encode(ic->quant, input, ic->code, ic->scratch);
	if (memcmp(pir_ivf_item(ic->head, ic->row_page, row), ic->code, ic->head->item_size) != 0)
		pir_check_add(ic->check, "IVF-I10", blkno, node, "stored code is not that of heap row (%u,%u)",
					  ItemPointerGetBlockNumberNoCheck(tid), ItemPointerGetOffsetNumberNoCheck(tid));
}

static const PirCheckRowsKind rows_kind = {
	.twice = "IVF-I7",
	.missing = "IVF-I8",
	.dangling = "IVF-I9",
	.what = "list",
	.row = compare_row
};

/* --- all of it --- */

/* One run; false if the index became another one meanwhile. */
static bool
check_once(PirCheck *check)
{
	IvfCheck	checker = {0};
	IvfCheck   *ic = &checker;
	PirIvfMetaOnPage now;

	ic->check = check;
	ic->head = &ic->meta.head;
	if (!pir_check_meta(check, PIR_KIND_IVF, &ic->meta, sizeof(ic->meta)) || !check_meta(ic))
		return true;

	pir_ivf_value_info(&ic->meta, &ic->value);
	ic->centre = palloc0(pir_size_mul(ic->head->code_dim, sizeof(float)));
	ic->page = palloc(BLCKSZ);
	pir_check_tables(check, ic->head, table_kinds);
	check_centre(ic);
	if (check->complete)
	{
		ic->code = palloc(ic->head->item_size);
		ic->row_page = palloc(BLCKSZ);
		ic->row_blkno = InvalidBlockNumber;
		if (ic->quant != NULL)
			ic->scratch = pir_alloc_aligned(CurrentMemoryContext, pir_quant_scratch_size(ic->quant), false);
		ic->rows = pir_check_rows_begin(check, &rows_kind, &ic->value, ic);
	}
	check_directory(ic);
	if (check->complete)
	{
		(void) pir_check_chain(check, ic->meta.retired, PIR_PAGE_CODE, visit_retired, ic);
		pir_check_unclaimed(check);
		pir_check_rows_compare(ic->rows);
		return true;
	}

	/* single pages, in the order of the file */
	for (BlockNumber blkno = 1; blkno < ic->head->nblocks; blkno++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!pir_check_page(check, blkno, PIR_PAGE_ANY, ic->page) ||
			pir_page_special(ic->page)->kind != PIR_PAGE_CODE)
			continue;
		/* left over from the flat state */
		if (((PirIvfPostingsOnPage *) pir_page_content(ic->page))->epoch < ic->head->epoch)
			continue;
		check_postings(ic, -1, blkno, ic->page);
	}
	return pir_check_meta(check, PIR_KIND_IVF, &now, sizeof(now)) &&
		now.head.seed == ic->head->seed && now.head.epoch == ic->head->epoch;
}

/*
 * Beside writers, training may replace the flat state in the middle of a
 * check: what was found until then means nothing.
 */
void
pir_ivf_check(PirCheck *check)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "piramid ivf check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; !check_once(check); i++)
	{
		if (i == MAX_RESTARTS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("index \"%s\" was rebuilt %d times while it was checked",
							RelationGetRelationName(check->index), i)));
		pir_check_reset(check);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
