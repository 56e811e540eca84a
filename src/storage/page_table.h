/*-------------------------------------------------------------------------
 *
 * page_table.h
 *	  Dense logical page numbers -> blocks, cached per backend together with
 *	  the buffer where each page was last seen.
 *
 * A PirStore is this backend's cached knowledge of one index file: its page
 * tables and whatever the index kind derives from its meta page. It is found
 * by OID and thrown away when the file behind the OID is another one (other
 * seed) or its node numbers changed meaning (other epoch).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_TABLE_H
#define PIR_PAGE_TABLE_H

#include "storage/page_meta.h"

typedef struct PirTableCache
{
	uint32		npages;			/* logical pages known */
	uint32		capacity;
	BlockNumber *blocks;		/* of each logical page */
	Buffer	   *hints;			/* where it was last seen; a guess */
	bool	   *checked;		/* seen to be a page of this table */
	uint32		ndirs;			/* table pages known */
	uint32		dirs_capacity;
	BlockNumber *dirs;			/* their blocks */
} PirTableCache;

typedef struct PirStore
{
	Oid			indexid;		/* hash key */
	Relation	index;			/* valid between open and close */
	uint64		seed;
	uint32		epoch;
	PirKindId	kind;
	MemoryContext context;		/* everything cached lives here */
	PirTableCache tables[PIR_NTABLES];
	void	   *kind_data;		/* of the index kind, in 'context'; NULL at first */
	int			refcount;
	bool		detached;		/* outdated; freed when refcount falls to 0 */
	uint64		last_used;
	struct PirStore *next_detached;
} PirStore;

/*
 * Find or make the store of an index. 'head' is a copy of its meta page head;
 * the page tables are synchronised with it. Must be paired with
 * pir_store_close(); the end of the transaction closes what an error left
 * open. NULL if the page tables are those of another epoch by now: read the
 * meta page anew.
 * Locks: may share-lock page-table pages and block 0.
 */
extern PirStore *pir_store_open(Relation index, const PirMetaHeadOnPage *head);
extern void pir_store_close(PirStore *store);

/*
 * Learn of pages added since; false as above. Locks: share-locks page-table
 * pages; block 0 only if the epoch may have changed, which it cannot while
 * the caller has it locked.
 */
extern bool pir_store_sync(PirStore *store, const PirMetaHeadOnPage *head);

/*
 * Block of a logical page; InvalidBlockNumber if the table does not reach so
 * far. Locks: may share-lock block 0 and page-table pages when the page is not
 * known yet, so the caller must hold no content lock then (or have synced).
 */
extern BlockNumber pir_table_block(PirStore *store, int table, uint32 logical);

/*
 * Pin a logical page, trying the buffer where it was last seen first
 * (ReadRecentBuffer: no look-up in the shared buffer table). Errors:
 * INDEX_CORRUPTED if the table does not reach so far.
 */
extern Buffer pir_table_pin(PirStore *store, int table, uint32 logical);

/*
 * Append one empty page of the given kind to a table; one or two atomic
 * changes. 'meta' is exclusively locked by the caller and stays so. The
 * store learns of the page. Returns its logical number.
 */
extern uint32 pir_table_append(PirStore *store, Buffer meta, int table, uint8 kind);

#endif							/* PIR_PAGE_TABLE_H */
