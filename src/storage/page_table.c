/*-------------------------------------------------------------------------
 *
 * page_table.c
 *	  Dense logical page numbers -> blocks, cached per backend.
 *
 * Page tables only grow, and an entry never changes while the epoch of the
 * meta page stays the same: so what a backend has cached stays true and only
 * has to be extended. A build or a change of epoch starts new tables; the
 * cache notices by seed and epoch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "storage/bufmgr.h"
#include "storage/page_table.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* More cached indexes than this are dropped at the end of a transaction. */
#define MAX_CACHED_STORES	64

typedef struct StoreEntry
{
	Oid			indexid;		/* hash key */
	PirStore   *store;
} StoreEntry;

static HTAB *store_hash = NULL;
static PirStore *detached_stores = NULL;
static uint64 store_clock = 0;

static void
free_store(PirStore *store)
{
	MemoryContextDelete(store->context);
}

/* Drop the store that was used longest ago. */
static void
evict_store(void)
{
	HASH_SEQ_STATUS scan;
	StoreEntry *entry;
	StoreEntry *oldest = NULL;

	hash_seq_init(&scan, store_hash);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (oldest == NULL || entry->store->last_used < oldest->store->last_used)
			oldest = entry;
	}
	if (oldest != NULL)
	{
		PirStore   *store = oldest->store;

		hash_search(store_hash, &store->indexid, HASH_REMOVE, NULL);
		free_store(store);
	}
}

/*
 * No scan or command outlives its transaction, so at its end nothing is in
 * use, whatever an error left behind.
 */
static void
store_xact_callback(XactEvent event, void *arg)
{
	HASH_SEQ_STATUS scan;
	StoreEntry *entry;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PARALLEL_COMMIT && event != XACT_EVENT_PARALLEL_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	while (detached_stores != NULL)
	{
		PirStore   *store = detached_stores;

		detached_stores = store->next_detached;
		free_store(store);
	}

	hash_seq_init(&scan, store_hash);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		entry->store->refcount = 0;
		entry->store->index = NULL;
	}
	while (hash_get_num_entries(store_hash) > MAX_CACHED_STORES)
		evict_store();
}

static void
init_store_hash(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(StoreEntry);
	ctl.hcxt = CacheMemoryContext;
	store_hash = hash_create("piramid index stores", 32, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	RegisterXactCallback(store_xact_callback, NULL);
}

static PirStore *
make_store(Relation index, const PirMetaHeadOnPage *head)
{
	MemoryContext context;
	PirStore   *store;

	context = AllocSetContextCreate(CacheMemoryContext, "piramid index store",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextCopyAndSetIdentifier(context, RelationGetRelationName(index));
	store = MemoryContextAllocZero(context, sizeof(PirStore));
	store->indexid = RelationGetRelid(index);
	store->context = context;
	store->seed = head->seed;
	store->epoch = head->epoch;
	store->kind = (PirKindId) head->kind;
	return store;
}

PirStore *
pir_store_open(Relation index, const PirMetaHeadOnPage *head)
{
	Oid			indexid = RelationGetRelid(index);
	StoreEntry *entry;
	PirStore   *store;
	bool		found;

	if (store_hash == NULL)
		init_store_hash();

	entry = hash_search(store_hash, &indexid, HASH_FIND, &found);
	if (found &&
		(entry->store->seed != head->seed || entry->store->epoch != head->epoch))
	{
		store = entry->store;
		hash_search(store_hash, &indexid, HASH_REMOVE, NULL);
		if (store->refcount == 0)
			free_store(store);
		else
		{
			store->detached = true;
			store->next_detached = detached_stores;
			detached_stores = store;
		}
		found = false;
	}
	if (!found)
	{
		store = make_store(index, head);
		entry = hash_search(store_hash, &indexid, HASH_ENTER, &found);
		entry->store = store;
	}

	store = entry->store;
	store->refcount++;
	store->index = index;
	store->last_used = ++store_clock;
	if (!pir_store_sync(store, head))
	{
		pir_store_close(store);
		return NULL;
	}
	return store;
}

void
pir_store_close(PirStore *store)
{
	Assert(store->refcount > 0);
	store->refcount--;
	/* a detached one goes at the end of the transaction */
}

/* Make room for n entries. */
static void
grow_cache(PirStore *store, PirTableCache *cache, uint32 npages, uint32 ndirs)
{
	if (npages > cache->capacity)
	{
		uint32		capacity = Max(npages, cache->capacity + cache->capacity / 2);

		if (cache->blocks == NULL)
		{
			cache->blocks = MemoryContextAllocHuge(store->context,
												   pir_size_mul(capacity, sizeof(BlockNumber)));
			cache->hints = MemoryContextAllocHuge(store->context,
												  pir_size_mul(capacity, sizeof(Buffer)));
			cache->checked = MemoryContextAllocHuge(store->context, capacity);
		}
		else
		{
			cache->blocks = repalloc_huge(cache->blocks,
										  pir_size_mul(capacity, sizeof(BlockNumber)));
			cache->hints = repalloc_huge(cache->hints,
										 pir_size_mul(capacity, sizeof(Buffer)));
			cache->checked = repalloc_huge(cache->checked, capacity);
		}
		cache->capacity = capacity;
	}
	if (ndirs > cache->dirs_capacity)
	{
		uint32		capacity = Max(ndirs, cache->dirs_capacity + 8);

		if (cache->dirs == NULL)
			cache->dirs = MemoryContextAlloc(store->context,
											 pir_size_mul(capacity, sizeof(BlockNumber)));
		else
			cache->dirs = repalloc(cache->dirs, pir_size_mul(capacity, sizeof(BlockNumber)));
		cache->dirs_capacity = capacity;
	}
}

/* Is this store's epoch over? Locks: share-locks block 0. */
static bool
epoch_changed(PirStore *store)
{
	Buffer		meta = pir_meta_read(store->index, store->kind, PIR_LOCK_SHARE);
	uint32		epoch = pir_meta_head(BufferGetPage(meta))->epoch;

	pir_page_release(meta);
	return epoch != store->epoch;
}

/*
 * Share-lock a page-table page. InvalidBuffer if it has become something else
 * because the epoch changed.
 */
static Buffer
read_dir(PirStore *store, BlockNumber blkno)
{
	Buffer		buf;
	Page		page;

	if (blkno == InvalidBlockNumber)
		pir_report_corrupted(store->index, PIR_META_BLKNO, "a page table ends too early");
	if (blkno >= pir_page_count(store->index))
		pir_report_corrupted(store->index, PIR_META_BLKNO, "a page table goes on at block %u, beyond the end", blkno);
	buf = pir_page_pin(store->index, blkno);
	if (likely(pir_page_lock_if(store->index, buf, PIR_PAGE_TABLE, PIR_LOCK_SHARE, &page)))
		return buf;
	pir_page_unpin(buf);

	if (!epoch_changed(store))
		pir_report_corrupted(store->index, blkno, "page is no page-table page");
	return InvalidBuffer;
}

static bool
sync_table(PirStore *store, int t, const PirTableOnPage *table)
{
	PirTableCache *cache = &store->tables[t];
	uint32		npages = table->npages;
	uint32		ndirs = npages / PIR_TABLE_FANOUT + (npages % PIR_TABLE_FANOUT != 0);
	BlockNumber file_blocks;

	if (npages <= cache->npages)
		return true;
	file_blocks = pir_page_count(store->index);
	if (npages >= file_blocks)
		pir_report_corrupted(store->index, PIR_META_BLKNO, "page table %d has %u pages in a file of %u blocks",
							 t, npages, file_blocks);

	grow_cache(store, cache, npages, ndirs);
	while (cache->npages < npages)
	{
		uint32		dir = cache->npages / PIR_TABLE_FANOUT;
		uint32		first = dir * PIR_TABLE_FANOUT;
		uint32		end = Min(npages, first + (uint32) PIR_TABLE_FANOUT);
		BlockNumber blkno;
		Buffer		buf;
		Page		page;
		const BlockNumber *entries;

		/* the block of table page 'dir': known, or linked from the one before */
		if (dir < cache->ndirs)
			blkno = cache->dirs[dir];
		else if (dir == 0)
			blkno = table->first;
		else
		{
			buf = read_dir(store, cache->dirs[dir - 1]);
			if (buf == InvalidBuffer)
				return false;
			blkno = pir_page_special(BufferGetPage(buf))->next;
			pir_page_release(buf);
		}

		buf = read_dir(store, blkno);
		if (buf == InvalidBuffer)
			return false;
		page = BufferGetPage(buf);
		if (pir_page_special(page)->logical != dir ||
			pir_page_special(page)->nslots < end - first)
		{
			uint32		logical = pir_page_special(page)->logical;
			uint32		nslots = pir_page_special(page)->nslots;

			pir_page_release(buf);
			if (epoch_changed(store))
				return false;
			pir_report_corrupted(store->index, blkno,
								 "page-table page has number %u and %u entries instead of %u and at least %u",
								 logical, nslots, dir, end - first);
		}
		if (dir >= cache->ndirs)
			cache->dirs[cache->ndirs++] = blkno;
		entries = (const BlockNumber *) pir_page_content(page);
		for (; cache->npages < end; cache->npages++)
		{
			BlockNumber entry = entries[cache->npages - first];

			if (unlikely(entry >= file_blocks))
				pir_report_corrupted(store->index, blkno, "page %u of page table %d is block %u of %u",
									 cache->npages, t, entry, file_blocks);
			cache->blocks[cache->npages] = entry;
			cache->hints[cache->npages] = InvalidBuffer;
			cache->checked[cache->npages] = false;
		}
		pir_page_release(buf);
	}
	return true;
}

bool
pir_store_sync(PirStore *store, const PirMetaHeadOnPage *head)
{
	for (int t = 0; t < PIR_NTABLES; t++)
	{
		if (!sync_table(store, t, &head->tables[t]))
			return false;
	}
	return true;
}

BlockNumber
pir_table_block(PirStore *store, int table, uint32 logical)
{
	PirTableCache *cache = &store->tables[table];

	if (unlikely(logical >= cache->npages))
	{
		Buffer		meta = pir_meta_read(store->index, store->kind, PIR_LOCK_SHARE);
		PirMetaHeadOnPage head = *pir_meta_head(BufferGetPage(meta));

		pir_page_release(meta);
		if (head.seed != store->seed || head.epoch != store->epoch)
			return InvalidBlockNumber;
		if (!pir_store_sync(store, &head))
			return InvalidBlockNumber;
		if (logical >= cache->npages)
			return InvalidBlockNumber;
	}
	return cache->blocks[logical];
}

Buffer
pir_table_pin(PirStore *store, int table, uint32 logical)
{
	BlockNumber blkno = pir_table_block(store, table, logical);
	PirTableCache *cache = &store->tables[table];
	Buffer		hint;

	if (unlikely(blkno == InvalidBlockNumber))
		pir_report_corrupted(store->index, PIR_META_BLKNO,
							 "page table %d has no page %u", table, logical);

	hint = cache->hints[logical];
	if (hint != InvalidBuffer &&
		pir_read_recent_buffer(store->index, blkno, hint))
		return hint;
	return cache->hints[logical] = ReadBuffer(store->index, blkno);
}

/*
 * Add an empty page to the chain of table pages; one atomic change. Or learn
 * of the one that an unfinished append left there.
 */
static void
append_dir(PirStore *store, Buffer meta, int t)
{
	PirTableCache *cache = &store->tables[t];
	PirWal		wal;
	PirTableOnPage *table;
	PirMetaHeadOnPage *head;
	Buffer		last = InvalidBuffer;
	Buffer		buf;

	grow_cache(store, cache, cache->npages, cache->ndirs + 1);
	table = &pir_meta_head(BufferGetPage(meta))->tables[t];
	if (table->last != InvalidBlockNumber)
	{
		last = pir_page_read(store->index, table->last, PIR_PAGE_TABLE, PIR_LOCK_EXCLUSIVE);

		/* a crash or error may have come between our change and the next */
		if (pir_page_special(BufferGetPage(last))->logical == table->npages / PIR_TABLE_FANOUT)
		{
			cache->dirs[cache->ndirs++] = table->last;
			pir_page_release(last);
			return;
		}
	}

	pir_wal_begin(&wal, store->index);
	head = pir_meta_head(pir_wal_page(&wal, meta));
	table = &head->tables[t];
	buf = pir_page_alloc(store->index, head);
	pir_page_set_used(pir_wal_new_page(&wal, buf, PIR_PAGE_TABLE,
									   table->npages / PIR_TABLE_FANOUT), 0);
	if (last != InvalidBuffer)
		pir_page_special(pir_wal_page(&wal, last))->next = BufferGetBlockNumber(buf);
	else
		table->first = BufferGetBlockNumber(buf);
	table->last = BufferGetBlockNumber(buf);
	pir_wal_finish(&wal);

	cache->dirs[cache->ndirs++] = BufferGetBlockNumber(buf);
	pir_page_release(buf);
	if (last != InvalidBuffer)
		pir_page_release(last);
}

uint32
pir_table_append(PirStore *store, Buffer meta, int t, uint8 kind)
{
	PirTableCache *cache = &store->tables[t];
	PirWal		wal;
	PirMetaHeadOnPage *head;
	PirTableOnPage *table;
	Buffer		dir;
	Buffer		buf;
	Page		page;
	uint32		logical;

	(void) pir_store_sync(store, pir_meta_head(BufferGetPage(meta)));
	if (cache->npages == cache->ndirs * PIR_TABLE_FANOUT)
		append_dir(store, meta, t);

	pir_wal_begin(&wal, store->index);
	head = pir_meta_head(pir_wal_page(&wal, meta));
	table = &head->tables[t];
	logical = table->npages;
	dir = pir_page_read(store->index, table->last, PIR_PAGE_TABLE, PIR_LOCK_EXCLUSIVE);
	buf = pir_page_alloc(store->index, head);
	pir_page_set_used(pir_wal_new_page(&wal, buf, kind, logical), 0);

	page = pir_wal_page(&wal, dir);
	((BlockNumber *) pir_page_content(page))[logical % PIR_TABLE_FANOUT] = BufferGetBlockNumber(buf);
	pir_page_special(page)->nslots = logical % PIR_TABLE_FANOUT + 1;
	pir_page_set_used(page, pir_page_special(page)->nslots * sizeof(BlockNumber));
	table->npages++;
	grow_cache(store, cache, logical + 1, cache->ndirs);
	pir_wal_finish(&wal);

	cache->blocks[logical] = BufferGetBlockNumber(buf);
	cache->hints[logical] = buf;
	cache->checked[logical] = true;
	cache->npages = logical + 1;
	pir_page_release(buf);
	pir_page_release(dir);
	return logical;
}
