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
#include "hnsw/hnsw_parallel.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* --- the sample: centre and scale --- */

void
pir_hnsw_sample_begin(PirHnswSample *sample, PirHnswBuilder *builder)
{
	sample->builder = builder;
	sample->nrows = 0;
	sample->sums = MemoryContextAllocZero(builder->context,
										  pir_size_mul(builder->value.code_dim, sizeof(double)));
	sample->low = MemoryContextAlloc(builder->context, PIR_HNSW_SAMPLE_ROWS * sizeof(float));
	sample->high = MemoryContextAlloc(builder->context, PIR_HNSW_SAMPLE_ROWS * sizeof(float));
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
	sample->low[sample->nrows] = low;
	sample->high[sample->nrows] = high;
	sample->nrows++;
}

void
pir_hnsw_sample_finish(PirHnswSample *sample, float **centre)
{
	PirHnswBuilder *builder = sample->builder;
	PirQuantSpec spec;

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

	pir_hnsw_quant_spec(&builder->meta, *centre, &spec);
	builder->quant = pir_quant_init(pir_alloc_aligned(builder->context, pir_quant_size(&spec), false),
									&spec);
	builder->scratch = pir_alloc_aligned(builder->context,
										 pir_quant_scratch_size(builder->quant), false);
}

bool
pir_hnsw_sample_wanted(const PirHnswBuilder *builder)
{
	return builder->meta.head.quantizer == PIR_QUANT_RABITQ ||
		builder->meta.head.quantizer == PIR_QUANT_SQ8;
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
	builder->stride = TYPEALIGN(8, meta->head.item_size);
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

	/* each parallel worker marks the nodes it has visited */
	per_node += pir_hnsw_parallel_workers(builder->heap);

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

	if (builder->n == builder->capacity)
	{
		if (builder->n == builder->max_nodes)
			return false;
		builder_grow(builder);
	}

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
