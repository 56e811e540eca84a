/*-------------------------------------------------------------------------
 *
 * number_test.c
 *	  The number scanner against strtof() of the C library.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "vector/vector_number.h"

static uint32_t
float_bits(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/*
 * What strtof() makes of 'text', which must not begin with white space, in
 * the terms of the scanner.
 */
static PirNumberStatus
oracle(const char *text, size_t *consumed, float *value)
{
	char	   *end;

	errno = 0;
	*value = strtof(text, &end);
	*consumed = (size_t) (end - text);
	if (end == text)
		return PIR_NUMBER_MISSING;
	if (isnan(*value))
		return PIR_NUMBER_NAN;
	if (isinf(*value))
		return errno == ERANGE ? PIR_NUMBER_OVERFLOW : PIR_NUMBER_INFINITE;
	if (*value == 0 && errno == ERANGE)
		return PIR_NUMBER_UNDERFLOW;
	return PIR_NUMBER_OK;
}

static bool
same_as_oracle(const char *text)
{
	PirNumberStatus want;
	PirNumberStatus got;
	float		want_value;
	float		got_value = 0;
	size_t		want_consumed;
	const char *end = NULL;

	want = oracle(text, &want_consumed, &want_value);
	got = pir_number_scan_float(text, &end, &got_value);
	if (got != want || (size_t) (end - text) != want_consumed)
		return false;
	if (got == PIR_NUMBER_MISSING || got == PIR_NUMBER_NAN)
		return true;
	return float_bits(got_value) == float_bits(want_value);
}

static void
check_all(const char *what, bool (*make) (uint64_t *, char *, size_t), uint64_t n)
{
	uint64_t	state = UINT64_C(0x9e3779b97f4a7c15);
	char		text[512];
	char		bad[512] = "";
	uint64_t	nbad = 0;
	uint64_t	made = 0;

	for (uint64_t i = 0; i < n; i++)
	{
		if (!make(&state, text, sizeof(text)))
			continue;
		made++;
		if (!same_as_oracle(text) && nbad++ == 0)
			memcpy(bad, text, sizeof(bad));
	}
	if (!unit_ok(nbad == 0 && made > n / 2, "%s: %llu numbers", what, (unsigned long long) made))
		unit_note("%llu differ, the first is \"%s\"", (unsigned long long) nbad, bad);
}

static float
random_float(uint64_t *state)
{
	uint32_t	bits = (uint32_t) (unit_random(state) >> 32);
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Any float as programs print them */
static bool
make_printed(uint64_t *state, char *text, size_t size)
{
	static const char *const formats[] = {"%.9g", "%g", "%.17g", "%.6f", "%a", "%.25e", "%.0f", "%E"};
	float		f = random_float(state);

	if (!isfinite(f))
		return false;
	snprintf(text, size, formats[unit_random(state) % 8], f);
	return true;
}

/* Embeddings: doubles in [-1, 1] with the digits of a double */
static bool
make_small(uint64_t *state, char *text, size_t size)
{
	double		d = (unit_uniform(state) * 2 - 1) * pow(10, -(double) (unit_random(state) % 12));

	snprintf(text, size, unit_random(state) % 2 ? "%.17g" : "%.20f", d);
	return true;
}

/*
 * The hard cases: the exact midpoint between two floats, and its digits cut
 * short or its last one changed, so that it lies just above or below.
 */
static bool
make_midpoint(uint64_t *state, char *text, size_t size)
{
	float		f = fabsf(random_float(state));
	double		midpoint;
	size_t		length;

	if (!isfinite(f) || f > 1e37f || f < 1e-30f)
		return false;
	midpoint = ((double) f + (double) nextafterf(f, INFINITY)) / 2;
	snprintf(text, size, "%.120e", midpoint);
	switch (unit_random(state) % 4)
	{
		case 0:
			break;
		case 1:
			/* 17 to 60 digits of it: rounded down or up */
			snprintf(text, size, "%.*e", 16 + (int) (unit_random(state) % 44), midpoint);
			break;
		case 2:
			/* a one far behind */
			length = (size_t) (strchr(text, 'e') - text);
			text[length - 1] = '1';
			break;
		case 3:
			/* one unit of the double's last place off */
			snprintf(text, size, "%.120e",
					 nextafter(midpoint, unit_random(state) % 2 ? INFINITY : 0));
			break;
	}
	return true;
}

/* Grammar: random digits, points, signs, exponents */
static bool
make_grammar(uint64_t *state, char *text, size_t size)
{
	static const char *const signs[] = {"", "-", "+", ""};
	int			ndigits = (int) (unit_random(state) % 40);
	int			point = (int) (unit_random(state) % 44);
	char	   *p = text + snprintf(text, size, "%s", signs[unit_random(state) % 4]);

	for (int i = 0; i < ndigits; i++)
	{
		if (i == point)
			*p++ = '.';
		*p++ = (char) ('0' + (unit_random(state) % 3 == 0 ? 0 : unit_random(state) % 10));
	}
	*p = '\0';
	if (unit_random(state) % 2)
		p += sprintf(p, "%c%s%d", unit_random(state) % 2 ? 'e' : 'E',
					 signs[unit_random(state) % 4], (int) (unit_random(state) % 90));
	sprintf(p, "%s", unit_random(state) % 4 ? "" : ",1]");
	return true;
}

/* Anything made of the characters that numbers are made of */
static bool
make_garbage(uint64_t *state, char *text, size_t size)
{
	static const char alphabet[] = "0123456789+-..eExXpPinfatyINFNAN(),abc";
	int			length = (int) (unit_random(state) % 12);

	(void) size;
	for (int i = 0; i < length; i++)
		text[i] = alphabet[unit_random(state) % (sizeof(alphabet) - 1)];
	text[length] = '\0';
	return true;
}

static void
test_named(void)
{
	static const char *const texts[] = {
		"", "0", "-0", "+0", "1", "-1", "00012", "1.", ".5", ".", "-.", "+-1", "1e", "1e+", "1e5x",
		"1e-7", "1E+21", "0x10", "0x1.8p1", "0x", "0xg", "-0x1p-149", "0x1p-150", "0x1p128",
		"nan", "NaN", "-nan", "nan(12)", "nan(", "inf", "-Infinity", "infinit", "i", "n",
		"3.4028234663852886e38", "3.4028235677973362e38", "3.4028235677973366e38", "1e39", "-1e39",
		"1e400", "1e-400", "1e99999999999999999999", "-1e-99999999999999999999",
		"1.1754943508222875e-38", "1.1754942e-38", "1e-45", "7.0064923216240853e-46",
		"7.0064923216240854e-46", "1e-46", "16777217", "16777219", "9007199254740993",
		"0.000000000000000000000000000000000000000000000000000001",
		"123456789012345678901234567890123456789", "99999999999999999999", "1\t", "1_000", "1,5"
	};
	char		zeros[3000];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		unit_ok(same_as_oracle(texts[i]), "\"%s\"", texts[i]);

	/* thousands of digits on either side of the point, undone by the exponent */
	memset(zeros, '0', sizeof(zeros));
	strcpy(zeros + 2500, "e-2499");
	zeros[0] = '7';
	unit_ok(same_as_oracle(zeros), "7, 2499 zeros, e-2499");
	memset(zeros, '0', sizeof(zeros));
	zeros[1] = '.';
	strcpy(zeros + 2500, "7e2499");
	unit_ok(same_as_oracle(zeros), "0., 2498 zeros, 7e2499");
	memset(zeros, '3', sizeof(zeros));
	zeros[1] = '.';
	strcpy(zeros + 2500, "e1");
	unit_ok(same_as_oracle(zeros), "2499 threes");
}

/* White space is the caller's business, whatever strtof() does with it */
static void
test_space(void)
{
	static const char *const texts[] = {" 1", "\t1", "\n1", "- 1", "+\v1", " inf", "\fnan"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		const char *end;
		float		value;

		unit_ok(pir_number_scan_float(texts[i], &end, &value) == PIR_NUMBER_MISSING &&
				end == texts[i], "no number behind white space, case %zu", i);
	}
}

static void
test_int32(void)
{
	static const struct
	{
		const char *text;
		bool		found;
		int32_t		value;
		int			consumed;
	}			cases[] = {
		{"0", true, 0, 1}, {"-0", true, 0, 2}, {"+7", true, 7, 2}, {"0012:", true, 12, 4},
		{"2147483647", true, INT32_MAX, 10}, {"2147483648", true, INT32_MAX, 10},
		{"-2147483648", true, INT32_MIN, 11}, {"-2147483649", true, INT32_MIN, 11},
		{"99999999999999999999999x", true, INT32_MAX, 23},
		{"-99999999999999999999999", true, INT32_MIN, 24},
		{"4294967297", true, INT32_MAX, 10}, {"21474836470", true, INT32_MAX, 11},
		{"1.5", true, 1, 1}, {"0x10", true, 0, 1}, {"1e3", true, 1, 1},
		{"", false, 0, 0}, {"-", false, 0, 0}, {"+-1", false, 0, 0}, {" 1", false, 0, 0}, {"a", false, 0, 0}
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *end;
		int32_t		value = 0;
		bool		found = pir_number_scan_int32(cases[i].text, &end, &value);

		unit_ok(found == cases[i].found && end - cases[i].text == cases[i].consumed &&
				(!found || value == cases[i].value), "integer \"%s\"", cases[i].text);
	}
}

/* A process whose locale writes a decimal comma must still read points */
static void
test_locale(void)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "es_ES.UTF-8", "de_DE"};
	const char *end;
	float		value = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (setlocale(LC_ALL, names[i]) == NULL)
			continue;
		/* a hexadecimal float, so that the library's function is asked */
		unit_ok(pir_number_scan_float("0x1.8p0,5", &end, &value) == PIR_NUMBER_OK &&
				value == 1.5f && *end == ',', "decimal point under locale %s", names[i]);
		setlocale(LC_ALL, "C");
		return;
	}
	unit_skip("no locale with a decimal comma is installed");
}

int
main(void)
{
	test_named();
	test_space();
	test_int32();
	check_all("printed floats", make_printed, 1000000);
	check_all("small doubles", make_small, 1000000);
	check_all("midpoints", make_midpoint, 500000);
	check_all("grammar", make_grammar, 1000000);
	check_all("garbage", make_garbage, 1000000);
	test_locale();
	return unit_done();
}
