/*-------------------------------------------------------------------------
 *
 * page_pins.h
 *	  A bounded set of pinned logical pages, kept through one search.
 *
 * A search comes back to the same few pages many times; holding their pins
 * turns each return into a look-up in a small local table. Content locks are
 * taken and dropped around each read by the caller. The set lives on the
 * stack or in a scan; pins belong to the current resource owner, so an error
 * releases them, and pir_pins_release() must come before the executor gets
 * control back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_PINS_H
#define PIR_PAGE_PINS_H

#include "storage/page_table.h"

#define PIR_PINS_MAX		512
#define PIR_PINS_BUCKETS	(2 * PIR_PINS_MAX)

typedef struct PirPins
{
	PirStore   *store;
	int			max;			/* this server's bound, <= PIR_PINS_MAX */
	int			n;
	int			next_victim;
	struct
	{
		uint32		key;		/* logical * 2 + table */
		Buffer		buf;
		int16		chain;		/* next in the bucket, or -1 */
	}			pins[PIR_PINS_MAX];
	int16		buckets[PIR_PINS_BUCKETS];
} PirPins;

/* Bound: a fair share of shared_buffers, as core's own pin limits. */
extern void pir_pins_init(PirPins *pins, PirStore *store);

/*
 * The page, pinned, and checked to be of its table's kind; valid until the
 * next call, which may evict it. A mapped page keeps its kind while the epoch
 * lasts, so one check in the life of the store will do: it reads cache lines
 * at both ends of the page that a search does not need.
 * Locks: a share lock on the page for the check; and as pir_table_pin().
 * Errors: INDEX_CORRUPTED.
 */
extern Buffer pir_pins_get(PirPins *pins, int table, uint32 logical);

/*
 * Bring part of a page (and what a pin and a lock of it touch) into the
 * processor's caches, from the buffer where the page was last seen. Takes no
 * pin and may be wrong: it is a wish.
 */
extern void pir_pins_prefetch(const PirPins *pins, int table, uint32 logical, Size offset, Size bytes);

/*
 * The page will be wanted soon: if reads are expected (pir_io_expected(), the
 * caller asks) have it read meanwhile. Nothing happens for a page not known.
 */
extern void pir_pins_read_ahead(const PirPins *pins, int table, uint32 logical);

extern void pir_pins_release(PirPins *pins);

#endif							/* PIR_PAGE_PINS_H */
