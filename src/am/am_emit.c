/*-------------------------------------------------------------------------
 *
 * am_emit.c
 *	  From candidates with lower bounds to rows in exact order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/am_emit.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Equal bounds: in the order of the table, so that answers repeat. */
static inline bool
before(const PirCandidate *a, const PirCandidate *b)
{
	if (a->bound != b->bound)
		return a->bound < b->bound;
	return ItemPointerCompare((ItemPointer) &a->tid, (ItemPointer) &b->tid) < 0;
}

static void
append(PirCandidates *list, MemoryContext context, float bound, const ItemPointerData *tid, int kept)
{
	if (list->n == list->capacity)
	{
		list->capacity = Max(64, list->capacity * 2);
		list->items = list->items == NULL
			? MemoryContextAllocHuge(context, pir_size_mul(list->capacity, sizeof(PirCandidate)))
			: repalloc_huge(list->items, pir_size_mul(list->capacity, sizeof(PirCandidate)));
	}
	list->items[list->n].bound = isnan(bound) ? INFINITY : bound;
	list->items[list->n].tid = *tid;
	list->items[list->n].kept = kept;
	list->n++;
}

static void
sift_down(PirCandidates *heap, Size i)
{
	PirCandidate item = heap->items[i];

	for (;;)
	{
		Size		child = 2 * i + 1;

		if (child >= heap->n)
			break;
		if (child + 1 < heap->n && before(&heap->items[child + 1], &heap->items[child]))
			child++;
		if (!before(&heap->items[child], &item))
			break;
		heap->items[i] = heap->items[child];
		i = child;
	}
	heap->items[i] = item;
}

static PirCandidate
pop(PirCandidates *heap)
{
	PirCandidate top = heap->items[0];

	heap->items[0] = heap->items[--heap->n];
	if (heap->n > 0)
		sift_down(heap, 0);
	return top;
}

static void
push(PirEmit *emit, PirCandidates *heap, float bound, const ItemPointerData *tid, int kept)
{
	Size		i;
	PirCandidate item;

	append(heap, emit->context, bound, tid, kept);
	i = heap->n - 1;
	item = heap->items[i];
	for (; i > 0 && before(&item, &heap->items[(i - 1) / 2]); i = (i - 1) / 2)
		heap->items[i] = heap->items[(i - 1) / 2];
	heap->items[i] = item;
}

void
pir_emit_reset(PirEmit *emit, const PirValueInfo *value, Datum query, bool fetch,
			   MemoryContext context)
{
	emit->value = value;
	emit->query = query;
	emit->fetch = fetch;
	emit->context = context;
	if (emit->rerank != NULL)
		pir_rerank_forget(emit->rerank);
	memset(&emit->queue, 0, sizeof(emit->queue));
	memset(&emit->exact, 0, sizeof(emit->exact));
}

void
pir_emit_add(PirEmit *emit, float bound, const ItemPointerData *tid)
{
	append(&emit->queue, emit->context, bound, tid, PIR_RERANK_NOT_KEPT);
}

void
pir_emit_settle(PirEmit *emit)
{
	for (Size i = emit->queue.n / 2; i > 0; i--)
		sift_down(&emit->queue, i - 1);
}

bool
pir_emit_next(PirEmit *emit, IndexScanDesc scan, PirCandidate *result)
{
	for (;;)
	{
		PirCandidate candidate;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		if (emit->exact.n > 0 &&
			(emit->queue.n == 0 || emit->exact.items[0].bound <= emit->queue.items[0].bound))
		{
			*result = pop(&emit->exact);
			pir_rerank_offer(emit->rerank, result->kept);
			return true;
		}
		if (emit->queue.n == 0)
			return false;
		candidate = pop(&emit->queue);
		if (!emit->fetch)
		{
			*result = candidate;
			return true;
		}

		if (emit->rerank == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(emit->rerank_context);

			emit->rerank = pir_rerank_begin(scan->heapRelation, scan->indexRelation);
			MemoryContextSwitchTo(old);
		}
		if (pir_rerank_fetch(emit->rerank, &candidate.tid, scan->xs_snapshot, &value))
		{
			MemoryContext old = MemoryContextSwitchTo(emit->rerank->context);
			int			kept;
			float		dist;

			value = pir_rerank_detoast(emit->rerank, value, &kept);
			dist = pir_value_distance(emit->value, emit->query, value);
			MemoryContextSwitchTo(old);
			push(emit, &emit->exact, dist, &candidate.tid, kept);
		}
	}
}

void
pir_emit_end(PirEmit *emit)
{
	if (emit->rerank != NULL)
		pir_rerank_end(emit->rerank);
	emit->rerank = NULL;
}
