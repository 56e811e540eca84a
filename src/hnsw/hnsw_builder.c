/*-------------------------------------------------------------------------
 *
 * hnsw_builder.c
 *	  Collecting rows for a graph: sample, codes, duplicates, memory.
 *
 * Rows become codes at once; rows with equal codes become duplicates of one
 * node. What is collected stays within maintenance_work_mem, counting what
 * building the graph will need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "common/hashfn.h"
#include "hnsw/hnsw_builder.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Parallel workers that the memory limit allows for */
#define USUAL_WORKERS			2

/* A duplicate, its place in the layout of pages, and the growth of their array */
#define BYTES_PER_DUPLICATE		(2 * sizeof(PirHnswDuplicate) + sizeof(uint32))

/* --- the sample: centre, scale, choice of the code --- */

/*
 * An index is expected to grow to at least so many rows. The more there are,
 * the nearer are neighbours, and the finer must codes be.
 */
#define GROWN_ROWS		100000.0

/* Vectors kept to measure codes with, even if maintenance_work_mem is small */
#define MIN_VECTORS		256

void
pir_hnsw_sample_begin(PirHnswSample *sample, PirHnswBuilder *builder)
{
	sample->builder = builder;
	sample->nrows = 0;
	sample->sums = MemoryContextAllocZero(builder->context,
										  pir_size_mul(builder->value.code_dim, sizeof(double)));
	sample->low = MemoryContextAlloc(builder->context, PIR_HNSW_SAMPLE_ROWS * sizeof(float));
	sample->high = MemoryContextAlloc(builder->context, PIR_HNSW_SAMPLE_ROWS * sizeof(float));
	sample->vectors = NULL;
	sample->nvectors = sample->max_vectors = 0;
	if (pir_hnsw_sample_wanted(builder))
	{
		Size		size = pir_size_mul(builder->value.code_dim, sizeof(float));
		Size		room = (Size) maintenance_work_mem * 1024 / 8 / size;

		sample->max_vectors = Min(Max(room, MIN_VECTORS), PIR_HNSW_SAMPLE_ROWS);
		sample->vectors = MemoryContextAllocHuge(builder->context, pir_size_mul(sample->max_vectors, size));
	}
}

void
pir_hnsw_sample_add(PirHnswSample *sample, const float *input)
{
	uint32		dim = sample->builder->value.code_dim;
	float		low = input[0];
	float		high = input[0];

	if (sample->nrows == PIR_HNSW_SAMPLE_ROWS)
		return;
	for (uint32 i = 0; i < dim; i++)
	{
		sample->sums[i] += input[i];
		low = Min(low, input[i]);
		high = Max(high, input[i]);
	}
	if (sample->nvectors < sample->max_vectors)
		memcpy(sample->vectors + (Size) sample->nvectors++ * dim, input, dim * sizeof(float));
	sample->low[sample->nrows] = low;
	sample->high[sample->nrows] = high;
	sample->nrows++;
}

/* Is the code of a row its value, to the bit? */
static bool
stored_as_is(const PirHnswBuilder *builder)
{
	switch (builder->meta.head.quantizer)
	{
		case PIR_QUANT_NONE:
		case PIR_QUANT_BITS:
			return true;
		case PIR_QUANT_HALF:
			return builder->value.type == PIR_VALUE_HALFVEC;
		default:
			return false;
	}
}

static void
prepare_quantizer(PirHnswBuilder *builder, const float *centre)
{
	PirQuantSpec spec;

	pir_hnsw_quant_spec(&builder->meta, centre, &spec);
	builder->quant = pir_quant_init(pir_alloc_aligned(builder->context, pir_quant_size(&spec), false),
									&spec);
	builder->scratch = pir_alloc_aligned(builder->context,
										 pir_quant_scratch_size(builder->quant), false);
	builder->stride = TYPEALIGN(8, builder->meta.head.item_size);
}

/*
 * Choose the codes: the first that tells near neighbours apart (see
 * quant_measure.c), from those the index has by default to finer ones.
 */
static void
choose_code(PirHnswSample *sample, double table_rows, bool warn, const float *centre)
{
	PirHnswBuilder *builder = sample->builder;
	PirHnswMetaOnPage *meta = &builder->meta;
	PirQuantSurvey *survey = MemoryContextAlloc(builder->context, sizeof(PirQuantSurvey));

	pir_quant_survey(builder->value.metric, sample->vectors, sample->nvectors,
					 builder->value.code_dim, Max(table_rows, GROWN_ROWS), survey);
	for (;;)
	{
		PirQuantMeasure measure = {0, PIR_QUANT_SURVEY_NEAR};
		void	   *memory;

		CHECK_FOR_INTERRUPTS();
		memory = pir_alloc_aligned(builder->row_context, pir_quant_measure_size(builder->quant), false);
		if (!stored_as_is(builder))
			pir_quant_measure(builder->quant, survey, sample->vectors, memory, &measure);
		MemoryContextReset(builder->row_context);
		meta->code_error = measure.error;
		meta->code_rows = measure.rows;
		if (measure.rows <= PIR_QUANT_MAX_ROWS)
			break;
		if (!pir_hnsw_finer_code(builder->index, &meta->head))
		{
			if (warn && measure.rows > PIR_QUANT_WARN_ROWS)
				ereport(WARNING,
						(errmsg("codes of quantizer \"%s\" with %u bits "
								"do not tell near neighbours apart in index \"%s\"",
								pir_quant_name(meta->head.quantizer), meta->head.bits,
								RelationGetRelationName(builder->index)),
						 errdetail("Distances between near rows are off by %.2g %%; "
								   "a search would have to look at %.3g rows to find the nearest %d.",
								   100 * measure.error, measure.rows, PIR_QUANT_SURVEY_NEAR),
						 errhint("Leave out \"quantizer\" and \"bits\", or increase hnsw.ef_search.")));
			break;
		}
		prepare_quantizer(builder, centre);
	}
	pfree(survey);
}

void
pir_hnsw_sample_finish(PirHnswSample *sample, double table_rows, bool warn, float **centre)
{
	PirHnswBuilder *builder = sample->builder;

	*centre = NULL;
	builder->meta.ntrained = 0;
	if (sample->nrows >= PIR_HNSW_TRAIN_ROWS)
	{
		*centre = MemoryContextAlloc(builder->context,
									 pir_size_mul(builder->value.code_dim, sizeof(float)));
		for (uint32 i = 0; i < builder->value.code_dim; i++)
			(*centre)[i] = (float) (sample->sums[i] / sample->nrows);
		builder->meta.ntrained = sample->nrows;
	}
	pir_quant_train_l1(sample->low, sample->high, sample->nrows,
					   &builder->meta.scale, &builder->meta.offset);

	prepare_quantizer(builder, *centre);
	if (*centre != NULL && sample->vectors != NULL)
		choose_code(sample, table_rows, warn, *centre);
	if (sample->vectors != NULL)
		pfree(sample->vectors);
	sample->vectors = NULL;
}

bool
pir_hnsw_sample_wanted(const PirHnswBuilder *builder)
{
	return !stored_as_is(builder);
}

/* --- collecting rows --- */

void
pir_hnsw_builder_init(PirHnswBuilder *builder, Relation heap, Relation index, const PirHnswMetaOnPage *meta)
{
	memset(builder, 0, sizeof(*builder));
	builder->index = index;
	builder->heap = heap;
	builder->context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw build",
											 ALLOCSET_DEFAULT_SIZES);
	builder->row_context = AllocSetContextCreate(builder->context, "piramid hnsw build row",
												 ALLOCSET_DEFAULT_SIZES);
	builder->meta = *meta;
	pir_hnsw_value_info(meta, &builder->value);
	builder->input = pir_alloc_aligned(builder->context, pir_value_input_size(&builder->value), true);
	builder->ef_construction = pir_hnsw_ef_construction(index);
}

/* Bytes that n nodes take while their graph is built. */
static Size
builder_bytes(const PirHnswBuilder *builder, uint32 n)
{
	uint16		m = builder->meta.head.m;
	Size		per_node = builder->stride + sizeof(ItemPointerData) +
		1 + 2 * m * sizeof(uint32) +	/* list */
		4 * sizeof(uint32) +	/* hash, at most half full */
		2 * sizeof(uint32);		/* order and its inverse */

	/*
	 * Workers mark the nodes they have visited, too; not counted by their
	 * number, on which nothing else depends.
	 */
	per_node += USUAL_WORKERS;

	return pir_size_add(pir_size_mul(n, per_node),
						pir_hnsw_graph_scratch_size(builder->quant, n, m, builder->ef_construction));
}

/* After the quantizer is known: how many nodes may there be? */
void
pir_hnsw_builder_limit(PirHnswBuilder *builder)
{
	Size		limit = (Size) maintenance_work_mem * 1024;
	uint32		low = 1;
	uint32		high = PIR_NID_NONE - 1;

	while (low < high)
	{
		uint32		middle = low + (high - low + 1) / 2;

		if (builder_bytes(builder, middle) <= limit)
			low = middle;
		else
			high = middle - 1;
	}
	builder->max_nodes = Max(low, 64);
	builder->max_dups = (uint32) Min(limit / BYTES_PER_DUPLICATE, MaxAllocHugeSize / BYTES_PER_DUPLICATE);
}

/*
 * Is there no room for one row more? What nodes leave of the memory is for
 * duplicates.
 */
static bool
builder_is_full(const PirHnswBuilder *builder)
{
	return (double) builder->n / builder->max_nodes +
		(double) builder->ndups / builder->max_dups >= 1;
}

static void
builder_grow(PirHnswBuilder *builder)
{
	uint32		capacity = (uint32) Min((uint64) Max(builder->capacity, 512) * 2, builder->max_nodes);
	uint32		hash_size = 1024;

	if (builder->items == NULL)
	{
		builder->items = MemoryContextAllocHuge(builder->context, pir_size_mul(capacity, builder->stride));
		builder->tids = MemoryContextAllocHuge(builder->context,
											   pir_size_mul(capacity, sizeof(ItemPointerData)));
	}
	else
	{
		builder->items = repalloc_huge(builder->items, pir_size_mul(capacity, builder->stride));
		builder->tids = repalloc_huge(builder->tids, pir_size_mul(capacity, sizeof(ItemPointerData)));
		pfree(builder->hash);
	}
	builder->capacity = capacity;

	while (hash_size < 2 * (uint64) capacity && hash_size < UINT32_C(0x80000000))
		hash_size *= 2;
	builder->hash_mask = hash_size - 1;
	builder->hash = MemoryContextAllocExtended(builder->context,
											   pir_size_mul(hash_size, sizeof(uint32)),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < builder->n; i++)
	{
		uint32		slot = hash_bytes(builder->items + i * builder->stride,
									  builder->meta.head.item_size) & builder->hash_mask;

		while (builder->hash[slot] != 0)
			slot = (slot + 1) & builder->hash_mask;
		builder->hash[slot] = i + 1;
	}
}

bool
pir_hnsw_builder_add(PirHnswBuilder *builder, ItemPointer tid)
{
	uint8	   *item;
	uint32		slot;

	if (builder_is_full(builder))
		return false;
	if (builder->n == builder->capacity)
		builder_grow(builder);

	item = builder->items + builder->n * builder->stride;
	memset(item, 0, builder->stride);
	pir_quant_encode(builder->quant, builder->input, item, builder->scratch);

	slot = hash_bytes(item, builder->meta.head.item_size) & builder->hash_mask;
	for (; builder->hash[slot] != 0; slot = (slot + 1) & builder->hash_mask)
	{
		uint32		node = builder->hash[slot] - 1;

		if (memcmp(builder->items + node * builder->stride, item, builder->meta.head.item_size) == 0)
		{
			if (builder->ndups == builder->dups_capacity)
			{
				builder->dups_capacity = Max(1024, builder->dups_capacity * 2);
				builder->dups = builder->dups == NULL
					? MemoryContextAllocHuge(builder->context,
											 pir_size_mul(builder->dups_capacity, sizeof(PirHnswDuplicate)))
					: repalloc_huge(builder->dups,
									pir_size_mul(builder->dups_capacity, sizeof(PirHnswDuplicate)));
			}
			builder->dups[builder->ndups].node = node;
			builder->dups[builder->ndups++].tid = *tid;
			return true;
		}
	}
	builder->hash[slot] = builder->n + 1;
	builder->tids[builder->n++] = *tid;
	return true;
}
