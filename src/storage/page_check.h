/*-------------------------------------------------------------------------
 *
 * page_check.h
 *	  Verifying an index: the list of findings, and the invariants that all
 *	  index kinds share (README.md section 5, STORAGE-I1 to STORAGE-I6).
 *
 * A check never stops at the first fault and never trusts what it reads:
 * faults become findings, not errors. (A block that the server itself cannot
 * read, for a wrong data checksum say, remains the server's ERROR.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_CHECK_H
#define PIR_PAGE_CHECK_H

#include "nodes/pg_list.h"
#include "storage/page_meta.h"

/* "Does not concern one block / one node" */
#define PIR_CHECK_NONE	(-1)

/* Findings of one invariant beyond this many are counted, not listed. */
#define PIR_CHECK_MAX_PER_INVARIANT	100

typedef struct PirFinding
{
	const char *invariant;		/* "STORAGE-I3" */
	int64		blkno;			/* or PIR_CHECK_NONE */
	int64		node;			/* or PIR_CHECK_NONE */
	char	   *detail;
} PirFinding;

typedef struct PirCheck
{
	Relation	index;
	Relation	heap;

	/*
	 * True: no writer is at work and none will be, so that what spans several
	 * pages is checked too. False: others may write; only what holds within
	 * one page at any moment is checked.
	 */
	bool		complete;

	List	   *findings;		/* of PirFinding, in 'context' */
	List	   *suppressed;		/* of PirFinding, one per invariant: how many more */
	MemoryContext context;
	Page		page;			/* room for one page, for this file's own use */

	/* filled by pir_check_tables() */
	BlockNumber file_blocks;	/* blocks of the file */
	BlockNumber nblocks;		/* of them in use */
	uint8	   *uses;			/* PirPageUse of each block in use */
	uint32		nmapped[PIR_NTABLES];	/* logical pages */
	BlockNumber *mapped[PIR_NTABLES];	/* their blocks; InvalidBlockNumber where unusable */
} PirCheck;

/* What a block is used for; the name appears in findings. */
typedef enum PirPageUse
{
	PIR_USE_NONE,
	PIR_USE_META,
	PIR_USE_TABLE,
	PIR_USE_MAPPED,
	PIR_USE_CHAIN,				/* of a chain that belongs to the index kind */
	PIR_USE_FREE
} PirPageUse;

extern void pir_check_init(PirCheck *check, Relation index, Relation heap, bool complete);

/* Note a finding. 'invariant' must be a constant. */
extern void pir_check_add(PirCheck *check, const char *invariant, int64 blkno, int64 node,
						  const char *detail,...) pg_attribute_printf(5, 6);

/* Turn the counts of suppressed findings into findings; the end of a check. */
extern void pir_check_close(PirCheck *check);

/* Forget all findings (a check of a moving index starts again). */
extern void pir_check_reset(PirCheck *check);

/*
 * Read block 0 and copy the first 'size' bytes of its content to *meta. False
 * (with findings of STORAGE-I1) if it cannot be trusted, which ends a check.
 * Locks: share lock on block 0, released.
 */
extern bool pir_check_meta(PirCheck *check, PirKindId kind, void *meta, Size size);

/*
 * Copy a page of one of 'kinds' to 'page' (BLCKSZ bytes, MAXALIGNed); false,
 * with a finding of STORAGE-I3, if there is none. Working on copies, a check
 * holds no lock while it compares pages with each other.
 * Locks: share lock on the page, released.
 */
extern bool pir_check_page(PirCheck *check, BlockNumber blkno, int kinds, Page page);

/*
 * Walk the page tables and the chain of free pages, and remember which block
 * is used for what. STORAGE-I2, I4, I5.
 * Locks: share lock on one page at a time.
 */
extern void pir_check_tables(PirCheck *check, const PirMetaHeadOnPage *head,
							 const uint8 kinds[PIR_NTABLES]);

/*
 * Record the use of a block; false, with a finding of STORAGE-I6, if it does
 * not exist or has another use already.
 */
extern bool pir_check_claim(PirCheck *check, BlockNumber blkno, PirPageUse use);

/*
 * Walk a chain of pages of one kind that belongs to the index kind: calls
 * visit() with a copy of each page and returns their number. Stops at a page
 * that is no member, or was seen before. STORAGE-I3, I6.
 */
typedef void (*PirCheckVisit) (PirCheck *check, BlockNumber blkno, Page page, void *arg);
extern uint32 pir_check_chain(PirCheck *check, BlockNumber first, int kind,
							  PirCheckVisit visit, void *arg);

/*
 * When everything has been claimed: every remaining block below nblocks must
 * be a well-formed page and is reported as used by nobody. STORAGE-I3, I6.
 */
extern void pir_check_unclaimed(PirCheck *check);

#endif							/* PIR_PAGE_CHECK_H */
