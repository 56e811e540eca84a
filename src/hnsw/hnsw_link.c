/*-------------------------------------------------------------------------
 *
 * hnsw_link.c
 *	  Edges to a node from the lists of others.
 *
 * A list is read, its new state worked out with no lock held, and written
 * if it still is what was read. A new node asks some 15 lists at once: their
 * links are planned together (pir_hnsw_plan_links) and written by atomic
 * changes of up to four list pages, locked in the order of their blocks.
 *
 * An edge keeps its place in a list as long as it is there: so what is logged
 * is the count and one edge, or one edge for each that gives way.
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

/* How often to choose anew when another backend changes a list under us. */
#define ADD_EDGE_ATTEMPTS	4

bool
pir_hnsw_copy_item(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, void *item)
{
	Buffer		buf;
	Page		page = pir_hnsw_lock_node(hnsw, pins, nid, PIR_LOCK_SHARE, &buf);
	bool		live = pir_hnsw_node_at(&hnsw->meta.head, page, nid)->state == PIR_NODE_LIVE;
	const void *found = pir_hnsw_item(hnsw, page, nid, item);

	if (found != item)
		memcpy(item, found, hnsw->meta.head.item_size);
	pir_page_unlock(buf);
	return live;
}

/* --- one link --- */

/*
 * A full list and one more edge: choose which to keep. What stays keeps its
 * place; the new edge, then the last ones, take the places that become free.
 * False, and edges[] as it was, if the new edge is not among the chosen.
 * Memory: leaves its work in the current memory context.
 */
static bool
choose_edges(PirHnswIndex *hnsw, PirPins *pins, const void *from_item, uint32 *edges, int *nedges,
			 uint32 new_edge, const void *to_item)
{
	Size		item_size = TYPEALIGN(16, hnsw->meta.head.item_size);
	PirHnswCandidate *cands = palloc((*nedges + 1) * sizeof(PirHnswCandidate));
	char	   *items = pir_alloc_aligned(CurrentMemoryContext, pir_size_mul(*nedges, item_size), false);
	bool		kept[2 * PIR_HNSW_MAX_M] = {false};
	bool		chosen = false;
	int			n = 0;
	int			last = *nedges;

	for (int i = 0; i < *nedges; i++)
	{
		char	   *copy = items + i * item_size;
		const void *item = NULL;

		if (hnsw->mirror != NULL)
			item = pir_hnsw_mirror_item(hnsw->mirror, PIR_EDGE_NODE(edges[i]));

		/*
		 * Edges to what is not live go first of all; but anchors stay: other
		 * nodes may be within reach through a tombstone only.
		 */
		if (item == NULL)
		{
			if (!pir_hnsw_copy_item(hnsw, pins, PIR_EDGE_NODE(edges[i]), copy) &&
				(edges[i] & PIR_EDGE_ANCHOR) == 0)
				continue;
			item = copy;
		}
		cands[n].node = edges[i];
		cands[n].item = item;
		cands[n].dist = pir_quant_code_distance(hnsw->quant, from_item, item);
		n++;
	}
	cands[n].node = new_edge;
	cands[n].item = to_item;
	cands[n].dist = pir_quant_code_distance(hnsw->quant, from_item, to_item);
	n++;
	if (n > (int) hnsw->cap)
		n = pir_hnsw_select(hnsw->quant, from_item, cands, n, hnsw->cap,
							pir_alloc_aligned(CurrentMemoryContext,
											  pir_hnsw_select_scratch_size(hnsw->quant, n), false));
	for (int c = 0; c < n; c++)
	{
		if (cands[c].node == new_edge)
			chosen = true;
		for (int i = 0; i < *nedges; i++)
			kept[i] |= edges[i] == cands[c].node;
	}
	if (!chosen)
		return false;

	for (int i = 0; i < n; i++)
	{
		if (i < *nedges && kept[i])
			continue;
		if (chosen)
			edges[i] = new_edge;
		else
		{
			do
				last--;
			while (!kept[last]);
			edges[i] = edges[last];
		}
		chosen = false;
	}
	*nedges = n;
	return true;
}

/* What is to become of a list. */
typedef struct Link
{
	uint32		from;			/* whose list */
	BlockNumber blkno;			/* its page, as ordered */
	uint32		logical;
	bool		anchor;
	bool		pending;		/* still to be written */
	uint8		flags;
	int			nseen;
	int			nedges;
	int			at;				/* place of the new edge */
	uint32	   *seen;			/* the list as it was read: cap edges */
	uint32	   *edges;			/* as it shall be: cap edges */
} Link;

typedef enum Planned
{
	LINK_WRITE,
	LINK_THERE,					/* the list has it already */
	LINK_REFUSED				/* the list does not take it */
} Planned;

static void
init_link(PirHnswIndex *hnsw, Link *link)
{
	memset(link, 0, sizeof(Link));
	link->seen = palloc(2 * hnsw->cap * sizeof(uint32));
	link->edges = link->seen + hnsw->cap;
}

/*
 * Read the list of 'from' and work out how it takes an edge to 'to'. Edges
 * to 'to' that are there already are found out, if 'to' has a number yet.
 * Locks: share locks on one page at a time. Memory: leaves its work in the
 * current memory context.
 */
static Planned
plan_link(PirHnswIndex *hnsw, PirPins *pins, Link *link, uint32 from, const void *from_item,
		  uint32 to, const void *to_item, bool anchor, int max_anchors)
{
	uint32		new_edge = to | (anchor ? PIR_EDGE_ANCHOR : 0);
	int			nanchors = 0;

	link->from = from;
	link->anchor = anchor;
	link->nseen = pir_hnsw_read_list(hnsw, pins, from, link->seen, &link->flags);
	if (link->flags & PIR_LIST_DEAD)
		return LINK_REFUSED;

	link->at = -1;
	for (int i = 0; i < link->nseen; i++)
	{
		if (PIR_EDGE_NODE(link->seen[i]) == to)
			link->at = i;
		else if (link->seen[i] & PIR_EDGE_ANCHOR)
			nanchors++;
	}
	/* there already: a stale edge, or another's repair */
	if (link->at >= 0 && !anchor)
		return LINK_THERE;
	if (anchor && nanchors >= max_anchors)
		return LINK_REFUSED;

	memcpy(link->edges, link->seen, link->nseen * sizeof(uint32));
	link->nedges = link->nseen;
	if (link->at >= 0)
		link->edges[link->at] = new_edge;
	else if (link->nedges < (int) hnsw->cap)
	{
		link->at = link->nedges++;
		link->edges[link->at] = new_edge;
	}
	else
	{
		if (!choose_edges(hnsw, pins, from_item, link->edges, &link->nedges, new_edge, to_item))
			return LINK_REFUSED;
		for (link->at = 0; link->edges[link->at] != new_edge;)
			link->at++;
	}
	return LINK_WRITE;
}

/* Is the list what the link was planned for? */
static bool
is_unchanged(const Link *link, const PirHnswListOnPage *list)
{
	return list->flags == link->flags && list->nedges == link->nseen &&
		memcmp(list->edges, link->seen, link->nseen * sizeof(uint32)) == 0;
}

/* Locks: caller holds the page exclusively; 'list' is in its WAL copy. */
static void
write_link(const PirHnswIndex *hnsw, const Link *link, PirHnswListOnPage *list)
{
	/* what lies behind the last edge does not matter, and need not be logged */
	memcpy(list->edges, link->edges, link->nedges * sizeof(uint32));
	if (link->nedges <= link->nseen)
		list->nfull = Max(list->nfull, link->nseen);
	list->nedges = link->nedges;
}

bool
pir_hnsw_add_edge(PirHnswIndex *hnsw, PirPins *pins, uint32 from, const void *from_item,
				  uint32 to, const void *to_item, bool anchor, int max_anchors)
{
	Link		link;

	/* 'to' has come into the slot that 'from' was in when it was found */
	if (from == to)
		return false;

	init_link(hnsw, &link);
	for (int attempt = 0; attempt < ADD_EDGE_ATTEMPTS; attempt++)
	{
		Planned		planned = plan_link(hnsw, pins, &link, from, from_item, to, to_item, anchor, max_anchors);
		Buffer		buf;
		Page		page;

		if (planned != LINK_WRITE)
			return planned == LINK_THERE;

		page = pir_hnsw_lock_list(hnsw, pins, from, PIR_LOCK_EXCLUSIVE, &buf);
		if (is_unchanged(&link, pir_hnsw_list_at(&hnsw->meta.head, page, from)))
		{
			PirWal		wal;

			pir_wal_begin(&wal, hnsw->rel);
			page = pir_wal_page(&wal, buf);
			write_link(hnsw, &link, pir_hnsw_list_at(&hnsw->meta.head, page, from));
			pir_wal_finish(&wal);
			pir_page_unlock(buf);
			return true;
		}
		pir_page_unlock(buf);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* --- the links to a new node --- */

struct PirHnswLinks
{
	PirHnswIndex *hnsw;
	Link	   *links;			/* those planned, in the order of their blocks */
	int			nlinks;
	int			anchor;			/* which of them is the anchor, or -1 */
};

static int
compare_links(const void *a, const void *b)
{
	const Link *x = a;
	const Link *y = b;

	if (x->blkno != y->blkno)
		return x->blkno < y->blkno ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

PirHnswLinks *
pir_hnsw_plan_links(PirHnswIndex *hnsw, PirPins *pins, const PirHnswCandidate *chosen, int nchosen,
					const void *item)
{
	PirHnswLinks *links = palloc(sizeof(PirHnswLinks));
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "piramid plan links",
											   ALLOCSET_DEFAULT_SIZES);
	bool		anchored = false;

	links->hnsw = hnsw;
	links->links = palloc(Max(nchosen, 1) * sizeof(Link));
	links->nlinks = 0;
	links->anchor = -1;
	for (int i = 0; i < nchosen; i++)
	{
		Link	   *link = &links->links[links->nlinks];
		Planned		planned = LINK_REFUSED;
		MemoryContext old;

		init_link(hnsw, link);
		old = MemoryContextSwitchTo(work);
		if (!anchored)
			planned = plan_link(hnsw, pins, link, chosen[i].node, chosen[i].item,
								PIR_NID_NONE, item, true, hnsw->cap / 2);
		if (planned == LINK_WRITE)
			anchored = true;
		else
			planned = plan_link(hnsw, pins, link, chosen[i].node, chosen[i].item,
								PIR_NID_NONE, item, false, 0);
		MemoryContextSwitchTo(old);
		MemoryContextReset(work);
		if (planned != LINK_WRITE)
			continue;
		link->pending = true;
		link->logical = pir_hnsw_list_page(&hnsw->meta.head, link->from);
		link->blkno = pir_table_block(hnsw->store, PIR_TABLE_LIST, link->logical);
		links->nlinks++;
	}
	MemoryContextDelete(work);

	qsort(links->links, links->nlinks, sizeof(Link), compare_links);
	for (int i = 0; i < links->nlinks; i++)
	{
		if (links->links[i].anchor)
			links->anchor = i;
	}
	return links;
}

bool
pir_hnsw_anchor_page(const PirHnswLinks *links, uint32 *logical)
{
	if (links->anchor < 0)
		return false;
	*logical = links->links[links->anchor].logical;
	return true;
}

void
pir_hnsw_put_links(PirHnswLinks *links, Page page, uint32 logical, uint32 nid)
{
	PirHnswIndex *hnsw = links->hnsw;

	for (int l = 0; l < links->nlinks; l++)
	{
		Link	   *link = &links->links[l];
		PirHnswListOnPage *list;

		/* the new node may be in the slot of one that was chosen */
		if (!link->pending || link->logical != logical || link->from == nid)
			continue;
		list = pir_hnsw_list_at(&hnsw->meta.head, page, link->from);
		if (!is_unchanged(link, list))
			continue;
		/* an edge to what was in the slot before: pir_hnsw_add_edge() sees to it */
		for (int i = 0; i < link->nseen; i++)
		{
			if (PIR_EDGE_NODE(link->seen[i]) == nid)
				goto next;
		}
		link->edges[link->at] = nid | (link->anchor ? PIR_EDGE_ANCHOR : 0);
		write_link(hnsw, link, list);
		link->pending = false;
next:	;
	}
}

/*
 * The pending links from l on, as far as they lie on the next PIR_WAL_MAX_PAGES
 * pages: one atomic change. Returns where to go on.
 */
static int
write_some(PirHnswLinks *links, int l, uint32 nid)
{
	PirHnswIndex *hnsw = links->hnsw;
	Buffer		bufs[PIR_WAL_MAX_PAGES];
	uint32		logical[PIR_WAL_MAX_PAGES];
	int			npages = 0;
	PirWal		wal;

	for (; l < links->nlinks; l++)
	{
		Link	   *link = &links->links[l];

		if (!link->pending || (npages > 0 && logical[npages - 1] == link->logical))
			continue;
		if (npages == PIR_WAL_MAX_PAGES)
			break;
		logical[npages] = link->logical;
		bufs[npages++] = pir_table_pin(hnsw->store, PIR_TABLE_LIST, link->logical);
	}
	if (npages == 0)
		return l;

	for (int i = 0; i < npages; i++)
		(void) pir_page_lock(hnsw->rel, bufs[i], PIR_PAGE_LIST, PIR_LOCK_EXCLUSIVE);
	pir_wal_begin(&wal, hnsw->rel);
	for (int i = 0; i < npages; i++)
		pir_hnsw_put_links(links, pir_wal_page(&wal, bufs[i]), logical[i], nid);
	pir_wal_finish(&wal);
	for (int i = 0; i < npages; i++)
		pir_page_release(bufs[i]);
	return l;
}

bool
pir_hnsw_write_links(PirHnswLinks *links, PirPins *pins, uint32 nid, const void *item,
					 const PirHnswCandidate *cands, int nchosen, int ncands)
{
	PirHnswIndex *hnsw = links->hnsw;
	MemoryContext work;
	MemoryContext old;
	bool		anchored;
	bool		all = true;

	for (int l = 0; l < links->nlinks;)
		l = write_some(links, l, nid);

	anchored = links->anchor >= 0 && !links->links[links->anchor].pending;
	for (int l = 0; l < links->nlinks; l++)
		all &= !links->links[l].pending;
	if (anchored && all)
		return true;

	/*
	 * Some lists changed meanwhile, or none of them had room for an anchor.
	 * Half of a list may be anchors; if no chosen neighbour has room, any
	 * other candidate will do, and then any list at all.
	 */
	work = AllocSetContextCreate(CurrentMemoryContext, "piramid link back", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(work);
	for (int limit = hnsw->cap / 2; !anchored && limit <= (int) hnsw->cap; limit += hnsw->cap - hnsw->cap / 2)
	{
		for (int i = 0; i < ncands && !anchored; i++)
		{
			anchored = pir_hnsw_add_edge(hnsw, pins, cands[i].node, cands[i].item, nid, item, true, limit);
			MemoryContextReset(work);
		}
	}
	for (int l = 0; l < links->nlinks && anchored; l++)
	{
		if (!links->links[l].pending)
			continue;
		for (int i = 0; i < nchosen; i++)
		{
			if (cands[i].node == links->links[l].from)
				(void) pir_hnsw_add_edge(hnsw, pins, cands[i].node, cands[i].item, nid, item, false, 0);
		}
		MemoryContextReset(work);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return anchored;
}

void
pir_hnsw_mirror_links(const PirHnswLinks *links)
{
	for (int l = 0; l < links->nlinks; l++)
	{
		const Link *link = &links->links[l];

		if (!link->pending)
			pir_hnsw_mirror_set_list(links->hnsw->mirror, link->from, link->edges, link->nedges);
	}
}
