/*-------------------------------------------------------------------------
 *
 * obs_inspect.c
 *	  piramid_index_info(index): what an index is and holds, in one row.
 *
 * Open to whoever may read the table, and to members of pg_stat_scan_tables
 * (so of pg_monitor): it tells sizes and counts, no values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/pir_compat.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "observe/obs_index.h"
#include "quant/quant.h"
#include "utils/builtins.h"
#include "utils/json.h"

extern PGDLLEXPORT Datum pir_index_info(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pir_index_info);

/* Columns of the result */
enum
{
	COL_ACCESS_METHOD,
	COL_KIND,
	COL_STATE,
	COL_VALUE_TYPE,
	COL_METRIC,
	COL_QUANTIZER,
	COL_BITS,
	COL_DIMENSIONS,
	COL_CODE_DIMENSIONS,
	COL_M,
	COL_TRAINED_ROWS,
	COL_CODE_ERROR,
	COL_CODE_ROWS,
	COL_HEAP_ROWS,
	COL_LIVE_NODES,
	COL_DEAD_NODES,
	COL_FREE_NODES,
	COL_ENTRIES,
	COL_PAGES,
	COL_BYTES,
	COL_BYTES_PER_ROW,
	COL_FORMAT_VERSION,
	NCOLS
};

static const char *const metric_names[PIR_NMETRICS] = {
	[PIR_METRIC_L2] = "l2",
	[PIR_METRIC_IP] = "ip",
	[PIR_METRIC_COSINE] = "cosine",
	[PIR_METRIC_L1] = "l1",
	[PIR_METRIC_HAMMING] = "hamming",
	[PIR_METRIC_JACCARD] = "jaccard"
};

/*
 * Pages by kind, as jsonb. "unused" are blocks of the file that the meta page
 * does not count: what an unfinished extension left, to be used next.
 */
static Datum
pages_as_json(const PirIndexInfo *info, BlockNumber file_blocks)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < info->npage_kinds; i++)
	{
		escape_json(&text, info->page_kinds[i].name);
		appendStringInfo(&text, ":" UINT64_FORMAT ",", info->page_kinds[i].count);
	}
	appendStringInfo(&text, "\"free\":%u,\"unused\":%u}", info->head.nfree,
					 file_blocks > info->head.nblocks ? file_blocks - info->head.nblocks : 0);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

Datum
pir_index_info(PG_FUNCTION_ARGS)
{
	Oid			indexid = PG_GETARG_OID(0);
	const PirIndexKind *kind;
	PirIndexInfo info = {0};
	Relation	heap;
	Relation	index;
	TupleDesc	desc;
	Datum		values[NCOLS];
	bool		nulls[NCOLS] = {false};
	BlockNumber file_blocks;
	double		bytes;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != NCOLS)
		elog(ERROR, "return type must be a row type of %d columns", NCOLS);

	kind = pir_obs_open(indexid, PIR_OBS_READ, AccessShareLock, &heap, &index);
	kind->describe(index, &info);
	file_blocks = pir_page_count(index);
	bytes = (double) file_blocks * BLCKSZ;

	values[COL_ACCESS_METHOD] = CStringGetTextDatum(get_am_name(index->rd_rel->relam));
	values[COL_KIND] = CStringGetTextDatum(kind->name);
	values[COL_STATE] = CStringGetTextDatum(info.state);
	values[COL_VALUE_TYPE] = CStringGetTextDatum(pir_value_type_name(info.head.value_type));
	values[COL_METRIC] = CStringGetTextDatum(info.head.metric < PIR_NMETRICS ?
											 metric_names[info.head.metric] : "unknown");
	values[COL_QUANTIZER] = CStringGetTextDatum(pir_quant_name(info.head.quantizer));
	values[COL_BITS] = Int32GetDatum(info.head.bits);
	values[COL_DIMENSIONS] = Int32GetDatum(info.head.dim);
	values[COL_CODE_DIMENSIONS] = Int32GetDatum(info.head.code_dim);
	values[COL_M] = Int32GetDatum(info.head.m);
	nulls[COL_M] = info.head.m == 0;
	values[COL_TRAINED_ROWS] = Int64GetDatum(info.trained_rows);
	values[COL_CODE_ERROR] = Float8GetDatum(info.code_error);
	values[COL_CODE_ROWS] = Float8GetDatum(info.code_rows);
	nulls[COL_CODE_ERROR] = nulls[COL_CODE_ROWS] = info.code_rows == 0;
	values[COL_HEAP_ROWS] = Int64GetDatum(info.heap_rows);
	values[COL_LIVE_NODES] = Int64GetDatum(info.live_nodes);
	values[COL_DEAD_NODES] = Int64GetDatum(info.dead_nodes);
	values[COL_FREE_NODES] = Int64GetDatum(info.free_nodes);
	values[COL_ENTRIES] = Int64GetDatum(info.entries);
	values[COL_PAGES] = pages_as_json(&info, file_blocks);
	values[COL_BYTES] = Int64GetDatum((int64) bytes);
	nulls[COL_BYTES_PER_ROW] = info.heap_rows == 0;
	values[COL_BYTES_PER_ROW] = Float8GetDatum(info.heap_rows == 0 ? 0 :
											   bytes / (double) info.heap_rows);
	values[COL_FORMAT_VERSION] = CStringGetTextDatum(psprintf("%u.%u", info.head.major, info.head.minor));

	pir_obs_close(heap, index, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
