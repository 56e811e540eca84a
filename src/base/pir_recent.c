/*-------------------------------------------------------------------------
 *
 * pir_recent.c
 *	  The out-of-line value of the row that an index scan has just returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "base/pir_recent.h"

static struct varatt_external recent_pointer;
static struct varlena *recent_value = NULL;

void
pir_recent_offer(const struct varatt_external *pointer, struct varlena *value)
{
	recent_pointer = *pointer;
	recent_value = value;
}

void
pir_recent_withdraw(const struct varlena *value)
{
	if (recent_value == value)
		recent_value = NULL;
}

struct varlena *
pir_recent_find(const struct varlena *attr)
{
	struct varatt_external pointer;

	if (recent_value == NULL || !VARATT_IS_EXTERNAL_ONDISK(attr))
		return NULL;
	VARATT_EXTERNAL_GET_POINTER(pointer, attr);
	return memcmp(&pointer, &recent_pointer, sizeof(pointer)) == 0 ? recent_value : NULL;
}
