/*-------------------------------------------------------------------------
 *
 * quant_fixture.h
 *	  A quantizer with its memory, for the unit programs of quant/.
 *
 * Every block is allocated with exactly the size that quant.h asks for, so
 * that the address sanitizer and valgrind see one byte too many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_QUANT_FIXTURE_H
#define PIR_QUANT_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"
#include "unit.h"

typedef struct Fixture
{
	PirQuant   *quant;
	size_t		item_size;
	void	   *scratch;
	void	   *query_memory;
} Fixture;

/* A kind of code: what a loop over all of them needs. */
typedef struct CodeKind
{
	int			quantizer;
	int			bits;
	const char *name;
} CodeKind;

static const CodeKind vector_codes[] = {
	{PIR_QUANT_NONE, 32, "none"},
	{PIR_QUANT_HALF, 16, "half"},
	{PIR_QUANT_SQ8, 8, "sq8"},
	{PIR_QUANT_RABITQ, 1, "rabitq 1"},
	{PIR_QUANT_RABITQ, 2, "rabitq 2"},
	{PIR_QUANT_RABITQ, 4, "rabitq 4"},
	{PIR_QUANT_RABITQ, 8, "rabitq 8"},
	{PIR_QUANT_BF16, 16, "bf16"},
	{PIR_QUANT_BQ, 1, "bq"},
};

#define NCODES			((int) (sizeof(vector_codes) / sizeof(vector_codes[0])))

static const char *const metric_names[] = {"L2", "IP", "cosine", "L1", "Hamming", "Jaccard"};

static inline void *
xmalloc(size_t size)
{
	void	   *p = malloc(size == 0 ? 1 : size);

	if (p == NULL)
		abort();
	return p;
}

static inline Fixture
fixture_make(const PirQuantSpec *spec)
{
	Fixture		f;

	f.quant = pir_quant_init(xmalloc(pir_quant_size(spec)), spec);
	f.item_size = pir_quant_item_size(spec);
	f.scratch = xmalloc(pir_quant_scratch_size(f.quant));
	f.query_memory = xmalloc(pir_quant_query_size(f.quant));
	return f;
}

static inline void
fixture_free(Fixture *f)
{
	free(f->quant);
	free(f->scratch);
	free(f->query_memory);
}

static inline void *
fixture_encode(const Fixture *f, const void *vec)
{
	void	   *item = xmalloc(f->item_size);

	pir_quant_encode(f->quant, vec, item, f->scratch);
	return item;
}

static inline PirQuantQuery *
fixture_query(const Fixture *f, const void *vec)
{
	return pir_quant_prepare_query(f->quant, vec, f->query_memory, f->scratch);
}

/* A spec with scale and offset that suit components of a few units. */
static inline PirQuantSpec
make_spec(CodeKind code, int metric, uint32_t dim, const float *centre)
{
	PirQuantSpec spec = {
		.quantizer = (uint8_t) code.quantizer,
		.metric = (uint8_t) metric,
		.bits = (uint8_t) code.bits,
		.dim = dim,
		.seed = UINT64_C(0x70697261),
		.scale = 8.0f / 255,
		.offset = -4.0f,
		.centre = centre
	};

	return spec;
}

static inline double
gaussian(uint64_t *state)
{
	double		u = 1.0 - unit_uniform(state);
	double		v = unit_uniform(state);

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* The search distance, in double. */
static inline double
true_distance(int metric, const float *a, const float *b, uint32_t dim)
{
	double		sum = 0;

	for (uint32_t i = 0; i < dim; i++)
	{
		double		u = a[i];
		double		v = b[i];

		if (metric == PIR_METRIC_IP)
			sum -= u * v;
		else if (metric == PIR_METRIC_L1)
			sum += fabs(u - v);
		else
			sum += (u - v) * (u - v);
	}
	return sum;
}

static inline void
normalise(float *x, uint32_t dim)
{
	double		norm2 = 0;

	for (uint32_t i = 0; i < dim; i++)
		norm2 += (double) x[i] * x[i];
	for (uint32_t i = 0; i < dim; i++)
		x[i] = (float) (x[i] / sqrt(norm2));
}

#endif							/* PIR_QUANT_FIXTURE_H */
