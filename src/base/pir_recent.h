/*-------------------------------------------------------------------------
 *
 * pir_recent.h
 *	  The out-of-line value of the row that an index scan has just returned.
 *
 * A scan that re-ranks has read the value from TOAST; the executor then asks
 * for the distance of the same row, for its output or for a filter, and would
 * read it again. So the scan leaves it here, for one row at a time: the
 * executor evaluates a row's expressions before it asks for the next.
 *
 * A pointer into TOAST names one value for as long as a row that has it can be
 * seen, and the scan's snapshot sees the row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_RECENT_H
#define PIR_RECENT_H

#include "postgres.h"

#include "base/pir_compat.h"

/*
 * Make 'value' (4-byte header, in line, not compressed) what 'pointer' stands
 * for, in place of the one before. It must stay where it is until
 * pir_recent_withdraw() or the next pir_recent_offer(); whoever frees its
 * memory must withdraw it first, also in an error (a reset callback of the
 * memory context will do).
 */
extern void pir_recent_offer(const struct varatt_external *pointer, struct varlena *value);

/* Forget 'value' if it is the one on offer; otherwise nothing happens. */
extern void pir_recent_withdraw(const struct varlena *value);

/* The value that 'attr' stands for if it is the one on offer, else NULL. Not to be freed. */
extern struct varlena *pir_recent_find(const struct varlena *attr);

#endif							/* PIR_RECENT_H */
