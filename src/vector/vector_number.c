/*-------------------------------------------------------------------------
 *
 * vector_number.c
 *	  Numbers in text: fast, correctly rounded, independent of the locale.
 *
 * Loading vectors is reading numbers, so the common case does not go through
 * strtof(): the first 19 digits are gathered in an integer w, and w * 10^e is
 * formed in double with at most three roundings (w, the power, the product):
 * the result is within 4 units in the last place of the true value. Rounding
 * it to float is then right unless it lies within that distance of a midpoint
 * between two floats, which is one number in 2^25; those, and all that is
 * not a plain decimal in the normal float range, are left to the C library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* strtof_l */
#endif

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__) || defined(__FreeBSD__)
#include <xlocale.h>
#endif

#include "vector/vector_number.h"

/* Digits that fit in uint64 whatever they are */
#define MAX_DIGITS 19

/* 10^0 .. 10^63, each correctly rounded */
#define MAX_POWER 63
static const double power_of_ten[MAX_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
	1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24,
	1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36,
	1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48,
	1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60,
	1e61, 1e62, 1e63
};

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') < 10;
}

/*
 * The C library's strtof() under the C locale, whatever the process uses.
 * newlocale() for "C" hands out a static object in every C library we know;
 * it is asked for once.
 */
static float
strtof_c(const char *text, char **end)
{
	static locale_t c_locale = (locale_t) 0;

	if (c_locale == (locale_t) 0)
		c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
	if (c_locale == (locale_t) 0)
		return strtof(text, end);
	return strtof_l(text, end, c_locale);
}

/* All that is not common: see the head of the file. */
static PirNumberStatus
scan_float_slow(const char *text, const char **end, float *value)
{
	const char *p = text;
	char	   *stop;

	*end = text;

	/* strtof() skips white space, we do not */
	if (*p == '-' || *p == '+')
		p++;
	if (!is_digit(*p) && *p != '.' && *p != 'i' && *p != 'I' && *p != 'n' && *p != 'N')
		return PIR_NUMBER_MISSING;

	errno = 0;
	*value = strtof_c(text, &stop);
	if (stop == text)
		return PIR_NUMBER_MISSING;
	*end = stop;

	if (isnan(*value))
		return PIR_NUMBER_NAN;
	if (isinf(*value))
		return errno == ERANGE ? PIR_NUMBER_OVERFLOW : PIR_NUMBER_INFINITE;
	if (*value == 0 && errno == ERANGE)
		return PIR_NUMBER_UNDERFLOW;
	return PIR_NUMBER_OK;
}

PirNumberStatus
pir_number_scan_float(const char *text, const char **end, float *value)
{
	const char *p = text;
	const char *digits;
	uint64_t	w = 0;
	int			ndigits = 0;	/* significant digits in w */
	int			dropped = 0;	/* digits before the point that w lacks */
	int			fraction = 0;	/* digits behind the point that w has */
	int			exponent = 0;
	bool		negative = (*p == '-');
	bool		any;
	double		d;
	uint64_t	bits;
	int64_t		from_midpoint;

	if (*p == '-' || *p == '+')
		p++;

	digits = p;
	for (; is_digit(*p); p++)
	{
		if (ndigits < MAX_DIGITS)
		{
			w = w * 10 + (unsigned) (*p - '0');
			ndigits += (w != 0);
		}
		else if (++dropped > 1000)
			return scan_float_slow(text, end, value);
	}
	any = (p > digits);
	if (any && (*p == 'x' || *p == 'X'))
		return scan_float_slow(text, end, value);
	if (*p == '.')
	{
		const char *behind = ++p;

		for (; is_digit(*p); p++)
		{
			if (ndigits < MAX_DIGITS)
			{
				w = w * 10 + (unsigned) (*p - '0');
				ndigits += (w != 0);
				if (++fraction > 1000)
					return scan_float_slow(text, end, value);
			}
		}
		any = any || (p > behind);
	}
	if (!any)
		return scan_float_slow(text, end, value);

	/* an 'e' without digits behind it is not part of the number */
	if (*p == 'e' || *p == 'E')
	{
		const char *q = p + 1;
		bool		minus = (*q == '-');

		if (*q == '-' || *q == '+')
			q++;
		if (is_digit(*q))
		{
			for (; is_digit(*q); q++)
			{
				if (exponent < 10000)
					exponent = exponent * 10 + (*q - '0');
			}
			if (minus)
				exponent = -exponent;
			p = q;
		}
	}

	if (w == 0)
	{
		*value = negative ? -0.0f : 0.0f;
		*end = p;
		return PIR_NUMBER_OK;
	}

	exponent += dropped - fraction;
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 1
	/* doubles computed in wider registers: the bound does not hold */
	return scan_float_slow(text, end, value);
#endif
	if (exponent < -MAX_POWER || exponent > MAX_POWER)
		return scan_float_slow(text, end, value);
	d = (double) w;
	d = (exponent < 0) ? d / power_of_ten[-exponent] : d * power_of_ten[exponent];
	if (d < FLT_MIN || d > FLT_MAX)
		return scan_float_slow(text, end, value);

	/* the 29 bits a float lacks: is their value safely off the midpoint? */
	memcpy(&bits, &d, sizeof(bits));
	from_midpoint = (int64_t) (bits & UINT64_C(0x1fffffff)) - INT64_C(0x10000000);
	if (from_midpoint >= -8 && from_midpoint <= 8)
		return scan_float_slow(text, end, value);

	*value = (float) (negative ? -d : d);
	*end = p;
	return PIR_NUMBER_OK;
}

bool
pir_number_scan_int32(const char *text, const char **end, int32_t *value)
{
	const char *p = text;
	bool		negative = (*p == '-');
	int64_t		v = 0;

	*end = text;
	if (*p == '-' || *p == '+')
		p++;
	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
	{
		if (v <= INT32_MAX)
			v = v * 10 + (*p - '0');
	}
	if (negative)
		v = -v;
	*value = v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t) v;
	*end = p;
	return true;
}
