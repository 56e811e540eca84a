/*-------------------------------------------------------------------------
 *
 * ivf_partition.c
 *	  The partitioner by k-means, and what all of them share.
 *
 * The centre of a list is what its code says: rows and queries are compared
 * with the code and with nothing else, so build, insert and scan agree on
 * which list is nearest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "cluster/cluster.h"
#include "ivf/ivf_builder.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* --- codes of centres --- */

/*
 * Centres are few and decide which rows are seen at all, so their codes are
 * fine ones: 8 bits, the values themselves where that takes no more room, and
 * 4 bits where 8 do not fit a page.
 */
static Size
choose_centre_code(PirIvfMetaOnPage *meta)
{
	PirQuantSpec spec;
	Size		plain;
	Size		size;

	if (meta->head.quantizer == PIR_QUANT_BITS)
	{
		meta->centre_quantizer = PIR_QUANT_BITS;
		meta->centre_bits = 1;
		pir_ivf_centre_spec(meta, NULL, &spec);
		return pir_quant_item_size(&spec);
	}
	meta->centre_quantizer = PIR_QUANT_NONE;
	meta->centre_bits = 32;
	pir_ivf_centre_spec(meta, NULL, &spec);
	plain = pir_quant_item_size(&spec);
	meta->centre_quantizer = PIR_QUANT_RABITQ;
	for (meta->centre_bits = 8;; meta->centre_bits = 4)
	{
		pir_ivf_centre_spec(meta, NULL, &spec);
		size = pir_quant_item_size(&spec);
		if (size <= PIR_IVF_MAX_ITEM || meta->centre_bits == 4)
			break;
	}
	if (plain <= size)
	{
		meta->centre_quantizer = PIR_QUANT_NONE;
		meta->centre_bits = 32;
		return plain;
	}
	return size;
}

/*
 * The input as it is compared with centres: of unit length under the inner
 * product, else as it is. A zero vector has no direction and stays zero.
 */
static const void *
centre_input(PirMetric metric, uint32 dim, const void *input, float *copy)
{
	const float *x = input;
	double		norm;

	if (metric != PIR_METRIC_IP)
		return input;
	norm = sqrt(pir_kernels->norm2_f32(x, dim));
	for (uint32 i = 0; i < dim; i++)
		copy[i] = norm > 0 ? (float) (x[i] / norm) : 0;
	return copy;
}

/* --- training --- */

/* The partitioner's own part of a builder */
typedef struct KmeansBuilder
{
	PirQuant   *quant;
	void	   *scratch;
	void	   *query;
	float	   *copy;			/* for centre_input() */
	const void **items;			/* PIR_IVF_BATCH */
	float	   *dists;
} KmeansBuilder;

/* A row of the sample as floats: PirClusterRows. Bits become zeros and ones. */
static const float *
sample_row(const void *arg, uint32_t i, float *scratch)
{
	const PirIvfBuilder *builder = arg;
	const char *input = builder->sample.inputs + i * builder->sample.stride;

	if (builder->value.type == PIR_VALUE_BIT)
	{
		const uint8 *bits = (const uint8 *) input;

		for (uint32 j = 0; j < builder->value.code_dim; j++)
			scratch[j] = (bits[j / BITS_PER_BYTE] >> (BITS_PER_BYTE - 1 - j % BITS_PER_BYTE)) & 1;
		return scratch;
	}
	return centre_input(builder->value.metric, builder->value.code_dim, input, scratch);
}

static void
check_interrupts(void *arg)
{
	CHECK_FOR_INTERRUPTS();
}

static void
kmeans_train(PirIvfBuilder *builder, uint32 nlists)
{
	PirClusterSpec spec = {0};
	PirClusterRows rows = {sample_row, builder};
	PirClusterHost host = {.interrupt = check_interrupts};
	PirClusterResult result;
	KmeansBuilder *own = MemoryContextAllocZero(builder->context, sizeof(KmeansBuilder));
	PirQuantSpec code;
	float	   *centres;
	uint8	   *bits = palloc0(pir_value_input_size(&builder->value));

	spec.nrows = builder->sample.nrows;
	spec.dim = builder->value.code_dim;
	spec.nlists = nlists;
	spec.spherical = builder->value.metric == PIR_METRIC_IP || builder->value.metric == PIR_METRIC_COSINE;
	spec.nworkers = 1;
	spec.seed = builder->meta.head.seed;
	centres = MemoryContextAllocHuge(builder->sample_context,
									 pir_size_mul(pir_size_mul(nlists, spec.dim), sizeof(float)));
	pir_cluster_train(&spec, &rows, &host, centres,
					  pir_alloc_aligned(builder->sample_context, pir_cluster_memory(&spec), false), &result);

	/* nothing to learn from: one list around the origin */
	if (result.nlists == 0)
	{
		memset(centres, 0, spec.dim * sizeof(float));
		result.nlists = 1;
	}
	builder->meta.nlists = result.nlists;
	builder->meta.residual = (float) Min(result.residual, 3e38);

	pir_ivf_centre_spec(&builder->meta, builder->centre, &code);
	own->quant = pir_quant_init(pir_alloc_aligned(builder->context, pir_quant_size(&code), false), &code);
	own->scratch = pir_alloc_aligned(builder->context, pir_quant_scratch_size(own->quant), false);
	own->query = pir_alloc_aligned(builder->context, pir_quant_query_size(own->quant), false);
	own->copy = pir_alloc_aligned(builder->context, pir_size_mul(spec.dim, sizeof(float)), false);
	own->items = MemoryContextAlloc(builder->context, PIR_IVF_BATCH * sizeof(void *));
	own->dists = MemoryContextAlloc(builder->context, PIR_IVF_BATCH * sizeof(float));
	builder->partition = own;
	builder->slots = pir_alloc_aligned(builder->context,
									   pir_size_mul(result.nlists, builder->slot_size), true);
	for (uint32 i = 0; i < result.nlists; i++)
	{
		const float *centre = centres + (Size) i * spec.dim;
		const void *input = centre;

		if (builder->value.type == PIR_VALUE_BIT)
		{
			/* the bits that most rows have */
			memset(bits, 0, pir_value_input_size(&builder->value));
			for (uint32 j = 0; j < spec.dim; j++)
			{
				if (centre[j] > 0.5f)
					bits[j / BITS_PER_BYTE] |= 1 << (BITS_PER_BYTE - 1 - j % BITS_PER_BYTE);
			}
			input = bits;
		}
		pir_quant_encode(own->quant, input, builder->slots + i * builder->slot_size, own->scratch);
	}
}

static uint32
kmeans_assign(PirIvfBuilder *builder, const void *input)
{
	KmeansBuilder *own = builder->partition;
	PirQuantQuery *query;
	uint32		nlists = builder->meta.nlists;
	uint32		best = 0;
	float		best_dist = INFINITY;

	query = pir_quant_prepare_query(own->quant,
									centre_input(builder->value.metric, builder->value.code_dim, input, own->copy),
									own->query, own->scratch);
	for (uint32 i = 0; i < nlists; i += PIR_IVF_BATCH)
	{
		int			m = Min(PIR_IVF_BATCH, nlists - i);

		for (int j = 0; j < m; j++)
			own->items[j] = builder->slots + (i + j) * builder->slot_size;
		pir_quant_distance_many(own->quant, query, own->items, m, own->dists);
		for (int j = 0; j < m; j++)
		{
			if (own->dists[j] < best_dist)
			{
				best_dist = own->dists[j];
				best = i + j;
			}
		}
	}
	return best;
}

/* --- inserts and scans --- */

static void
kmeans_score(PirIvfIndex *ivf, const void *input, float *score)
{
	const PirMetaHeadOnPage *head = &ivf->meta.head;
	void	   *scratch = pir_alloc_aligned(CurrentMemoryContext,
											pir_quant_scratch_size(ivf->centre_quant), false);
	float	   *copy = NULL;
	PirQuantQuery *query;
	const void *items[PIR_IVF_BATCH];

	if (ivf->value.metric == PIR_METRIC_IP)
		copy = pir_alloc_aligned(CurrentMemoryContext, ivf->value.code_dim * sizeof(float), false);
	query = pir_quant_prepare_query(ivf->centre_quant,
									centre_input(ivf->value.metric, ivf->value.code_dim, input, copy),
									pir_alloc_aligned(CurrentMemoryContext,
													  pir_quant_query_size(ivf->centre_quant), false),
									scratch);
	for (uint32 first = 0; first < ivf->meta.nlists; first += head->lists_per_page)
	{
		Buffer		buf = pir_table_pin(ivf->store, PIR_TABLE_LIST, first / head->lists_per_page);
		Page		page = pir_page_lock(ivf->rel, buf, PIR_PAGE_LIST, PIR_LOCK_SHARE);
		uint32		n = Min(head->lists_per_page, ivf->meta.nlists - first);

		if (pir_page_special(page)->nslots < n)
			pir_report_corrupted(ivf->rel, pir_page_blkno(buf), "directory page has %u lists instead of %u",
								 pir_page_special(page)->nslots, n);
		for (uint32 i = 0; i < n; i += PIR_IVF_BATCH)
		{
			int			m = Min(PIR_IVF_BATCH, n - i);

			for (int j = 0; j < m; j++)
				items[j] = ((PirIvfSlotOnPage *) (pir_page_content(page) + (i + j) * head->list_size))->item;
			pir_quant_distance_many(ivf->centre_quant, query, items, m, score + first + i);
		}
		pir_page_release(buf);
		CHECK_FOR_INTERRUPTS();
	}
}

const PirIvfPartitioner pir_ivf_kmeans = {
	.id = PIR_IVF_KMEANS,
	.name = "kmeans",
	.choose = choose_centre_code,
	.train = kmeans_train,
	.assign = kmeans_assign,
	.score = kmeans_score
};

static const PirIvfPartitioner *const partitioners[] = {&pir_ivf_kmeans};

const PirIvfPartitioner *
pir_ivf_partitioner(Relation index, uint8 id)
{
	for (int i = 0; i < lengthof(partitioners); i++)
	{
		if (partitioners[i]->id == id)
			return partitioners[i];
	}
	pir_report_corrupted(index, PIR_META_BLKNO, "partitioner is %u", id);
}

uint32
pir_ivf_nearest(PirIvfIndex *ivf, const void *input)
{
	float	   *score;
	uint32		best = 0;

	if (ivf->meta.state == PIR_IVF_FLAT)
		return 0;
	score = palloc(pir_size_mul(ivf->meta.nlists, sizeof(float)));
	pir_ivf_partitioner(ivf->rel, ivf->meta.partitioner)->score(ivf, input, score);
	for (uint32 i = 1; i < ivf->meta.nlists; i++)
	{
		if (score[i] < score[best])
			best = i;
	}
	pfree(score);
	return best;
}
