/*-------------------------------------------------------------------------
 *
 * distance_float_test.c
 *	  Float kernels of every usable table, scalar included, against sums taken
 *	  in extended precision; transforms and sign flips against the oracle.
 *
 * All dimensions 0 to 300 and some beyond, every placement of guard.h for both
 * operands, and data that asks for trouble. The tolerance is the error bound
 * of src/distance/README.md: for a sum of n terms t_i,
 *
 *	  (n / 4 + 12) * 2^-24 * sum |t_i|  +  n * 2^-148
 *
 * and nothing at all where the data are small integers.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>

#include "distance/dist.h"
#include "guard.h"
#include "unit.h"

#define MAX_DIM		16384

typedef enum Pattern
{
	UNIFORM,					/* [-1, 1) */
	SMALL_INTEGERS,				/* -8 .. 8: results must be exact */
	SUBNORMAL,
	ZEROS,						/* both signs, few ones */
	WIDE,						/* random exponents, no overflow */
	HUGE_VALUES,				/* up to the largest finite value: sums overflow */
	SPIKES,						/* zeros but for one element in 37 */
	EQUAL,						/* b = a */
	OPPOSITE,					/* b = -a */
	EQUAL_INTEGERS,
	NUM_PATTERNS
} Pattern;

static const char *const pattern_names[NUM_PATTERNS] = {
	"uniform", "small integers", "subnormal", "zeros", "wide", "huge", "spikes",
	"equal", "opposite", "equal integers"
};

typedef enum Type
{
	F32, F16, BF16, NUM_TYPES
} Type;

static const char *const type_names[NUM_TYPES] = {"f32", "f16", "bf16"};

static uint64_t seed = 20240229;

/* Values in storage form and as floats. */
typedef struct Operand
{
	uint16_t	half[MAX_DIM];	/* PirHalf or PirBf16 */
	float		value[MAX_DIM];
} Operand;

/* Exact sums over the first n elements, and sums of absolute terms. */
typedef struct Exact
{
	long double l2sq;
	long double dot;
	long double dot_abs;
	long double l1;
	long double norm2_a;
	long double norm2_b;
} Exact;

static Operand op_a;
static Operand op_b;
static Exact exact[MAX_DIM + 1];
static Guard guard_a;
static Guard guard_b;

static const void *
stored(const Operand *op, Type type)
{
	return type == F32 ? (const void *) op->value : op->half;
}

static size_t
width(Type type)
{
	return type == F32 ? sizeof(float) : sizeof(uint16_t);
}

/* The value nearest to f that the type has. */
static void
set_element(Operand *op, Type type, int i, float f)
{
	op->value[i] = f;
	if (type == F16)
	{
		op->half[i] = pir_float_to_half(f);
		op->value[i] = pir_half_to_float(op->half[i]);
	}
	else if (type == BF16)
	{
		op->half[i] = pir_float_to_bf16(f);
		op->value[i] = pir_bf16_to_float(op->half[i]);
	}
}

static float
random_value(Type type, Pattern pattern)
{
	float		u = (float) (2 * unit_uniform(&seed) - 1);
	float		huge = type == F16 ? 65504.0f : type == BF16 ? 0x1.fep127f : FLT_MAX;

	switch (pattern)
	{
		case SMALL_INTEGERS:
		case EQUAL_INTEGERS:
			return (float) ((int) (unit_random(&seed) >> 40) % 9);
		case SUBNORMAL:
			return u * (type == F16 ? 0x1p-15f : 0x1p-127f);
		case ZEROS:
			return unit_uniform(&seed) < 0.05 ? 1.0f : copysignf(0.0f, u);
		case WIDE:
			return ldexpf(u, (int) (unit_random(&seed) >> 40) % (type == F16 ? 12 : 50) - 5);
		case HUGE_VALUES:
			return unit_uniform(&seed) < 0.3 ? copysignf(huge, u) : u * huge;
		case SPIKES:
			return unit_random(&seed) % 37 == 0 ? 1 + u : 0.0f;
		default:
			return u;
	}
}

static void
make_data(Type ta, Type tb, Pattern pattern)
{
	Exact		sum = {0};

	for (int i = 0; i < MAX_DIM; i++)
	{
		long double a;
		long double b;

		set_element(&op_a, ta, i, random_value(ta, pattern));
		if (pattern == EQUAL || pattern == EQUAL_INTEGERS)
			set_element(&op_b, tb, i, op_a.value[i]);
		else if (pattern == OPPOSITE)
			set_element(&op_b, tb, i, -op_a.value[i]);
		else
			set_element(&op_b, tb, i, random_value(tb == F32 ? ta : tb, pattern));

		a = op_a.value[i];
		b = op_b.value[i];
		exact[i] = sum;
		sum.l2sq += (a - b) * (a - b);
		sum.dot += a * b;
		sum.dot_abs += fabsl(a * b);
		sum.l1 += fabsl(a - b);
		sum.norm2_a += a * a;
		sum.norm2_b += b * b;
	}
	exact[MAX_DIM] = sum;
}

/*
 * Is 'got' the float sum of n terms with that exact sum and sum of absolute
 * values? Where the absolute sum may leave the range of float, infinity is
 * right; and if not all terms have one sign, so is NaN (infinities of both
 * signs met).
 */
static bool
close_enough(float got, long double sum, long double sum_abs, int n, bool must_be_exact)
{
	long double relative = (n / 4 + 12) * 0x1p-24L;
	long double tolerance = relative * sum_abs + n * 0x1p-148L;
	bool		one_sign = fabsl(sum) == sum_abs;

	if (must_be_exact)
		return (long double) got == sum;
	if (isfinite(got))
		return fabsl(got - sum) <= tolerance;
	if (sum_abs * (1 + relative) < FLT_MAX)
		return false;
	return one_sign ? (got > 0) == (sum > 0) && !isnan(got) : true;
}

/* The same for sums that must overflow: nothing finite will do. */
static bool
must_overflow(long double sum, long double sum_abs, int n)
{
	return fabsl(sum) == sum_abs && sum_abs * (1 - (n / 4 + 12) * 0x1p-24L) > FLT_MAX;
}

static bool
right(float got, long double sum, long double sum_abs, int n, Pattern pattern)
{
	bool		integers = pattern == SMALL_INTEGERS || pattern == EQUAL_INTEGERS || pattern == ZEROS;

	return close_enough(got, sum, sum_abs, n, integers) &&
		(!must_overflow(sum, sum_abs, n) || isinf(got));
}

/* cosine distance as README.md section "Formulas" has it */
static double
cosine_distance(const PirCosineSums *sums)
{
	return 1.0 - sums->dot / sqrt((double) sums->norm2_a * (double) sums->norm2_b);
}

typedef struct FloatKernels
{
	float		(*l2sq) (const void *a, const void *b, uint32_t n);
	float		(*dot) (const void *a, const void *b, uint32_t n);
	float		(*l1) (const void *a, const void *b, uint32_t n);
	void		(*cosine) (const void *a, const void *b, uint32_t n, PirCosineSums *out);
	double		(*norm2) (const void *a, uint32_t n);
} FloatKernels;

/*
 * Thin functions instead of casts of function pointers: calling through a
 * pointer of another type is undefined.
 */
static const PirKernels *table;

#define WRAP(name, ta, tb) \
static float name##_l2sq(const void *a, const void *b, uint32_t n) { return table->l2sq_##name((const ta *) a, (const tb *) b, n); } \
static float name##_dot(const void *a, const void *b, uint32_t n) { return table->dot_##name((const ta *) a, (const tb *) b, n); } \
static float name##_l1(const void *a, const void *b, uint32_t n) { return table->l1_##name((const ta *) a, (const tb *) b, n); }
#define WRAP_SUMS(name, t) \
static void name##_cosine(const void *a, const void *b, uint32_t n, PirCosineSums *out) { table->cosine_##name((const t *) a, (const t *) b, n, out); } \
static double name##_norm2(const void *a, uint32_t n) { return table->norm2_##name((const t *) a, n); }

WRAP(f32, float, float)
WRAP(f16, PirHalf, PirHalf)
WRAP(bf16, PirBf16, PirBf16)
WRAP(f16_f32, PirHalf, float)
WRAP(bf16_f32, PirBf16, float)
WRAP_SUMS(f32, float)
WRAP_SUMS(f16, PirHalf)
WRAP_SUMS(bf16, PirBf16)

static const FloatKernels same_type[NUM_TYPES] = {
	{f32_l2sq, f32_dot, f32_l1, f32_cosine, f32_norm2},
	{f16_l2sq, f16_dot, f16_l1, f16_cosine, f16_norm2},
	{bf16_l2sq, bf16_dot, bf16_l1, bf16_cosine, bf16_norm2},
};
static const FloatKernels mixed = {f16_f32_l2sq, f16_f32_dot, f16_f32_l1, NULL, NULL};
static const FloatKernels mixed_bf16 = {bf16_f32_l2sq, bf16_f32_dot, bf16_f32_l1, NULL, NULL};

static void
check_one(const FloatKernels *k, const void *a, const void *b, int n, Pattern pattern, UnitTally *tally)
{
	const Exact *e = &exact[n];
	PirCosineSums sums;
	float		got;
	double		norm2;

#define WHERE "%s, %s data, n = %d: got %.9g, exact %.9g"
#define AT table->name, pattern_names[pattern], n

	got = k->l2sq(a, b, n);
	unit_case(tally, right(got, e->l2sq, e->l2sq, n, pattern), "l2sq " WHERE, AT, got, (double) e->l2sq);
	got = k->dot(a, b, n);
	unit_case(tally, right(got, e->dot, e->dot_abs, n, pattern), "dot " WHERE, AT, got, (double) e->dot);
	got = k->l1(a, b, n);
	unit_case(tally, right(got, e->l1, e->l1, n, pattern), "l1 " WHERE, AT, got, (double) e->l1);
	if (k->cosine == NULL)
		return;

	memset(&sums, 0xff, sizeof(sums));
	k->cosine(a, b, n, &sums);
	unit_case(tally, right(sums.dot, e->dot, e->dot_abs, n, pattern), "cosine dot " WHERE, AT, sums.dot, (double) e->dot);
	unit_case(tally, right(sums.norm2_a, e->norm2_a, e->norm2_a, n, pattern), "cosine norm2_a " WHERE, AT, sums.norm2_a, (double) e->norm2_a);
	unit_case(tally, right(sums.norm2_b, e->norm2_b, e->norm2_b, n, pattern), "cosine norm2_b " WHERE, AT, sums.norm2_b, (double) e->norm2_b);
	if (pattern == EQUAL || pattern == EQUAL_INTEGERS || pattern == OPPOSITE)
	{
		double		distance = cosine_distance(&sums);
		bool		zero = e->norm2_a == 0;

		unit_case(tally, sums.norm2_a == sums.norm2_b && fabsf(sums.dot) == sums.norm2_a,
				  "cosine sums of %s, %s, n = %d: %.9g %.9g %.9g", AT, sums.dot, sums.norm2_a, sums.norm2_b);
		unit_case(tally, zero ? isnan(distance) : distance == (pattern == OPPOSITE ? 2 : 0),
				  "cosine distance of %s, %s, n = %d: %.17g", AT, distance);
	}
	norm2 = k->norm2(a, n);
	unit_case(tally, fabsl(norm2 - e->norm2_a) <= (n / 4 + 12) * 0x1p-53L * e->norm2_a, "norm2 " WHERE, AT, norm2, (double) e->norm2_a);
#undef WHERE
#undef AT
}

/* Every table on the first n elements, in each placement. */
static void
check_dimension(const FloatKernels *k, Type ta, Type tb, int n, Pattern pattern, UnitTally *tally)
{
	for (int place = 0; place < GUARD_NPLACES; place++)
	{
		const void *a = guard_put(&guard_a, place, stored(&op_a, ta), n * width(ta));
		/* the other operand at another place, so that alignments differ */
		const void *b = guard_put(&guard_b, (place + n) % GUARD_NPLACES, stored(&op_b, tb), n * width(tb));

		for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
		{
			if (!pir_dist_usable(*t))
				continue;
			table = *t;
			check_one(k, a, b, n, pattern, tally);
		}
	}
}

static void
check_kernels(const FloatKernels *k, Type ta, Type tb, const char *name)
{
	static const int large[] = {333, 512, 768, 1000, 1023, 1536, 4097, 16000, MAX_DIM};
	UnitTally	tally = {0};

	for (int pattern = 0; pattern < NUM_PATTERNS; pattern++)
	{
		char		what[80];

		make_data(ta, tb, pattern);
		for (int n = 0; n <= 300; n++)
			check_dimension(k, ta, tb, n, pattern, &tally);
		for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
			check_dimension(k, ta, tb, large[i], pattern, &tally);
		snprintf(what, sizeof(what), "%s kernels, %s", name, pattern_names[pattern]);
		unit_tally_report(&tally, what);
	}
}

/* Each single element counts, once: only element i differs from zero. */
static void
check_each_position(void)
{
	static const int dims[] = {1, 2, 7, 8, 15, 16, 17, 31, 63, 64, 100, 127, 129, 300, 16000};
	UnitTally	tally = {0};

	memset(&op_a, 0, sizeof(op_a));
	memset(&op_b, 0, sizeof(op_b));
	for (int type = 0; type < NUM_TYPES; type++)
	{
		const FloatKernels *k = &same_type[type];

		for (size_t d = 0; d < sizeof(dims) / sizeof(dims[0]); d++)
		{
			int			n = dims[d];

			for (int i = 0; i < n; i += (i < 300 || i > n - 300) ? 1 : 97)
			{
				set_element(&op_a, type, i, 3);
				set_element(&op_b, type, i, 5);
				for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
				{
					const void *a = stored(&op_a, type);
					const void *b = stored(&op_b, type);
					PirCosineSums sums;

					if (!pir_dist_usable(*t))
						continue;
					table = *t;
					k->cosine(a, b, n, &sums);
					unit_case(&tally, k->l2sq(a, b, n) == 4 && k->dot(a, b, n) == 15 && k->l1(a, b, n) == 2 &&
							  sums.dot == 15 && sums.norm2_a == 9 && sums.norm2_b == 25 && k->norm2(a, n) == 9,
							  "%s %s n = %d element %d", table->name, type_names[type], n, i);
				}
				set_element(&op_a, type, i, 0);
				set_element(&op_b, type, i, 0);
			}
		}
	}
	unit_tally_report(&tally, "one element other than zero, at each position");
}

/* Out of range: what the SQL functions promise for +-3e38. */
static void
check_overflow(void)
{
	UnitTally	tally = {0};
	float		a[40];
	float		b[40];

	for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
	{
		if (!pir_dist_usable(*t))
			continue;
		for (int n = 1; n <= 40; n++)
		{
			PirCosineSums sums;

			for (int i = 0; i < n; i++)
			{
				a[i] = 3e38f;
				b[i] = -3e38f;
			}
			unit_case(&tally, (*t)->l2sq_f32(a, b, n) == INFINITY, "l2sq %s n = %d", (*t)->name, n);
			unit_case(&tally, (*t)->dot_f32(a, a, n) == INFINITY, "dot %s n = %d", (*t)->name, n);
			unit_case(&tally, (*t)->dot_f32(a, b, n) == -INFINITY, "-dot %s n = %d", (*t)->name, n);
			unit_case(&tally, (*t)->l1_f32(a, b, n) == INFINITY, "l1 %s n = %d", (*t)->name, n);
			(*t)->cosine_f32(a, a, n, &sums);
			unit_case(&tally, isnan(cosine_distance(&sums)), "cosine %s n = %d", (*t)->name, n);
			a[0] = 3e37f;
			b[0] = 4e37f;
			unit_case(&tally, (float) sqrt((*t)->norm2_f32(a, 1) + (*t)->norm2_f32(b, 1)) == 5e37f,
					  "norm2 %s n = %d", (*t)->name, n);
		}
	}
	unit_tally_report(&tally, "overflow to infinity");
}

/*-------------------------------------------------------------------------
 * Rotation
 *-------------------------------------------------------------------------
 */

/* n^2 operations: output i is the sum over j of (-1)^popcount(i and j) x_j, scaled. */
static bool
matches_definition(const float *x, const float *y, int n)
{
	long double sum_abs = 0;
	int			step = n > 1024 ? 61 : 1;

	for (int j = 0; j < n; j++)
		sum_abs += fabsf(x[j]);
	for (int i = 0; i < n; i += step)
	{
		long double sum = 0;

		for (int j = 0; j < n; j++)
			sum += __builtin_parity(i & j) ? -x[j] : x[j];
		/* log2(n) additions and one multiplication, each with an error of 2^-24 at most */
		if (fabsl(y[i] - sum / sqrtl(n)) > 18 * 0x1p-24L * sum_abs / sqrtl(n))
			return false;
	}
	return true;
}

static void
check_fht(void)
{
	static float x[MAX_DIM];
	static float oracle[MAX_DIM];
	const PirKernels *scalar = pir_kernels;
	UnitTally	tally = {0};

	for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
		if (strcmp((*t)->name, "scalar") == 0)
			scalar = *t;

	for (int n = 1; n <= MAX_DIM; n *= 2)
	{
		for (int pattern = 0; pattern < 6; pattern++)
		{
			for (int i = 0; i < n; i++)
			{
				x[i] = random_value(F32, pattern);
				if (pattern == HUGE_VALUES)
					x[i] /= n;	/* README.md: no overflow as long as sum |x_i| is in range */
			}
			memcpy(oracle, x, n * sizeof(float));
			scalar->fht_f32(oracle, n);
			if (pattern != SUBNORMAL)
				unit_case(&tally, matches_definition(x, oracle, n), "oracle, %s data, n = %d", pattern_names[pattern], n);

			for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
			{
				if (!pir_dist_usable(*t))
					continue;
				for (int place = 0; place < GUARD_NPLACES; place++)
				{
					float	   *y = guard_put(&guard_a, place, x, n * sizeof(float));

					(*t)->fht_f32(y, n);
					unit_case(&tally, memcmp(y, oracle, n * sizeof(float)) == 0,
							  "%s, %s data, n = %d: not the oracle's bits", (*t)->name, pattern_names[pattern], n);
					unit_case(&tally, guard_intact(&guard_a, y, n * sizeof(float)), "%s, n = %d: wrote beyond", (*t)->name, n);
				}
			}

			/* its own inverse */
			if (pattern == UNIFORM)
			{
				float		worst = 0;

				scalar->fht_f32(oracle, n);
				for (int i = 0; i < n; i++)
					worst = fmaxf(worst, fabsf(oracle[i] - x[i]));
				unit_case(&tally, worst < 1e-5f, "inverse, n = %d: off by %g", n, worst);
			}
		}
	}
	unit_tally_report(&tally, "Hadamard transform");
}

static void
check_flip(void)
{
	static float x[MAX_DIM];
	static uint8_t signs[MAX_DIM / 8];
	UnitTally	tally = {0};

	for (int n = 0; n <= MAX_DIM; n = n == 300 ? 16000 : n == 16000 ? MAX_DIM : n + 1)
	{
		int			nsigns = (n + 7) / 8;

		for (int i = 0; i < n; i++)
		{
			uint32_t	bits = (uint32_t) unit_random(&seed);	/* NaNs too */

			memcpy(&x[i], &bits, sizeof(bits));
		}
		for (int i = 0; i < nsigns; i++)
			signs[i] = (uint8_t) (unit_random(&seed) >> 32);

		for (const PirKernels *const *t = pir_dist_tables(); *t != NULL; t++)
		{
			if (!pir_dist_usable(*t))
				continue;
			for (int place = 0; place < GUARD_NPLACES; place++)
			{
				float	   *y = guard_put(&guard_a, place, x, n * sizeof(float));
				uint8_t    *s = guard_put(&guard_b, place, signs, nsigns);
				int			nwrong = 0;

				(*t)->flip_signs_f32(y, s, n);
				for (int i = 0; i < n; i++)
				{
					uint32_t	before;
					uint32_t	after;

					memcpy(&before, &x[i], sizeof(before));
					memcpy(&after, (char *) y + i * sizeof(after), sizeof(after));
					nwrong += after != (before ^ ((uint32_t) (signs[i / 8] >> (i % 8) & 1) << 31));
				}
				unit_case(&tally, nwrong == 0, "%s, n = %d: %d wrong", (*t)->name, n, nwrong);
				unit_case(&tally, guard_intact(&guard_a, y, n * sizeof(float)), "%s, n = %d: wrote beyond", (*t)->name, n);
			}
		}
		if (n == MAX_DIM)
			break;
	}
	unit_tally_report(&tally, "sign flips");
}

int
main(void)
{
	guard_a = guard_make(MAX_DIM * sizeof(float));
	guard_b = guard_make(MAX_DIM * sizeof(float));

	for (int type = 0; type < NUM_TYPES; type++)
		check_kernels(&same_type[type], type, type, type_names[type]);
	check_kernels(&mixed, F16, F32, "f16 x f32");
	check_kernels(&mixed_bf16, BF16, F32, "bf16 x f32");
	check_each_position();
	check_overflow();
	check_fht();
	check_flip();
	return unit_done();
}
