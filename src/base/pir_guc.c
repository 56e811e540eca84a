/*-------------------------------------------------------------------------
 *
 * pir_guc.c
 *	  Every setting of the extension, in alphabetical order.
 *
 * The names under "hnsw." and "ivfflat." are the compatible ones; our own
 * begin with "ivf." and "piramid.". All may be set by any user, at any time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "base/pir_compat.h"
#include "base/pir_guc.h"

int			pir_hnsw_ef_search = PIR_HNSW_DEFAULT_EF_SEARCH;
int			pir_hnsw_iterative_scan = PIR_ITERATIVE_OFF;
int			pir_hnsw_max_scan_tuples = 20000;
double		pir_hnsw_scan_mem_multiplier = 1.0;

int			pir_ivf_iterative_scan = PIR_ITERATIVE_OFF;
int			pir_ivf_max_probes = PIR_IVF_MAX_PROBES;
int			pir_ivf_probes = 0;
int			pir_ivfflat_iterative_scan = PIR_ITERATIVE_OFF;
int			pir_ivfflat_max_probes = PIR_IVF_MAX_PROBES;
int			pir_ivfflat_probes = 1;

/* Only the assign hook looks at it. */
static int	simd_value = 0;
static void (*simd_assign) (int value);

/* Core lists the values in this order in the HINT of a wrong one. */
static const struct config_enum_entry iterative_scan_options[] = {
	{"off", PIR_ITERATIVE_OFF, false},
	{"relaxed_order", PIR_ITERATIVE_RELAXED, false},
	{"strict_order", PIR_ITERATIVE_STRICT, false},
	{NULL, 0, false}
};

/* Lists are read in batches, and a batch is all that is in order. */
static const struct config_enum_entry ivf_iterative_scan_options[] = {
	{"off", PIR_ITERATIVE_OFF, false},
	{"relaxed_order", PIR_ITERATIVE_RELAXED, false},
	{NULL, 0, false}
};

static void
assign_simd(int newval, void *extra)
{
	simd_assign(newval);
}

void
pir_guc_init(const PirGucSetup *setup)
{
	DefineCustomIntVariable("hnsw.ef_search",
							"Sets the number of candidates that a search of an hnsw index keeps.",
							"More candidates give better recall and slower queries.",
							&pir_hnsw_ef_search,
							PIR_HNSW_DEFAULT_EF_SEARCH,
							PIR_HNSW_MIN_EF_SEARCH, PIR_HNSW_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomEnumVariable("hnsw.iterative_scan",
							 "Sets whether a scan of an hnsw index goes on when more rows are wanted.",
							 "With \"off\", a scan ends after hnsw.ef_search rows.",
							 &pir_hnsw_iterative_scan,
							 PIR_ITERATIVE_OFF, iterative_scan_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("hnsw.max_scan_tuples",
							"Sets the number of index entries after which an iterative scan visits no more.",
							NULL,
							&pir_hnsw_max_scan_tuples,
							20000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomRealVariable("hnsw.scan_mem_multiplier",
							 "Sets the memory of an iterative scan of an hnsw index, in multiples of work_mem.",
							 NULL,
							 &pir_hnsw_scan_mem_multiplier,
							 1.0, 1.0, 1000.0,
							 PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomEnumVariable("ivf.iterative_scan",
							 "Sets whether a scan of an ivf index goes on when more rows are wanted.",
							 "With \"off\", a scan ends after the rows of ivf.probes lists.",
							 &pir_ivf_iterative_scan,
							 PIR_ITERATIVE_OFF, ivf_iterative_scan_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("ivf.max_probes",
							"Sets the number of lists after which an iterative scan reads no more.",
							NULL,
							&pir_ivf_max_probes,
							PIR_IVF_MAX_PROBES, 1, PIR_IVF_MAX_PROBES,
							PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("ivf.probes",
							"Sets the number of lists that a scan of an ivf index reads.",
							"More lists give better recall and slower queries; 0 chooses by the number of lists.",
							&pir_ivf_probes,
							0, 0, PIR_IVF_MAX_PROBES,
							PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomEnumVariable("ivfflat.iterative_scan",
							 "Sets whether a scan of an ivfflat index goes on when more rows are wanted.",
							 "With \"off\", a scan ends after the rows of ivfflat.probes lists.",
							 &pir_ivfflat_iterative_scan,
							 PIR_ITERATIVE_OFF, ivf_iterative_scan_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("ivfflat.max_probes",
							"Sets the number of lists after which an iterative scan reads no more.",
							NULL,
							&pir_ivfflat_max_probes,
							PIR_IVF_MAX_PROBES, 1, PIR_IVF_MAX_PROBES,
							PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("ivfflat.probes",
							"Sets the number of lists that a scan of an ivfflat index reads.",
							"More lists give better recall and slower queries.",
							&pir_ivfflat_probes,
							1, 1, PIR_IVF_MAX_PROBES,
							PGC_USERSET, 0, NULL, NULL, NULL);

	simd_assign = setup->simd_assign;
	DefineCustomEnumVariable("piramid.simd",
							 "Sets the instruction set that distances are computed with.",
							 "The values are those that this machine can run; \"auto\" takes the best.",
							 &simd_value,
							 0, setup->simd_options,
							 PGC_USERSET, 0, NULL, assign_simd, NULL);

	pir_reserve_guc_prefix("hnsw");
	pir_reserve_guc_prefix("ivf");
	pir_reserve_guc_prefix("ivfflat");
	pir_reserve_guc_prefix("piramid");
}
