/*-------------------------------------------------------------------------
 *
 * ivf.h
 *	  The index kind ivf, for piramid.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_IVF_H
#define PIR_IVF_H

#include "am/am.h"

/* Define the options of the access methods. Called once, by _PG_init. */
extern void pir_ivf_init(void);

/* What piramid.c registers. */
extern const PirIndexKind pir_ivf_kind;

#endif							/* PIR_IVF_H */
