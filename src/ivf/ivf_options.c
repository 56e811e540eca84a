/*-------------------------------------------------------------------------
 *
 * ivf_options.c
 *	  The access methods over this engine, their options, and the identity of
 *	  a new index.
 *
 * An access method is a row of the table below. Options are wishes; what an
 * index is stands in its meta page. They meet in pir_ivf_identity(), when an
 * index is built: changing an option later has no effect before REINDEX.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/am_code.h"
#include "base/pir_compat.h"
#include "base/pir_guc.h"
#include "ivf/ivf.h"
#include "ivf/ivf_private.h"

static relopt_kind ivf_relopt_kind;
static relopt_kind ivfflat_relopt_kind;

static const PirIvfMethod methods[] = {
	{"ivf", pir_ivf_options, PIR_IVF_AUTO_LISTS, &pir_ivf_kmeans,
	&pir_ivf_probes, &pir_ivf_iterative_scan, &pir_ivf_max_probes},
	{"ivfflat", pir_ivfflat_options, PIR_IVFFLAT_DEFAULT_LISTS, &pir_ivf_kmeans,
	&pir_ivfflat_probes, &pir_ivfflat_iterative_scan, &pir_ivfflat_max_probes},
};

void
pir_ivf_init(void)
{
	ivf_relopt_kind = add_reloption_kind();
	add_int_reloption(ivf_relopt_kind, "lists",
					  "Lists that rows are divided among; 0 chooses by the number of rows",
					  PIR_IVF_AUTO_LISTS, 0, PIR_IVF_MAX_LISTS,
					  AccessExclusiveLock);
	pir_code_add_options(ivf_relopt_kind);

	ivfflat_relopt_kind = add_reloption_kind();
	add_int_reloption(ivfflat_relopt_kind, "lists",
					  "Lists that rows are divided among",
					  PIR_IVFFLAT_DEFAULT_LISTS, 1, PIR_IVF_MAX_LISTS,
					  AccessExclusiveLock);
	pir_code_add_options(ivfflat_relopt_kind);
}

static bytea *
parse_options(Datum reloptions, bool validate, relopt_kind kind)
{
	static const relopt_parse_elt table[] = {
		{"lists", RELOPT_TYPE_INT, offsetof(PirIvfOptions, lists)},
		{"quantizer", RELOPT_TYPE_ENUM, offsetof(PirIvfOptions, quantizer)},
		{"bits", RELOPT_TYPE_INT, offsetof(PirIvfOptions, bits)},
	};

	return (bytea *) build_reloptions(reloptions, validate, kind,
									  sizeof(PirIvfOptions), table, lengthof(table));
}

bytea *
pir_ivf_options(Datum reloptions, bool validate)
{
	return parse_options(reloptions, validate, ivf_relopt_kind);
}

bytea *
pir_ivfflat_options(Datum reloptions, bool validate)
{
	return parse_options(reloptions, validate, ivfflat_relopt_kind);
}

const PirIvfMethod *
pir_ivf_method(Relation index)
{
	for (int i = 0; i < lengthof(methods); i++)
	{
		if (methods[i].options == index->rd_indam->amoptions)
			return &methods[i];
	}
	elog(ERROR, "index \"%s\" is not of this engine", RelationGetRelationName(index));
}

/*
 * 2 sqrt(n): where comparing centres and comparing rows cost about the same,
 * if some sqrt(lists) lists are read. But lists should fill two pages on
 * average, of which half a page is lost.
 */
uint32
pir_ivf_lists_for(double rows, double rows_per_page)
{
	return (uint32) Max(1, Min(Min(2 * sqrt(rows), rows / (2 * rows_per_page)), PIR_IVF_MAX_LISTS));
}

/*
 * By default 2 sqrt(lists): recall of .95 and more on the hard sets measured,
 * .98 on usual ones (README.md section 4).
 */
uint32
pir_ivf_probes_of(const PirIvfMethod *method, uint32 nlists)
{
	uint32		probes = *method->probes > 0 ? *method->probes : (uint32) ceil(2 * sqrt(nlists));

	return Min(probes, nlists);
}

void
pir_ivf_identity(Relation index, PirIvfMetaOnPage *meta)
{
	const PirIvfOptions *options = (PirIvfOptions *) index->rd_options;
	const PirIvfMethod *method = pir_ivf_method(index);
	Size		slot;

	memset(meta, 0, sizeof(*meta));
	pir_code_column(index, PIR_KIND_IVF, method->name, &meta->head);
	pir_code_choose(index, options ? options->quantizer : PIR_CODE_AUTO,
					options ? options->bits : 0, &meta->head);
	meta->partitioner = method->partitioner->id;
	slot = method->partitioner->choose(meta);
	if (meta->head.item_size > PIR_IVF_MAX_ITEM || slot > PIR_IVF_MAX_ITEM)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("code of %u dimensions does not fit a page of the %s index",
						meta->head.dim, method->name),
				 errdetail("It takes %zu bytes, of %zu.",
						   Max((Size) meta->head.item_size, slot), (Size) PIR_IVF_MAX_ITEM),
				 meta->head.value_type == PIR_VALUE_BIT ? 0
				 : errhint("Leave out \"quantizer\" and \"bits\", or take fewer bits.")));
	pir_ivf_geometry(&meta->head, slot);
	pir_meta_seal(&meta->head);

	meta->head.nblocks = 1;
	meta->head.free_head = InvalidBlockNumber;
	for (int t = 0; t < PIR_NTABLES; t++)
		meta->head.tables[t].first = meta->head.tables[t].last = InvalidBlockNumber;
	meta->state = PIR_IVF_FLAT;
	meta->nlists = 1;
	meta->centre = meta->retired = InvalidBlockNumber;
	meta->flat.first = meta->flat.hint = InvalidBlockNumber;
	meta->wanted = options ? options->lists : method->default_lists;
}
