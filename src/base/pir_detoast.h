/*-------------------------------------------------------------------------
 *
 * pir_detoast.h
 *	  Bring a value in line.
 *
 * Values wider than about 2 kB lie in the table's TOAST table, and an exact
 * search spends most of its time on getting them. storage/ knows a faster way
 * than the server's for values that were written one after the other, but
 * vector/, which needs it, may not call storage/. So piramid.c connects them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_DETOAST_H
#define PIR_DETOAST_H

#include "postgres.h"

#include "fmgr.h"

#include "base/pir_compat.h"

struct varatt_external;

/*
 * Reads an uncompressed out-of-line value into the current memory context, or
 * returns NULL where it is not the one to do it. NULL while nobody offers one.
 */
extern struct varlena *(*pir_toast_reader) (const struct varatt_external *pointer);

/*
 * What pg_detoast_datum_packed() gives: the value in line and uncompressed,
 * perhaps with a short header; 'value' itself if it is that already.
 */
extern struct varlena *pir_detoast_extended(struct varlena *value);

static inline struct varlena *
pir_detoast_packed(Datum d)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(d);

	/* VARATT_IS_SHORT() is also true of a pointer to an out-of-line value */
	if (likely(VARATT_IS_4B_U(value) || (VARATT_IS_SHORT(value) && !VARATT_IS_EXTERNAL(value))))
		return value;
	return pir_detoast_extended(value);
}

/*
 * Argument n (0 or 1) of the SQL function that is being called, in line, to
 * look at only. An out-of-line value that comes twice in a row is the other side
 * of many calls (the query of an exact search, when a subquery gives it) and
 * is read only then: it stays in the function's context, one value for each
 * argument, until another comes. Uses fn_extra.
 */
extern struct varlena *pir_detoast_argument_extended(FunctionCallInfo fcinfo, int n);

static inline struct varlena *
pir_detoast_argument(FunctionCallInfo fcinfo, int n)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(PG_GETARG_DATUM(n));

	if (likely(!VARATT_IS_EXTERNAL(value)))
		return value;
	return pir_detoast_argument_extended(fcinfo, n);
}

#endif							/* PIR_DETOAST_H */
