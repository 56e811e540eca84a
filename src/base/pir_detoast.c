/*-------------------------------------------------------------------------
 *
 * pir_detoast.c
 *	  Bring a value in line, by the fastest reader there is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "base/pir_detoast.h"
#include "fmgr.h"

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
