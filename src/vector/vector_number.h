/*-------------------------------------------------------------------------
 *
 * vector_number.h
 *	  Numbers in text: fast, correctly rounded, independent of the locale.
 *
 * Host-free: no PostgreSQL header, no allocation, no error reporting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_VECTOR_NUMBER_H
#define PIR_VECTOR_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum PirNumberStatus
{
	PIR_NUMBER_OK,
	PIR_NUMBER_MISSING,			/* no number here; nothing consumed */
	PIR_NUMBER_NAN,				/* the word nan */
	PIR_NUMBER_INFINITE,		/* the words inf, infinity */
	PIR_NUMBER_OVERFLOW,		/* magnitude above the largest float32 */
	PIR_NUMBER_UNDERFLOW		/* not zero, but rounds to zero: *value is 0 or -0 */
} PirNumberStatus;

/*
 * Read the longest number at 'text' as strtof() does in the C locale (sign,
 * digits, point, exponent, hexadecimal floats, inf, nan) but without skipping
 * white space. Rounds to nearest even. *end is set behind what was read; for
 * PIR_NUMBER_MISSING it is 'text'. *value is set unless PIR_NUMBER_MISSING.
 */
extern PirNumberStatus pir_number_scan_float(const char *text, const char **end, float *value);

/*
 * Read a decimal integer with optional sign; values beyond int32 saturate.
 * Returns false, and consumes nothing, if there is none.
 */
extern bool pir_number_scan_int32(const char *text, const char **end, int32_t *value);

#endif							/* PIR_VECTOR_NUMBER_H */
