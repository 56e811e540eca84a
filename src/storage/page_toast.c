/*-------------------------------------------------------------------------
 *
 * page_toast.c
 *	  Read out-of-line values in the order in which they were written.
 *
 * The server finds the chunks of a value through the index of the TOAST
 * table, opening and closing both and descending the index once per value.
 * For a vector of 512 dimensions that costs ten times as much as copying it.
 * But rows that were written one after the other have their chunks one after
 * the other, and a sequential scan asks for them in that order. So we remember
 * where the last value of a TOAST table ended, and look there first.
 *
 * That position is a guess and nothing else. README.md section 4 says why what
 * passes for a value's chunk is its chunk, what happens to the rest, and what
 * the guesses cost where they fail.
 *
 * No pin, relation or scan is held between calls, so no transaction's end has
 * anything to release.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "access/transam.h"
#include "access/xact.h"
#include "base/pir_compat.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/page_heap.h"
#include "storage/page_toast.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* TOAST tables whose positions are remembered at a time */
#define MAX_PLACES 8

/*
 * Items looked at before a guess is given up: other out-of-line columns of the
 * same row, and dead chunks, may lie between two values.
 */
#define MAX_SKIPPED 6

/*
 * After so many guesses failed in a row, so many values are left to the server,
 * and twice as many each time that it happens again, up to a limit. The first
 * value of a scan is never guessed.
 */
#define MAX_FAILURES 2
#define MIN_REST 32
#define MAX_REST 512

/* Where the last value of a TOAST table ended */
typedef struct Place
{
	Oid			toastrelid;		/* InvalidOid if the place is free */
	BlockNumber blkno;			/* the next value is here or a little further */
	OffsetNumber offset;
	Buffer		buffer;			/* what held blkno last: a hint, not a pin */
	int			failures;
	int			rest;			/* values still to be left to the server */
	int			next_rest;		/* how many the next time */

	/*
	 * The length of the table's file when it was last asked for. It can shrink
	 * while nobody has the table locked, and our lock lives as long as the
	 * subtransaction that took it; or by a TRUNCATE of our own in a command
	 * before this one, which keeps the file if this transaction made it.
	 */
	BlockNumber nblocks;
	Oid			relfilenode;
	LocalTransactionId lxid;
	SubTransactionId subid;
	CommandId	cid;
} Place;

/* Walks over the items of a TOAST table, one page pinned and locked at a time */
typedef struct Walk
{
	Relation	rel;
	Snapshot	snapshot;
	Place	   *place;
	BlockNumber blkno;
	OffsetNumber offset;
	Buffer		buffer;
	OffsetNumber max_offset;
} Walk;

/* Part of a value, on the page that a walk stands on */
typedef struct Chunk
{
	int32		size;
	const char *data;
} Chunk;

static Place places[MAX_PLACES];

static Place *
find_place(Oid toastrelid)
{
	static int	next_victim = 0;
	Place	   *place;

	for (int i = 0; i < MAX_PLACES; i++)
	{
		if (places[i].toastrelid == toastrelid)
			return &places[i];
	}
	place = &places[next_victim];
	next_victim = (next_victim + 1) % MAX_PLACES;
	memset(place, 0, sizeof(Place));
	place->toastrelid = toastrelid;
	place->blkno = InvalidBlockNumber;
	place->buffer = InvalidBuffer;
	place->next_rest = MIN_REST;
	return place;
}

static void
leave_page(Walk *walk)
{
	if (BufferIsValid(walk->buffer))
		UnlockReleaseBuffer(walk->buffer);
	walk->buffer = InvalidBuffer;
}

/* How long the table's file is, as far as 'blkno' is concerned */
static bool
block_exists(Walk *walk, BlockNumber blkno)
{
	Place	   *place = walk->place;

	if (place->relfilenode != walk->rel->rd_rel->relfilenode ||
		place->lxid != pir_local_xid() ||
		place->subid != GetCurrentSubTransactionId() ||
		place->cid != GetCurrentCommandId(false))
	{
		place->relfilenode = walk->rel->rd_rel->relfilenode;
		place->lxid = pir_local_xid();
		place->subid = GetCurrentSubTransactionId();
		place->cid = GetCurrentCommandId(false);
		place->nblocks = 0;
	}
	if (blkno >= place->nblocks)
		place->nblocks = RelationGetNumberOfBlocks(walk->rel);
	return blkno < place->nblocks;
}

/* Pin and lock the page of the walk. False if the table is not that long. */
static bool
enter_page(Walk *walk)
{
	const Place *place = walk->place;
	Page		page;

	if (!block_exists(walk, walk->blkno))
		return false;

	if (BufferIsValid(place->buffer) && walk->blkno == place->blkno &&
		pir_read_recent_buffer(walk->rel, walk->blkno, place->buffer))
		walk->buffer = place->buffer;
	else
		walk->buffer = ReadBuffer(walk->rel, walk->blkno);
	LockBuffer(walk->buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(walk->buffer);
	walk->max_offset = PageIsNew(page) ? InvalidOffsetNumber : PageGetMaxOffsetNumber(page);
	return true;
}

/* Make the walk stand on an item. False at the end of the table. */
static bool
stand_on_item(Walk *walk)
{
	if (!BufferIsValid(walk->buffer) && !enter_page(walk))
		return false;
	while (walk->offset > walk->max_offset)
	{
		leave_page(walk);
		CHECK_FOR_INTERRUPTS();
		walk->blkno++;
		walk->offset = FirstOffsetNumber;
		if (!enter_page(walk))
			return false;
	}
	return true;
}

/*
 * Has the transaction that wrote this certainly not failed? SnapshotToast does
 * not ask, because a chunk that the index leads to has been written whole. What
 * an error or a crash left behind between the chunk and its index entry looks
 * the same to us, and the number of its value may be given away again.
 */
static bool
writer_succeeded(const Walk *walk, HeapTupleHeader tuple)
{
	TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple);

	if (tuple->t_infomask & HEAP_MOVED)
		return false;
	if (HeapTupleHeaderXminCommitted(tuple))
		return true;
	/* a damaged number may be one whose fate cannot be asked for */
	if (TransactionIdPrecedes(xmin, walk->rel->rd_rel->relfrozenxid))
		return false;
	return TransactionIdIsCurrentTransactionId(xmin) || TransactionIdDidCommit(xmin);
}

/*
 * Is the item that the walk stands on chunk 'seq' of a value, and may we see
 * it? If so, *chunk tells where its bytes are. Items that no index entry leads
 * to come here too, so nothing is believed without a look at the item's length.
 */
static bool
match_chunk(Walk *walk, Oid valueid, int32 seq, Chunk *chunk)
{
	/* chunk_id oid, chunk_seq int4, chunk_data bytea */
	const Size	head = MAXALIGN(SizeofHeapTupleHeader);
	const Size	body_at = head + sizeof(Oid) + sizeof(int32);
	Page		page = BufferGetPage(walk->buffer);
	ItemId		item = PageGetItemId(page, walk->offset);
	HeapTupleData tuple;
	const char *data;
	const struct varlena *body;

	if (!ItemIdIsNormal(item) ||
		ItemIdGetOffset(item) + ItemIdGetLength(item) > BLCKSZ ||
		ItemIdGetLength(item) < body_at + VARHDRSZ)
		return false;
	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_tableOid = RelationGetRelid(walk->rel);
	ItemPointerSet(&tuple.t_self, walk->blkno, walk->offset);
	if (tuple.t_data->t_hoff != head ||
		HeapTupleHeaderGetNatts(tuple.t_data) != 3 || HeapTupleHasNulls(&tuple))
		return false;

	data = (const char *) tuple.t_data + head;
	if (memcmp(data, &valueid, sizeof(Oid)) != 0 ||
		memcmp(data + sizeof(Oid), &seq, sizeof(int32)) != 0)
		return false;
	body = (const struct varlena *) ((const char *) tuple.t_data + body_at);
	if (!VARATT_IS_4B_U(body) && (!VARATT_IS_SHORT(body) || VARATT_IS_EXTERNAL(body)))
		return false;
	if (body_at + VARSIZE_ANY(body) > tuple.t_len)
		return false;
	chunk->size = VARSIZE_ANY_EXHDR(body);
	chunk->data = VARDATA_ANY(body);
	return HeapTupleSatisfiesVisibility(&tuple, walk->snapshot, walk->buffer) &&
		writer_succeeded(walk, tuple.t_data);
}

/* Walk on from the remembered place to the first chunk of a value. */
static bool
guess_start(Walk *walk, Oid valueid)
{
	walk->blkno = walk->place->blkno;
	walk->offset = walk->place->offset;
	if (walk->blkno == InvalidBlockNumber)
		return false;

	for (int skipped = 0; skipped <= MAX_SKIPPED; skipped++)
	{
		Chunk		chunk;

		if (!stand_on_item(walk))
			break;
		if (match_chunk(walk, valueid, 0, &chunk))
			return true;
		walk->offset++;
	}
	leave_page(walk);
	return false;
}

/* Let the index tell where a chunk of a value is. */
static bool
look_up_chunk(Walk *walk, Oid valueid, int32 seq)
{
	Relation   *indexes;
	int			nindexes;
	int			valid = toast_open_indexes(walk->rel, AccessShareLock, &indexes, &nindexes);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(valueid));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(seq));
	scan = systable_beginscan_ordered(walk->rel, indexes[valid], walk->snapshot, 2, keys);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	if (tuple != NULL)
	{
		walk->blkno = ItemPointerGetBlockNumber(&tuple->t_self);
		walk->offset = ItemPointerGetOffsetNumber(&tuple->t_self);
	}
	systable_endscan_ordered(scan);
	toast_close_indexes(indexes, nindexes, AccessShareLock);
	return tuple != NULL;
}

/*
 * Ask for the cache lines of the next item, which is most likely the next
 * chunk: they come while this one is copied. Worth a quarter of the time.
 */
static inline void
prefetch_next_item(const Walk *walk)
{
	Page		page = BufferGetPage(walk->buffer);
	ItemId		item;

	if (walk->offset >= walk->max_offset)
		return;
	item = PageGetItemId(page, walk->offset + 1);
	if (!ItemIdIsNormal(item))
		return;
	for (Size at = 0; at < ItemIdGetLength(item); at += 64)
		__builtin_prefetch((const char *) PageGetItem(page, item) + at);
}

/* Remember that the next value may begin where the walk stands. */
static void
remember_place(Walk *walk)
{
	Place	   *place = walk->place;

	place->blkno = walk->blkno;
	place->offset = walk->offset;
	/* before 14.5 ReadRecentBuffer() took local buffers for shared ones */
	place->buffer = RelationUsesLocalBuffers(walk->rel) ? InvalidBuffer : walk->buffer;
}

/*
 * Copy the chunks of a value, one after the other, from where the walk stands.
 * They may be in two pieces if 'look_up' allows to ask the index for the
 * second: a value that fills its page has its last chunk where there was room.
 * The next value is expected behind the first piece. False if the value does
 * not lie so.
 */
static bool
copy_value(Walk *walk, Oid valueid, int32 size, bool look_up, char *out)
{
	bool		pieces = false;
	int32		done = 0;

	for (int32 seq = 0; done < size; seq++)
	{
		Chunk		chunk;
		bool		matches = stand_on_item(walk) && match_chunk(walk, valueid, seq, &chunk);

		if (!matches && seq > 0 && !pieces)
		{
			pieces = true;
			remember_place(walk);
			leave_page(walk);
			matches = look_up && look_up_chunk(walk, valueid, seq) &&
				stand_on_item(walk) && match_chunk(walk, valueid, seq, &chunk);
		}
		if (!matches || chunk.size != Min(size - done, TOAST_MAX_CHUNK_SIZE))
		{
			leave_page(walk);
			return false;
		}
		prefetch_next_item(walk);
		memcpy(out + done, chunk.data, chunk.size);
		done += chunk.size;
		walk->offset++;
	}
	if (!pieces)
		remember_place(walk);
	leave_page(walk);
	return true;
}

struct varlena *
pir_toast_read(const struct varatt_external *pointer)
{
	int32		size = VARATT_EXTERNAL_GET_EXTSIZE(*pointer);
	Place	   *place = find_place(pointer->va_toastrelid);
	SnapshotData snapshot_space;
	struct varlena *result;
	Walk		walk = {.place = place, .buffer = InvalidBuffer};
	bool		guessed;

	if (place->rest > 0)
	{
		place->rest--;
		return NULL;
	}

	walk.rel = table_open(pointer->va_toastrelid, AccessShareLock);
	if (!pir_heap_readable(walk.rel))
	{
		place->rest = PG_INT32_MAX;
		table_close(walk.rel, NoLock);
		return NULL;
	}
	walk.snapshot = pir_toast_snapshot(&snapshot_space);

	result = (struct varlena *) palloc(size + VARHDRSZ);
	SET_VARSIZE(result, size + VARHDRSZ);
	guessed = guess_start(&walk, pointer->va_valueid);
	if ((!guessed && !look_up_chunk(&walk, pointer->va_valueid, 0)) ||
		!copy_value(&walk, pointer->va_valueid, size, guessed, VARDATA(result)))
	{
		pfree(result);
		result = NULL;
	}
	table_close(walk.rel, NoLock);

	if (guessed && result != NULL)
	{
		place->failures = 0;
		place->next_rest = MIN_REST;
	}
	else if (++place->failures >= MAX_FAILURES)
	{
		place->failures = 0;
		place->rest = place->next_rest;
		place->next_rest = Min(2 * place->next_rest, MAX_REST);
	}
	return result;
}
