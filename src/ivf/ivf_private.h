/*-------------------------------------------------------------------------
 *
 * ivf_private.h
 *	  In-memory structures of the ivf access methods, and the functions its
 *	  files call of each other, by the file that defines them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_IVF_PRIVATE_H
#define PIR_IVF_PRIVATE_H

#include "access/amapi.h"
#include "access/genam.h"
#include "nodes/execnodes.h"

#include "am/am_opclass.h"
#include "am/am_value.h"
#include "ivf/ivf_page.h"
#include "quant/quant.h"
#include "storage/page_check.h"
#include "storage/page_table.h"

/* Limits of the options */
#define PIR_IVF_MAX_LISTS			32768
#define PIR_IVF_AUTO_LISTS			0
#define PIR_IVFFLAT_DEFAULT_LISTS	100

/* Rows from which an index has lists; below, every code is scanned. */
#define PIR_IVF_TRAIN_ROWS			2048

/* Rows of the sample for each list */
#define PIR_IVF_SAMPLE_PER_LIST		32

/* Codes compared by one call */
#define PIR_IVF_BATCH				64

/*
 * How often a list may change under an insert that looks for room; each time
 * somebody else has got something done. More is corruption.
 */
#define PIR_IVF_ATTEMPTS			10000

/* What a backend keeps of an index beside its page tables. */
typedef struct PirIvfCache
{
	const PirQuant *quant;		/* of rows */
	const PirQuant *centre_quant;	/* of centres; NULL in a flat index */
} PirIvfCache;

/*
 * An open index: what the meta page said when it was opened, and this
 * backend's cache. Valid until pir_ivf_close().
 */
typedef struct PirIvfIndex
{
	Relation	rel;
	PirIvfMetaOnPage meta;		/* copy */
	PirStore   *store;
	const PirQuant *quant;
	const PirQuant *centre_quant;
	PirValueInfo value;
} PirIvfIndex;

/* --- ivf_list.c: the directory and posting pages --- */

/*
 * Open an index for reading or writing: reads and checks the meta page,
 * prepares the quantizers (cached).
 * Locks: share lock on block 0, then on others, none held on return.
 */
extern void pir_ivf_open(PirIvfIndex *ivf, Relation index);
extern void pir_ivf_close(PirIvfIndex *ivf);

/* Parameters of the rows' and of the centres' quantizer. */
extern void pir_ivf_quant_spec(const PirIvfMetaOnPage *meta, const float *centre, PirQuantSpec *spec);
extern void pir_ivf_centre_spec(const PirIvfMetaOnPage *meta, const float *centre, PirQuantSpec *spec);
extern void pir_ivf_value_info(const PirIvfMetaOnPage *meta, PirValueInfo *info);

/* Columns of a (locked) posting page */
static inline ItemPointerData *
pir_ivf_tids(Page page)
{
	return ((PirIvfPostingsOnPage *) pir_page_content(page))->tids;
}

static inline char *
pir_ivf_item(const PirMetaHeadOnPage *head, Page page, uint32 row)
{
	return pir_page_content(page) + pir_ivf_items_offset(head) + (Size) row * head->item_size;
}

/*
 * Put a row behind the nslots rows of a page, which has room for it. The page
 * is locked exclusively, or a WAL copy of one that is.
 */
extern void pir_ivf_append(const PirMetaHeadOnPage *head, Page page, const void *item,
						   const ItemPointerData *tid);

/*
 * Lock the page where the root of a list is (block 0, or a directory page) and
 * find the root on it. NULL, and nothing locked, if the index has another
 * epoch by now.
 * Locks: returns with the page pinned and locked.
 */
extern PirIvfRootOnPage *pir_ivf_lock_root(PirIvfIndex *ivf, uint32 list, PirLock lock, Buffer *buf);

/* The root on a page that is locked, or on the WAL copy of one. */
extern PirIvfRootOnPage *pir_ivf_root_at(const PirIvfIndex *ivf, Page page, uint32 list);

/*
 * Pin and lock a block if it is a posting page of the list in the index's
 * epoch; else false, and nothing is held.
 */
extern bool pir_ivf_lock_postings(PirIvfIndex *ivf, BlockNumber blkno, uint32 list, PirLock lock,
								  Buffer *buf, Page *page);

/*
 * The posting pages of a list one after the other, share-locked. The next page
 * is locked before the lock of the one before is dropped, so that VACUUM cannot
 * take a page out in between.
 */
typedef struct PirIvfListScan
{
	PirIvfIndex *ivf;
	uint32		list;
	BlockNumber next;
	Buffer		buf;			/* locked: root's page first, then posting pages */
	Page		page;
	uint32		npages;			/* read so far */
	bool		changed;		/* the index has another epoch: what was read is void */
} PirIvfListScan;

extern void pir_ivf_list_begin(PirIvfListScan *scan, PirIvfIndex *ivf, uint32 list);

/*
 * ERROR (INDEX_CORRUPTED) if a list has more pages than the file. 'blkno' is for
 * the message.
 */
extern void pir_ivf_check_length(PirIvfIndex *ivf, uint32 list, BlockNumber blkno, uint32 npages);

/* Next page, locked until the next call; false at the end, nothing is held then. */
extern bool pir_ivf_list_page(PirIvfListScan *scan);

/* --- ivf_partition.c: which list for a row, which lists for a query --- */

struct PirIvfBuilder;

/*
 * A partitioner divides the space into numbered lists. It keeps what it
 * knows of list n in the directory slot of list n, behind the root.
 */
typedef struct PirIvfPartitioner
{
	PirIvfPartitionerId id;
	const char *name;			/* for piramid_index_info() */

	/*
	 * Choose how slots are coded, for an index about to be built: fills the
	 * partitioner's part of *meta, returns the bytes of a slot behind its root.
	 */
	Size		(*choose) (PirIvfMetaOnPage *meta);

	/*
	 * Learn 'nlists' lists (or fewer, never 0) from builder->sample: sets
	 * meta.nlists, slots, and what assign() needs.
	 */
	void		(*train) (struct PirIvfBuilder *builder, uint32 nlists);

	/* While building: list of a row. */
	uint32		(*assign) (struct PirIvfBuilder *builder, const void *input);

	/*
	 * How well each list suits an input, the smaller the better, to
	 * score[0 .. nlists - 1]. A row goes to the list of the smallest score (the
	 * first of equals), a query reads lists in the order of scores.
	 * Memory: scratch in the current context.
	 * Locks: share locks on directory pages, one at a time.
	 */
	void		(*score) (PirIvfIndex *ivf, const void *input, float *score);
} PirIvfPartitioner;

extern const PirIvfPartitioner pir_ivf_kmeans;

/* Partitioner by its number; ERROR (INDEX_CORRUPTED) if there is none. */
extern const PirIvfPartitioner *pir_ivf_partitioner(Relation index, uint8 id);

/* The list that an input belongs to. Locks: as score(). */
extern uint32 pir_ivf_nearest(PirIvfIndex *ivf, const void *input);

/* --- ivf_insert.c --- */

extern bool pir_ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
						   Relation heap, IndexUniqueCheck unique, bool unchanged,
						   IndexInfo *info);

/* --- ivf_build.c, ivf_train.c --- */

extern IndexBuildResult *pir_ivf_build(Relation heap, Relation index, IndexInfo *info);
extern void pir_ivf_build_empty(Relation index);

/*
 * Give a flat index lists. Locks: takes the training lock; none held on entry.
 * Does nothing if somebody else was first.
 */
extern void pir_ivf_train(Relation index, Relation heap);

/* Free the pages that training has replaced. Locks: block 0, a page, each exclusively. */
extern void pir_ivf_free_retired(Relation index);

/* Phases of CREATE INDEX beside core's PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE */
#define PIR_IVF_PHASE_KMEANS	2
#define PIR_IVF_PHASE_ASSIGN	3
#define PIR_IVF_PHASE_LOAD		4

/* --- ivf_scan.c --- */

extern IndexScanDesc pir_ivf_beginscan(Relation index, int nkeys, int norderbys);
extern void pir_ivf_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
extern bool pir_ivf_gettuple(IndexScanDesc scan, ScanDirection dir);
extern void pir_ivf_endscan(IndexScanDesc scan);

/* --- ivf_vacuum.c --- */

extern IndexBulkDeleteResult *pir_ivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
												 IndexBulkDeleteCallback callback, void *state);
extern IndexBulkDeleteResult *pir_ivf_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

/* --- ivf_check.c --- */

extern void pir_ivf_check(PirCheck *check);

/* --- ivf_options.c --- */

typedef struct PirIvfOptions
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int			lists;			/* PIR_IVF_AUTO_LISTS, or how many */
	int			quantizer;		/* PirQuantId, or PIR_CODE_AUTO */
	int			bits;			/* 0 = the quantizer's default */
} PirIvfOptions;

/* An access method over this engine: its name, defaults and settings. */
typedef struct PirIvfMethod
{
	const char *name;
	bytea	   *(*options) (Datum reloptions, bool validate);	/* tells them apart */
	int			default_lists;
	const PirIvfPartitioner *partitioner;
	const int  *probes;			/* 0 = by the number of lists */
	const int  *iterative_scan;
	const int  *max_probes;
} PirIvfMethod;

extern bytea *pir_ivf_options(Datum reloptions, bool validate);
extern bytea *pir_ivfflat_options(Datum reloptions, bool validate);

extern const PirIvfMethod *pir_ivf_method(Relation index);

/* Lists that a scan reads first, of 'nlists'. */
extern uint32 pir_ivf_probes_of(const PirIvfMethod *method, uint32 nlists);

/* Lists that suit 'rows' rows, so many to a posting page */
extern uint32 pir_ivf_lists_for(double rows, double rows_per_page);

/*
 * What an index about to be built will be: fills *meta with an empty, flat
 * index of a new identity, sealed.
 */
extern void pir_ivf_identity(Relation index, PirIvfMetaOnPage *meta);

#endif							/* PIR_IVF_PRIVATE_H */
