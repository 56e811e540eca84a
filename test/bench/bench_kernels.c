/*-------------------------------------------------------------------------
 *
 * bench_kernels.c
 *	  Time of every kernel of every usable table: "make bench-kernels".
 *
 *	  build/bench/bench_kernels [kernel=TEXT] [table=NAME] [n=N] [align=N]
 *							    [rounds=N] [mb=N]
 *
 * kernel= selects the kernels whose name contains the text. One query stays in
 * cache; the other operands are items taken
 *
 *	  cache	from 16 kB of them, in turn;
 *	  dram	from 'mb' megabytes (default 512), in random order, each call another.
 *
 * Items lie 'align' bytes (default 8, as on a page) off cache lines. A figure
 * is the median of 'rounds' (default 9) rounds, in nanoseconds per call,
 * overhead of the loop and of the call included; beside it the best round, and
 * the bytes of items per second. Calls are independent of each other, so the
 * processor overlaps them as it does in a search that scores many candidates.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "distance/dist.h"

#define MAX_ROUNDS	101
#define CACHE_BYTES	(16 * 1024)
#define NPLANES		8

/* What one timed loop works on. */
typedef struct Work
{
	const PirKernels *table;
	const char *items;
	size_t		stride;
	const uint32_t *order;
	uint32_t	ncalls;
	const void *query;
	void	   *out;
	uint32_t	n;
} Work;

typedef double (*LoopFunction) (const Work *w);

/* 'x' is the item, 'q' the query, 'k' the table. */
#define LOOP(name, expression) \
static double \
loop_##name(const Work *w) \
{ \
	const PirKernels *k = w->table; \
	const void *q = w->query; \
	void	   *out = w->out; \
	uint32_t	n = w->n; \
	double		sum = 0; \
	for (uint32_t i = 0; i < w->ncalls; i++) \
	{ \
		const void *x = w->items + w->order[i] * w->stride; \
		sum += expression; \
	} \
	(void) q; \
	(void) out; \
	return sum; \
}

#define TWO(name)		LOOP(name, k->name(x, q, n))
#define ONE(name)		LOOP(name, k->name(x, n))
#define COSINE(name)	LOOP(name, (k->name(x, q, n, out), ((PirCosineSums *) out)->dot))

TWO(l2sq_f32)
TWO(dot_f32)
TWO(l1_f32)
COSINE(cosine_f32)
ONE(norm2_f32)
TWO(l2sq_f16)
TWO(dot_f16)
TWO(l1_f16)
COSINE(cosine_f16)
ONE(norm2_f16)
TWO(l2sq_bf16)
TWO(dot_bf16)
TWO(l1_bf16)
COSINE(cosine_bf16)
ONE(norm2_bf16)
TWO(l2sq_f16_f32)
TWO(dot_f16_f32)
TWO(l1_f16_f32)
TWO(l2sq_bf16_f32)
TWO(dot_bf16_f32)
TWO(l1_bf16_f32)
LOOP(f16_to_f32, (k->f16_to_f32(x, out, n), 0))
LOOP(f32_to_f16, (k->f32_to_f16(x, out, n), 0))
LOOP(hamming, k->hamming(x, q, n / 8))
LOOP(jaccard, (k->jaccard(x, q, n / 8, out), ((PirBitSums *) out)->both))
TWO(dot_u8_s8)
TWO(dot_u4_s8)
TWO(dot_u2_s8)
TWO(dot_u1_s8)
LOOP(dot_u1_planes, k->dot_u1_planes(x, q, NPLANES, n))
TWO(dot_u8_u8)
TWO(dot_u4_u4)
TWO(dot_u2_u2)
TWO(dot_u1_u1)
ONE(sum_u8)
ONE(sum_u4)
ONE(sum_u2)
ONE(sum_u1)
TWO(l1_u8_u8)
LOOP(fht_f32, (k->fht_f32((float *) x, n), 0))
LOOP(flip_signs_f32, (k->flip_signs_f32((float *) x, q, n), 0))

typedef enum Shape
{
	VECTOR,						/* any n */
	CODE,						/* n rounded up to a block */
	TRANSFORM					/* n rounded down to a power of two */
} Shape;

typedef struct Row
{
	const char *name;
	LoopFunction loop;
	Shape		shape;
	int			bits;			/* of one element of an item */
} Row;

#define ROW(name, shape, bits) {#name, loop_##name, shape, bits}

static const Row rows[] = {
	ROW(l2sq_f32, VECTOR, 32), ROW(dot_f32, VECTOR, 32), ROW(l1_f32, VECTOR, 32),
	ROW(cosine_f32, VECTOR, 32), ROW(norm2_f32, VECTOR, 32),
	ROW(l2sq_f16, VECTOR, 16), ROW(dot_f16, VECTOR, 16), ROW(l1_f16, VECTOR, 16),
	ROW(cosine_f16, VECTOR, 16), ROW(norm2_f16, VECTOR, 16),
	ROW(l2sq_bf16, VECTOR, 16), ROW(dot_bf16, VECTOR, 16), ROW(l1_bf16, VECTOR, 16),
	ROW(cosine_bf16, VECTOR, 16), ROW(norm2_bf16, VECTOR, 16),
	ROW(l2sq_f16_f32, VECTOR, 16), ROW(dot_f16_f32, VECTOR, 16), ROW(l1_f16_f32, VECTOR, 16),
	ROW(l2sq_bf16_f32, VECTOR, 16), ROW(dot_bf16_f32, VECTOR, 16), ROW(l1_bf16_f32, VECTOR, 16),
	ROW(f16_to_f32, VECTOR, 16), ROW(f32_to_f16, VECTOR, 32),
	ROW(hamming, CODE, 1), ROW(jaccard, CODE, 1),
	ROW(dot_u8_s8, CODE, 8), ROW(dot_u4_s8, CODE, 4), ROW(dot_u2_s8, CODE, 2), ROW(dot_u1_s8, CODE, 1),
	ROW(dot_u1_planes, CODE, 1),
	ROW(dot_u8_u8, CODE, 8), ROW(dot_u4_u4, CODE, 4), ROW(dot_u2_u2, CODE, 2), ROW(dot_u1_u1, CODE, 1),
	ROW(sum_u8, CODE, 8), ROW(sum_u4, CODE, 4), ROW(sum_u2, CODE, 2), ROW(sum_u1, CODE, 1),
	ROW(l1_u8_u8, CODE, 8),
	ROW(fht_f32, TRANSFORM, 32), ROW(flip_signs_f32, VECTOR, 32),
};

static volatile double sink;
static int	rounds = 9;
static size_t align = 8;

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

/* Median and best time per call of the loop. */
static void
measure(LoopFunction loop, const Work *work, double *median, double *best)
{
	double		times[MAX_ROUNDS];

	sink = loop(work);			/* warm up */
	for (int r = 0; r < rounds; r++)
	{
		double		begin = now_ns();

		sink = loop(work);
		times[r] = (now_ns() - begin) / work->ncalls;
	}
	qsort(times, rounds, sizeof(double), compare_doubles);
	*median = times[rounds / 2];
	*best = times[0];
}

/*
 * The same with items from all over the pool. Each round takes other items
 * than the one before: small items of one round would fit a last-level cache.
 */
static void
measure_dram(LoopFunction loop, Work *work, uint32_t *order, uint32_t ncalls, uint32_t nitems,
			 double *median, double *best)
{
	double		times[MAX_ROUNDS];

	work->ncalls = ncalls < nitems / 4 ? ncalls : nitems / 4;
	for (int r = -1; r < rounds; r++)	/* round -1 warms up */
	{
		double		begin;

		for (uint32_t i = 0; i < work->ncalls; i++)
			order[i] = next_random() % nitems;
		begin = now_ns();
		sink = loop(work);
		if (r >= 0)
			times[r] = (now_ns() - begin) / work->ncalls;
	}
	qsort(times, rounds, sizeof(double), compare_doubles);
	*median = times[rounds / 2];
	*best = times[0];
}

/* Sequential read of a large block, as fast as one core can. */
static double
read_bandwidth(const char *memory, size_t size)
{
	double		times[MAX_ROUNDS];

	for (int r = 0; r < rounds; r++)
	{
		double		begin = now_ns();
		uint64_t	sum = 0;

		for (size_t at = 0; at < size; at += PIR_DIST_MAX_DIM)
			sum += pir_kernels->sum_u8((const uint8_t *) memory + at, PIR_DIST_MAX_DIM);
		sink = sum;
		times[r] = now_ns() - begin;
	}
	qsort(times, rounds, sizeof(double), compare_doubles);
	return size / times[rounds / 2];
}

/*
 * Bytes that are harmless as any type: floats, halves and bfloat16s of
 * moderate size, so that no kernel meets subnormals or NaNs by accident.
 */
static void
fill(char *p, size_t size, const Row *row)
{
	for (size_t i = 0; i + 4 <= size; i += 4)
	{
		float		f = (float) (int64_t) (next_random() >> 33) * 0x1p-31f;
		uint32_t	word = (uint32_t) (next_random() >> 32);
		PirHalf		half[2];

		if (row->bits == 32)
			memcpy(&word, &f, 4);
		else if (row->bits == 16)
		{
			bool		brain = strstr(row->name, "bf16") != NULL;

			half[0] = brain ? pir_float_to_bf16(f) : pir_float_to_half(f);
			half[1] = brain ? pir_float_to_bf16(1 - f) : pir_float_to_half(1 - f);
			memcpy(&word, half, 4);
		}
		memcpy(p + i, &word, 4);
	}
}

static uint32_t
shaped(Shape shape, uint32_t n)
{
	if (shape == CODE)
		return (n + PIR_DIST_BLOCK - 1) / PIR_DIST_BLOCK * PIR_DIST_BLOCK;
	if (shape == TRANSFORM)
		while (n & (n - 1))
			n &= n - 1;
	return n;
}

static void *
reserve(size_t size)
{
	void	   *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
	{
		perror("mmap");
		exit(1);
	}
	return p;
}

static void
print_machine(void)
{
	FILE	   *f = fopen("/proc/cpuinfo", "r");
	char		line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
	{
		if (strncmp(line, "model name", 10) == 0)
		{
			printf("processor %s", strchr(line, ':') + 1);
			break;
		}
	}
	if (f != NULL)
		fclose(f);
#ifdef __VERSION__
	printf("compiler %s\n", __VERSION__);
#endif
#ifdef BENCH_COMMIT
	printf("commit %s\n", BENCH_COMMIT);
#endif
}

int
main(int argc, char **argv)
{
	static const uint32_t default_dims[] = {100, 512, 768, 1536};
	const char *want_kernel = "";
	const char *want_table = "";
	uint32_t	want_n = 0;
	size_t		pool_bytes = (size_t) 512 << 20;
	char	   *pool;
	char	   *query;
	void	   *out;
	uint32_t   *order;
	uint32_t	max_calls = 1 << 16;
	double		bandwidth;

	for (int i = 1; i < argc; i++)
	{
		const char *value = strchr(argv[i], '=');

		if (value == NULL)
		{
			fprintf(stderr, "usage: %s [kernel=TEXT] [table=NAME] [n=N] [align=N] [rounds=N] [mb=N]\n", argv[0]);
			return 2;
		}
		value++;
		if (strncmp(argv[i], "kernel=", 7) == 0)
			want_kernel = value;
		else if (strncmp(argv[i], "table=", 6) == 0)
			want_table = value;
		else if (strncmp(argv[i], "n=", 2) == 0)
			want_n = atoi(value);
		else if (strncmp(argv[i], "align=", 6) == 0)
			align = atoi(value) % 64;
		else if (strncmp(argv[i], "rounds=", 7) == 0)
			rounds = atoi(value) < 1 ? 1 : atoi(value) > MAX_ROUNDS ? MAX_ROUNDS : atoi(value);
		else if (strncmp(argv[i], "mb=", 3) == 0)
			pool_bytes = (size_t) atoi(value) << 20;
	}
	if (want_n > PIR_DIST_MAX_DIM)
		want_n = PIR_DIST_MAX_DIM;

	pir_dist_init(NULL);
	pool = reserve(pool_bytes + 64);
	query = (char *) reserve(4 * PIR_DIST_MAX_DIM + 64) + align;
	out = reserve(4 * PIR_DIST_MAX_DIM);
	order = malloc(max_calls * sizeof(uint32_t));
	if (order == NULL)
		return 1;
	memset(pool, 1, pool_bytes);

	print_machine();
	bandwidth = read_bandwidth(pool, pool_bytes);
	printf("sequential read of %zu MB: %.1f GB/s\n", pool_bytes >> 20, bandwidth);
	printf("items %zu bytes off a cache line, %d rounds, ns per call: median (best)\n\n", align, rounds);
	printf("%-15s %5s %-13s %10s %10s %8s %10s %10s %8s %6s\n", "kernel", "n", "table",
		   "cache", "(best)", "GB/s", "dram", "(best)", "GB/s", "of seq");

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
	{
		const Row  *row = &rows[r];
		bool		filled = false;

		if (strstr(row->name, want_kernel) == NULL)
			continue;
		for (size_t d = 0; d < (want_n ? 1 : sizeof(default_dims) / sizeof(default_dims[0])); d++)
		{
			uint32_t	n = shaped(row->shape, want_n ? want_n : default_dims[d]);
			size_t		bytes = (size_t) n * row->bits / 8;
			size_t		stride = (bytes + 63) / 64 * 64;
			uint32_t	in_cache = CACHE_BYTES / stride > 0 ? CACHE_BYTES / stride : 1;
			uint32_t	in_pool = (pool_bytes - 64) / stride;

			if (!filled)
			{
				/* one pattern throughout is enough: times do not depend on it */
				fill(pool, CACHE_BYTES * 4, row);
				for (size_t at = CACHE_BYTES * 4; at < pool_bytes; at += CACHE_BYTES * 4)
					memcpy(pool + at, pool, pool_bytes - at < CACHE_BYTES * 4 ? pool_bytes - at : CACHE_BYTES * 4);
				memcpy(query, pool + 4096, 4 * PIR_DIST_MAX_DIM);
				if (strstr(row->name, "f16_f32") != NULL)
					fill(query, 4 * PIR_DIST_MAX_DIM, &rows[0]);
				filled = true;
			}
			for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
			{
				Work		work = {*t, pool + align, stride, order, 0, query, out, n};
				double		cache;
				double		cache_best;
				double		dram;
				double		dram_best;

				if (!pir_dist_usable(*t) || (*want_table && strcmp(want_table, (*t)->name) != 0))
					continue;

				for (uint32_t i = 0; i < max_calls; i++)
					order[i] = i % in_cache;
				work.ncalls = 4000000 / (bytes + 200);	/* about a millisecond or two */
				if (work.ncalls > max_calls)
					work.ncalls = max_calls;
				measure(row->loop, &work, &cache, &cache_best);

				measure_dram(row->loop, &work, order, max_calls, in_pool, &dram, &dram_best);

				printf("%-15s %5u %-13s %10.1f %10.1f %8.1f %10.1f %10.1f %8.1f %5.0f%%\n",
					   row->name, n, (*t)->name, cache, cache_best, bytes / cache,
					   dram, dram_best, bytes / dram, 100 * bytes / dram / bandwidth);
				fflush(stdout);
			}
		}
	}
	return 0;
}
