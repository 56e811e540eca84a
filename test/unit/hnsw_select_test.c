/*-------------------------------------------------------------------------
 *
 * hnsw_select_test.c
 *	  The selection of neighbours against its definition in hnsw_graph.h,
 *	  written down once more without any of the shortcuts.
 *
 *-------------------------------------------------------------------------
 */
#include "graph_fixture.h"

static int
compare_candidates(const void *a, const void *b)
{
	const PirHnswCandidate *x = a;
	const PirHnswCandidate *y = b;

	if (x->dist != y->dist)
		return x->dist < y->dist ? -1 : 1;
	return PIR_EDGE_NODE(x->node) < PIR_EDGE_NODE(y->node) ? -1 : 1;
}

/* The d of the rule: the search distance, or 1 - cos. */
static float
rule_distance(const PirQuant *quant, const void *a, const void *b)
{
	float		dist = pir_quant_code_distance(quant, a, b);

	if (pir_quant_spec(quant)->metric == PIR_METRIC_IP)
	{
		float		norm2_a = -pir_quant_code_distance(quant, a, a);
		float		norm2_b = -pir_quant_code_distance(quant, b, b);

		dist = 1.0f + dist * (norm2_a > 0 ? 1.0f / sqrtf(norm2_a) : 0.0f) *
			(norm2_b > 0 ? 1.0f / sqrtf(norm2_b) : 0.0f);
	}
	return dist;
}

/* The definition: sorts cands, says for each whether it is chosen. */
static int
select_by_definition(const PirQuant *quant, const void *base, PirHnswCandidate *cands, int n, int max,
					 bool *chosen)
{
	int			nchosen = 0;
	int			nanchors = 0;

	qsort(cands, n, sizeof(*cands), compare_candidates);
	for (int i = 0; i < n; i++)
	{
		chosen[i] = (cands[i].node & PIR_EDGE_ANCHOR) != 0;
		nanchors += chosen[i];
	}
	for (int pass = 0; pass < 2; pass++)
		for (int v = 0; v < n && nchosen + nanchors < max; v++)
		{
			float		alpha = pass == 0 ? 1.0f : PIR_HNSW_ALPHA;
			float		d_pv = rule_distance(quant, base, cands[v].item);
			bool		keep = !chosen[v];

			for (int u = 0; u < v && keep; u++)
				if (chosen[u] && alpha * rule_distance(quant, cands[u].item, cands[v].item) <= d_pv)
					keep = false;
			if (keep)
			{
				chosen[v] = true;
				nchosen++;
			}
		}
	return nchosen + nanchors;
}

static void
check_kind(const char *name, Dataset *d)
{
	static const int sizes[] = {0, 1, 2, 7, 33, 64, 288};
	static const int maxima[] = {1, 2, 16, 32};
	UnitTally	same = {0};
	UnitTally	ordered = {0};
	UnitTally	anchors = {0};
	uint64_t	state = 5;

	for (int round = 0; round < 12; round++)
		for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (unsigned x = 0; x < sizeof(maxima) / sizeof(maxima[0]); x++)
			{
				int			n = sizes[s];
				int			max = maxima[x];
				int			nanchors = 0;
				uint32_t	base = (uint32_t) (unit_random(&state) >> 33) % d->n;
				const void *base_item = d->items + (size_t) base * d->f.item_size;
				PirHnswCandidate *cands = xmalloc(n * sizeof(*cands));
				PirHnswCandidate *naive = xmalloc(n * sizeof(*cands));
				bool	   *chosen = xmalloc(n * sizeof(bool));
				void	   *scratch = xmalloc(pir_hnsw_select_scratch_size(d->f.quant, n));
				int			expected;
				int			got;
				bool		matches;
				int			at = 0;

				for (int i = 0; i < n; i++)
				{
					/* distinct nodes: step through the set by 7, prime to its 400 */
					uint32_t	node = (base + 1 + (uint32_t) i * 7) % d->n;

					cands[i].node = node;
					cands[i].item = d->items + (size_t) node * d->f.item_size;
					cands[i].dist = pir_quant_code_distance(d->f.quant, base_item, cands[i].item);
					if (round % 3 == 1 && nanchors < max && unit_uniform(&state) < 0.2)
					{
						cands[i].node |= PIR_EDGE_ANCHOR;
						nanchors++;
					}
				}
				memcpy(naive, cands, n * sizeof(*cands));
				expected = select_by_definition(d->f.quant, base_item, naive, n, max, chosen);
				got = pir_hnsw_select(d->f.quant, base_item, cands, n, max, scratch);

				matches = got == expected;
				for (int i = 0; i < n && matches; i++)
					if (chosen[i])
						matches = cands[at++].node == naive[i].node;
				unit_case(&same, matches, "n %d, max %d, round %d: %d chosen, expected %d", n, max, round, got, expected);
				if (got > 1)
					unit_case(&ordered, compare_candidates(&cands[0], &cands[got - 1]) < 0, "n %d, max %d", n, max);
				for (int i = 0; i < n; i++)
					if (cands[i].node & PIR_EDGE_ANCHOR)
						unit_case(&anchors, i < got, "n %d, max %d: an anchor was dropped", n, max);

				/* any order in, the same out */
				for (int i = n - 1; i > 0; i--)
				{
					int			j = (int) ((unit_random(&state) >> 33) % (uint64_t) (i + 1));
					PirHnswCandidate moved = cands[i];

					cands[i] = cands[j];
					cands[j] = moved;
				}
				got = pir_hnsw_select(d->f.quant, base_item, cands, n, max, scratch);
				matches = got == expected;
				at = 0;
				for (int i = 0; i < n && matches; i++)
					if (chosen[i])
						matches = cands[at++].node == naive[i].node;
				unit_case(&same, matches, "n %d, max %d, round %d, shuffled", n, max, round);
				free(cands);
				free(naive);
				free(chosen);
				free(scratch);
			}
	{
		char		what[100];

		snprintf(what, sizeof(what), "%s: chosen as defined, in any order of input", name);
		unit_tally_report(&same, what);
		snprintf(what, sizeof(what), "%s: nearest first", name);
		unit_tally_report(&ordered, what);
		snprintf(what, sizeof(what), "%s: anchors stay", name);
		unit_tally_report(&anchors, what);
	}
}

/* A node far away behind two anchors must not displace what is near. */
static void
check_anchor_place(void)
{
	static const float points[] = {0, 1, -1, 10, 11, 12};
	Dataset		d = dataset_make(6, 1);
	PirHnswCandidate cands[5];
	void	   *scratch;
	int			n;

	memcpy(d.vectors, points, sizeof(points));
	dataset_encode(&d, PIR_QUANT_NONE, 32, PIR_METRIC_L2);
	scratch = xmalloc(pir_hnsw_select_scratch_size(d.f.quant, 5));
	for (uint32_t i = 0; i < 5; i++)
	{
		cands[i].node = i + 1 >= 4 ? (i + 1) | PIR_EDGE_ANCHOR : i + 1;
		cands[i].item = d.items + (i + 1) * d.f.item_size;
		cands[i].dist = points[i + 1] * points[i + 1];
	}
	n = pir_hnsw_select(d.f.quant, d.items, cands, 5, 4, scratch);
	unit_ok(n == 4 && cands[0].node == 1 && cands[1].node == 2 &&
			cands[2].node == (4 | PIR_EDGE_ANCHOR) && cands[3].node == (5 | PIR_EDGE_ANCHOR),
			"far anchors are kept, and leave the near candidates alone");
	n = pir_hnsw_select(d.f.quant, d.items, cands, 5, 2, scratch);
	unit_ok(n == 2 && cands[0].node == (4 | PIR_EDGE_ANCHOR) && cands[1].node == (5 | PIR_EDGE_ANCHOR),
			"as many anchors as places: nothing else");
	free(scratch);
	dataset_free(&d);
}

int
main(void)
{
	static const struct
	{
		const char *name;
		int			quantizer;
		int			bits;
		int			metric;
		double		sigma;
	}			kinds[] = {
		{"none, L2", PIR_QUANT_NONE, 32, PIR_METRIC_L2, 0},
		{"none, inner product", PIR_QUANT_NONE, 32, PIR_METRIC_IP, 1},
		{"none, L1", PIR_QUANT_NONE, 32, PIR_METRIC_L1, 0},
		{"half, cosine", PIR_QUANT_HALF, 16, PIR_METRIC_COSINE, 0},
		{"sq8, L2", PIR_QUANT_SQ8, 8, PIR_METRIC_L2, 0},
		{"rabitq 4, cosine", PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE, 0},
		{"rabitq 4, inner product", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP, 0.5},
		{"rabitq 1, L2", PIR_QUANT_RABITQ, 1, PIR_METRIC_L2, 0},
	};

	pir_dist_init(NULL);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
	{
		Dataset		d = dataset_make(400, 24);

		fill_clusters(d.vectors, d.n, d.dim, 20, 8, kinds[k].sigma, 9);
		dataset_encode(&d, kinds[k].quantizer, kinds[k].bits, kinds[k].metric);
		check_kind(kinds[k].name, &d);
		dataset_free(&d);
	}
	for (int metric = PIR_METRIC_HAMMING; metric <= PIR_METRIC_JACCARD; metric++)
	{
		Dataset		d = {.n = 400, .dim = 20};
		uint64_t	state = 3;

		/* 20 bits: ties everywhere */
		d.bits = xmalloc(d.n * 3);
		for (uint32_t i = 0; i < d.n * 3; i++)
			d.bits[i] = (uint8_t) (unit_random(&state) >> 40) & (i % 3 == 2 ? 0xF0 : 0xFF);
		dataset_encode(&d, PIR_QUANT_BITS, 1, metric);
		check_kind(metric == PIR_METRIC_HAMMING ? "bits, Hamming" : "bits, Jaccard", &d);
		dataset_free(&d);
	}
	check_anchor_place();
	return unit_done();
}
