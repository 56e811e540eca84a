/*-------------------------------------------------------------------------
 *
 * pir_error.h
 *	  Reports that several modules make in the same words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_ERROR_H
#define PIR_ERROR_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/rel.h"

#include "base/pir_compat.h"

/*
 * ERROR with ERRCODE_INDEX_CORRUPTED, naming index and block, with a REINDEX
 * hint. 'what' is a complete clause in lower case ("edge leads to node ...").
 */
extern void pir_report_corrupted(Relation index, BlockNumber blkno, const char *what,...)
			pg_attribute_printf(3, 4) PIR_NORETURN;

/* ERROR with ERRCODE_FEATURE_NOT_SUPPORTED: a page of a format we do not know. */
extern void pir_report_foreign_version(Relation index, BlockNumber blkno,
									   unsigned int found, unsigned int known) PIR_NORETURN;

/*
 * Checked size arithmetic for allocations whose factors users control: ERROR
 * (ERRCODE_PROGRAM_LIMIT_EXCEEDED) instead of wrapping around.
 */
extern Size pir_size_mul(Size a, Size b);
extern Size pir_size_add(Size a, Size b);

#endif							/* PIR_ERROR_H */
