/*-------------------------------------------------------------------------
 *
 * piramid.c
 *	  Module start: choose kernels, define settings and options. Nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/pir_compat.h"
#include "base/pir_detoast.h"
#include "base/pir_guc.h"
#include "distance/dist.h"
#include "hnsw/hnsw.h"
#include "ivf/ivf.h"
#include "piramid.h"
#include "storage/page_toast.h"

#if PIR_HAVE_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = PIR_EXTENSION_NAME, .version = PIR_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

/* Values of piramid.simd: more kernel tables than any machine can run */
#define MAX_SIMD_OPTIONS	16

static struct config_enum_entry simd_options[MAX_SIMD_OPTIONS + 1];

static void
assign_simd(int value)
{
	bool		ok = pir_dist_init(simd_options[value].name);

	Assert(ok);
	(void) ok;
}

/* "auto", and every kernel table that this machine can run */
static void
list_simd_options(void)
{
	const PirKernels *const *tables = pir_dist_tables();
	int			n = 0;

	simd_options[n].name = "auto";
	simd_options[n].val = n;
	n++;
	for (int i = 0; tables[i] != NULL && n < MAX_SIMD_OPTIONS; i++)
	{
		if (!pir_dist_usable(tables[i]))
			continue;
		simd_options[n].name = tables[i]->name;
		simd_options[n].val = n;
		n++;
	}
	simd_options[n].name = NULL;
}

void
_PG_init(void)
{
	PirGucSetup setup = {
		.simd_options = simd_options,
		.simd_assign = assign_simd,
	};

	pir_dist_init(NULL);
	list_simd_options();
	pir_guc_init(&setup);
	pir_toast_reader = pir_toast_read;
	pir_hnsw_init();
	pir_kind_register(&pir_hnsw_kind);
	pir_ivf_init();
	pir_kind_register(&pir_ivf_kind);
}
