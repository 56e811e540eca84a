/*-------------------------------------------------------------------------
 *
 * ivf_builder.c
 *	  From rows to lists: sample, training, sorting, writing.
 *
 * Rows are seen twice, first as a sample from which lists are learned, then
 * all of them: each is encoded, sent to its list, and sorted by list within
 * maintenance_work_mem (else on disk). So memory does not depend on the size of
 * the table, and pages are written one after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "cluster/cluster.h"
#include "commands/progress.h"
#include "ivf/ivf_builder.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Rows from which a mean is taken, at least; fewer are encoded around the origin. */
#define MIN_CENTRE_ROWS		256

/* Rows of the sample for each list, at least */
#define MIN_SAMPLE_PER_LIST	4.0

void
pir_ivf_builder_init(PirIvfBuilder *builder, Relation heap, Relation index,
					 const PirIvfMetaOnPage *meta)
{
	memset(builder, 0, sizeof(*builder));
	builder->index = index;
	builder->heap = heap;
	builder->meta = *meta;
	builder->context = AllocSetContextCreate(CurrentMemoryContext, "piramid ivf build",
											 ALLOCSET_DEFAULT_SIZES);
	builder->row_context = AllocSetContextCreate(builder->context, "piramid ivf build row",
												 ALLOCSET_DEFAULT_SIZES);
	builder->sample_context = AllocSetContextCreate(builder->context, "piramid ivf sample",
													ALLOCSET_DEFAULT_SIZES);
	pir_ivf_value_info(meta, &builder->value);
	builder->partitioner = pir_ivf_partitioner(index, meta->partitioner);
	builder->slot_size = meta->head.list_size - offsetof(PirIvfSlotOnPage, item);
	builder->input = pir_alloc_aligned(builder->context, pir_value_input_size(&builder->value), true);
}

/* --- the sample --- */

/* Bytes that finding so many lists takes, beside 'row' bytes for each row of the sample */
static double
lists_memory(const PirIvfBuilder *builder, uint32 nlists, double *row)
{
	PirClusterSpec spec = {.nrows = 1, .dim = builder->value.code_dim, .nlists = nlists, .nworkers = 1};

	*row = TYPEALIGN(4, pir_value_input_size(&builder->value)) + 24;
	return (double) pir_cluster_memory(&spec) + (double) nlists * spec.dim * sizeof(float) +
		(double) nlists * builder->slot_size;
}

uint32
pir_ivf_sample_rows(const PirIvfBuilder *builder, uint32 nlists)
{
	double		row;
	double		lists = lists_memory(builder, nlists, &row);
	double		wanted = (double) nlists * PIR_IVF_SAMPLE_PER_LIST;
	double		fit = ((double) maintenance_work_mem * 1024 - lists) / row;

	/* a centre wants some rows of its own */
	if (fit < MIN_SAMPLE_PER_LIST * nlists)
		return 0;
	return (uint32) Min(wanted, fit);
}

void
pir_ivf_report_memory(const PirIvfBuilder *builder, uint32 nlists)
{
	double		row;
	double		lists = lists_memory(builder, nlists, &row);

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("memory required to find %u lists is %.0f MB, maintenance_work_mem is %d MB",
					nlists, ceil((lists + MIN_SAMPLE_PER_LIST * nlists * row) / (1024 * 1024)),
					maintenance_work_mem / 1024),
			 errhint("Increase maintenance_work_mem, or take fewer lists.")));
}

void
pir_ivf_sample_begin(PirIvfBuilder *builder, uint32 capacity)
{
	PirIvfSample *sample = &builder->sample;

	sample->capacity = Max(capacity, 1);
	sample->nrows = 0;
	sample->noffered = 0;
	sample->stride = TYPEALIGN(4, pir_value_input_size(&builder->value));
	sample->inputs = pir_alloc_aligned(builder->sample_context,
									   pir_size_mul(sample->capacity, sample->stride), true);
}

void
pir_ivf_sample_offer(PirIvfBuilder *builder)
{
	PirIvfSample *sample = &builder->sample;
	uint64		place = sample->nrows;

	if (sample->noffered >= sample->capacity)
		place = pir_random_below(sample->noffered + 1);
	sample->noffered++;
	if (place >= sample->capacity)
		return;
	memcpy(sample->inputs + place * sample->stride, builder->input, pir_value_input_size(&builder->value));
	sample->nrows = Max(sample->nrows, place + 1);
}

/* The mean of the sample, or NULL if the code has no use for it. */
static float *
mean_of_sample(PirIvfBuilder *builder)
{
	uint32		dim = builder->value.code_dim;
	const PirIvfSample *sample = &builder->sample;
	double	   *sums;
	float	   *centre;

	if (sample->nrows < MIN_CENTRE_ROWS || pir_quant_is_exact(builder->quant))
		return NULL;
	sums = MemoryContextAllocZero(builder->sample_context, pir_size_mul(dim, sizeof(double)));
	centre = MemoryContextAlloc(builder->context, pir_size_mul(dim, sizeof(float)));
	for (uint32 i = 0; i < sample->nrows; i++)
	{
		const float *x = (const float *) (sample->inputs + i * sample->stride);

		for (uint32 j = 0; j < dim; j++)
			sums[j] += x[j];
	}
	for (uint32 j = 0; j < dim; j++)
		centre[j] = (float) (sums[j] / sample->nrows);
	return centre;
}

static void
prepare_quantizer(PirIvfBuilder *builder)
{
	PirQuantSpec spec;

	pir_ivf_quant_spec(&builder->meta, builder->centre, &spec);
	builder->quant = pir_quant_init(pir_alloc_aligned(builder->context, pir_quant_size(&spec), false), &spec);
}

/* Begin to sort rows by (list, tid), so that equal tables give equal files. */
static void
begin_rows(PirIvfBuilder *builder)
{
	TupleDesc	desc = CreateTemplateTupleDesc(3);
	AttrNumber	keys[2] = {1, 2};
	Oid			operators[2] = {Int4LessOperator, Int8LessOperator};
	Oid			collations[2] = {InvalidOid, InvalidOid};
	bool		nulls_first[2] = {false, false};

	TupleDescInitEntry(desc, 1, "list", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 2, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 3, "item", BYTEAOID, -1, 0);
	builder->rows = tuplesort_begin_heap(desc, 2, keys, operators, collations, nulls_first,
										 maintenance_work_mem, NULL, 0);
	builder->row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

void
pir_ivf_builder_train(PirIvfBuilder *builder, uint32 nlists)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);

	builder->centre = NULL;
	prepare_quantizer(builder);
	builder->meta.nlists = 1;
	builder->meta.state = nlists > 0 ? PIR_IVF_LISTS : PIR_IVF_FLAT;
	if (nlists > 0)
	{
		builder->centre = mean_of_sample(builder);
		if (builder->centre != NULL)
			prepare_quantizer(builder);
		builder->meta.ntrained = builder->sample.nrows;
		builder->partitioner->train(builder, nlists);
	}
	MemoryContextDelete(builder->sample_context);
	builder->sample_context = NULL;
	builder->sample.inputs = NULL;

	builder->scratch = pir_alloc_aligned(builder->context, pir_quant_scratch_size(builder->quant), false);
	builder->item = palloc0(VARHDRSZ + builder->meta.head.item_size);
	SET_VARSIZE(builder->item, VARHDRSZ + builder->meta.head.item_size);
	begin_rows(builder);
	MemoryContextSwitchTo(old);
}

void
pir_ivf_builder_add(PirIvfBuilder *builder, const ItemPointerData *tid)
{
	TupleTableSlot *slot = builder->row;
	uint32		list = 0;

	if (builder->meta.state == PIR_IVF_LISTS)
		list = builder->partitioner->assign(builder, builder->input);
	pir_quant_encode(builder->quant, builder->input, VARDATA(builder->item), builder->scratch);

	ExecClearTuple(slot);
	slot->tts_values[0] = Int32GetDatum((int32) list);
	slot->tts_values[1] = Int64GetDatum(((int64) ItemPointerGetBlockNumber(tid) << 16) |
										ItemPointerGetOffsetNumber(tid));
	slot->tts_values[2] = PointerGetDatum(builder->item);
	slot->tts_isnull[0] = slot->tts_isnull[1] = slot->tts_isnull[2] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(builder->rows, slot);
	builder->nrows++;
}

/* --- writing --- */

static void
write_centre(PirIvfBuilder *builder, PirPageSink *sink)
{
	uint32		dim = builder->value.code_dim;

	builder->meta.centre = InvalidBlockNumber;
	for (uint32 done = 0; builder->centre != NULL && done < dim;)
	{
		uint32		count = Min(dim - done, (uint32) PIR_IVF_CENTRE_FANOUT);
		Page		page = pir_sink_page(sink, PIR_PAGE_CENTRE, done / PIR_IVF_CENTRE_FANOUT);
		BlockNumber blkno;

		memcpy(pir_page_content(page), builder->centre + done, count * sizeof(float));
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, count * sizeof(float));
		done += count;
		if (done < dim)
			pir_page_special(page)->next = sink->next + 1;
		blkno = pir_sink_done(sink);
		if (builder->meta.centre == InvalidBlockNumber)
			builder->meta.centre = blkno;
	}
}

/* Write the sorted rows; roots[] learns where each list is. */
static void
write_postings(PirIvfBuilder *builder, PirPageSink *sink, PirIvfRootOnPage *roots, bool progress)
{
	const PirMetaHeadOnPage *head = &builder->meta.head;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(builder->row->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	bool		more = tuplesort_gettupleslot(builder->rows, true, false, slot, NULL);
	double		done = 0;

	while (more)
	{
		bool		isnull;
		uint32		list = (uint32) DatumGetInt32(slot_getattr(slot, 1, &isnull));
		uint32		of_row = list;
		Page		page = pir_sink_page(sink, PIR_PAGE_CODE, list);

		((PirIvfPostingsOnPage *) pir_page_content(page))->epoch = head->epoch;
		while (more && of_row == list && pir_page_special(page)->nslots < head->nodes_per_page)
		{
			int64		tid_value = DatumGetInt64(slot_getattr(slot, 2, &isnull));
			Datum		item = slot_getattr(slot, 3, &isnull);
			ItemPointerData tid;

			ItemPointerSet(&tid, (BlockNumber) (tid_value >> 16), (OffsetNumber) (tid_value & 0xFFFF));
			pir_ivf_append(head, page, VARDATA_ANY(DatumGetPointer(item)), &tid);
			more = tuplesort_gettupleslot(builder->rows, true, false, slot, NULL);
			if (more)
				of_row = (uint32) DatumGetInt32(slot_getattr(slot, 1, &isnull));
			done++;
		}
		if (more && of_row == list)
			pir_page_special(page)->next = sink->next + 1;
		roots[list].hint = pir_sink_done(sink);
		if (roots[list].first == InvalidBlockNumber)
			roots[list].first = roots[list].hint;
		if (progress)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) done);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static void
write_directory(PirIvfBuilder *builder, PirPageSink *sink, const PirIvfRootOnPage *roots)
{
	PirMetaHeadOnPage *head = &builder->meta.head;
	BlockNumber first = sink->next;
	uint32		npages = 0;

	for (uint32 done = 0; done < builder->meta.nlists;)
	{
		uint32		count = Min(builder->meta.nlists - done, head->lists_per_page);
		Page		page = pir_sink_page(sink, PIR_PAGE_LIST, npages++);

		for (uint32 i = 0; i < count; i++)
		{
			PirIvfSlotOnPage *slot = (PirIvfSlotOnPage *) (pir_page_content(page) + i * head->list_size);

			slot->root = roots[done + i];
			memcpy(slot->item, builder->slots + (done + i) * builder->slot_size, builder->slot_size);
		}
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, (Size) count * head->list_size);
		(void) pir_sink_done(sink);
		done += count;
	}
	pir_sink_table(sink, &head->tables[PIR_TABLE_LIST], first, npages);
}

void
pir_ivf_builder_write(PirIvfBuilder *builder, PirPageSink *sink, bool progress)
{
	PirIvfMetaOnPage *meta = &builder->meta;
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	PirIvfRootOnPage *roots = palloc_extended(pir_size_mul(meta->nlists, sizeof(PirIvfRootOnPage)),
											  MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < meta->nlists; i++)
		roots[i].first = roots[i].hint = InvalidBlockNumber;
	tuplesort_performsort(builder->rows);
	if (progress)
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PIR_IVF_PHASE_LOAD);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, (int64) builder->nrows);
	}
	write_centre(builder, sink);
	write_postings(builder, sink, roots, progress);
	tuplesort_end(builder->rows);
	ExecDropSingleTupleTableSlot(builder->row);

	meta->flat.first = meta->flat.hint = InvalidBlockNumber;
	meta->nflat = 0;
	if (meta->state == PIR_IVF_LISTS)
		write_directory(builder, sink, roots);
	else
	{
		meta->flat = roots[0];
		meta->nflat = (uint32) builder->nrows;
	}
	meta->head.nblocks = sink->next;
	MemoryContextSwitchTo(old);
}

void
pir_ivf_put_meta(Page page, const PirIvfMetaOnPage *meta)
{
	memcpy(pir_page_content(page), meta, sizeof(PirIvfMetaOnPage));
	pir_page_set_used(page, sizeof(PirIvfMetaOnPage));
}
