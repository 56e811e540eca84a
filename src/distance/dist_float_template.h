/*-------------------------------------------------------------------------
 *
 * dist_float_template.h
 *	  The float distance kernels, written once for any vector width.
 *
 * Included, once, by a file that has defined (see dist_avx512.c):
 *
 *	  KERNEL_TARGET			target attribute of the functions made here
 *	  KERNEL(name)			name of a kernel with the suffix of the table
 *	  Vec, VEC_LANES		a vector of so many floats
 *	  vec_zero, vec_add, vec_sub, vec_abs, vec_sum
 *	  vec_fma(a, b, c)		a * b + c, rounded once
 *	  vec_load(p, type, i)	elements i .. i + VEC_LANES - 1, as floats
 *	  vec_load2(p, type, i, &v0, &v1)
 *							the next 2 * VEC_LANES elements, in an order that
 *							depends on the type alone
 *	  vec_load_tail(p, type, i, n)
 *							elements i .. n - 1, fewer than VEC_LANES, in some
 *							order that depends on i and n alone, and zeros
 *	  VecD, vecd_zero, vecd_add, vecd_sum
 *	  vec_square_pd(v, &s0, &s1)
 *							add the squares of v's lanes to two vectors of
 *							doubles
 *
 * Four sums side by side hide the latency of the multiply-add. An element thus
 * passes through at most n / (4 * VEC_LANES) + 3 additions in its lane and
 * 2 + log2(VEC_LANES) in the end; README.md section "Error bounds".
 *
 * The cosine kernels take dot product and norms through the same steps. So
 * dot == norm2_a == norm2_b for equal vectors and dot == -norm2_a for opposite
 * ones, to the bit, and the cosine distance is exactly 0 or 2.
 *
 *-------------------------------------------------------------------------
 */

KERNEL_TARGET
PIR_ALWAYS_INLINE float
l2sq(const void *a, PirElem ta, const void *b, PirElem tb, size_t n)
{
	Vec			s0 = vec_zero();
	Vec			s1 = vec_zero();
	Vec			s2 = vec_zero();
	Vec			s3 = vec_zero();
	Vec			a0, a1, a2, a3;
	Vec			b0, b1, b2, b3;
	size_t		i = 0;

	for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		vec_load2(a, ta, i + 2 * VEC_LANES, &a2, &a3);
		vec_load2(b, tb, i + 2 * VEC_LANES, &b2, &b3);
		a0 = vec_sub(a0, b0);
		a1 = vec_sub(a1, b1);
		a2 = vec_sub(a2, b2);
		a3 = vec_sub(a3, b3);
		s0 = vec_fma(a0, a0, s0);
		s1 = vec_fma(a1, a1, s1);
		s2 = vec_fma(a2, a2, s2);
		s3 = vec_fma(a3, a3, s3);
	}
	if (i + 2 * VEC_LANES <= n)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		a0 = vec_sub(a0, b0);
		a1 = vec_sub(a1, b1);
		s0 = vec_fma(a0, a0, s0);
		s1 = vec_fma(a1, a1, s1);
		i += 2 * VEC_LANES;
	}
	if (i + VEC_LANES <= n)
	{
		a2 = vec_sub(vec_load(a, ta, i), vec_load(b, tb, i));
		s2 = vec_fma(a2, a2, s2);
		i += VEC_LANES;
	}
	if (i < n)
	{
		a3 = vec_sub(vec_load_tail(a, ta, i, n), vec_load_tail(b, tb, i, n));
		s3 = vec_fma(a3, a3, s3);
	}
	return vec_sum(vec_add(vec_add(s0, s1), vec_add(s2, s3)));
}

KERNEL_TARGET
PIR_ALWAYS_INLINE float
dot(const void *a, PirElem ta, const void *b, PirElem tb, size_t n)
{
	Vec			s0 = vec_zero();
	Vec			s1 = vec_zero();
	Vec			s2 = vec_zero();
	Vec			s3 = vec_zero();
	Vec			a0, a1, a2, a3;
	Vec			b0, b1, b2, b3;
	size_t		i = 0;

	for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		vec_load2(a, ta, i + 2 * VEC_LANES, &a2, &a3);
		vec_load2(b, tb, i + 2 * VEC_LANES, &b2, &b3);
		s0 = vec_fma(a0, b0, s0);
		s1 = vec_fma(a1, b1, s1);
		s2 = vec_fma(a2, b2, s2);
		s3 = vec_fma(a3, b3, s3);
	}
	if (i + 2 * VEC_LANES <= n)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		s0 = vec_fma(a0, b0, s0);
		s1 = vec_fma(a1, b1, s1);
		i += 2 * VEC_LANES;
	}
	if (i + VEC_LANES <= n)
	{
		s2 = vec_fma(vec_load(a, ta, i), vec_load(b, tb, i), s2);
		i += VEC_LANES;
	}
	if (i < n)
		s3 = vec_fma(vec_load_tail(a, ta, i, n), vec_load_tail(b, tb, i, n), s3);
	return vec_sum(vec_add(vec_add(s0, s1), vec_add(s2, s3)));
}

KERNEL_TARGET
PIR_ALWAYS_INLINE float
l1(const void *a, PirElem ta, const void *b, PirElem tb, size_t n)
{
	Vec			s0 = vec_zero();
	Vec			s1 = vec_zero();
	Vec			s2 = vec_zero();
	Vec			s3 = vec_zero();
	Vec			a0, a1, a2, a3;
	Vec			b0, b1, b2, b3;
	size_t		i = 0;

	for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		vec_load2(a, ta, i + 2 * VEC_LANES, &a2, &a3);
		vec_load2(b, tb, i + 2 * VEC_LANES, &b2, &b3);
		s0 = vec_add(s0, vec_abs(vec_sub(a0, b0)));
		s1 = vec_add(s1, vec_abs(vec_sub(a1, b1)));
		s2 = vec_add(s2, vec_abs(vec_sub(a2, b2)));
		s3 = vec_add(s3, vec_abs(vec_sub(a3, b3)));
	}
	if (i + 2 * VEC_LANES <= n)
	{
		vec_load2(a, ta, i, &a0, &a1);
		vec_load2(b, tb, i, &b0, &b1);
		s0 = vec_add(s0, vec_abs(vec_sub(a0, b0)));
		s1 = vec_add(s1, vec_abs(vec_sub(a1, b1)));
		i += 2 * VEC_LANES;
	}
	if (i + VEC_LANES <= n)
	{
		s2 = vec_add(s2, vec_abs(vec_sub(vec_load(a, ta, i), vec_load(b, tb, i))));
		i += VEC_LANES;
	}
	if (i < n)
		s3 = vec_add(s3, vec_abs(vec_sub(vec_load_tail(a, ta, i, n),
										 vec_load_tail(b, tb, i, n))));
	return vec_sum(vec_add(vec_add(s0, s1), vec_add(s2, s3)));
}

/* Three sums per element keep the units busy with two vectors side by side. */
KERNEL_TARGET
PIR_ALWAYS_INLINE void
cosine(const void *a, const void *b, PirElem type, size_t n, PirCosineSums *out)
{
	Vec			ab0 = vec_zero();
	Vec			ab1 = vec_zero();
	Vec			aa0 = vec_zero();
	Vec			aa1 = vec_zero();
	Vec			bb0 = vec_zero();
	Vec			bb1 = vec_zero();
	Vec			a0, a1;
	Vec			b0, b1;
	size_t		i = 0;

	for (; i + 2 * VEC_LANES <= n; i += 2 * VEC_LANES)
	{
		vec_load2(a, type, i, &a0, &a1);
		vec_load2(b, type, i, &b0, &b1);
		ab0 = vec_fma(a0, b0, ab0);
		aa0 = vec_fma(a0, a0, aa0);
		bb0 = vec_fma(b0, b0, bb0);
		ab1 = vec_fma(a1, b1, ab1);
		aa1 = vec_fma(a1, a1, aa1);
		bb1 = vec_fma(b1, b1, bb1);
	}
	if (i + VEC_LANES <= n)
	{
		a0 = vec_load(a, type, i);
		b0 = vec_load(b, type, i);
		ab0 = vec_fma(a0, b0, ab0);
		aa0 = vec_fma(a0, a0, aa0);
		bb0 = vec_fma(b0, b0, bb0);
		i += VEC_LANES;
	}
	if (i < n)
	{
		a1 = vec_load_tail(a, type, i, n);
		b1 = vec_load_tail(b, type, i, n);
		ab1 = vec_fma(a1, b1, ab1);
		aa1 = vec_fma(a1, a1, aa1);
		bb1 = vec_fma(b1, b1, bb1);
	}
	out->dot = vec_sum(vec_add(ab0, ab1));
	out->norm2_a = vec_sum(vec_add(aa0, aa1));
	out->norm2_b = vec_sum(vec_add(bb0, bb1));
}

KERNEL_TARGET
PIR_ALWAYS_INLINE double
norm2(const void *a, PirElem type, size_t n)
{
	VecD		s0 = vecd_zero();
	VecD		s1 = vecd_zero();
	VecD		s2 = vecd_zero();
	VecD		s3 = vecd_zero();
	Vec			a0, a1;
	size_t		i = 0;

	for (; i + 2 * VEC_LANES <= n; i += 2 * VEC_LANES)
	{
		vec_load2(a, type, i, &a0, &a1);
		vec_square_pd(a0, &s0, &s1);
		vec_square_pd(a1, &s2, &s3);
	}
	if (i + VEC_LANES <= n)
	{
		vec_square_pd(vec_load(a, type, i), &s0, &s1);
		i += VEC_LANES;
	}
	if (i < n)
		vec_square_pd(vec_load_tail(a, type, i, n), &s2, &s3);
	return vecd_sum(vecd_add(vecd_add(s0, s1), vecd_add(s2, s3)));
}

#define MAKE_FLOAT_KERNELS(tname, ctype, elem) \
KERNEL_TARGET \
static float \
KERNEL(l2sq_##tname) (const ctype *a, const ctype *b, uint32_t n) \
{ \
	return l2sq(a, elem, b, elem, n); \
} \
KERNEL_TARGET \
static float \
KERNEL(dot_##tname) (const ctype *a, const ctype *b, uint32_t n) \
{ \
	return dot(a, elem, b, elem, n); \
} \
KERNEL_TARGET \
static float \
KERNEL(l1_##tname) (const ctype *a, const ctype *b, uint32_t n) \
{ \
	return l1(a, elem, b, elem, n); \
} \
KERNEL_TARGET \
static void \
KERNEL(cosine_##tname) (const ctype *a, const ctype *b, uint32_t n, PirCosineSums *out) \
{ \
	cosine(a, b, elem, n, out); \
} \
KERNEL_TARGET \
static double \
KERNEL(norm2_##tname) (const ctype *a, uint32_t n) \
{ \
	return norm2(a, elem, n); \
}

MAKE_FLOAT_KERNELS(f32, float, PIR_ELEM_F32)
MAKE_FLOAT_KERNELS(f16, PirHalf, PIR_ELEM_F16)
MAKE_FLOAT_KERNELS(bf16, PirBf16, PIR_ELEM_BF16)

#undef MAKE_FLOAT_KERNELS

#define MAKE_QUERY_KERNELS(tname, ctype, elem) \
KERNEL_TARGET \
static float \
KERNEL(l2sq_##tname##_f32) (const ctype *a, const float *q, uint32_t n) \
{ \
	return l2sq(a, elem, q, PIR_ELEM_F32, n); \
} \
KERNEL_TARGET \
static float \
KERNEL(dot_##tname##_f32) (const ctype *a, const float *q, uint32_t n) \
{ \
	return dot(a, elem, q, PIR_ELEM_F32, n); \
} \
KERNEL_TARGET \
static float \
KERNEL(l1_##tname##_f32) (const ctype *a, const float *q, uint32_t n) \
{ \
	return l1(a, elem, q, PIR_ELEM_F32, n); \
}

MAKE_QUERY_KERNELS(f16, PirHalf, PIR_ELEM_F16)
MAKE_QUERY_KERNELS(bf16, PirBf16, PIR_ELEM_BF16_ORDERED)

#undef MAKE_QUERY_KERNELS
