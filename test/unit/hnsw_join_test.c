/*-------------------------------------------------------------------------
 *
 * hnsw_join_test.c
 *	  Graphs in parts: dividing nodes into groups, searching a graph from
 *	  outside, choosing lists anew.
 *
 *-------------------------------------------------------------------------
 */
#include "graph_fixture.h"

static Dataset
make_data(uint32_t n, uint32_t dim, int quantizer, int bits, int metric, uint64_t seed)
{
	Dataset		d = dataset_make(n, dim);

	fill_clusters(d.vectors, n, dim, 20, 8, 0.2, seed);
	if (quantizer == PIR_QUANT_BITS)
	{
		uint32_t	bytes = (dim + 7) / 8;

		d.bits = xmalloc((size_t) n * bytes);
		memset(d.bits, 0, (size_t) n * bytes);
		for (uint32_t i = 0; i < n; i++)
			for (uint32_t j = 0; j < dim; j++)
				if (d.vectors[(size_t) i * dim + j] > 0)
					d.bits[(size_t) i * bytes + j / 8] |= (uint8_t) (0x80 >> (j % 8));
	}
	dataset_encode(&d, quantizer, bits, metric);
	return d;
}

/* --- dividing --- */

/* NULL, or what is wrong with the groups. */
static const char *
groups_wrong(const uint64_t *weights, uint32_t n, uint64_t capacity, const uint32_t *group, uint32_t ngroups)
{
	uint64_t   *weight = xmalloc(n * sizeof(uint64_t));
	uint32_t   *members = xmalloc(n * sizeof(uint32_t));
	const char *wrong = NULL;

	memset(weight, 0, n * sizeof(uint64_t));
	memset(members, 0, n * sizeof(uint32_t));
	for (uint32_t i = 0; i < n && wrong == NULL; i++)
	{
		if (group[i] >= ngroups)
		{
			wrong = "a group has no number";
			break;
		}
		weight[group[i]] += weights[i];
		members[group[i]]++;
	}
	for (uint32_t g = 0; g < ngroups && wrong == NULL; g++)
	{
		if (members[g] == 0)
			wrong = "a group is empty";
		else if (weight[g] > capacity && members[g] > 1)
			wrong = "a group is too heavy";
	}
	free(weight);
	free(members);
	return wrong;
}

/* Share of nodes whose nearest other node is in their group. */
static double
nearest_in_group(const Dataset *d, const uint32_t *group)
{
	uint32_t	together = 0;

	for (uint32_t i = 0; i < d->n; i++)
	{
		uint32_t	nearest = i;
		float		best = INFINITY;

		for (uint32_t j = 0; j < d->n; j++)
		{
			float		dist = pir_quant_code_distance(d->f.quant, d->items + (size_t) i * d->f.item_size,
													   d->items + (size_t) j * d->f.item_size);

			if (j != i && dist < best)
			{
				best = dist;
				nearest = j;
			}
		}
		together += group[i] == group[nearest];
	}
	return (double) together / d->n;
}

static uint32_t
divide(const Dataset *d, const uint64_t *weights, uint64_t capacity, uint32_t *group)
{
	size_t		size = pir_hnsw_graph_divide_scratch_size(d->f.quant, d->n);
	void	   *scratch = aligned_alloc(64, (size + 63) & ~(size_t) 63);
	uint32_t	ngroups = pir_hnsw_graph_divide(d->f.quant, d->items, d->f.item_size, weights, d->n,
												capacity, group, scratch);

	free(scratch);
	return ngroups;
}

static void
check_divide(const char *what, int quantizer, int bits, int metric)
{
	uint32_t	n = 1000;
	Dataset		d = make_data(n, 32, quantizer, bits, metric, 5);
	uint64_t   *weights = xmalloc(n * sizeof(uint64_t));
	uint32_t   *group = xmalloc(n * sizeof(uint32_t));
	uint64_t	state = 1;
	uint64_t	total = 0;
	const char *wrong;
	uint32_t	ngroups;
	double		together;

	/* exponential, as the cells of a random sample are; some without rows */
	for (uint32_t i = 0; i < n; i++)
	{
		weights[i] = (uint64_t) (-100 * log(1.0 - unit_uniform(&state)));
		total += weights[i];
	}
	ngroups = divide(&d, weights, total / 7, group);
	wrong = groups_wrong(weights, n, total / 7, group, ngroups);
	unit_ok(wrong == NULL, "%s: groups are right (%s)", what, wrong == NULL ? "ok" : wrong);
	unit_ok(ngroups >= 7 && ngroups <= 9, "%s: full groups (%u where 7 would do)", what, ngroups);
	together = nearest_in_group(&d, group);
	unit_ok(together > 0.45, "%s: groups of neighbours (%.3f of nearest nodes, by chance %.3f)",
			what, together, 1.0 / ngroups);

	ngroups = divide(&d, weights, total, group);
	unit_ok(ngroups == 1 && groups_wrong(weights, n, total, group, ngroups) == NULL, "%s: all in one", what);
	ngroups = divide(&d, weights, 1, group);
	wrong = groups_wrong(weights, n, 1, group, ngroups);
	unit_ok(wrong == NULL, "%s: capacity 1 (%s)", what, wrong == NULL ? "ok" : wrong);

	/* no direction to cut along */
	for (uint32_t i = 1; i < n; i++)
		memcpy(d.items + (size_t) i * d.f.item_size, d.items, d.f.item_size);
	ngroups = divide(&d, weights, total / 7, group);
	wrong = groups_wrong(weights, n, total / 7, group, ngroups);
	unit_ok(wrong == NULL && ngroups <= 9, "%s: equal nodes (%s, %u groups)", what, wrong == NULL ? "ok" : wrong, ngroups);

	/* one node is heavier than a group may be */
	weights[17] = total;
	ngroups = divide(&d, weights, total / 7, group);
	wrong = groups_wrong(weights, n, total / 7, group, ngroups);
	unit_ok(wrong == NULL, "%s: one node too heavy (%s)", what, wrong == NULL ? "ok" : wrong);
	free(weights);
	free(group);
	dataset_free(&d);
}

/* --- searching from outside --- */

static void
check_find(const char *what, int quantizer, int bits, int metric)
{
	uint32_t	n = 3000;
	uint32_t	nq = 300;
	Dataset		all = make_data(n + nq, 32, quantizer, bits, metric, 6);
	Dataset		d = all;
	BuiltGraph	b;
	size_t		size;
	uint32_t	hits = 0;
	bool		same = true;
	bool		chosen_well = true;
	PirHnswQueries q[3];

	/* the last ones are not part of the graph */
	d.n = n;
	b = graph_make(&d, 12, 40);
	size = pir_hnsw_graph_private_size(d.f.quant, n, 12, 40);
	for (int way = 0; way < 3; way++)
	{
		q[way] = (PirHnswQueries)
		{
			.n = nq,
			.items = all.items + (size_t) n * d.f.item_size,
			.ef = 40,
			.max = way < 2 ? 10 : 6,
			.select = way == 2,
			.found = xmalloc(nq * 10 * sizeof(uint32_t)),
			.nfound = xmalloc(nq * sizeof(uint16_t))
		};
		for (uint32_t lo = 0; lo < nq;)
		{
			/* all at once, then in pieces, backwards, each with memory of its own */
			uint32_t	piece = way == 1 ? 7 : nq;
			uint32_t	hi = lo + piece < nq ? lo + piece : nq;
			void	   *own = aligned_alloc(64, (size + 63) & ~(size_t) 63);

			memset(own, 0, size);
			if (way == 1)
				pir_hnsw_graph_find(&b.graph, &q[way], nq - hi, nq - lo, own);
			else
				pir_hnsw_graph_find(&b.graph, &q[way], lo, hi, own);
			free(own);
			lo = hi;
		}
	}
	for (uint32_t i = 0; i < nq; i++)
	{
		const uint8_t *item = q[0].items + (size_t) i * d.f.item_size;
		float		bound;
		uint32_t	nearer = 0;

		same = same && q[0].nfound[i] == 10 && q[1].nfound[i] == 10 &&
			memcmp(q[0].found + i * 10, q[1].found + i * 10, 10 * sizeof(uint32_t)) == 0;

		/* nodes nearer than the farthest found: 9 if all of the ten nearest are there */
		bound = pir_quant_code_distance(d.f.quant, item, d.items + (size_t) q[0].found[i * 10 + 9] * d.f.item_size);
		for (uint32_t j = 0; j < n; j++)
			nearer += pir_quant_code_distance(d.f.quant, item, d.items + (size_t) j * d.f.item_size) < bound;
		hits += nearer <= 9 ? 10 : 10 - (nearer - 9 < 10 ? nearer - 9 : 10);

		/* chosen: the nearest one first, which the rule always keeps */
		chosen_well = chosen_well && q[2].nfound[i] >= 1 && q[2].nfound[i] <= 6 &&
			q[2].found[i * 6] == q[0].found[i * 10];
	}
	unit_ok(same, "%s: any pieces find the same", what);
	unit_ok(hits > 0.95 * nq * 10, "%s: recall %.3f", what, hits / (nq * 10.0));
	unit_ok(chosen_well, "%s: chosen neighbours", what);
	for (int way = 0; way < 3; way++)
	{
		free(q[way].found);
		free(q[way].nfound);
	}
	graph_free(&b);
	dataset_free(&all);
}

/* --- lists chosen anew --- */

static void
check_choose(const char *what, int quantizer, int bits, int metric)
{
	enum { NLISTS = 200, CAP = 24, MAX = CAP + 256 };
	Dataset		d = make_data(2000, 32, quantizer, bits, metric, 7);
	uint32_t   *nodes = xmalloc(NLISTS * MAX * sizeof(uint32_t));
	uint32_t   *before = xmalloc(NLISTS * MAX * sizeof(uint32_t));
	uint32_t	base[NLISTS];
	uint32_t	start[NLISTS];
	uint32_t	count[NLISTS];
	uint32_t	had[NLISTS];
	uint64_t	state = 3;
	PirHnswCandidate *cands = xmalloc(MAX * sizeof(PirHnswCandidate));
	void	   *scratch = xmalloc(pir_hnsw_select_scratch_size(d.f.quant, MAX));
	size_t		size = pir_hnsw_graph_private_size(d.f.quant, 0, CAP / 2, 40);
	PirHnswLists lists = {NLISTS, CAP, d.items, d.f.item_size, base, start, count, nodes};
	UnitTally	tally = {0};

	unit_ok(PIR_HNSW_CHOOSE_MAX(CAP) == MAX, "lists of %d are allowed", MAX);
	for (uint32_t i = 0; i < NLISTS; i++)
	{
		base[i] = i;
		start[i] = i * MAX;
		had[i] = count[i] = i == 0 ? MAX : 1 + (uint32_t) ((unit_random(&state) >> 33) % MAX);
		for (uint32_t j = 0; j < count[i]; j++)
		{
			/* distinct, none the base; the first three are anchors */
			nodes[start[i] + j] = NLISTS + (i * 31 + j * 5) % (d.n - NLISTS);
			if (j < 3)
				nodes[start[i] + j] |= PIR_EDGE_ANCHOR;
		}
	}
	memcpy(before, nodes, NLISTS * MAX * sizeof(uint32_t));
	for (uint32_t lo = 0; lo < NLISTS; lo += 50)
	{
		void	   *own = aligned_alloc(64, (size + 63) & ~(size_t) 63);

		memset(own, 0, size);
		pir_hnsw_graph_choose(d.f.quant, &lists, NLISTS - lo - 50, NLISTS - lo, own);
		free(own);
	}
	for (uint32_t i = 0; i < NLISTS; i++)
	{
		const uint8_t *item = d.items + (size_t) base[i] * d.f.item_size;
		int			n = (int) had[i];
		bool		same;
		int			nanchors = 0;

		for (int j = 0; j < n; j++)
		{
			cands[j].node = before[start[i] + (uint32_t) j];
			cands[j].item = d.items + (size_t) PIR_EDGE_NODE(cands[j].node) * d.f.item_size;
			cands[j].dist = pir_quant_code_distance(d.f.quant, item, cands[j].item);
		}
		n = pir_hnsw_select(d.f.quant, item, cands, n, CAP, scratch);
		same = n == (int) count[i];
		for (int j = 0; same && j < n; j++)
		{
			same = cands[j].node == nodes[start[i] + (uint32_t) j];
			nanchors += (cands[j].node & PIR_EDGE_ANCHOR) != 0;
		}
		unit_case(&tally, same && count[i] <= CAP && nanchors == (int) (had[i] < 3 ? had[i] : 3),
				  "list %u of %u", i, had[i]);
	}
	unit_tally_report(&tally, what);
	free(nodes);
	free(before);
	free(cands);
	free(scratch);
	dataset_free(&d);
}

int
main(void)
{
	check_divide("rabitq, L2", PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	check_divide("rabitq, cosine", PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE);
	check_divide("rabitq, inner product", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP);
	check_divide("none, L2", PIR_QUANT_NONE, 32, PIR_METRIC_L2);
	check_divide("sq8, L1", PIR_QUANT_SQ8, 8, PIR_METRIC_L1);
	check_divide("bits, Hamming", PIR_QUANT_BITS, 1, PIR_METRIC_HAMMING);
	check_find("rabitq, L2", PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	check_find("half, cosine", PIR_QUANT_HALF, 16, PIR_METRIC_COSINE);
	check_choose("rabitq, L2: as one selection", PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	check_choose("rabitq, inner product: as one selection", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP);
	return unit_done();
}
