/*-------------------------------------------------------------------------
 *
 * dist_neon_dots.h
 *	  Products of packed codes on ARM, for either way of multiplying.
 *
 * Included by dist_neon.c with DOTS_TARGET, DOTS(name) and
 *
 *	  dot_s8(acc, x, y)		acc + 16 products of signed bytes, in four
 *							32-bit lanes
 *	  dot_u8(acc, x, y)		the same, unsigned
 *
 * and undefines all four. Elements of less than 8 bits are small enough to
 * pass as signed bytes. Every lane stays below 4096 x 255 x 255 < 2^28.
 *
 *-------------------------------------------------------------------------
 */

/* An 8-bit code is made signed: sum(x * q) = sum((x - 128) * q) + 128 * sum(q). */
DOTS_TARGET
static int32_t
DOTS(dot_u8_s8) (const uint8_t *code, const int8_t *q, uint32_t n)
{
	const uint8x16_t flip = vdupq_n_u8(0x80);
	int32x4_t	acc0 = vdupq_n_s32(0);
	int32x4_t	acc1 = vdupq_n_s32(0);
	int32x4_t	sum_q = vdupq_n_s32(0);

	for (size_t i = 0; i < n; i += 32)
	{
		int8x16_t	q0 = vld1q_s8(q + i);
		int8x16_t	q1 = vld1q_s8(q + i + 16);

		acc0 = dot_s8(acc0, vreinterpretq_s8_u8(veorq_u8(vld1q_u8(code + i), flip)), q0);
		acc1 = dot_s8(acc1, vreinterpretq_s8_u8(veorq_u8(vld1q_u8(code + i + 16), flip)), q1);
		sum_q = vpadalq_s16(sum_q, vaddl_s8(vget_low_s8(q0), vget_low_s8(q1)));
		sum_q = vpadalq_s16(sum_q, vaddl_high_s8(q0, q1));
	}
	return vaddvq_s32(vaddq_s32(vaddq_s32(acc0, acc1), vshlq_n_s32(sum_q, 7)));
}

DOTS_TARGET
static int32_t
DOTS(dot_u4_s8) (const uint8_t *code, const int8_t *q, uint32_t n)
{
	const uint8x16_t low = vdupq_n_u8(15);
	int32x4_t	acc0 = vdupq_n_s32(0);
	int32x4_t	acc1 = vdupq_n_s32(0);
	int32x4_t	acc2 = vdupq_n_s32(0);
	int32x4_t	acc3 = vdupq_n_s32(0);

	for (size_t i = 0; i < n; i += 64, code += 32)
	{
		uint8x16_t	x0 = vld1q_u8(code);
		uint8x16_t	x1 = vld1q_u8(code + 16);

		acc0 = dot_s8(acc0, vreinterpretq_s8_u8(vandq_u8(x0, low)), vld1q_s8(q + i));
		acc1 = dot_s8(acc1, vreinterpretq_s8_u8(vandq_u8(x1, low)), vld1q_s8(q + i + 16));
		acc2 = dot_s8(acc2, vreinterpretq_s8_u8(vshrq_n_u8(x0, 4)), vld1q_s8(q + i + 32));
		acc3 = dot_s8(acc3, vreinterpretq_s8_u8(vshrq_n_u8(x1, 4)), vld1q_s8(q + i + 48));
	}
	return vaddvq_s32(vaddq_s32(vaddq_s32(acc0, acc1), vaddq_s32(acc2, acc3)));
}

DOTS_TARGET
static int32_t
DOTS(dot_u2_s8) (const uint8_t *code, const int8_t *q, uint32_t n)
{
	const uint8x16_t low = vdupq_n_u8(3);
	int32x4_t	acc0 = vdupq_n_s32(0);
	int32x4_t	acc1 = vdupq_n_s32(0);
	int32x4_t	acc2 = vdupq_n_s32(0);
	int32x4_t	acc3 = vdupq_n_s32(0);

	for (size_t i = 0; i < n; i += 64, code += 16)
	{
		uint8x16_t	x = vld1q_u8(code);

		acc0 = dot_s8(acc0, vreinterpretq_s8_u8(vandq_u8(x, low)), vld1q_s8(q + i));
		acc1 = dot_s8(acc1, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(x, 2), low)), vld1q_s8(q + i + 16));
		acc2 = dot_s8(acc2, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(x, 4), low)), vld1q_s8(q + i + 32));
		acc3 = dot_s8(acc3, vreinterpretq_s8_u8(vshrq_n_u8(x, 6)), vld1q_s8(q + i + 48));
	}
	return vaddvq_s32(vaddq_s32(vaddq_s32(acc0, acc1), vaddq_s32(acc2, acc3)));
}

DOTS_TARGET
static int32_t
DOTS(dot_u1_s8) (const uint8_t *code, const int8_t *q, uint32_t n)
{
	const int8x16_t ones = vdupq_n_s8(1);
	int32x4_t	acc0 = vdupq_n_s32(0);
	int32x4_t	acc1 = vdupq_n_s32(0);

	for (size_t i = 0; i < n; i += 32, code += 4)
	{
		acc0 = dot_s8(acc0, ones, select_u1(code, q + i));
		acc1 = dot_s8(acc1, ones, select_u1(code + 2, q + i + 16));
	}
	return vaddvq_s32(vaddq_s32(acc0, acc1));
}

DOTS_TARGET
static uint32_t
DOTS(dot_u8_u8) (const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32x4_t	acc0 = vdupq_n_u32(0);
	uint32x4_t	acc1 = vdupq_n_u32(0);

	for (size_t i = 0; i < n; i += 32)
	{
		acc0 = dot_u8(acc0, vld1q_u8(a + i), vld1q_u8(b + i));
		acc1 = dot_u8(acc1, vld1q_u8(a + i + 16), vld1q_u8(b + i + 16));
	}
	return vaddvq_u32(vaddq_u32(acc0, acc1));
}

DOTS_TARGET
static uint32_t
DOTS(dot_u4_u4) (const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const uint8x16_t low = vdupq_n_u8(15);
	uint32x4_t	acc0 = vdupq_n_u32(0);
	uint32x4_t	acc1 = vdupq_n_u32(0);

	for (size_t i = 0; i < n / 2; i += 16)
	{
		uint8x16_t	x = vld1q_u8(a + i);
		uint8x16_t	y = vld1q_u8(b + i);

		acc0 = dot_u8(acc0, vandq_u8(x, low), vandq_u8(y, low));
		acc1 = dot_u8(acc1, vshrq_n_u8(x, 4), vshrq_n_u8(y, 4));
	}
	return vaddvq_u32(vaddq_u32(acc0, acc1));
}

DOTS_TARGET
static uint32_t
DOTS(dot_u2_u2) (const uint8_t *a, const uint8_t *b, uint32_t n)
{
	const uint8x16_t low = vdupq_n_u8(3);
	uint32x4_t	acc0 = vdupq_n_u32(0);
	uint32x4_t	acc1 = vdupq_n_u32(0);

	for (size_t i = 0; i < n / 4; i += 16)
	{
		uint8x16_t	x = vld1q_u8(a + i);
		uint8x16_t	y = vld1q_u8(b + i);

		acc0 = dot_u8(acc0, vandq_u8(x, low), vandq_u8(y, low));
		acc1 = dot_u8(acc1, vandq_u8(vshrq_n_u8(x, 2), low), vandq_u8(vshrq_n_u8(y, 2), low));
		acc0 = dot_u8(acc0, vandq_u8(vshrq_n_u8(x, 4), low), vandq_u8(vshrq_n_u8(y, 4), low));
		acc1 = dot_u8(acc1, vshrq_n_u8(x, 6), vshrq_n_u8(y, 6));
	}
	return vaddvq_u32(vaddq_u32(acc0, acc1));
}

#undef DOTS_TARGET
#undef DOTS
#undef dot_s8
#undef dot_u8
