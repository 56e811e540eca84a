/*-------------------------------------------------------------------------
 *
 * quant_code.c
 *	  The factored form: items of three floats and an integer code, scored
 *	  against a query of signed bytes.
 *
 * RaBitQ, SQ8 and BQ differ in whether vectors are rotated and in how the code is
 * chosen; what an item means, and every distance, is the same and lives here.
 *
 * Let x be the vector minus the centre, rotated (SQ8: not) and padded to D
 * dimensions, u its code, and Y = 2 u - zero2 the odd (RaBitQ) or even (SQ8)
 * integers the code stands for, y = Y / 2. With
 *
 *	  F = |x|^2 / <y, x>
 *
 * F <y, z> estimates <x, z> for any z. The item keeps 'add' (|x|^2, or
 * -<x, c> for the inner product), F, and the error unit e of the estimate per
 * unit of |z|; a query keeps its bytes and everything that does not depend on
 * the item. So one distance is one integer kernel and
 *
 *	  add_item + add_query + F * scale_query * (2 <u, q8> - zero2 * sum(q8))
 *
 * whose bracket is an exact 32-bit integer: |bracket| <= 255 * 127 * 16384,
 * and twice the kernel's result stays below 2^31 as well. The three other
 * operations are done in double, so that no product of finite floats
 * overflows on the way (an infinity times a zero would be a NaN).
 *
 * See README.md, "The factored form" and "The bound".
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

#define ITEM_ADD	0			/* numbers of the factors */
#define ITEM_F		1
#define ITEM_ERR	2

/*
 * Vectors are encoded as they are while their largest component lies within
 * these bounds, else multiplied by a power of two first.
 */
#define PLAIN_MIN	9.313225746154785e-10f	/* 2^-30 */
#define PLAIN_MAX	1073741824.0f	/* 2^30 */

/* The part of the query across the item is taken to be at least this (squared). */
#define MIN_ACROSS	0.05

/* Rounding of the float32 factors and of the result, relative to what was summed. */
#define FLOAT_SLACK	2.4e-7

/*
 * Squared error per dimension of a vector that lost r, if its coordinates were
 * not rotated and the loss may be structured. A random direction would give
 * |r|^2 / n. But the loss may sit in one coordinate, so it is at least a third
 * of the largest squared (what it is for uniform rounding errors); and it may
 * have one sign, so a mean that pir_quant_common_sign() finds too large for
 * chance is charged in full: |<mean, z>| <= |mean| sqrt(n) |z|.
 */
static double
structured_loss2(double sum, double squares, double largest, double n)
{
	double		mean2 = sum * sum / n;
	double		even = squares / n;
	double		third = largest * largest / 3;

	if (!pir_quant_common_sign(sum, squares, n))
		mean2 = 0;
	return (even > third ? even : third) + mean2;
}

/*
 * Sums of a fixed order: eight lanes, added pairwise. A compiler may use any
 * vector width for the lanes without changing the result.
 */
static double
add_lanes(const double *lane)
{
	return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Sum of a_i * b_i, products and sums in double. */
double
pir_quant_dot(const float *a, const float *b, uint32_t n)
{
	double		lane[8] = {0};
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		for (int j = 0; j < 8; j++)
			lane[j] += (double) a[i + j] * (double) b[i + j];
	}
	for (; i < n; i++)
		lane[i % 8] += (double) a[i] * (double) b[i];
	return add_lanes(lane);
}

double
pir_quant_sum_squares(const float *x, uint32_t n)
{
	return pir_quant_dot(x, x, n);
}

static void
subtract(const float *restrict a, const float *restrict b, float *restrict out, uint32_t n)
{
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
	{
		for (int j = 0; j < 16; j++)
			out[i + j] = a[i + j] - b[i + j];
	}
	for (; i < n; i++)
		out[i] = a[i] - b[i];
}

/* |x| as an integer: floats of one sign are ordered as their bits are. */
static inline int32_t
abs_bits(float x)
{
	int32_t		bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits & 0x7fffffff;
}

static float
max_of_lanes(const int32_t *lane)
{
	int32_t		max = 0;
	float		result;

	for (int j = 0; j < 8; j++)
		max = lane[j] > max ? lane[j] : max;
	memcpy(&result, &max, sizeof(result));
	return result;
}

/* Largest |x_i| */
float
pir_quant_max_abs(const float *x, uint32_t n)
{
	int32_t		lane[8] = {0};
	size_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		for (int j = 0; j < 8; j++)
		{
			int32_t		bits = abs_bits(x[i + j]);

			lane[j] = bits > lane[j] ? bits : lane[j];
		}
	}
	for (; i < n; i++)
	{
		int32_t		bits = abs_bits(x[i]);

		lane[0] = bits > lane[0] ? bits : lane[0];
	}
	return max_of_lanes(lane);
}

/*
 * centre_vector() for vectors so large or small that their squares, or the
 * difference from the centre, could leave the range of float32.
 */
static void
centre_scaled(const PirQuant *quant, const float *vec, float *out, int *exponent, double *norm2)
{
	const float *centre = quant->spec.centre;
	uint32_t	dim = quant->spec.dim;
	double		max = 0;
	double		factor;

	for (size_t i = 0; i < dim; i++)
	{
		double		x = fabs((double) vec[i] - (centre == NULL ? 0.0 : centre[i]));

		max = x > max ? x : max;
	}
	(void) frexp(max, exponent);
	factor = ldexp(1.0, -*exponent);
	for (size_t i = 0; i < dim; i++)
		out[i] = (float) (((double) vec[i] - (centre == NULL ? 0.0 : centre[i])) * factor);
	*norm2 = pir_quant_sum_squares(out, dim);
}

/*
 * out = (vec - centre) / 2^*exponent, padded with zeros to D floats, and its
 * squared length; the exponent is 0 unless components are huge or tiny. False
 * if vec equals the centre.
 */
static bool
centre_vector(const PirQuant *quant, const float *vec, float *out, int *exponent, double *norm2)
{
	uint32_t	dim = quant->spec.dim;
	float		max;

	memset(out + dim, 0, (quant->padded - dim) * sizeof(float));
	if (quant->spec.centre == NULL)
		memcpy(out, vec, dim * sizeof(float));
	else
		subtract(vec, quant->spec.centre, out, dim);

	max = pir_quant_max_abs(out, dim);
	*exponent = 0;
	*norm2 = 0;
	if (max == 0.0f)
		return false;
	if (max >= PLAIN_MIN && max <= PLAIN_MAX)
		*norm2 = pir_quant_sum_squares(out, dim);
	else
		centre_scaled(quant, vec, out, exponent, norm2);
	return true;
}

/* Bytes of an item: factors and D elements of 'bits' bits. */
size_t
pir_quant_code_item_size(const PirQuantSpec *spec)
{
	return PIR_QUANT_FACTORS + (size_t) pir_quant_round_up(spec->dim, PIR_DIST_BLOCK) * spec->bits / 8;
}

/* Sum over the dimensions of Y_a * Y_b, exact. */
static double
code_product(const PirQuant *quant, const uint8_t *a, const uint8_t *b)
{
	int64_t		dot = quant->dot_codes(a, b, quant->padded);
	int64_t		sums = (int64_t) quant->sum_code(a, quant->padded) + quant->sum_code(b, quant->padded);

	return (double) (4 * dot - 2 * (int64_t) quant->zero2 * sums +
					 (int64_t) quant->coded * quant->zero2 * quant->zero2);
}

/*
 * What x loses as 'f' times the integers 2 elems - zero2, see
 * structured_loss2(), over the first 'coded' dimensions; 'n' is the number
 * that it may be spread over. Padding within 'coded' is zero in both and loses
 * nothing.
 */
static double
loss_of_code(const float *x, const uint8_t *elems, int32_t zero2, double f,
			 uint32_t coded, double n)
{
	double		sum[8] = {0};
	double		squares[8] = {0};
	double		largest[8] = {0};
	double		max = 0;
	size_t		i = 0;

	for (; i + 8 <= coded; i += 8)
	{
		for (int j = 0; j < 8; j++)
		{
			double		r = x[i + j] - f * (2 * (int32_t) elems[i + j] - zero2);

			sum[j] += r;
			squares[j] += r * r;
			r = fabs(r);
			largest[j] = r > largest[j] ? r : largest[j];
		}
	}
	for (; i < coded; i++)
	{
		double		r = x[i] - f * (2 * (int32_t) elems[i] - zero2);

		sum[i % 8] += r;
		squares[i % 8] += r * r;
		max = fabs(r) > max ? fabs(r) : max;
	}
	for (int j = 0; j < 8; j++)
		max = largest[j] > max ? largest[j] : max;
	return structured_loss2(add_lanes(sum), add_lanes(squares), max, n);
}

/*
 * Encode. A vector equal to the centre is an item of zero bytes: F = 0 makes
 * its code irrelevant, so no caller has a special case.
 */
void
pir_quant_code_encode(const PirQuant *quant, const void *vec, void *item, void *scratch)
{
	uint32_t	padded = quant->padded;
	float	   *x = pir_quant_align(scratch);
	uint8_t    *elems = (uint8_t *) (x + padded);
	uint8_t    *code = (uint8_t *) item + PIR_QUANT_FACTORS;
	double		lane[8] = {0};
	double		dot;
	double		norm2;
	double		add;
	double		spread;
	double		loss2;
	int			exponent;

	if (!centre_vector(quant, vec, x, &exponent, &norm2))
	{
		memset(item, 0, quant->item_size);
		return;
	}

	if (quant->spec.metric != PIR_METRIC_IP)
		add = ldexp(norm2, 2 * exponent);
	else if (quant->spec.centre != NULL)
		add = -ldexp(pir_quant_dot(x, quant->spec.centre, quant->spec.dim), exponent);
	else
		add = 0;

	if (quant->signs != NULL)
		pir_quant_rotate(quant->signs, x, padded);
	quant->choose(quant, x, norm2, elems);
	pir_dist_pack(elems, code, padded, quant->spec.bits);

	for (size_t i = 0; i < padded; i += 8)
	{
		for (int j = 0; j < 8; j++)
			lane[j] += (double) (2 * (int32_t) elems[i + j] - quant->zero2) * (double) x[i + j];
	}
	dot = add_lanes(lane);		/* <Y, x> */

	/* |x|^2 |y|^2 / <y,x>^2 - 1, the squared tangent of their angle */
	spread = norm2 * code_product(quant, code, code) / (dot * dot) - 1.0;
	if (!(spread > 0))
		spread = 0;
	loss2 = norm2 * spread / quant->free_dim;
	if (quant->signs == NULL)
		loss2 = quant->caution * loss_of_code(x, elems, quant->zero2, norm2 / dot, quant->coded, quant->free_dim);

	/*
	 * An infinite squared norm is kept (the distance is then infinite, as in
	 * float32 arithmetic); an inner product has two infinities, which could
	 * meet, and is clamped.
	 */
	pir_quant_set_factor(item, ITEM_ADD,
						 quant->spec.metric == PIR_METRIC_IP ? pir_quant_clamp_float(add) : (float) add);
	pir_quant_set_factor(item, ITEM_F, pir_quant_clamp_float(ldexp(2.0 * norm2 / dot, exponent)));
	pir_quant_set_factor(item, ITEM_ERR, pir_quant_clamp_float(ldexp(sqrt(loss2), exponent)));
}

/* centre + F * y, rotated back. Scratch as for encoding. */
void
pir_quant_code_decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	uint32_t	padded = quant->padded;
	float	   *x = pir_quant_align(scratch);
	uint8_t    *elems = (uint8_t *) (x + padded);
	double		half_f = 0.5 * pir_quant_factor(item, ITEM_F);

	pir_dist_unpack((const uint8_t *) item + PIR_QUANT_FACTORS, elems, padded, quant->spec.bits);
	for (size_t i = 0; i < padded; i++)
		x[i] = (float) (2 * (int32_t) elems[i] - quant->zero2);
	if (quant->signs != NULL)
		pir_quant_unrotate(quant->signs, x, padded);
	for (size_t i = 0; i < quant->spec.dim; i++)
	{
		double		v = half_f * x[i];

		if (quant->spec.centre != NULL)
			v += quant->spec.centre[i];
		vec[i] = pir_quant_clamp_float(v);
	}
}

/*
 * Prepare a query: centre and rotate as an item, then round to signed bytes in
 * steps of a 127th of the largest component. What the rounding loses is
 * measured and charged to the error unit.
 */
void
pir_quant_code_prepare(const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch)
{
	uint32_t	padded = quant->padded;
	uint32_t	dim = quant->spec.dim;
	float	   *x = pir_quant_align(scratch);
	int8_t	   *q8 = query->data;
	int32_t		lane[16] = {0};
	float		lane2[16] = {0};
	int32_t		sum = 0;
	double		round2 = 0;
	double		norm2;
	float		max;
	float		inverse;
	float		step;
	int			exponent;

	query->floor = -INFINITY;
	if (quant->spec.metric == PIR_METRIC_IP && quant->spec.centre != NULL)
		query->add = -pir_quant_dot(vec, quant->spec.centre, dim);

	if (!centre_vector(quant, vec, x, &exponent, &norm2))
	{
		memset(q8, 0, padded);
		return;
	}
	query->norm2 = ldexp(norm2, 2 * exponent);
	if (quant->spec.metric != PIR_METRIC_IP)
		query->add = query->norm2;

	if (quant->signs != NULL)
		pir_quant_rotate(quant->signs, x, padded);

	max = pir_quant_max_abs(x, padded);
	step = max / 127.0f;
	inverse = 127.0f / max;
	for (size_t i = 0; i < padded; i += 16)
	{
		for (int j = 0; j < 16; j++)
		{
			/* rounds to nearest: the sum is positive, the cast truncates */
			int32_t		v = (int32_t) (x[i + j] * inverse + 128.5f) - 128;
			float		rest = x[i + j] - step * (float) v;

			q8[i + j] = (int8_t) v;
			lane[j] += v;
			lane2[j] += rest * rest;
		}
	}
	for (int j = 0; j < 16; j++)
	{
		sum += lane[j];
		round2 += lane2[j];
	}

	query->sub = quant->zero2 * sum;
	query->scale = -ldexp((double) step, exponent);
	if (quant->spec.metric == PIR_METRIC_IP)
		query->scale *= 0.5;
	if (quant->signs != NULL)
		round2 /= padded;
	else
	{
		/* the same bytes as unsigned ones, in scratch that is free now */
		uint8_t    *elems = (uint8_t *) (x + padded);

		for (size_t i = 0; i < padded; i++)
			elems[i] = (uint8_t) (q8[i] + 128);
		round2 = loss_of_code(x, elems, 256, 0.5 * step, padded, dim);
	}
	query->round2 = ldexp(round2, 2 * exponent);
}

/*
 * What an item is worth as the query of another one: the distance is
 *
 *	  (other.add + pair_add) + (other.F * pair_scale) * sum of Y_a Y_b
 *
 * in this order of operations, so that a prepared item gives the same bits as
 * pir_quant_code_distance().
 */
static inline double
pair_add(const PirQuant *quant, const void *item)
{
	double		add = pir_quant_factor(item, ITEM_ADD);

	return quant->spec.metric == PIR_METRIC_IP ? add - quant->centre_norm2 : add;
}

static inline double
pair_scale(const PirQuant *quant, const void *item)
{
	return pir_quant_factor(item, ITEM_F) * (quant->spec.metric == PIR_METRIC_IP ? -0.25 : -0.5);
}

/*
 * An item as the query: its bytes are half of its Y, which are even numbers
 * for SQ8; or all of Y, for RaBitQ up to 4 bits; or (Y - 1) / 2 for 8 bits,
 * where Y does not fit a signed byte. The last leaves a sum over the other
 * code to be added.
 */
void
pir_quant_code_prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query)
{
	uint32_t	padded = quant->padded;
	uint8_t    *elems = query->data;
	bool		halve = quant->spec.bits == 8;
	bool		ip_metric = quant->spec.metric == PIR_METRIC_IP;
	const uint8_t *code = (const uint8_t *) item + PIR_QUANT_FACTORS;
	int32_t		sum;

	/* modulo 256, so that the loops stay on bytes and get vectorised */
	pir_dist_unpack(code, elems, padded, quant->spec.bits);
	if (halve)
	{
		for (size_t i = 0; i < padded; i++)
			elems[i] ^= 0x80;
	}
	else
	{
		const uint8_t zero = (uint8_t) quant->zero2;

		for (size_t i = 0; i < padded; i++)
			elems[i] = (uint8_t) (2 * elems[i] - zero);
	}
	/* dimensions that do not count have 0 on both sides */
	memset(elems + quant->coded, 0, padded - quant->coded);
	sum = (int32_t) quant->sum_code(code, padded);
	sum = halve ? sum - 128 * (int32_t) padded : 2 * sum - quant->zero2 * (int32_t) quant->coded;

	/* Y_a Y_b summed is 'product' times the scale below, see pair_scale() */
	query->sub = quant->zero2 * sum;
	query->odd = halve && quant->zero2 == 255;
	query->add = pair_add(quant, item);
	query->scale = pair_scale(quant, item);
	if (halve && !query->odd)
		query->scale *= 2;
	query->floor = ip_metric ? -INFINITY : 0.0f;
}

static inline float
score(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	const uint8_t *code = (const uint8_t *) item + PIR_QUANT_FACTORS;
	double		add = (double) pir_quant_factor(item, ITEM_ADD) + query->add;
	double		scale = (double) pir_quant_factor(item, ITEM_F) * query->scale;
	int32_t		product = 2 * quant->dot(code, query->data, quant->padded) - query->sub;
	float		dist;

	if (PIR_QUANT_UNLIKELY(query->odd))
		product = 2 * product + 2 * (int32_t) quant->sum_code(code, quant->padded) -
			quant->zero2 * (int32_t) quant->padded;

	/* a double beyond float32 becomes an infinity (IEC 60559) */
	dist = (float) (add + scale * (double) product);
	return dist > query->floor ? dist : query->floor;
}

static float
code_distance_one(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return score(quant, query, item);
}

static void
code_distance_many(const PirQuant *quant, const PirQuantQuery *query,
				   const void *const *items, int m, float *out)
{
	for (int i = 0; i < m; i++)
	{
		pir_quant_prefetch(items, i, m);
		out[i] = score(quant, query, items[i]);
	}
}

/*
 * The perpendicular unit. Only the part of the query across the item's
 * direction meets the error of the code; the query's rounding meets all of
 * the decoded item, whose squared length is |x|^2 + free_dim * e^2.
 */
static float
code_error(const PirQuant *quant, const PirQuantQuery *query, const void *item, float dist)
{
	const uint8_t *code = (const uint8_t *) item + PIR_QUANT_FACTORS;
	bool		ip_metric = quant->spec.metric == PIR_METRIC_IP;
	double		add = (double) pir_quant_factor(item, ITEM_ADD);
	double		e = pir_quant_factor(item, ITEM_ERR);
	double		spread2 = quant->free_dim * e * e;
	double		ip = add + query->add - dist;
	double		across2 = query->norm2;
	double		norm2;
	double		unit;

	if (!isfinite(dist))
		return 0.0f;
	if (ip_metric)
	{
		double		f = pir_quant_factor(item, ITEM_F);

		/* |x|^2 is not stored for this metric, but F^2 |y|^2 has it */
		norm2 = 0.25 * f * f * code_product(quant, code, code);
		/* with caution e says too much: leave it out, for a wider unit */
		if (quant->caution == 1)
			norm2 -= spread2;
		if (norm2 < 0)
			norm2 = 0;
	}
	else
	{
		ip *= 0.5;
		norm2 = add;
	}

	if (norm2 > 0)
		across2 -= ip * ip / norm2;
	if (!(across2 > MIN_ACROSS * query->norm2))
		across2 = MIN_ACROSS * query->norm2;

	unit = sqrt(e * e * across2 + (norm2 + spread2) * query->round2);
	if (!ip_metric)
		unit *= 2;
	unit += FLOAT_SLACK * (fabs(add) + fabs(query->add));
	return unit > FLT_MAX / 16 ? FLT_MAX / 16 : (float) unit;
}

/*
 * Distance of two items. Their errors are independent, so the estimate is as
 * unbiased as with a query, except between copies of one vector; a squared
 * distance is not let below zero.
 */
static float
code_pair_distance(const PirQuant *quant, const void *a, const void *b)
{
	double		product = code_product(quant, (const uint8_t *) a + PIR_QUANT_FACTORS,
									   (const uint8_t *) b + PIR_QUANT_FACTORS);
	double		add = (double) pir_quant_factor(b, ITEM_ADD) + pair_add(quant, a);
	double		scale = (double) pir_quant_factor(b, ITEM_F) * pair_scale(quant, a);
	float		dist = (float) (add + scale * product);

	if (quant->spec.metric == PIR_METRIC_IP)
		return dist;
	return dist > 0.0f ? dist : 0.0f;
}

/*
 * Fill in 'quant' for a method of this form. 'zero2' is twice the code value
 * that stands for zero, 'free_dim' the number of dimensions that the error of
 * a code can point to.
 */
void
pir_quant_code_init(PirQuant *quant, PirQuantChooseFn choose, int32_t zero2, uint32_t free_dim)
{
	const PirKernels *k = pir_kernels;

	switch (quant->spec.bits)
	{
		case 1:
			quant->dot = k->dot_u1_s8;
			quant->dot_codes = k->dot_u1_u1;
			quant->sum_code = k->sum_u1;
			break;
		case 2:
			quant->dot = k->dot_u2_s8;
			quant->dot_codes = k->dot_u2_u2;
			quant->sum_code = k->sum_u2;
			break;
		case 4:
			quant->dot = k->dot_u4_s8;
			quant->dot_codes = k->dot_u4_u4;
			quant->sum_code = k->sum_u4;
			break;
		default:
			quant->dot = k->dot_u8_s8;
			quant->dot_codes = k->dot_u8_u8;
			quant->sum_code = k->sum_u8;
			break;
	}
	quant->distance = code_distance_one;
	quant->distance_many = code_distance_many;
	quant->error = code_error;
	quant->code_distance = code_pair_distance;
	quant->choose = choose;
	quant->zero2 = zero2;
	quant->coded = quant->padded;
	quant->caution = 1;
	quant->free_dim = free_dim > 0 ? free_dim : 1;
	quant->query_size = sizeof(PirQuantQuery) + PIR_QUANT_ALIGN + quant->padded;
	quant->scratch_size = PIR_QUANT_ALIGN + quant->padded * (sizeof(float) + 1);
}
