/*-------------------------------------------------------------------------
 *
 * quant_half.c
 *	  Two bytes a dimension: IEEE half floats, or brain floats, against a
 *	  float32 query.
 *
 * An item is two floats and the components, "halves" of either format. The
 * second float is the power of two that the halves are to be multiplied by: 1
 * for vectors whose largest component lies between 2^-8 and 65504 (brain
 * floats: nearly everything), so that ordinary data takes the direct kernels;
 * otherwise what brings the largest component to between 2^14 and 2^15, so
 * that nothing overflows and nothing vanishes. The first float says what
 * rounding lost:
 *
 *	  L1				sqrt(sum of r_i^2)
 *	  all others		max |r_i|
 *
 * For those others the error is a sum of r_i z_i (z the query, or twice the
 * difference): its deviation for random signs is sqrt(sum r_i^2 z_i^2), which
 * max|r_i| |z| bounds whatever vector and query look like. Such floats round
 * large components more than small ones, so a root of squares spread evenly
 * over the dimensions would not.
 *
 *-------------------------------------------------------------------------
 */
#include "quant/quant_internal.h"

#define ITEM_ERR	0			/* numbers of the factors */
#define ITEM_SCALE	1
#define HALVES		(2 * sizeof(float))	/* where the halves begin */

#define SCALED_EXP	15			/* scaled vectors have their maximum below 2^15 */
#define MIN_EXP		(-126)		/* scales are normal floats */

/* What differs between the formats. */
struct PirQuantNarrow
{
	float		plain_min;		/* vectors with their largest component in here */
	float		plain_max;		/* are not scaled */
	float		(*to_float) (uint16_t h);
};

static const PirQuantNarrow half_format = {
	0.00390625f,				/* 2^-8 */
	65504.0f,					/* the largest half */
	pir_half_to_float
};

static const PirQuantNarrow bf16_format = {
	8.8817842e-16f,				/* 2^-50: sums of products stay in the range */
	3.6028797e16f,				/* 2^55: of float32 at 16,000 dimensions */
	pir_bf16_to_float
};

static const char *
check_spec(const PirQuantSpec *spec)
{
	if (spec->bits != 16)
		return "quantizers \"half\" and \"bf16\" have 16 bits per dimension";
	if (spec->metric > PIR_METRIC_L1)
		return "quantizers \"half\" and \"bf16\" serve distances between vectors only";
	return NULL;
}

static size_t
item_size(const PirQuantSpec *spec)
{
	return HALVES + pir_quant_round_up(spec->dim * sizeof(uint16_t), 4);
}

static inline const uint16_t *
halves(const void *item)
{
	return (const uint16_t *) ((const char *) item + HALVES);
}

/* Component i of an item. */
static inline double
component(const PirQuant *quant, const void *item, uint32_t i)
{
	return (double) pir_quant_factor(item, ITEM_SCALE) * quant->narrow->to_float(halves(item)[i]);
}

/*
 * Distance in double, one component after the other: for items that are
 * scaled, and where float32 sums left the range. 'b' is an item, or 'q' a
 * query.
 */
static float
careful_distance(const PirQuant *quant, const void *a, const void *b, const float *q)
{
	double		sum = 0;

	for (size_t i = 0; i < quant->spec.dim; i++)
	{
		double		u = component(quant, a, i);
		double		v = q != NULL ? (double) q[i] : component(quant, b, i);

		if (quant->spec.metric == PIR_METRIC_IP)
			sum -= u * v;
		else if (quant->spec.metric == PIR_METRIC_L1)
			sum += fabs(u - v);
		else
			sum += (u - v) * (u - v);
	}
	return (float) sum;
}

/* A scaled item against a query, by kernels where they serve. */
static float
scaled_distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	uint32_t	dim = quant->spec.dim;
	double		scale = pir_quant_factor(item, ITEM_SCALE);
	double		dot;
	double		dist;

	if (quant->spec.metric == PIR_METRIC_L1)
		return careful_distance(quant, item, NULL, query->data);

	dot = scale * quant->dot_query(halves(item), query->data, dim);
	if (quant->spec.metric == PIR_METRIC_IP)
		dist = -dot;
	else
	{
		dist = scale * scale * quant->norm2_pair(halves(item), dim) + query->norm2 - 2 * dot;

		/* what float32 products lose must not weigh in a small difference */
		if (dist < 1e-3 * query->norm2)
			return careful_distance(quant, item, NULL, query->data);
	}
	return isfinite(dist) ? (float) dist : careful_distance(quant, item, NULL, query->data);
}

static float
code_distance(const PirQuant *quant, const void *a, const void *b)
{
	uint32_t	dim = quant->spec.dim;
	float		dist;

	if (PIR_QUANT_UNLIKELY(pir_quant_factor(a, ITEM_SCALE) != 1.0f ||
						   pir_quant_factor(b, ITEM_SCALE) != 1.0f))
		return careful_distance(quant, a, b, NULL);
	switch (quant->spec.metric)
	{
		case PIR_METRIC_L1:
			dist = quant->l1_pair(halves(a), halves(b), dim);
			break;
		case PIR_METRIC_IP:
			dist = -quant->dot_pair(halves(a), halves(b), dim);
			break;
		default:
			dist = quant->l2sq_pair(halves(a), halves(b), dim);
			break;
	}
	return dist;
}

static inline float
vector_distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	uint32_t	dim = quant->spec.dim;
	float		dist;

	if (PIR_QUANT_UNLIKELY(query->is_item))
		return code_distance(quant, query->data, item);
	if (PIR_QUANT_UNLIKELY(pir_quant_factor(item, ITEM_SCALE) != 1.0f))
		return scaled_distance(quant, query, item);
	switch (quant->spec.metric)
	{
		case PIR_METRIC_L1:
			dist = quant->l1_query(halves(item), query->data, dim);
			break;
		case PIR_METRIC_IP:
			dist = -quant->dot_query(halves(item), query->data, dim);
			break;
		default:
			dist = quant->l2sq_query(halves(item), query->data, dim);
			break;
	}
	return PIR_QUANT_LIKELY(isfinite(dist)) ? dist : careful_distance(quant, item, NULL, query->data);
}

static float
distance(const PirQuant *quant, const PirQuantQuery *query, const void *item)
{
	return vector_distance(quant, query, item);
}

static void
distance_many(const PirQuant *quant, const PirQuantQuery *query,
			  const void *const *items, int m, float *out)
{
	for (int i = 0; i < m; i++)
	{
		pir_quant_prefetch(items, i, m);
		out[i] = vector_distance(quant, query, items[i]);
	}
}

static float
error(const PirQuant *quant, const PirQuantQuery *query, const void *item, float dist)
{
	double		r = pir_quant_factor(item, ITEM_ERR);
	double		unit;

	if (!isfinite(dist))
		return 0.0f;
	switch (quant->spec.metric)
	{
		case PIR_METRIC_L1:
			unit = r;
			break;
		case PIR_METRIC_IP:
			unit = r * sqrt(query->norm2);
			break;
		default:
			/* |z + r|^2 = |z|^2 + 2 <z, r> + |r|^2 */
			unit = r * (2 * sqrt((double) dist) + r * quant->spec.dim);
			break;
	}
	return unit > FLT_MAX / 16 ? FLT_MAX / 16 : (float) unit;
}

static void
init(PirQuant *quant)
{
	const PirKernels *k = pir_kernels;

	if (quant->spec.quantizer == PIR_QUANT_HALF)
	{
		quant->narrow = &half_format;
		quant->l2sq_query = k->l2sq_f16_f32;
		quant->dot_query = k->dot_f16_f32;
		quant->l1_query = k->l1_f16_f32;
		quant->l2sq_pair = k->l2sq_f16;
		quant->dot_pair = k->dot_f16;
		quant->l1_pair = k->l1_f16;
		quant->norm2_pair = k->norm2_f16;
	}
	else
	{
		quant->narrow = &bf16_format;
		quant->l2sq_query = k->l2sq_bf16_f32;
		quant->dot_query = k->dot_bf16_f32;
		quant->l1_query = k->l1_bf16_f32;
		quant->l2sq_pair = k->l2sq_bf16;
		quant->dot_pair = k->dot_bf16;
		quant->l1_pair = k->l1_bf16;
		quant->norm2_pair = k->norm2_bf16;
	}
	quant->distance = distance;
	quant->distance_many = distance_many;
	quant->error = error;
	quant->code_distance = code_distance;
	/* data: dim floats, or an item */
	quant->query_size = sizeof(PirQuantQuery) + PIR_QUANT_ALIGN + HALVES +
		quant->spec.dim * sizeof(float);
	quant->scratch_size = PIR_QUANT_ALIGN + quant->padded * sizeof(float);
}

static void
encode(const PirQuant *quant, const void *vec, void *item, void *scratch)
{
	const float *v = vec;
	uint32_t	dim = quant->spec.dim;
	float	   *x = pir_quant_align(scratch);
	uint16_t   *out = (uint16_t *) ((char *) item + HALVES);
	float		max = pir_quant_max_abs(v, dim);
	int			exponent = 0;
	double		largest = 0;
	double		squares = 0;
	double		scale;

	if (max != 0 && (max < quant->narrow->plain_min || max > quant->narrow->plain_max))
	{
		(void) frexp((double) max, &exponent);
		exponent -= SCALED_EXP;
		if (exponent < MIN_EXP)
			exponent = MIN_EXP;
	}
	scale = ldexp(1.0, exponent);

	for (size_t i = 0; i < dim; i++)
		x[i] = (float) (v[i] / scale);
	memset(item, 0, quant->item_size);
	if (quant->spec.quantizer == PIR_QUANT_HALF)
	{
		pir_kernels->f32_to_f16(x, out, dim);
		pir_kernels->f16_to_f32(out, x, dim);
	}
	else
	{
		for (size_t i = 0; i < dim; i++)
		{
			out[i] = pir_float_to_bf16(x[i]);
			x[i] = pir_bf16_to_float(out[i]);
		}
	}
	for (size_t i = 0; i < dim; i++)
	{
		double		r = fabs(v[i] - scale * x[i]);

		largest = r > largest ? r : largest;
		squares += r * r;
	}
	pir_quant_set_factor(item, ITEM_ERR, pir_quant_clamp_float(quant->spec.metric == PIR_METRIC_L1
															   ? sqrt(squares) : largest));
	pir_quant_set_factor(item, ITEM_SCALE, (float) scale);
}

static void
decode(const PirQuant *quant, const void *item, float *vec, void *scratch)
{
	(void) scratch;
	for (size_t i = 0; i < quant->spec.dim; i++)
		vec[i] = pir_quant_clamp_float(component(quant, item, i));
}

static void
prepare_query(const PirQuant *quant, const void *vec, PirQuantQuery *query, void *scratch)
{
	(void) scratch;
	memcpy(query->data, vec, quant->spec.dim * sizeof(float));
	query->norm2 = pir_quant_sum_squares(vec, quant->spec.dim);
}

static void
prepare_item(const PirQuant *quant, const void *item, PirQuantQuery *query)
{
	memcpy(query->data, item, quant->item_size);
	query->is_item = true;
}

const PirQuantMethod pir_quant_half = {
	.id = PIR_QUANT_HALF,
	.name = "half",
	.exact = false,
	.centred = false,
	.rotated = false,
	.check_spec = check_spec,
	.item_size = item_size,
	.init = init,
	.encode = encode,
	.decode = decode,
	.prepare_query = prepare_query,
	.prepare_item = prepare_item
};

const PirQuantMethod pir_quant_bf16 = {
	.id = PIR_QUANT_BF16,
	.name = "bf16",
	.exact = false,
	.centred = false,
	.rotated = false,
	.check_spec = check_spec,
	.item_size = item_size,
	.init = init,
	.encode = encode,
	.decode = decode,
	.prepare_query = prepare_query,
	.prepare_item = prepare_item
};
