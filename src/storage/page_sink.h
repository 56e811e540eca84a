/*-------------------------------------------------------------------------
 *
 * page_sink.h
 *	  Writing many new pages one after the other.
 *
 * Two uses. A build owns the whole file: its pages go unlogged to the end of
 * the fork, and pir_wal_log_build() logs them all at the end. Training adds a
 * second set of pages to an index in use, behind the blocks in use: each page
 * is logged as it is written, but nothing leads to it until the meta page is
 * switched, so a crash before that leaves only unused blocks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_SINK_H
#define PIR_PAGE_SINK_H

#include "storage/page_meta.h"
#include "storage/page_wal.h"

typedef struct PirPageSink
{
	Relation	index;
	ForkNumber	fork;
	bool		logged;
	BlockNumber next;			/* block the next page will have */
	Buffer		buf;			/* the page being written, locked */
	PirWal		wal;
} PirPageSink;

/* Begin at block 'start'. Unlogged sinks require that the fork ends there. */
extern void pir_sink_begin(PirPageSink *sink, Relation index, ForkNumber fork,
						   BlockNumber start, bool logged);

/* The next page, initialised. Locks: exclusive until pir_sink_done(). */
extern Page pir_sink_page(PirPageSink *sink, uint8 kind, uint32 logical);

/* Finish the page; returns its block. */
extern BlockNumber pir_sink_done(PirPageSink *sink);

/* Write the page table for n pages that lie at first, first + 1, ... */
extern void pir_sink_table(PirPageSink *sink, PirTableOnPage *table, BlockNumber first, uint32 n);

#endif							/* PIR_PAGE_SINK_H */
