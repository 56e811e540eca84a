/*-------------------------------------------------------------------------
 *
 * dist_serial.c
 *	  The oracle: every kernel in plain C, one element after the other.
 *
 * The other tables are tested against this one, so it must not share their
 * fate: the compiler is told neither to vectorise here nor to fuse multiply
 * and add, hence the same bits on every machine. It is also what runs where
 * no other table does; four sums in turn break the chain of additions.
 *
 *-------------------------------------------------------------------------
 */

/*
 * Before any include, so that inline functions from headers are bound too.
 * GCC takes the options for the rest of the file. clang has no such pragma: it
 * is told at each loop (SCALAR_LOOP), and values that pass through an empty
 * assembler statement (keep_*) cannot be joined with their neighbours.
 */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#define SCALAR_LOOP		_Pragma("clang loop vectorize(disable) interleave(disable) unroll(disable)")
#else
#ifdef __GNUC__
#pragma GCC optimize ("no-tree-vectorize", "no-tree-slp-vectorize", "fp-contract=off")
#endif
#define SCALAR_LOOP
#endif

#include <math.h>

#include "distance/dist_internal.h"

/* x itself, which clang must have as a value of its own; nothing for GCC. */
PIR_ALWAYS_INLINE float
keep_f32(float x)
{
#if defined(__clang__) && defined(__x86_64__)
	__asm__("" : "+x"(x));
#elif defined(__clang__) && defined(__aarch64__)
	__asm__("" : "+w"(x));
#endif
	return x;
}

PIR_ALWAYS_INLINE double
keep_f64(double x)
{
#if defined(__clang__) && defined(__x86_64__)
	__asm__("" : "+x"(x));
#elif defined(__clang__) && defined(__aarch64__)
	__asm__("" : "+w"(x));
#endif
	return x;
}

PIR_ALWAYS_INLINE uint32_t
keep_u32(uint32_t x)
{
#ifdef __clang__
	__asm__("" : "+r"(x));
#endif
	return x;
}

/*-------------------------------------------------------------------------
 * Distances of float vectors
 *-------------------------------------------------------------------------
 */

/* Element i as a float. */
PIR_ALWAYS_INLINE float
elem(const void *p, PirElem type, uint32_t i)
{
	const void *at = elem_at(p, type, i);

	switch (type)
	{
		case PIR_ELEM_F32:
			return load_f32(at);
		case PIR_ELEM_F16:
			return half_to_float(load_u16(at));
		case PIR_ELEM_BF16:
		case PIR_ELEM_BF16_ORDERED:
			return bf16_to_float(load_u16(at));
	}
	return 0;
}

PIR_ALWAYS_INLINE float
l2sq(const void *a, PirElem ta, const void *b, PirElem tb, uint32_t n)
{
	float		sum[4] = {0};
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 4 <= n; i += 4)
	{
		float		d0 = elem(a, ta, i) - elem(b, tb, i);
		float		d1 = elem(a, ta, i + 1) - elem(b, tb, i + 1);
		float		d2 = elem(a, ta, i + 2) - elem(b, tb, i + 2);
		float		d3 = elem(a, ta, i + 3) - elem(b, tb, i + 3);

		sum[0] = keep_f32(sum[0] + d0 * d0);
		sum[1] = keep_f32(sum[1] + d1 * d1);
		sum[2] = keep_f32(sum[2] + d2 * d2);
		sum[3] = keep_f32(sum[3] + d3 * d3);
	}
	SCALAR_LOOP
	for (; i < n; i++)
	{
		float		d = elem(a, ta, i) - elem(b, tb, i);

		sum[0] = keep_f32(sum[0] + d * d);
	}
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

PIR_ALWAYS_INLINE float
dot(const void *a, PirElem ta, const void *b, PirElem tb, uint32_t n)
{
	float		sum[4] = {0};
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 4 <= n; i += 4)
	{
		sum[0] = keep_f32(sum[0] + elem(a, ta, i) * elem(b, tb, i));
		sum[1] = keep_f32(sum[1] + elem(a, ta, i + 1) * elem(b, tb, i + 1));
		sum[2] = keep_f32(sum[2] + elem(a, ta, i + 2) * elem(b, tb, i + 2));
		sum[3] = keep_f32(sum[3] + elem(a, ta, i + 3) * elem(b, tb, i + 3));
	}
	SCALAR_LOOP
	for (; i < n; i++)
		sum[0] = keep_f32(sum[0] + elem(a, ta, i) * elem(b, tb, i));
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

PIR_ALWAYS_INLINE float
l1(const void *a, PirElem ta, const void *b, PirElem tb, uint32_t n)
{
	float		sum[4] = {0};
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 4 <= n; i += 4)
	{
		sum[0] = keep_f32(sum[0] + fabsf(elem(a, ta, i) - elem(b, tb, i)));
		sum[1] = keep_f32(sum[1] + fabsf(elem(a, ta, i + 1) - elem(b, tb, i + 1)));
		sum[2] = keep_f32(sum[2] + fabsf(elem(a, ta, i + 2) - elem(b, tb, i + 2)));
		sum[3] = keep_f32(sum[3] + fabsf(elem(a, ta, i + 3) - elem(b, tb, i + 3)));
	}
	SCALAR_LOOP
	for (; i < n; i++)
		sum[0] = keep_f32(sum[0] + fabsf(elem(a, ta, i) - elem(b, tb, i)));
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* One element of each side into the three sums. */
PIR_ALWAYS_INLINE void
cosine_step(float x, float y, float *ab, float *aa, float *bb)
{
	*ab = keep_f32(*ab + x * y);
	*aa = keep_f32(*aa + x * x);
	*bb = keep_f32(*bb + y * y);
}

/* The three sums go through the same steps, so that equal input gives equal sums. */
PIR_ALWAYS_INLINE void
cosine(const void *a, const void *b, PirElem type, uint32_t n, PirCosineSums *out)
{
	float		ab[4] = {0};
	float		aa[4] = {0};
	float		bb[4] = {0};
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 4 <= n; i += 4)
	{
		cosine_step(elem(a, type, i), elem(b, type, i), &ab[0], &aa[0], &bb[0]);
		cosine_step(elem(a, type, i + 1), elem(b, type, i + 1), &ab[1], &aa[1], &bb[1]);
		cosine_step(elem(a, type, i + 2), elem(b, type, i + 2), &ab[2], &aa[2], &bb[2]);
		cosine_step(elem(a, type, i + 3), elem(b, type, i + 3), &ab[3], &aa[3], &bb[3]);
	}
	SCALAR_LOOP
	for (; i < n; i++)
		cosine_step(elem(a, type, i), elem(b, type, i), &ab[0], &aa[0], &bb[0]);
	out->dot = (ab[0] + ab[1]) + (ab[2] + ab[3]);
	out->norm2_a = (aa[0] + aa[1]) + (aa[2] + aa[3]);
	out->norm2_b = (bb[0] + bb[1]) + (bb[2] + bb[3]);
}

PIR_ALWAYS_INLINE double
norm2(const void *a, PirElem type, uint32_t n)
{
	double		sum[4] = {0};
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 4 <= n; i += 4)
	{
		double		x0 = elem(a, type, i);
		double		x1 = elem(a, type, i + 1);
		double		x2 = elem(a, type, i + 2);
		double		x3 = elem(a, type, i + 3);

		sum[0] = keep_f64(sum[0] + x0 * x0);
		sum[1] = keep_f64(sum[1] + x1 * x1);
		sum[2] = keep_f64(sum[2] + x2 * x2);
		sum[3] = keep_f64(sum[3] + x3 * x3);
	}
	SCALAR_LOOP
	for (; i < n; i++)
	{
		double		x = elem(a, type, i);

		sum[0] = keep_f64(sum[0] + x * x);
	}
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static float
l2sq_f32_scalar(const float *a, const float *b, uint32_t n)
{
	return l2sq(a, PIR_ELEM_F32, b, PIR_ELEM_F32, n);
}

static float
dot_f32_scalar(const float *a, const float *b, uint32_t n)
{
	return dot(a, PIR_ELEM_F32, b, PIR_ELEM_F32, n);
}

static float
l1_f32_scalar(const float *a, const float *b, uint32_t n)
{
	return l1(a, PIR_ELEM_F32, b, PIR_ELEM_F32, n);
}

static void
cosine_f32_scalar(const float *a, const float *b, uint32_t n, PirCosineSums *out)
{
	cosine(a, b, PIR_ELEM_F32, n, out);
}

static double
norm2_f32_scalar(const float *a, uint32_t n)
{
	return norm2(a, PIR_ELEM_F32, n);
}

static float
l2sq_f16_scalar(const PirHalf *a, const PirHalf *b, uint32_t n)
{
	return l2sq(a, PIR_ELEM_F16, b, PIR_ELEM_F16, n);
}

static float
dot_f16_scalar(const PirHalf *a, const PirHalf *b, uint32_t n)
{
	return dot(a, PIR_ELEM_F16, b, PIR_ELEM_F16, n);
}

static float
l1_f16_scalar(const PirHalf *a, const PirHalf *b, uint32_t n)
{
	return l1(a, PIR_ELEM_F16, b, PIR_ELEM_F16, n);
}

static void
cosine_f16_scalar(const PirHalf *a, const PirHalf *b, uint32_t n, PirCosineSums *out)
{
	cosine(a, b, PIR_ELEM_F16, n, out);
}

static double
norm2_f16_scalar(const PirHalf *a, uint32_t n)
{
	return norm2(a, PIR_ELEM_F16, n);
}

static float
l2sq_bf16_scalar(const PirBf16 *a, const PirBf16 *b, uint32_t n)
{
	return l2sq(a, PIR_ELEM_BF16, b, PIR_ELEM_BF16, n);
}

static float
dot_bf16_scalar(const PirBf16 *a, const PirBf16 *b, uint32_t n)
{
	return dot(a, PIR_ELEM_BF16, b, PIR_ELEM_BF16, n);
}

static float
l1_bf16_scalar(const PirBf16 *a, const PirBf16 *b, uint32_t n)
{
	return l1(a, PIR_ELEM_BF16, b, PIR_ELEM_BF16, n);
}

static void
cosine_bf16_scalar(const PirBf16 *a, const PirBf16 *b, uint32_t n, PirCosineSums *out)
{
	cosine(a, b, PIR_ELEM_BF16, n, out);
}

static double
norm2_bf16_scalar(const PirBf16 *a, uint32_t n)
{
	return norm2(a, PIR_ELEM_BF16, n);
}

static float
l2sq_f16_f32_scalar(const PirHalf *a, const float *q, uint32_t n)
{
	return l2sq(a, PIR_ELEM_F16, q, PIR_ELEM_F32, n);
}

static float
dot_f16_f32_scalar(const PirHalf *a, const float *q, uint32_t n)
{
	return dot(a, PIR_ELEM_F16, q, PIR_ELEM_F32, n);
}

static float
l1_f16_f32_scalar(const PirHalf *a, const float *q, uint32_t n)
{
	return l1(a, PIR_ELEM_F16, q, PIR_ELEM_F32, n);
}

static float
l2sq_bf16_f32_scalar(const PirBf16 *a, const float *q, uint32_t n)
{
	return l2sq(a, PIR_ELEM_BF16, q, PIR_ELEM_F32, n);
}

static float
dot_bf16_f32_scalar(const PirBf16 *a, const float *q, uint32_t n)
{
	return dot(a, PIR_ELEM_BF16, q, PIR_ELEM_F32, n);
}

static float
l1_bf16_f32_scalar(const PirBf16 *a, const float *q, uint32_t n)
{
	return l1(a, PIR_ELEM_BF16, q, PIR_ELEM_F32, n);
}

static void
f16_to_f32_scalar(const PirHalf *a, float *out, uint32_t n)
{
	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		store_f32(out + i, half_to_float(load_u16(a + i)));
}

static void
f32_to_f16_scalar(const float *a, PirHalf *out, uint32_t n)
{
	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		store_u16(out + i, float_to_half(load_f32(a + i)));
}

/*-------------------------------------------------------------------------
 * Bit strings
 *-------------------------------------------------------------------------
 */

static uint64_t
hamming_scalar(const uint8_t *a, const uint8_t *b, uint32_t nbytes)
{
	uint64_t	sum = 0;
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 8 <= nbytes; i += 8)
		sum += popcount64_portable(load_u64(a + i) ^ load_u64(b + i));
	SCALAR_LOOP
	for (; i < nbytes; i++)
		sum += popcount64_portable(a[i] ^ b[i]);
	return sum;
}

static void
jaccard_scalar(const uint8_t *a, const uint8_t *b, uint32_t nbytes, PirBitSums *out)
{
	uint64_t	both = 0;
	uint64_t	either = 0;
	uint32_t	i = 0;

	SCALAR_LOOP
	for (; i + 8 <= nbytes; i += 8)
	{
		both += keep_u32(popcount64_portable(load_u64(a + i) & load_u64(b + i)));
		either += keep_u32(popcount64_portable(load_u64(a + i) | load_u64(b + i)));
	}
	SCALAR_LOOP
	for (; i < nbytes; i++)
	{
		both += keep_u32(popcount64_portable(a[i] & b[i]));
		either += keep_u32(popcount64_portable(a[i] | b[i]));
	}
	out->both = both;
	out->either = either;
}

/*-------------------------------------------------------------------------
 * Packed codes
 *
 * One 64-element block per turn of the outer loop, laid out as README.md says.
 *-------------------------------------------------------------------------
 */

static int32_t
dot_u8_s8_scalar(const uint8_t *code, const int8_t *q, uint32_t n)
{
	int32_t		sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		sum += code[i] * q[i];
	return sum;
}

static int32_t
dot_u4_s8_scalar(const uint8_t *code, const int8_t *q, uint32_t n)
{
	int32_t		sum = 0;

	SCALAR_LOOP
	for (uint32_t base = 0; base < n; base += 64, code += 32)
	{
		SCALAR_LOOP
		for (uint32_t i = 0; i < 32; i++)
			sum += (code[i] & 15) * q[base + i] +
				(code[i] >> 4) * q[base + 32 + i];
	}
	return sum;
}

static int32_t
dot_u2_s8_scalar(const uint8_t *code, const int8_t *q, uint32_t n)
{
	int32_t		sum = 0;

	SCALAR_LOOP
	for (uint32_t base = 0; base < n; base += 64, code += 16)
	{
		SCALAR_LOOP
		for (uint32_t i = 0; i < 16; i++)
			sum += (code[i] & 3) * q[base + i] +
				((code[i] >> 2) & 3) * q[base + 16 + i] +
				((code[i] >> 4) & 3) * q[base + 32 + i] +
				(code[i] >> 6) * q[base + 48 + i];
	}
	return sum;
}

static int32_t
dot_u1_s8_scalar(const uint8_t *code, const int8_t *q, uint32_t n)
{
	int32_t		sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		sum += ((code[i / 8] >> (i % 8)) & 1) * q[i];
	return sum;
}

static uint32_t
dot_u1_u1_scalar(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 8; i += 8)
		sum += popcount64_portable(load_u64(a + i) & load_u64(b + i));
	return sum;
}

static uint32_t
dot_u1_planes_scalar(const uint8_t *code, const uint8_t *planes, uint32_t nplanes, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t p = 0; p < nplanes; p++)
		sum += dot_u1_u1_scalar(code, planes + (size_t) p * (n / 8), n) << p;
	return sum;
}

static uint32_t
dot_u8_u8_scalar(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		sum += (uint32_t) a[i] * b[i];
	return sum;
}

/* Both sides have the same layout, so the order of elements does not matter. */
static uint32_t
dot_u4_u4_scalar(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 2; i++)
		sum += (uint32_t) (a[i] & 15) * (b[i] & 15) +
			(uint32_t) (a[i] >> 4) * (b[i] >> 4);
	return sum;
}

static uint32_t
dot_u2_u2_scalar(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 4; i++)
		sum += (uint32_t) (a[i] & 3) * (b[i] & 3) +
			(uint32_t) ((a[i] >> 2) & 3) * ((b[i] >> 2) & 3) +
			(uint32_t) ((a[i] >> 4) & 3) * ((b[i] >> 4) & 3) +
			(uint32_t) (a[i] >> 6) * (b[i] >> 6);
	return sum;
}

static uint32_t
sum_u8_scalar(const uint8_t *a, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		sum += a[i];
	return sum;
}

static uint32_t
sum_u4_scalar(const uint8_t *a, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 2; i++)
		sum += (a[i] & 15) + (a[i] >> 4);
	return sum;
}

static uint32_t
sum_u2_scalar(const uint8_t *a, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 4; i++)
		sum += (a[i] & 3) + ((a[i] >> 2) & 3) + ((a[i] >> 4) & 3) + (a[i] >> 6);
	return sum;
}

static uint32_t
sum_u1_scalar(const uint8_t *a, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n / 8; i += 8)
		sum += popcount64_portable(load_u64(a + i));
	return sum;
}

static uint32_t
l1_u8_u8_scalar(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t	sum = 0;

	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		sum += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
	return sum;
}

/*-------------------------------------------------------------------------
 * Rotation
 *-------------------------------------------------------------------------
 */

/*
 * Fast Walsh-Hadamard transform, natural order. Every table combines pairs at
 * distance 1, 2, 4 ... n/2 in that order and multiplies by 1/sqrt(n) once, at
 * the end; so the result is the same to the bit whichever table computes it,
 * and codes made on one machine fit queries rotated on another.
 */
static void
fht_f32_scalar(float *x, uint32_t n)
{
	float		scale;

	SCALAR_LOOP
	for (uint32_t half = 1; half < n; half *= 2)
	{
		SCALAR_LOOP
		for (uint32_t base = 0; base < n; base += 2 * half)
		{
			SCALAR_LOOP
			for (uint32_t i = base; i < base + half; i++)
			{
				float		u = load_f32(x + i);
				float		v = load_f32(x + i + half);

				store_f32(x + i, u + v);
				store_f32(x + i + half, u - v);
			}
		}
	}

	if (n == 0)
		return;
	scale = (float) (1.0 / sqrt((double) n));
	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
		store_f32(x + i, load_f32(x + i) * scale);
}

static void
flip_signs_f32_scalar(float *x, const uint8_t *signs, uint32_t n)
{
	SCALAR_LOOP
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	sign = (signs[i / 8] >> (i % 8)) & 1;

		store_f32(x + i, bits_float(float_bits(load_f32(x + i)) ^ (sign << 31)));
	}
}

const PirKernels pir_kernels_scalar = {
	.name = "scalar",
	PIR_TABLE_FLOAT(scalar),
	PIR_TABLE_BITS(scalar),
	PIR_TABLE_DOTS(scalar),
	PIR_TABLE_SUMS(scalar),
};
