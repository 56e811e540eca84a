/*-------------------------------------------------------------------------
 *
 * pir_guc.h
 *	  Every setting of the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_GUC_H
#define PIR_GUC_H

/* Define all settings and reserve their prefixes. Called once, by _PG_init. */
extern void pir_guc_init(void);

#endif							/* PIR_GUC_H */
