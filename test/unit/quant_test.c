/*-------------------------------------------------------------------------
 *
 * quant_test.c
 *	  What quant.h promises of every quantizer: sizes, round trips, distances
 *	  of queries and of items, extreme input, the bytes on disk.
 *
 * How good the estimates are is the business of quant_estimate_test.c.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>

#include "quant/quant_internal.h"
#include "quant_fixture.h"
#include "quant_golden.h"

static const uint32_t dims[] = {1, 3, 63, 64, 65, 100, 784, 1536, 16000};

#define NDIMS	((int) (sizeof(dims) / sizeof(dims[0])))

static float *
random_vector(uint64_t *state, uint32_t dim)
{
	float	   *x = xmalloc(dim * sizeof(float));

	for (uint32_t i = 0; i < dim; i++)
		x[i] = (float) gaussian(state);
	return x;
}

static double
inner(const float *a, const float *b, const float *centre, uint32_t dim)
{
	double		sum = 0;

	for (uint32_t i = 0; i < dim; i++)
	{
		double		c = centre == NULL ? 0 : centre[i];

		sum += (a[i] - c) * (b[i] - c);
	}
	return sum;
}

/* F_a F_b <y_a, y_b> of two items of factored form, from their elements. */
static double
inner_of_items(const PirQuant *quant, const uint8_t *a, const uint8_t *b)
{
	uint32_t	n = quant->padded;
	/* what bq has behind the last dimension stands for nothing */
	uint32_t	coded = quant->spec.quantizer == PIR_QUANT_BQ ? quant->spec.dim : n;
	uint8_t    *u = xmalloc(2 * n);
	double		sum = 0;

	pir_dist_unpack(a + 12, u, n, quant->spec.bits);
	pir_dist_unpack(b + 12, u + n, n, quant->spec.bits);
	for (uint32_t i = 0; i < coded; i++)
		sum += (u[i] - 0.5 * quant->zero2) * (u[n + i] - 0.5 * quant->zero2);
	free(u);
	return sum * pir_quant_factor(a, 1) * pir_quant_factor(b, 1);
}

static void
test_specs(void)
{
	/* metrics a quantizer serves, one bit each */
	static const int serves[] = {0x0f, 0x0f, 0x0f, 0x07, 0x30, 0x0f, 0x07};
	int			wrong = 0;

	for (int id = 0; id < 7; id++)
	{
		for (int metric = 0; metric < PIR_NMETRICS + 2; metric++)
		{
			for (int bits = 0; bits <= 64; bits++)
			{
				PirQuantSpec spec = make_spec((CodeKind) {id, bits, ""}, metric, 8, NULL);
				bool		bits_ok = (id == PIR_QUANT_NONE && bits == 32) ||
					(id == PIR_QUANT_HALF && bits == 16) ||
					(id == PIR_QUANT_SQ8 && bits == 8) ||
					(id == PIR_QUANT_RABITQ && (bits == 1 || bits == 2 || bits == 4 || bits == 8)) ||
					(id == PIR_QUANT_BF16 && bits == 16) ||
					((id == PIR_QUANT_BITS || id == PIR_QUANT_BQ) && bits == 1);
				bool		ok = bits_ok && metric < PIR_NMETRICS && (serves[id] >> metric & 1);

				if ((pir_quant_check_spec(&spec) == NULL) != ok)
					wrong++;
			}
		}
	}
	unit_ok(wrong == 0, "each quantizer accepts exactly its metrics and bits (%d wrong)", wrong);

	wrong = 0;
	for (int id = 0; id < 7; id++)
	{
		static const int bits[] = {32, 16, 8, 4, 1, 16, 1};
		uint32_t	limit = id == PIR_QUANT_BITS ? 1048576 : 16000;
		PirQuantSpec spec = make_spec((CodeKind) {id, bits[id], ""}, id == PIR_QUANT_BITS ? PIR_METRIC_HAMMING : PIR_METRIC_L2, 0, NULL);

		wrong += pir_quant_check_spec(&spec) == NULL;
		spec.dim = 1;
		wrong += pir_quant_check_spec(&spec) != NULL;
		spec.dim = limit;
		wrong += pir_quant_check_spec(&spec) != NULL;
		spec.dim = limit + 1;
		wrong += pir_quant_check_spec(&spec) == NULL;
		wrong += pir_quant_id_by_name(pir_quant_name(id)) != id;
	}
	unit_ok(wrong == 0, "dimensions from 1 to the limit, names and ids agree (%d wrong)", wrong);
	unit_ok(pir_quant_id_by_name("pq") == -1 && pir_quant_id_by_name("") == -1 &&
			pir_quant_name(-1) == NULL && pir_quant_name(7) == NULL, "unknown names and ids");

	{
		PirQuantSpec spec = make_spec(vector_codes[2], PIR_METRIC_L1, 8, NULL);

		wrong = 0;
		spec.scale = 0;
		wrong += pir_quant_check_spec(&spec) == NULL;
		spec.scale = NAN;
		wrong += pir_quant_check_spec(&spec) == NULL;
		spec.scale = INFINITY;
		wrong += pir_quant_check_spec(&spec) == NULL;
		spec.scale = 1;
		spec.offset = NAN;
		wrong += pir_quant_check_spec(&spec) == NULL;
		spec.quantizer = 77;
		wrong += pir_quant_check_spec(&spec) == NULL;
		unit_ok(wrong == 0, "bad scale, offset and quantizer are named");
	}
}

static void
test_sizes(void)
{
	int			wrong = 0;
	int			dirty = 0;

	for (int c = 0; c < NCODES; c++)
	{
		for (int metric = 0; metric <= PIR_METRIC_L1; metric++)
		{
			for (int d = 0; d < NDIMS; d++)
			{
				PirQuantSpec spec = make_spec(vector_codes[c], metric, dims[d], NULL);
				uint32_t	padded = (dims[d] + 63) / 64 * 64;
				uint64_t	state = 7;
				Fixture		f;
				float	   *x;
				char	   *item[2];
				size_t		expected;

				if (pir_quant_check_spec(&spec) != NULL)
					continue;
				f = fixture_make(&spec);
				if (spec.quantizer == PIR_QUANT_NONE)
					expected = 4 * dims[d];
				else if (spec.quantizer == PIR_QUANT_HALF || spec.quantizer == PIR_QUANT_BF16)
					expected = 8 + (2 * dims[d] + 3) / 4 * 4;
				else if (metric == PIR_METRIC_L1)
					expected = 4 + (dims[d] + 3) / 4 * 4;
				else
					expected = 12 + padded * spec.bits / 8;
				wrong += f.item_size != expected || f.item_size % 4 != 0;

				/* all bytes of an item are written, whatever was there */
				x = random_vector(&state, dims[d]);
				for (int i = 0; i < 2; i++)
				{
					item[i] = xmalloc(f.item_size);
					memset(item[i], i == 0 ? 0x00 : 0xff, f.item_size);
					memset(f.scratch, i == 0 ? 0xff : 0x55, pir_quant_scratch_size(f.quant));
					pir_quant_encode(f.quant, x, item[i], f.scratch);
				}
				dirty += memcmp(item[0], item[1], f.item_size) != 0;
				free(item[0]);
				free(item[1]);
				free(x);
				fixture_free(&f);
			}
		}
	}
	unit_ok(wrong == 0, "item sizes are as documented (%d wrong)", wrong);
	unit_ok(dirty == 0, "encoding writes every byte and depends on the vector alone (%d wrong)", dirty);
}

static void
test_rotation(void)
{
	double		worst_norm = 0;
	double		worst_dot = 0;
	double		worst_inverse = 0;
	double		worst_spread = 0;
	double		worst_one = 0;
	uint8_t		signs[8 * PIR_QUANT_ROUNDS];

	/* the first outputs of SplitMix64 from 0, as published */
	pir_quant_make_signs(0, 64, signs);
	unit_ok(memcmp(signs, "\xaf\xcd\x1d\x7b\x39\xa8\x20\xe2" "\xf4\x65\xb9\xa1\x6a\x9e\x78\x6e"
				   "\x4f\x45\x09\x80\x18\x5d\xc4\x06" "\xec\x81\x4c\x72\xa8\xb8\x8b\xf8", sizeof(signs)) == 0,
			"signs of seed 0 are the outputs of SplitMix64, least significant bit first");

	for (int d = 0; d < NDIMS; d++)
	{
		uint32_t	n = (dims[d] + 63) / 64 * 64;
		uint8_t    *s = xmalloc(pir_quant_sign_bytes(n));
		uint64_t	state = 11 + d;
		float	   *x = random_vector(&state, n);
		float	   *y = random_vector(&state, n);
		float	   *x2 = xmalloc(n * sizeof(float));
		double		norm = sqrt(inner(x, x, NULL, n));
		double		error = 0;
		double		fourth = 0;

		pir_quant_make_signs(99 + d, n, s);
		memcpy(x2, x, n * sizeof(float));
		pir_quant_rotate(s, x2, n);
		worst_norm = fmax(worst_norm, fabs(sqrt(inner(x2, x2, NULL, n)) / norm - 1));
		{
			double		before = inner(x, y, NULL, n);
			double		norm_y = sqrt(inner(y, y, NULL, n));

			pir_quant_rotate(s, y, n);
			worst_dot = fmax(worst_dot, fabs(inner(x2, y, NULL, n) - before) / (norm * norm_y));
		}
		pir_quant_unrotate(s, x2, n);
		for (uint32_t i = 0; i < n; i++)
			error += (x2[i] - x[i]) * (x2[i] - x[i]);
		worst_inverse = fmax(worst_inverse, sqrt(error) / norm);

		/*
		 * Unit vectors become nearly Gaussian, n * sum of fourth powers near
		 * 3: averaged over 32 of them, and at the worst for each.
		 */
		for (int k = 0; k < 32; k++)
		{
			double		one = 0;

			memset(x2, 0, n * sizeof(float));
			x2[(uint32_t) k * (n - 1) / 31] = 1;
			pir_quant_rotate(s, x2, n);
			for (uint32_t i = 0; i < n; i++)
				one += (double) x2[i] * x2[i] * x2[i] * x2[i];
			fourth += one;
			if (n > 128)
				worst_one = fmax(worst_one, one * n);
		}
		worst_spread = fmax(worst_spread, fabs(fourth / 32 * n - 3));
		free(s);
		free(x);
		free(y);
		free(x2);
	}
	unit_ok(worst_norm < 1e-6 && worst_dot < 1e-6, "rotation keeps lengths and angles (%.1e, %.1e)", worst_norm, worst_dot);
	unit_ok(worst_inverse < 1e-6, "rotation back (%.1e)", worst_inverse);
	unit_ok(worst_spread < 0.6 && worst_one < 4, "unit vectors are spread evenly (fourth moment 3 +- %.2f, at most %.2f)",
			worst_spread, worst_one);
}

/*
 * What decoding loses, relative to the distance from the centre. Limits about
 * a tenth around the theory for Gaussian vectors, tan(acos(cosine of README)).
 */
static void
test_round_trip(void)
{
	static const double expected[] = {0, 1.45e-4, 7.5e-3, 0.755, 0.367, 0.108, 7.7e-3, 1.16e-3, 0.755};

	/* what is lost in padding dimensions does not show: at 784 and 65 to 100 less is seen */
	for (int c = 0; c < NCODES; c++)
	{
		double		least = INFINITY;
		double		most = 0;
		double		worst_factor = 0;

		for (int d = 3; d < NDIMS; d++)
		{
			uint64_t	state = 1000 + d;
			float	   *centre = random_vector(&state, dims[d]);
			PirQuantSpec spec = make_spec(vector_codes[c], PIR_METRIC_L2, dims[d], centre);
			Fixture		f = fixture_make(&spec);
			float	   *back = xmalloc(dims[d] * sizeof(float));
			double		loss = 0;
			double		norm = 0;

			for (int i = 0; i < 4; i++)
			{
				float	   *x = random_vector(&state, dims[d]);
				void	   *item = fixture_encode(&f, x);
				double		lost = 0;

				pir_quant_decode(f.quant, item, back, f.scratch);
				for (uint32_t j = 0; j < dims[d]; j++)
				{
					lost += ((double) back[j] - x[j]) * ((double) back[j] - x[j]);
					norm += ((double) x[j] - centre[j]) * ((double) x[j] - centre[j]);
				}
				loss += lost;

				/* RaBitQ: the third factor is the loss per free dimension */
				if (spec.quantizer == PIR_QUANT_RABITQ)
				{
					double		e = pir_quant_factor(item, 2);

					/* float rounding weighs at 8 bits, in padding dimensions too */
					lost = sqrt(lost / (f.quant->padded - 1.0));
					if (dims[d] == f.quant->padded)
						worst_factor = fmax(worst_factor, fabs(lost / e - 1));
				}
				free(x);
				free(item);
			}
			least = fmin(least, sqrt(loss / norm));
			most = fmax(most, sqrt(loss / norm));
			free(centre);
			free(back);
			fixture_free(&f);
		}
		if (expected[c] == 0)
			unit_ok(most == 0, "%s: round trip is exact", vector_codes[c].name);
		else
			unit_ok(least > expected[c] * 0.65 && most < expected[c] * 1.25,
					"%s: round trip loses %.5f to %.5f of the length", vector_codes[c].name, least, most);
		if (vector_codes[c].quantizer == PIR_QUANT_RABITQ)
			unit_ok(worst_factor < 3e-3, "%s: the error factor is what was lost (%.1e off)", vector_codes[c].name, worst_factor);
	}
}

/*
 * Distances against what the decoded item says: a query differs by its own
 * rounding at most, two items by nothing but float rounding.
 */
static void
test_distances(void)
{
	for (int c = 0; c < NCODES; c++)
	{
		for (int metric = 0; metric <= PIR_METRIC_L1; metric++)
		{
			PirQuantSpec spec = make_spec(vector_codes[c], metric, 8, NULL);
			double		worst_query = 0;
			double		worst_pair = 0;
			double		decoded_off = 0;
			int			unlike = 0;
			int			many_unlike = 0;

			if (pir_quant_check_spec(&spec) != NULL)
				continue;
			for (int d = 0; d < 2 * NDIMS; d++)
			{
				uint32_t	dim = dims[d / 2];
				uint32_t	padded = (dim + 63) / 64 * 64;
				bool		factored = spec.bits <= 8 && metric != PIR_METRIC_L1;
				uint64_t	state = 31 + d;
				float	   *centre = random_vector(&state, dim);
				float	   *zero = xmalloc(dim * sizeof(float));
				const float *origin = d % 2 != 0 && factored ? centre : NULL;
				float	   *x[6];
				float	   *back[6];
				void	   *item[6];
				float		many[6];
				Fixture		f;

				memset(zero, 0, dim * sizeof(float));
				spec.dim = dim;
				spec.centre = d % 2 != 0 ? centre : NULL;
				f = fixture_make(&spec);
				for (int i = 0; i < 6; i++)
				{
					x[i] = random_vector(&state, dim);
					if (metric == PIR_METRIC_COSINE)
						normalise(x[i], dim);
					item[i] = fixture_encode(&f, x[i]);
					back[i] = xmalloc(dim * sizeof(float));
					pir_quant_decode(f.quant, item[i], back[i], f.scratch);
				}
				for (int i = 0; i < 6; i++)
				{
					PirQuantQuery *query = fixture_query(&f, x[i]);

					pir_quant_distance_many(f.quant, query, (const void *const *) item, 6, many);
					for (int j = 0; j < 6; j++)
					{
						double		dist = pir_quant_distance(f.quant, query, item[j]);
						double		expected;
						double		allowed;

						many_unlike += dist != many[j];
						if (factored)
						{
							/* step <= |q-c| / 127; each coordinate is off by half of it at most */
							double		q2 = inner(x[i], x[i], origin, dim);
							double		b2 = inner(back[j], back[j], origin, dim);

							allowed = sqrt(b2 * q2 * padded) / 254 * (metric == PIR_METRIC_IP ? 1 : 2);
							expected = inner(back[j], x[i], origin, dim);
							if (metric == PIR_METRIC_IP)
							{
								expected = -expected;
								if (origin != NULL)
									expected += -inner(x[i], centre, NULL, dim) - inner(x[j], centre, NULL, dim) + inner(centre, centre, NULL, dim);
							}
							else
								expected = inner(x[j], x[j], origin, dim) + q2 - 2 * expected;
							allowed += 1e-5 * (b2 + q2 + dim);
						}
						else
						{
							expected = true_distance(metric, back[j], x[i], dim);
							allowed = 1e-5 * dim;
							if (spec.quantizer == PIR_QUANT_SQ8)
								allowed += 0.5001 * spec.scale * dim + pir_quant_error(f.quant, query, item[j], (float) dist) * PIR_QUANT_EPS;
						}
						worst_query = fmax(worst_query, fabs(dist - expected) / allowed);
					}

					query = pir_quant_prepare_item(f.quant, item[i], f.query_memory);
					for (int j = 0; j < 6; j++)
					{
						float		pair = pir_quant_code_distance(f.quant, item[i], item[j]);
						double		expected;

						unlike += pair != pir_quant_distance(f.quant, query, item[j]);
						if (factored)
						{
							expected = inner_of_items(f.quant, item[i], item[j]);
							if (dim == padded)
								decoded_off = fmax(decoded_off, fabs(expected - inner(back[i], back[j], origin, dim)) / (1e-5 * dim));
							if (metric == PIR_METRIC_IP)
							{
								expected = -expected;
								if (origin != NULL)
									expected += -inner(x[i], centre, NULL, dim) - inner(x[j], centre, NULL, dim) + inner(centre, centre, NULL, dim);
							}
							else
								expected = fmax(0, inner(x[i], x[i], origin, dim) + inner(x[j], x[j], origin, dim) - 2 * expected);
						}
						else
							expected = true_distance(metric, back[i], back[j], dim);
						worst_pair = fmax(worst_pair, fabs(pair - expected) / (1e-5 * (dim + 10)));
					}
				}
				for (int i = 0; i < 6; i++)
				{
					free(x[i]);
					free(back[i]);
					free(item[i]);
				}
				free(centre);
				free(zero);
				fixture_free(&f);
			}
			unit_ok(worst_query <= 1, "%s, %s: query distances within the query's rounding (%.2f of it)",
					vector_codes[c].name, metric_names[metric], worst_query);
			unit_ok(worst_pair <= 1 && decoded_off <= 1, "%s, %s: item distances are those of the decoded vectors (%.2f, %.2f of 1e-5 per dimension)",
					vector_codes[c].name, metric_names[metric], worst_pair, decoded_off);
			unit_ok(unlike == 0 && many_unlike == 0, "%s, %s: a prepared item and many at once give the same bits (%d, %d differ)",
					vector_codes[c].name, metric_names[metric], unlike, many_unlike);
		}
	}
}

/* Vectors that break careless arithmetic; 'kind' below NEXTREME. */
#define NEXTREME	14

static void
extreme_vector(int kind, const float *centre, float *x, uint32_t dim)
{
	for (uint32_t i = 0; i < dim; i++)
	{
		float		sign = i % 2 == 0 ? 1.0f : -1.0f;

		switch (kind)
		{
			case 0:
				x[i] = 0;
				break;
			case 1:
				x[i] = centre[i];
				break;
			case 2:
				x[i] = FLT_MAX;
				break;
			case 3:
				x[i] = -FLT_MAX;
				break;
			case 4:
				x[i] = sign * FLT_MAX;
				break;
			case 5:
				x[i] = sign * 1.4e-45f;
				break;
			case 6:
				x[i] = FLT_MIN;
				break;
			case 7:
				x[i] = i == 0 ? 1e38f : 1e-38f;
				break;
			case 8:
				x[i] = i == dim - 1 ? -3e38f : 0.0f;
				break;
			case 9:
				x[i] = sign * 1e19f;
				break;
			case 10:
				x[i] = 65520.0f;	/* just above the largest half */
				break;
			case 11:
				x[i] = nextafterf(centre[i], 0.5f);
				break;
			case 12:
				x[i] = -0.0f;
				break;
			default:
				x[i] = sign * (float) (i + 1);
				break;
		}
	}
}

static void
test_extremes(void)
{
	static const uint32_t sizes[] = {1, 3, 65, 192, 1536, 16000};

	for (int c = 0; c < NCODES; c++)
	{
		int			nan_found = 0;
		int			bad_error = 0;
		int			far_first = 0;
		int			bad_decode = 0;

		for (int metric = 0; metric <= PIR_METRIC_L1; metric++)
		{
			for (int s = 0; s < 12; s++)
			{
				uint32_t	dim = sizes[s / 2];
				uint64_t	state = 5;
				float	   *centre = random_vector(&state, dim);
				PirQuantSpec spec = make_spec(vector_codes[c], metric, dim, s % 2 != 0 ? centre : NULL);
				float	   *x[NEXTREME];
				void	   *item[NEXTREME];
				float	   *back;
				Fixture		f;

				if (s == 11)	/* a centre as extreme as the vectors */
					extreme_vector(4, centre, centre, dim);
				if (pir_quant_check_spec(&spec) != NULL)
				{
					free(centre);
					continue;
				}
				f = fixture_make(&spec);
				back = xmalloc(dim * sizeof(float));
				for (int i = 0; i < NEXTREME; i++)
				{
					x[i] = xmalloc(dim * sizeof(float));
					extreme_vector(i, centre, x[i], dim);
					item[i] = fixture_encode(&f, x[i]);
					pir_quant_decode(f.quant, item[i], back, f.scratch);
					for (uint32_t j = 0; j < dim; j++)
						bad_decode += !isfinite(back[j]);
				}
				for (int i = 0; i < NEXTREME; i++)
				{
					PirQuantQuery *query = fixture_query(&f, x[i]);
					float		self = pir_quant_distance(f.quant, query, item[i]);

					for (int j = 0; j < NEXTREME; j++)
					{
						float		dist = pir_quant_distance(f.quant, query, item[j]);
						float		unit = pir_quant_error(f.quant, query, item[j], dist);
						float		pair = pir_quant_code_distance(f.quant, item[i], item[j]);
						float		lower = dist - PIR_QUANT_EPS_SURE * unit;
						float		upper = dist + PIR_QUANT_EPS_SURE * unit;

						nan_found += isnan(dist) || isnan(pair) || isnan(lower) || isnan(upper);
						bad_error += !(unit >= 0) || !isfinite(unit);

						/* opposite vectors may tie with equal ones, never win */
						if (metric != PIR_METRIC_L1 && ((i == 2 && j == 3) || (i == 3 && j == 2)))
							far_first += dist < self;
					}
				}
				for (int i = 0; i < NEXTREME; i++)
				{
					free(x[i]);
					free(item[i]);
				}
				free(back);
				free(centre);
				fixture_free(&f);
			}
		}
		unit_ok(nan_found == 0 && bad_error == 0, "%s: no NaN from extreme vectors (%d), units are finite (%d wrong)",
				vector_codes[c].name, nan_found, bad_error);
		unit_ok(far_first == 0 && bad_decode == 0, "%s: extreme vectors keep their order (%d wrong) and decode to finite ones (%d wrong)",
				vector_codes[c].name, far_first, bad_decode);
	}
}

/* Multiplying everything by a power of two changes exponents and nothing else. */
static void
test_scaling(void)
{
	static const int exponents[] = {-100, -60, -31, -8, 8, 31, 55};

	for (int c = 2; c < NCODES; c++)
	{
		int			codes_differ = 0;
		int			distances_differ = 0;

		if (vector_codes[c].quantizer == PIR_QUANT_BF16)
			continue;

		for (int e = 0; e < 7; e++)
		{
			uint64_t	state = 77;
			uint32_t	dim = 100;
			float	   *x = random_vector(&state, dim);
			float	   *q = random_vector(&state, dim);
			PirQuantSpec spec = make_spec(vector_codes[c], PIR_METRIC_L2, dim, NULL);
			Fixture		f = fixture_make(&spec);
			char	   *plain = fixture_encode(&f, x);
			char	   *scaled;
			double		dist = pir_quant_distance(f.quant, fixture_query(&f, q), plain);

			for (uint32_t i = 0; i < dim; i++)
			{
				x[i] = ldexpf(x[i], exponents[e]);
				q[i] = ldexpf(q[i], exponents[e]);
			}
			scaled = fixture_encode(&f, x);
			codes_differ += memcmp(plain + 12, scaled + 12, f.item_size - 12) != 0;
			dist = ldexp(dist, 2 * exponents[e]);
			if (dist > 1e-37)
				distances_differ += fabs(pir_quant_distance(f.quant, fixture_query(&f, q), scaled) / dist - 1) > 1e-6;
			free(x);
			free(q);
			free(plain);
			free(scaled);
			fixture_free(&f);
		}
		unit_ok(codes_differ == 0 && distances_differ == 0, "%s: the code does not depend on the scale (%d, %d differ)",
				vector_codes[c].name, codes_differ, distances_differ);
	}

	{
		/* half floats scale where plain ones would overflow or vanish */
		double		worst = 0;

		for (int e = -120; e <= 120; e += 10)
		{
			uint64_t	state = 3;
			float	   *x = random_vector(&state, 100);
			float	   *back = xmalloc(100 * sizeof(float));
			PirQuantSpec spec = make_spec(vector_codes[1], PIR_METRIC_L2, 100, NULL);
			Fixture		f = fixture_make(&spec);
			void	   *item;

			for (int i = 0; i < 100; i++)
				x[i] = ldexpf(x[i], e);
			item = fixture_encode(&f, x);
			pir_quant_decode(f.quant, item, back, f.scratch);
			for (int i = 0; i < 100; i++)
				worst = fmax(worst, fabs(back[i] - x[i]) / ldexp(1, e));
			free(x);
			free(back);
			free(item);
			fixture_free(&f);
		}
		unit_ok(worst < 2e-3, "half: round trip from 2^-120 to 2^120 (%.1e)", worst);
	}
}

static void
test_l1(void)
{
	uint64_t	state = 17;
	float		low[1000];
	float		high[1000];
	float		scale;
	float		offset;
	int			lost = 0;
	int			wrong = 0;

	pir_quant_train_l1(low, high, 0, &scale, &offset);
	wrong += !(scale > 0) || !isfinite(offset);
	low[0] = high[0] = 3.5f;
	pir_quant_train_l1(low, high, 1, &scale, &offset);
	wrong += !(scale > 0) || offset != 3.5f;
	low[0] = -FLT_MAX;
	high[0] = FLT_MAX;
	pir_quant_train_l1(low, high, 1, &scale, &offset);
	wrong += !(scale > 0) || !isfinite(scale);
	unit_ok(wrong == 0, "L1 training of nothing, of a constant, of the whole range");

	for (int i = 0; i < 1000; i++)
	{
		low[i] = (float) (-1 - unit_uniform(&state));
		high[i] = (float) (1 + unit_uniform(&state));
	}
	low[500] = -1e6f;
	high[17] = 1e6f;
	pir_quant_train_l1(low, high, 1000, &scale, &offset);
	unit_ok(offset > -2.0001f && offset < -1.9f && offset + 255 * scale > 1.9f && offset + 255 * scale < 2.0001f,
			"L1 training leaves outliers outside (%g to %g)", offset, offset + 255 * scale);

	/* integers have a code of their own */
	wrong = 0;
	for (int top = 1; top <= 255; top++)
	{
		low[0] = -3;
		high[0] = (float) (top - 3);
		pir_quant_train_l1(low, high, 1, &scale, &offset);
		for (int v = 0; v <= top; v++)
		{
			double		code = (v - 3 - offset) / (double) scale;

			wrong += fabs(code - rint(code)) > 1e-4 || code > 255.01 || fabs(offset + scale * rint(code) - (v - 3)) > 1e-4;
		}
	}
	unit_ok(wrong == 0, "L1 training keeps integers exact (%d wrong)", wrong);

	/* clamped components never lift the lower bound above the distance */
	for (int round = 0; round < 2000; round++)
	{
		uint32_t	dim = 1 + (uint32_t) (unit_random(&state) % 100);
		PirQuantSpec spec = make_spec(vector_codes[2], PIR_METRIC_L1, dim, NULL);
		Fixture		f = fixture_make(&spec);
		float	   *x = random_vector(&state, dim);
		float	   *q = random_vector(&state, dim);
		void	   *item;
		double		dist;
		double		unit;
		double		truth;

		for (uint32_t i = 0; i < dim; i++)
		{
			if (unit_uniform(&state) < 0.3)
				x[i] *= 100;
			if (unit_uniform(&state) < 0.1)
				q[i] *= 100;
		}
		item = fixture_encode(&f, x);
		dist = pir_quant_distance(f.quant, fixture_query(&f, q), item);
		unit = pir_quant_error(f.quant, fixture_query(&f, q), item, (float) dist);
		truth = true_distance(PIR_METRIC_L1, x, q, dim);

		/* what is inside may err by half a step per component and side */
		lost += fabs(dist - truth) > PIR_QUANT_EPS * unit + dim * spec.scale;
		free(x);
		free(q);
		free(item);
		fixture_free(&f);
	}
	unit_ok(lost == 0, "L1: outliers are charged in full (%d of 2000 lost)", lost);
}

static void
test_bits(void)
{
	int			wrong = 0;
	int			sizes_wrong = 0;

	for (uint32_t nbits = 1; nbits <= 300; nbits += nbits < 70 ? 1 : 17)
	{
		uint64_t	state = nbits;
		uint32_t	nbytes = (nbits + 7) / 8;
		uint8_t    *a = xmalloc(nbytes);
		uint8_t    *b = xmalloc(nbytes);

		for (int round = 0; round < 8; round++)
		{
			int			differ = 0;
			int			both = 0;
			int			either = 0;

			for (uint32_t i = 0; i < nbytes; i++)
			{
				a[i] = round == 0 ? 0 : (uint8_t) unit_random(&state);
				b[i] = round < 2 ? 0 : (uint8_t) unit_random(&state);
			}
			for (uint32_t i = 0; i < nbits; i++)
			{
				int			u = a[i / 8] >> (7 - i % 8) & 1;
				int			v = b[i / 8] >> (7 - i % 8) & 1;

				differ += u != v;
				both += u & v;
				either += u | v;
			}
			for (int metric = PIR_METRIC_HAMMING; metric <= PIR_METRIC_JACCARD; metric++)
			{
				PirQuantSpec spec = make_spec((CodeKind) {PIR_QUANT_BITS, 1, "bits"}, metric, nbits, NULL);
				Fixture		f = fixture_make(&spec);
				void	   *item = fixture_encode(&f, a);
				void	   *other = fixture_encode(&f, b);
				float		expected = metric == PIR_METRIC_HAMMING ? (float) differ :
					both == 0 ? 1.0f : (float) (1.0 - (double) both / either);
				float		dist = pir_quant_distance(f.quant, fixture_query(&f, b), item);

				wrong += dist != expected ||
					pir_quant_code_distance(f.quant, item, other) != expected ||
					pir_quant_distance(f.quant, pir_quant_prepare_item(f.quant, other, f.query_memory), item) != expected ||
					pir_quant_error(f.quant, fixture_query(&f, b), item, dist) != 0 ||
					!pir_quant_is_exact(f.quant);
				sizes_wrong += f.item_size != (nbits + 31) / 32 * 4;
				free(item);
				free(other);
				fixture_free(&f);
			}
		}
		free(a);
		free(b);
	}
	unit_ok(wrong == 0 && sizes_wrong == 0, "bits: Hamming and Jaccard of 1 to 300 bits (%d, %d wrong)", wrong, sizes_wrong);
}

/* FNV-1a */
static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	while (size-- > 0)
		hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
	return hash;
}

/* Vectors made of integer arithmetic alone, so that they are the same anywhere. */
static void
golden_vector(uint64_t *state, float *x, uint32_t dim)
{
	for (uint32_t i = 0; i < dim; i++)
		x[i] = (float) ((int32_t) (unit_random(state) >> 40) - (1 << 23)) / (1 << 20);
}

/*
 * Items are what an index holds: with any kernels, compiler and machine they
 * must be these bytes. A change here is a change of the format on disk.
 */
static void
test_golden(void)
{
	const PirKernels *chosen = pir_kernels;

	for (const PirKernels *const *table = pir_dist_tables(); *table != NULL; table++)
	{
		int			wrong = 0;
		uint64_t	distances = UINT64_C(0xcbf29ce484222325);

		if (!pir_dist_usable(*table))
		{
			unit_skip("golden items with kernels %s", (*table)->name);
			continue;
		}
		pir_kernels = *table;
		for (int g = 0; g < (int) (sizeof(golden) / sizeof(golden[0])); g++)
		{
			uint64_t	hash = UINT64_C(0xcbf29ce484222325);

			for (int d = 0; d < NDIMS; d++)
			{
				uint64_t	state = 4711 + d;
				float	   *centre = xmalloc(dims[d] * sizeof(float));
				float	   *x = xmalloc(dims[d] * sizeof(float));
				PirQuantSpec spec = make_spec(vector_codes[golden[g].code], golden[g].metric, dims[d], centre);
				Fixture		f;

				golden_vector(&state, centre, dims[d]);
				f = fixture_make(&spec);
				for (int i = 0; i < 4; i++)
				{
					void	   *item;
					float		dist;

					golden_vector(&state, x, dims[d]);
					item = fixture_encode(&f, x);
					hash = hash_bytes(hash, item, f.item_size);
					if (spec.bits <= 8)
					{
						golden_vector(&state, x, dims[d]);
						dist = pir_quant_distance(f.quant, fixture_query(&f, x), item);
						distances = hash_bytes(distances, &dist, sizeof(dist));
					}
					free(item);
				}
				free(centre);
				free(x);
				fixture_free(&f);
			}
			if (hash != golden[g].hash)
			{
				wrong++;
				unit_note("{%d, %d, UINT64_C(0x%016llx)},", golden[g].code, golden[g].metric, (unsigned long long) hash);
			}
		}
		unit_ok(wrong == 0, "kernels %s: items are the bytes of the format (%d kinds differ)", (*table)->name, wrong);
		unit_ok(distances == GOLDEN_DISTANCES, "kernels %s: distances of integer codes are the same bits (%016llx)",
				(*table)->name, (unsigned long long) distances);
	}
	pir_kernels = chosen;

	{
		/* one item in full: RaBitQ of 4 bits, 64 dimensions, no centre */
		static const char expected[] = GOLDEN_ITEM;
		PirQuantSpec spec = make_spec(vector_codes[5], PIR_METRIC_L2, 64, NULL);
		Fixture		f = fixture_make(&spec);
		uint64_t	state = 1;
		float		x[64];
		char		hex[128] = "";
		uint8_t    *item;

		golden_vector(&state, x, 64);
		item = fixture_encode(&f, x);
		for (size_t i = 0; i < f.item_size; i++)
			snprintf(hex + 2 * i, 3, "%02x", item[i]);
		unit_ok(strcmp(hex, expected) == 0, "an item in full: %s", hex);
		free(item);
		fixture_free(&f);
	}
}

int
main(void)
{
	pir_dist_init(NULL);
	unit_note("kernels %s", pir_kernels->name);
	test_specs();
	test_sizes();
	test_rotation();
	test_round_trip();
	test_distances();
	test_extremes();
	test_scaling();
	test_l1();
	test_bits();
	test_golden();
	return unit_done();
}
