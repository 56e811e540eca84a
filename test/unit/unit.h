/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  What a unit program needs: count tests, print them as TAP.
 *
 * A program is one file, test/unit/X_test.c: main() makes calls of
 * unit_ok() and ends with "return unit_done();". Loops over many cases should
 * report once for the whole loop, with the first case that failed in the
 * message; test/run counts the reported lines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_UNIT_H
#define PIR_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static int	unit_ntests;
static int	unit_nfailed;

/* Report one test; returns 'passed', so that details can follow a failure. */
__attribute__((format(printf, 2, 3)))
static inline bool
unit_ok(bool passed, const char *format,...)
{
	va_list		args;

	printf("%sok %d - ", passed ? "" : "not ", ++unit_ntests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	if (!passed)
		unit_nfailed++;
	return passed;
}

/* A line of explanation, usually after a failure. */
__attribute__((format(printf, 1, 2)))
static inline void
unit_note(const char *format,...)
{
	va_list		args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* A test that this machine cannot run; test/run names it. */
__attribute__((format(printf, 1, 2)))
static inline void
unit_skip(const char *format,...)
{
	va_list		args;

	printf("ok %d # SKIP ", ++unit_ntests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* Print the plan; the exit status of the program. */
static inline int
unit_done(void)
{
	printf("1..%d\n", unit_ntests);
	return unit_nfailed == 0 ? 0 : 1;
}

/*
 * Random numbers that are the same on every machine: xorshift64*, one state
 * per caller, never zero.
 */
static inline uint64_t
unit_random(uint64_t *state)
{
	uint64_t	x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

/* Uniform in [0, 1). */
static inline double
unit_uniform(uint64_t *state)
{
	return (double) (unit_random(state) >> 11) * 0x1.0p-53;
}

/*
 * A loop over many cases, reported as one test: count each case with
 * unit_case(), then unit_tally_report() once. The first case that failed is
 * kept for the message; the rest of them is only counted.
 */
typedef struct UnitTally
{
	unsigned long ncases;
	unsigned long nfailed;
	char		first[240];
} UnitTally;

__attribute__((format(printf, 3, 4)))
static inline bool
unit_case(UnitTally *tally, bool passed, const char *format,...)
{
	tally->ncases++;
	if (!passed && tally->nfailed++ == 0)
	{
		va_list		args;

		va_start(args, format);
		vsnprintf(tally->first, sizeof(tally->first), format, args);
		va_end(args);
	}
	return passed;
}

/* Reports the tally, and empties it. A tally of no case at all has failed. */
static inline bool
unit_tally_report(UnitTally *tally, const char *what)
{
	bool		passed = tally->ncases > 0 && tally->nfailed == 0;

	unit_ok(passed, "%s (%lu cases)", what, tally->ncases);
	if (tally->nfailed > 0)
		unit_note("%lu failed, the first: %s", tally->nfailed, tally->first);
	*tally = (UnitTally) {0};
	return passed;
}

#endif							/* PIR_UNIT_H */
