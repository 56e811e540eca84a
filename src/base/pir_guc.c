/*-------------------------------------------------------------------------
 *
 * pir_guc.c
 *	  Every setting of the extension, in alphabetical order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_guc.h"

void
pir_guc_init(void)
{
}
