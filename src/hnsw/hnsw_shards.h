/*-------------------------------------------------------------------------
 *
 * hnsw_shards.h
 *	  Building a graph that does not fit into maintenance_work_mem, shard by
 *	  shard. README.md section 4, "Shards", has the algorithm.
 *
 * The steps, in the order of files: rows are spooled and sorted into shards
 * (hnsw_shards.c); each shard becomes a graph, and its code pages are written
 * (hnsw_shards_build.c); nodes near a border look for neighbours beyond it,
 * and all lists are written (hnsw_shards_join.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_SHARDS_H
#define PIR_HNSW_SHARDS_H

#include "hnsw/hnsw_builder.h"
#include "hnsw/hnsw_parallel.h"
#include "storage/buffile.h"
#include "utils/tuplesort.h"

/* Foreign shards that one node looks for neighbours in, at most */
#define PIR_SHARD_FOREIGN	3

/* No group */
#define PIR_GROUP_NONE		PG_UINT32_MAX

/*
 * A graph of its own. Rows of one group are neighbours; a group is one shard,
 * or several 'parts' if it has more nodes than fit.
 */
typedef struct PirHnswShard
{
	uint32		group;
	uint32		part;
	uint32		base;			/* first nid */
	uint32		n;				/* nodes; then come the TIDS nodes */
	uint32		ntids_nodes;
	uint32		root;			/* nid of the root of its anchors */
} PirHnswShard;

typedef struct PirHnswShards
{
	PirHnswBuilder *builder;
	MemoryContext context;		/* the builder's */
	PirPageSink *sink;

	/* limits, from maintenance_work_mem */
	Size		arena_size;
	int			sort_kilobytes; /* of each of at most two sorts at work */
	uint32		max_nodes;		/* of a shard */

	/* what was spooled */
	BufFile    *spool;			/* tid, item */
	uint64		nrows;

	PirHnswCrew *crew;
	uint8	   *arena;
	Tuplesortstate *rows;		/* by group, item, tid */
	Tuplesortstate *queries;	/* by group and part they go to, nid */
	Tuplesortstate *edges;		/* by nid they go out from: int8 */
	BufFile    *lists;			/* of the shards' graphs, by nid: count (one byte), edges */
	PirHnswPages *pages;
	BlockNumber first_code;		/* block of the first code page */

	PirHnswShard *shards;
	uint32		nshards;
	uint32		shards_capacity;
	uint32		nnodes;			/* nids given, those of TIDS nodes included */
} PirHnswShards;

/* Where the graph of a shard lies in the arena. */
typedef struct PirShardLayout
{
	uint8	   *items;
	uint8	   *nedges;
	uint32	   *edges;
	void	   *scratch;		/* of construction and placement */
	ItemPointerData *tids;		/* first row of each node */
	uint32	   *ndups;			/* further rows */
	uint32	   *foreign;		/* PIR_SHARD_FOREIGN groups each */
	uint32	   *order;			/* node at each position */
	uint32	   *nids;			/* the inverse */
} PirShardLayout;

/* --- hnsw_shards.c --- */

/*
 * Begin: what the builder has collected goes to a spool, and its memory is
 * given back. Then add the remaining rows (their input is in builder->input),
 * then finish, which writes all but the meta page, as
 * pir_hnsw_builder_write() does.
 */
extern PirHnswShards *pir_hnsw_shards_begin(PirHnswBuilder *builder);
extern void pir_hnsw_shards_add(PirHnswShards *shards, ItemPointer tid);
extern void pir_hnsw_shards_finish(PirHnswShards *shards, const float *centre, PirPageSink *sink);

/* Lay out a shard of n nodes over 'base' (NULL: only count); returns the size. */
extern Size pir_shard_layout(const PirHnswShards *shards, PirShardLayout *layout, uint8 *base, uint32 n);

/* A graph of n nodes in memory so laid out. */
extern void pir_shard_graph(const PirHnswShards *shards, const PirShardLayout *layout, uint32 n,
							PirHnswGraph *graph);

/* Temporary files: all of it, or an error. */
extern void pir_spool_read(BufFile *file, void *data, Size size);
extern void pir_spool_rewind(BufFile *file);

/*
 * Records of a sort are byte strings, ordered as such: numbers in them have
 * the highest byte first.
 */
extern void pir_put_number(uint8 *to, uint32 number);
extern uint32 pir_get_number(const uint8 *from);

/* A sort of byte strings, filled by pir_sort_put(). */
extern Tuplesortstate *pir_sort_begin(const PirHnswShards *shards);
extern void pir_sort_put(Tuplesortstate *sort, bytea *record, Size size);

/* The next record, palloc'd; NULL at the end. */
extern bytea *pir_sort_next(Tuplesortstate *sort);

/* Bytes of the records of 'rows' and 'queries'. */
extern Size pir_row_record_size(const PirHnswShards *shards);
extern Size pir_query_record_size(const PirHnswShards *shards);

/* Report that a phase begins, and how far it has come. */
extern void pir_shards_phase(int phase, uint64 total);
extern void pir_shards_progress(uint64 done);

/* --- hnsw_shards_build.c --- */

/*
 * Take shards->rows shard by shard: build graphs, write code pages, keep
 * lists, and fill shards->queries.
 */
extern void pir_shards_build(PirHnswShards *shards);

/* --- hnsw_shards_join.c --- */

/* Answer shards->queries: fills shards->edges. */
extern void pir_shards_find_edges(PirHnswShards *shards);

/* Merge the lists of the shards with those edges into list pages. */
extern void pir_shards_write_lists(PirHnswShards *shards);

/* What merging needs of the arena at least. */
extern Size pir_shards_merge_size(const PirHnswShards *shards);

#endif							/* PIR_HNSW_SHARDS_H */
