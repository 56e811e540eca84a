/*-------------------------------------------------------------------------
 *
 * hnsw_parallel.c
 *	  The crew of a build: the leader and its parallel workers.
 *
 * Nine tenths of a build are searches of graphs in memory, which need codes
 * and lists and nothing else of the server. So the leader does all that has to
 * do with relations and files, and puts codes into dynamic shared memory,
 * where it works on them together with the workers, one job after the other.
 * Workers never touch a relation: it does not matter whether the index's
 * expressions are parallel safe, whether the table is temporary, or how many
 * pages the table proper has while its vectors are out of line. What decides
 * is the number of rows, within max_parallel_maintenance_workers and the
 * table's parallel_workers.
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
#include "port/atomics.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
#include "storage/dsm_impl.h"
#include "utils/memutils.h"

/* Where workers find pir_hnsw_parallel_main() */
#define LIBRARY_NAME	"piramid"

/* A worker must have this many rows to be worth starting. */
#define ROWS_PER_WORKER	10000

#define KEY_SHARED		UINT64CONST(1)
#define KEY_ARENA		UINT64CONST(2)
#define KEY_CENTRE		UINT64CONST(3)

/* Pieces of work that a member takes at a time */
#define PIECE_QUERIES	16
#define PIECE_LISTS		64

typedef enum JobKind
{
	JOB_BUILD,
	JOB_FIND,
	JOB_CHOOSE,
	JOB_END						/* go home */
} JobKind;

/* A job. Pointers in it are offsets in the arena. */
typedef struct Job
{
	JobKind		kind;
	PirHnswGraph graph;			/* BUILD, FIND */
	void	   *scratch;		/* BUILD */
	PirHnswQueries queries;		/* FIND */
	PirHnswLists lists;			/* CHOOSE */
} Job;

/* What the leader tells the workers. */
typedef struct Shared
{
	PirHnswMetaOnPage meta;
	bool		has_centre;
	uint16		m;
	uint16		ef;
	int			nmembers;		/* 0 until the leader knows; 'ready' tells */
	slock_t		mutex;			/* protects nmembers */
	ConditionVariable ready;
	Barrier		barrier;
	Job			job;
	pg_atomic_uint32 next;		/* next piece of the job */
} Shared;

struct PirHnswCrew
{
	Shared	   *shared;
	uint8	   *arena;
	const PirQuant *quant;
	MemoryContext context;		/* reset after each job */
	int			member;			/* 0 is the leader */
	bool		alone;
	ParallelContext *parallel;	/* leader with workers: else NULL */
};

PGDLLEXPORT void pir_hnsw_parallel_main(dsm_segment *segment, shm_toc *toc);

/* Workers that a build may ask for at most, now. */
static int
allowed_workers(Relation heap)
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

/* ------------------------------------------------------------------------
 *	Jobs
 * ------------------------------------------------------------------------
 */

static void
wait_for_crew(void *arg)
{
	BarrierArriveAndWait(&((Shared *) arg)->barrier, PG_WAIT_EXTENSION);
}

static void
poll_interrupts(void *arg, uint32 done, uint32 total)
{
	CHECK_FOR_INTERRUPTS();
}

static inline void *
from_offset(const PirHnswCrew *crew, const void *offset)
{
	return crew->arena + (Size) offset;
}

static inline void *
to_offset(const PirHnswCrew *crew, const void *address)
{
	return (void *) (Size) ((const uint8 *) address - crew->arena);
}

/* Take the next piece of 'total'; false if there is none left. */
static bool
take_piece(const PirHnswCrew *crew, uint32 size, uint32 total, uint32 *lo, uint32 *hi)
{
	CHECK_FOR_INTERRUPTS();
	*lo = pg_atomic_fetch_add_u32(&crew->shared->next, size);
	*hi = *lo < total && total - *lo > size ? *lo + size : total;
	return *lo < total;
}

/* This member's part of the job. */
static void
do_job(PirHnswCrew *crew, PirHnswPoll poll, void *poll_arg)
{
	Job			job = crew->shared->job;
	PirHnswGraph *graph = &job.graph;
	MemoryContext old = MemoryContextSwitchTo(crew->context);
	uint32		n = job.kind == JOB_CHOOSE ? 0 : graph->n;
	uint16		m = job.kind == JOB_CHOOSE ? crew->shared->m : graph->m;
	uint16		ef = job.kind == JOB_CHOOSE ? crew->shared->ef : graph->ef;
	void	   *own = pir_alloc_aligned(crew->context, pir_hnsw_graph_private_size(crew->quant, n, m, ef), true);
	uint32		lo,
				hi;

	if (job.kind != JOB_CHOOSE)
	{
		graph->quant = crew->quant;
		graph->items = from_offset(crew, graph->items);
		graph->nedges = from_offset(crew, graph->nedges);
		graph->edges = from_offset(crew, graph->edges);
		graph->poll = poll;
		graph->poll_arg = poll_arg;
	}
	switch (job.kind)
	{
		case JOB_BUILD:
			{
				PirHnswTeam team;

				team.member = crew->member;
				team.barrier = wait_for_crew;
				team.arg = crew->shared;
				pir_hnsw_graph_build_team(graph, from_offset(crew, job.scratch), own,
										  crew->alone ? NULL : &team);
				break;
			}
		case JOB_FIND:
			job.queries.items = from_offset(crew, job.queries.items);
			job.queries.found = from_offset(crew, job.queries.found);
			job.queries.nfound = from_offset(crew, job.queries.nfound);
			while (take_piece(crew, PIECE_QUERIES, job.queries.n, &lo, &hi))
				pir_hnsw_graph_find(graph, &job.queries, lo, hi, own);
			break;
		case JOB_CHOOSE:
			job.lists.items = from_offset(crew, job.lists.items);
			job.lists.base = from_offset(crew, job.lists.base);
			job.lists.start = from_offset(crew, job.lists.start);
			job.lists.count = from_offset(crew, job.lists.count);
			job.lists.nodes = from_offset(crew, job.lists.nodes);
			while (take_piece(crew, PIECE_LISTS, job.lists.n, &lo, &hi))
				pir_hnsw_graph_choose(crew->quant, &job.lists, lo, hi, own);
			break;
		case JOB_END:
			break;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(crew->context);
}

/* The leader's side of a job: tell it, do a part, wait for the others. */
static void
run_job(PirHnswCrew *crew, const Job *job, PirHnswPoll poll, void *poll_arg)
{
	crew->shared->job = *job;
	pg_atomic_write_u32(&crew->shared->next, 0);
	if (!crew->alone)
		wait_for_crew(crew->shared);
	if (job->kind != JOB_END)
	{
		do_job(crew, poll, poll_arg);
		if (!crew->alone)
			wait_for_crew(crew->shared);
	}
}

/* A graph as a job has it. */
static void
job_graph(const PirHnswCrew *crew, Job *job, const PirHnswGraph *graph)
{
	job->graph = *graph;
	job->graph.items = to_offset(crew, graph->items);
	job->graph.nedges = to_offset(crew, graph->nedges);
	job->graph.edges = to_offset(crew, graph->edges);
}

void
pir_hnsw_crew_build(PirHnswCrew *crew, PirHnswGraph *graph, void *scratch)
{
	Job			job = {.kind = JOB_BUILD};

	job_graph(crew, &job, graph);
	job.scratch = to_offset(crew, scratch);
	run_job(crew, &job, graph->poll, graph->poll_arg);
}

void
pir_hnsw_crew_find(PirHnswCrew *crew, const PirHnswGraph *graph, const PirHnswQueries *queries)
{
	Job			job = {.kind = JOB_FIND};

	job_graph(crew, &job, graph);
	job.queries = *queries;
	job.queries.items = to_offset(crew, queries->items);
	job.queries.found = to_offset(crew, queries->found);
	job.queries.nfound = to_offset(crew, queries->nfound);
	run_job(crew, &job, NULL, NULL);
}

void
pir_hnsw_crew_choose(PirHnswCrew *crew, const PirHnswLists *lists)
{
	Job			job = {.kind = JOB_CHOOSE};

	job.lists = *lists;
	job.lists.items = to_offset(crew, lists->items);
	job.lists.base = to_offset(crew, lists->base);
	job.lists.start = to_offset(crew, lists->start);
	job.lists.count = to_offset(crew, lists->count);
	job.lists.nodes = to_offset(crew, lists->nodes);
	run_job(crew, &job, NULL, NULL);
}

/* ------------------------------------------------------------------------
 *	The crew
 * ------------------------------------------------------------------------
 */

uint8 *
pir_hnsw_crew_arena(PirHnswCrew *crew)
{
	return crew->arena;
}

/* Start workers, if any may be had; else false, and nothing has changed. */
static bool
start_workers(PirHnswCrew *crew, int nworkers, const Shared *draft, const float *centre, Size size)
{
	Size		centre_size = pir_size_mul(Max(draft->meta.head.code_dim, 1), sizeof(float));
	ParallelContext *context;
	Shared	   *shared;
	char	   *base;

	size = pir_size_add(size, PIR_CACHE_LINE);
	if (nworkers <= 0)
		return false;
	if (!memory_available(pir_size_add(size, centre_size)))
	{
		ereport(DEBUG1,
				(errmsg_internal("no parallel workers: %zu bytes of shared memory are not available", size)));
		return false;
	}

	EnterParallelMode();
	context = CreateParallelContext(LIBRARY_NAME, "pir_hnsw_parallel_main", nworkers);
	shm_toc_estimate_chunk(&context->estimator, sizeof(Shared));
	shm_toc_estimate_chunk(&context->estimator, centre_size);
	shm_toc_estimate_chunk(&context->estimator, size);
	shm_toc_estimate_keys(&context->estimator, 3);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
	{
		/* no segment to be had */
		DestroyParallelContext(context);
		ExitParallelMode();
		return false;
	}

	shared = shm_toc_allocate(context->toc, sizeof(Shared));
	*shared = *draft;
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->ready);
	pg_atomic_init_u32(&shared->next, 0);
	shm_toc_insert(context->toc, KEY_SHARED, shared);
	base = shm_toc_allocate(context->toc, centre_size);
	if (centre != NULL)
		memcpy(base, centre, centre_size);
	shm_toc_insert(context->toc, KEY_CENTRE, base);
	base = shm_toc_allocate(context->toc, size);
	shm_toc_insert(context->toc, KEY_ARENA, base);

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

	crew->shared = shared;
	crew->arena = (uint8 *) TYPEALIGN(PIR_CACHE_LINE, base);
	crew->parallel = context;
	crew->alone = context->nworkers_launched == 0;
	return true;
}

PirHnswCrew *
pir_hnsw_crew_begin(PirHnswBuilder *builder, const float *centre, double nrows, Size size, bool alone_too)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	PirHnswCrew *crew = palloc0(sizeof(PirHnswCrew));
	int			nworkers = (int) Min(allowed_workers(builder->heap), nrows / ROWS_PER_WORKER);
	Shared		draft;

	memset(&draft, 0, sizeof(draft));
	draft.meta = builder->meta;
	draft.has_centre = centre != NULL;
	draft.m = builder->meta.head.m;
	draft.ef = builder->ef_construction;
	crew->quant = builder->quant;
	crew->context = AllocSetContextCreate(builder->context, "piramid hnsw job", ALLOCSET_DEFAULT_SIZES);
	if (!start_workers(crew, nworkers, &draft, centre, size))
	{
		if (!alone_too)
		{
			MemoryContextDelete(crew->context);
			pfree(crew);
			crew = NULL;
		}
		else
		{
			crew->shared = palloc(sizeof(Shared));
			*crew->shared = draft;
			pg_atomic_init_u32(&crew->shared->next, 0);
			crew->arena = pir_alloc_aligned(builder->context, size, false);
			crew->alone = true;
		}
	}
	MemoryContextSwitchTo(old);
	return crew;
}

void
pir_hnsw_crew_end(PirHnswCrew *crew)
{
	if (crew->parallel != NULL)
	{
		Job			job = {.kind = JOB_END};

		run_job(crew, &job, NULL, NULL);
		WaitForParallelWorkersToFinish(crew->parallel);
		DestroyParallelContext(crew->parallel);
		ExitParallelMode();
	}
	MemoryContextDelete(crew->context);
	pfree(crew);
}

/* A worker: does its part of every job. */
void
pir_hnsw_parallel_main(dsm_segment *segment, shm_toc *toc)
{
	Shared	   *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	PirHnswCrew crew = {0};
	PirQuantSpec spec;
	int			nmembers;

	crew.shared = shared;
	crew.arena = (uint8 *) TYPEALIGN(PIR_CACHE_LINE, shm_toc_lookup(toc, KEY_ARENA, false));
	crew.member = ParallelWorkerNumber + 1;
	crew.context = AllocSetContextCreate(CurrentMemoryContext, "piramid hnsw job", ALLOCSET_DEFAULT_SIZES);
	pir_hnsw_quant_spec(&shared->meta, shared->has_centre ? shm_toc_lookup(toc, KEY_CENTRE, false) : NULL, &spec);
	crew.quant = pir_quant_init(pir_alloc_aligned(CurrentMemoryContext, pir_quant_size(&spec), false), &spec);

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

	for (;;)
	{
		wait_for_crew(shared);
		if (shared->job.kind == JOB_END)
			break;
		do_job(&crew, poll_interrupts, NULL);
		wait_for_crew(shared);
	}
}
