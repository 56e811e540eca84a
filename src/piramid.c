/*-------------------------------------------------------------------------
 *
 * piramid.c
 *	  Module start: choose kernels, define settings. Nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/pir_compat.h"
#include "base/pir_guc.h"
#include "piramid.h"

#if PIR_HAVE_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = PIR_EXTENSION_NAME, .version = PIR_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pir_guc_init();
}
