/*-------------------------------------------------------------------------
 *
 * page_pins.c
 *	  A bounded set of pinned logical pages, kept through one search.
 *
 * Eviction is first in, first out: simulated on real graphs it loses little
 * to least recently used, and costs nothing on a hit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_memory.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/page_pins.h"
#include "storage/proc.h"
#include "utils/guc.h"

static inline uint32
bucket_of(uint32 key)
{
	return ((uint64) (key * UINT32_C(2654435761)) * PIR_PINS_BUCKETS) >> 32;
}

void
pir_pins_init(PirPins *pins, PirStore *store)
{
	int			share;

	if (RelationUsesLocalBuffers(store->index))
		share = num_temp_buffers / 4;
	else
		share = NBuffers / (MaxBackends + NUM_AUXILIARY_PROCS);
	pins->store = store;
	pins->max = Max(4, Min(PIR_PINS_MAX, share));
	pins->n = 0;
	pins->next_victim = 0;
	memset(pins->buckets, -1, sizeof(pins->buckets));
}

static void
evict(PirPins *pins, int i)
{
	int16	   *link = &pins->buckets[bucket_of(pins->pins[i].key)];

	while (*link != i)
		link = &pins->pins[*link].chain;
	*link = pins->pins[i].chain;
	ReleaseBuffer(pins->pins[i].buf);
}

Buffer
pir_pins_get(PirPins *pins, int table, uint32 logical)
{
	uint32		key = logical * PIR_NTABLES + table;
	uint32		bucket = bucket_of(key);
	Buffer		buf;
	int			i;

	for (i = pins->buckets[bucket]; i >= 0; i = pins->pins[i].chain)
	{
		if (pins->pins[i].key == key)
			return pins->pins[i].buf;
	}

	buf = pir_table_pin(pins->store, table, logical);
	if (unlikely(!pins->store->tables[table].checked[logical]))
	{
		(void) pir_page_lock(pins->store->index, buf,
							 table == PIR_TABLE_CODE ? PIR_PAGE_CODE : PIR_PAGE_LIST, PIR_LOCK_SHARE);
		pir_page_unlock(buf);
		pins->store->tables[table].checked[logical] = true;
	}
	if (pins->n < pins->max)
		i = pins->n++;
	else
	{
		i = pins->next_victim;
		pins->next_victim = (i + 1) % pins->max;
		evict(pins, i);
	}
	pins->pins[i].key = key;
	pins->pins[i].buf = buf;
	pins->pins[i].chain = pins->buckets[bucket];
	pins->buckets[bucket] = i;
	return buf;
}

void
pir_pins_prefetch(const PirPins *pins, int table, uint32 logical, Size offset, Size bytes)
{
	const PirTableCache *cache = &pins->store->tables[table];
	Buffer		hint;
	const char *data;

	if (unlikely(logical >= cache->npages))
		return;
	hint = cache->hints[logical];
	if (unlikely(hint <= 0))
		return;					/* never seen, or a local buffer, which few look at twice */
	pir_prefetch(GetBufferDescriptor(hint - 1));
	data = BufferGetBlock(hint);
	for (Size done = 0; done < bytes; done += PIR_CACHE_LINE)
		pir_prefetch(data + offset + done);
}

void
pir_pins_read_ahead(const PirPins *pins, int table, uint32 logical)
{
	const PirTableCache *cache = &pins->store->tables[table];

	if (logical < cache->npages)
		pir_page_prefetch(pins->store->index, cache->blocks[logical]);
}

void
pir_pins_release(PirPins *pins)
{
	for (int i = 0; i < pins->n; i++)
		ReleaseBuffer(pins->pins[i].buf);
	pins->n = 0;
	pins->next_victim = 0;
	memset(pins->buckets, -1, sizeof(pins->buckets));
}
