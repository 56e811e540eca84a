/*-------------------------------------------------------------------------
 *
 * hnsw_scan.c
 *	  Index scans: batches of candidates by code, emitted in exact order.
 *
 * A search yields candidates with an estimate and a lower bound of their
 * distance. They are fetched from the heap under the scan's snapshot in the
 * order of their lower bounds; a fetched row is returned as soon as its exact
 * distance is not above the smallest lower bound not yet fetched. So about k
 * plus a dozen rows are fetched for k returned, without knowing k. Exact
 * codes need none of it. A bound may be violated (three times in 100,000), and
 * then a row comes later than it should: it is still returned, or left out in
 * strict order.
 *
 * No lock and no pin of index pages is held while the executor runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relscan.h"
#include "am/am_rerank.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_guc.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows fetched at the same time where they have to be read */
#define MAX_ROWS_AHEAD	8

/* Candidates sorted at first; then as many again each time */
#define MIN_SORTED	64

typedef struct Candidate
{
	float		bound;			/* lower bound; the distance itself when fetched */
	ItemPointerData tid;
	int16		kept;			/* when fetched: its value, for pir_rerank_offer() */
} Candidate;

typedef struct HnswScan
{
	PirHnswIndex hnsw;
	bool		open;			/* hnsw is open */
	bool		started;
	bool		done;			/* no further batch */
	bool		flat;
	bool		blind;			/* no distances: NULL query, zero vector under cosine */

	MemoryContext context;		/* of one rescan */
	PirHnswSearch search;
	Datum		query;
	Datum		argument;		/* as the executor gave it */
	bool		argument_null;

	PirRerank  *rerank;			/* made at first use, kept over rescans */

	Candidate  *queue;			/* not fetched before 'next' */
	int			nqueue;
	int			nsorted;		/* queue[] up to here is in order of bounds, the rest behind it */
	int			next;
	PirIoWatch	io;				/* of fetching rows */
	int			ahead;			/* rows asked for in one go, while reads happen */
	int			asked;			/* queue[] up to here was asked for */
	Candidate  *exact;			/* min-heap of fetched rows */
	int			nexact;
	int			exact_capacity;
	bool		have_last;
	float		last;			/* distance returned last (strict order) */
} HnswScan;

IndexScanDesc
pir_hnsw_beginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	HnswScan   *so = palloc0(sizeof(HnswScan));

	so->context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw scan",
										ALLOCSET_DEFAULT_SIZES);
	scan->opaque = so;
	return scan;
}

static void
close_index(HnswScan *so)
{
	if (so->open)
		pir_hnsw_close(&so->hnsw);
	so->open = false;
}

void
pir_hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	HnswScan   *so = scan->opaque;
	MemoryContext old;

	close_index(so);
	MemoryContextReset(so->context);
	so->started = so->done = so->flat = so->blind = so->have_last = false;
	so->queue = so->exact = NULL;
	so->nqueue = so->nsorted = so->next = so->nexact = so->exact_capacity = 0;
	so->ahead = so->asked = 0;
	pir_io_watch(&so->io);
	if (so->rerank != NULL)
		pir_rerank_forget(so->rerank);

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
pir_hnsw_endscan(IndexScanDesc scan)
{
	HnswScan   *so = scan->opaque;

	close_index(so);
	if (so->rerank != NULL)
		pir_rerank_end(so->rerank);
	MemoryContextDelete(so->context);
	pfree(so);
	scan->opaque = NULL;
}

/* Search distance -> what orders rows; NaN comes last. */
static inline float
orderable(float dist)
{
	return isnan(dist) ? INFINITY : dist;
}

static inline int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->bound != y->bound)
		return x->bound < y->bound ? -1 : 1;
	return ItemPointerCompare((ItemPointer) &x->tid, (ItemPointer) &y->tid);
}

/* Put heap[i], whose children are heaps with the greatest on top, in its place. */
static void
sift_down(Candidate *heap, int n, int i)
{
	Candidate	moved = heap[i];

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && compare_candidates(&heap[child], &heap[child + 1]) < 0)
			child++;
		if (compare_candidates(&heap[child], &moved) <= 0)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moved;
}

/*
 * Have queue[] in order as far as 'wanted' at least. An exact search of a
 * flat index queues all rows and fetches few, and sorting all would take half
 * of its time.
 */
static void
sort_ahead(HnswScan *so, int wanted)
{
	while (so->nsorted < Min(wanted, so->nqueue))
	{
		Candidate  *rest = so->queue + so->nsorted;
		int			nrest = so->nqueue - so->nsorted;
		int			n = Min(nrest, Max(MIN_SORTED, so->nsorted));

		/* the n smallest to the front */
		if (n < nrest)
		{
			for (int i = n / 2 - 1; i >= 0; i--)
				sift_down(rest, n, i);
			for (int i = n; i < nrest; i++)
			{
				if (rest[i].bound <= rest[0].bound && compare_candidates(&rest[i], &rest[0]) < 0)
				{
					Candidate	smaller = rest[i];

					rest[i] = rest[0];
					rest[0] = smaller;
					sift_down(rest, n, 0);
				}
			}
		}
		qsort(rest, n, sizeof(Candidate), compare_candidates);
		so->nsorted += n;
	}
}

static void
push_exact(HnswScan *so, float dist, ItemPointer tid, int kept)
{
	int			i = so->nexact++;

	if (so->nexact > so->exact_capacity)
	{
		so->exact_capacity = Max(64, so->exact_capacity * 2);
		so->exact = so->exact == NULL
			? MemoryContextAllocHuge(so->context, pir_size_mul(so->exact_capacity, sizeof(Candidate)))
			: repalloc_huge(so->exact, pir_size_mul(so->exact_capacity, sizeof(Candidate)));
	}
	for (; i > 0 && dist < so->exact[(i - 1) / 2].bound; i = (i - 1) / 2)
		so->exact[i] = so->exact[(i - 1) / 2];
	so->exact[i].bound = dist;
	so->exact[i].tid = *tid;
	so->exact[i].kept = kept;
}

static Candidate
pop_exact(HnswScan *so)
{
	Candidate	top = so->exact[0];
	Candidate	last = so->exact[--so->nexact];
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= so->nexact)
			break;
		if (child + 1 < so->nexact && so->exact[child + 1].bound < so->exact[child].bound)
			child++;
		if (last.bound <= so->exact[child].bound)
			break;
		so->exact[i] = so->exact[child];
		i = child;
	}
	so->exact[i] = last;
	return top;
}

/*
 * Are estimates the distances themselves? Not those of sketches, whatever
 * their code.
 */
static inline bool
estimates_exact(const HnswScan *so)
{
	return pir_quant_is_exact(so->hnsw.quant) && !so->hnsw.value.sketch;
}

/* The server would take this block number for a wish to extend the table. */
static inline void
check_tid(HnswScan *so, uint32 nid, const ItemPointerData *tid)
{
	if (unlikely(ItemPointerGetBlockNumberNoCheck(tid) == InvalidBlockNumber))
		pir_report_corrupted(so->hnsw.rel, PIR_META_BLKNO, "node %u leads to no heap row", nid);
}

/*
 * Make the search's best nodes the queue of candidates.
 *
 * The error unit of a code says nothing of what hashing did to a sketch, so
 * sketches have no bound: every candidate is fetched.
 */
static void
queue_best(HnswScan *so)
{
	PirHnswSearch *search = &so->search;
	float		eps = so->flat ? PIR_QUANT_EPS_SURE : PIR_QUANT_EPS_ORDER;
	bool		exact = estimates_exact(so);
	ItemPointerData *tids = NULL;
	int			capacity = 0;
	int			queue_capacity = search->nbest;
	MemoryContext old = MemoryContextSwitchTo(so->context);

	if (so->queue != NULL)
		pfree(so->queue);
	so->queue = MemoryContextAllocHuge(so->context, pir_size_mul(Max(queue_capacity, 1), sizeof(Candidate)));
	so->nqueue = so->next = so->asked = 0;

	for (int i = 0; i < search->nbest; i++)
	{
		int			f = search->best[i];
		PirHnswFound *found = &search->found[f];
		float		bound = found->dist;
		int			ntids = 0;

		if (so->hnsw.value.sketch)
			bound = -INFINITY;
		else if (!exact)
		{
			pir_hnsw_search_error(search, f);
			bound -= eps * found->err;
		}
		bound = orderable(bound);
		found->returned = true;

		if (found->link != PIR_NID_NONE)
			pir_hnsw_read_tids(&so->hnsw, &search->pins, found->nid, found->link,
							   &tids, &ntids, &capacity);
		if (so->nqueue + ntids + 1 > queue_capacity)
		{
			queue_capacity = Max(so->nqueue + ntids + 1, queue_capacity * 2);
			so->queue = repalloc_huge(so->queue, pir_size_mul(queue_capacity, sizeof(Candidate)));
		}
		if (ItemPointerIsValid(&found->tid))
		{
			check_tid(so, found->nid, &found->tid);
			so->queue[so->nqueue].bound = bound;
			so->queue[so->nqueue++].tid = found->tid;
		}
		for (int j = 0; j < ntids; j++)
		{
			check_tid(so, found->nid, &tids[j]);
			so->queue[so->nqueue].bound = bound;
			so->queue[so->nqueue++].tid = tids[j];
		}
	}
	so->nsorted = 0;
	if (tids != NULL)
		pfree(tids);
	MemoryContextSwitchTo(old);
}

/*
 * Search for the next ef nodes. The beam is a quarter wider than asked: codes
 * only estimate, and with this the same ef_search finds at least what a graph
 * of full vectors finds.
 */
static void
search_batch(HnswScan *so)
{
	PirHnswSearch *search = &so->search;
	int			ef = pir_hnsw_ef_search;

	pir_hnsw_search_run(search, ef + ef / 4);
	pir_hnsw_search_sort(search);
	search->nbest = Min(search->nbest, ef);
}

/* Open the index, prepare the query, run the first search. */
static void
start(IndexScanDesc scan, HnswScan *so)
{
	Relation	index = scan->indexRelation;
	MemoryContext old;

	so->started = true;
	pgstat_count_index_scan(index);
	pir_count_index_search(scan);

	if (scan->numberOfOrderBys == 0)
		elog(ERROR, "hnsw index \"%s\" can only be scanned in order of distance",
			 RelationGetRelationName(index));
	if (!IsMVCCSnapshot(scan->xs_snapshot))
		elog(ERROR, "hnsw index \"%s\" can only be scanned with an MVCC snapshot",
			 RelationGetRelationName(index));

	old = MemoryContextSwitchTo(so->context);
	for (;;)
	{
		void	   *input;
		void	   *scratch;
		PirQuantQuery *query;

		pir_hnsw_open(&so->hnsw, index);
		so->open = true;
		so->flat = so->hnsw.meta.state == PIR_HNSW_FLAT;
		if (so->hnsw.meta.nlive == 0)
		{
			so->done = true;
			break;
		}

		input = pir_alloc_aligned(so->context, pir_value_input_size(&so->hnsw.value), true);
		if (so->argument_null)
			so->blind = true;
		else
		{
			so->query = pir_value_detoast(&so->hnsw.value, so->argument, so->context);
			so->blind = !pir_value_input(&so->hnsw.value, so->query, input);
			if (so->blind)
				memset(input, 0, pir_value_input_size(&so->hnsw.value));
		}
		scratch = pir_alloc_aligned(so->context, pir_quant_scratch_size(so->hnsw.quant), false);
		query = pir_quant_prepare_query(so->hnsw.quant, input,
										pir_alloc_aligned(so->context,
														  pir_quant_query_size(so->hnsw.quant), false),
										scratch);
		pir_hnsw_search_init(&so->search, &so->hnsw, query, so->context,
							 pir_hnsw_iterative_scan != PIR_ITERATIVE_OFF);
		if (!so->flat)
		{
			search_batch(so);
			break;
		}
		if (pir_hnsw_search_flat(&so->search))
			break;

		/* the index was trained meanwhile: once more, in its new state */
		pir_hnsw_search_unpin(&so->search);
		close_index(so);
	}
	if (!so->done)
	{
		queue_best(so);
		pir_hnsw_search_unpin(&so->search);
		so->done = so->flat || !so->search.keep_all;
	}
	MemoryContextSwitchTo(old);
}

/* Iterative scan: search on; false if there is nothing more. */
static bool
next_batch(HnswScan *so)
{
	PirHnswSearch *search = &so->search;
	MemoryContext old;

	if (so->done)
		return false;

	old = MemoryContextSwitchTo(so->context);
	if (search->nvisited >= (uint32) pir_hnsw_max_scan_tuples ||
		MemoryContextMemAllocated(so->context, true) >
		(double) work_mem * 1024 * pir_hnsw_scan_mem_multiplier)
	{
		/* a budget is used up: hand out what was seen, nearest first */
		pir_hnsw_search_rest(search);
		so->done = true;
	}
	else
		search_batch(so);
	queue_best(so);
	pir_hnsw_search_unpin(search);
	if (so->nqueue == 0)
		so->done = true;
	MemoryContextSwitchTo(old);
	return so->nqueue > 0;
}

/*
 * Where rows have to be read, ask for the next few of the queue at once. How
 * many are wanted is not known, so we begin with two and double.
 */
static void
ask_for_rows(IndexScanDesc scan, HnswScan *so)
{
	ItemPointerData tids[MAX_ROWS_AHEAD];
	int			n = 0;

	if (!pir_io_expected(&so->io, scan->heapRelation))
	{
		so->ahead = 0;
		return;
	}
	if (so->next < so->asked)
		return;
	so->ahead = Min(Max(2, 2 * so->ahead), MAX_ROWS_AHEAD);
	for (so->asked = so->next; so->asked < so->nqueue && n < so->ahead; so->asked++)
		tids[n++] = so->queue[so->asked].tid;
	pir_rerank_read_ahead(so->rerank, tids, n, scan->xs_snapshot);
}

/* The next row in order: its TID, and its distance if that is known. */
static bool
next_candidate(IndexScanDesc scan, HnswScan *so, Candidate *result)
{
	bool		fetch = !so->blind && so->hnsw.quant != NULL && !estimates_exact(so);

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();

		sort_ahead(so, so->next + MAX_ROWS_AHEAD + 1);
		if (so->nexact > 0 &&
			(so->next == so->nqueue || so->exact[0].bound <= so->queue[so->next].bound))
		{
			*result = pop_exact(so);
			return true;
		}
		if (so->next == so->nqueue)
		{
			if (!next_batch(so))
				return false;
			continue;
		}
		if (!fetch)
		{
			*result = so->queue[so->next++];
			result->kept = PIR_RERANK_NOT_KEPT;
			return true;
		}
		else
		{
			Candidate  *candidate;
			Datum		value;

			if (so->rerank == NULL)
			{
				MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(so));

				so->rerank = pir_rerank_begin(scan->heapRelation, scan->indexRelation);
				MemoryContextSwitchTo(old);
			}
			ask_for_rows(scan, so);
			candidate = &so->queue[so->next++];
			if (pir_rerank_fetch(so->rerank, &candidate->tid, scan->xs_snapshot, &value))
			{
				MemoryContext old = MemoryContextSwitchTo(so->rerank->context);
				int			kept;

				value = pir_rerank_detoast(so->rerank, value, &kept);
				push_exact(so, orderable(pir_value_distance(&so->hnsw.value, so->query, value)),
						   &candidate->tid, kept);
				MemoryContextSwitchTo(old);
			}
		}
	}
}

bool
pir_hnsw_gettuple(IndexScanDesc scan, ScanDirection dir)
{
	HnswScan   *so = scan->opaque;
	Candidate	candidate;

	Assert(ScanDirectionIsForward(dir));

	if (!so->started)
		start(scan, so);

	while (next_candidate(scan, so, &candidate))
	{
		if (so->rerank != NULL)
			pir_rerank_offer(so->rerank, candidate.kept);
		if (!so->blind && pir_hnsw_iterative_scan == PIR_ITERATIVE_STRICT)
		{
			/* a batch may hold rows nearer than the last one returned */
			if (so->have_last && candidate.bound < so->last)
				continue;
			so->last = candidate.bound;
			so->have_last = true;
		}
		scan->xs_heaptid = candidate.tid;
		scan->xs_recheck = false;
		scan->xs_recheckorderby = false;
		return true;
	}
	return false;
}
