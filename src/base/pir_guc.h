/*-------------------------------------------------------------------------
 *
 * pir_guc.h
 *	  Every setting of the extension.
 *
 * This module knows no other: what a setting needs of a higher one comes in
 * through PirGucSetup, which piramid.c fills.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_GUC_H
#define PIR_GUC_H

#include "postgres.h"

#include "utils/guc.h"

/* hnsw.iterative_scan; ivf.iterative_scan and ivfflat.iterative_scan but for the last */
typedef enum PirIterativeScan
{
	PIR_ITERATIVE_OFF,			/* one batch of ef_search rows */
	PIR_ITERATIVE_RELAXED,		/* further batches, each in order */
	PIR_ITERATIVE_STRICT		/* and nothing out of order: late near rows are dropped */
} PirIterativeScan;

/* hnsw.ef_search has room for more than the compatible 1000 */
#define PIR_HNSW_DEFAULT_EF_SEARCH	40
#define PIR_HNSW_MIN_EF_SEARCH		1
#define PIR_HNSW_MAX_EF_SEARCH		100000

/* Lists that a scan of an ivf index reads; 0 = by the number of lists */
#define PIR_IVF_MAX_PROBES			32768

/* Current values */
extern int	pir_hnsw_ef_search;
extern int	pir_hnsw_iterative_scan;	/* PirIterativeScan */
extern int	pir_hnsw_max_scan_tuples;
extern double pir_hnsw_scan_mem_multiplier; /* of work_mem */

extern int	pir_ivf_iterative_scan;		/* PirIterativeScan */
extern int	pir_ivf_max_probes;
extern int	pir_ivf_probes;
extern int	pir_ivfflat_iterative_scan; /* PirIterativeScan */
extern int	pir_ivfflat_max_probes;
extern int	pir_ivfflat_probes;

/* What settings need of modules above this one. */
typedef struct PirGucSetup
{
	/*
	 * Values of piramid.simd: "auto" as number 0, then the kernel tables that
	 * this machine can run. Static, ends with a NULL name.
	 */
	const struct config_enum_entry *simd_options;

	/* Switch to that table. Must not fail. */
	void		(*simd_assign) (int value);
} PirGucSetup;

/*
 * Define all settings and reserve their prefixes. Called once, by _PG_init,
 * so that placeholders set earlier are checked now: a bad value gives a
 * WARNING and the default, an unknown name a WARNING and is dropped.
 */
extern void pir_guc_init(const PirGucSetup *setup);

#endif							/* PIR_GUC_H */
