/*-------------------------------------------------------------------------
 *
 * am_opclass.h
 *	  From an index's operator class and column to type, metric, dimensions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_OPCLASS_H
#define PIR_AM_OPCLASS_H

#include "am/am_value.h"
#include "utils/rel.h"

/* Support functions, as in the compatible surface */
#define PIR_PROC_DISTANCE	1	/* what the index orders by */
#define PIR_PROC_NORM		2	/* present: values are normalised, zero ones left out */
/*
 * The last one, whose number differs between access methods (amsupport), is
 * a marker of the type: see PirTypeInfo. Those between are functions of the
 * type that some surface prescribes; nothing here calls them.
 */
#define PIR_MAX_PROCS		5

/* The one strategy: ORDER BY, ascending */
#define PIR_STRATEGY_ORDER	1

/*
 * What an index knows of a column type. The marker returns the row of
 * its type as a pointer; an operator class without one is of type vector.
 */
typedef struct PirTypeInfo
{
	PirValueType type;
	uint32		max_dim;		/* dimensions an indexed column can have */
} PirTypeInfo;

extern const PirTypeInfo *pir_opclass_type_info(PirValueType type);

/*
 * Type and metric of an index, from its support functions.
 * Errors: INVALID_OBJECT_DEFINITION if the distance function is none of ours,
 * or the others do not go with it.
 */
extern void pir_opclass_resolve(Relation index, PirValueType *type, PirMetric *metric);

/*
 * Dimensions of the indexed column, from its type modifier (through domains).
 * Errors, in this order: FEATURE_NOT_SUPPORTED (varbit),
 * INVALID_PARAMETER_VALUE (no dimensions), PROGRAM_LIMIT_EXCEEDED.
 */
extern uint32 pir_opclass_dimensions(Relation index, PirValueType type, const char *am_name);

/*
 * amvalidate: has the operator class what its scans need? Reports each fault
 * as INFO, as core's validators do.
 */
extern bool pir_opclass_validate(Oid opclass);

#endif							/* PIR_AM_OPCLASS_H */
