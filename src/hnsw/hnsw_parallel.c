/*-------------------------------------------------------------------------
 *
 * hnsw_parallel.c
 *	  Building a graph with parallel workers.
 *
 * Nine tenths of a build are searches of the growing graph, which need codes
 * and lists and nothing else of the server. So the leader scans the table and
 * collects codes as ever; then it moves them into dynamic shared memory,
 * where the members of a team build the graph in step (hnsw_graph.c). Workers
 * never touch a relation: it does not matter whether the index's expressions
 * are parallel safe, whether the table is temporary, or how many pages the
 * table proper has while its vectors are out of line. What decides is the
 * number of nodes, within max_parallel_maintenance_workers and the table's
 * parallel_workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/statvfs.h>
#endif

#include "access/parallel.h"
#include "access/xact.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "base/pir_memory.h"
#include "hnsw/hnsw_parallel.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
#include "storage/dsm_impl.h"
#include "utils/memutils.h"

/* Where workers find pir_hnsw_parallel_main() */
#define LIBRARY_NAME	"piramid"

/* A worker must have this many nodes to be worth starting. */
#define NODES_PER_WORKER	10000

/* Items are moved into shared memory in slices of this many bytes. */
#define MOVE_SLICE		(64 * 1024 * 1024)

#define KEY_SHARED		UINT64CONST(1)
#define KEY_ARENA		UINT64CONST(2)

/* What the leader tells the workers. */
typedef struct Shared
{
	PirHnswMetaOnPage meta;
	bool		has_centre;
	uint32		n;
	uint16		m;
	uint16		ef;
	Size		item_stride;
	int			nmembers;		/* 0 until the leader knows; 'ready' tells */
	slock_t		mutex;			/* protects nmembers */
	ConditionVariable ready;
	Barrier		barrier;
} Shared;

/* Where things lie in the arena, by address in this process. */
typedef struct Arena
{
	float	   *centre;
	uint8	   *items;
	uint8	   *nedges;
	uint32	   *edges;
	void	   *scratch;
} Arena;

struct PirHnswParallel
{
	ParallelContext *context;
};

PGDLLEXPORT void pir_hnsw_parallel_main(dsm_segment *segment, shm_toc *toc);

/* Lay out the arena over 'base' (NULL: only count). Returns its size. */
static Size
layout_arena(Arena *arena, char *base, const Shared *shared)
{
	Size		offset = 0;
	Size		at[5];
	Size		sizes[5];

	sizes[0] = shared->has_centre ? pir_size_mul(shared->meta.head.code_dim, sizeof(float)) : 0;
	sizes[1] = pir_size_mul(shared->n, shared->item_stride);
	sizes[2] = shared->n;
	sizes[3] = pir_size_mul(shared->n, 2 * (Size) shared->m * sizeof(uint32));
	sizes[4] = pir_hnsw_graph_shared_size(shared->n, shared->m);
	for (int i = 0; i < 5; i++)
	{
		at[i] = offset;
		offset = pir_size_add(offset, TYPEALIGN(PIR_CACHE_LINE, sizes[i]));
	}
	if (base != NULL)
	{
		base = (char *) TYPEALIGN(PIR_CACHE_LINE, base);
		arena->centre = shared->has_centre ? (float *) (base + at[0]) : NULL;
		arena->items = (uint8 *) (base + at[1]);
		arena->nedges = (uint8 *) (base + at[2]);
		arena->edges = (uint32 *) (base + at[3]);
		arena->scratch = base + at[4];
	}
	return pir_size_add(offset, PIR_CACHE_LINE);
}

int
pir_hnsw_parallel_workers(Relation heap)
{
	int			allowed = RelationGetParallelWorkers(heap, max_parallel_maintenance_workers);

	if (IsParallelWorker() || IsInParallelMode() || !IsUnderPostmaster)
		return 0;
	return Max(0, Min(allowed, max_parallel_maintenance_workers));
}

/*
 * Would a segment of this size fit? POSIX segments on Linux live in a file
 * system that containers often keep small, and running out of it is an ERROR
 * that nobody could go on from.
 */
static bool
memory_available(Size size)
{
#ifdef __linux__
	struct statvfs fs;

	if (dynamic_shared_memory_type == DSM_IMPL_POSIX && statvfs("/dev/shm", &fs) == 0)
		return size + size / 16 < (uint64) fs.f_bavail * fs.f_frsize;
#endif
	return true;
}

static void
wait_for_team(void *arg)
{
	BarrierArriveAndWait(&((Shared *) arg)->barrier, PG_WAIT_EXTENSION);
}

static void
poll_interrupts(void *arg, uint32 done, uint32 total)
{
	CHECK_FOR_INTERRUPTS();
}

/* Point a graph at the arena. */
static void
use_arena(PirHnswGraph *graph, const Shared *shared, const Arena *arena)
{
	graph->n = shared->n;
	graph->m = shared->m;
	graph->cap = 2 * shared->m;
	graph->ef = shared->ef;
	graph->items = arena->items;
	graph->item_stride = shared->item_stride;
	graph->nedges = arena->nedges;
	graph->edges = arena->edges;
}

static void
join_team(PirHnswGraph *graph, Shared *shared, const Arena *arena, int member)
{
	PirHnswTeam team;
	void	   *own = pir_alloc_aligned(CurrentMemoryContext,
											pir_hnsw_graph_private_size(graph->quant, graph->n,
																		graph->m, graph->ef), true);

	team.member = member;
	team.barrier = wait_for_team;
	team.arg = shared;
	pir_hnsw_graph_build_team(graph, arena->scratch, own, &team);
}

/* Move the builder's items, giving back the memory as it is emptied. */
static void
move_items(PirHnswBuilder *builder, uint8 *to)
{
	Size		left = pir_size_mul(builder->n, builder->stride);

	while (left > 0)
	{
		Size		slice = Min(left, (Size) MOVE_SLICE);

		left -= slice;
		memcpy(to + left, builder->items + left, slice);
		if (left > 0)
			builder->items = repalloc_huge(builder->items, left);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(builder->items);
	builder->items = to;
}

PirHnswParallel *
pir_hnsw_parallel_build(PirHnswBuilder *builder, const float *centre, PirHnswGraph *graph)
{
	int			nworkers = Min(pir_hnsw_parallel_workers(builder->heap),
							   (int) (builder->n / NODES_PER_WORKER));
	PirHnswParallel *parallel;
	ParallelContext *context;
	Shared		draft;
	Shared	   *shared;
	Arena		arena;
	char	   *base;
	Size		size;

	if (nworkers <= 0)
		return NULL;

	memset(&draft, 0, sizeof(draft));
	draft.meta = builder->meta;
	draft.has_centre = centre != NULL;
	draft.n = builder->n;
	draft.m = graph->m;
	draft.ef = graph->ef;
	draft.item_stride = builder->stride;
	size = layout_arena(&arena, NULL, &draft);
	if (!memory_available(size))
	{
		ereport(DEBUG1,
				(errmsg_internal("no parallel workers: %zu bytes of shared memory are not available", size)));
		return NULL;
	}

	EnterParallelMode();
	context = CreateParallelContext(LIBRARY_NAME, "pir_hnsw_parallel_main", nworkers);
	shm_toc_estimate_chunk(&context->estimator, sizeof(Shared));
	shm_toc_estimate_chunk(&context->estimator, size);
	shm_toc_estimate_keys(&context->estimator, 2);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
	{
		/* no segment to be had */
		DestroyParallelContext(context);
		ExitParallelMode();
		return NULL;
	}

	shared = shm_toc_allocate(context->toc, sizeof(Shared));
	*shared = draft;
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->ready);
	shm_toc_insert(context->toc, KEY_SHARED, shared);
	base = shm_toc_allocate(context->toc, size);
	shm_toc_insert(context->toc, KEY_ARENA, base);
	layout_arena(&arena, base, shared);
	if (centre != NULL)
		memcpy(arena.centre, centre, shared->meta.head.code_dim * sizeof(float));
	move_items(builder, arena.items);
	use_arena(graph, shared, &arena);

	/* whoever did not start is not waited for */
	LaunchParallelWorkers(context);
	ereport(DEBUG1,
			(errmsg_internal("using %d parallel workers", context->nworkers_launched)));
	WaitForParallelWorkersToAttach(context);
	BarrierInit(&shared->barrier, context->nworkers_launched + 1);
	SpinLockAcquire(&shared->mutex);
	shared->nmembers = context->nworkers_launched + 1;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->ready);

	join_team(graph, shared, &arena, 0);
	WaitForParallelWorkersToFinish(context);

	parallel = palloc(sizeof(PirHnswParallel));
	parallel->context = context;
	return parallel;
}

void
pir_hnsw_parallel_end(PirHnswParallel *parallel)
{
	DestroyParallelContext(parallel->context);
	ExitParallelMode();
	pfree(parallel);
}

/* A worker: one member of the team. */
void
pir_hnsw_parallel_main(dsm_segment *segment, shm_toc *toc)
{
	Shared	   *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	PirHnswGraph graph;
	PirQuantSpec spec;
	Arena		arena;
	int			nmembers;

	layout_arena(&arena, shm_toc_lookup(toc, KEY_ARENA, false), shared);
	memset(&graph, 0, sizeof(graph));
	use_arena(&graph, shared, &arena);
	pir_hnsw_quant_spec(&shared->meta, arena.centre, &spec);
	graph.quant = pir_quant_init(pir_alloc_aligned(CurrentMemoryContext, pir_quant_size(&spec), false), &spec);
	graph.poll = poll_interrupts;

	ConditionVariablePrepareToSleep(&shared->ready);
	for (;;)
	{
		SpinLockAcquire(&shared->mutex);
		nmembers = shared->nmembers;
		SpinLockRelease(&shared->mutex);
		if (nmembers > 0)
			break;
		ConditionVariableSleep(&shared->ready, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();

	join_team(&graph, shared, &arena, ParallelWorkerNumber + 1);
}
