/*-------------------------------------------------------------------------
 *
 * page_debug.c
 *	  Stop points and a check of the lock order, for test builds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/xlog.h"
#include "base/pir_compat.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/page_debug.h"
#include "storage/page_format.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * Stop points
 * ------------------------------------------------------------------------
 */
#ifdef PIR_TEST_BUILD

#define MAX_STOP_POINTS		64
#define NAME_BYTES			64

typedef struct StopPoint
{
	char		name[NAME_BYTES];
	uint64		hits;
} StopPoint;

static StopPoint reached[MAX_STOP_POINTS];
static int	nreached = 0;

/* What to do, where, and at which of the times it is reached; 0 is never. */
static char stop_action[NAME_BYTES];
static char stop_name[NAME_BYTES];
static uint64 stop_hit = 0;

void
pir_debug_stop_point(const char *name)
{
	int			i = 0;

	while (i < nreached && strcmp(reached[i].name, name) != 0)
		i++;
	if (i == nreached)
	{
		if (nreached == MAX_STOP_POINTS)
			elog(PANIC, "more than %d stop points", MAX_STOP_POINTS);
		strlcpy(reached[i].name, name, NAME_BYTES);
		reached[i].hits = 0;
		nreached++;
	}
	if (++reached[i].hits != stop_hit || strcmp(name, stop_name) != 0)
		return;

	stop_hit = 0;
	if (strcmp(stop_action, "crash") == 0)
	{
		/* recovery shall find this change, and nothing after it */
		if (XactLastRecEnd != InvalidXLogRecPtr)
			XLogFlush(XactLastRecEnd);
		kill(MyProcPid, SIGKILL);
		for (;;)
			pause();
	}
	if (strcmp(stop_action, "error") == 0)
		elog(ERROR, "stopped at \"%s\"", name);
	/* at the next place that looks for interrupts */
	InterruptPending = true;
	QueryCancelPending = true;
}

PGDLLEXPORT PG_FUNCTION_INFO_V1(pir_debug_stop_at);

/* stop_at(text) returns text: see page_debug.h */
Datum
pir_debug_stop_at(PG_FUNCTION_ARGS)
{
	char	   *where = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData seen;
	unsigned long long hit = 0;

	initStringInfo(&seen);
	for (int i = 0; i < nreached; i++)
		appendStringInfo(&seen, "%s%s %llu", i > 0 ? "\n" : "", reached[i].name,
						 (unsigned long long) reached[i].hits);
	nreached = 0;
	if (where[0] != '\0' &&
		(sscanf(where, "%63s %63s %llu", stop_action, stop_name, &hit) != 3 ||
		 (strcmp(stop_action, "crash") != 0 && strcmp(stop_action, "error") != 0 &&
		  strcmp(stop_action, "cancel") != 0)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("say \"crash|error|cancel NAME HIT\", not \"%s\"", where)));
	stop_hit = hit;
	PG_RETURN_TEXT_P(cstring_to_text_with_len(seen.data, seen.len));
}

#endif							/* PIR_TEST_BUILD */

/* ------------------------------------------------------------------------
 * The order of content locks
 * ------------------------------------------------------------------------
 */
#if defined(PIR_TEST_BUILD) || defined(USE_ASSERT_CHECKING)

/* hnsw/README.md section 6: places in the order */
typedef enum LockClass
{
	CLASS_META,
	CLASS_TABLE,				/* page-table and entry pages */
	CLASS_CODE,
	CLASS_LIST,
	CLASS_OTHER					/* free and new pages, the centre */
} LockClass;

typedef struct HeldLock
{
	Buffer		buf;
	uint32		file;
	BlockNumber blkno;
	LockClass	class;
	uint32		logical;
} HeldLock;

/* More at once would be a fault by itself. */
#define MAX_HELD	12

static HeldLock held[MAX_HELD];
static int	nheld = 0;

/* The hnsw indexes seen last. Of others only what holds for all is checked. */
#define MAX_FILES	64

static uint32 hnsw_files[MAX_FILES];
static int	next_file = 0;

static uint32
file_of(Buffer buf)
{
	PirFile		file;
	ForkNumber	fork;
	BlockNumber blkno;

	BufferGetTag(buf, &file, &fork, &blkno);
	return pir_file_number(file);
}

static bool
is_hnsw(uint32 file)
{
	for (int i = 0; i < MAX_FILES; i++)
	{
		if (hnsw_files[i] == file)
			return true;
	}
	return false;
}

void
pir_debug_kind(Buffer buf, PirKindId kind)
{
	uint32		file;

	if (kind != PIR_KIND_HNSW || BufferIsLocal(buf))
		return;
	file = file_of(buf);
	if (is_hnsw(file))
		return;
	hnsw_files[next_file] = file;
	next_file = (next_file + 1) % MAX_FILES;
}

static bool
is_held(Buffer buf)
{
	return LWLockHeldByMe(BufferDescriptorGetContentLock(GetBufferDescriptor(buf - 1)));
}

static LockClass
class_of(Buffer buf)
{
	Page		page = BufferGetPage(buf);

	if (BufferGetBlockNumber(buf) == 0)
		return CLASS_META;
	if (((PageHeader) page)->pd_special != BLCKSZ - sizeof(PirPageSpecialOnPage))
		return CLASS_OTHER;		/* empty, or no page of ours */
	switch (pir_page_special(page)->kind)
	{
		case PIR_PAGE_TABLE:
		case PIR_PAGE_ENTRY:
			return CLASS_TABLE;
		case PIR_PAGE_CODE:
			return CLASS_CODE;
		case PIR_PAGE_LIST:
			return CLASS_LIST;
		default:
			return CLASS_OTHER;
	}
}

/* May 'new' be waited for by one who holds 'old'? */
static bool
in_order(const HeldLock *old, const HeldLock *new, bool exclusive)
{
	if (old->file != new->file)
		return true;
	if (!is_hnsw(new->file))
		return new->class != CLASS_META;
	if (old->class != new->class)
		return old->class < new->class;
	switch (new->class)
	{
		case CLASS_TABLE:
			/* along a chain, from the first page on */
			return old->logical < new->logical;
		case CLASS_LIST:
			return old->blkno < new->blkno;
		case CLASS_CODE:
			/* readers take the pages of one large node in its own order */
			return !exclusive || old->blkno < new->blkno;
		case CLASS_OTHER:
			return true;
		default:
			return false;
	}
}

void
pir_debug_locked(Buffer buf, bool exclusive)
{
	HeldLock	new;
	int			n = 0;

	/* nobody else waits for pages of temporary tables */
	if (BufferIsLocal(buf))
		return;

	new.buf = buf;
	new.file = file_of(buf);
	new.blkno = BufferGetBlockNumber(buf);
	new.class = class_of(buf);
	new.logical = new.class == CLASS_TABLE ? pir_page_special(BufferGetPage(buf))->logical : 0;

	/* forget those released since, by unlocking or by an error */
	for (int i = 0; i < nheld; i++)
	{
		if (held[i].buf != buf && is_held(held[i].buf))
			held[n++] = held[i];
	}
	nheld = n;
	for (int i = 0; i < nheld; i++)
	{
		if (!in_order(&held[i], &new, exclusive))
			elog(PANIC, "locked block %u of class %d while holding block %u of class %d",
				 new.blkno, new.class, held[i].blkno, held[i].class);
	}
	if (nheld == MAX_HELD)
		elog(PANIC, "more than %d pages locked at once", MAX_HELD);
	held[nheld++] = new;
}

#endif
