/*-------------------------------------------------------------------------
 *
 * hnsw_batch_test.c
 *	  The steps of a batch may be shared out to workers in any way: the bytes
 *	  of the graph stay the same. Then teams of processes on shared memory.
 *
 * Runs the static steps of hnsw_graph.c themselves, which is why the file is
 * included here, under other names than those of the linked object.
 *
 *-------------------------------------------------------------------------
 */
#define pir_hnsw_graph_build		unit_hnsw_graph_build
#define pir_hnsw_graph_build_team	unit_hnsw_graph_build_team
#define pir_hnsw_graph_scratch_size	unit_hnsw_graph_scratch_size
#define pir_hnsw_graph_shared_size	unit_hnsw_graph_shared_size
#define pir_hnsw_graph_private_size	unit_hnsw_graph_private_size

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hnsw/hnsw_graph.c"
#include "graph_fixture.h"

#define NWORKERS	3

/*
 * As pir_hnsw_graph_build(), but ranges go to three workers, each with its own
 * searcher, and are done in an order that changes from batch to batch.
 */
static void
build_by_workers(PirHnswGraph *graph, void *scratch)
{
	Builder		b;
	PirHnswSearcher searchers[NWORKERS];
	void	   *memory[NWORKERS];
	size_t		size = pir_hnsw_graph_private_size(graph->quant, graph->n, graph->m, graph->ef);

	b.graph = graph;
	pir_hnsw_searcher_layout(&b.searcher, scratch, graph->quant, graph->n, graph->cap, graph->ef);
	layout_shared(&b, (uint8_t *) scratch + size, graph->n, graph->m);
	for (int w = 0; w < NWORKERS; w++)
	{
		memory[w] = xmalloc(size);
		memset(memory[w], 0, size);
		pir_hnsw_searcher_layout(&searchers[w], memory[w], graph->quant, graph->n, graph->cap, graph->ef);
	}
	init_order(&b);
	graph->nedges[0] = 0;
	b.frozen = 1;
	for (uint32_t batch = 0; b.frozen < graph->n; batch++)
	{
		uint32_t	cut[NWORKERS + 1];

		b.nbatch = batch_size(b.frozen);
		if (b.nbatch > graph->n - b.frozen)
			b.nbatch = graph->n - b.frozen;

		/* node by node, backwards */
		for (uint32_t i = b.nbatch; i-- > 0;)
			find_entries(&b, &searchers[i % NWORKERS], i, i + 1);
		arrange_batch(&b);

		/* uneven ranges, in an order that rotates */
		cut[0] = 0;
		cut[1] = b.nbatch / 5;
		cut[2] = b.nbatch / 2;
		cut[3] = b.nbatch;
		for (uint32_t w = 0; w < NWORKERS; w++)
		{
			uint32_t	range = (w + batch) % NWORKERS;

			search_batch(&b, &searchers[w], cut[range], cut[range + 1]);
		}
		assign_anchors(&b);
		sort_reverse(&b);

		/* target by target, the last first */
		for (uint32_t end = b.nreverse; end > 0;)
		{
			uint32_t	begin = end - 1;

			while (begin > 0 && b.reverse[begin - 1].target == b.reverse[end - 1].target)
				begin--;
			apply_reverse(&b, &searchers[begin % NWORKERS], begin, end);
			end = begin;
		}
		b.frozen += b.nbatch;
	}
	adopt_orphans(&b);
	for (int w = 0; w < NWORKERS; w++)
		free(memory[w]);
}

/* A barrier for processes, in shared memory. */
typedef struct Meeting
{
	uint32_t	nmembers;
	uint32_t	narrived;		/* at the meeting that is on */
	uint32_t	nheld;			/* meetings that are over */
} Meeting;

static void
meet_all(void *arg)
{
	Meeting    *meeting = arg;
	uint32_t	nheld = __atomic_load_n(&meeting->nheld, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&meeting->narrived, 1, __ATOMIC_ACQ_REL) == meeting->nmembers)
	{
		__atomic_store_n(&meeting->narrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&meeting->nheld, nheld + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&meeting->nheld, __ATOMIC_ACQUIRE) == nheld)
		sched_yield();
}

/* Memory that children share, zero-filled. */
static void *
shared_alloc(size_t size)
{
	void	   *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* A team of processes; the lists of 'graph' must be in shared memory. */
static bool
build_by_team(PirHnswGraph *graph, int nmembers)
{
	size_t		shared_size = pir_hnsw_graph_shared_size(graph->n, graph->m);
	void	   *shared = shared_alloc(shared_size);
	Meeting    *meeting = shared_alloc(sizeof(Meeting));
	bool		all_well = true;

	meeting->nmembers = (uint32_t) nmembers;
	for (int member = nmembers - 1; member >= 0; member--)
	{
		PirHnswTeam team = {member, meet_all, meeting};
		size_t		size = pir_hnsw_graph_private_size(graph->quant, graph->n, graph->m, graph->ef);
		void	   *own;

		if (member > 0 && fork() != 0)
			continue;
		own = xmalloc(size);
		memset(own, 0, size);
		pir_hnsw_graph_build_team(graph, shared, own, &team);
		free(own);
		if (member > 0)
			_exit(0);
	}
	for (int member = 1; member < nmembers; member++)
	{
		int			status;

		all_well = wait(&status) > 0 && status == 0 && all_well;
	}
	munmap(shared, shared_size);
	munmap(meeting, sizeof(Meeting));
	return all_well;
}

/* Enough nodes for the team to come together: see TEAM_MIN_NODES. */
static void
check_team(const char *what, uint32_t n, int quantizer, int bits, int metric)
{
	Dataset		d = dataset_make(n, 24);
	BuiltGraph	one;

	fill_clusters(d.vectors, d.n, d.dim, 30, 8, 0.2, 22);
	dataset_encode(&d, quantizer, bits, metric);
	one = graph_make(&d, 8, 24);
	for (int nmembers = 1; nmembers <= 4; nmembers++)
	{
		PirHnswGraph graph = one.graph;
		size_t		list_size = (size_t) n * graph.cap * sizeof(uint32_t);

		graph.nedges = shared_alloc(n);
		graph.edges = shared_alloc(list_size);
		unit_ok(build_by_team(&graph, nmembers) && same_graph(&one.graph, &graph),
				"%s, %u nodes: a team of %d builds the graph of one", what, n, nmembers);
		munmap(graph.nedges, n);
		munmap(graph.edges, list_size);
	}
	graph_free(&one);
	dataset_free(&d);
}

static void
check_workers(const char *what, int quantizer, int bits, int metric, double sigma)
{
	Dataset		d = dataset_make(3000, 32);
	BuiltGraph	one;
	BuiltGraph	many;
	GraphFacts	facts;
	const char *wrong;

	fill_clusters(d.vectors, d.n, d.dim, 30, 8, sigma, 21);
	dataset_encode(&d, quantizer, bits, metric);
	one = graph_make(&d, 12, 40);
	many = graph_alloc(&d, 12, 40);
	build_by_workers(&many.graph, many.scratch);
	wrong = graph_check(&many.graph, &facts);
	unit_ok(wrong == NULL && same_graph(&one.graph, &many.graph), "%s: three workers build the graph of one", what);
	graph_free(&one);
	graph_free(&many);
	dataset_free(&d);
}

/* pack_key() must order like the pair (distance, node). */
static void
check_keys(void)
{
	static const float dists[] = {-INFINITY, -3e38f, -1.5f, -1e-40f, -0.0f, 0.0f, 1e-40f, 1e-20f, 1.0f, 3e38f, INFINITY};
	static const uint32_t nodes[] = {0, 1, 0x7FFFFFFE};
	UnitTally	tally = {0};
	int			ndists = (int) (sizeof(dists) / sizeof(dists[0]));

	for (int i = 0; i < ndists; i++)
		for (int j = 0; j < ndists; j++)
			for (int a = 0; a < 3; a++)
				for (int b = 0; b < 3; b++)
				{
					uint64_t	x = pack_key(dists[i], nodes[a]);
					uint64_t	y = pack_key(dists[j], nodes[b]) | PIR_HNSW_KEY_EXPANDED;
					bool		less = dists[i] < dists[j] || (dists[i] == dists[j] && nodes[a] < nodes[b]);

					if (dists[i] != dists[j] || a != b)
						unit_case(&tally, (x < y) == less, "(%g, %u) and (%g, %u)",
								  (double) dists[i], nodes[a], (double) dists[j], nodes[b]);
					unit_case(&tally, key_dist(y) == dists[j] && key_node(y) == nodes[b],
							  "(%g, %u) comes back", (double) dists[j], nodes[b]);
				}
	unit_tally_report(&tally, "keys order by distance, then node");
}

/* The pool keeps the best ef of all that was merged into it, and says where it changed. */
static void
check_pool(void)
{
	UnitTally	tally = {0};
	uint64_t	state = 11;

	for (int round = 0; round < 2000; round++)
	{
		uint64_t	pool[40];
		uint64_t	all[400];
		uint64_t	before[40];
		uint64_t	fresh[32];
		int			ef = 1 + (int) (unit_random(&state) >> 33) % 40;
		int			count = 0;
		int			total = 0;

		for (int merge = 0; merge < 10; merge++)
		{
			int			nfresh = (int) (unit_random(&state) >> 33) % 33;
			int			old_count = count;
			int			changed;
			int			differs = 0;

			for (int i = 0; i < nfresh; i++)
				fresh[i] = all[total++] = unit_random(&state) >> (round % 2 == 0 ? 0 : 60);
			for (int i = 1; i < total; i++)
				for (int j = i; j > 0 && all[j - 1] > all[j]; j--)
				{
					uint64_t	swap = all[j];

					all[j] = all[j - 1];
					all[j - 1] = swap;
				}
			memcpy(before, pool, sizeof(pool));
			changed = pir_hnsw_pool_merge(pool, &count, ef, fresh, nfresh);
			unit_case(&tally, count == (total < ef ? total : ef) && memcmp(pool, all, count * sizeof(uint64_t)) == 0,
					  "ef %d, merge %d", ef, merge);
			while (differs < old_count && pool[differs] == before[differs])
				differs++;
			if (differs < count && differs < old_count)
				unit_case(&tally, changed <= differs, "ef %d: changed at %d, told %d", ef, differs, changed);
			total = count;
			memcpy(all, pool, count * sizeof(uint64_t));
		}
	}
	unit_tally_report(&tally, "the pool keeps the best");
}

int
main(void)
{
	pir_dist_init(NULL);
	check_keys();
	check_pool();
	check_workers("rabitq 4, cosine", PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE, 0);
	check_workers("rabitq 1, L2", PIR_QUANT_RABITQ, 1, PIR_METRIC_L2, 0);
	check_workers("none, inner product", PIR_QUANT_NONE, 32, PIR_METRIC_IP, 1);
	check_team("rabitq 4, cosine", 6000, PIR_QUANT_RABITQ, 4, PIR_METRIC_COSINE);
	check_team("none, inner product", 5000, PIR_QUANT_NONE, 32, PIR_METRIC_IP);
	check_team("rabitq 4, L2: too few to share", 500, PIR_QUANT_RABITQ, 4, PIR_METRIC_L2);
	return unit_done();
}
