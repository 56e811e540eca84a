/*-------------------------------------------------------------------------
 *
 * page_meta.h
 *	  The meta page: reading with checks, allocation of pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_META_H
#define PIR_PAGE_META_H

#include "storage/page_io.h"
#include "storage/page_wal.h"

/*
 * Pin and lock the meta page; checks magic, version, identity checksum, kind
 * and that its head lies on the page. Errors: INDEX_CORRUPTED,
 * FEATURE_NOT_SUPPORTED (other format version).
 */
extern Buffer pir_meta_read(Relation index, PirKindId kind, PirLock lock);

/*
 * What pir_meta_read() would complain of, as a clause in the current memory
 * context; NULL if nothing.
 */
extern char *pir_meta_fault(const PirMetaHeadOnPage *head, PirKindId kind);

static inline PirMetaHeadOnPage *
pir_meta_head(Page page)
{
	return (PirMetaHeadOnPage *) pir_page_content(page);
}

/* Set magic, version and identity_crc of a head whose identity is filled in. */
extern void pir_meta_seal(PirMetaHeadOnPage *head);

/*
 * Get an unused page: from the chain of free pages, else the next block
 * behind those in use (extending the file when it ends there).
 *
 * 'meta' is the caller's WAL copy of the meta page, part of the same atomic
 * change in which the caller initialises the new page and links it: so a
 * crash leaves the page either unused or linked. Locks: caller holds the meta
 * page exclusively; returns the new page pinned and exclusively locked,
 * contents undefined: use pir_wal_new_page().
 */
extern Buffer pir_page_alloc(Relation index, PirMetaHeadOnPage *meta);

/*
 * Put pages back: turn the (exclusively locked, registered) page into a free
 * one at the head of the chain. 'meta' as above.
 */
extern void pir_page_free(PirMetaHeadOnPage *meta, BlockNumber blkno, Page page);

#endif							/* PIR_PAGE_META_H */
