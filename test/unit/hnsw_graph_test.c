/*-------------------------------------------------------------------------
 *
 * hnsw_graph_test.c
 *	  Construction, search and placement: what hnsw_graph.h promises, on data
 *	  of every shape, and recall floors.
 *
 * Floors stand beside what was measured when they were set. Recall moves by
 * about a point with the seed.
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>

#include "graph_fixture.h"

/* --- invariants on data of many shapes --- */

typedef enum Shape
{
	CLUSTERS, TWO_FAR, IDENTICAL, FEW_POINTS, GRID, LINE, WILD_LENGTHS, RANDOM_BITS, EQUAL_BITS
} Shape;

typedef struct Case
{
	const char *name;
	Shape		shape;
	uint32_t	n;
	uint32_t	dim;
	int			quantizer;
	int			bits;
	int			metric;
	int			m;
	int			ef;
	uint32_t	max_depth;		/* of the tree of anchors */
	uint32_t	max_few;		/* per mille of nodes with less than 2 in-links */
} Case;

static Dataset
make_case(const Case *c)
{
	Dataset		d = dataset_make(c->n, c->dim);
	uint64_t	state = 31;

	switch (c->shape)
	{
		case CLUSTERS:
			fill_clusters(d.vectors, d.n, d.dim, 40, 8, 0, 1);
			break;
		case WILD_LENGTHS:
			fill_clusters(d.vectors, d.n, d.dim, 40, 8, 1.5, 1);
			for (uint32_t i = 0; i < d.n; i += 50)
				memset(d.vectors + (size_t) i * d.dim, 0, d.dim * sizeof(float));
			break;
		case TWO_FAR:
			/* sorted: the first half here, the second there */
			for (uint32_t i = 0; i < d.n; i++)
				for (uint32_t j = 0; j < d.dim; j++)
					d.vectors[(size_t) i * d.dim + j] = (float) (normal(&state) + (i < d.n / 2 ? -1000 : 1000));
			break;
		case IDENTICAL:
			for (size_t i = 0; i < (size_t) d.n * d.dim; i++)
				d.vectors[i] = 0.25f;
			break;
		case FEW_POINTS:
			for (uint32_t i = 0; i < d.n; i++)
				for (uint32_t j = 0; j < d.dim; j++)
					d.vectors[(size_t) i * d.dim + j] = (float) ((i % 7 >> j % 3) & 1);
			break;
		case GRID:
			for (uint32_t i = 0; i < d.n; i++)
			{
				d.vectors[2 * i] = (float) (i % 64);
				d.vectors[2 * i + 1] = (float) (i / 64);
			}
			break;
		case LINE:
			for (uint32_t i = 0; i < d.n; i++)
				d.vectors[i] = (float) i;
			break;
		case RANDOM_BITS:
		case EQUAL_BITS:
			d.bits = xmalloc((size_t) d.n * d.dim / 8);
			for (size_t i = 0; i < (size_t) d.n * d.dim / 8; i++)
				d.bits[i] = c->shape == EQUAL_BITS ? 0xA5 : (uint8_t) (unit_random(&state) >> 50);
			break;
	}
	dataset_encode(&d, c->quantizer, c->bits, c->metric);
	return d;
}

static void
check_shapes(void)
{
	static const Case cases[] = {
		/* depth measured: 14 to 26, 60 and 73 where stated larger */
		{"clusters, rabitq 4", CLUSTERS, 4000, 48, PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE, 16, 64, 40, 5},
		{"clusters, sq8", CLUSTERS, 4000, 48, PIR_QUANT_SQ8, 8, PIR_METRIC_L2, 16, 64, 40, 5},
		{"clusters, sq8, L1", CLUSTERS, 3000, 48, PIR_QUANT_SQ8, 8, PIR_METRIC_L1, 16, 64, 40, 5},
		{"clusters, half", CLUSTERS, 3000, 48, PIR_QUANT_HALF, 16, PIR_METRIC_L2, 16, 64, 40, 5},
		{"smallest m and ef", CLUSTERS, 3000, 48, PIR_QUANT_RABITQ, 8, PIR_METRIC_L2, 2, 4, 40, 150},
		{"largest m, small ef", CLUSTERS, 2000, 48, PIR_QUANT_RABITQ, 2, PIR_METRIC_L2, 100, 4, 40, 60},
		{"largest ef", CLUSTERS, 2000, 48, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2, 8, 1000, 40, 5},
		{"two far clusters", TWO_FAR, 4000, 16, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 16, 64, 40, 5},
		{"two far clusters, rabitq 4: equal codes", TWO_FAR, 4000, 16, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2, 16, 64, 90, 1000},
		{"all identical", IDENTICAL, 20000, 16, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 16, 64, 40, 1000},
		{"all identical, m 2", IDENTICAL, 5000, 16, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 2, 8, 40, 1000},
		{"all at the centre, rabitq 4", IDENTICAL, 5000, 16, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2, 16, 64, 40, 1000},
		{"all identical, inner product", IDENTICAL, 5000, 16, PIR_QUANT_NONE, 32, PIR_METRIC_IP, 16, 64, 40, 1000},
		{"a few points many times", FEW_POINTS, 10000, 16, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 16, 64, 110, 1000},
		{"grid", GRID, 4096, 2, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 16, 64, 40, 5},
		{"grid, L1", GRID, 4096, 2, PIR_QUANT_NONE, 32, PIR_METRIC_L1, 16, 64, 40, 5},
		{"grid, rabitq 1", GRID, 4096, 2, PIR_QUANT_RABITQ, 1, PIR_METRIC_L2, 16, 64, 40, 150},
		{"line", LINE, 4000, 1, PIR_QUANT_NONE, 32, PIR_METRIC_L2, 16, 64, 40, 5},
		{"wild lengths and zeros, inner product", WILD_LENGTHS, 4000, 32, PIR_QUANT_NONE, 32, PIR_METRIC_IP, 16, 64, 40, 5},
		{"the same, rabitq 4", WILD_LENGTHS, 4000, 32, PIR_QUANT_RABITQ, 4, PIR_METRIC_IP, 16, 64, 40, 5},
		{"bits, Hamming", RANDOM_BITS, 4000, 32, PIR_QUANT_BITS, 1, PIR_METRIC_HAMMING, 16, 64, 40, 5},
		{"bits, Jaccard", RANDOM_BITS, 4000, 32, PIR_QUANT_BITS, 1, PIR_METRIC_JACCARD, 16, 64, 40, 5},
		{"equal bits", EQUAL_BITS, 5000, 64, PIR_QUANT_BITS, 1, PIR_METRIC_HAMMING, 16, 64, 40, 1000},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *c = &cases[i];
		Dataset		d = make_case(c);
		BuiltGraph	a = graph_make(&d, c->m, c->ef);
		BuiltGraph	b = graph_make(&d, c->m, c->ef);
		GraphFacts	facts;
		const char *wrong = graph_check(&a.graph, &facts);

		unit_ok(wrong == NULL && same_graph(&a.graph, &b.graph), "%s: invariants, and the same bytes twice%s%s",
				c->name, wrong == NULL ? "" : ": ", wrong == NULL ? "" : wrong);
		unit_ok(facts.depth <= c->max_depth && (uint64_t) facts.few_in_links * 1000 <= (uint64_t) c->max_few * c->n,
				"%s: anchors are not deep, few nodes are hard to find", c->name);
		unit_note("%.1f edges a node, depth %u, %u of %u with less than 2 in-links",
				  (double) facts.nedges / c->n, facts.depth, facts.few_in_links, c->n);
		graph_free(&a);
		graph_free(&b);
		dataset_free(&d);
	}
}

/* Few nodes: every size, and a search that must find all of them in order. */
static void
check_small(void)
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 4, 5, 16, 17, 18, 33, 34, 100, 129, 130};
	UnitTally	built = {0};
	UnitTally	found = {0};

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int ip = 0; ip < 2; ip++)
		{
			uint32_t	n = sizes[s];
			Dataset		d = dataset_make(n, 8);
			BuiltGraph	b;
			GraphFacts	facts;
			const char *wrong;
			uint32_t	entry = 0;
			uint32_t   *order = xmalloc(n * sizeof(uint32_t));
			uint8_t    *placed = xmalloc(n);
			PirHnswCandidate *out = xmalloc((n + 200) * sizeof(*out));
			bool		right = true;

			fill_clusters(d.vectors, n, 8, 3, 4, 0.5, 2);
			dataset_encode(&d, PIR_QUANT_NONE, 32, ip ? PIR_METRIC_IP : PIR_METRIC_L2);
			b = graph_make(&d, 4, 200);
			wrong = graph_check(&b.graph, &facts);
			unit_case(&built, wrong == NULL, "n %u: %s", n, wrong);
			for (uint32_t q = 0; q < n; q++)
			{
				PirQuantQuery *query = pir_quant_prepare_query(d.f.quant, d.vectors + (size_t) q * 8,
															   d.f.query_memory, d.f.scratch);
				int			got = pir_hnsw_graph_search(&b.graph, query, &entry, 1, 200, out, b.scratch);

				right = right && got == (int) n;
				for (int i = 0; i < got; i++)
				{
					right = right && out[i].item == d.items + (size_t) out[i].node * d.f.item_size &&
						out[i].dist == pir_quant_distance(d.f.quant, query, out[i].item);
					if (i > 0)
						right = right && (out[i - 1].dist < out[i].dist ||
										  (out[i - 1].dist == out[i].dist && out[i - 1].node < out[i].node));
				}
			}
			unit_case(&found, right, "n %u", n);
			memset(placed, 0, n);
			pir_hnsw_graph_order(&b.graph, 5, order, b.scratch);
			for (uint32_t i = 0; i < n; i++)
				unit_case(&built, order[i] < n && placed[order[i]]++ == 0, "n %u: placement", n);
			free(order);
			free(placed);
			free(out);
			graph_free(&b);
			dataset_free(&d);
		}
	unit_tally_report(&built, "graphs of 0 to 130 nodes hold their invariants");
	unit_tally_report(&found, "a search wide enough finds every node of a small graph, nearest first");
}

/* --- interruption --- */

static jmp_buf interrupted;
static uint32_t polls;
static uint32_t polls_left;
static uint32_t last_done;
static bool polls_in_order;

static void
poll_and_jump(void *arg, uint32_t done, uint32_t total)
{
	polls++;
	polls_in_order = polls_in_order && done <= total && done >= last_done && arg == &interrupted;
	last_done = done;
	if (--polls_left == 0)
		longjmp(interrupted, 1);
}

static void
check_poll(void)
{
	Dataset		d = dataset_make(3000, 16);
	BuiltGraph	whole;
	BuiltGraph	b;

	fill_clusters(d.vectors, d.n, d.dim, 10, 6, 0, 3);
	dataset_encode(&d, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	whole = graph_make(&d, 8, 32);
	b = graph_alloc(&d, 8, 32);
	b.graph.poll = poll_and_jump;
	b.graph.poll_arg = &interrupted;

	polls_in_order = true;
	polls_left = 100;
	if (setjmp(interrupted) == 0)
	{
		pir_hnsw_graph_build(&b.graph, b.scratch);
		unit_ok(false, "the poll callback can leave construction");
	}
	else
		unit_ok(polls == 100, "the poll callback can leave construction");

	polls_left = UINT32_MAX;
	polls = 0;
	last_done = 0;
	memset(b.scratch, 0, b.scratch_size);
	pir_hnsw_graph_build(&b.graph, b.scratch);
	unit_ok(same_graph(&whole.graph, &b.graph), "and construction can begin again in the same memory");
	unit_ok(polls >= 3000 / 64 && polls_in_order && last_done == 3000, "progress is told, never backwards, to the end");
	unit_note("%u calls", polls);
	graph_free(&whole);
	graph_free(&b);
	dataset_free(&d);
}

/* --- recall --- */

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

static float
exact_distance(const Dataset *d, const float *a, const float *b)
{
	return pir_quant_spec(d->f.quant)->metric == PIR_METRIC_IP ?
		-pir_kernels->dot_f32(a, b, d->dim) : pir_kernels->l2sq_f32(a, b, d->dim);
}

/*
 * Share of the exact 10 nearest found: walk on codes from the best 4 of the
 * entry sample, then exact distances of the ef found.
 */
static double
recall_at_10(const Dataset *d, BuiltGraph *b, const float *queries, uint32_t nqueries, int ef)
{
	uint32_t	nsample = pir_hnsw_entry_target(d->n, d->f.item_size);
	float	   *all = xmalloc(d->n * sizeof(float));
	PirHnswCandidate *out = xmalloc(ef * sizeof(*out));
	uint32_t	hits = 0;

	for (uint32_t q = 0; q < nqueries; q++)
	{
		const float *vector = queries + (size_t) q * d->dim;
		PirQuantQuery *query;
		uint32_t	entries[4];
		float		best[4];
		int			nbest = 0;
		int			nout;
		float		limit;

		for (uint32_t i = 0; i < d->n; i++)
			all[i] = exact_distance(d, d->vectors + (size_t) i * d->dim, vector);
		qsort(all, d->n, sizeof(float), compare_floats);
		limit = all[9];

		query = pir_quant_prepare_query(d->f.quant, vector, d->f.query_memory, d->f.scratch);
		for (uint32_t i = 0; i < nsample; i++)
		{
			uint32_t	node = (uint32_t) ((uint64_t) i * d->n / nsample);
			float		dist = pir_quant_distance(d->f.quant, query, d->items + (size_t) node * d->f.item_size);
			int			at;

			if (nbest == 4 && dist >= best[3])
				continue;
			for (at = nbest < 4 ? nbest++ : 3; at > 0 && best[at - 1] > dist; at--)
			{
				best[at] = best[at - 1];
				entries[at] = entries[at - 1];
			}
			best[at] = dist;
			entries[at] = node;
		}
		nout = pir_hnsw_graph_search(&b->graph, query, entries, nbest, ef, out, b->scratch);
		for (int i = 0; i < nout; i++)
			all[i] = exact_distance(d, d->vectors + (size_t) out[i].node * d->dim, vector);
		qsort(all, nout, sizeof(float), compare_floats);
		for (int i = 0; i < nout && i < 10; i++)
			hits += all[i] <= limit;
	}
	free(all);
	free(out);
	return hits / (10.0 * nqueries);
}

static void
check_recall(void)
{
	static const struct
	{
		const char *name;
		int			quantizer;
		int			bits;
		int			metric;
		double		sigma;
		int			ef;
		double		floor;		/* beside it: measured */
	}			cases[] = {
		{"clusters, rabitq 4, cosine", PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE, 0, 40, 0.985},	/* 0.9985 */
		{"clusters, rabitq 2, L2", PIR_QUANT_RABITQ, 2, PIR_METRIC_L2, 0, 40, 0.985},	/* 0.9990 */
		{"clusters, none, L2", PIR_QUANT_NONE, 32, PIR_METRIC_L2, 0, 40, 0.985},	/* 1.0000 */
		{"lengths alike, inner product", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP, 0, 40, 0.98},	/* 0.9935 */
		{"lengths of sigma .3, inner product", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP, 0.3, 40, 0.975},	/* 0.9900 */
		{"lengths of sigma 1, inner product", PIR_QUANT_RABITQ, 4, PIR_METRIC_IP, 1, 80, 0.98},	/* 0.9985 */
	};

	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
	{
		Dataset		d = dataset_make(10000, 64);
		float	   *queries = xmalloc(200 * 64 * sizeof(float));
		BuiltGraph	b;
		double		recall;

		fill_clusters(d.vectors, d.n, d.dim, 100, 32, cases[c].sigma, 4);
		fill_clusters(queries, 200, d.dim, 100, 32, 0, 5);
		if (cases[c].metric == PIR_METRIC_COSINE)
			for (uint32_t q = 0; q < 200; q++)
			{
				float		length = sqrtf(pir_kernels->dot_f32(queries + q * 64, queries + q * 64, 64));

				for (uint32_t j = 0; j < 64; j++)
					queries[q * 64 + j] /= length;
			}
		dataset_encode(&d, cases[c].quantizer, cases[c].bits, cases[c].metric);
		b = graph_make(&d, 16, 64);
		recall = recall_at_10(&d, &b, queries, 200, cases[c].ef);
		unit_ok(recall >= cases[c].floor, "%s: recall@10 %.4f at ef %d, at least %.3f",
				cases[c].name, recall, cases[c].ef, cases[c].floor);
		graph_free(&b);
		free(queries);
		dataset_free(&d);
	}
}

/* --- the sample --- */

/* Next big-endian integer of a stream. */
static int32_t
read_int(FILE *file, int nbytes)
{
	uint32_t	value = 0;

	while (nbytes-- > 0)
		value = value << 8 | (uint32_t) (getc(file) & 0xFF);
	return (int32_t) value;
}

/*
 * Column 5, a halfvec, of the rows of a file in PostgreSQL's binary COPY
 * format, gzipped (test/data/README.md). Returns their number; 0: no such
 * file, or not as expected.
 */
static uint32_t
read_sample(const char *path, float *vectors, uint32_t max, uint32_t dim)
{
	char		command[300];
	FILE	   *file;
	uint32_t	n = 0;

	if ((file = fopen(path, "rb")) == NULL)
		return 0;
	fclose(file);
	snprintf(command, sizeof(command), "gzip -dc '%s'", path);
	if ((file = popen(command, "r")) == NULL)
		return 0;
	for (int i = 0; i < 19; i++)
		getc(file);				/* signature, flags, length of the extension: 0 */
	while (n < max)
	{
		int			nfields = (int16_t) read_int(file, 2);

		if (nfields < 5)
			break;
		for (int f = 0; f < nfields; f++)
		{
			int32_t		length = read_int(file, 4);

			if (f == 4 && length == (int32_t) (4 + 2 * dim) && (uint32_t) read_int(file, 2) == dim)
			{
				read_int(file, 2);
				for (uint32_t j = 0; j < dim; j++)
					vectors[(size_t) n * dim + j] = pir_half_to_float((PirHalf) read_int(file, 2));
				n++;
				continue;
			}
			while (length-- > 0)
				getc(file);
		}
	}
	pclose(file);
	return n;
}

static void
check_sample(void)
{
	Dataset		d = dataset_make(8000, 512);
	float	   *queries = xmalloc(200 * 512 * sizeof(float));

	if (read_sample("test/data/glosses.copy.gz", d.vectors, 8000, 512) != 8000 ||
		read_sample("test/data/questions.copy.gz", queries, 200, 512) != 200)
		unit_skip("no sample: run in the top folder of the source, with gzip");
	else
	{
		BuiltGraph	b;
		double		recall[2];

		dataset_encode(&d, PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE);
		b = graph_make(&d, 16, 64);
		recall[0] = recall_at_10(&d, &b, queries, 200, 40);
		recall[1] = recall_at_10(&d, &b, queries, 200, 160);
		/* measured: .9945 and .9995 */
		unit_ok(recall[0] >= 0.985 && recall[1] >= 0.995,
				"the sample: recall@10 %.4f at ef 40, %.4f at 160, at least .985 and .995", recall[0], recall[1]);
		graph_free(&b);
		dataset_free(&d);
		free(queries);
		return;
	}
	free(d.vectors);
	free(queries);
}

/* --- placement --- */

static void
check_order(void)
{
	static const uint32_t pages[] = {0, 1, 7, 29, 300, 6000};
	Dataset		d = dataset_make(6000, 32);
	BuiltGraph	b;
	uint32_t   *order = xmalloc(d.n * sizeof(uint32_t));
	uint32_t   *position = xmalloc(d.n * sizeof(uint32_t));
	void	   *own_scratch = xmalloc(pir_hnsw_graph_order_scratch_size(d.n));

	fill_clusters(d.vectors, d.n, d.dim, 60, 8, 0, 6);
	dataset_encode(&d, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	b = graph_make(&d, 16, 64);
	unit_ok(pir_hnsw_graph_order_scratch_size(d.n) <= b.scratch_size, "placement needs no more memory than construction");
	for (unsigned p = 0; p < sizeof(pages) / sizeof(pages[0]); p++)
	{
		uint32_t	per_page = pages[p] > 0 ? pages[p] : 1;
		bool		permutation = true;
		uint64_t	within = 0;
		uint64_t	nedges = 0;
		double		share;
		double		by_chance = (per_page - 1.0) / (d.n - 1.0);
		double		factor;

		memset(position, 0xFF, d.n * sizeof(uint32_t));
		pir_hnsw_graph_order(&b.graph, pages[p], order, own_scratch);
		for (uint32_t i = 0; i < d.n; i++)
		{
			permutation = permutation && order[i] < d.n && position[order[i]] == UINT32_MAX;
			if (permutation)
				position[order[i]] = i;
		}
		if (!unit_ok(permutation, "pages of %u: a permutation", pages[p]))
			continue;
		for (uint32_t i = 0; i < d.n; i++)
			for (int j = 0; j < b.graph.nedges[i]; j++)
			{
				nedges++;
				within += position[i] / per_page ==
					position[PIR_EDGE_NODE(b.graph.edges[(size_t) i * b.graph.cap + j])] / per_page;
			}
		share = (double) within / nedges;
		if (per_page == 1 || per_page == d.n)
			unit_ok(share == by_chance, "pages of %u: nothing to choose", pages[p]);
		else
		{
			/* measured: 123, 46, 8 */
			factor = per_page < 10 ? 80 : per_page < 100 ? 30 : 5;
			unit_ok(share >= factor * by_chance, "pages of %u: %.3f of the edges stay within, %.0f times chance, at least %.0f",
					pages[p], share, share / by_chance, factor);
		}
	}
	free(order);
	free(position);
	free(own_scratch);
	graph_free(&b);
	dataset_free(&d);
}

static void
check_entry_target(void)
{
	static const size_t item_sizes[] = {4, 16, 268, 780, 2060, 8204, 65548};
	UnitTally	tally = {0};

	for (unsigned s = 0; s < sizeof(item_sizes) / sizeof(item_sizes[0]); s++)
	{
		uint32_t	last = 0;

		for (uint64_t n = 0; n < PIR_NODE_NONE; n = n * 3 / 2 + 1)
		{
			uint32_t	target = pir_hnsw_entry_target((uint32_t) n, item_sizes[s]);

			unit_case(&tally, target <= n && target >= last && (n == 0 || target > 0), "%zu bytes, n %u: %u",
					  item_sizes[s], (unsigned) n, target);
			unit_case(&tally, target <= 64 || target * item_sizes[s] <= 256 * 1024, "%zu bytes, n %u: %u entries are too many",
					  item_sizes[s], (unsigned) n, target);
			last = target;
		}
		unit_case(&tally, last >= 64 && last <= 1024, "%zu bytes: %u", item_sizes[s], last);
	}
	unit_tally_report(&tally, "entry nodes: some, not more than there are, not too many bytes");
}

int
main(void)
{
	pir_dist_init(NULL);
	check_small();
	check_shapes();
	check_poll();
	check_order();
	check_entry_target();
	check_recall();
	check_sample();
	return unit_done();
}
