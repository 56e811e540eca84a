/*-------------------------------------------------------------------------
 *
 * hnsw_parallel.h
 *	  Building a graph with parallel workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_PARALLEL_H
#define PIR_HNSW_PARALLEL_H

#include "hnsw/hnsw_builder.h"

typedef struct PirHnswParallel PirHnswParallel;

/*
 * Build the graph of what the builder collected, with parallel workers if the
 * settings, the number of nodes and the machine allow. Returns NULL if not:
 * then nothing has changed, and the caller builds alone.
 *
 * On success graph's arrays (and builder->items) lie in shared memory, which
 * lasts until pir_hnsw_parallel_end(). The graph is the same that the caller
 * would have built alone.
 */
extern PirHnswParallel *pir_hnsw_parallel_build(PirHnswBuilder *builder, const float *centre,
												PirHnswGraph *graph);
extern void pir_hnsw_parallel_end(PirHnswParallel *parallel);

/* Workers that a build may ask for at most, now. */
extern int	pir_hnsw_parallel_workers(Relation heap);

#endif							/* PIR_HNSW_PARALLEL_H */
