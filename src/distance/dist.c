/*-------------------------------------------------------------------------
 *
 * dist.c
 *	  The list of kernel tables, the CPU probe that chooses among them, and
 *	  what is not worth a kernel: packing and single-value conversions.
 *
 * The probe asks CPUID itself instead of __builtin_cpu_supports(), for two
 * reasons: the builtin's list of names differs between the compilers we build
 * with (clang 14 does not know "f16c"), and it reads a variable of the
 * compiler's runtime library. See README.md section "Dispatch".
 *
 *-------------------------------------------------------------------------
 */
#include "distance/dist_internal.h"

#ifdef PIR_DIST_X86
#include <cpuid.h>
#endif
#if defined(PIR_DIST_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP	(1 << 20)
#endif
#endif

/* A table and the CPU features it cannot do without. */
typedef struct TableRow
{
	const PirKernels *table;
	uint32_t	needs;			/* PIR_CPU_* */
} TableRow;

/* Best first; "auto" takes the first usable one. Same order in both arrays. */
static const TableRow table_rows[] = {
#ifdef PIR_DIST_X86
	{&pir_kernels_avx512popcnt, PIR_CPU_AVX512 | PIR_CPU_AVX512_VNNI | PIR_CPU_AVX512_POPCNT},
	{&pir_kernels_avx512vnni, PIR_CPU_AVX512 | PIR_CPU_AVX512_VNNI},
	{&pir_kernels_avx512, PIR_CPU_AVX512},
	{&pir_kernels_avx2, PIR_CPU_AVX2},
#endif
#ifdef PIR_DIST_ARM64_DOT
	{&pir_kernels_neondot, PIR_CPU_NEON | PIR_CPU_NEON_DOTPROD},
#endif
#ifdef PIR_DIST_ARM64
	{&pir_kernels_neon, PIR_CPU_NEON},
#endif
	{&pir_kernels_scalar, 0},
};

static const PirKernels *const table_list[] = {
#ifdef PIR_DIST_X86
	&pir_kernels_avx512popcnt,
	&pir_kernels_avx512vnni,
	&pir_kernels_avx512,
	&pir_kernels_avx2,
#endif
#ifdef PIR_DIST_ARM64_DOT
	&pir_kernels_neondot,
#endif
#ifdef PIR_DIST_ARM64
	&pir_kernels_neon,
#endif
	&pir_kernels_scalar,
	NULL
};

#define NUM_TABLES	(sizeof(table_rows) / sizeof(table_rows[0]))

const PirKernels *pir_kernels = &pir_kernels_scalar;

#ifdef PIR_DIST_X86

/* Registers the operating system saves on a context switch (XCR0). */
static uint64_t
read_xcr0(void)
{
	uint32_t	lo;
	uint32_t	hi;

	/* xgetbv, spelt in bytes as old assemblers and targets without XSAVE want it */
	__asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(lo), "=d"(hi) : "c"(0));
	return ((uint64_t) hi << 32) | lo;
}

static uint32_t
probe_cpu(void)
{
	const uint64_t ymm_state = 0x06;	/* SSE, AVX */
	const uint64_t zmm_state = 0xe6;	/* and opmask, ZMM 0-15 high, ZMM 16-31 */
	const uint32_t leaf1 = bit_FMA | bit_F16C | bit_POPCNT | bit_AVX;
	const uint32_t leaf7_512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
	uint32_t	flags = 0;
	uint32_t	eax;
	uint32_t	ebx;
	uint32_t	ecx;
	uint32_t	edx;
	uint64_t	xcr0;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return 0;
	if ((ecx & bit_OSXSAVE) == 0)	/* else xgetbv is an invalid instruction */
		return 0;
	xcr0 = read_xcr0();
	if ((xcr0 & ymm_state) != ymm_state || (ecx & leaf1) != leaf1)
		return 0;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (ebx & bit_AVX2) == 0)
		return 0;
	flags |= PIR_CPU_AVX2;

	if ((xcr0 & zmm_state) == zmm_state && (ebx & leaf7_512) == leaf7_512)
	{
		flags |= PIR_CPU_AVX512;
		if (ecx & bit_AVX512VNNI)
			flags |= PIR_CPU_AVX512_VNNI;
		if (ecx & bit_AVX512VPOPCNTDQ)
			flags |= PIR_CPU_AVX512_POPCNT;
	}
	return flags;
}

#elif defined(PIR_DIST_ARM64)

static uint32_t
probe_cpu(void)
{
	uint32_t	flags = PIR_CPU_NEON;	/* part of the base architecture */

#if defined(__ARM_FEATURE_DOTPROD)
	flags |= PIR_CPU_NEON_DOTPROD;	/* the compiler assumes it everywhere */
#elif defined(__linux__)
	if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP)
		flags |= PIR_CPU_NEON_DOTPROD;
#endif
	return flags;
}

#else

static uint32_t
probe_cpu(void)
{
	return 0;
}

#endif

bool
pir_dist_init(const char *force)
{
	uint32_t	flags = probe_cpu();
	bool		any = force == NULL || strcmp(force, "auto") == 0;

	for (size_t i = 0; i < NUM_TABLES; i++)
	{
		const TableRow *row = &table_rows[i];

		if (!any && strcmp(force, row->table->name) != 0)
			continue;
		if ((row->needs & flags) == row->needs)
		{
			pir_kernels = row->table;
			return true;
		}
		if (!any)
			return false;
	}
	return false;
}

const PirKernels *const *
pir_dist_tables(void)
{
	return table_list;
}

bool
pir_dist_usable(const PirKernels *table)
{
	for (size_t i = 0; i < NUM_TABLES; i++)
	{
		if (table_rows[i].table == table)
			return (table_rows[i].needs & ~probe_cpu()) == 0;
	}
	return false;
}

/*
 * Where element i lies: in its 64-element block of 8 * bits bytes, byte
 * i % (8 * bits), shifted by 'bits' for each earlier element of that byte, so
 * that all elements of one shift lie side by side. One bit is the exception:
 * there bit i % 8 of byte i / 8, so that a code is also a bit string and a
 * mask. README.md section "Code layout".
 */
PIR_ALWAYS_INLINE void
pack_blocks(const uint8_t *restrict elems, uint8_t *restrict code, uint32_t n, const int bits)
{
	const uint8_t mask = (1 << bits) - 1;
	const int	block_bytes = PIR_DIST_BLOCK / 8 * bits;

	for (uint32_t at = 0; at < n; at += PIR_DIST_BLOCK)
	{
		for (int i = 0; i < block_bytes; i++)
		{
			uint8_t		byte = elems[i] & mask;

			for (int part = 1; part < 8 / bits; part++)
				byte |= (elems[part * block_bytes + i] & mask) << (part * bits);
			code[i] = byte;
		}
		code += block_bytes;
		elems += PIR_DIST_BLOCK;
	}
}

/* Bits of an element beyond 'bits' are ignored. */
void
pir_dist_pack(const uint8_t *elems, uint8_t *code, uint32_t n, int bits)
{
	switch (bits)
	{
		case 8:
			memcpy(code, elems, n);
			break;
		case 4:
			pack_blocks(elems, code, n, 4);
			break;
		case 2:
			pack_blocks(elems, code, n, 2);
			break;
		default:
			for (size_t i = 0; i < n / 8; i++)
			{
				uint8_t		byte = 0;

				for (int j = 0; j < 8; j++)
					byte |= (elems[8 * i + j] & 1) << j;
				code[i] = byte;
			}
			break;
	}
}

/* pack_blocks() backwards. */
PIR_ALWAYS_INLINE void
unpack_blocks(const uint8_t *restrict code, uint8_t *restrict elems, uint32_t n, const int bits)
{
	const uint8_t mask = (1 << bits) - 1;
	const int	block_bytes = PIR_DIST_BLOCK / 8 * bits;

	for (uint32_t at = 0; at < n; at += PIR_DIST_BLOCK)
	{
		for (int part = 0; part < 8 / bits; part++)
			for (int i = 0; i < block_bytes; i++)
				elems[part * block_bytes + i] = (code[i] >> (part * bits)) & mask;
		code += block_bytes;
		elems += PIR_DIST_BLOCK;
	}
}

void
pir_dist_unpack(const uint8_t *code, uint8_t *elems, uint32_t n, int bits)
{
	switch (bits)
	{
		case 8:
			memcpy(elems, code, n);
			break;
		case 4:
			unpack_blocks(code, elems, n, 4);
			break;
		case 2:
			unpack_blocks(code, elems, n, 2);
			break;
		default:
			for (uint32_t i = 0; i < n; i++)
				elems[i] = (code[i / 8] >> (i % 8)) & 1;
			break;
	}
}

float
pir_half_to_float(PirHalf h)
{
	return half_to_float(h);
}

PirHalf
pir_float_to_half(float f)
{
	return float_to_half(f);
}

float
pir_bf16_to_float(PirBf16 h)
{
	return bf16_to_float(h);
}

PirBf16
pir_float_to_bf16(float f)
{
	return float_to_bf16(f);
}
