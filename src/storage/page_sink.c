/*-------------------------------------------------------------------------
 *
 * page_sink.c
 *	  Writing many new pages one after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/page_sink.h"

void
pir_sink_begin(PirPageSink *sink, Relation index, ForkNumber fork, BlockNumber start, bool logged)
{
	sink->index = index;
	sink->fork = fork;
	sink->logged = logged;
	sink->next = start;
	sink->buf = InvalidBuffer;
}

Page
pir_sink_page(PirPageSink *sink, uint8 kind, uint32 logical)
{
	Page		page;

	CHECK_FOR_INTERRUPTS();
	Assert(sink->buf == InvalidBuffer);
	sink->buf = pir_page_new(sink->index, sink->fork, sink->next);
	if (sink->logged)
	{
		pir_wal_begin(&sink->wal, sink->index);
		return pir_wal_new_page(&sink->wal, sink->buf, kind, logical);
	}
	page = BufferGetPage(sink->buf);
	pir_page_init(page, kind, logical);
	return page;
}

BlockNumber
pir_sink_done(PirPageSink *sink)
{
	if (sink->logged)
		pir_wal_finish(&sink->wal);
	else
	{
		MarkBufferDirty(sink->buf);
		PIR_STOP_POINT("write_build_page");
	}
	UnlockReleaseBuffer(sink->buf);
	sink->buf = InvalidBuffer;
	return sink->next++;
}

void
pir_sink_table(PirPageSink *sink, PirTableOnPage *table, BlockNumber first, uint32 n)
{
	table->first = table->last = InvalidBlockNumber;
	table->npages = n;
	for (uint32 done = 0; done < n;)
	{
		uint32		count = Min(n - done, (uint32) PIR_TABLE_FANOUT);
		Page		page = pir_sink_page(sink, PIR_PAGE_TABLE, done / PIR_TABLE_FANOUT);
		BlockNumber *entries = (BlockNumber *) pir_page_content(page);

		for (uint32 i = 0; i < count; i++)
			entries[i] = first + done + i;
		pir_page_special(page)->nslots = count;
		pir_page_set_used(page, count * sizeof(BlockNumber));
		done += count;
		if (done < n)
			pir_page_special(page)->next = sink->next + 1;
		table->last = pir_sink_done(sink);
		if (table->first == InvalidBlockNumber)
			table->first = table->last;
	}
}
