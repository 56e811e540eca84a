/*-------------------------------------------------------------------------
 *
 * hnsw_parallel.h
 *	  The crew of a build: the leader and its parallel workers, if any, and
 *	  the memory they share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_PARALLEL_H
#define PIR_HNSW_PARALLEL_H

#include "hnsw/hnsw_builder.h"

typedef struct PirHnswCrew PirHnswCrew;

/*
 * Assemble a crew for about 'nrows' rows, with an arena of 'size' bytes that
 * all members see, 64-byte aligned. With 'alone_too', a leader without
 * workers is a crew, and the arena its own memory; else NULL is returned if
 * the settings, the number of rows or the machine allow no workers. What the
 * members compute does not depend on how many they are.
 *
 * Everything is allocated in the builder's context. The caller is in parallel
 * mode until pir_hnsw_crew_end().
 */
extern PirHnswCrew *pir_hnsw_crew_begin(PirHnswBuilder *builder, const float *centre, double nrows,
										Size size, bool alone_too);
extern void pir_hnsw_crew_end(PirHnswCrew *crew);
extern uint8 *pir_hnsw_crew_arena(PirHnswCrew *crew);

/*
 * Work for all members; returns when it is done. The arrays that are pointed
 * to lie in the arena, 'scratch' too (pir_hnsw_graph_shared_size() of it).
 * graph->poll is called in the leader.
 */
extern void pir_hnsw_crew_build(PirHnswCrew *crew, PirHnswGraph *graph, void *scratch);
extern void pir_hnsw_crew_find(PirHnswCrew *crew, const PirHnswGraph *graph,
							   const PirHnswQueries *queries);
extern void pir_hnsw_crew_choose(PirHnswCrew *crew, const PirHnswLists *lists);

#endif							/* PIR_HNSW_PARALLEL_H */
