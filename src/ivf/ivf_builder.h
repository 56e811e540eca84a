/*-------------------------------------------------------------------------
 *
 * ivf_builder.h
 *	  From rows to lists: what CREATE INDEX (ivf_build.c) and training
 *	  (ivf_train.c) share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_IVF_BUILDER_H
#define PIR_IVF_BUILDER_H

#include "base/pir_compat.h"
#include "executor/tuptable.h"
#include "ivf/ivf_private.h"
#include "storage/page_sink.h"
#include "utils/tuplesort.h"

/*
 * A uniform sample of the rows that were offered (Vitter's algorithm R), as
 * quantizer inputs one after the other.
 */
typedef struct PirIvfSample
{
	char	   *inputs;
	Size		stride;
	uint32		capacity;
	uint32		nrows;			/* kept */
	uint64		noffered;
} PirIvfSample;

typedef struct PirIvfBuilder
{
	Relation	index;
	Relation	heap;
	MemoryContext context;
	MemoryContext row_context;	/* reset per row */
	MemoryContext sample_context;	/* deleted when lists are trained */
	PirIvfMetaOnPage meta;		/* identity and trained part filled in */
	PirValueInfo value;
	const PirIvfPartitioner *partitioner;
	void	   *input;			/* one row's */
	PirIvfSample sample;

	/* after training */
	float	   *centre;			/* subtracted before encoding, or NULL */
	PirQuant   *quant;
	void	   *scratch;		/* quantizer's */
	void	   *item;
	char	   *slots;			/* the partitioner's part of each directory slot */
	Size		slot_size;
	void	   *partition;		/* the partitioner's own */

	/* rows: (list, tid, item), sorted */
	Tuplesortstate *rows;
	TupleTableSlot *row;
	double		nrows;
} PirIvfBuilder;

/*
 * Begin: 'meta' has the identity of the index. Everything is allocated in a
 * memory context below the current one, builder->context.
 */
extern void pir_ivf_builder_init(PirIvfBuilder *builder, Relation heap, Relation index,
								 const PirIvfMetaOnPage *meta);

/*
 * Rows that a sample for 'nlists' lists should have, within
 * maintenance_work_mem; 0 if that is not enough memory for so many lists.
 */
extern uint32 pir_ivf_sample_rows(const PirIvfBuilder *builder, uint32 nlists);

/* ERROR (PROGRAM_LIMIT_EXCEEDED): the above was 0. */
extern void pir_ivf_report_memory(const PirIvfBuilder *builder, uint32 nlists) PIR_NORETURN;

extern void pir_ivf_sample_begin(PirIvfBuilder *builder, uint32 capacity);

/* Offer the row in builder->input. */
extern void pir_ivf_sample_offer(PirIvfBuilder *builder);

/*
 * Learn centre and lists from the sample, and forget it. nlists = 0 for an
 * index that stays flat. Then rows can be added.
 */
extern void pir_ivf_builder_train(PirIvfBuilder *builder, uint32 nlists);

/* Add the row in builder->input. */
extern void pir_ivf_builder_add(PirIvfBuilder *builder, const ItemPointerData *tid);

/*
 * Write lists, directory and centre, but not the meta page: builder->meta is
 * completed instead.
 * Locks: those of the sink.
 */
extern void pir_ivf_builder_write(PirIvfBuilder *builder, PirPageSink *sink, bool progress);

/* Write a meta page's content. */
extern void pir_ivf_put_meta(Page page, const PirIvfMetaOnPage *meta);

#endif							/* PIR_IVF_BUILDER_H */
