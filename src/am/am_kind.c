/*-------------------------------------------------------------------------
 *
 * am_kind.c
 *	  The table of index kinds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "base/pir_compat.h"

#define MAX_KINDS	8

static const PirIndexKind *kinds[MAX_KINDS];
static int	nkinds = 0;

void
pir_kind_register(const PirIndexKind *kind)
{
	if (nkinds == MAX_KINDS)
		elog(ERROR, "too many index kinds");
	kinds[nkinds++] = kind;
}

/*
 * The build function rather than the access method's name tells the kind: one
 * kind may serve several access methods, and anyone may create another one
 * with the same handler.
 */
const PirIndexKind *
pir_kind_of(Relation index)
{
	if (index->rd_indam == NULL)
		return NULL;
	for (int i = 0; i < nkinds; i++)
	{
		if (kinds[i]->build == index->rd_indam->ambuild)
			return kinds[i];
	}
	return NULL;
}
