/*-------------------------------------------------------------------------
 *
 * hnsw_shards_join.c
 *	  Building a graph with little memory: one graph out of those of the
 *	  shards.
 *
 * Shard by shard, the nodes that were sent there are searched for, and become
 * neighbours of what they find, both ways. The root of each shard but the
 * first gets its anchor from an earlier shard. All these edges, sorted by the
 * node they go out from, are merged with the lists of the shards; lists that
 * get too long are chosen anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_memory.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "hnsw/hnsw_shards.h"
#include "miscadmin.h"

/* Shards whose root is anchored by the same shard, at most */
#define MAX_CHILDREN		8

/* Most nodes that are searched for in one go */
#define MAX_BATCH			4096

/*
 * A visitor from another shard is searched for with a smaller beam than nodes
 * of the shard are, and chooses fewer neighbours.
 */
#define FOREIGN_EF(ef)		Max((ef) / 2, Min((ef), 4))
#define FOREIGN_EDGES(m)	Max((m) / 2, 2)

/* ------------------------------------------------------------------------
 *	Edges between shards
 * ------------------------------------------------------------------------
 */

/* An edge as a number: source, then target. */
static void
put_edge(PirHnswShards *shards, uint32 from, uint32 to)
{
	tuplesort_putdatum(shards->edges, Int64GetDatum((int64) (((uint64) from << 32) | to)), false);
}

/* A shard's graph in the arena once more, nodes numbered by position. */
typedef struct Joiner
{
	PirHnswShards *shards;
	const PirHnswShard *shard;
	PirHnswGraph graph;
	uint32	   *from;			/* nid of each query of the batch */
	PirHnswQueries queries;		/* the batch */
	uint32		capacity;
	bytea	   *next;			/* query not taken yet; NULL: none left */
	uint64		ndone;
} Joiner;

static void
load_graph(Joiner *joiner)
{
	PirHnswShards *shards = joiner->shards;
	const PirHnswShard *shard = joiner->shard;
	const PirMetaHeadOnPage *head = &shards->builder->meta.head;
	Size		stride = shards->builder->stride;
	PirShardLayout layout;
	Size		per_query;
	Size		used;
	uint8	   *rest;

	pir_shard_layout(shards, &layout, shards->arena, shard->n);
	memset(layout.items, 0, shard->n * stride);
	pir_shard_graph(shards, &layout, shard->n, &joiner->graph);
	for (uint32 at = 0; at < shard->n; at++)
	{
		uint32	   *edges = layout.edges + (Size) at * joiner->graph.cap;

		CHECK_FOR_INTERRUPTS();
		if (!pir_hnsw_get_item(shards->builder->index, head, shards->first_code, shard->base + at,
							   layout.items + at * stride))
			elog(ERROR, "node %u is not where it was written", shard->base + at);
		pir_spool_read(shards->lists, &layout.nedges[at], 1);
		pir_spool_read(shards->lists, edges, layout.nedges[at] * sizeof(uint32));
		for (int e = 0; e < layout.nedges[at]; e++)
			edges[e] = (PIR_EDGE_NODE(edges[e]) - shard->base) | (edges[e] & PIR_EDGE_ANCHOR);
	}

	/* what construction needed is free for queries */
	rest = layout.scratch;
	used = rest - shards->arena;
	per_query = stride + joiner->graph.ef * sizeof(uint32) + sizeof(uint32) + sizeof(uint16);
	joiner->capacity = (uint32) Min(MAX_BATCH, (shards->arena_size - used - 4 * PIR_CACHE_LINE) / per_query);
	joiner->capacity = Max(joiner->capacity, 1);
	joiner->queries.items = rest;
	rest += TYPEALIGN(PIR_CACHE_LINE, joiner->capacity * stride);
	joiner->queries.found = (uint32 *) rest;
	rest += TYPEALIGN(PIR_CACHE_LINE, joiner->capacity * joiner->graph.ef * sizeof(uint32));
	joiner->from = (uint32 *) rest;
	rest += TYPEALIGN(PIR_CACHE_LINE, joiner->capacity * sizeof(uint32));
	joiner->queries.nfound = (uint16 *) rest;
	joiner->queries.n = 0;
}

static uint8 *
query_item(const Joiner *joiner, uint32 i)
{
	return unconstify(uint8 *, joiner->queries.items) + i * joiner->graph.item_stride;
}

static int
count_anchors(const PirHnswGraph *graph, uint32 node)
{
	int			count = 0;

	for (int e = 0; e < graph->nedges[node]; e++)
		count += (graph->edges[(Size) node * graph->cap + e] & PIR_EDGE_ANCHOR) != 0;
	return count;
}

/* Children of a shard: so many find room below its nodes, see attach_roots(). */
static uint32
max_children(const PirHnswShard *shard)
{
	return Min(MAX_CHILDREN, shard->n + 1);
}

/*
 * Anchor the roots of shards lo .. hi-1 in the shard at hand, each below the
 * nearest node with room. There is room: a tree of n nodes has n - 1 anchors,
 * and each list may have two at least, which leaves n + 1.
 */
static void
attach_roots(Joiner *joiner, uint32 lo, uint32 hi)
{
	PirHnswShards *shards = joiner->shards;
	const PirHnswGraph *graph = &joiner->graph;
	uint32		given[MAX_CHILDREN];
	uint32		ngiven = 0;

	for (uint32 s = lo; s < hi; s++)
	{
		uint32		parent = PIR_NODE_NONE;

		memset(query_item(joiner, 0), 0, graph->item_stride);
		(void) pir_hnsw_get_item(shards->builder->index, &shards->builder->meta.head, shards->first_code,
								 shards->shards[s].root, query_item(joiner, 0));
		joiner->queries.n = 1;
		joiner->queries.ef = joiner->queries.max = graph->ef;
		joiner->queries.select = false;
		pir_hnsw_crew_find(shards->crew, graph, &joiner->queries);
		for (uint32 i = 0; parent == PIR_NODE_NONE && i < joiner->queries.nfound[0] + graph->n; i++)
		{
			uint32		node = i < joiner->queries.nfound[0] ? joiner->queries.found[i] : i - joiner->queries.nfound[0];
			int			nanchors = count_anchors(graph, node);

			for (uint32 g = 0; g < ngiven; g++)
				nanchors += given[g] == node;
			if (nanchors < PIR_HNSW_MAX_ANCHORS(graph->cap))
				parent = node;
		}
		Assert(parent != PIR_NODE_NONE);
		given[ngiven++] = parent;
		put_edge(shards, joiner->shard->base + parent, shards->shards[s].root | PIR_EDGE_ANCHOR);
	}
	joiner->queries.n = 0;
}

/* Search for the batch, and make edges of what is found. */
static void
answer_queries(Joiner *joiner)
{
	PirHnswShards *shards = joiner->shards;
	PirHnswQueries *queries = &joiner->queries;

	if (queries->n == 0)
		return;
	queries->ef = FOREIGN_EF(joiner->graph.ef);
	queries->max = FOREIGN_EDGES(joiner->graph.m);
	queries->max = Min(queries->max, queries->ef);
	queries->select = true;
	pir_hnsw_crew_find(shards->crew, &joiner->graph, queries);
	for (uint32 i = 0; i < queries->n; i++)
	{
		for (int j = 0; j < queries->nfound[i]; j++)
		{
			uint32		found = joiner->shard->base + queries->found[(Size) i * queries->max + j];

			put_edge(shards, joiner->from[i], found);
			put_edge(shards, found, joiner->from[i]);
		}
	}
	joiner->ndone += queries->n;
	queries->n = 0;
	pir_shards_progress(joiner->ndone);
}

static void
next_query(Joiner *joiner)
{
	if (joiner->next != NULL)
		pfree(joiner->next);
	joiner->next = pir_sort_next(joiner->shards->queries);
}

/* Where does the next query go: before (-1), to or behind the shard at hand? */
static int
compare_destination(const Joiner *joiner)
{
	const uint8 *data = (const uint8 *) VARDATA(joiner->next);
	uint32		group = pir_get_number(data);
	uint32		part = pir_get_number(data + 4);

	if (group != joiner->shard->group)
		return group < joiner->shard->group ? -1 : 1;
	return part == joiner->shard->part ? 0 : part < joiner->shard->part ? -1 : 1;
}

static void
take_queries(Joiner *joiner)
{
	uint32		item_size = joiner->shards->builder->meta.head.item_size;

	for (; joiner->next != NULL; next_query(joiner))
	{
		const uint8 *data = (const uint8 *) VARDATA(joiner->next);
		int			where = compare_destination(joiner);

		if (where > 0)
			break;
		if (where < 0)
			continue;			/* to a group of cells without rows */
		if (joiner->queries.n == joiner->capacity)
			answer_queries(joiner);
		joiner->from[joiner->queries.n] = pir_get_number(data + 8);
		memset(query_item(joiner, joiner->queries.n), 0, joiner->graph.item_stride);
		memcpy(query_item(joiner, joiner->queries.n), data + 12, item_size);
		joiner->queries.n++;
	}
	answer_queries(joiner);
}

void
pir_shards_find_edges(PirHnswShards *shards)
{
	Joiner		joiner = {.shards = shards};
	uint32		attached = 1;	/* shards whose root has its place; shard 0 is the root of all */

	pir_shards_phase(PIR_HNSW_PHASE_JOIN, 0);
	tuplesort_performsort(shards->queries);
	shards->edges = tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false,
										  shards->sort_kilobytes, NULL, 0);
	pir_spool_rewind(shards->lists);
	next_query(&joiner);
	for (uint32 s = 0; s < shards->nshards; s++)
	{
		uint32		children;

		joiner.shard = &shards->shards[s];
		load_graph(&joiner);

		/* those behind it that have no place yet: always at least the next one */
		children = Min(max_children(joiner.shard), shards->nshards - attached);
		attach_roots(&joiner, attached, attached + children);
		attached += children;
		take_queries(&joiner);
	}
	ereport(DEBUG1,
			(errmsg_internal("%u shards joined by " UINT64_FORMAT " searches from others",
							 shards->nshards, joiner.ndone)));
	tuplesort_end(shards->queries);
}

/* ------------------------------------------------------------------------
 *	Lists
 * ------------------------------------------------------------------------
 */

/*
 * A batch of lists with consecutive nids. Those that are too long need the
 * items of all nodes they name, which are read from code pages in order.
 */
typedef struct Merger
{
	PirHnswShards *shards;
	uint32		cap;

	/* the lists; edges are nids */
	uint32		max_lists;
	uint32		nlists;
	uint32	   *starts;			/* in 'edges' */
	uint32	   *counts;
	uint32		max_edges;
	uint32		nedges;
	uint32	   *edges;

	/* those to be chosen anew; nodes are positions of items (see PirHnswLists) */
	PirHnswLists choose;		/* start: the list's; count: own array */
	uint32	   *which;			/* number of the list */
	uint32	   *base;
	uint32	   *start;

	/* items, by position */
	uint32		max_items;
	uint32		nitems;
	uint8	   *items;
	uint32	   *nids;
	uint64	   *reading;		/* nid, position: for reading in order of pages */
	uint32	   *hash;			/* position + 1 by nid; 0: empty */
	uint32		hash_mask;

	/* the stream of edges */
	bool		has_edge;
	uint64		edge;			/* next one not taken */
} Merger;

static inline void *
carve_arena(uint8 *base, Size *offset, Size size)
{
	Size		at = *offset;

	*offset = at + TYPEALIGN(PIR_CACHE_LINE, size);
	return base == NULL ? NULL : base + at;
}

/* Lay a merger for so many items over 'base'; returns the size. */
static Size
layout_merger(Merger *merger, uint8 *base, Size stride, uint32 cap, uint32 max_items)
{
	Size		offset = 0;
	uint32		hash_size = 64;

	while (hash_size < 2 * (uint64) max_items)
		hash_size *= 2;
	merger->cap = cap;
	merger->max_items = max_items;
	merger->max_lists = max_items / 2;
	merger->max_edges = 4 * max_items;
	merger->hash_mask = hash_size - 1;
	merger->items = carve_arena(base, &offset, max_items * stride);
	merger->nids = carve_arena(base, &offset, max_items * sizeof(uint32));
	merger->reading = carve_arena(base, &offset, max_items * sizeof(uint64));
	merger->hash = carve_arena(base, &offset, hash_size * sizeof(uint32));
	merger->starts = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->counts = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->which = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->base = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->start = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->choose.count = carve_arena(base, &offset, merger->max_lists * sizeof(uint32));
	merger->edges = carve_arena(base, &offset, merger->max_edges * sizeof(uint32));
	return offset;
}

Size
pir_shards_merge_size(const PirHnswShards *shards)
{
	uint32		cap = 2 * shards->builder->meta.head.m;
	Merger		merger;

	/* one list of any length, and a node for it */
	return layout_merger(&merger, NULL, shards->builder->stride, cap, PIR_HNSW_CHOOSE_MAX(cap) + 1);
}

static void
clear_batch(Merger *merger)
{
	merger->nlists = 0;
	merger->nedges = 0;
	merger->nitems = 0;
	merger->choose.n = 0;
	memset(merger->hash, 0, ((Size) merger->hash_mask + 1) * sizeof(uint32));
}

/* Position of a node's item, a new one if it is not yet wanted. */
static uint32
item_position(Merger *merger, uint32 nid)
{
	uint32		slot = murmurhash32(nid) & merger->hash_mask;

	for (; merger->hash[slot] != 0; slot = (slot + 1) & merger->hash_mask)
	{
		if (merger->nids[merger->hash[slot] - 1] == nid)
			return merger->hash[slot] - 1;
	}
	merger->nids[merger->nitems] = nid;
	merger->hash[slot] = ++merger->nitems;
	return merger->nitems - 1;
}

static int
compare_reading(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

/* Read the items, in the order of their pages. */
static void
read_items(Merger *merger)
{
	PirHnswShards *shards = merger->shards;
	const PirMetaHeadOnPage *head = &shards->builder->meta.head;
	Size		stride = shards->builder->stride;
	Buffer		buf = InvalidBuffer;
	uint32		held = 0;		/* logical page in buf */

	memset(merger->items, 0, merger->nitems * stride);
	for (uint32 i = 0; i < merger->nitems; i++)
		merger->reading[i] = ((uint64) merger->nids[i] << 32) | i;
	qsort(merger->reading, merger->nitems, sizeof(uint64), compare_reading);
	for (uint32 i = 0; i < merger->nitems; i++)
	{
		uint32		nid = (uint32) (merger->reading[i] >> 32);
		uint8	   *item = merger->items + (uint32) merger->reading[i] * stride;
		uint32		logical = pir_hnsw_code_page(head, nid);

		if (head->pages_per_node > 1)
		{
			(void) pir_hnsw_get_item(shards->builder->index, head, shards->first_code, nid, item);
			continue;
		}
		if (buf == InvalidBuffer || logical != held)
		{
			if (buf != InvalidBuffer)
				pir_page_release(buf);
			CHECK_FOR_INTERRUPTS();
			buf = pir_page_read(shards->builder->index, shards->first_code + logical, PIR_PAGE_CODE, PIR_LOCK_SHARE);
			held = logical;
		}
		memcpy(item, pir_hnsw_node_at(head, pir_page_of(buf), nid)->item, head->item_size);
	}
	if (buf != InvalidBuffer)
		pir_page_release(buf);
}

/* Choose the lists of the batch that are too long. */
static void
choose_lists(Merger *merger)
{
	if (merger->choose.n == 0)
		return;
	read_items(merger);
	merger->choose.cap = merger->cap;
	merger->choose.items = merger->items;
	merger->choose.item_stride = merger->shards->builder->stride;
	merger->choose.base = merger->base;
	merger->choose.start = merger->start;
	merger->choose.nodes = merger->edges;
	pir_hnsw_crew_choose(merger->shards->crew, &merger->choose);
	for (uint32 i = 0; i < merger->choose.n; i++)
	{
		uint32		list = merger->which[i];
		uint32	   *edges = merger->edges + merger->starts[list];

		merger->counts[list] = merger->choose.count[i];
		for (uint32 e = 0; e < merger->counts[list]; e++)
			edges[e] = merger->nids[PIR_EDGE_NODE(edges[e])] | (edges[e] & PIR_EDGE_ANCHOR);
	}
}

static void
write_batch(Merger *merger)
{
	choose_lists(merger);
	for (uint32 i = 0; i < merger->nlists; i++)
		pir_hnsw_put_list(merger->shards->pages, merger->edges + merger->starts[i], merger->counts[i]);
	clear_batch(merger);
}

/* Take a list into the batch; writes what is there if it does not fit. */
static void
add_list(Merger *merger, uint32 nid, const uint32 *edges, uint32 count)
{
	bool		too_long = count > merger->cap;
	uint32		nitems = too_long ? count + 1 : 0;
	uint32		list;

	if (merger->nlists == merger->max_lists || merger->nedges + count > merger->max_edges ||
		merger->nitems + nitems > merger->max_items)
		write_batch(merger);

	list = merger->nlists++;
	merger->starts[list] = merger->nedges;
	merger->counts[list] = count;
	for (uint32 e = 0; e < count; e++)
		merger->edges[merger->nedges++] = too_long
			? item_position(merger, PIR_EDGE_NODE(edges[e])) | (edges[e] & PIR_EDGE_ANCHOR)
			: edges[e];
	if (too_long)
	{
		uint32		i = merger->choose.n++;

		merger->which[i] = list;
		merger->base[i] = item_position(merger, nid);
		merger->start[i] = merger->starts[list];
		merger->choose.count[i] = count;
	}
}

static void
next_edge(Merger *merger)
{
	Datum		value;
	bool		isnull;

	merger->has_edge = pir_sort_next_datum(merger->shards->edges, &value, &isnull);
	if (merger->has_edge)
	{
		merger->edge = (uint64) DatumGetInt64(value);
#ifndef USE_FLOAT8_BYVAL
		pfree(DatumGetPointer(value));
#endif
	}
}

/*
 * The list of one node, with the edges that other shards have for it. A node
 * that is near to everything may get more than can be chosen among at a time:
 * then they are chosen in several rounds.
 */
static void
merge_list(Merger *merger, uint32 nid, uint32 *list)
{
	uint32		count = 0;
	uint8		nedges;

	pir_spool_read(merger->shards->lists, &nedges, 1);
	pir_spool_read(merger->shards->lists, list, nedges * sizeof(uint32));
	count = nedges;
	for (; merger->has_edge && (uint32) (merger->edge >> 32) == nid; next_edge(merger))
	{
		uint32		edge = (uint32) merger->edge;
		uint32		e;

		for (e = 0; e < count && PIR_EDGE_NODE(list[e]) != PIR_EDGE_NODE(edge); e++)
			;
		if (e < count)
		{
			list[e] |= edge & PIR_EDGE_ANCHOR;
			continue;
		}
		if (count == PIR_HNSW_CHOOSE_MAX(merger->cap))
		{
			write_batch(merger);
			add_list(merger, nid, list, count);
			choose_lists(merger);
			count = merger->counts[0];
			memcpy(list, merger->edges, count * sizeof(uint32));
			clear_batch(merger);
		}
		list[count++] = edge;
	}
	add_list(merger, nid, list, count);
}

void
pir_shards_write_lists(PirHnswShards *shards)
{
	uint32		cap = 2 * shards->builder->meta.head.m;
	Size		stride = shards->builder->stride;
	Merger		merger = {.shards = shards};
	uint32		low = PIR_HNSW_CHOOSE_MAX(cap) + 1;
	uint32		high = (uint32) Min(shards->arena_size / stride, PG_INT32_MAX);
	uint32	   *list = palloc(PIR_HNSW_CHOOSE_MAX(cap) * sizeof(uint32));

	pir_shards_phase(PIR_HNSW_PHASE_MERGE, shards->nnodes);
	while (low < high)
	{
		uint32		middle = low + (high - low + 1) / 2;

		if (layout_merger(&merger, NULL, stride, cap, middle) <= shards->arena_size)
			low = middle;
		else
			high = middle - 1;
	}
	layout_merger(&merger, shards->arena, stride, cap, low);
	clear_batch(&merger);

	tuplesort_performsort(shards->edges);
	pir_spool_rewind(shards->lists);
	pir_hnsw_pages_begin(shards->pages, shards->sink, &shards->builder->meta.head, PIR_PAGE_LIST);
	next_edge(&merger);
	for (uint32 s = 0; s < shards->nshards; s++)
	{
		const PirHnswShard *shard = &shards->shards[s];

		for (uint32 at = 0; at < shard->n; at++)
		{
			merge_list(&merger, shard->base + at, list);
			if (at % 1024 == 0)
				pir_shards_progress(shard->base + at);
		}
		for (uint32 t = 0; t < shard->ntids_nodes; t++)
			add_list(&merger, PIR_NID_NONE, NULL, 0);
	}
	write_batch(&merger);
	BufFileClose(shards->lists);
	tuplesort_end(shards->edges);
	pir_hnsw_pages_end(shards->pages, &shards->builder->meta.head.tables[PIR_TABLE_LIST]);
	pfree(list);
}
