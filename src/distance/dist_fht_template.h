/*-------------------------------------------------------------------------
 *
 * dist_fht_template.h
 *	  The fast Walsh-Hadamard transform, written once for any vector width.
 *
 * Included, once, by a file that has defined KERNEL_TARGET, KERNEL(name), Vec,
 * VEC_LANES, vec_load(p, PIR_ELEM_F32, i), vec_add, vec_sub, and
 *
 *	  vec_store(p, v)
 *	  vec_scale(v, s)		v times the float s
 *	  vec_hadamard(v)		the transform within one vector, not scaled
 *
 * The first pass transforms eight vectors in registers: log2(VEC_LANES) + 3
 * levels for one load and one store of each element. The later passes do
 * three levels (or two, or one) each; the last one scales.
 *
 * The order of levels is that of the oracle, and each output is one fixed
 * tree of additions. The result is therefore the oracle's to the bit. (The
 * scaling comes last for that reason too: a multiplication followed by an
 * addition would invite the compiler to fuse them.)
 *
 *-------------------------------------------------------------------------
 */

/* What the first pass transforms at once. */
#define FHT_FIRST	(8 * VEC_LANES)

KERNEL_TARGET
PIR_ALWAYS_INLINE void
fht_butterfly(Vec *u, Vec *v)
{
	Vec			sum = vec_add(*u, *v);

	*v = vec_sub(*u, *v);
	*u = sum;
}

/* The levels across 'radix' vectors: 1 (there are none), 2, 4 or 8. */
KERNEL_TARGET
PIR_ALWAYS_INLINE void
fht_across(Vec *v, int radix)
{
	if (radix >= 2)
		fht_butterfly(&v[0], &v[1]);
	if (radix >= 4)
	{
		fht_butterfly(&v[2], &v[3]);
		if (radix >= 8)
		{
			fht_butterfly(&v[4], &v[5]);
			fht_butterfly(&v[6], &v[7]);
		}
		fht_butterfly(&v[0], &v[2]);
		fht_butterfly(&v[1], &v[3]);
		if (radix >= 8)
		{
			fht_butterfly(&v[4], &v[6]);
			fht_butterfly(&v[5], &v[7]);
			fht_butterfly(&v[0], &v[4]);
			fht_butterfly(&v[1], &v[5]);
			fht_butterfly(&v[2], &v[6]);
			fht_butterfly(&v[3], &v[7]);
		}
	}
}

/*
 * One pass over x: levels at distance stride, 2 * stride ... up to
 * radix * stride, exclusive. 'first' adds the levels within a vector, and then
 * stride is VEC_LANES. 'scale' is applied if it is the last pass.
 */
KERNEL_TARGET
PIR_ALWAYS_INLINE void
fht_pass(float *x, size_t n, size_t stride, int radix, bool first, bool last, float scale)
{
	for (size_t base = 0; base < n; base += stride * radix)
	{
		for (size_t i = base; i < base + stride; i += VEC_LANES)
		{
			Vec			v[8];

#pragma GCC unroll 8
			for (int k = 0; k < radix; k++)
			{
				v[k] = vec_load(x, PIR_ELEM_F32, i + k * stride);
				if (first)
					v[k] = vec_hadamard(v[k]);
			}
			fht_across(v, radix);
#pragma GCC unroll 8
			for (int k = 0; k < radix; k++)
				vec_store(x + i + k * stride, last ? vec_scale(v[k], scale) : v[k]);
		}
	}
}

/* A later pass: the constants make one specialised loop of each call. */
KERNEL_TARGET
static void
fht_later_pass(float *x, size_t n, size_t stride, int radix, float scale)
{
	bool		last = stride * radix == n;

	if (radix == 8)
	{
		if (last)
			fht_pass(x, n, stride, 8, false, true, scale);
		else
			fht_pass(x, n, stride, 8, false, false, scale);
	}
	else if (radix == 4)
	{
		if (last)
			fht_pass(x, n, stride, 4, false, true, scale);
		else
			fht_pass(x, n, stride, 4, false, false, scale);
	}
	else
		fht_pass(x, n, stride, 2, false, true, scale);
}

KERNEL_TARGET
static void
KERNEL(fht_f32) (float *x, uint32_t n)
{
	float		scale;
	size_t		stride;

	if (n < VEC_LANES)
	{
		pir_kernels_scalar.fht_f32(x, n);
		return;
	}

	scale = (float) (1.0 / __builtin_sqrt((double) n));
	if (n <= FHT_FIRST)
	{
		/* the first pass is the last one */
		if (n == FHT_FIRST)
			fht_pass(x, n, VEC_LANES, 8, true, true, scale);
		else if (n == 4 * VEC_LANES)
			fht_pass(x, n, VEC_LANES, 4, true, true, scale);
		else if (n == 2 * VEC_LANES)
			fht_pass(x, n, VEC_LANES, 2, true, true, scale);
		else
			fht_pass(x, n, VEC_LANES, 1, true, true, scale);
		return;
	}

	fht_pass(x, n, VEC_LANES, 8, true, false, scale);
	for (stride = FHT_FIRST; stride < n;)
	{
		size_t		rest = n / stride;
		int			radix = rest == 2 ? 2 : (rest == 4 || rest == 16) ? 4 : 8;

		fht_later_pass(x, n, stride, radix, scale);
		stride *= radix;
	}
}

#undef FHT_FIRST
