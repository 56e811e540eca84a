/*-------------------------------------------------------------------------
 *
 * bench_quant.c
 *	  Time of everything that quant.h does, per quantizer and kernel table:
 *	  "make bench-quant".
 *
 *	  build/bench/bench_quant [quant=TEXT] [table=NAME] [dim=N] [metric=N]
 *							 [rounds=N] [mb=N]
 *
 * quant= selects the quantizers whose name contains the text. Columns, in
 * nanoseconds (median of 'rounds' rounds, default 9):
 *
 *	  bytes		of one item
 *	  encode	one vector
 *	  prepare	a query
 *	  item		a stored item as the query
 *	  one		pir_quant_distance(), items in cache
 *	  many		pir_quant_distance_many() of 32, items in cache
 *	  dram		the same, items at random in 'mb' megabytes (default 256)
 *	  error		pir_quant_error()
 *	  pair		pir_quant_code_distance()
 *
 * Items lie 8 bytes off a multiple of 16, as they can on a page.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quant/quant.h"

#define MAX_ROUNDS	101
#define NVECTORS	64
#define BATCH		32
#define NCALLS		4096

typedef struct Work
{
	PirQuant   *quant;
	PirQuantQuery *query;
	PirQuantQuery *other;
	float	   *vectors;
	char	   *items;
	size_t		stride;
	size_t		item_size;
	void	   *scratch;
	void	   *item;
	size_t		npool;			/* items to choose from at random in each round; 0: keep the order */
	const void *order[NCALLS];
} Work;

typedef double (*LoopFunction) (Work *w, int ncalls);

static volatile double sink;
static int	rounds = 9;

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static uint64_t
next_random(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
measure(LoopFunction loop, Work *w, int ncalls)
{
	double		times[MAX_ROUNDS];

	sink = loop(w, ncalls);		/* warm up */
	for (int r = 0; r < rounds; r++)
	{
		double		begin;

		if (w->npool > 0)
		{
			for (int i = 0; i < ncalls; i++)
				w->order[i] = w->items + next_random() % w->npool * w->stride;
		}
		begin = now_ns();
		sink = loop(w, ncalls);
		times[r] = (now_ns() - begin) / ncalls;
	}
	qsort(times, rounds, sizeof(double), compare_doubles);
	return times[rounds / 2];
}

static double
loop_encode(Work *w, int ncalls)
{
	uint32_t	dim = pir_quant_spec(w->quant)->dim;

	for (int i = 0; i < ncalls; i++)
		pir_quant_encode(w->quant, w->vectors + (size_t) (i % NVECTORS) * dim, w->item, w->scratch);
	return *(uint8_t *) w->item;
}

static double
loop_prepare(Work *w, int ncalls)
{
	uint32_t	dim = pir_quant_spec(w->quant)->dim;

	for (int i = 0; i < ncalls; i++)
		pir_quant_prepare_query(w->quant, w->vectors + (size_t) (i % NVECTORS) * dim, w->other, w->scratch);
	return *(uint8_t *) w->other;
}

static double
loop_item(Work *w, int ncalls)
{
	for (int i = 0; i < ncalls; i++)
		pir_quant_prepare_item(w->quant, w->order[i], w->other);
	return *(uint8_t *) w->other;
}

static double
loop_one(Work *w, int ncalls)
{
	double		sum = 0;

	for (int i = 0; i < ncalls; i++)
		sum += pir_quant_distance(w->quant, w->query, w->order[i]);
	return sum;
}

static double
loop_many(Work *w, int ncalls)
{
	float		out[BATCH];
	double		sum = 0;

	for (int i = 0; i + BATCH <= ncalls; i += BATCH)
	{
		pir_quant_distance_many(w->quant, w->query, w->order + i, BATCH, out);
		sum += out[0];
	}
	return sum;
}

static double
loop_error(Work *w, int ncalls)
{
	double		sum = 0;

	for (int i = 0; i < ncalls; i++)
		sum += pir_quant_error(w->quant, w->query, w->order[i], 1.0f);
	return sum;
}

static double
loop_pair(Work *w, int ncalls)
{
	double		sum = 0;

	for (int i = 1; i < ncalls; i++)
		sum += pir_quant_code_distance(w->quant, w->order[i], w->order[i - 1]);
	return sum;
}

static void *
reserve(size_t size)
{
	void	   *p = aligned_alloc(64, (size + 63) / 64 * 64);

	if (p == NULL)
	{
		perror("bench_quant");
		exit(1);
	}
	return p;
}

static void
bench(int quantizer, int bits, int metric, uint32_t dim, char *pool, size_t pool_bytes)
{
	PirQuantSpec spec = {
		.quantizer = (uint8_t) quantizer, .metric = (uint8_t) metric, .bits = (uint8_t) bits,
		.dim = dim, .seed = 1, .scale = 2.0f / 255, .offset = -1
	};
	Work		w;
	float	   *centre = reserve(dim * sizeof(float));
	double		encode;
	double		prepare;
	double		item;
	double		one;
	double		many;
	double		error;
	double		pair;
	size_t		npool;

	for (uint32_t i = 0; i < dim; i++)
		centre[i] = (float) (int64_t) (next_random() >> 33) * 0x1p-35f;
	spec.centre = centre;
	w.vectors = reserve((size_t) NVECTORS * dim * sizeof(float));
	for (size_t i = 0; i < (size_t) NVECTORS * dim; i++)
		w.vectors[i] = ((float) (int64_t) (next_random() >> 33) * 0x1p-30f - 1) / sqrtf((float) dim);
	w.quant = pir_quant_init(reserve(pir_quant_size(&spec)), &spec);
	w.query = reserve(pir_quant_query_size(w.quant));
	w.other = reserve(pir_quant_query_size(w.quant));
	w.scratch = reserve(pir_quant_scratch_size(w.quant));
	w.item_size = pir_quant_item_size(&spec);
	w.item = reserve(w.item_size);
	w.stride = (w.item_size + 15) / 16 * 16;
	w.items = pool + 8;

	npool = (pool_bytes - 64) / w.stride;
	for (size_t i = 0; i < npool; i++)
	{
		if (i < NVECTORS)
			pir_quant_encode(w.quant, w.vectors + i * dim, w.items + i * w.stride, w.scratch);
		else
			memcpy(w.items + i * w.stride, w.items + i % NVECTORS * w.stride, w.item_size);
	}
	pir_quant_prepare_query(w.quant, w.vectors + dim, w.query, w.scratch);

	w.npool = 0;

	/* sixteen items stay in the first level for all but the largest codes */
	for (int i = 0; i < NCALLS; i++)
		w.order[i] = w.items + (size_t) (i * 7 % 16) * w.stride;
	/* rounds of about a millisecond: longer ones meet the scheduler on a busy machine */
	encode = measure(loop_encode, &w, NVECTORS);
	prepare = measure(loop_prepare, &w, 2 * NVECTORS);
	item = measure(loop_item, &w, 1024);
	one = measure(loop_one, &w, NCALLS);
	many = measure(loop_many, &w, NCALLS);
	error = measure(loop_error, &w, NCALLS);
	pair = measure(loop_pair, &w, NCALLS);
	w.npool = npool;
	printf("%-8s %4d %5u %-13s %6zu %8.0f %8.0f %7.0f %7.1f %7.1f %7.1f %7.1f %7.1f\n",
		   pir_quant_name(quantizer), bits, dim, pir_kernels->name, w.item_size, encode, prepare, item, one, many,
		   measure(loop_many, &w, NCALLS), error, pair);
	fflush(stdout);

	free(centre);
	free(w.vectors);
	free(w.quant);
	free(w.query);
	free(w.other);
	free(w.scratch);
	free(w.item);
}

int
main(int argc, char **argv)
{
	static const struct
	{
		int			quantizer;
		int			bits;
	}			codes[] = {
		{PIR_QUANT_NONE, 32}, {PIR_QUANT_HALF, 16}, {PIR_QUANT_SQ8, 8}, {PIR_QUANT_RABITQ, 8},
		{PIR_QUANT_RABITQ, 4}, {PIR_QUANT_RABITQ, 2}, {PIR_QUANT_RABITQ, 1}, {PIR_QUANT_BF16, 16}, {PIR_QUANT_BQ, 1}
	};
	static const uint32_t default_dims[] = {100, 512, 768, 1536};
	const char *want_quant = "";
	const char *want_table = "";
	uint32_t	want_dim = 0;
	int			metric = PIR_METRIC_L2;
	size_t		pool_bytes = (size_t) 256 << 20;
	char	   *pool;

	for (int i = 1; i < argc; i++)
	{
		const char *value = strchr(argv[i], '=');

		if (value == NULL)
		{
			fprintf(stderr, "usage: %s [quant=TEXT] [table=NAME] [dim=N] [metric=N] [rounds=N] [mb=N]\n", argv[0]);
			return 2;
		}
		value++;
		if (strncmp(argv[i], "quant=", 6) == 0)
			want_quant = value;
		else if (strncmp(argv[i], "table=", 6) == 0)
			want_table = value;
		else if (strncmp(argv[i], "dim=", 4) == 0)
			want_dim = (uint32_t) atoi(value);
		else if (strncmp(argv[i], "metric=", 7) == 0)
			metric = atoi(value);
		else if (strncmp(argv[i], "rounds=", 7) == 0)
			rounds = atoi(value) < 1 ? 1 : atoi(value) > MAX_ROUNDS ? MAX_ROUNDS : atoi(value);
		else if (strncmp(argv[i], "mb=", 3) == 0)
			pool_bytes = (size_t) (atoi(value) < 1 ? 1 : atoi(value)) << 20;
	}

	pool = reserve(pool_bytes);
	printf("%-8s %4s %5s %-13s %6s %8s %8s %7s %7s %7s %7s %7s %7s\n", "quant", "bits", "dim", "table", "bytes",
		   "encode", "prepare", "item", "one", "many", "dram", "error", "pair");
	for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++)
	{
		if (strstr(pir_quant_name(codes[c].quantizer), want_quant) == NULL)
			continue;
		for (size_t d = 0; d < (want_dim != 0 ? 1 : sizeof(default_dims) / sizeof(default_dims[0])); d++)
		{
			PirQuantSpec spec = {
				.quantizer = (uint8_t) codes[c].quantizer, .metric = (uint8_t) metric, .bits = (uint8_t) codes[c].bits,
				.dim = want_dim != 0 ? want_dim : default_dims[d], .scale = 1
			};

			if (pir_quant_check_spec(&spec) != NULL)
				continue;
			for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
			{
				if (pir_dist_usable(*t) && (*want_table == '\0' || strcmp(want_table, (*t)->name) == 0) &&
					pir_dist_init((*t)->name))
					bench(codes[c].quantizer, codes[c].bits, metric, spec.dim, pool, pool_bytes);
			}
		}
	}
	free(pool);
	return 0;
}
