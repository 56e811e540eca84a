/*-------------------------------------------------------------------------
 *
 * hnsw_graph_select.c
 *	  Which of the candidates become neighbours.
 *
 * Used by construction (hnsw_graph.c) for a new node and for a list that
 * overflows, by single inserts and by vacuum's repair. See README.md section
 * 4, "Selection".
 *
 *-------------------------------------------------------------------------
 */
#include "hnsw/hnsw_graph.h"

/* How many distances are asked for in one call. */
#define SELECT_CHUNK	32

/*
 * What is known of a candidate. Below STATE_OPEN: the rule of the first pass
 * excludes it, and the kept nodes before this index have been tried for the
 * second.
 */
#define STATE_OPEN		UINT16_C(0xFFFD)	/* not excluded so far */
#define STATE_KEPT		UINT16_C(0xFFFE)
#define STATE_DEAD		UINT16_C(0xFFFF)	/* excluded by both rules */

static inline size_t
align16(size_t size)
{
	return (size + 15) & ~(size_t) 15;
}

size_t
pir_hnsw_select_scratch_size(const PirQuant *quant, int n)
{
	return align16(pir_quant_query_size(quant)) + align16(2 * sizeof(uint16_t) * (size_t) n);
}

/* The total order of candidates: distance, then node number. */
static inline bool
candidate_precedes(const PirHnswCandidate *a, const PirHnswCandidate *b)
{
	if (a->dist != b->dist)
		return a->dist < b->dist;
	return PIR_EDGE_NODE(a->node) < PIR_EDGE_NODE(b->node);
}

/*
 * Shell sort: in place, no recursion, linear on what is sorted already (the
 * result of a search is), and candidates are some dozens to hundreds.
 */
static void
sort_candidates(PirHnswCandidate *cands, int n)
{
	static const int gaps[] = {16001, 7001, 3001, 1301, 701, 301, 132, 57, 23, 10, 4, 1};

	for (unsigned g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++)
	{
		int			gap = gaps[g];

		for (int i = gap; i < n; i++)
		{
			PirHnswCandidate moving = cands[i];
			int			j = i;

			while (j >= gap && candidate_precedes(&moving, &cands[j - gap]))
			{
				cands[j] = cands[j - gap];
				j -= gap;
			}
			cands[j] = moving;
		}
	}
}

/*
 * Does a kept node at distance d_uv from a candidate exclude the candidate,
 * which lies at d_pv from the base node?
 */
static inline bool
excludes(float d_uv, float d_pv, float alpha)
{
	return alpha * d_uv <= d_pv;
}

/*
 * Try a newly kept node against all later candidates still open.
 */
static void
exclude_after(const PirQuant *quant, const PirHnswCandidate *cands, int n, int kept_at,
			  uint16_t kept_index, uint16_t *state, PirQuantQuery *memory)
{
	PirQuantQuery *query = NULL;
	const void *items[SELECT_CHUNK];
	int			at[SELECT_CHUNK];
	float		dists[SELECT_CHUNK];
	int			nitems = 0;

	for (int j = kept_at + 1; j <= n; j++)
	{
		if (j < n && state[j] == STATE_OPEN && !(cands[j].node & PIR_EDGE_ANCHOR))
		{
			at[nitems] = j;
			items[nitems++] = cands[j].item;
		}
		if (nitems == 0 || (nitems < SELECT_CHUNK && j < n))
			continue;
		if (query == NULL)
			query = pir_quant_prepare_item(quant, cands[kept_at].item, memory);
		pir_quant_distance_many(quant, query, items, nitems, dists);
		for (int i = 0; i < nitems; i++)
		{
			float		d_pv = cands[at[i]].dist;

			if (excludes(dists[i], d_pv, PIR_HNSW_ALPHA))
				state[at[i]] = STATE_DEAD;
			else if (excludes(dists[i], d_pv, 1.0f))
				state[at[i]] = kept_index + 1;
		}
		nitems = 0;
	}
}

/*
 * Second chance of candidate 'at': is there a kept node, among those not yet
 * tried, that excludes it by the relaxed rule?
 */
static bool
excluded_by_kept(const PirQuant *quant, const PirHnswCandidate *cands, int at,
				 const uint16_t *kept, int nkept, int from, PirQuantQuery *memory)
{
	PirQuantQuery *query = NULL;
	const void *items[SELECT_CHUNK];
	float		dists[SELECT_CHUNK];

	while (from < nkept)
	{
		int			nitems = 0;

		while (nitems < SELECT_CHUNK && from < nkept)
			items[nitems++] = cands[kept[from++]].item;
		if (query == NULL)
			query = pir_quant_prepare_item(quant, cands[at].item, memory);
		pir_quant_distance_many(quant, query, items, nitems, dists);
		for (int i = 0; i < nitems; i++)
			if (excludes(dists[i], cands[at].dist, PIR_HNSW_ALPHA))
				return true;
	}
	return false;
}

int
pir_hnsw_select(const PirQuant *quant, PirHnswCandidate *cands, int n, int max, void *scratch)
{
	PirQuantQuery *memory = (PirQuantQuery *) scratch;
	uint16_t   *state = (uint16_t *) ((uint8_t *) scratch + align16(pir_quant_query_size(quant)));
	uint16_t   *kept = state + n;
	int			nkept = 0;
	int			nanchors = 0;	/* not yet kept: places they hold reserved */
	int			front = 0;

	sort_candidates(cands, n);
	for (int i = 0; i < n; i++)
	{
		state[i] = STATE_OPEN;
		if (cands[i].node & PIR_EDGE_ANCHOR)
			nanchors++;
	}

	for (int i = 0; i < n; i++)
	{
		bool		is_anchor = (cands[i].node & PIR_EDGE_ANCHOR) != 0;

		if (is_anchor)
			nanchors--;
		else if (state[i] != STATE_OPEN || nkept + nanchors >= max)
			continue;
		state[i] = STATE_KEPT;
		kept[nkept++] = (uint16_t) i;
		if (nkept + nanchors < max)
			exclude_after(quant, cands, n, i, (uint16_t) (nkept - 1), state, memory);
	}

	for (int i = 0; i < n && nkept < max; i++)
	{
		if (state[i] >= STATE_OPEN)
			continue;
		if (excluded_by_kept(quant, cands, i, kept, nkept, state[i], memory))
			continue;
		state[i] = STATE_KEPT;
		kept[nkept++] = (uint16_t) i;
	}

	for (int i = 0; i < n; i++)
		if (state[i] == STATE_KEPT)
		{
			PirHnswCandidate chosen = cands[i];

			cands[i] = cands[front];
			cands[front++] = chosen;
		}
	return front;
}
