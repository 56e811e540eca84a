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
#include <math.h>

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

/* One selection at work. */
typedef struct Selection
{
	const PirQuant *quant;
	const PirHnswCandidate *cands;	/* in order */
	int			n;
	bool		angular;		/* the rule compares angles (PIR_METRIC_IP) */
	float		base_inverse;	/* angular: 1 / length of the base */
	float	   *inverse;		/* n; angular: 1 / length of each candidate */
	uint16_t   *state;			/* n */
	uint16_t   *kept;			/* n: kept candidates, in order of being kept */
	int			nkept;
	PirQuantQuery *memory;		/* for one prepared item */
} Selection;

static inline size_t
align16(size_t size)
{
	return (size + 15) & ~(size_t) 15;
}

size_t
pir_hnsw_select_scratch_size(const PirQuant *quant, int n)
{
	return align16(pir_quant_query_size(quant)) +
		align16((sizeof(float) + 2 * sizeof(uint16_t)) * (size_t) n);
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
 * 1 / length of what an item stands for, from its inner product with itself;
 * 0 if it has none. A rotated code is a little longer than what it stands for
 * in that product, but all codes of an index by the same factor, which the
 * comparisons below do not notice.
 */
static float
inverse_length(const PirQuant *quant, const void *item)
{
	float		norm2 = -pir_quant_code_distance(quant, item, item);

	return norm2 > 0 ? 1.0f / sqrtf(norm2) : 0.0f;
}

/*
 * What the rule compares: the search distance, or for inner products 1 - cos.
 * A node without length is taken to be at a right angle to all.
 */
static inline float
rule_distance(const Selection *sel, float dist, float inverse_a, float inverse_b)
{
	return sel->angular ? 1.0f + dist * inverse_a * inverse_b : dist;
}

static inline float
rule_distance_from_base(const Selection *sel, int at)
{
	return rule_distance(sel, sel->cands[at].dist, sel->base_inverse, sel->inverse[at]);
}

/*
 * Try the candidate kept last against all later ones still open.
 */
static void
exclude_after(Selection *sel)
{
	int			kept_at = sel->kept[sel->nkept - 1];
	PirQuantQuery *query = NULL;
	const void *items[SELECT_CHUNK];
	int			at[SELECT_CHUNK];
	float		dists[SELECT_CHUNK];
	int			nitems = 0;

	for (int j = kept_at + 1; j <= sel->n; j++)
	{
		if (j < sel->n && sel->state[j] == STATE_OPEN && !(sel->cands[j].node & PIR_EDGE_ANCHOR))
		{
			at[nitems] = j;
			items[nitems++] = sel->cands[j].item;
		}
		if (nitems == 0 || (nitems < SELECT_CHUNK && j < sel->n))
			continue;
		if (query == NULL)
			query = pir_quant_prepare_item(sel->quant, sel->cands[kept_at].item, sel->memory);
		pir_quant_distance_many(sel->quant, query, items, nitems, dists);
		for (int i = 0; i < nitems; i++)
		{
			float		d_uv = rule_distance(sel, dists[i], sel->inverse[kept_at], sel->inverse[at[i]]);
			float		d_pv = rule_distance_from_base(sel, at[i]);

			if (PIR_HNSW_ALPHA * d_uv <= d_pv)
				sel->state[at[i]] = STATE_DEAD;
			else if (d_uv <= d_pv)
				sel->state[at[i]] = (uint16_t) sel->nkept;
		}
		nitems = 0;
	}
}

/*
 * Second chance of candidate 'at': is there a kept node, nearer to the base
 * than it and not yet tried, that excludes it by the relaxed rule?
 */
static bool
excluded_by_kept(const Selection *sel, int at)
{
	PirQuantQuery *query = NULL;
	float		d_pv = rule_distance_from_base(sel, at);
	int			from = sel->state[at];

	while (from < sel->nkept)
	{
		const void *items[SELECT_CHUNK];
		float		inverse[SELECT_CHUNK];
		float		dists[SELECT_CHUNK];
		int			nitems = 0;

		for (; nitems < SELECT_CHUNK && from < sel->nkept; from++)
			if (sel->kept[from] < at)
			{
				inverse[nitems] = sel->inverse[sel->kept[from]];
				items[nitems++] = sel->cands[sel->kept[from]].item;
			}
		if (nitems == 0)
			break;
		if (query == NULL)
			query = pir_quant_prepare_item(sel->quant, sel->cands[at].item, sel->memory);
		pir_quant_distance_many(sel->quant, query, items, nitems, dists);
		for (int i = 0; i < nitems; i++)
			if (PIR_HNSW_ALPHA * rule_distance(sel, dists[i], sel->inverse[at], inverse[i]) <= d_pv)
				return true;
	}
	return false;
}

int
pir_hnsw_select(const PirQuant *quant, const void *base, PirHnswCandidate *cands, int n, int max,
				void *scratch)
{
	Selection	sel;
	int			nanchors = 0;	/* not yet kept: places they hold reserved */
	int			front = 0;

	sel.quant = quant;
	sel.cands = cands;
	sel.n = n;
	sel.angular = pir_quant_spec(quant)->metric == PIR_METRIC_IP;
	sel.memory = (PirQuantQuery *) scratch;
	sel.inverse = (float *) ((uint8_t *) scratch + align16(pir_quant_query_size(quant)));
	sel.state = (uint16_t *) (sel.inverse + n);
	sel.kept = sel.state + n;
	sel.nkept = 0;

	sort_candidates(cands, n);
	sel.base_inverse = sel.angular ? inverse_length(quant, base) : 0;
	for (int i = 0; i < n; i++)
	{
		sel.state[i] = STATE_OPEN;
		sel.inverse[i] = sel.angular ? inverse_length(quant, cands[i].item) : 0;
		if (cands[i].node & PIR_EDGE_ANCHOR)
			nanchors++;
	}

	for (int i = 0; i < n; i++)
	{
		if (cands[i].node & PIR_EDGE_ANCHOR)
			nanchors--;
		else if (sel.state[i] != STATE_OPEN || sel.nkept + nanchors >= max)
			continue;
		sel.state[i] = STATE_KEPT;
		sel.kept[sel.nkept++] = (uint16_t) i;
		if (sel.nkept + nanchors < max)
			exclude_after(&sel);
	}

	for (int i = 0; i < n && sel.nkept < max; i++)
	{
		if (sel.state[i] >= STATE_OPEN || excluded_by_kept(&sel, i))
			continue;
		sel.state[i] = STATE_KEPT;
		sel.kept[sel.nkept++] = (uint16_t) i;
	}

	for (int i = 0; i < n; i++)
		if (sel.state[i] == STATE_KEPT)
		{
			PirHnswCandidate chosen = cands[i];

			cands[i] = cands[front];
			cands[front++] = chosen;
		}
	return front;
}
