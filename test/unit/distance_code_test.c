/*-------------------------------------------------------------------------
 *
 * distance_code_test.c
 *	  Integer kernels of every usable table, scalar included, against sums
 *	  over plain elements in 64 bits: bit strings and packed codes.
 *
 * Integer results are exact, so equality is demanded, on data that reach the
 * bounds: all elements at their maximum against the most negative query, for
 * every length up to where an intermediate sum could overflow. The code layout
 * is written out once more here, from src/distance/README.md, because it is
 * what lies on disk.
 *
 *-------------------------------------------------------------------------
 */
#include "distance/dist.h"
#include "guard.h"
#include "unit.h"

#define MAX_DIM		PIR_DIST_MAX_DIM
#define MAX_PLANES	16

typedef enum Pattern
{
	RANDOM,
	MAX_BY_MIN,					/* greatest elements, query -128 */
	MAX_BY_MAX,					/* greatest elements, query 127 */
	MAX_BY_BOTH,				/* ... -128 and 127 in turn */
	ZERO,
	LAST_BLOCK,					/* zero but for the last block */
	SPARSE,						/* one element in 50 */
	NUM_PATTERNS
} Pattern;

static const char *const pattern_names[NUM_PATTERNS] = {
	"random", "max by -128", "max by 127", "max by both", "zero", "last block", "sparse"
};

static uint64_t seed = 77;

static Guard guard_a;
static Guard guard_b;

static uint8_t elems_a[MAX_DIM];
static uint8_t elems_b[MAX_DIM];
static int8_t query[MAX_DIM];
static uint8_t code_a[MAX_DIM];
static uint8_t code_b[MAX_DIM];

static uint32_t
random_below(uint32_t bound)
{
	return (uint32_t) (((unit_random(&seed) >> 32) * bound) >> 32);
}

/* Usable tables in turn: for (t = next_table(NULL); t; t = next_table(t)) */
static const PirKernels *
next_table(const PirKernels *previous)
{
	const PirKernels *const *t = pir_dist_tables();

	if (previous != NULL)
	{
		while (*t != previous)
			t++;
		t++;
	}
	while (*t != NULL && !pir_dist_usable(*t))
		t++;
	return *t;
}

/* Element i of a code, as the README has it, for each width in its own words. */
static uint8_t
element_of(const uint8_t *code, int i, int bits)
{
	const uint8_t *block = code + i / 64 * (64 * bits / 8);
	int			k = i % 64;

	switch (bits)
	{
		case 8:
			return block[k];
		case 4:
			return k < 32 ? block[k] & 0x0f : block[k - 32] >> 4;
		case 2:
			return block[k % 16] >> (k / 16 * 2) & 0x03;
		default:
			return block[k / 8] >> (k % 8) & 0x01;
	}
}

static void
make_data(Pattern pattern, int n, int bits)
{
	int			max = (1 << bits) - 1;

	for (int i = 0; i < n; i++)
	{
		elems_a[i] = elems_b[i] = max;
		query[i] = -128;
		switch (pattern)
		{
			case RANDOM:
				elems_a[i] = random_below(max + 1);
				elems_b[i] = random_below(max + 1);
				query[i] = (int8_t) (random_below(256) - 128);
				break;
			case MAX_BY_MIN:
				break;
			case MAX_BY_MAX:
				query[i] = 127;
				break;
			case MAX_BY_BOTH:
				query[i] = i % 2 ? 127 : -128;
				break;
			case ZERO:
				elems_a[i] = 0;
				break;
			case LAST_BLOCK:
				if (i < n - 64)
					elems_a[i] = elems_b[i] = query[i] = 0;
				else
					query[i] = (int8_t) (random_below(256) - 128);
				break;
			default:
				if (random_below(50) != 0)
					elems_a[i] = elems_b[i] = query[i] = 0;
				break;
		}
	}
}

typedef struct CodeKernels
{
	int			bits;
	const char *names[3];
	int32_t		(*dot_query) (const PirKernels *t, const uint8_t *code, const int8_t *q, uint32_t n);
	uint32_t	(*dot_code) (const PirKernels *t, const uint8_t *a, const uint8_t *b, uint32_t n);
	uint32_t	(*sum) (const PirKernels *t, const uint8_t *a, uint32_t n);
} CodeKernels;

#define WRAP(u) \
static int32_t u##_query(const PirKernels *t, const uint8_t *code, const int8_t *q, uint32_t n) { return t->dot_##u##_s8(code, q, n); } \
static uint32_t u##_code(const PirKernels *t, const uint8_t *a, const uint8_t *b, uint32_t n) { return t->dot_##u##_##u(a, b, n); } \
static uint32_t u##_sum(const PirKernels *t, const uint8_t *a, uint32_t n) { return t->sum_##u(a, n); }
#define ROW(b, u) {b, {"dot_" #u "_s8", "dot_" #u "_" #u, "sum_" #u}, u##_query, u##_code, u##_sum}

WRAP(u8)
WRAP(u4)
WRAP(u2)
WRAP(u1)

static const CodeKernels code_kernels[] = {ROW(8, u8), ROW(4, u4), ROW(2, u2), ROW(1, u1)};

/* 64-element blocks in an interesting code: 0 .. 17, then some, the last PIR_DIST_MAX_DIM */
static int
next_dim(int n)
{
	if (n < 17 * 64)
		return n + 64;
	if (n < 1536)
		return 1536;
	if (n < 4096)
		return n + 512;
	if (n < 8192)
		return 8256;			/* one block beyond a power of two */
	return n < 16000 ? 16000 : n + 64;
}

static void
check_codes(const CodeKernels *k)
{
	UnitTally	tally = {0};
	char		what[80];

	for (int pattern = 0; pattern < NUM_PATTERNS; pattern++)
	{
		for (int n = 0; n <= MAX_DIM; n = next_dim(n))
		{
			int64_t		by_query = 0;
			int64_t		by_code = 0;
			int64_t		sum = 0;
			size_t		size = (size_t) n * k->bits / 8;

			make_data(pattern, n, k->bits);
			pir_dist_pack(elems_a, code_a, n, k->bits);
			pir_dist_pack(elems_b, code_b, n, k->bits);
			for (int i = 0; i < n; i++)
			{
				by_query += elems_a[i] * query[i];
				by_code += elems_a[i] * elems_b[i];
				sum += elems_a[i];
			}

			for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
			{
				for (int place = 0; place < GUARD_NPLACES; place++)
				{
					const uint8_t *a = guard_put(&guard_a, place, code_a, size);
					const int8_t *q = guard_put(&guard_b, (place + n / 64) % GUARD_NPLACES, query, n);
					const uint8_t *b;

#define AT "%s of %s, %s, n = %d"
					unit_case(&tally, k->dot_query(t, a, q, n) == by_query, AT, k->names[0], t->name, pattern_names[pattern], n);
					b = guard_put(&guard_b, (place + n / 64) % GUARD_NPLACES, code_b, size);
					unit_case(&tally, k->dot_code(t, a, b, n) == by_code, AT, k->names[1], t->name, pattern_names[pattern], n);
					unit_case(&tally, k->sum(t, a, n) == sum, AT, k->names[2], t->name, pattern_names[pattern], n);
#undef AT
				}
			}
		}
	}
	snprintf(what, sizeof(what), "%s, %s, %s", k->names[0], k->names[1], k->names[2]);
	unit_tally_report(&tally, what);
}

/* Each element meets its own query element and no other. */
static void
check_positions(const CodeKernels *k)
{
	UnitTally	tally = {0};
	char		what[80];
	const int	n = 640;

	memset(elems_a, 0, n);
	for (int i = 0; i < n; i++)
		query[i] = (int8_t) (i % 251 - 125);
	for (int i = 0; i < n; i++)
	{
		elems_a[i] = 1;
		pir_dist_pack(elems_a, code_a, n, k->bits);
		for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
			unit_case(&tally, k->dot_query(t, code_a, query, n) == query[i], "%s of %s, element %d", k->names[0], t->name, i);
		elems_a[i] = 0;
	}
	snprintf(what, sizeof(what), "%s, each element alone", k->names[0]);
	unit_tally_report(&tally, what);
}

static void
check_layout(void)
{
	UnitTally	tally = {0};

	for (int bits = 1; bits <= 8; bits *= 2)
	{
		for (int n = 0; n <= 1024; n += 64)
		{
			size_t		size = (size_t) n * bits / 8;
			uint8_t    *code;
			uint8_t    *back;
			int			nwrong = 0;

			for (int i = 0; i < n; i++)
				elems_a[i] = random_below(256);	/* bits beyond the width are ignored */
			code = guard_put(&guard_a, GUARD_TAIL_ODD, code_a, size);
			back = guard_put(&guard_b, GUARD_TAIL, elems_b, n);
			pir_dist_pack(elems_a, code, n, bits);
			for (int i = 0; i < n; i++)
				nwrong += element_of(code, i, bits) != (elems_a[i] & ((1 << bits) - 1));
			unit_case(&tally, nwrong == 0, "pack to %d bits, n = %d: %d wrong", bits, n, nwrong);
			unit_case(&tally, guard_intact(&guard_a, code, size), "pack to %d bits, n = %d: wrote beyond", bits, n);

			pir_dist_unpack(code, back, n, bits);
			for (int i = 0; i < n; i++)
				nwrong += back[i] != (elems_a[i] & ((1 << bits) - 1));
			unit_case(&tally, nwrong == 0, "unpack from %d bits, n = %d: %d wrong", bits, n, nwrong);
			unit_case(&tally, guard_intact(&guard_b, back, n), "unpack from %d bits, n = %d: wrote beyond", bits, n);
		}
	}
	unit_tally_report(&tally, "code layout");
}

static void
check_planes(void)
{
	static uint8_t planes[MAX_PLANES * MAX_DIM / 8];
	static uint16_t values[MAX_DIM];
	UnitTally	tally = {0};

	for (int n = 0; n <= MAX_DIM; n = next_dim(n))
	{
		for (int nplanes = 0; nplanes <= MAX_PLANES; nplanes++)
		{
			bool		greatest = nplanes % 3 == 0;
			int64_t		expected = 0;
			size_t		size = (size_t) n / 8;

			if (n > 1024 && nplanes > 4 && nplanes < MAX_PLANES - 1)
				continue;
			for (int i = 0; i < n; i++)
			{
				elems_a[i] = greatest ? 1 : random_below(2);
				values[i] = greatest ? (1u << nplanes) - 1 : random_below(1u << nplanes);
				expected += elems_a[i] * (int64_t) values[i];
			}
			pir_dist_pack(elems_a, code_a, n, 1);
			for (int p = 0; p < nplanes; p++)
			{
				for (int i = 0; i < n; i++)
					elems_b[i] = values[i] >> p & 1;
				pir_dist_pack(elems_b, planes + p * size, n, 1);
			}
			for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
			{
				for (int place = 0; place < GUARD_NPLACES; place++)
				{
					const uint8_t *a = guard_put(&guard_a, place, code_a, size);
					const uint8_t *b = guard_put(&guard_b, (place + 1) % GUARD_NPLACES, planes, size * nplanes);

					unit_case(&tally, t->dot_u1_planes(a, b, nplanes, n) == expected, "%s, n = %d, %d planes", t->name, n, nplanes);
				}
			}
		}
	}
	unit_tally_report(&tally, "dot_u1_planes");
}

/*
 * Bit strings of SQL are longer than any code: 83,886,080 bits at most. All
 * bits set, and an odd length, for lanes that overflow.
 */
static void
check_long_bits(void)
{
	enum
	{
		NBYTES = 10485759
	};
	UnitTally	tally = {0};
	Guard		long_a = guard_make(NBYTES);
	uint8_t    *a = (uint8_t *) long_a.end - NBYTES;
	static const uint8_t zeros[NBYTES];

	memset(a, 0xff, NBYTES);
	for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
	{
		PirBitSums	sums;

		unit_case(&tally, t->hamming(a, zeros, NBYTES) == 8 * (uint64_t) NBYTES, "hamming of %s", t->name);
		t->jaccard(a, a, NBYTES, &sums);
		unit_case(&tally, sums.both == 8 * (uint64_t) NBYTES && sums.either == 8 * (uint64_t) NBYTES, "jaccard of %s", t->name);
	}
	unit_tally_report(&tally, "hamming, jaccard of the longest bit strings");
}

/* Any length; 'a' and 'b' both random, equal, complementary, empty or full. */
static void
check_bits(void)
{
	UnitTally	tally = {0};

	for (int n = 0; n <= 8000; n = n < 300 ? n + 1 : n == 300 ? 1000 : n + 1000)
	{
		for (int pattern = 0; pattern < 6; pattern++)
		{
			uint64_t	differ = 0;
			uint64_t	both = 0;
			uint64_t	either = 0;

			for (int i = 0; i < n; i++)
			{
				uint8_t		x = pattern == 4 ? 0 : pattern == 5 ? 255 : random_below(256);
				uint8_t		y = pattern == 1 ? x : pattern == 2 ? ~x : pattern >= 3 ? 255 : random_below(256);

				elems_a[i] = x;
				elems_b[i] = y;
				for (int k = 0; k < 8; k++)
				{
					differ += (x >> k & 1) != (y >> k & 1);
					both += (x >> k & 1) && (y >> k & 1);
					either += (x >> k & 1) || (y >> k & 1);
				}
			}
			for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
			{
				for (int place = 0; place < GUARD_NPLACES; place++)
				{
					const uint8_t *a = guard_put(&guard_a, place, elems_a, n);
					const uint8_t *b = guard_put(&guard_b, (place + n) % GUARD_NPLACES, elems_b, n);
					PirBitSums	sums = {99, 99};

					unit_case(&tally, t->hamming(a, b, n) == differ, "hamming of %s, %d bytes, pattern %d", t->name, n, pattern);
					t->jaccard(a, b, n, &sums);
					unit_case(&tally, sums.both == both && sums.either == either, "jaccard of %s, %d bytes, pattern %d", t->name, n, pattern);
				}
			}
		}
	}
	unit_tally_report(&tally, "hamming, jaccard");
}

static void
check_l1(void)
{
	UnitTally	tally = {0};

	for (int n = 0; n <= MAX_DIM; n = n < 300 ? n + 1 : n < 16000 ? 16000 : n + 64)
	{
		for (int pattern = 0; pattern < 3; pattern++)
		{
			int64_t		sum = 0;

			for (int i = 0; i < n; i++)
			{
				elems_a[i] = pattern == 1 ? 255 : pattern == 2 ? 0 : random_below(256);
				elems_b[i] = pattern == 1 ? 0 : pattern == 2 ? 255 : random_below(256);
				sum += abs(elems_a[i] - elems_b[i]);
			}
			for (const PirKernels *t = next_table(NULL); t; t = next_table(t))
			{
				for (int place = 0; place < GUARD_NPLACES; place++)
				{
					const uint8_t *a = guard_put(&guard_a, place, elems_a, n);
					const uint8_t *b = guard_put(&guard_b, (place + n) % GUARD_NPLACES, elems_b, n);

					unit_case(&tally, t->l1_u8_u8(a, b, n) == sum, "%s, n = %d, pattern %d", t->name, n, pattern);
				}
			}
		}
	}
	unit_tally_report(&tally, "l1_u8_u8");
}

int
main(void)
{
	guard_a = guard_make(MAX_DIM);
	guard_b = guard_make(MAX_PLANES * MAX_DIM / 8);

	check_layout();
	for (size_t i = 0; i < sizeof(code_kernels) / sizeof(code_kernels[0]); i++)
	{
		check_codes(&code_kernels[i]);
		check_positions(&code_kernels[i]);
	}
	check_planes();
	check_bits();
	check_long_bits();
	check_l1();
	return unit_done();
}
