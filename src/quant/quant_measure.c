/*-------------------------------------------------------------------------
 *
 * quant_measure.c
 *	  Do codes of this kind tell near neighbours apart, in this table?
 *
 * Codes are made around one centre, so their error follows from how far rows
 * lie from it; what it has to be compared with is how far near neighbours lie
 * from each other. Where a table consists of clusters much farther apart than
 * they are wide, a code may say which cluster a row belongs to and nothing
 * else. That must be noticed before an index is made of such codes.
 *
 * A survey looks for the nearest neighbours of a hundred rows of a sample, and
 * measures how the number of rows grows with the (search) distance d: as d^g,
 * locally, with the exponent g that gaps between neighbours tell. With it, the
 * distance of the 10th neighbour in the whole table is known also if the
 * sample is so thin that its rows lie farther apart.
 *
 * A measurement encodes made-up rows around each of the hundred, at about that
 * distance and in random directions, and compares the distances of their codes
 * with the true ones. The deviation of the difference, in units of the
 * distance, is the error. What all these rows have in common (the rounding of
 * the query, a bias) does not count, since it changes no order.
 *
 * See README.md, "Do the codes resolve the neighbours?".
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

/* Gaps wider than this lead out of a cluster and say nothing about its inside. */
#define MAX_GAP			2.0

/* Made-up rows lie at so many distances, 0.5 to 1.5 times the one wanted. */
#define NMADE			16

/* Exponents are kept within these bounds: an intrinsic dimension of 2 to 128. */
#define MIN_EXPONENT	1.0
#define MAX_EXPONENT	64.0

/* The exponent assumed if no gap tells: an intrinsic dimension of 20. */
#define USUAL_EXPONENT	10.0

/* SplitMix64 (see quant_rotate.c). */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static double
distance(bool taxicab, const float *a, const float *b, uint32_t dim)
{
	return taxicab ? pir_kernels->l1_f32(a, b, dim) : pir_kernels->l2sq_f32(a, b, dim);
}

/* The nearest rows of a probe, ascending. */
typedef struct Nearest
{
	int			n;
	double		dist[PIR_QUANT_SURVEY_DEPTH];
	uint32_t	row[PIR_QUANT_SURVEY_DEPTH];
} Nearest;

static void
nearest_add(Nearest *nearest, double dist, uint32_t row)
{
	int			i = nearest->n;

	if (i == PIR_QUANT_SURVEY_DEPTH)
	{
		if (dist >= nearest->dist[i - 1])
			return;
		i--;
	}
	else
		nearest->n++;
	for (; i > 0 && nearest->dist[i - 1] > dist; i--)
	{
		nearest->dist[i] = nearest->dist[i - 1];
		nearest->row[i] = nearest->row[i - 1];
	}
	nearest->dist[i] = dist;
	nearest->row[i] = row;
}

void
pir_quant_survey(PirMetric metric, const float *sample, uint32_t n, uint32_t dim, double nrows,
				 PirQuantSurvey *survey)
{
	uint32_t	nprobes = n < PIR_QUANT_SURVEY_PROBES ? n : PIR_QUANT_SURVEY_PROBES;
	double		thinness = nrows > n ? nrows / n : 1;
	double		gaps = 0;
	uint32_t	ngaps = 0;
	int			rank = (int) (PIR_QUANT_SURVEY_NEAR / thinness + 0.5);

	memset(survey, 0, sizeof(*survey));
	survey->taxicab = metric == PIR_METRIC_L1;
	survey->dim = dim;
	if (rank < 1)
		rank = 1;

	for (uint32_t p = 0; p < nprobes; p++)
	{
		uint32_t	at = (uint32_t) ((uint64_t) p * n / nprobes);
		const float *probe = sample + (size_t) at * dim;
		PirQuantProbe *out = &survey->probes[survey->nprobes];
		Nearest		nearest = {0};
		int			which;

		for (uint32_t i = 0; i < n; i++)
		{
			double		d = distance(survey->taxicab, probe, sample + (size_t) i * dim, dim);

			/* copies need no telling apart, and overflow is not measured */
			if (d > 0 && d <= FLT_MAX)
				nearest_add(&nearest, d, i);
		}
		if (nearest.n == 0)
			continue;

		/* in a density of d^g, k log(d_k+1 / d_k) is exponential of mean 1/g */
		for (int k = 1; k < nearest.n; k++)
		{
			double		ratio = nearest.dist[k] / nearest.dist[k - 1];

			if (ratio > MAX_GAP)
				break;
			gaps += k * log(ratio);
			ngaps++;
		}
		which = rank < nearest.n ? rank : nearest.n;
		out->row = at;
		out->neighbour = nearest.row[which - 1];
		out->dist = nearest.dist[which - 1];
		/* rows of the table within that distance, for every one wanted */
		out->excess = which * thinness / PIR_QUANT_SURVEY_NEAR;
		survey->nprobes++;
	}

	survey->exponent = ngaps > 0 ? ngaps / (gaps + 1e-9) : USUAL_EXPONENT;
	if (survey->exponent < MIN_EXPONENT)
		survey->exponent = MIN_EXPONENT;
	if (survey->exponent > MAX_EXPONENT)
		survey->exponent = MAX_EXPONENT;
	for (uint32_t p = 0; p < survey->nprobes; p++)
	{
		PirQuantProbe *probe = &survey->probes[p];

		if (probe->excess > 1)
			probe->dist *= pow(probe->excess, -1 / survey->exponent);
	}
}

/* What measuring carves out of the caller's memory. */
typedef struct Workspace
{
	void	   *query;
	void	   *scratch;
	float	   *made;			/* a made-up row */
	void	   *item;
} Workspace;

static size_t
lay_out(const PirQuant *quant, char *base, Workspace *work)
{
	size_t		offset = 0;

	work->query = base + offset;
	offset += pir_quant_round_up((uint32_t) quant->query_size, PIR_QUANT_ALIGN);
	work->scratch = base + offset;
	offset += pir_quant_round_up((uint32_t) quant->scratch_size, PIR_QUANT_ALIGN);
	work->made = (float *) (base + offset);
	offset += pir_quant_round_up(quant->spec.dim * sizeof(float), PIR_QUANT_ALIGN);
	work->item = base + offset;
	return offset + quant->item_size;
}

size_t
pir_quant_measure_size(const PirQuant *quant)
{
	Workspace	work;

	return PIR_QUANT_ALIGN + lay_out(quant, NULL, &work);
}

/* Error at one probe, in units of the distance. */
static double
probe_error(const PirQuant *quant, bool taxicab, const float *base, const float *neighbour,
			double dist, uint64_t seed, Workspace *work)
{
	uint32_t	dim = quant->spec.dim;
	float	   *made = work->made;
	PirQuantQuery *query = pir_quant_prepare_query(quant, base, work->query, work->scratch);
	double		length = distance(taxicab, base, neighbour, dim);
	double		sum = 0;
	double		squares = 0;

	for (int m = 0; m < NMADE; m++)
	{
		double		wanted = dist * (0.5 + (m + 0.5) / NMADE);
		float		factor = (float) (taxicab ? wanted / length : sqrt(wanted / length));
		uint32_t	shift = (uint32_t) (next_random(&seed) % dim);
		uint64_t	signs = 0;
		double		error;

		/* the difference to the neighbour, its components moved and their signs changed */
		for (uint32_t i = 0; i < dim; i++)
		{
			uint32_t	from = i + shift < dim ? i + shift : i + shift - dim;
			float		step = factor * (neighbour[from] - base[from]);

			if (i % 64 == 0)
				signs = next_random(&seed);
			made[i] = base[i] + (signs & 1 ? step : -step);
			signs >>= 1;
		}
		pir_quant_encode(quant, made, work->item, work->scratch);
		error = pir_quant_distance(quant, query, work->item);
		if (quant->spec.metric == PIR_METRIC_IP)
			error = 2 * (error + pir_kernels->dot_f32(base, made, dim));
		else
			error -= distance(taxicab, base, made, dim);
		error /= dist;
		if (!isfinite(error))
			error = 0;
		sum += error;
		squares += error * error;
	}
	squares -= sum * sum / NMADE;
	return squares > 0 ? sqrt(squares / (NMADE - 1)) : 0;
}

static void
sort_values(double *values, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
	{
		double		v = values[i];
		uint32_t	j = i;

		for (; j > 0 && values[j - 1] > v; j--)
			values[j] = values[j - 1];
		values[j] = v;
	}
}

void
pir_quant_measure(const PirQuant *quant, const PirQuantSurvey *survey, const float *sample,
				  void *memory, PirQuantMeasure *result)
{
	size_t		dim = quant->spec.dim;
	double		errors[PIR_QUANT_SURVEY_PROBES];
	Workspace	work;

	result->error = 0;
	result->rows = PIR_QUANT_SURVEY_NEAR;
	if (survey->nprobes == 0 || pir_quant_is_exact(quant))
		return;

	lay_out(quant, pir_quant_align(memory), &work);
	for (uint32_t p = 0; p < survey->nprobes; p++)
	{
		const PirQuantProbe *probe = &survey->probes[p];

		errors[p] = probe_error(quant, survey->taxicab, sample + probe->row * dim,
								sample + probe->neighbour * dim, probe->dist, p, &work);
	}
	sort_values(errors, survey->nprobes);
	result->error = (float) errors[survey->nprobes / 2];
	result->rows = pir_quant_clamp_float(PIR_QUANT_SURVEY_NEAR *
										 pow(1 + PIR_QUANT_EPS * errors[survey->nprobes * 9 / 10],
											 survey->exponent));
}
