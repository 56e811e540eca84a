/*-------------------------------------------------------------------------
 *
 * hnsw_search.c
 *	  Best-first search over codes in pages: the beam.
 *
 * Entries are ranked by the copies of their codes, then the beam runs as in
 * the HNSW paper's SEARCH-LAYER, with these differences: nodes known dead
 * are walked through but take no place among the ef best; each expansion
 * evaluates its neighbours page by page, locking each page once; pages stay
 * pinned through the search. See README.md section 4.
 *
 * One content lock is held at a time (two for nodes larger than a page), and
 * none across calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* The hardware fetches on by itself behind this. */
#define PREFETCH_BYTES	1024

/*
 * Bytes of nodes asked for ahead of the one being scored, and at least so many
 * nodes.
 */
#define PREFETCH_AHEAD_BYTES	1536
#define PREFETCH_AHEAD_MIN		2

/* A neighbour to evaluate, sortable by place. */
typedef struct Wanted
{
	uint32		nid;
	uint32		page;			/* logical code page */
	uint32		offset;			/* of the slot on the page */
} Wanted;

void
pir_hnsw_search_init(PirHnswSearch *search, PirHnswIndex *hnsw,
					 const PirQuantQuery *query, MemoryContext context, bool keep_all)
{
	memset(search, 0, sizeof(*search));
	search->hnsw = hnsw;
	search->query = query;
	search->context = context;
	search->keep_all = keep_all;
	pir_pins_init(&search->pins, hnsw->store);
	pir_io_watch(&search->io);

	search->visited_mask = 2047;
	search->visited = MemoryContextAlloc(context, 2048 * sizeof(uint32));
	memset(search->visited, 0xFF, 2048 * sizeof(uint32));
	if (hnsw->meta.head.pages_per_node > 1)
		search->item_scratch = MemoryContextAllocHuge(context, hnsw->meta.head.item_size);
}

void
pir_hnsw_search_unpin(PirHnswSearch *search)
{
	pir_pins_release(&search->pins);
}

/* --- visited set: open addressing, PG_UINT32_MAX = empty --- */

static inline uint32 *
visited_slot(const PirHnswSearch *search, uint32 nid)
{
	uint32		slot = (nid * UINT32_C(2654435769)) & search->visited_mask;

	while (search->visited[slot] != PG_UINT32_MAX && search->visited[slot] != nid)
		slot = (slot + 1) & search->visited_mask;
	return &search->visited[slot];
}

static void
grow_visited(PirHnswSearch *search)
{
	uint32		old_size = search->visited_mask + 1;
	uint32	   *old = search->visited;
	Size		size = pir_size_mul(2, old_size);

	if (size > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a search visited more than %u nodes", search->nvisited)));
	search->visited = MemoryContextAllocHuge(search->context, pir_size_mul(size, sizeof(uint32)));
	search->visited_mask = (uint32) size - 1;
	memset(search->visited, 0xFF, size * sizeof(uint32));
	for (uint32 i = 0; i < old_size; i++)
	{
		if (old[i] != PG_UINT32_MAX)
			*visited_slot(search, old[i]) = old[i];
	}
	pfree(old);
}

/* True if nid was not in the set before. */
static inline bool
visit(PirHnswSearch *search, uint32 nid)
{
	uint32	   *slot = visited_slot(search, nid);

	if (*slot == nid)
		return false;
	*slot = nid;
	if (++search->nvisited * 2 > search->visited_mask)
		grow_visited(search);
	return true;
}

/* --- heaps of indexes into found[] --- */

static inline bool
nearer(const PirHnswSearch *search, int a, int b)
{
	return search->found[a].dist < search->found[b].dist;
}

static void
sift_up(PirHnswSearch *search, int *heap, int i, bool min)
{
	int			item = heap[i];

	while (i > 0)
	{
		int			parent = (i - 1) / 2;

		if (min ? !nearer(search, item, heap[parent]) : !nearer(search, heap[parent], item))
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = item;
}

static void
sift_down(PirHnswSearch *search, int *heap, int n, int i, bool min)
{
	int			item = heap[i];

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n &&
			(min ? nearer(search, heap[child + 1], heap[child])
			 : nearer(search, heap[child], heap[child + 1])))
			child++;
		if (min ? !nearer(search, heap[child], item) : !nearer(search, item, heap[child]))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = item;
}

/* Room for n ints. */
static int *
grow_ints(PirHnswSearch *search, int *array, int *capacity, int n)
{
	if (n <= *capacity)
		return array;
	*capacity = Max(n, Max(256, *capacity * 2));
	if (array == NULL)
		return MemoryContextAllocHuge(search->context, pir_size_mul(*capacity, sizeof(int)));
	return repalloc_huge(array, pir_size_mul(*capacity, sizeof(int)));
}

static void
push_frontier(PirHnswSearch *search, int i)
{
	search->frontier = grow_ints(search, search->frontier, &search->frontier_capacity,
								 search->nfrontier + 1);
	search->frontier[search->nfrontier] = i;
	sift_up(search, search->frontier, search->nfrontier++, true);
}

static int
pop_frontier(PirHnswSearch *search)
{
	int			top = search->frontier[0];

	search->frontier[0] = search->frontier[--search->nfrontier];
	if (search->nfrontier > 0)
		sift_down(search, search->frontier, search->nfrontier, 0, true);
	return top;
}

/* Add to the ef best, dropping the worst if there are more. */
static void
push_best(PirHnswSearch *search, int i)
{
	if (search->nbest < search->ef)
	{
		search->best = grow_ints(search, search->best, &search->best_capacity, search->nbest + 1);
		search->best[search->nbest] = i;
		sift_up(search, search->best, search->nbest++, false);
	}
	else if (nearer(search, i, search->best[0]))
	{
		search->best[0] = i;
		sift_down(search, search->best, search->nbest, 0, false);
	}
}

/* Would a node at this distance be of interest now? */
static inline bool
admits(const PirHnswSearch *search, float dist)
{
	return search->nbest < search->ef || dist < search->found[search->best[0]].dist;
}

/* Room for n found nodes, or for twice as many as there was room for. */
static void
reserve_found(PirHnswSearch *search, int n)
{
	if (n <= search->found_capacity)
		return;
	if (search->found_capacity > INT_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a search evaluated more than %d nodes", search->found_capacity)));
	search->found_capacity = Max(n, search->found_capacity * 2);
	search->found = search->found == NULL
		? MemoryContextAllocHuge(search->context,
								 pir_size_mul(search->found_capacity, sizeof(PirHnswFound)))
		: repalloc_huge(search->found,
						pir_size_mul(search->found_capacity, sizeof(PirHnswFound)));
}

static int
add_found(PirHnswSearch *search, const PirHnswNodeOnPage *node, uint32 nid, float dist)
{
	PirHnswFound *found;

	if (search->nfound == search->found_capacity)
		reserve_found(search, Max(512, search->nfound + 1));
	found = &search->found[search->nfound];
	found->dist = dist;
	found->err = -1;
	found->nid = nid;
	found->link = node->link;
	found->tid = node->tid;
	found->live = node->state == PIR_NODE_LIVE;
	found->expanded = false;
	found->returned = false;
	return search->nfound++;
}

/* Where a node is; one division, where pir_hnsw_code_page() and _node_at() take two. */
static inline Wanted
locate(const PirHnswSearch *search, uint32 nid)
{
	const PirMetaHeadOnPage *head = &search->hnsw->meta.head;
	Wanted		wanted = {.nid = nid, .offset = PIR_PAGE_CONTENT};

	if (unlikely(head->pages_per_node > 1))
		wanted.page = nid * head->pages_per_node;
	else
	{
		wanted.page = nid / head->nodes_per_page;
		wanted.offset += (nid - wanted.page * head->nodes_per_page) * head->node_size;
	}
	return wanted;
}

/* Bring a node on its way; as many cache lines as a walk may wait for. */
static inline void
prefetch_node(PirHnswSearch *search, const Wanted *wanted)
{
	pir_pins_prefetch(&search->pins, PIR_TABLE_CODE, wanted->page, wanted->offset,
					  Min(search->hnsw->meta.head.node_size, PREFETCH_BYTES));
}

static inline void
prefetch_list(PirHnswSearch *search, uint32 nid)
{
	const PirMetaHeadOnPage *head = &search->hnsw->meta.head;
	uint32		page = pir_hnsw_list_page(head, nid);

	pir_pins_prefetch(&search->pins, PIR_TABLE_LIST, page,
					  PIR_PAGE_CONTENT + (nid - page * head->lists_per_page) * head->list_size,
					  head->list_size);
}

/* Score a node on a locked page. */
static void
evaluate_node(PirHnswSearch *search, Page page, const Wanted *wanted)
{
	PirHnswIndex *hnsw = search->hnsw;
	PirHnswNodeOnPage *node = (PirHnswNodeOnPage *) ((char *) page + wanted->offset);
	const void *item;
	float		dist;
	bool		wanted_now;
	int			f;

	/*
	 * An edge may be stale: see README.md, "Stale edges". Behind the last slot
	 * in use a page is zero, which is PIR_NODE_UNUSED.
	 */
	if (node->state != PIR_NODE_LIVE && node->state != PIR_NODE_DEAD)
		return;

	item = pir_hnsw_item(hnsw, page, wanted->nid, search->item_scratch);
	dist = pir_quant_distance(hnsw->quant, search->query, item);
	search->nevaluated++;

	wanted_now = admits(search, dist);
	if (!wanted_now && !search->keep_all)
		return;
	f = add_found(search, node, wanted->nid, dist);
	if (!wanted_now)
		return;
	search->found[f].err = pir_quant_error(hnsw->quant, search->query, item, dist);
	push_frontier(search, f);
	if (search->found[f].live)
		push_best(search, f);
}

/*
 * Score nodes, which are in order of pages: each page is locked once. The
 * time goes into waiting for memory, so the next few are asked for before one
 * is looked at; all of them at once would be more than the processor can have
 * under way.
 */
static void
evaluate(PirHnswSearch *search, const Wanted *wanted, int n)
{
	int			ahead = Max(PREFETCH_AHEAD_MIN,
							PREFETCH_AHEAD_BYTES / search->hnsw->meta.head.node_size);
	int			asked = 0;
	Buffer		buf = InvalidBuffer;
	Page		page = NULL;

	for (int i = 0; i < n; i++)
	{
		for (; asked < n && asked < i + ahead; asked++)
			prefetch_node(search, &wanted[asked]);
		if (i == 0 || wanted[i].page != wanted[i - 1].page)
		{
			if (i > 0)
				pir_page_unlock(buf);
			buf = pir_pins_get(&search->pins, PIR_TABLE_CODE, wanted[i].page);
			page = pir_page_lock_pinned(buf, PIR_LOCK_SHARE);
		}
		evaluate_node(search, page, &wanted[i]);
	}
	if (n > 0)
		pir_page_unlock(buf);
}

/* Evaluate the neighbours of a node that were not visited before. */
static void
expand(PirHnswSearch *search, uint32 nid)
{
	uint32		edges[2 * PIR_HNSW_MAX_M];
	Wanted		wanted[2 * PIR_HNSW_MAX_M];
	int			nedges = pir_hnsw_read_list(search->hnsw, &search->pins, nid, edges, NULL);
	int			n = 0;

	search->nexpanded++;
	for (int i = 0; i < nedges; i++)
	{
		uint32		target = PIR_EDGE_NODE(edges[i]);
		Wanted		one;
		int			j;

		if (!visit(search, target))
			continue;
		/* insertion sort by page: at most 2 m, mostly far fewer */
		one = locate(search, target);
		for (j = n++; j > 0 && wanted[j - 1].page > one.page; j--)
			wanted[j] = wanted[j - 1];
		wanted[j] = one;
	}

	/* if none of them is nearer, this one is expanded next */
	if (search->nfrontier > 0)
		prefetch_list(search, search->found[search->frontier[0]].nid);

	/* where pages have to be read, all but the first while that one is waited for */
	if (n > 1 && pir_io_expected(&search->io, search->hnsw->rel))
	{
		for (int i = 1; i < n; i++)
		{
			if (wanted[i].page != wanted[i - 1].page)
				pir_pins_read_ahead(&search->pins, PIR_TABLE_CODE, wanted[i].page);
		}
	}
	evaluate(search, wanted, n);
}

/*
 * Rank the entry nodes by their copies and evaluate the best of those not yet
 * visited. False if there are no more.
 */
static bool
enter(PirHnswSearch *search)
{
	PirHnswIndex *hnsw = search->hnsw;
	uint32		nid[PIR_HNSW_ENTRY_BEST];
	float		dist[PIR_HNSW_ENTRY_BEST];
	int			n = 0;
	int			nfound = search->nfound;
	PirHnswEntryScan entries;
	int			nslots;

	/*
	 * A slot of the entry layer may lead to a node that was freed meanwhile.
	 * VACUUM replaces such entries before it frees, so a second look at the
	 * entry layer finds live ones; the loop ends because each pass leaves out
	 * what it has visited.
	 */
	for (;;)
	{
		n = 0;
		pir_hnsw_entry_begin(&entries, hnsw);
		while (pir_hnsw_entry_page(&entries, &nslots))
		{
			for (int i = 0; i < nslots; i++)
			{
				PirHnswEntryOnPage *entry = (PirHnswEntryOnPage *)
					(pir_page_content(entries.page) + i * entries.stride);
				float		d = 0;
				int			j;

				/*
				 * Entries without copies are few and all used; with copies,
				 * the nearest are.
				 */
				if (!entries.has_items)
				{
					if (n == PIR_HNSW_ENTRY_BEST)
						break;
				}
				else
				{
					d = pir_quant_distance(hnsw->quant, search->query, entry->item);
					search->nevaluated++;
					if (n == PIR_HNSW_ENTRY_BEST && d >= dist[n - 1])
						continue;
				}
				if (*visited_slot(search, entry->nid) == entry->nid)
					continue;
				if (n < PIR_HNSW_ENTRY_BEST)
					n++;
				for (j = n - 1; j > 0 && dist[j - 1] > d; j--)
				{
					dist[j] = dist[j - 1];
					nid[j] = nid[j - 1];
				}
				dist[j] = d;
				nid[j] = entry->nid;
			}
			CHECK_FOR_INTERRUPTS();
		}
		if (n == 0)
			return false;

		for (int i = 0; i < n; i++)
		{
			Wanted		wanted = locate(search, nid[i]);

			if (visit(search, nid[i]))
				evaluate(search, &wanted, 1);
		}
		if (search->nfound > nfound)
			return true;
	}
}

/*
 * Begin again with another ef: the frontier is everything not expanded, the
 * best are the nearest that were not returned.
 */
static void
resume(PirHnswSearch *search)
{
	search->nfrontier = 0;
	search->nbest = 0;
	for (int i = 0; i < search->nfound; i++)
	{
		if (!search->found[i].expanded)
			push_frontier(search, i);
		if (search->found[i].live && !search->found[i].returned)
			push_best(search, i);
	}
}

void
pir_hnsw_search_run(PirHnswSearch *search, int ef)
{
	search->ef = ef;
	if (search->nfound == 0)
		(void) enter(search);
	else
		resume(search);

	/*
	 * If there is nothing left to expand but room for more, what can be
	 * reached from these entries is seen: go on from the others. The root is
	 * one of them, and every live node can be reached from it.
	 */
	do
	{
		while (search->nfrontier > 0)
		{
			int			next = search->frontier[0];

			if (search->nbest == search->ef &&
				search->found[next].dist > search->found[search->best[0]].dist)
				break;
			pop_frontier(search);
			search->found[next].expanded = true;
			expand(search, search->found[next].nid);
			CHECK_FOR_INTERRUPTS();
		}
	} while (search->nbest < search->ef && enter(search));
}

void
pir_hnsw_search_rest(PirHnswSearch *search)
{
	search->ef = Max(search->nfound, 1);
	resume(search);
}

bool
pir_hnsw_search_flat(PirHnswSearch *search)
{
	PirHnswIndex *hnsw = search->hnsw;
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	uint32		npages = head->tables[PIR_TABLE_CODE].npages;
	bool		exact = pir_quant_is_exact(hnsw->quant);
	Buffer		meta;
	bool		still;

	reserve_found(search, (int) Min(hnsw->meta.nnodes, PIR_HNSW_TRAIN_ROWS));
	for (uint32 logical = 0; logical < npages; logical += head->pages_per_node)
	{
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, logical);
		Page		page;
		uint32		nslots;

		/*
		 * Training may have moved the rows away and freed the page; then the
		 * epoch tells, below.
		 */
		if (!pir_page_lock_if(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_SHARE, &page))
		{
			pir_page_unpin(buf);
			break;
		}
		nslots = Min(pir_page_special(page)->nslots, head->nodes_per_page);
		for (uint32 slot = 0; slot < nslots; slot++)
		{
			uint32		nid = logical / head->pages_per_node * head->nodes_per_page + slot;
			PirHnswNodeOnPage *node = pir_hnsw_node_at(head, page, nid);
			const void *item;
			int			f;

			if (node->state != PIR_NODE_LIVE)
				continue;
			item = pir_hnsw_item(hnsw, page, nid, search->item_scratch);
			f = add_found(search, node, nid, pir_quant_distance(hnsw->quant, search->query, item));
			search->found[f].err = exact ? 0 : pir_quant_error(hnsw->quant, search->query, item,
															   search->found[f].dist);
			search->nevaluated++;
		}
		pir_page_release(buf);
		CHECK_FOR_INTERRUPTS();
	}

	/* was all that one and the same flat state? */
	meta = pir_meta_read(hnsw->rel, PIR_KIND_HNSW, PIR_LOCK_SHARE);
	still = pir_meta_head(pir_page_of(meta))->epoch == head->epoch;
	pir_page_release(meta);
	if (!still)
	{
		search->nfound = 0;
		return false;
	}

	search->ef = search->nfound;
	search->best = grow_ints(search, search->best, &search->best_capacity, search->nfound);
	for (int i = 0; i < search->nfound; i++)
		search->best[i] = i;
	search->nbest = search->nfound;
	return true;
}

static int
compare_found(const void *a, const void *b, void *arg)
{
	const PirHnswSearch *search = arg;
	const PirHnswFound *x = &search->found[*(const int *) a];
	const PirHnswFound *y = &search->found[*(const int *) b];

	if (x->dist != y->dist)
		return x->dist < y->dist ? -1 : 1;
	return x->nid < y->nid ? -1 : x->nid > y->nid;
}

void
pir_hnsw_search_sort(PirHnswSearch *search)
{
	qsort_arg(search->best, search->nbest, sizeof(int), compare_found, search);
}

void
pir_hnsw_search_error(PirHnswSearch *search, int i)
{
	PirHnswFound *found = &search->found[i];
	Buffer		buf;
	Page		page;

	if (found->err >= 0)
		return;
	page = pir_hnsw_lock_node(search->hnsw, &search->pins, found->nid, PIR_LOCK_SHARE, &buf);
	found->err = pir_quant_error(search->hnsw->quant, search->query,
								 pir_hnsw_item(search->hnsw, page, found->nid, search->item_scratch),
								 found->dist);
	pir_page_unlock(buf);
}
