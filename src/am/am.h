/*-------------------------------------------------------------------------
 *
 * am.h
 *	  What an index kind offers to those above it.
 *
 * observe/ (and whoever else serves all kinds) reaches a kind through its
 * PirIndexKind only; src/piramid.c registers one per kind. A new kind is a
 * new row there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_H
#define PIR_AM_H

#include "access/amapi.h"
#include "am/am_value.h"
#include "storage/page_check.h"

#define PIR_INDEX_MAX_PAGE_KINDS	8

/* What piramid_index_info() shows of an index. */
typedef struct PirIndexInfo
{
	const char *state;			/* in the kind's words: "flat", "graph" */
	PirMetaHeadOnPage head;		/* copy */
	uint64		trained_rows;	/* rows that its parameters were computed from */
	double		code_error;		/* PirQuantMeasure of the codes; 0 if not measured */
	double		code_rows;
	uint64		heap_rows;		/* heap rows the index points to */
	uint64		live_nodes;
	uint64		dead_nodes;		/* deleted, not yet taken out by VACUUM */
	uint64		free_nodes;		/* slots that inserts will use again */
	uint64		entries;		/* nodes where searches may begin */
	int			npage_kinds;	/* pages by kind, without free and unused ones */
	struct
	{
		const char *name;
		uint64		count;
	}			page_kinds[PIR_INDEX_MAX_PAGE_KINDS];
} PirIndexInfo;

typedef struct PirIndexKind
{
	PirKindId	id;
	const char *name;

	/* An index is of this kind if its access method builds with this. */
	ambuild_function build;

	/*
	 * Describe an index. Fills all of *info but what is 0.
	 * Locks: share locks on one page at a time. Errors: INDEX_CORRUPTED.
	 */
	void		(*describe) (Relation index, PirIndexInfo *info);

	/*
	 * Verify every invariant of the kind, adding findings to 'check'.
	 * Locks: the caller holds table and index as 'check->complete' says; share
	 * locks on one page at a time.
	 */
	void		(*check) (PirCheck *check);
} PirIndexKind;

/* Called by _PG_init only. */
extern void pir_kind_register(const PirIndexKind *kind);

/* Kind of an (open) index, or NULL if it is none of ours. */
extern const PirIndexKind *pir_kind_of(Relation index);

#endif							/* PIR_AM_H */
