/*-------------------------------------------------------------------------
 *
 * hnsw_builder.h
 *	  Collecting rows, and writing them as a graph: what CREATE INDEX
 *	  (hnsw_build.c) and training (hnsw_train.c) share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_BUILDER_H
#define PIR_HNSW_BUILDER_H

#include "base/pir_compat.h"
#include "hnsw/hnsw_private.h"
#include "storage/page_sink.h"

/* Rows that the centre is computed from, at most */
#define PIR_HNSW_SAMPLE_ROWS		4096

/* A heap row beside the first of a node. */
typedef struct PirHnswDuplicate
{
	uint32		node;			/* builder number, later nid */
	ItemPointerData tid;
} PirHnswDuplicate;

typedef struct PirHnswBuilder
{
	Relation	index;
	Relation	heap;
	MemoryContext context;
	MemoryContext row_context;	/* reset per row */
	PirHnswMetaOnPage meta;		/* identity and trained part filled in */
	PirValueInfo value;
	PirQuant   *quant;
	void	   *scratch;		/* quantizer's */
	void	   *input;			/* one row's */
	int			ef_construction;

	Size		stride;			/* bytes from item to item */
	uint32		n;				/* nodes */
	uint32		capacity;		/* nodes that the arrays have room for */
	uint32		max_nodes;		/* nodes that the memory limit allows */
	uint32		max_dups;		/* duplicates beside so many nodes; fewer nodes, more of them */
	uint8	   *items;			/* n * stride */
	ItemPointerData *tids;		/* n */
	uint32	   *hash;			/* node + 1 by hash of its item; 0 = empty */
	uint32		hash_mask;
	PirHnswDuplicate  *dups;
	uint32		ndups;
	uint32		dups_capacity;

	double		nrows;			/* rows taken into the index */
} PirHnswBuilder;

typedef struct PirHnswSample
{
	PirHnswBuilder *builder;
	double	   *sums;			/* per dimension */
	float	   *low;			/* smallest component of each row (L1) */
	float	   *high;
	float	   *vectors;		/* of the first 'nvectors' rows, or NULL */
	uint32		nvectors;
	uint32		max_vectors;
	uint32		nrows;
} PirHnswSample;

/* --- hnsw_builder.c --- */

/*
 * Begin: 'meta' has the identity of the index. Everything is allocated in a
 * memory context below the current one, builder->context.
 */
extern void pir_hnsw_builder_init(PirHnswBuilder *builder, Relation heap, Relation index,
								  const PirHnswMetaOnPage *meta);

/* Is there anything to learn from a sample for the index's quantizer? */
extern bool pir_hnsw_sample_wanted(const PirHnswBuilder *builder);

extern void pir_hnsw_sample_begin(PirHnswSample *sample, PirHnswBuilder *builder);

/* Add one row's quantizer input; rows behind PIR_HNSW_SAMPLE_ROWS are ignored. */
extern void pir_hnsw_sample_add(PirHnswSample *sample, const float *input);

/*
 * Prepare the builder's quantizer with what the sample taught: the centre if
 * there were rows enough (else *centre is NULL), and the scale of scalar L1
 * codes. If the choice of the code is ours, takes the coarsest that resolves
 * near neighbours among the about 'table_rows' rows, and changes the identity
 * in builder->meta; if it is the user's, warns of one that does not if 'warn'.
 */
extern void pir_hnsw_sample_finish(PirHnswSample *sample, double table_rows, bool warn, float **centre);

/* Set max_nodes and max_dups from maintenance_work_mem; after the sample is finished. */
extern void pir_hnsw_builder_limit(PirHnswBuilder *builder);

/*
 * Take one row, whose quantizer input is in builder->input. False if there is
 * no memory for it.
 */
extern bool pir_hnsw_builder_add(PirHnswBuilder *builder, ItemPointer tid);

/* --- hnsw_builder_write.c --- */

/*
 * Build the graph of what was collected (unless the index stays flat) and
 * write it all, but for the meta page: builder->meta is completed instead.
 * Locks: those of the sink.
 */
extern void pir_hnsw_builder_write(PirHnswBuilder *builder, const float *centre,
								   PirPageSink *sink, bool flat, bool progress);

/* The poll callback of a graph; with a builder as argument it reports progress. */
extern void pir_hnsw_poll_graph(void *arg, uint32 done, uint32 total);

/* --- hnsw_builder_pages.c --- */

/*
 * Writing code or list pages, slot by slot. The page at hand is an image in
 * private memory: so a writer may be left alone for a while, and no page is
 * locked longer than it takes to copy one. The pages follow each other in the
 * file as long as nothing else is written between them.
 */
typedef struct PirHnswPages
{
	PirPageSink *sink;
	const PirMetaHeadOnPage *head;
	uint8		kind;			/* PIR_PAGE_CODE or PIR_PAGE_LIST */
	uint32		per_page;		/* slots */
	Size		slot_size;
	BlockNumber first;			/* block of the first page */
	uint32		npages;			/* written */
	uint32		nslots;			/* in the image */
	char		image[BLCKSZ];	/* content of the page at hand */
} PirHnswPages;

extern void pir_hnsw_pages_begin(PirHnswPages *pages, PirPageSink *sink,
								 const PirMetaHeadOnPage *head, uint8 kind);

/* Write the last page, then the page table of all. */
extern void pir_hnsw_pages_end(PirHnswPages *pages, PirTableOnPage *table);

/* Write the page at hand, so that all slots can be read. More may follow only if it was full. */
extern void pir_hnsw_pages_flush(PirHnswPages *pages);

/* The next node, the next TIDS node, the next list (of a TIDS node: 0 edges). */
extern void pir_hnsw_put_node(PirHnswPages *pages, const ItemPointerData *tid, uint32 link,
							  const uint8 *item);
extern void pir_hnsw_put_tids(PirHnswPages *pages, uint32 owner, uint32 next,
							  const ItemPointerData *tids, uint32 ntids);
extern void pir_hnsw_put_list(PirHnswPages *pages, const uint32 *edges, uint32 nedges);

/*
 * Read the item of a node whose page was written at 'first' + its logical
 * number; false if the slot is not that of a live node. Locks: shares one page
 * at a time.
 */
extern bool pir_hnsw_get_item(Relation index, const PirMetaHeadOnPage *head, BlockNumber first,
							  uint32 nid, uint8 *item);

/*
 * The entry layer: the root first, then nodes at even distances among nnodes
 * that were written from block 'first' on. As their order follows the
 * clusters, this is a stratified sample. Sets meta->root, entry and nentries.
 */
extern void pir_hnsw_put_entries(PirPageSink *sink, PirHnswMetaOnPage *meta, BlockNumber first,
								 uint32 nnodes, uint32 root);

/* Centre pages; 'centre' may be NULL. Sets meta->centre. */
extern void pir_hnsw_put_centre(PirPageSink *sink, PirHnswMetaOnPage *meta, const float *centre);

/* Raise the error that nids do not suffice: PROGRAM_LIMIT_EXCEEDED. */
extern void pir_hnsw_too_many_nodes(Relation index) PIR_NORETURN;

/* Write a meta page's content. */
extern void pir_hnsw_put_meta(Page page, const PirHnswMetaOnPage *meta);

#endif							/* PIR_HNSW_BUILDER_H */
