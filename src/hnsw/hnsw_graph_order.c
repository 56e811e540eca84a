/*-------------------------------------------------------------------------
 *
 * hnsw_graph_order.c
 *	  Which nodes share a page, and how many entry nodes there are.
 *
 * A search expands nodes that link to each other; if they share code pages
 * it pins fewer of them. See README.md section 4, "Placement".
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "hnsw/hnsw_graph.h"

/* Scores are counted up to this. */
#define MAX_SCORE		1023

/* Score of a node that has its place. */
#define PLACED			UINT16_C(0xFFFF)

#define NO_NODE			UINT32_MAX

/* Entry nodes: 256 to 1024, fewer if they take more bytes than this, but 64 */
#define ENTRY_MIN		256
#define ENTRY_MAX		1024
#define ENTRY_BYTES		((size_t) 256 * 1024)
#define ENTRY_FEW		64

/* Pages between two calls of the poll callback. */
#define POLL_PAGES		64

/*
 * Unplaced nodes with ties to the growing page, in one doubly linked ring per
 * score: head[s] is the first of those with score s, or NO_NODE.
 */
typedef struct Placement
{
	const PirHnswGraph *graph;
	uint32_t   *next;			/* n */
	uint32_t   *prev;			/* n */
	uint16_t   *score;			/* n; 0: in no ring */
	uint32_t	head[MAX_SCORE + 1];
	int			top;			/* no ring above this has nodes */
} Placement;

static size_t
layout_placement(Placement *p, uint8_t *base, uint32_t n)
{
	size_t		bytes = sizeof(uint32_t) * (size_t) n;

	p->next = (uint32_t *) base;
	p->prev = (uint32_t *) (base + bytes);
	p->score = (uint16_t *) (base + 2 * bytes);
	return 2 * bytes + sizeof(uint16_t) * (size_t) n;
}

size_t
pir_hnsw_graph_order_scratch_size(uint32_t n)
{
	return (sizeof(uint32_t) * 2 + sizeof(uint16_t)) * (size_t) n;
}

static void
ring_remove(Placement *p, uint32_t node)
{
	uint32_t	next = p->next[node];
	uint32_t	prev = p->prev[node];
	uint32_t   *head = &p->head[p->score[node]];

	if (next == node)
		*head = NO_NODE;
	else
	{
		p->next[prev] = next;
		p->prev[next] = prev;
		if (*head == node)
			*head = next;
	}
}

/* Append to the ring of its score, so that those of equal score leave first in, first out. */
static void
ring_append(Placement *p, uint32_t node)
{
	uint32_t   *head = &p->head[p->score[node]];

	if (*head == NO_NODE)
	{
		*head = node;
		p->next[node] = node;
		p->prev[node] = node;
	}
	else
	{
		uint32_t	first = *head;
		uint32_t	last = p->prev[first];

		p->next[last] = node;
		p->prev[node] = last;
		p->next[node] = first;
		p->prev[first] = node;
	}
	if (p->score[node] > p->top)
		p->top = p->score[node];
}

/* Does 'from' link to 'to'? */
static inline bool
links_to(const PirHnswGraph *graph, uint32_t from, uint32_t to)
{
	const uint32_t *list = graph->edges + (size_t) from * graph->cap;

	for (int i = 0; i < graph->nedges[from]; i++)
		if (PIR_EDGE_NODE(list[i]) == to)
			return true;
	return false;
}

/* One more tie of 'node' to the page, or several. */
static inline void
add_score(Placement *p, uint32_t node, int gain)
{
	int			score = p->score[node];

	if (score == PLACED || score == MAX_SCORE)
		return;
	if (score != 0)
		ring_remove(p, node);
	p->score[node] = (uint16_t) (score + gain < MAX_SCORE ? score + gain : MAX_SCORE);
	ring_append(p, node);
}

/*
 * Put 'node' on the page. Unplaced nodes gain a point for each link between
 * them and it, and for each node that links to both (among those that 'node'
 * links to itself: there are no lists of in-links here, and most are mutual).
 */
static void
place(Placement *p, uint32_t node)
{
	const PirHnswGraph *graph = p->graph;
	const uint32_t *list = graph->edges + (size_t) node * graph->cap;

	if (p->score[node] != 0)
		ring_remove(p, node);
	p->score[node] = PLACED;
	for (int i = 0; i < graph->nedges[node]; i++)
	{
		uint32_t	neighbor = PIR_EDGE_NODE(list[i]);
		const uint32_t *others = graph->edges + (size_t) neighbor * graph->cap;

		if (!links_to(graph, neighbor, node))
		{
			add_score(p, neighbor, 1);
			continue;
		}
		add_score(p, neighbor, 2);
		for (int j = 0; j < graph->nedges[neighbor]; j++)
			add_score(p, PIR_EDGE_NODE(others[j]), 1);
	}
}

/* The unplaced node with the highest score that had it first, or NO_NODE. */
static uint32_t
best_linked(Placement *p)
{
	while (p->top > 0 && p->head[p->top] == NO_NODE)
		p->top--;
	return p->top > 0 ? p->head[p->top] : NO_NODE;
}

/* Start a page: forget the links to the last one. */
static void
clear_scores(Placement *p)
{
	for (; p->top > 0; p->top--)
	{
		uint32_t	node;

		while ((node = p->head[p->top]) != NO_NODE)
		{
			ring_remove(p, node);
			p->score[node] = 0;
		}
	}
}

void
pir_hnsw_graph_order(const PirHnswGraph *graph, uint32_t per_page, uint32_t *order, void *scratch)
{
	Placement	p;
	uint32_t	n = graph->n;
	uint32_t	lowest = 0;		/* all nodes below it have their place */

	if (per_page == 0)
		per_page = 1;
	p.graph = graph;
	layout_placement(&p, scratch, n);
	memset(p.score, 0, sizeof(*p.score) * (size_t) n);
	p.top = 0;
	for (int i = 0; i <= MAX_SCORE; i++)
		p.head[i] = NO_NODE;

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	node = best_linked(&p);

		if (node == NO_NODE)
		{
			while (p.score[lowest] == PLACED)
				lowest++;
			node = lowest;
		}
		if (i % per_page == 0)
		{
			/* 'node' is best linked to the page just closed, and seeds this one */
			clear_scores(&p);
			if (graph->poll != NULL && (i / per_page) % POLL_PAGES == 0)
				graph->poll(graph->poll_arg, i, n);
		}
		order[i] = node;
		place(&p, node);
	}
}

/*
 * Scanning s entries costs s reads in sequence; each doubling of s saves a
 * search some 8 to 12 node visits, each as dear as 5 to 15 entries. The best s
 * is then 12 / ln 2 times that ratio, whatever n is; and the ratio is smaller
 * the larger the items are. See README.md section 4, "Entry layer".
 */
uint32_t
pir_hnsw_entry_target(uint32_t n, size_t item_size)
{
	uint32_t	target = n / 2048;
	size_t		affordable = ENTRY_BYTES / item_size;

	if (target < ENTRY_MIN)
		target = ENTRY_MIN;
	if (target > ENTRY_MAX)
		target = ENTRY_MAX;
	if (affordable < ENTRY_FEW)
		affordable = ENTRY_FEW;
	if (target > affordable)
		target = (uint32_t) affordable;
	return target < n ? target : n;
}
