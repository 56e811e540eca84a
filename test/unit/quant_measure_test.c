/*-------------------------------------------------------------------------
 *
 * quant_measure_test.c
 *	  Whether pir_quant_measure() knows which codes find the neighbours, from
 *	  a sample, before there is an index.
 *
 *-------------------------------------------------------------------------
 */
#include "quant_fixture.h"

#define N		4000
#define NSAMPLE	2000
#define DIM		64
#define NEAR	10
#define LOOKED	40

/* N rows in 20 clusters with deviation 1, their centres with deviation 'apart'. */
static float *
clusters(double apart, uint32_t dim, double unit)
{
	float	   *rows = xmalloc(sizeof(float) * N * dim);
	float	   *centres = xmalloc(sizeof(float) * 20 * dim);
	uint64_t	state = 17;

	for (uint32_t i = 0; i < 20 * dim; i++)
		centres[i] = (float) (apart * gaussian(&state));
	for (uint32_t i = 0; i < N; i++)
	{
		for (uint32_t j = 0; j < dim; j++)
			rows[i * dim + j] = (float) (unit * (centres[i % 20 * dim + j] + gaussian(&state)));
	}
	free(centres);
	return rows;
}

static void
mean_of(const float *rows, uint32_t n, uint32_t dim, float *centre)
{
	for (uint32_t j = 0; j < dim; j++)
	{
		double		sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += rows[i * dim + j];
		centre[j] = (float) (sum / n);
	}
}

static PirQuantMeasure
measure(CodeKind code, int metric, const float *sample, uint32_t n, uint32_t dim, double nrows)
{
	float	   *centre = xmalloc(dim * sizeof(float));
	PirQuantSurvey *survey = xmalloc(sizeof(PirQuantSurvey));
	PirQuantMeasure result;
	PirQuantSpec spec;
	Fixture		f;
	void	   *memory;

	mean_of(sample, n, dim, centre);
	spec = make_spec(code, metric, dim, centre);
	f = fixture_make(&spec);
	memory = xmalloc(pir_quant_measure_size(f.quant));
	pir_quant_survey((PirMetric) metric, sample, n, dim, nrows, survey);
	pir_quant_measure(f.quant, survey, sample, memory, &result);
	free(memory);
	fixture_free(&f);
	free(survey);
	free(centre);
	return result;
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/* Share of the NEAR nearest rows that are among the LOOKED best codes. */
static double
recall(CodeKind code, const float *rows, uint32_t dim)
{
	float	   *centre = xmalloc(dim * sizeof(float));
	float	   *exact = xmalloc(N * sizeof(float));
	float	   *estimate = xmalloc(N * sizeof(float));
	float	   *sorted = xmalloc(N * sizeof(float));
	uint8_t    *items;
	PirQuantSpec spec;
	Fixture		f;
	int			hits = 0;

	mean_of(rows, N, dim, centre);
	spec = make_spec(code, PIR_METRIC_L2, dim, centre);
	f = fixture_make(&spec);
	items = xmalloc(N * f.item_size);
	for (uint32_t i = 0; i < N; i++)
		pir_quant_encode(f.quant, rows + i * dim, items + i * f.item_size, f.scratch);
	for (uint32_t q = 0; q < 50; q++)
	{
		PirQuantQuery *query = fixture_query(&f, rows + q * 79 * dim);
		float		far;
		float		bar;

		for (uint32_t i = 0; i < N; i++)
		{
			exact[i] = i == q * 79 ? INFINITY :
				(float) true_distance(PIR_METRIC_L2, rows + q * 79 * dim, rows + i * dim, dim);
			estimate[i] = i == q * 79 ? INFINITY :
				pir_quant_distance(f.quant, query, items + i * f.item_size);
		}
		memcpy(sorted, exact, N * sizeof(float));
		qsort(sorted, N, sizeof(float), compare_floats);
		far = sorted[NEAR - 1];
		memcpy(sorted, estimate, N * sizeof(float));
		qsort(sorted, N, sizeof(float), compare_floats);
		bar = sorted[LOOKED - 1];
		for (uint32_t i = 0; i < N; i++)
			hits += exact[i] <= far && estimate[i] <= bar;
	}
	free(items);
	free(sorted);
	free(estimate);
	free(exact);
	free(centre);
	fixture_free(&f);
	return hits / (50.0 * NEAR);
}

/* Codes said to resolve find the neighbours, and those said not to do not. */
static void
test_prediction(void)
{
	static const double apart[] = {0.5, 3, 10, 30, 100, 300};

	for (int a = 0; a < 6; a++)
	{
		float	   *rows = clusters(apart[a], DIM, 1);

		for (int c = 0; c < NCODES; c++)
		{
			PirQuantMeasure m = measure(vector_codes[c], PIR_METRIC_L2, rows, NSAMPLE, DIM, N);
			double		found = recall(vector_codes[c], rows, DIM);

			if (m.rows <= PIR_QUANT_MAX_ROWS)
				unit_ok(found >= 0.97, "%s, clusters %g apart: resolved (error %.4f, rows %.3g), recall %.3f",
						vector_codes[c].name, apart[a], m.error, m.rows, found);
			else if (m.rows > 10 * PIR_QUANT_MAX_ROWS)
				unit_ok(found < 0.97, "%s, clusters %g apart: not resolved (error %.4f, rows %.3g), recall %.3f",
						vector_codes[c].name, apart[a], m.error, m.rows, found);
			else
				unit_ok(found > 0.7, "%s, clusters %g apart: in between (error %.4f, rows %.3g), recall %.3f",
						vector_codes[c].name, apart[a], m.error, m.rows, found);
		}
		free(rows);
	}
}

static void
test_scale(void)
{
	const CodeKind code = {PIR_QUANT_RABITQ, 4, "rabitq 4"};
	float	   *rows = clusters(5, DIM, 1);
	PirQuantMeasure plain = measure(code, PIR_METRIC_L2, rows, NSAMPLE, DIM, N);
	PirQuantMeasure again = measure(code, PIR_METRIC_L2, rows, NSAMPLE, DIM, N);
	PirQuantMeasure more = measure(code, PIR_METRIC_L2, rows, NSAMPLE, DIM, 1e7);
	PirQuantMeasure ip = measure(code, PIR_METRIC_IP, rows, NSAMPLE, DIM, N);

	unit_ok(memcmp(&plain, &again, sizeof(plain)) == 0, "the same sample gives the same bits");
	unit_ok(more.error > plain.error && more.rows > plain.rows,
			"more rows lie nearer: error %.4f, %.4f; rows %.3g, %.3g", plain.error, more.error, plain.rows, more.rows);
	unit_ok(fabs(ip.error / plain.error - 1) < 0.1, "inner product: error %.4f, L2 %.4f", ip.error, plain.error);
	free(rows);
	for (int e = -12; e <= 12; e += 8)
	{
		float	   *scaled = clusters(5, DIM, pow(10, e));
		PirQuantMeasure m = measure(code, PIR_METRIC_L2, scaled, NSAMPLE, DIM, N);

		unit_ok(fabs(m.error / plain.error - 1) < 0.05, "components near 1e%d: error %.4f as at 1: %.4f", e, m.error, plain.error);
		free(scaled);
	}
}

/* Samples that tell nothing give no verdict, and nothing gives a NaN. */
static void
test_extremes(void)
{
	float	   *rows = clusters(1, DIM, 1);
	const CodeKind code = {PIR_QUANT_RABITQ, 4, "rabitq 4"};
	PirQuantMeasure m;

	m = measure(code, PIR_METRIC_L2, rows, 1, DIM, N);
	unit_ok(m.error == 0 && m.rows == PIR_QUANT_SURVEY_NEAR, "a sample of one row");
	m = measure(code, PIR_METRIC_L2, rows, 2, DIM, N);
	unit_ok(m.error > 0 && isfinite(m.rows), "a sample of two rows: error %.4f, rows %.3g", m.error, m.rows);
	for (uint32_t i = 1; i < N; i++)
		memcpy(rows + i * DIM, rows, DIM * sizeof(float));
	m = measure(code, PIR_METRIC_L2, rows, NSAMPLE, DIM, N);
	unit_ok(m.error == 0 && m.rows == PIR_QUANT_SURVEY_NEAR, "copies of one row");
	free(rows);

	for (int c = 0; c < NCODES; c++)
	{
		for (int metric = PIR_METRIC_L2; metric <= PIR_METRIC_L1; metric++)
		{
			static const double units[] = {1e-40, 1e-20, 1, 1e18, 1e30};
			PirQuantSpec spec = make_spec(vector_codes[c], metric, 3, NULL);
			bool		good = true;

			if (pir_quant_check_spec(&spec) != NULL)
				continue;
			for (int u = 0; u < 5; u++)
			{
				rows = clusters(1000, 3, units[u]);
				m = measure(vector_codes[c], metric, rows, 200, 3, 1e9);
				good = good && isfinite(m.error) && isfinite(m.rows) && m.error >= 0 && m.rows >= PIR_QUANT_SURVEY_NEAR;
				free(rows);
			}
			unit_ok(good, "%s, %s: finite results from tiny to huge components", vector_codes[c].name, metric_names[metric]);
		}
	}
}

int
main(void)
{
	test_prediction();
	test_scale();
	test_extremes();
	return unit_done();
}
