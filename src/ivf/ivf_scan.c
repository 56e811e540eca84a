/*-------------------------------------------------------------------------
 *
 * ivf_scan.c
 *	  Index scans: the lists that suit the query best, their rows in exact
 *	  order.
 *
 * A batch is the rows of so many lists; am/am_emit.h gives them out in exact
 * order. An iterative scan reads a further batch when one is used up. No lock
 * and no pin of index pages is held while the executor runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relscan.h"
#include "am/am_emit.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_guc.h"
#include "base/pir_memory.h"
#include "ivf/ivf_private.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct RankedList
{
	float		score;
	uint32		list;
} RankedList;

typedef struct IvfScan
{
	PirIvfIndex ivf;
	bool		open;			/* ivf is open */
	bool		started;
	bool		blind;			/* no distances: NULL query, zero vector under cosine */
	bool		iterative;
	MemoryContext context;		/* of one rescan */
	Datum		argument;		/* as the executor gave it */
	bool		argument_null;
	PirQuantQuery *query;

	RankedList *ranked;			/* all lists; sorted as far as they were read */
	uint32		nread;
	uint32		max_read;
	uint32		probes;

	PirEmit		emit;
} IvfScan;

IndexScanDesc
pir_ivf_beginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	IvfScan    *so = palloc0(sizeof(IvfScan));

	so->context = AllocSetContextCreate(CurrentMemoryContext, "piramid ivf scan",
										ALLOCSET_DEFAULT_SIZES);
	so->emit.rerank_context = CurrentMemoryContext;
	scan->opaque = so;
	return scan;
}

static void
close_index(IvfScan *so)
{
	if (so->open)
		pir_ivf_close(&so->ivf);
	so->open = false;
}

void
pir_ivf_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	IvfScan    *so = scan->opaque;
	MemoryContext old;

	close_index(so);
	MemoryContextReset(so->context);
	so->started = so->blind = false;
	so->ranked = NULL;
	so->nread = so->max_read = 0;

	if (orderbys != NULL && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
	if (scan->numberOfOrderBys == 0)
		return;

	/* the executor may free its copy at the next rescan */
	so->argument_null = (scan->orderByData->sk_flags & SK_ISNULL) != 0;
	so->argument = (Datum) 0;
	if (!so->argument_null)
	{
		old = MemoryContextSwitchTo(so->context);
		so->argument = PointerGetDatum(PG_DETOAST_DATUM_COPY(scan->orderByData->sk_argument));
		MemoryContextSwitchTo(old);
	}
}

void
pir_ivf_endscan(IndexScanDesc scan)
{
	IvfScan    *so = scan->opaque;

	close_index(so);
	pir_emit_end(&so->emit);
	MemoryContextDelete(so->context);
	pfree(so);
	scan->opaque = NULL;
}

static int
compare_ranked(const void *a, const void *b)
{
	const RankedList *x = a;
	const RankedList *y = b;

	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->list < y->list ? -1 : 1;
}

/* Bring the n best of ranked[from ...] to its front, sorted (quickselect, then a sort). */
static void
rank_lists(IvfScan *so, uint32 from, uint32 n)
{
	RankedList *ranked = so->ranked;
	uint32		lo = from;
	uint32		hi = so->ivf.meta.nlists - 1;
	uint32		last = from + n - 1;

	while (lo < hi)
	{
		RankedList	pivot = ranked[lo + (hi - lo) / 2];
		uint32		i = lo;
		uint32		j = hi;

		for (;;)
		{
			while (compare_ranked(&ranked[i], &pivot) < 0)
				i++;
			while (compare_ranked(&pivot, &ranked[j]) < 0)
				j--;
			if (i >= j)
				break;
			else
			{
				RankedList	swap = ranked[i];

				ranked[i++] = ranked[j];
				ranked[j--] = swap;
			}
		}
		if (last <= j)
			hi = j;
		else
			lo = j + 1;
	}
	qsort(ranked + from, n, sizeof(RankedList), compare_ranked);
}

/*
 * Are estimates the distances themselves? Not those of sketches, whatever
 * their code.
 */
static inline bool
estimates_exact(const IvfScan *so)
{
	return pir_quant_is_exact(so->ivf.quant) && !so->ivf.value.sketch;
}

/*
 * Queue the rows of a list, each with the lower bound of its distance. False if
 * the index has another epoch by now.
 */
static bool
read_list(IvfScan *so, uint32 list)
{
	PirIvfIndex *ivf = &so->ivf;
	const PirMetaHeadOnPage *head = &ivf->meta.head;
	bool		exact = estimates_exact(so);
	float		eps = ivf->meta.state == PIR_IVF_FLAT ? PIR_QUANT_EPS_SURE : PIR_QUANT_EPS_ORDER;
	const void *items[PIR_IVF_BATCH];
	float		dists[PIR_IVF_BATCH];
	PirIvfListScan scan;

	pir_ivf_list_begin(&scan, ivf, list);
	while (pir_ivf_list_page(&scan))
	{
		uint32		n = pir_page_special(scan.page)->nslots;
		const ItemPointerData *tids = pir_ivf_tids(scan.page);

		for (uint32 i = 0; i < n; i += PIR_IVF_BATCH)
		{
			int			m = Min(PIR_IVF_BATCH, n - i);

			for (int j = 0; j < m; j++)
				items[j] = pir_ivf_item(head, scan.page, i + j);
			pir_quant_distance_many(ivf->quant, so->query, items, m, dists);
			for (int j = 0; j < m; j++)
			{
				float		bound = dists[j];

				/* the server would take this block number for a wish to extend the table */
				if (unlikely(ItemPointerGetBlockNumberNoCheck(&tids[i + j]) == InvalidBlockNumber))
					pir_report_corrupted(ivf->rel, pir_page_blkno(scan.buf), "row %u of list %u leads to no heap row",
										 i + j, list);
				if (ivf->value.sketch)
					bound = -INFINITY;
				else if (!exact)
					bound -= eps * pir_quant_error(ivf->quant, so->query, items[j], dists[j]);
				pir_emit_add(&so->emit, bound, &tids[i + j]);
			}
		}
	}
	return !scan.changed;
}

/* Queue the rows of the next lists; false as above, or if there is no further list. */
static bool
read_batch(IvfScan *so)
{
	uint32		n = Min(so->probes, so->max_read - so->nread);

	if (n == 0)
		return false;
	rank_lists(so, so->nread, n);
	for (uint32 i = 0; i < n; i++)
	{
		if (!read_list(so, so->ranked[so->nread + i].list))
			return false;
	}
	so->nread += n;
	pir_emit_settle(&so->emit);
	return true;
}

/* Score the lists for the query. */
static void
score_lists(IvfScan *so, const void *input)
{
	PirIvfIndex *ivf = &so->ivf;
	uint32		nlists = ivf->meta.nlists;
	float	   *score = palloc_extended(pir_size_mul(nlists, sizeof(float)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	if (ivf->meta.state == PIR_IVF_LISTS)
		pir_ivf_partitioner(ivf->rel, ivf->meta.partitioner)->score(ivf, input, score);
	so->ranked = palloc_extended(pir_size_mul(nlists, sizeof(RankedList)), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < nlists; i++)
	{
		so->ranked[i].score = isnan(score[i]) ? INFINITY : score[i];
		so->ranked[i].list = i;
	}
	pfree(score);
}

/* Open the index, prepare the query, read the first lists. */
static void
start(IndexScanDesc scan, IvfScan *so)
{
	Relation	index = scan->indexRelation;
	const PirIvfMethod *method = pir_ivf_method(index);
	MemoryContext old;

	so->started = true;
	pgstat_count_index_scan(index);
	pir_count_index_search(scan);

	if (scan->numberOfOrderBys == 0)
		elog(ERROR, "%s index \"%s\" can only be scanned in order of distance",
			 method->name, RelationGetRelationName(index));
	if (!IsMVCCSnapshot(scan->xs_snapshot))
		elog(ERROR, "%s index \"%s\" can only be scanned with an MVCC snapshot",
			 method->name, RelationGetRelationName(index));

	old = MemoryContextSwitchTo(so->context);
	for (;;)
	{
		PirIvfIndex *ivf = &so->ivf;
		Datum		query = (Datum) 0;
		void	   *input;

		pir_ivf_open(ivf, index);
		so->open = true;

		/* an empty index does not even ask for the query's dimensions */
		if (ivf->meta.state == PIR_IVF_FLAT && ivf->meta.nflat == 0)
		{
			pir_emit_reset(&so->emit, &ivf->value, query, false, so->context);
			break;
		}

		input = pir_alloc_aligned(so->context, pir_value_input_size(&ivf->value), true);
		if (so->argument_null)
			so->blind = true;
		else
		{
			query = pir_value_detoast(&ivf->value, so->argument, so->context);
			so->blind = !pir_value_input(&ivf->value, query, input);
			if (so->blind)
				memset(input, 0, pir_value_input_size(&ivf->value));
		}
		so->query = pir_quant_prepare_query(ivf->quant, input,
											pir_alloc_aligned(so->context,
															  pir_quant_query_size(ivf->quant), false),
											pir_alloc_aligned(so->context,
															  pir_quant_scratch_size(ivf->quant), false));
		pir_emit_reset(&so->emit, &ivf->value, query, !so->blind && !estimates_exact(so), so->context);
		score_lists(so, input);
		so->probes = pir_ivf_probes_of(method, ivf->meta.nlists);
		so->max_read = so->probes;
		if (*method->iterative_scan != PIR_ITERATIVE_OFF)
			so->max_read = Min(Max((uint32) *method->max_probes, so->probes), ivf->meta.nlists);
		so->nread = 0;
		if (read_batch(so))
			break;

		/* the index was trained meanwhile: once more, in its new state */
		close_index(so);
	}
	MemoryContextSwitchTo(old);
}

bool
pir_ivf_gettuple(IndexScanDesc scan, ScanDirection dir)
{
	IvfScan    *so = scan->opaque;
	PirCandidate candidate;

	Assert(ScanDirectionIsForward(dir));

	if (!so->started)
		start(scan, so);

	while (!pir_emit_next(&so->emit, scan, &candidate))
	{
		MemoryContext old = MemoryContextSwitchTo(so->context);
		bool		more = read_batch(so);

		MemoryContextSwitchTo(old);
		if (!more)
			return false;
	}
	scan->xs_heaptid = candidate.tid;
	scan->xs_recheck = false;
	scan->xs_recheckorderby = false;
	return true;
}
