/*-------------------------------------------------------------------------
 *
 * pir_detoast.c
 *	  Bring a value in line, by the fastest reader there is, or once only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "base/pir_detoast.h"
#include "base/pir_recent.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/memutils.h"

struct varlena *(*pir_toast_reader) (const struct varatt_external *pointer) = NULL;

struct varlena *
pir_detoast_extended(struct varlena *value)
{
	if (pir_toast_reader != NULL && VARATT_IS_EXTERNAL_ONDISK(value))
	{
		struct varatt_external pointer;

		VARATT_EXTERNAL_GET_POINTER(pointer, value);
		if (!VARATT_EXTERNAL_IS_COMPRESSED(pointer))
		{
			struct varlena *result = pir_toast_reader(&pointer);

			if (result != NULL)
				return result;
		}
	}
	return pg_detoast_datum_packed(value);
}

/* The last out-of-line values of a function's arguments */
typedef struct KeptArguments
{
	LocalTransactionId lxid;	/* pointers into TOAST mean something within it */
	struct varatt_external last[2];
	struct varlena *kept[2];	/* NULL if it came once only */
} KeptArguments;

static KeptArguments *
get_kept_arguments(FmgrInfo *flinfo)
{
	KeptArguments *arguments = flinfo->fn_extra;

	if (arguments == NULL)
	{
		arguments = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(KeptArguments));
		flinfo->fn_extra = arguments;
	}
	if (arguments->lxid != pir_local_xid())
	{
		for (int n = 0; n < 2; n++)
		{
			if (arguments->kept[n] != NULL)
				pfree(arguments->kept[n]);
		}
		memset(arguments, 0, sizeof(KeptArguments));
		arguments->lxid = pir_local_xid();
	}
	return arguments;
}

struct varlena *
pir_detoast_argument_extended(FunctionCallInfo fcinfo, int n)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(PG_GETARG_DATUM(n));
	struct varlena *recent = pir_recent_find(value);
	struct varatt_external pointer;
	KeptArguments *arguments;

	if (recent != NULL)
		return recent;
	if (!VARATT_IS_EXTERNAL_ONDISK(value) || fcinfo->flinfo == NULL)
		return pir_detoast_extended(value);

	arguments = get_kept_arguments(fcinfo->flinfo);
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	if (memcmp(&pointer, &arguments->last[n], sizeof(pointer)) != 0)
	{
		if (arguments->kept[n] != NULL)
			pfree(arguments->kept[n]);
		arguments->kept[n] = NULL;
		arguments->last[n] = pointer;
		return pir_detoast_extended(value);
	}
	if (arguments->kept[n] == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		arguments->kept[n] = pir_detoast_extended(value);
		MemoryContextSwitchTo(old_context);
	}
	return arguments->kept[n];
}
