/*-------------------------------------------------------------------------
 *
 * ivf_inspect.c
 *	  Describes an ivf index, and registers it as an index kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "ivf/ivf.h"
#include "ivf/ivf_private.h"
#include "miscadmin.h"

static void
add_pages(PirIndexInfo *info, const char *name, uint64 count)
{
	Assert(info->npage_kinds < PIR_INDEX_MAX_PAGE_KINDS);
	info->page_kinds[info->npage_kinds].name = name;
	info->page_kinds[info->npage_kinds].count = count;
	info->npage_kinds++;
}

/*
 * Counts rows and pages by walking the lists: nothing counts them while rows
 * come and go, so that inserts into different lists do not meet.
 */
static void
describe(Relation index, PirIndexInfo *info)
{
	for (;;)
	{
		PirIvfIndex ivf;
		const PirIvfMetaOnPage *meta = &ivf.meta;
		const PirTableOnPage *table = &meta->head.tables[PIR_TABLE_LIST];
		uint64		rows = 0;
		uint64		pages = 0;
		bool		changed = false;

		pir_ivf_open(&ivf, index);
		for (uint32 list = 0; list < meta->nlists && !changed; list++)
		{
			PirIvfListScan scan;

			pir_ivf_list_begin(&scan, &ivf, list);
			while (pir_ivf_list_page(&scan))
			{
				rows += pir_page_special(scan.page)->nslots;
				pages++;
			}
			changed = scan.changed;
		}
		if (changed)
		{
			/* trained meanwhile */
			pir_ivf_close(&ivf);
			continue;
		}
		info->state = meta->state == PIR_IVF_FLAT ? "flat" : "lists";
		info->head = meta->head;
		info->trained_rows = meta->ntrained;
		info->heap_rows = rows;
		info->live_nodes = rows;
		info->entries = meta->state == PIR_IVF_FLAT ? 0 : meta->nlists;
		add_pages(info, "meta", 1);
		add_pages(info, "table", table->npages / PIR_TABLE_FANOUT + (table->npages % PIR_TABLE_FANOUT != 0));
		add_pages(info, "code", pages);
		add_pages(info, "list", table->npages);
		add_pages(info, "centre", meta->centre == InvalidBlockNumber ? 0 :
				  (meta->head.code_dim + PIR_IVF_CENTRE_FANOUT - 1) / PIR_IVF_CENTRE_FANOUT);
		pir_ivf_close(&ivf);
		return;
	}
}

const PirIndexKind pir_ivf_kind = {
	.id = PIR_KIND_IVF,
	.name = "ivf",
	.build = pir_ivf_build,
	.describe = describe,
	.check = pir_ivf_check
};
