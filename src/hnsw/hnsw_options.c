/*-------------------------------------------------------------------------
 *
 * hnsw_options.c
 *	  Options of an hnsw index, and the identity of a new one.
 *
 * Options are wishes; what an index is stands in its meta page. They meet in
 * pir_hnsw_identity(), when an index is built: changing an option later (but
 * ef_construction) has no effect before REINDEX.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"

#include "am/am_code.h"
#include "base/pir_compat.h"
#include "hnsw/hnsw.h"
#include "hnsw/hnsw_private.h"

static relopt_kind hnsw_relopt_kind;

void
pir_hnsw_init(void)
{
	hnsw_relopt_kind = add_reloption_kind();
	add_int_reloption(hnsw_relopt_kind, "m",
					  "Neighbours chosen for a new node",
					  PIR_HNSW_DEFAULT_M, PIR_HNSW_MIN_M, PIR_HNSW_MAX_M,
					  AccessExclusiveLock);
	add_int_reloption(hnsw_relopt_kind, "ef_construction",
					  "Candidates among which neighbours are chosen",
					  PIR_HNSW_DEFAULT_EF_CONSTRUCTION,
					  PIR_HNSW_MIN_EF_CONSTRUCTION, PIR_HNSW_MAX_EF_CONSTRUCTION,
					  AccessExclusiveLock);
	pir_code_add_options(hnsw_relopt_kind);
}

bytea *
pir_hnsw_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"m", RELOPT_TYPE_INT, offsetof(PirHnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(PirHnswOptions, ef_construction)},
		{"quantizer", RELOPT_TYPE_ENUM, offsetof(PirHnswOptions, quantizer)},
		{"bits", RELOPT_TYPE_INT, offsetof(PirHnswOptions, bits)},
	};

	return (bytea *) build_reloptions(reloptions, validate, hnsw_relopt_kind,
									  sizeof(PirHnswOptions), table, lengthof(table));
}

int
pir_hnsw_m(Relation index)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	return options ? options->m : PIR_HNSW_DEFAULT_M;
}

int
pir_hnsw_ef_construction(Relation index)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	return options ? options->ef_construction : PIR_HNSW_DEFAULT_EF_CONSTRUCTION;
}

void
pir_hnsw_identity(Relation index, PirMetaHeadOnPage *head)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	pir_code_column(index, PIR_KIND_HNSW, "hnsw", head);
	if (pir_hnsw_ef_construction(index) < 2 * pir_hnsw_m(index))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be at least 2 * m"),
				 errdetail("m is %d, ef_construction is %d.",
						   pir_hnsw_m(index), pir_hnsw_ef_construction(index))));
	pir_code_choose(index, options ? options->quantizer : PIR_CODE_AUTO,
					options ? options->bits : 0, head);
	head->m = pir_hnsw_m(index);
	pir_hnsw_geometry(head);
}

bool
pir_hnsw_finer_code(Relation index, PirMetaHeadOnPage *head)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	if (options && (options->quantizer != PIR_CODE_AUTO || options->bits != 0))
		return false;
	if (!pir_code_refine(head))
		return false;
	pir_hnsw_geometry(head);
	pir_meta_seal(head);
	return true;
}
