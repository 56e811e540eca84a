/*-------------------------------------------------------------------------
 *
 * cluster_test.c
 *	  k-means: degenerate input, determinism, and quality beside random centres
 *	  and beside plain k-means (CLUSTER-I1 to I5).
 *
 * Memory is allocated to the byte, so that the address sanitizer sees whoever
 * uses more than pir_cluster_memory() says.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster.h"
#include "unit.h"

typedef struct Sample
{
	float	   *x;
	uint32_t	n;
	uint32_t	dim;
} Sample;

static const float *
sample_row(const void *arg, uint32_t i, float *scratch)
{
	const Sample *sample = arg;

	(void) scratch;
	return sample->x + (size_t) i * sample->dim;
}

/* The same through the scratch memory, as from a packed sample. */
static const float *
copied_row(const void *arg, uint32_t i, float *scratch)
{
	const Sample *sample = arg;

	return memcpy(scratch, sample->x + (size_t) i * sample->dim, sample->dim * sizeof(float));
}

static double
gauss(uint64_t *random)
{
	double		u = unit_uniform(random);

	return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * unit_uniform(random));
}

static void
normalise(float *x, uint32_t dim)
{
	double		norm = 0;

	for (uint32_t j = 0; j < dim; j++)
		norm += (double) x[j] * x[j];
	for (uint32_t j = 0; j < dim && norm > 0; j++)
		x[j] = (float) (x[j] / sqrt(norm));
}

/* n rows around 'ncentres' random points, 'spread' wide (the points: 1) */
static Sample
make_mixture(uint32_t n, uint32_t dim, uint32_t ncentres, double spread, bool unit, uint64_t seed)
{
	Sample		sample = {malloc((size_t) n * dim * sizeof(float)), n, dim};
	float	   *points = malloc((size_t) ncentres * dim * sizeof(float));

	for (size_t i = 0; i < (size_t) ncentres * dim; i++)
		points[i] = (float) gauss(&seed);
	for (uint32_t i = 0; i < n; i++)
	{
		const float *point = points + (size_t) (unit_random(&seed) % ncentres) * dim;
		float	   *row = sample.x + (size_t) i * dim;

		for (uint32_t j = 0; j < dim; j++)
			row[j] = (float) (point[j] + spread * gauss(&seed));
		if (unit)
			normalise(row, dim);
	}
	free(points);
	return sample;
}

/* Mean squared distance of the rows from the nearest of k centres. */
static double
residual(const Sample *sample, const float *centres, uint32_t k)
{
	double		sum = 0;

	for (uint32_t i = 0; i < sample->n; i++)
	{
		float		best = INFINITY;

		for (uint32_t j = 0; j < k; j++)
		{
			float		dist = pir_kernels->l2sq_f32(sample->x + (size_t) i * sample->dim,
													 centres + (size_t) j * sample->dim, sample->dim);

			if (dist < best)
				best = dist;
		}
		sum += best;
	}
	return sum / sample->n;
}

static PirClusterSpec
make_spec(const Sample *sample, uint32_t nlists)
{
	return (PirClusterSpec) {.nrows = sample->n, .dim = sample->dim, .nlists = nlists, .nworkers = 1, .seed = 42};
}

/* Train into fresh memory; the caller frees the centres. */
static float *
train(const PirClusterSpec *spec, const Sample *sample, const PirClusterHost *host, PirClusterResult *result)
{
	PirClusterRows rows = {sample_row, sample};
	float	   *centres = malloc((size_t) spec->nlists * spec->dim * sizeof(float));
	void	   *memory = malloc(pir_cluster_memory(spec));

	memset(memory, 0xA5, pir_cluster_memory(spec));
	pir_cluster_train(spec, &rows, host, centres, memory, result);
	free(memory);
	return centres;
}

static bool
all_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (!isfinite(x[i]))
			return false;
	}
	return true;
}

/* No two centres are equal: CLUSTER-I2. */
static bool
all_distinct(const float *centres, uint32_t k, uint32_t dim)
{
	for (uint32_t i = 0; i < k; i++)
	{
		for (uint32_t j = i + 1; j < k; j++)
		{
			if (memcmp(centres + (size_t) i * dim, centres + (size_t) j * dim, dim * sizeof(float)) == 0)
				return false;
		}
	}
	return true;
}

/* --- degenerate input --- */

static void
test_few_values(void)
{
	static const uint32_t values[] = {1, 2, 7, 100, 300};
	static const uint32_t lists[] = {1, 2, 10, 255, 256, 400, 1000};
	UnitTally	tally = {0};

	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
	{
		for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		{
			Sample		sample = {malloc(1500 * 3 * sizeof(float)), 1500, 3};
			PirClusterSpec spec = make_spec(&sample, lists[l]);
			uint32_t	expected = values[v] < lists[l] ? values[v] : lists[l];
			PirClusterResult result;
			float	   *centres;

			for (uint32_t i = 0; i < 1500; i++)
			{
				uint32_t	value = i % values[v];

				sample.x[i * 3] = (float) value;
				sample.x[i * 3 + 1] = (float) (value * value % 17);
				sample.x[i * 3 + 2] = 1;
			}
			centres = train(&spec, &sample, NULL, &result);
			unit_case(&tally,
					  result.nlists >= 1 && result.nlists <= expected &&
					  all_finite(centres, (size_t) result.nlists * 3) &&
					  all_distinct(centres, result.nlists, 3),
					  "%u values, %u lists: %u centres", values[v], lists[l], result.nlists);
			/* with room for every value each one gets its centre, but for bad luck between groups */
			if (values[v] <= lists[l])
				unit_case(&tally, residual(&sample, centres, result.nlists) < 1e-6,
						  "%u values, %u lists: residual %g", values[v], lists[l],
						  residual(&sample, centres, result.nlists));
			free(centres);
			free(sample.x);
		}
	}
	unit_tally_report(&tally, "identical rows and few distinct values");
}

static void
test_zero_vectors(void)
{
	UnitTally	tally = {0};

	for (int spherical = 0; spherical < 2; spherical++)
	{
		Sample		sample = make_mixture(900, 16, 20, 0.2, true, 5);
		PirClusterSpec spec = make_spec(&sample, 30);
		PirClusterResult result;
		float	   *centres;

		spec.spherical = spherical;
		memset(sample.x, 0, 300 * 16 * sizeof(float));
		centres = train(&spec, &sample, NULL, &result);
		unit_case(&tally, result.nlists > 20 && all_finite(centres, (size_t) result.nlists * 16),
				  "a third of the rows zero, spherical %d: %u centres", spherical, result.nlists);
		free(centres);

		memset(sample.x, 0, 900 * 16 * sizeof(float));
		centres = train(&spec, &sample, NULL, &result);
		unit_case(&tally, result.nlists == 1 && all_finite(centres, 16) && result.residual == 0,
				  "all rows zero, spherical %d: %u centres", spherical, result.nlists);
		free(centres);

		/* opposite rows: their mean has no direction */
		for (uint32_t i = 0; i < 900; i++)
			sample.x[i * 16] = i % 2 ? 1.0f : -1.0f;
		spec.nlists = 1;
		centres = train(&spec, &sample, NULL, &result);
		unit_case(&tally, result.nlists == 1 && all_finite(centres, 16),
				  "rows that cancel, spherical %d", spherical);
		free(centres);
		free(sample.x);
	}
	unit_tally_report(&tally, "zero vectors and rows that cancel each other");
}

static void
test_extremes(void)
{
	static const float scales[] = {FLT_MIN, 1e-30f, 1e18f, 3e19f, 1e38f};
	UnitTally	tally = {0};

	for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++)
	{
		for (uint32_t lists = 1; lists <= 300; lists += 299)
		{
			Sample		sample = make_mixture(1000, 8, 40, 0.1, true, s + 1);
			PirClusterSpec spec = make_spec(&sample, lists);
			PirClusterResult result;
			float	   *centres;

			for (size_t i = 0; i < 8000; i++)
				sample.x[i] *= scales[s];
			centres = train(&spec, &sample, NULL, &result);
			unit_case(&tally, result.nlists >= 1 && all_finite(centres, (size_t) result.nlists * 8) &&
					  isfinite(result.residual) && result.residual >= 0,
					  "scale %g, %u lists: %u centres, residual %g", scales[s], lists,
					  result.nlists, result.residual);
			free(centres);
			free(sample.x);
		}
	}
	unit_tally_report(&tally, "values so small or large that distances leave the range");
}

static void
test_sizes(void)
{
	UnitTally	tally = {0};
	PirClusterSpec huge = {.nrows = UINT32_MAX, .dim = PIR_DIST_MAX_DIM, .nlists = UINT32_MAX, .nworkers = 1};
	PirClusterResult result;

	for (uint32_t n = 0; n < 40; n++)
	{
		for (uint32_t lists = 1; lists < 12; lists += 5)
		{
			Sample		sample = make_mixture(n > 0 ? n : 1, 5, 10, 0.5, false, n + 1);
			PirClusterSpec spec;
			float	   *centres;

			sample.n = n;
			spec = make_spec(&sample, lists);
			centres = train(&spec, &sample, NULL, &result);
			unit_case(&tally, result.nlists <= lists && result.nlists <= n && (result.nlists > 0) == (n > 0),
					  "%u rows, %u lists: %u centres", n, lists, result.nlists);
			free(centres);
			free(sample.x);
		}
	}
	if (sizeof(size_t) > 4)
		unit_case(&tally, pir_cluster_memory(&huge) > (size_t) UINT32_MAX * 128, "memory of a huge spec");
	unit_tally_report(&tally, "few rows, none, and sizes");
}

/* --- what centres are --- */

static void
test_properties(void)
{
	UnitTally	tally = {0};

	for (uint32_t lists = 40; lists <= 400; lists += 360)
	{
		for (int spherical = 0; spherical < 2; spherical++)
		{
			Sample		sample = make_mixture(6000, 24, 100, 0.5, spherical, 9);
			PirClusterSpec spec = make_spec(&sample, lists);
			PirClusterRows rows = {copied_row, &sample};
			PirClusterResult result;
			PirClusterResult again;
			float	   *centres;
			float	   *others;
			void	   *memory;
			double		worst = 0;

			spec.spherical = spherical;
			centres = train(&spec, &sample, NULL, &result);
			others = malloc((size_t) lists * 24 * sizeof(float));
			memory = malloc(pir_cluster_memory(&spec));
			pir_cluster_train(&spec, &rows, NULL, others, memory, &again);
			unit_case(&tally, result.nlists == again.nlists &&
					  memcmp(centres, others, (size_t) result.nlists * 24 * sizeof(float)) == 0,
					  "not deterministic: %u lists", lists);
			spec.seed++;
			pir_cluster_train(&spec, &rows, NULL, others, memory, &again);
			unit_case(&tally, memcmp(centres, others, 24 * sizeof(float)) != 0,
					  "another seed gives the same: %u lists", lists);
			for (uint32_t j = 0; spherical && j < result.nlists; j++)
			{
				double		norm2 = pir_kernels->norm2_f32(centres + (size_t) j * 24, 24);

				if (fabs(norm2 - 1) > worst)
					worst = fabs(norm2 - 1);
			}
			unit_case(&tally, worst < 1e-5, "spherical centre of squared length 1 + %g", worst);
			unit_case(&tally, result.nlists == lists, "%u centres instead of %u", result.nlists, lists);
			free(memory);
			free(others);
			free(centres);
			free(sample.x);
		}
	}
	unit_tally_report(&tally, "deterministic, as many as asked for, of unit length if spherical");
}

/* Pieces in another order, by several "workers", and counted. */
typedef struct Team
{
	uint32_t	npieces;
	uint32_t	ninterrupts;
} Team;

static void
run_backwards(void *arg, PirClusterPiece piece, void *state, uint32_t npieces)
{
	Team	   *team = arg;

	for (uint32_t i = npieces; i > 0; i--)
		piece(state, i - 1, i % 3);
	team->npieces += npieces;
}

static void
count_interrupt(void *arg)
{
	((Team *) arg)->ninterrupts++;
}

static void
test_host(void)
{
	UnitTally	tally = {0};

	for (uint32_t lists = 40; lists <= 400; lists += 360)
	{
		Sample		sample = make_mixture(6000, 24, 100, 0.5, false, 9);
		PirClusterSpec spec = make_spec(&sample, lists);
		Team		team = {0};
		PirClusterHost parallel = {&team, NULL, run_backwards};
		PirClusterHost serial = {&team, count_interrupt, NULL};
		PirClusterResult result;
		float	   *alone = train(&spec, &sample, &serial, &result);
		float	   *together;

		spec.nworkers = 3;
		together = train(&spec, &sample, &parallel, &result);
		unit_case(&tally, memcmp(alone, together, (size_t) result.nlists * 24 * sizeof(float)) == 0,
				  "%u lists: workers change the result", lists);
		unit_case(&tally, team.npieces > 100 && team.ninterrupts == team.npieces,
				  "%u pieces, %u interrupts", team.npieces, team.ninterrupts);
		free(alone);
		free(together);
		free(sample.x);
	}
	unit_tally_report(&tally, "workers and interrupts");
}

/* --- quality --- */

/* Plain k-means from random rows, every row compared with every centre. */
static void
plain_kmeans(const Sample *sample, uint32_t k, int rounds, float *centres)
{
	uint32_t	dim = sample->dim;
	double	   *sums = malloc((size_t) k * dim * sizeof(double));
	uint32_t   *counts = malloc(k * sizeof(uint32_t));
	uint64_t	random = 77;

	for (uint32_t j = 0; j < k; j++)
		memcpy(centres + (size_t) j * dim, sample->x + unit_random(&random) % sample->n * dim, dim * sizeof(float));
	for (int round = 0; round < rounds; round++)
	{
		memset(sums, 0, (size_t) k * dim * sizeof(double));
		memset(counts, 0, k * sizeof(uint32_t));
		for (uint32_t i = 0; i < sample->n; i++)
		{
			const float *row = sample->x + (size_t) i * dim;
			float		best = INFINITY;
			uint32_t	list = 0;

			for (uint32_t j = 0; j < k; j++)
			{
				float		dist = pir_kernels->l2sq_f32(row, centres + (size_t) j * dim, dim);

				if (dist < best)
				{
					best = dist;
					list = j;
				}
			}
			counts[list]++;
			for (uint32_t d = 0; d < dim; d++)
				sums[(size_t) list * dim + d] += row[d];
		}
		for (uint32_t j = 0; j < k; j++)
		{
			for (uint32_t d = 0; counts[j] > 0 && d < dim; d++)
				centres[(size_t) j * dim + d] = (float) (sums[(size_t) j * dim + d] / counts[j]);
		}
	}
	free(sums);
	free(counts);
}

static void
test_quality(void)
{
	static const struct
	{
		uint32_t	lists;
		double		spread;
		double		limit;		/* of plain k-means' residual */
	}			cases[] = {
		{64, 0.3, 0.7}, {64, 2.0, 1.02}, {200, 0.7, 1.02}, {300, 0.7, 1.01}, {300, 3.0, 1.02}, {900, 0.7, 1.01}
	};
	UnitTally	tally = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint32_t	k = cases[i].lists;
		Sample		sample = make_mixture(k * 30, 32, k, cases[i].spread, false, i + 100);
		PirClusterSpec spec = make_spec(&sample, k);
		PirClusterResult result;
		float	   *centres = train(&spec, &sample, NULL, &result);
		float	   *plain = malloc((size_t) k * 32 * sizeof(float));
		double		ours = residual(&sample, centres, result.nlists);
		double		random_rows;
		double		theirs;

		plain_kmeans(&sample, k, 0, plain);
		random_rows = residual(&sample, plain, k);
		plain_kmeans(&sample, k, 12, plain);
		theirs = residual(&sample, plain, k);
		unit_note("%u lists, spread %.1f: residual %.3f, plain k-means %.3f, random rows %.3f; %u rounds",
				  k, cases[i].spread, ours, theirs, random_rows, result.rounds);
		unit_case(&tally, ours < theirs * cases[i].limit, "%u lists, spread %.1f: %.3f, plain %.3f",
				  k, cases[i].spread, ours, theirs);
		unit_case(&tally, ours < random_rows * 0.9, "%u lists, spread %.1f: %.3f, random rows %.3f",
				  k, cases[i].spread, ours, random_rows);
		unit_case(&tally, result.residual >= ours * 0.9999 && result.residual < ours * 1.08,
				  "told residual %.4f, true %.4f", result.residual, ours);
		free(plain);
		free(centres);
		free(sample.x);
	}
	unit_tally_report(&tally, "as good as plain k-means, and better where rows form clusters");
}

int
main(void)
{
	pir_dist_init(NULL);
	test_few_values();
	test_zero_vectors();
	test_extremes();
	test_sizes();
	test_properties();
	test_host();
	test_quality();
	return unit_done();
}
