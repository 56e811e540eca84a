/*-------------------------------------------------------------------------
 *
 * distance_convert_test.c
 *	  Conversions to and from float16 and bfloat16, bit by bit; and the choice
 *	  of a kernel table.
 *
 * From 16 bits, all 65536 values. To 16 bits, every value that is one, every
 * midpoint between two neighbours (a tie) and the floats on either side of
 * both, and random floats. The expected result comes from arithmetic in
 * double, and, where the compiler has _Float16, from the compiler too. With
 * UNIT_EXHAUSTIVE in the environment, all 2^32 floats against the compiler.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distance/dist.h"
#include "guard.h"
#include "unit.h"

/* In C, x86 needs GCC 12 or clang 15, and SSE2; ARM has had it longer. */
#if defined(__FLT16_MAX__)
#define HAVE_FLOAT16	1
#endif

static uint64_t seed = 4711;

static float
from_bits(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static uint32_t
to_bits(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/*
 * The float that 16 bits mean, from the definition: sign, exponent field of
 * 'ebits', fraction field of 'fbits'.
 */
static double
definition(uint16_t h, int ebits, int fbits)
{
	int			bias = (1 << (ebits - 1)) - 1;
	int			exponent = (h >> fbits) & ((1 << ebits) - 1);
	int			fraction = h & ((1 << fbits) - 1);
	double		value;

	if (exponent == (1 << ebits) - 1)
		value = fraction ? NAN : INFINITY;
	else if (exponent == 0)
		value = ldexp(fraction, 1 - bias - fbits);
	else
		value = ldexp((1 << fbits) + fraction, exponent - bias - fbits);
	return h & 0x8000 ? -value : value;
}

/*
 * Round to the nearest 16-bit value, ties to even: scale so that the last
 * place is 1, and let rint() decide.
 */
static uint16_t
nearest(float f, int ebits, int fbits)
{
	int			bias = (1 << (ebits - 1)) - 1;
	uint16_t	sign = signbit(f) ? 0x8000 : 0;
	uint16_t	infinity = ((1 << ebits) - 1) << fbits;
	double		mag = fabs((double) f);
	int			exponent;
	double		units;

	if (isinf(f))
		return sign | infinity;
	if (mag < ldexp(1, 1 - bias))
		return sign | (uint16_t) rint(ldexp(mag, bias - 1 + fbits));
	frexp(mag, &exponent);
	exponent--;					/* 2^exponent <= mag */
	units = rint(ldexp(mag, fbits - exponent));	/* 2^fbits .. 2^(fbits + 1) */
	if (units == ldexp(1, fbits + 1))
	{
		units /= 2;
		exponent++;
	}
	if (exponent > bias)
		return sign | infinity;
	return sign | (uint16_t) ((exponent + bias) << fbits) | (uint16_t) (units - ldexp(1, fbits));
}

static void
check_widening(void)
{
	UnitTally	tally = {0};
	static uint16_t halves[65536];
	static float expected[65536];
	Guard		in = guard_make(sizeof(halves));
	Guard		out = guard_make(sizeof(expected));

	for (int i = 0; i < 65536; i++)
	{
		float		f = pir_half_to_float(i);
		double		d = definition(i, 5, 10);

		halves[i] = i;
		expected[i] = f;
		if (isnan(d))			/* quiet, same sign, same payload */
			unit_case(&tally, to_bits(f) == ((uint32_t) (i & 0x8000) << 16 | 0x7fc00000 | (uint32_t) (i & 0x3ff) << 13),
					  "NaN %04x gave %08x", i, to_bits(f));
		else
			unit_case(&tally, f == d && !signbit(f) == !signbit(d), "half %04x gave %a", i, f);
#ifdef HAVE_FLOAT16
		{
			uint16_t	bits = i;
			_Float16	native;

			memcpy(&native, &bits, sizeof(native));
			unit_case(&tally, isnan(d) ? isnan((float) native) : to_bits(f) == to_bits((float) native),
					  "half %04x gave %a, the compiler %a", i, f, (float) native);
		}
#endif

		f = pir_bf16_to_float(i);
		d = definition(i, 8, 7);
		unit_case(&tally, isnan(d) ? to_bits(f) == (uint32_t) i << 16 : f == d && !signbit(f) == !signbit(d),
				  "bfloat16 %04x gave %a", i, f);
	}
	unit_tally_report(&tally, "half and bfloat16 to float, all values");

	for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
	{
		if (!pir_dist_usable(*t))
			continue;
		for (int n = 0; n <= 65536; n = n < 70 ? n + 1 : 65536)
		{
			for (int place = 0; place < GUARD_NPLACES; place++)
			{
				int			from = n == 65536 ? 0 : 31700 + n;	/* NaNs too */
				const PirHalf *a = guard_put(&in, place, halves + from, n * sizeof(PirHalf));
				float	   *b = guard_put(&out, (place + n) % GUARD_NPLACES, expected, n * sizeof(float));

				(*t)->f16_to_f32(a, b, n);
				unit_case(&tally, memcmp(b, expected + from, n * sizeof(float)) == 0, "%s, n = %d", (*t)->name, n);
				unit_case(&tally, guard_intact(&out, b, n * sizeof(float)), "%s, n = %d: wrote beyond", (*t)->name, n);
			}
			if (n == 65536)
				break;
		}
	}
	unit_tally_report(&tally, "f16_to_f32 kernels, all values");
}

#define MAX_INPUTS	(65536 * 7 + 1000000)
static float inputs[MAX_INPUTS];
static uint16_t outputs[MAX_INPUTS];
static int	ninputs;

static void
add_with_neighbours(float f)
{
	inputs[ninputs++] = f;
	inputs[ninputs++] = nextafterf(f, INFINITY);
	inputs[ninputs++] = nextafterf(f, -INFINITY);
}

static void
check_narrowing(int ebits, int fbits, PirHalf (*convert) (float), const char *name)
{
	UnitTally	tally = {0};
	char		what[80];
	uint16_t	infinity = ((1 << ebits) - 1) << fbits;

	ninputs = 0;
	for (int i = 0; i < 65536; i++)
	{
		double		value = definition(i, ebits, fbits);
		double		next = definition(i + 1, ebits, fbits);

		if (isnan(value))
			continue;
		add_with_neighbours((float) value);
		if ((i & 0x7fff) == infinity - 1)	/* beyond the greatest: as if the exponent went on */
			next = copysign(ldexp(1, 1 << (ebits - 1)), value);
		if ((i & 0x7fff) < infinity)
			add_with_neighbours((float) ((value + next) / 2));	/* exact: one bit more than the type has */
	}
	add_with_neighbours(FLT_MIN);
	add_with_neighbours(FLT_MAX);
	add_with_neighbours(FLT_TRUE_MIN);
	for (int i = 0; i < 900000; i++)
		inputs[ninputs++] = from_bits((uint32_t) (unit_random(&seed) >> 32));
	for (int i = 0; i < 100000; i++)
		inputs[ninputs++] = (float) (2 * unit_uniform(&seed) - 1);

	for (int i = 0; i < ninputs; i++)
	{
		float		f = inputs[i];
		uint16_t	got = convert(f);

		outputs[i] = got;
		if (isnan(f))			/* a quiet NaN with the same sign and leading payload */
			unit_case(&tally, got == ((to_bits(f) >> 16 & 0x8000) | infinity | 1 << (fbits - 1) |
									  (to_bits(f) >> (23 - fbits) & ((1 << fbits) - 1))),
					  "NaN %08x gave %04x", to_bits(f), got);
		else
			unit_case(&tally, got == nearest(f, ebits, fbits), "%a gave %04x, not %04x", f, got, nearest(f, ebits, fbits));
#ifdef HAVE_FLOAT16
		if (fbits == 10 && !isnan(f))
		{
			_Float16	native = (_Float16) f;
			uint16_t	bits;

			memcpy(&bits, &native, sizeof(bits));
			unit_case(&tally, got == bits, "%a gave %04x, the compiler %04x", f, got, bits);
		}
#endif
	}
	snprintf(what, sizeof(what), "float to %s: values, ties, neighbours, random", name);
	unit_tally_report(&tally, what);
}

static void
check_narrowing_kernels(void)
{
	UnitTally	tally = {0};
	Guard		in = guard_make(MAX_INPUTS * sizeof(float));
	Guard		out = guard_make(MAX_INPUTS * sizeof(PirHalf));

	/* 'inputs' and 'outputs' as the half test left them */
	for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
	{
		if (!pir_dist_usable(*t))
			continue;
		for (int n = 0; n <= ninputs; n = n < 70 ? n + 1 : ninputs)
		{
			for (int place = 0; place < GUARD_NPLACES; place++)
			{
				int			from = n == ninputs ? 0 : 200000 + 100 * n;
				const float *a = guard_put(&in, place, inputs + from, n * sizeof(float));
				PirHalf    *b = guard_put(&out, (place + n) % GUARD_NPLACES, outputs, n * sizeof(PirHalf));

				(*t)->f32_to_f16(a, b, n);
				unit_case(&tally, memcmp(b, outputs + from, n * sizeof(PirHalf)) == 0, "%s, n = %d", (*t)->name, n);
				unit_case(&tally, guard_intact(&out, b, n * sizeof(PirHalf)), "%s, n = %d: wrote beyond", (*t)->name, n);
			}
			if (n == ninputs)
				break;
		}
	}
	unit_tally_report(&tally, "f32_to_f16 kernels, the same inputs");
}

static void
check_named_values(void)
{
	UnitTally	tally = {0};
	static const struct
	{
		float		f;
		uint16_t	half;
	}			cases[] = {
		{0.0f, 0x0000}, {-0.0f, 0x8000}, {1.0f, 0x3c00}, {-2.0f, 0xc000},
		{65504.0f, 0x7bff}, {65519.996f, 0x7bff}, {65520.0f, 0x7c00}, {-65520.0f, 0xfc00},
		{1e38f, 0x7c00}, {INFINITY, 0x7c00}, {-INFINITY, 0xfc00},
		{0x1p-14f, 0x0400}, {0x1.ff8p-15f, 0x03ff}, {0x1.ffcp-15f, 0x0400},	/* tie, to even: up */
		{0x1p-24f, 0x0001}, {0x1p-25f, 0x0000}, {0x1.000002p-25f, 0x0001}, {0x1.8p-24f, 0x0002},
		{1.0f + 0x1p-11f, 0x3c00}, {1.0f + 0x1.8p-10f, 0x3c02}, {1.0f + 0x1.8p-11f, 0x3c01},
		{1e-45f, 0x0000}, {-1e-45f, 0x8000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		unit_case(&tally, pir_float_to_half(cases[i].f) == cases[i].half, "%a gave %04x, not %04x",
				  cases[i].f, pir_float_to_half(cases[i].f), cases[i].half);
	unit_tally_report(&tally, "float to half, values by name");
}

static void
check_exhaustively(void)
{
#ifdef HAVE_FLOAT16
	UnitTally	tally = {0};
	uint32_t	bits = 0;

	do
	{
		float		f = from_bits(bits);
		_Float16	native = (_Float16) f;
		uint16_t	expected;

		memcpy(&expected, &native, sizeof(expected));
		unit_case(&tally, pir_float_to_half(f) == expected || isnan(f), "%a", f);
	} while (++bits != 0);
	unit_tally_report(&tally, "float to half, all floats");
#else
	unit_skip("all floats to half: this compiler has no _Float16");
#endif
}

/*-------------------------------------------------------------------------
 * The choice of a table
 *-------------------------------------------------------------------------
 */

static void
check_dispatch(void)
{
	static const char *const unknown[] = {
		"", "none", "Scalar", "avx", "avx2 ", "avx51", "avx5122", "sve", "auto,scalar", "fastest"
	};
	const PirKernels *const *tables = pir_dist_tables();
	UnitTally	tally = {0};
	const PirKernels *best;
	int			ntables = 0;

	unit_ok(strcmp(pir_kernels->name, "scalar") == 0, "scalar before any choice");

	unit_case(&tally, pir_dist_init(NULL), "init without a name");
	best = pir_kernels;
	for (int i = 0; tables[i] != best; i++)
		unit_case(&tally, tables[i] != NULL && !pir_dist_usable(tables[i]), "%s was passed over", tables[i]->name);
	unit_tally_report(&tally, "without a name the first usable table");
	unit_note("the best table here is %s", best->name);
	unit_ok(pir_dist_init("scalar") && strcmp(pir_kernels->name, "scalar") == 0, "scalar when asked for");
	unit_ok(pir_dist_init("auto") && pir_kernels == best, "auto is the same as no name");
	unit_ok(pir_dist_usable(best), "the best table is usable");

	for (; tables[ntables] != NULL; ntables++)
	{
		const PirKernels *t = tables[ntables];
		bool		usable = pir_dist_usable(t);

		pir_kernels = best;
		unit_case(&tally, pir_dist_init(t->name) == usable, "init(%s)", t->name);
		unit_case(&tally, pir_kernels == (usable ? t : best), "table after init(%s): %s", t->name, pir_kernels->name);
		for (int i = 0; i < ntables; i++)
			unit_case(&tally, strcmp(t->name, tables[i]->name) != 0, "two tables called %s", t->name);

		/* a kernel that someone forgot to fill in */
		for (size_t at = offsetof(PirKernels, l2sq_f32); at < sizeof(PirKernels); at += sizeof(void *))
		{
			void	   *kernel;

			memcpy(&kernel, (const char *) t + at, sizeof(kernel));
			unit_case(&tally, kernel != NULL, "table %s lacks the kernel at offset %zu", t->name, at);
		}
	}
	unit_tally_report(&tally, "every table by its name");
	unit_ok(ntables > 0 && strcmp(tables[ntables - 1]->name, "scalar") == 0 && pir_dist_usable(tables[ntables - 1]),
			"scalar is the last of %d tables, and usable", ntables);

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
	{
		pir_kernels = best;
		unit_case(&tally, !pir_dist_init(unknown[i]) && pir_kernels == best, "unknown name \"%s\"", unknown[i]);
	}
	unit_case(&tally, !pir_dist_usable(NULL), "a table that is none");
	unit_tally_report(&tally, "unknown names change nothing");

#if defined(__x86_64__)
	/* our probe against the compiler's */
	__builtin_cpu_init();
	for (int i = 0; i < ntables; i++)
	{
		const char *name = tables[i]->name;
		bool		avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
		bool		avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
			__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
		bool		vnni = avx512 && __builtin_cpu_supports("avx512vnni");
		bool		expected = strcmp(name, "avx2") == 0 ? avx2 :
			strcmp(name, "avx512") == 0 ? avx512 :
			strcmp(name, "avx512vnni") == 0 ? vnni :
			strcmp(name, "avx512popcnt") == 0 ? vnni && __builtin_cpu_supports("avx512vpopcntdq") : true;

		unit_case(&tally, pir_dist_usable(tables[i]) == expected, "%s usable: %d, by the compiler %d", name, !expected, expected);
	}
	unit_tally_report(&tally, "the probe agrees with __builtin_cpu_supports");
#endif
}

int
main(void)
{
	check_dispatch();
	check_widening();
	check_named_values();
	check_narrowing(8, 7, pir_float_to_bf16, "bfloat16");
	check_narrowing(5, 10, pir_float_to_half, "half");
	check_narrowing_kernels();
	if (getenv("UNIT_EXHAUSTIVE") != NULL)
		check_exhaustively();
	return unit_done();
}
