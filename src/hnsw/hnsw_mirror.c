/*-------------------------------------------------------------------------
 *
 * hnsw_mirror.c
 *	  A copy of the graph in memory, for statements that insert many rows.
 *
 * Reaching pages is more than half of what an insert costs. A statement that
 * inserts many rows copies codes and lists once, in the order of the pages,
 * and searches the copy from then on, by the search that builds use. Pages
 * are changed as by any insert, and the copy learns of it.
 *
 * What others change does not reach the copy. That costs quality, never
 * correctness: an outdated edge is a stale one, and whatever is written is
 * first compared with the page (hnsw_link.c). When others have changed more
 * than a small share of the nodes, the copy is made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_private.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Searches begin from so many entries: as in a build. */
#define MIRROR_ENTRIES		128

/* Room for a quarter more nodes, each time. */
#define GROWN(n)			((n) + (n) / 4 + 1024)

/*
 * The copy is made anew when others have changed so many nodes, but not before
 * it has served as many inserts: copying then costs a sixth of what they do.
 */
#define OUTDATED(n)			((n) / 64 + 64)

struct PirHnswMirror
{
	MemoryContext context;
	MemoryContext arrays;		/* what grows, below it */
	Size		bytes;			/* taken, as counted in mirror_bytes */
	uint64		seed;			/* of which file, and which epoch of it */
	uint32		epoch;
	int64		nlive;			/* what the meta page should say now */
	int64		ndead;
	uint32		nadded;			/* nodes that it has learnt of */
	uint32		capacity;		/* nodes */
	uint32		n;				/* nodes up to the highest number known */
	PirHnswGraph graph;			/* of 'capacity' nodes */
	uint8	   *states;			/* PIR_NODE_LIVE or _DEAD: has a code here; 0: has none */
	uint8	   *items;
	void	   *scratch;
	uint32		entries[MIRROR_ENTRIES];
	int			nentries;
};

/* What all mirrors of this backend take together. */
static Size mirror_bytes = 0;

static void
forget_bytes(void *arg)
{
	mirror_bytes -= ((PirHnswMirror *) arg)->bytes;
}

static Size
size_of(const PirHnswIndex *hnsw, uint32 capacity, int ef)
{
	Size		per_node = TYPEALIGN(16, hnsw->meta.head.item_size) +
		hnsw->cap * sizeof(uint32) + 2 * sizeof(uint8);

	return pir_size_add(pir_size_mul(per_node, capacity),
						pir_hnsw_graph_search_scratch_size(hnsw->quant, capacity, hnsw->cap, ef));
}

/*
 * Allocate the arrays for 'capacity' nodes, with what was in the old ones.
 * False, and nothing done, if that is more than maintenance_work_mem.
 */
static bool
allocate(PirHnswMirror *mirror, const PirHnswIndex *hnsw, uint32 capacity)
{
	int			ef = pir_hnsw_ef_construction(hnsw->rel);
	Size		stride = TYPEALIGN(16, hnsw->meta.head.item_size);
	Size		bytes = size_of(hnsw, capacity, ef);
	Size		n = mirror->n;
	PirHnswGraph *graph = &mirror->graph;
	MemoryContext arrays;
	uint8	   *items;
	uint32	   *edges;
	uint8	   *nedges;
	uint8	   *states;

	if (mirror_bytes - mirror->bytes + bytes > (Size) maintenance_work_mem * 1024)
		return false;

	arrays = AllocSetContextCreate(mirror->context, "piramid hnsw mirror arrays",
								   ALLOCSET_DEFAULT_SIZES);
	items = pir_alloc_aligned(arrays, pir_size_mul(capacity, stride), false);
	edges = MemoryContextAllocHuge(arrays, pir_size_mul(capacity, hnsw->cap * sizeof(uint32)));
	nedges = MemoryContextAllocHuge(arrays, capacity);
	states = MemoryContextAllocHuge(arrays, capacity);
	memset(nedges, 0, capacity);
	memset(states, 0, capacity);
	if (mirror->arrays != NULL)
	{
		memcpy(items, mirror->items, n * stride);
		memcpy(edges, graph->edges, n * hnsw->cap * sizeof(uint32));
		memcpy(nedges, graph->nedges, n);
		memcpy(states, mirror->states, n);
		MemoryContextDelete(mirror->arrays);
	}
	mirror->arrays = arrays;
	mirror->scratch = pir_alloc_aligned(arrays,
										pir_hnsw_graph_search_scratch_size(hnsw->quant, capacity, hnsw->cap, ef),
										true);
	mirror->states = states;
	mirror->items = items;
	mirror->capacity = capacity;
	graph->n = capacity;
	graph->cap = hnsw->cap;
	graph->m = hnsw->meta.head.m;
	graph->ef = ef;
	graph->items = items;
	graph->item_stride = stride;
	graph->nedges = nedges;
	graph->edges = edges;
	mirror_bytes += bytes - mirror->bytes;
	mirror->bytes = bytes;
	return true;
}

static void
load_codes(PirHnswMirror *mirror, PirHnswIndex *hnsw)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;
	Size		stride = mirror->graph.item_stride;

	for (uint32 first = 0; first < mirror->n; first += head->nodes_per_page)
	{
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_CODE, pir_hnsw_code_page(head, first));
		Page		page = pir_page_lock(hnsw->rel, buf, PIR_PAGE_CODE, PIR_LOCK_SHARE);

		for (uint32 nid = first; nid < mirror->n && nid < first + head->nodes_per_page; nid++)
		{
			uint16		state = pir_hnsw_node_at(head, page, nid)->state;
			uint8	   *item = mirror->items + nid * stride;
			const void *found;

			if (state != PIR_NODE_LIVE && state != PIR_NODE_DEAD)
				continue;
			found = pir_hnsw_item(hnsw, page, nid, item);
			if (found != item)
				memcpy(item, found, head->item_size);
			mirror->states[nid] = state;
		}
		pir_page_release(buf);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
load_lists(PirHnswMirror *mirror, PirHnswIndex *hnsw)
{
	const PirMetaHeadOnPage *head = &hnsw->meta.head;

	for (uint32 first = 0; first < mirror->n; first += head->lists_per_page)
	{
		Buffer		buf = pir_table_pin(hnsw->store, PIR_TABLE_LIST, pir_hnsw_list_page(head, first));
		Page		page = pir_page_lock(hnsw->rel, buf, PIR_PAGE_LIST, PIR_LOCK_SHARE);

		for (uint32 nid = first; nid < mirror->n && nid < first + head->lists_per_page; nid++)
		{
			const PirHnswListOnPage *list = pir_hnsw_list_at(head, page, nid);

			if (mirror->states[nid] != 0 && list->nedges <= hnsw->cap)
				pir_hnsw_mirror_set_list(mirror, nid, list->edges, list->nedges);
		}
		pir_page_release(buf);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
load_entries(PirHnswMirror *mirror, PirHnswIndex *hnsw)
{
	PirHnswEntryScan entries;
	int			nslots;

	mirror->nentries = 0;
	pir_hnsw_entry_begin(&entries, hnsw);
	while (pir_hnsw_entry_page(&entries, &nslots))
	{
		for (int i = 0; i < nslots; i++)
		{
			uint32		nid = ((PirHnswEntryOnPage *)
							   (pir_page_content(entries.page) + i * entries.stride))->nid;
			bool		seen = nid >= mirror->n || mirror->states[nid] == 0;

			for (int e = 0; e < mirror->nentries && !seen; e++)
				seen = mirror->entries[e] == nid;
			if (!seen && mirror->nentries < MIRROR_ENTRIES)
				mirror->entries[mirror->nentries++] = nid;
		}
	}
}

PirHnswMirror *
pir_hnsw_mirror_make(PirHnswIndex *hnsw, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "piramid hnsw mirror",
												  ALLOCSET_DEFAULT_SIZES);
	PirHnswMirror *mirror = MemoryContextAllocZero(context, sizeof(PirHnswMirror));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));

	mirror->context = context;
	callback->func = forget_bytes;
	callback->arg = mirror;
	MemoryContextRegisterResetCallback(context, callback);
	if (!allocate(mirror, hnsw, GROWN(hnsw->meta.nnodes)))
	{
		MemoryContextDelete(context);
		return NULL;
	}

	mirror->seed = hnsw->meta.head.seed;
	mirror->epoch = hnsw->meta.head.epoch;
	mirror->nlive = hnsw->meta.nlive;
	mirror->ndead = hnsw->meta.ndead;
	mirror->n = hnsw->meta.nnodes;
	load_codes(mirror, hnsw);
	load_lists(mirror, hnsw);
	load_entries(mirror, hnsw);
	return mirror;
}

void
pir_hnsw_mirror_free(PirHnswMirror *mirror)
{
	MemoryContextDelete(mirror->context);
}

bool
pir_hnsw_mirror_outdated(const PirHnswMirror *mirror, const PirHnswIndex *hnsw)
{
	int64		by_others = Max(hnsw->meta.nlive - mirror->nlive, mirror->nlive - hnsw->meta.nlive) +
		Max(hnsw->meta.ndead - mirror->ndead, mirror->ndead - hnsw->meta.ndead);

	return mirror->seed != hnsw->meta.head.seed || mirror->epoch != hnsw->meta.head.epoch ||
		Min(by_others, mirror->nadded) > OUTDATED(mirror->n);
}

int
pir_hnsw_mirror_search(PirHnswMirror *mirror, const PirHnswIndex *hnsw,
					   const PirQuantQuery *query, int ef, PirHnswCandidate *cands)
{
	int			nfound;
	int			n = 0;

	Assert(ef <= mirror->graph.ef);
	/* the quantizer is in a cache that may have been made anew */
	mirror->graph.quant = hnsw->quant;
	nfound = pir_hnsw_graph_search(&mirror->graph, query, mirror->entries, mirror->nentries,
								   ef, cands, mirror->scratch);
	for (int i = 0; i < nfound; i++)
	{
		if (mirror->states[cands[i].node] == PIR_NODE_LIVE)
			cands[n++] = cands[i];
	}
	return n;
}

const void *
pir_hnsw_mirror_item(const PirHnswMirror *mirror, uint32 nid)
{
	if (nid >= mirror->n || mirror->states[nid] == 0)
		return NULL;
	return mirror->items + nid * mirror->graph.item_stride;
}

bool
pir_hnsw_mirror_add(PirHnswMirror *mirror, const PirHnswIndex *hnsw, uint32 nid, const void *item)
{
	if (nid >= mirror->capacity && !allocate(mirror, hnsw, GROWN(nid)))
		return false;
	memcpy(mirror->items + nid * mirror->graph.item_stride, item, hnsw->meta.head.item_size);
	mirror->graph.nedges[nid] = 0;
	mirror->states[nid] = PIR_NODE_LIVE;
	mirror->n = Max(mirror->n, nid + 1);
	mirror->nlive++;
	mirror->nadded++;
	return true;
}

void
pir_hnsw_mirror_set_list(PirHnswMirror *mirror, uint32 nid, const uint32 *edges, int nedges)
{
	PirHnswGraph *graph = &mirror->graph;
	uint32	   *list;
	int			n = 0;

	if (nid >= mirror->n || mirror->states[nid] == 0)
		return;
	list = graph->edges + (Size) nid * graph->cap;
	for (int i = 0; i < nedges; i++)
	{
		uint32		target = PIR_EDGE_NODE(edges[i]);

		if (target < mirror->n && mirror->states[target] != 0 && target != nid)
			list[n++] = target;
	}
	graph->nedges[nid] = n;
}
