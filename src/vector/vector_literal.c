/*-------------------------------------------------------------------------
 *
 * vector_literal.c
 *	  Reading a text value step by step, with errors that say where.
 *
 * The steps of the input functions. Every refusal of syntax is 22P02, quotes
 * the literal and tells in DETAIL what was expected at which character.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "vector/vector_number.h"
#include "vector/vector_private.h"

/* One-based position of 'pos' in characters, as users count */
static int
char_position(const PirLiteral *lit, const char *pos)
{
	return pg_mbstrlen_with_len(lit->text, (int) (pos - lit->text)) + 1;
}

/* White space as core's scanner has it */
void
pir_literal_skip_space(PirLiteral *lit)
{
	while (*lit->pos == ' ' || (*lit->pos >= '\t' && *lit->pos <= '\r'))
		lit->pos++;
}

/* Skip 'c', if that is what comes next */
bool
pir_literal_accept(PirLiteral *lit, char c)
{
	if (*lit->pos != c)
		return false;
	lit->pos++;
	return true;
}

/* Skip 'c', which must come next; 'what' is how to call it in the message */
void
pir_literal_expect(PirLiteral *lit, char c, const char *what)
{
	if (!pir_literal_accept(lit, c))
		pir_literal_error(lit, what);
}

/* Nothing but white space may follow */
void
pir_literal_expect_end(PirLiteral *lit)
{
	pir_literal_skip_space(lit);
	if (*lit->pos != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input for type %s: \"%s\"", lit->type, lit->text),
				 errdetail("Junk after the end of the value, from character %d on.",
						   char_position(lit, lit->pos))));
}

/* Something else than 'expected' comes next */
void
pir_literal_error(const PirLiteral *lit, const char *expected)
{
	int			at = char_position(lit, lit->pos);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input for type %s: \"%s\"", lit->type, lit->text),
			 *lit->pos == '\0'
			 ? errdetail("Expected %s at character %d, but the input ended.", expected, at)
			 : errdetail("Expected %s at character %d, found \"%.*s\".", expected, at,
						 pg_mblen(lit->pos), lit->pos)));
	pg_unreachable();
}

/* The number from 'start' to where we are has no place in the type */
void
pir_literal_out_of_range(const PirLiteral *lit, const char *start)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("\"%.*s\" is out of range for type %s",
					(int) (lit->pos - start), start, lit->type),
			 errdetail("The number is at character %d of the input.", char_position(lit, start))));
	pg_unreachable();
}

/*
 * Read a finite float. *underflow tells that a non-zero number became zero;
 * whether that matters is the type's business.
 */
float
pir_literal_float(PirLiteral *lit, bool *underflow)
{
	const char *start = lit->pos;
	float		value;

	*underflow = false;
	switch (pir_number_scan_float(start, &lit->pos, &value))
	{
		case PIR_NUMBER_OK:
			break;
		case PIR_NUMBER_UNDERFLOW:
			*underflow = true;
			break;
		case PIR_NUMBER_MISSING:
			pir_literal_error(lit, "a number");
			break;
		case PIR_NUMBER_OVERFLOW:
			pir_literal_out_of_range(lit, start);
			break;
		case PIR_NUMBER_NAN:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("NaN is not allowed in type %s", lit->type),
					 errdetail("It is at character %d of the input.", char_position(lit, start))));
			break;
		case PIR_NUMBER_INFINITE:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("infinite value is not allowed in type %s", lit->type),
					 errdetail("It is at character %d of the input.", char_position(lit, start))));
			break;
	}
	return value;
}

/* Read a decimal integer; values beyond int32 saturate */
int32
pir_literal_int32(PirLiteral *lit, const char *what)
{
	int32		value;

	if (!pir_number_scan_int32(lit->pos, &lit->pos, &value))
		pir_literal_error(lit, what);
	return value;
}

/* Commas from here to the end: an upper bound of the elements, less one */
int
pir_literal_count_commas(const PirLiteral *lit)
{
	int			n = 0;

	for (const char *p = lit->pos; *p; p++)
		n += (*p == ',');
	return n;
}
