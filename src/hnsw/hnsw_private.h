/*-------------------------------------------------------------------------
 *
 * hnsw_private.h
 *	  In-memory structures of the hnsw access method, and the functions its
 *	  files call of each other, by the file that defines them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_PRIVATE_H
#define PIR_HNSW_PRIVATE_H

#include "access/amapi.h"
#include "access/genam.h"
#include "nodes/execnodes.h"

#include "am/am_opclass.h"
#include "am/am_value.h"
#include "hnsw/hnsw_graph.h"
#include "hnsw/hnsw_page.h"
#include "quant/quant.h"
#include "storage/page_pins.h"
#include "storage/page_table.h"

/* Limits and defaults of the options */
#define PIR_HNSW_DEFAULT_M		16
#define PIR_HNSW_MIN_M			2
#define PIR_HNSW_MAX_M			100
#define PIR_HNSW_DEFAULT_EF_CONSTRUCTION	64
#define PIR_HNSW_MIN_EF_CONSTRUCTION		4
#define PIR_HNSW_MAX_EF_CONSTRUCTION		1000

/* Rows from which an index has a graph; below, every code is scanned. */
#define PIR_HNSW_TRAIN_ROWS		1024

/* Searches begin from this many entry nodes. */
#define PIR_HNSW_ENTRY_BEST		4

/*
 * How often a chain of duplicates may change while it is read: each time,
 * VACUUM or an insert has got between two page accesses. More is corruption.
 */
#define PIR_HNSW_CHAIN_ATTEMPTS	1000

/*
 * An open index: what the meta page said when it was opened, and this
 * backend's cache. Valid until pir_hnsw_close().
 */
typedef struct PirHnswIndex
{
	Relation	rel;
	PirHnswMetaOnPage meta;		/* copy; counts may be outdated */
	PirStore   *store;
	const PirQuant *quant;		/* in the store's cache */
	PirValueInfo value;
	uint32		cap;			/* capacity of a neighbour list */
	struct PirHnswMirror *mirror;	/* hnsw_mirror.c; mostly NULL */
} PirHnswIndex;

/* --- hnsw_node.c: nodes and lists <-> pages --- */

/*
 * Open an index for reading or writing: reads and checks the meta page,
 * prepares the quantizer (cached).
 * Locks: share lock on block 0, then on others, none held on return.
 */
extern void pir_hnsw_open(PirHnswIndex *hnsw, Relation index);
extern void pir_hnsw_close(PirHnswIndex *hnsw);

/* Read the meta page of an open index anew. Locks: as pir_hnsw_open(). */
extern void pir_hnsw_refresh(PirHnswIndex *hnsw);

/* The quantizer's parameters as the meta page and opclass give them. */
extern void pir_hnsw_quant_spec(const PirHnswMetaOnPage *meta, const float *centre,
								PirQuantSpec *spec);
extern void pir_hnsw_value_info(const PirHnswMetaOnPage *meta, PirValueInfo *info);

/* Where a node's slots are. */
static inline uint32
pir_hnsw_code_page(const PirMetaHeadOnPage *head, uint32 nid)
{
	return head->pages_per_node > 1 ? nid * head->pages_per_node : nid / head->nodes_per_page;
}

static inline PirHnswNodeOnPage *
pir_hnsw_node_at(const PirMetaHeadOnPage *head, Page page, uint32 nid)
{
	Size		slot = head->pages_per_node > 1 ? 0 : nid % head->nodes_per_page;

	return (PirHnswNodeOnPage *) (pir_page_content(page) + slot * head->node_size);
}

static inline uint32
pir_hnsw_list_page(const PirMetaHeadOnPage *head, uint32 nid)
{
	return nid / head->lists_per_page;
}

static inline PirHnswListOnPage *
pir_hnsw_list_at(const PirMetaHeadOnPage *head, Page page, uint32 nid)
{
	return (PirHnswListOnPage *) (pir_page_content(page) +
								  (Size) (nid % head->lists_per_page) * head->list_size);
}

/*
 * Lock the page of a node's slot for reading or writing, through 'pins';
 * checks that the slot exists. Returns the (locked) page; unlock with
 * pir_page_unlock(*buf); the pin stays in 'pins'. Errors: INDEX_CORRUPTED.
 */
extern Page pir_hnsw_lock_node(PirHnswIndex *hnsw, PirPins *pins, uint32 nid,
							   PirLock lock, Buffer *buf);
extern Page pir_hnsw_lock_list(PirHnswIndex *hnsw, PirPins *pins, uint32 nid,
							   PirLock lock, Buffer *buf);

/*
 * A node's code item: in place if it fits the page ('page' locked), else put
 * together in 'scratch' (item_size bytes) from the following pages.
 */
extern const void *pir_hnsw_item(PirHnswIndex *hnsw, Page page, uint32 nid, void *scratch);

/* Copy a node's edges; returns their number. 'flags' may be NULL. */
extern int	pir_hnsw_read_list(PirHnswIndex *hnsw, PirPins *pins, uint32 nid,
							   uint32 *edges, uint8 *flags);

/*
 * All heap rows of a node beside its own tid: appends to *tids (palloc'd,
 * grown as needed). Tolerates concurrent changes of the chain: see README.md,
 * "Duplicates".
 */
extern void pir_hnsw_read_tids(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, uint32 first,
							   ItemPointerData **tids, int *ntids, int *capacity);

/* --- hnsw_entry.c: the entry layer --- */

/* The entry pages of an index, one after the other, share-locked. */
typedef struct PirHnswEntryScan
{
	PirHnswIndex *hnsw;
	BlockNumber next;
	Buffer		buf;			/* locked page, or InvalidBuffer */
	Page		page;
	uint32		npages;			/* read so far */
	Size		stride;			/* bytes of an entry slot */
	bool		has_items;
} PirHnswEntryScan;

extern Size pir_hnsw_entry_stride(const PirMetaHeadOnPage *head, bool *has_items);
extern void pir_hnsw_entry_begin(PirHnswEntryScan *scan, PirHnswIndex *hnsw);
/* next page with its number of slots; false at the end (nothing held then) */
extern bool pir_hnsw_entry_page(PirHnswEntryScan *scan, int *nslots);

/*
 * Put an entry for nid into slot 'slot', or append one (slot = nentries).
 * Slot 0 is the root's: whoever gets it becomes the root.
 * Locks: caller holds the meta page exclusively.
 */
extern void pir_hnsw_put_entry(PirHnswIndex *hnsw, Buffer meta, uint32 slot,
							   uint32 nid, const void *item);

/*
 * Offer a new node to the entry layer, which stays a uniform sample of the
 * 'nlive' nodes (reservoir sampling, Vitter's algorithm R): while the layer
 * is smaller than its target the node is appended, after that it takes the
 * place of a random entry with probability nentries / nlive.
 * Locks: may take the meta page exclusively.
 */
extern void pir_hnsw_sample_entry(PirHnswIndex *hnsw, uint32 nid, const void *item, uint32 nlive);

/* Keep only the first 'keep' entries. Locks: takes the meta page exclusively. */
extern void pir_hnsw_truncate_entries(PirHnswIndex *hnsw, uint32 keep);

/* --- hnsw_search.c: the beam --- */

/* A node that a search has evaluated. */
typedef struct PirHnswFound
{
	float		dist;			/* estimate */
	float		err;			/* unit of error, < 0 if not computed */
	uint32		nid;
	uint32		link;			/* first TIDS node, or PIR_NID_NONE */
	ItemPointerData tid;
	bool		live;
	bool		expanded;
	bool		returned;
} PirHnswFound;

typedef struct PirHnswSearch
{
	PirHnswIndex *hnsw;
	const PirQuantQuery *query;
	MemoryContext context;		/* everything below lives here */
	PirPins		pins;
	PirIoWatch	io;
	bool		keep_all;		/* remember what was not good enough: iterative scans */
	float		eps;			/* error units that callers will use */

	PirHnswFound *found;
	int			nfound;
	int			found_capacity;

	/* indexes into found[] */
	int		   *frontier;		/* min-heap by dist: to be expanded */
	int			nfrontier;
	int			frontier_capacity;
	int		   *best;			/* max-heap by dist: the ef best live ones */
	int			nbest;
	int			ef;
	int			best_capacity;

	/* visited nids, open addressing */
	uint32	   *visited;
	uint32		visited_mask;
	uint32		nvisited;

	uint64		nevaluated;		/* codes scored, entries included */
	uint64		nexpanded;
	void	   *item_scratch;	/* one item, for large nodes */
} PirHnswSearch;

extern void pir_hnsw_search_init(PirHnswSearch *search, PirHnswIndex *hnsw,
								 const PirQuantQuery *query, MemoryContext context,
								 bool keep_all);

/*
 * Search the graph: afterwards search->best holds (as a heap; sort it with
 * pir_hnsw_search_sort) up to ef live nodes. Call again with the same or
 * another ef to go on: it then yields the next best that were not marked
 * 'returned' (only with keep_all).
 * Locks: share locks on one page at a time; pins until pir_hnsw_search_unpin.
 */
extern void pir_hnsw_search_run(PirHnswSearch *search, int ef);

/* Without searching on: make all live nodes seen but not returned the best. */
extern void pir_hnsw_search_rest(PirHnswSearch *search);

/*
 * Flat state: evaluate all live nodes into found[] and best[]. Returns false
 * (with nothing found) if the index left the flat state meanwhile.
 */
extern bool pir_hnsw_search_flat(PirHnswSearch *search);

/* Turn search->best into an array ordered nearest first. */
extern void pir_hnsw_search_sort(PirHnswSearch *search);

/* Fill in missing error units of found[i]. */
extern void pir_hnsw_search_error(PirHnswSearch *search, int i);

extern void pir_hnsw_search_unpin(PirHnswSearch *search);

/* --- hnsw_build.c --- */

/* Phases of a build, as pg_stat_progress_create_index shows them */
#define PIR_HNSW_PHASE_SAMPLE	2	/* 1 is core's "initializing" */
#define PIR_HNSW_PHASE_LOAD		3
#define PIR_HNSW_PHASE_GRAPH	4
#define PIR_HNSW_PHASE_WRITE	5
#define PIR_HNSW_PHASE_DIVIDE	6	/* from here on: builds in shards */
#define PIR_HNSW_PHASE_SORT		7
#define PIR_HNSW_PHASE_JOIN		8
#define PIR_HNSW_PHASE_MERGE	9

extern IndexBuildResult *pir_hnsw_build(Relation heap, Relation index, IndexInfo *info);
extern void pir_hnsw_build_empty(Relation index);

/* --- hnsw_train.c --- */

/*
 * Flat -> graph: train on the rows in the index and build. The caller holds
 * the index's training lock (hnsw_insert.c). On return the state is GRAPH, or
 * an error was thrown and nothing has changed.
 */
extern void pir_hnsw_train(Relation index, Relation heap);

/*
 * Put the pages of the flat state, retired by training, into the chain of
 * free pages; finishes what an interrupted training left. One atomic change
 * per page. Locks: takes the meta page exclusively.
 */
extern void pir_hnsw_free_retired(Relation index);

/* --- hnsw_insert.c --- */
extern bool pir_hnsw_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
							Relation heap, IndexUniqueCheck unique, bool unchanged,
							IndexInfo *info);

/*
 * Insert one prepared row; 'input' is what the quantizer takes. May close
 * and open the index anew, if its state changes. 'unchanged' is a hint that
 * an older version of the row with the same value is in the index. Allocates
 * in the current memory context.
 * Locks: takes and releases content locks (README.md section 6), and perhaps
 * the training lock.
 */
extern void pir_hnsw_insert_input(PirHnswIndex *hnsw, Relation heap, const void *input, ItemPointer tid,
								  bool unchanged);

/* --- hnsw_link.c --- */

/*
 * Add the edge from -> to, pruning a full list; false if 'from' is dead or
 * its list does not take it. With 'anchor' the edge is marked and kept; false
 * if the list has max_anchors already. Both items are copies.
 */
extern bool pir_hnsw_add_edge(PirHnswIndex *hnsw, PirPins *pins, uint32 from, const void *from_item,
							  uint32 to, const void *to_item, bool anchor, int max_anchors);

/* Copy a node's item if it is live; for selection. False if it is not. */
extern bool pir_hnsw_copy_item(PirHnswIndex *hnsw, PirPins *pins, uint32 nid, void *item);

/* The links from others to a node that is about to be written. */
typedef struct PirHnswLinks PirHnswLinks;

/*
 * Plan an edge from each chosen node to a new one with this item; the first
 * list with room for an anchor gives it. The node has no number yet. Allocates
 * in the current memory context. Locks: share locks, one page at a time.
 */
extern PirHnswLinks *pir_hnsw_plan_links(PirHnswIndex *hnsw, PirPins *pins,
										 const PirHnswCandidate *chosen, int nchosen,
										 const void *item);

/* The logical list page of the planned anchor; false if there is none. */
extern bool pir_hnsw_anchor_page(const PirHnswLinks *links, uint32 *logical);

/*
 * Write those links to node nid that lie on a list page and whose lists are
 * still what they were. Locks: caller holds the page exclusively; 'page' is
 * its WAL copy.
 */
extern void pir_hnsw_put_links(PirHnswLinks *links, Page page, uint32 logical, uint32 nid);

/*
 * Write the links that are not written yet; where a list has changed, choose
 * anew. False if no candidate took the anchor.
 * Locks: exclusive ones on up to PIR_WAL_MAX_PAGES list pages.
 */
extern bool pir_hnsw_write_links(PirHnswLinks *links, PirPins *pins, uint32 nid, const void *item,
								 const PirHnswCandidate *cands, int nchosen, int ncands);

/* Let the index's mirror know of the lists that were written. */
extern void pir_hnsw_mirror_links(const PirHnswLinks *links);

/* --- hnsw_mirror.c: a copy of the graph for statements that insert many rows --- */

typedef struct PirHnswMirror PirHnswMirror;

/*
 * Copy codes and lists of all nodes into a context below 'parent', whose end
 * is the mirror's. NULL if all mirrors of this backend would take more than
 * maintenance_work_mem. Locks: share locks, one page at a time.
 */
extern PirHnswMirror *pir_hnsw_mirror_make(PirHnswIndex *hnsw, MemoryContext parent);
extern void pir_hnsw_mirror_free(PirHnswMirror *mirror);

/* Is it of another file or epoch, or have others changed many nodes since? */
extern bool pir_hnsw_mirror_outdated(const PirHnswMirror *mirror, const PirHnswIndex *hnsw);

/*
 * The ef (at most ef_construction) nearest nodes as far as the mirror knows,
 * nearest first, live ones when it was made: fills cands[], returns their
 * number. Their items stay until the next pir_hnsw_mirror_add().
 */
extern int	pir_hnsw_mirror_search(PirHnswMirror *mirror, const PirHnswIndex *hnsw,
								   const PirQuantQuery *query, int ef, PirHnswCandidate *cands);

/* A node's item; NULL if the mirror does not have it. It may be that of an earlier node. */
extern const void *pir_hnsw_mirror_item(const PirHnswMirror *mirror, uint32 nid);

/* Learn of a new node. False if memory is at its end: free the mirror. */
extern bool pir_hnsw_mirror_add(PirHnswMirror *mirror, const PirHnswIndex *hnsw, uint32 nid,
								const void *item);

/* Learn of a list; edges to nodes that the mirror does not have are left out. */
extern void pir_hnsw_mirror_set_list(PirHnswMirror *mirror, uint32 nid, const uint32 *edges,
									 int nedges);

/* --- hnsw_scan.c --- */
extern IndexScanDesc pir_hnsw_beginscan(Relation index, int nkeys, int norderbys);
extern void pir_hnsw_rescan(IndexScanDesc scan, ScanKey keys, int nkeys,
							ScanKey orderbys, int norderbys);
extern bool pir_hnsw_gettuple(IndexScanDesc scan, ScanDirection dir);
extern void pir_hnsw_endscan(IndexScanDesc scan);

/* --- hnsw_vacuum.c --- */
extern IndexBulkDeleteResult *pir_hnsw_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
												  IndexBulkDeleteCallback callback, void *state);
extern IndexBulkDeleteResult *pir_hnsw_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

/* --- hnsw_check.c --- */
struct PirCheck;
extern void pir_hnsw_check(struct PirCheck *check);

/* --- hnsw_options.c --- */
typedef struct PirHnswOptions
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int			m;
	int			ef_construction;
	int			quantizer;		/* PirQuantId, or -1 for auto */
	int			bits;			/* 0 = the quantizer's default */
} PirHnswOptions;

/* amoptions */
extern bytea *pir_hnsw_options(Datum reloptions, bool validate);

/* Options of an index, or their defaults. */
extern int	pir_hnsw_m(Relation index);
extern int	pir_hnsw_ef_construction(Relation index);

/*
 * What an index about to be built will be: fills *head from operator class,
 * column and options, up to 'nblocks' (which, and what follows, is 0; the head
 * is not sealed), with a new seed. Errors, in this order: those of
 * pir_opclass_resolve() and pir_opclass_dimensions(); INVALID_PARAMETER_VALUE
 * for options that do not go together.
 */
extern void pir_hnsw_identity(Relation index, PirMetaHeadOnPage *head);

/*
 * Give an index whose codes the user left to us the next finer ones: changes
 * quantizer, bits and geometry of an identity and seals it. False if there are
 * none, or the choice was the user's.
 */
extern bool pir_hnsw_finer_code(Relation index, PirMetaHeadOnPage *head);

#endif							/* PIR_HNSW_PRIVATE_H */
