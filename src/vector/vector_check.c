/*-------------------------------------------------------------------------
 *
 * vector_check.c
 *	  Limits of the types and the errors that report them.
 *
 * Each message names the type, the value and the limit. SQLSTATEs are part of
 * the compatible surface: 22000 for a value that does not fit where it goes,
 * 54000 for a limit of the type, 22023 for a bad declaration, 22003 for a
 * number out of range.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"

#include "vector/vector_private.h"

/* Is 'dim' a number of dimensions the type can have? */
void
pir_check_dim_range(const char *type, int64 dim, int max_dim)
{
	if (unlikely(dim < 1))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s must have at least 1 dimension", type)));
	if (unlikely(dim > max_dim))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%lld dimensions exceed the limit of %d for type %s",
						(long long) dim, max_dim, type)));
}

/* Is 'nnz' a number of elements other than zero a sparsevec can have? */
void
pir_check_nnz(int64 nnz)
{
	if (unlikely(nnz > PIR_SPARSEVEC_MAX_NNZ))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more than %d non-zero elements", PIR_SPARSEVEC_MAX_NNZ),
				 errdetail("The input has %lld or more.", (long long) nnz)));
}

/* Does a value of 'dim' dimensions fit a column or cast of this typmod? */
void
pir_check_expected_dim(const char *type, int32 typmod, int dim)
{
	if (unlikely(typmod != -1 && typmod != dim))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg_plural("expected %d dimension for type %s(%d), got %d",
							   "expected %d dimensions for type %s(%d), got %d",
							   typmod, typmod, type, typmod, dim)));
}

/* Two operands that had to have equal dimensions do not */
void
pir_report_dim_mismatch(const char *type, int a, int b)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("operands of type %s have different dimensions: %d and %d", type, a, b)));
	pg_unreachable();
}

/* The typmod_in function of every type here: one modifier, the dimensions */
int32
pir_typmod_in(FunctionCallInfo fcinfo, const char *type, int max_dim)
{
	ArrayType  *modifiers = PG_GETARG_ARRAYTYPE_P(0);
	int			n;
	int32	   *typmods = ArrayGetIntegerTypmods(modifiers, &n);

	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid type modifier for type %s", type),
				 errdetail("Exactly one modifier, the number of dimensions, was expected; there are %d.", n)));
	if (typmods[0] < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s must be at least 1, not %d", type, typmods[0])));
	if (typmods[0] > max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d dimensions exceed the limit of %d for type %s",
						typmods[0], max_dim, type)));
	return typmods[0];
}

/*
 * No element of any value is ever NaN or infinite. x[0] is element number
 * 'first' of the value, from zero.
 */
void
pir_check_finite(const char *type, const float *x, int64 first, int64 n)
{
	uint32		special = 0;

	for (int64 i = 0; i < n; i++)
		special |= pir_float_is_special(x[i]);
	if (likely(!special))
		return;

	for (int64 i = 0; i < n; i++)
	{
		if (pir_float_is_special(x[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 isnan(x[i])
					 ? errmsg("NaN is not allowed in type %s", type)
					 : errmsg("infinite value is not allowed in type %s", type),
					 errdetail("Element %lld is %s.", (long long) (first + i + 1),
							   isnan(x[i]) ? "NaN" : x[i] > 0 ? "Infinity" : "-Infinity")));
	}
}

/* A finite float is too large for the type */
void
pir_report_out_of_range(const char *type, float value)
{
	char		digits[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, digits);
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("\"%s\" is out of range for type %s", digits, type)));
	pg_unreachable();
}

/* The reserved field of a binary message is not zero */
void
pir_report_bad_unused(const char *type, int32 unused)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("invalid binary value of type %s", type),
			 errdetail("The reserved field must be 0, but is %d.", unused)));
	pg_unreachable();
}
