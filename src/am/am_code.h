/*-------------------------------------------------------------------------
 *
 * am_code.h
 *	  The code of a new index: what its column, operator class and options
 *	  make of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_CODE_H
#define PIR_AM_CODE_H

#include "access/reloptions.h"
#include "quant/quant.h"
#include "storage/page_format.h"
#include "utils/rel.h"

/* Option "quantizer" if it is left to us; else a PirQuantId */
#define PIR_CODE_AUTO	(-1)

/* Define the options "quantizer" (enum) and "bits" (int, 0 = the default). */
extern void pir_code_add_options(relopt_kind kind);

/* Bits per dimension for those who do not choose */
extern uint8 pir_code_default_bits(PirQuantId quantizer);

/*
 * What an index about to be built will be, in two steps, so that a kind can
 * refuse options of its own in between: the column, and its code with a new
 * seed. What depends on the kind stays 0, and the head is not sealed. Errors
 * of the first: those of pir_opclass_resolve(), then pir_opclass_dimensions();
 * of the second: INVALID_PARAMETER_VALUE for a quantizer that does not serve
 * the metric, or bits that it has not.
 */
extern void pir_code_column(Relation index, PirKindId kind, const char *am_name,
							PirMetaHeadOnPage *head);
extern void pir_code_choose(Relation index, int quantizer, int bits, PirMetaHeadOnPage *head);

/*
 * The next finer code than that of 'head', for those who do not choose: sets
 * quantizer, bits and item_size. False if there is none. What follows from
 * these is for the caller to do again.
 */
extern bool pir_code_refine(PirMetaHeadOnPage *head);

#endif							/* PIR_AM_CODE_H */
