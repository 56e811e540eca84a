/*-------------------------------------------------------------------------
 *
 * am_value.h
 *	  Column values as the indexes see them: what the quantizer takes, and
 *	  the exact distance of two values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_AM_VALUE_H
#define PIR_AM_VALUE_H

#include "postgres.h"

#include "quant/quant.h"

/* On-disk ids: never reused. */
typedef enum PirValueType
{
	PIR_VALUE_VECTOR = 1,
	PIR_VALUE_HALFVEC = 2,
	PIR_VALUE_SPARSEVEC = 3,
	PIR_VALUE_BIT = 4
} PirValueType;

typedef struct PirValueInfo
{
	PirValueType type;
	PirMetric	metric;
	uint32		dim;			/* dimensions of the column (bits for bit) */
	uint32		code_dim;		/* dimensions the quantizer sees */
	bool		sketch;			/* sparse values are hashed to code_dim */
	uint64		seed;			/* of that hash */
} PirValueInfo;

/* SQL name of a type, for messages. */
extern const char *pir_value_type_name(PirValueType type);

/* Bytes of quantizer input for one value. */
extern Size pir_value_input_size(const PirValueInfo *info);

/*
 * Turn a value into quantizer input at 'out' (code_dim floats, of unit length
 * for COSINE; or the bytes of a bit string). False if the value is not
 * indexed: a zero vector under COSINE. Errors: DATA_EXCEPTION if the value has
 * other dimensions than the column.
 */
extern bool pir_value_input(const PirValueInfo *info, Datum value, void *out);

/*
 * Exact search distance (see quant.h) of two values; NaN where the SQL
 * function gives NaN. 'query' must be detoasted. May detoast 'value' in the
 * current memory context.
 */
extern float pir_value_distance(const PirValueInfo *info, Datum query, Datum value);

/* Detoast a query for repeated use, copied to 'context'; checks dimensions. */
extern Datum pir_value_detoast(const PirValueInfo *info, Datum value, MemoryContext context);

/*
 * Dimensions to give the quantizer for a column of 'dim' dimensions, and
 * whether values are sketched to get there.
 */
extern uint32 pir_value_code_dim(PirValueType type, uint32 dim, bool *sketch);

#endif							/* PIR_AM_VALUE_H */
