/*-------------------------------------------------------------------------
 *
 * quant_estimate_test.c
 *	  How good the estimates of quant/ are: unbiased, with a calibrated error
 *	  unit, and good enough to find neighbours. On generated vectors and on
 *	  the sample of test/data.
 *
 * All random numbers have fixed seeds, so a limit is either met for good or
 * not at all; the measured value is in each line of output, and limits leave
 * room for another choice of seeds.
 *
 *-------------------------------------------------------------------------
 */
#include "quant_fixture.h"

typedef struct Dataset
{
	const char *name;
	uint32_t	dim;
	int			n;
	int			nqueries;
	float	   *base;			/* n x dim */
	float	   *queries;		/* nqueries x dim */
	float	   *centre;			/* mean of base */
} Dataset;

/* What estimates of one code were like, in units of pir_quant_error(). */
typedef struct Calibration
{
	double		mean;
	double		deviation;
	double		above;			/* share of estimates more than PIR_QUANT_EPS units too large */
	double		below;			/* ... too small */
	double		beyond;			/* share off by more than PIR_QUANT_EPS_SURE */
} Calibration;

static void
dataset_centre(Dataset *set)
{
	set->centre = xmalloc(set->dim * sizeof(float));
	for (uint32_t j = 0; j < set->dim; j++)
	{
		double		sum = 0;

		for (int i = 0; i < set->n; i++)
			sum += set->base[(size_t) i * set->dim + j];
		set->centre[j] = (float) (sum / set->n);
	}
}

static void
dataset_free(Dataset *set)
{
	free(set->base);
	free(set->queries);
	free(set->centre);
}

/* Unit vectors around ten cluster centres, with a common offset. */
static Dataset
generated(const char *name, uint32_t dim, int n, int nqueries)
{
	Dataset		set = {name, dim, n, nqueries, NULL, NULL, NULL};
	uint64_t	state = 1 + dim;
	float	   *clusters = xmalloc(10 * dim * sizeof(float));

	set.base = xmalloc((size_t) n * dim * sizeof(float));
	set.queries = xmalloc((size_t) nqueries * dim * sizeof(float));
	for (uint32_t i = 0; i < 10 * dim; i++)
		clusters[i] = (float) gaussian(&state) + 0.5f;
	for (int i = 0; i < n + nqueries; i++)
	{
		float	   *x = i < n ? set.base + (size_t) i * dim : set.queries + (size_t) (i - n) * dim;

		for (uint32_t j = 0; j < dim; j++)
			x[j] = clusters[(i % 10) * dim + j] + (float) gaussian(&state);
		normalise(x, dim);
	}
	free(clusters);
	dataset_centre(&set);
	return set;
}

/* Big-endian integers of PostgreSQL's binary COPY format; -2 at the end of the file. */
static int32_t
read_int(FILE *file, int nbytes)
{
	uint32_t	value = 0;

	for (int i = 0; i < nbytes; i++)
	{
		int			c = getc(file);

		if (c == EOF)
			return -2;
		value = value << 8 | (uint32_t) c;
	}
	return nbytes == 2 ? (int16_t) value : (int32_t) value;
}

/*
 * Up to 'n' embeddings of a file of the sample: the fifth column, a halfvec
 * (dimensions, two unused bytes, half floats). NULL if it cannot be read.
 */
static float *
read_sample(const char *file_name, int *n, uint32_t *dim)
{
	char		here[1024] = __FILE__;
	char		command[2200];
	char	   *slash = strrchr(here, '/');
	float	   *out = NULL;
	int			count = 0;
	FILE	   *file;

	if (slash != NULL)
		*slash = '\0';
	snprintf(command, sizeof(command), "gzip -dc '%s/../data/%s' 2>/dev/null", slash == NULL ? "." : here, file_name);
	file = popen(command, "r");
	if (file == NULL)
		return NULL;
	for (int i = 0; i < 19; i++)	/* signature, flags, length of the extension (0) */
		(void) getc(file);
	while (count < *n)
	{
		int			ncolumns = read_int(file, 2);

		if (ncolumns < 5)
			break;
		for (int column = 0; column < ncolumns; column++)
		{
			int32_t		length = read_int(file, 4);

			if (column != 4)
			{
				for (int32_t i = 0; i < length; i++)
					(void) getc(file);
				continue;
			}
			*dim = (uint32_t) read_int(file, 2);
			(void) read_int(file, 2);
			if (out == NULL)
				out = xmalloc((size_t) *n * *dim * sizeof(float));
			for (uint32_t i = 0; i < *dim; i++)
				out[(size_t) count * *dim + i] = pir_half_to_float((PirHalf) read_int(file, 2));
		}
		count++;
	}

	/* drain, so that gzip does not complain of a closed pipe */
	while (getc(file) != EOF)
		;
	pclose(file);
	*n = count;
	return out;
}

static Calibration
calibrate(const Dataset *set, int n, const PirQuantSpec *spec)
{
	Fixture		f = fixture_make(spec);
	char	   *items = xmalloc(n * f.item_size);
	Calibration result = {0, 0, 0, 0, 0};
	double		count = (double) n * set->nqueries;

	for (int i = 0; i < n; i++)
		pir_quant_encode(f.quant, set->base + (size_t) i * set->dim, items + i * f.item_size, f.scratch);
	for (int k = 0; k < set->nqueries; k++)
	{
		const float *q = set->queries + (size_t) k * set->dim;
		PirQuantQuery *query = fixture_query(&f, q);

		for (int i = 0; i < n; i++)
		{
			const void *item = items + i * f.item_size;
			float		dist = pir_quant_distance(f.quant, query, item);
			double		unit = pir_quant_error(f.quant, query, item, dist);
			double		truth = true_distance(spec->metric, set->base + (size_t) i * set->dim, q, set->dim);
			double		off = dist - truth;

			/* an exact item may say so, and be off by float rounding */
			off = unit > 0 ? off / unit : fabs(off) < 1e-5 * (1 + fabs(truth)) ? 0 : INFINITY;
			result.mean += off / count;
			result.deviation += off * off / count;
			result.above += (off > PIR_QUANT_EPS) / count;
			result.below += (off < -PIR_QUANT_EPS) / count;
			result.beyond += (fabs(off) > PIR_QUANT_EPS_SURE) / count;
		}
	}
	result.deviation = sqrt(result.deviation);
	free(items);
	fixture_free(&f);
	return result;
}

/*
 * The unit is one standard deviation, so that EPS units are exceeded in 0.6 %
 * of all cases on either side and EPS_SURE units in next to none.
 */
static void
test_calibration(const Dataset *set, int n)
{
	for (int c = 2; c < NCODES; c++)
	{
		for (int metric = PIR_METRIC_L2; metric <= PIR_METRIC_L1; metric++)
		{
			for (int centred = 0; centred < 2; centred++)
			{
				PirQuantSpec spec = make_spec(vector_codes[c], metric, set->dim, centred ? set->centre : NULL);
				Calibration k;

				if (pir_quant_check_spec(&spec) != NULL || spec.quantizer == PIR_QUANT_BF16 ||
					(centred && metric == PIR_METRIC_L1) || (!centred && metric == PIR_METRIC_COSINE))
					continue;
				if (metric == PIR_METRIC_L1)
				{
					float	   *low = xmalloc(n * sizeof(float));
					float	   *high = xmalloc(n * sizeof(float));

					for (int i = 0; i < n; i++)
					{
						low[i] = high[i] = set->base[(size_t) i * set->dim];
						for (uint32_t j = 1; j < set->dim; j++)
						{
							low[i] = fminf(low[i], set->base[(size_t) i * set->dim + j]);
							high[i] = fmaxf(high[i], set->base[(size_t) i * set->dim + j]);
						}
					}
					pir_quant_train_l1(low, high, (uint32_t) n, &spec.scale, &spec.offset);
					free(low);
					free(high);
				}
				k = calibrate(set, n, &spec);
				if (spec.quantizer == PIR_QUANT_BQ)
				{
					/* wider for the sake of near rows, and biased without a centre */
					unit_ok(fabs(k.mean) < 0.3 && k.deviation > 0.4 && k.deviation < 1 &&
							k.above < 0.006 && k.below < 0.006 && k.beyond < 1e-3,
							"%s, bq, %s%s: error %+.3f +- %.3f units, beyond %.1f units %.2f %% and %.2f %%, beyond %.0f %.4f %%",
							set->name, metric_names[metric], centred ? ", centred" : "",
							k.mean, k.deviation, PIR_QUANT_EPS, 100 * k.above, 100 * k.below,
							PIR_QUANT_EPS_SURE, 100 * k.beyond);
					continue;
				}
				unit_ok(fabs(k.mean) < 0.15 && k.deviation > 0.85 && k.deviation < 1.12 &&
						k.above < 0.012 && k.below < 0.012 && k.beyond < 1e-4,
						"%s, %s, %s%s: error %+.3f +- %.3f units, beyond %.1f units %.2f %% and %.2f %%, beyond %.0f %.4f %%",
						set->name, vector_codes[c].name, metric_names[metric], centred ? ", centred" : "",
						k.mean, k.deviation, PIR_QUANT_EPS, 100 * k.above, 100 * k.below,
						PIR_QUANT_EPS_SURE, 100 * k.beyond);
			}
		}
	}
}

/*
 * Half floats: the unit bounds the deviation for any data, so it is wider
 * than one; the error must stay inside.
 */
static void
test_half(const Dataset *set)
{
	Dataset		set32 = *set;

	/* the sample is half floats already: scale it to something that is not */
	set32.base = xmalloc((size_t) set->n * set->dim * sizeof(float));
	for (size_t i = 0; i < (size_t) set->n * set->dim; i++)
		set32.base[i] = set->base[i] * 1.2345f;
	for (int metric = PIR_METRIC_L2; metric <= PIR_METRIC_L1; metric++)
	{
		PirQuantSpec spec = make_spec(vector_codes[1], metric, set->dim, NULL);
		Calibration k = calibrate(&set32, set->n < 500 ? set->n : 500, &spec);

		unit_ok(fabs(k.mean) < 0.1 && k.deviation > 0.1 && k.deviation < 1.1 && k.beyond == 0,
				"%s, half, %s: error %+.3f +- %.3f units", set->name, metric_names[metric], k.mean, k.deviation);
		spec = make_spec(vector_codes[7], metric, set->dim, NULL);
		k = calibrate(&set32, set->n < 500 ? set->n : 500, &spec);
		/* L1 of rows nearer than what rounding moves them errs to one side */
		unit_ok(fabs(k.mean) < 0.1 && k.deviation > 0.1 && k.deviation < 1.1 &&
				k.beyond <= (metric == PIR_METRIC_L1 ? 1e-3 : 0),
				"%s, bf16, %s: error %+.3f +- %.3f units, beyond 5 %.4f %%", set->name, metric_names[metric],
				k.mean, k.deviation, 100 * k.beyond);
	}
	free(set32.base);
}

/*
 * Vectors with structure that would show as an error of preferred direction if
 * nothing were done about it: the unit may be too wide, not too narrow.
 */
static void
test_structured(void)
{
	static const char *const names[] = {"one component differs", "few huge, many tiny", "one in ten not zero", "integers"};
	static const uint32_t sizes[] = {8, 100, 784};

	for (int kind = 0; kind < 4; kind++)
	{
		for (int code = 0; code < 3; code++)
		{
			/* sq8, sq8 with L1, 4 bits */
			CodeKind	which = vector_codes[code == 2 ? 5 : 2];
			Calibration worst = {0, 0, 0, 0, 0};

			for (int s = 0; s < 3; s++)
			{
				uint64_t	state = 77 + kind;
				Dataset		set = {"", sizes[s], 120, 20, NULL, NULL, NULL};
				PirQuantSpec spec = make_spec(which, code == 1 ? PIR_METRIC_L1 : PIR_METRIC_L2, sizes[s], NULL);
				float		low[120];
				float		high[120];
				Calibration k;

				set.base = xmalloc((size_t) set.n * set.dim * sizeof(float));
				set.queries = xmalloc((size_t) set.nqueries * set.dim * sizeof(float));
				for (int i = 0; i < set.n + set.nqueries; i++)
				{
					float	   *x = i < set.n ? set.base + (size_t) i * set.dim : set.queries + (size_t) (i - set.n) * set.dim;

					for (uint32_t j = 0; j < set.dim; j++)
					{
						double		g = gaussian(&state);

						x[j] = (float) (kind == 0 ? 1 + (j == 0 ? g : 0) :
										kind == 1 ? exp(2 * g) :
										kind == 2 ? (unit_uniform(&state) < 0.1 ? fabs(g) : 0) : rint(3 * g));
						if (i < set.n)
						{
							low[i] = j == 0 ? x[j] : fminf(low[i], x[j]);
							high[i] = j == 0 ? x[j] : fmaxf(high[i], x[j]);
						}
					}
				}
				if (code == 1)
					pir_quant_train_l1(low, high, (uint32_t) set.n, &spec.scale, &spec.offset);
				k = calibrate(&set, set.n, &spec);
				worst.deviation = fmax(worst.deviation, k.deviation);
				worst.above = fmax(worst.above, k.above + k.below);
				worst.beyond = fmax(worst.beyond, k.beyond);
				dataset_free(&set);
			}
			unit_ok(worst.deviation < 1.25 && worst.above < 0.04 && worst.beyond == 0,
					"%s, %s%s: at worst %.2f units, %.2f %% beyond %.1f, %.4f %% beyond %.0f", names[kind], which.name,
					code == 1 ? " with L1" : "", worst.deviation, 100 * worst.above, PIR_QUANT_EPS,
					100 * worst.beyond, PIR_QUANT_EPS_SURE);
		}
	}
}

/* Over many rotations, the mean of the estimates of one pair is its distance. */
static void
test_unbiased(void)
{
	static const uint32_t sizes[] = {32, 100, 192};
	static const double most_related[] = {0, 0, 0, 0, 0.9, 0.4, 0.2, 0, 0};
	const int	nseeds = 400;

	for (int c = 0; c < NCODES; c++)
	{
		double		worst = 0;
		double		worst_pair = 0;
		double		related = 0;

		if (vector_codes[c].quantizer != PIR_QUANT_RABITQ)
			continue;
		for (int s = 0; s < 3; s++)
		{
			for (int pair = 0; pair < 6; pair++)
			{
				uint32_t	dim = sizes[s];
				uint64_t	state = 50 + pair;
				float	   *x = xmalloc(dim * sizeof(float));
				float	   *q = xmalloc(dim * sizeof(float));
				int			metric = pair % 2 == 0 ? PIR_METRIC_L2 : PIR_METRIC_IP;
				PirQuantSpec spec = make_spec(vector_codes[c], metric, dim, NULL);
				double		sum[2] = {0, 0};
				double		squares[2] = {0, 0};
				double		truth;

				/* unrelated, related, and sparse vectors */
				for (uint32_t j = 0; j < dim; j++)
				{
					x[j] = (float) gaussian(&state);
					q[j] = (float) gaussian(&state) * 0.5f + (pair / 2 == 1 ? x[j] : 0);
					if (pair / 2 == 2 && j >= 3)
						x[j] = 0;
				}
				truth = true_distance(metric, x, q, dim);
				for (int seed = 0; seed < nseeds; seed++)
				{
					Fixture		f;
					void	   *item;
					void	   *other;
					double		off[2];

					spec.seed = (uint64_t) seed * 977 + 1;
					f = fixture_make(&spec);
					item = fixture_encode(&f, x);
					other = fixture_encode(&f, q);
					off[0] = pir_quant_distance(f.quant, fixture_query(&f, q), item) - truth;
					off[1] = pir_quant_code_distance(f.quant, item, other) - truth;
					for (int i = 0; i < 2; i++)
					{
						sum[i] += off[i];
						squares[i] += off[i] * off[i];
					}
					free(item);
					free(other);
					fixture_free(&f);
				}
				worst = fmax(worst, fabs(sum[0]) / sqrt(squares[0]));
				if (pair / 2 == 1)
					related = fmax(related, fabs(sum[1]) / sqrt(squares[1] * nseeds));
				else
					worst_pair = fmax(worst_pair, fabs(sum[1]) / sqrt(squares[1]));
				free(x);
				free(q);
			}
		}

		/* the sum of n errors deviates by the root of the sum of their squares */
		unit_ok(worst < 4, "%s: estimates are unbiased over %d rotations (%.2f deviations)", vector_codes[c].name, nseeds, worst);
		unit_ok(worst_pair < 4, "%s: so are those of two items (%.2f deviations)", vector_codes[c].name, worst_pair);

		/* the codes of similar vectors err alike (here their cosine is 0.9), all of it at 1 bit */
		if (vector_codes[c].bits > 1)
			unit_ok(related < most_related[c], "%s: but of two that are alike by %.2f deviations of one estimate (at most %.1f)",
					vector_codes[c].name, related, most_related[c]);
	}
}

typedef struct Hit
{
	double		key;
	double		exact;
} Hit;

static int
compare_hits(const void *a, const void *b)
{
	double		x = ((const Hit *) a)->key;
	double		y = ((const Hit *) b)->key;

	return (x > y) - (x < y);
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

#define K		10

/*
 * Search all codes, then look at exact distances in the order of lower bounds
 * until the K-th best of them is below the next bound. Recall@K, the rows so
 * looked at, and the recall of the K best estimates as they are.
 */
static void
test_recall(const Dataset *set, int metric)
{
	/* least recall as it is; least recall and most rows (median) with bounds */
	static const double least_plain[] = {0.9999, 0.999, 0.985, 0.55, 0.75, 0.92, 0.985, 0.99, 0.5};
	static const int most_rows[] = {10, 11, 12, 90, 30, 16, 12, 12, 400};

	double	   *exact = xmalloc((size_t) set->n * set->nqueries * sizeof(double));
	double	   *cut = xmalloc(set->nqueries * sizeof(double));
	Hit		   *hits = xmalloc(set->n * sizeof(Hit));

	for (int k = 0; k < set->nqueries; k++)
	{
		double	   *row = exact + (size_t) k * set->n;

		for (int i = 0; i < set->n; i++)
		{
			row[i] = true_distance(metric, set->base + (size_t) i * set->dim, set->queries + (size_t) k * set->dim, set->dim);
			hits[i].key = row[i];
		}
		qsort(hits, set->n, sizeof(Hit), compare_hits);
		cut[k] = hits[K - 1].key;
	}

	for (int c = 0; c < NCODES; c++)
	{
		PirQuantSpec spec = make_spec(vector_codes[c], metric, set->dim, set->centre);
		Fixture		f = fixture_make(&spec);
		char	   *items = xmalloc(set->n * f.item_size);
		const void **pointers = xmalloc(set->n * sizeof(void *));
		float	   *dist = xmalloc(set->n * sizeof(float));
		double	   *rows = xmalloc(set->nqueries * sizeof(double));
		double		plain = 0;
		double		bounded = 0;

		for (int i = 0; i < set->n; i++)
		{
			pir_quant_encode(f.quant, set->base + (size_t) i * set->dim, items + i * f.item_size, f.scratch);
			pointers[i] = items + i * f.item_size;
		}
		for (int k = 0; k < set->nqueries; k++)
		{
			PirQuantQuery *query = fixture_query(&f, set->queries + (size_t) k * set->dim);
			double		best[K];
			int			nbest = 0;
			int			looked = 0;
			double		slack = 1e-6 * (1 + fabs(cut[k]));

			pir_quant_distance_many(f.quant, query, pointers, set->n, dist);
			for (int i = 0; i < set->n; i++)
				hits[i] = (Hit) {dist[i], exact[(size_t) k * set->n + i]};
			qsort(hits, set->n, sizeof(Hit), compare_hits);
			for (int i = 0; i < K; i++)
				plain += hits[i].exact <= cut[k] + slack;

			for (int i = 0; i < set->n; i++)
				hits[i] = (Hit) {dist[i] - PIR_QUANT_EPS * pir_quant_error(f.quant, query, pointers[i], dist[i]), exact[(size_t) k * set->n + i]};
			qsort(hits, set->n, sizeof(Hit), compare_hits);
			while (looked < set->n && (nbest < K || hits[looked].key < best[K - 1]))
			{
				double		d = hits[looked++].exact;
				int			at;

				if (nbest == K && d >= best[K - 1])
					continue;
				at = nbest < K ? nbest++ : K - 1;
				while (at > 0 && best[at - 1] > d)
				{
					best[at] = best[at - 1];
					at--;
				}
				best[at] = d;
			}
			for (int i = 0; i < K; i++)
				bounded += best[i] <= cut[k] + slack;
			rows[k] = looked;
		}
		plain /= K * set->nqueries;
		bounded /= K * set->nqueries;
		qsort(rows, set->nqueries, sizeof(double), compare_doubles);
		unit_ok(plain >= least_plain[c], "%s, %s, %s: recall@%d of the estimates %.4f (at least %.4f)",
				set->name, metric_names[metric], vector_codes[c].name, K, plain, least_plain[c]);
		unit_ok(bounded >= 0.995 && rows[set->nqueries / 2] <= most_rows[c],
				"%s, %s, %s: recall@%d with bounds %.4f for %.0f rows (95 %%: %.0f; median at most %d)",
				set->name, metric_names[metric], vector_codes[c].name, K, bounded,
				rows[set->nqueries / 2], rows[set->nqueries * 95 / 100], most_rows[c]);
		free(items);
		free(pointers);
		free(dist);
		free(rows);
		fixture_free(&f);
	}
	free(exact);
	free(cut);
	free(hits);
}

int
main(void)
{
	static const uint32_t sizes[] = {64, 100, 784};
	Dataset		sample = {"sample", 0, 8000, 40, NULL, NULL, NULL};

	pir_dist_init(NULL);
	test_unbiased();
	test_structured();
	for (int s = 0; s < 3; s++)
	{
		char		name[32];
		Dataset		set;

		snprintf(name, sizeof(name), "%u dims", sizes[s]);
		set = generated(name, sizes[s], 500, 30);
		test_calibration(&set, set.n);
		test_half(&set);
		dataset_free(&set);
	}

	sample.base = read_sample("glosses.copy.gz", &sample.n, &sample.dim);
	sample.queries = read_sample("questions.copy.gz", &sample.nqueries, &sample.dim);
	if (sample.base == NULL || sample.queries == NULL)
		unit_skip("calibration and recall on test/data: cannot read it");
	else
	{
		unit_ok(sample.n == 8000 && sample.nqueries == 40 && sample.dim == 512, "the sample: %d x %u, %d questions",
				sample.n, sample.dim, sample.nqueries);
		dataset_centre(&sample);
		test_calibration(&sample, 1000);
		test_half(&sample);
		test_recall(&sample, PIR_METRIC_COSINE);
		test_recall(&sample, PIR_METRIC_IP);
		dataset_free(&sample);
	}
	return unit_done();
}
