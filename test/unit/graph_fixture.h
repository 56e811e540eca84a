/*-------------------------------------------------------------------------
 *
 * graph_fixture.h
 *	  Made-up data, graphs with their memory, and the invariants of a graph,
 *	  for the unit programs of hnsw/hnsw_graph*.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_GRAPH_FIXTURE_H
#define PIR_GRAPH_FIXTURE_H

#include "hnsw/hnsw_graph.h"
#include "quant_fixture.h"

/* Vectors, and the quantizer their codes come from. */
typedef struct Dataset
{
	Fixture		f;
	uint32_t	n;
	uint32_t	dim;
	float	   *vectors;		/* n * dim; PIR_QUANT_BITS: see bits */
	uint8_t    *bits;			/* n * (dim + 7) / 8 */
	float	   *centre;
	uint8_t    *items;			/* n * f.item_size */
} Dataset;

typedef struct BuiltGraph
{
	PirHnswGraph graph;
	size_t		scratch_size;
	uint8_t    *scratch;
} BuiltGraph;

/* Encode what is in d->vectors (or d->bits). Cosine vectors are made unit here. */
static inline void
dataset_encode(Dataset *d, int quantizer, int bits, int metric)
{
	PirQuantSpec spec = {
		.quantizer = (uint8_t) quantizer,
		.metric = (uint8_t) metric,
		.bits = (uint8_t) bits,
		.dim = d->dim,
		.seed = 42
	};

	if (metric == PIR_METRIC_COSINE)
		for (uint32_t i = 0; i < d->n; i++)
		{
			float	   *v = d->vectors + (size_t) i * d->dim;
			double		norm2 = 0;

			for (uint32_t j = 0; j < d->dim; j++)
				norm2 += (double) v[j] * v[j];
			for (uint32_t j = 0; j < d->dim && norm2 > 0; j++)
				v[j] = (float) (v[j] / sqrt(norm2));
		}
	if (quantizer == PIR_QUANT_RABITQ)
	{
		d->centre = xmalloc(d->dim * sizeof(float));
		for (uint32_t j = 0; j < d->dim; j++)
		{
			double		sum = 0;

			for (uint32_t i = 0; i < d->n; i++)
				sum += d->vectors[(size_t) i * d->dim + j];
			d->centre[j] = d->n > 0 ? (float) (sum / d->n) : 0;
		}
		spec.centre = d->centre;
	}
	if (metric == PIR_METRIC_L1 && quantizer == PIR_QUANT_SQ8)
	{
		spec.offset = -4;
		spec.scale = 8.0f / 255;
	}
	d->f = fixture_make(&spec);
	d->items = xmalloc((size_t) d->n * d->f.item_size);
	for (uint32_t i = 0; i < d->n; i++)
		pir_quant_encode(d->f.quant,
						 quantizer == PIR_QUANT_BITS ? (const void *) (d->bits + (size_t) i * ((d->dim + 7) / 8)) :
						 (const void *) (d->vectors + (size_t) i * d->dim),
						 d->items + (size_t) i * d->f.item_size, d->f.scratch);
}

static inline Dataset
dataset_make(uint32_t n, uint32_t dim)
{
	Dataset		d = {.n = n, .dim = dim};

	d.vectors = xmalloc((size_t) n * dim * sizeof(float));
	return d;
}

static inline void
dataset_free(Dataset *d)
{
	free(d->vectors);
	free(d->bits);
	free(d->centre);
	free(d->items);
	fixture_free(&d->f);
}

/* Standard normal, by Box and Muller. */
static inline double
normal(uint64_t *state)
{
	double		u = 1.0 - unit_uniform(state);

	return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * unit_uniform(state));
}

/*
 * n points around 'nclusters' centres, spread over 'intrinsic' dimensions
 * within them; lengths are log-normal with this sigma (0: left alone).
 */
static inline void
fill_clusters(float *vectors, uint32_t n, uint32_t dim, uint32_t nclusters, uint32_t intrinsic,
			  double sigma, uint64_t seed)
{
	uint64_t	shape = 77;		/* the same clusters whatever the seed */
	float	   *centres = xmalloc((size_t) nclusters * dim * sizeof(float));
	float	   *axes = xmalloc((size_t) intrinsic * dim * sizeof(float));

	for (size_t i = 0; i < (size_t) nclusters * dim; i++)
		centres[i] = (float) normal(&shape);
	for (size_t i = 0; i < (size_t) intrinsic * dim; i++)
		axes[i] = (float) (normal(&shape) / sqrt(intrinsic));
	for (uint32_t i = 0; i < n; i++)
	{
		float	   *v = vectors + (size_t) i * dim;
		double		length;

		memcpy(v, centres + (unit_random(&seed) >> 33) % nclusters * dim, dim * sizeof(float));
		for (uint32_t a = 0; a < intrinsic; a++)
		{
			float		along = (float) normal(&seed);

			for (uint32_t j = 0; j < dim; j++)
				v[j] += along * axes[(size_t) a * dim + j];
		}
		length = exp(sigma * normal(&seed));
		for (uint32_t j = 0; j < dim; j++)
			v[j] = (float) (v[j] * length);
	}
	free(centres);
	free(axes);
}

/* Arrays for a graph over the items, every block of exactly the size asked for. */
static inline BuiltGraph
graph_alloc(const Dataset *d, int m, int ef)
{
	BuiltGraph	b;

	b.graph = (PirHnswGraph)
	{
		.quant = d->f.quant,
		.n = d->n,
		.m = (uint16_t) m,
		.cap = (uint16_t) (2 * m),
		.ef = (uint16_t) ef,
		.items = d->items,
		.item_stride = d->f.item_size,
		.nedges = xmalloc(d->n),
		.edges = xmalloc((size_t) d->n * 2 * m * sizeof(uint32_t))
	};
	b.scratch_size = pir_hnsw_graph_scratch_size(d->f.quant, d->n, (uint16_t) m, (uint16_t) ef);
	b.scratch = xmalloc(b.scratch_size);
	memset(b.scratch, 0, b.scratch_size);
	return b;
}

static inline BuiltGraph
graph_make(const Dataset *d, int m, int ef)
{
	BuiltGraph	b = graph_alloc(d, m, ef);

	pir_hnsw_graph_build(&b.graph, b.scratch);
	return b;
}

static inline void
graph_free(BuiltGraph *b)
{
	free(b->graph.nedges);
	free(b->graph.edges);
	free(b->scratch);
}

static inline bool
same_graph(const PirHnswGraph *a, const PirHnswGraph *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->nedges[i] != b->nedges[i] ||
			memcmp(a->edges + (size_t) i * a->cap, b->edges + (size_t) i * b->cap,
				   a->nedges[i] * sizeof(uint32_t)) != 0)
			return false;
	return true;
}

/* What graph_check() found out beside errors. */
typedef struct GraphFacts
{
	uint32_t	nedges;
	uint32_t	few_in_links;	/* nodes with less than 2 in-links */
	uint32_t	depth;			/* of the tree of anchors */
} GraphFacts;

/* NULL if the graph is as hnsw_graph.h promises, else what is wrong. */
static inline const char *
graph_check(const PirHnswGraph *g, GraphFacts *facts)
{
	uint32_t   *in = xmalloc(g->n * sizeof(uint32_t));
	uint32_t   *depth = xmalloc(g->n * sizeof(uint32_t));	/* 0: not reached */
	uint32_t   *queue = xmalloc(g->n * sizeof(uint32_t));
	uint8_t    *anchored = xmalloc(g->n);
	uint32_t	head = 0;
	uint32_t	tail = 0;
	const char *wrong = NULL;

	memset(in, 0, g->n * sizeof(uint32_t));
	memset(depth, 0, g->n * sizeof(uint32_t));
	memset(anchored, 0, g->n);
	*facts = (GraphFacts) {0};
	for (uint32_t i = 0; i < g->n && wrong == NULL; i++)
	{
		const uint32_t *list = g->edges + (size_t) i * g->cap;
		int			nanchors = 0;

		if (g->nedges[i] > g->cap)
			wrong = "a list is longer than its capacity";
		for (int j = 0; j < g->nedges[i] && wrong == NULL; j++)
		{
			uint32_t	to = PIR_EDGE_NODE(list[j]);

			if (to >= g->n)
				wrong = "an edge leads nowhere";
			else if (to == i)
				wrong = "an edge leads to its own node";
			for (int k = 0; k < j; k++)
				if (PIR_EDGE_NODE(list[k]) == to)
					wrong = "a node is in a list twice";
			if (wrong != NULL)
				break;
			in[to]++;
			facts->nedges++;
			if (list[j] & PIR_EDGE_ANCHOR)
			{
				nanchors++;
				if (anchored[to]++ != 0)
					wrong = "a node has two anchors";
			}
		}
		if (nanchors > PIR_HNSW_MAX_ANCHORS(g->cap))
			wrong = "a list has too many anchors";
	}
	for (uint32_t i = 0; i < g->n && wrong == NULL; i++)
	{
		if (anchored[i] != (i == 0 ? 0 : 1))
			wrong = "node 0 has an anchor, or another has none";
		if (in[i] == 0 && g->n > 1)
			wrong = "a node has no in-links";
		if (in[i] < 2)
			facts->few_in_links++;
	}

	if (g->n > 0 && wrong == NULL)
	{
		queue[tail++] = 0;
		depth[0] = 1;
	}
	while (head < tail)
	{
		uint32_t	node = queue[head++];
		const uint32_t *list = g->edges + (size_t) node * g->cap;

		if (depth[node] > facts->depth)
			facts->depth = depth[node];
		for (int j = 0; j < g->nedges[node]; j++)
			if ((list[j] & PIR_EDGE_ANCHOR) && depth[PIR_EDGE_NODE(list[j])] == 0)
			{
				depth[PIR_EDGE_NODE(list[j])] = depth[node] + 1;
				queue[tail++] = PIR_EDGE_NODE(list[j]);
			}
	}
	if (wrong == NULL && tail != g->n)
		wrong = "a node cannot be reached along anchors";
	free(in);
	free(depth);
	free(queue);
	free(anchored);
	return wrong;
}

#endif							/* PIR_GRAPH_FIXTURE_H */
