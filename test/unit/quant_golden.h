/*-------------------------------------------------------------------------
 *
 * quant_golden.h
 *	  The bytes of items, as hashes (FNV-1a): what quant_test.c holds the
 *	  format on disk to. Never edited without a new format version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_QUANT_GOLDEN_H
#define PIR_QUANT_GOLDEN_H

#include <stdint.h>

typedef struct GoldenRow
{
	int			code;			/* index of vector_codes[] */
	int			metric;
	uint64_t	hash;			/* of the items of test_golden(), in order */
} GoldenRow;

static const GoldenRow golden[] = {
	{0, 0, UINT64_C(0xa21c6d34db604364)},
	{0, 1, UINT64_C(0xa21c6d34db604364)},
	{0, 2, UINT64_C(0xa21c6d34db604364)},
	{0, 3, UINT64_C(0xa21c6d34db604364)},
	{1, 0, UINT64_C(0xd8054374e8c4f30d)},
	{1, 1, UINT64_C(0xd8054374e8c4f30d)},
	{1, 2, UINT64_C(0xd8054374e8c4f30d)},
	{1, 3, UINT64_C(0x844fbd8e0446664f)},
	{2, 0, UINT64_C(0x7755e0f80d2a7ed5)},
	{2, 1, UINT64_C(0x5689caf1e397d6b3)},
	{2, 2, UINT64_C(0x7755e0f80d2a7ed5)},
	{2, 3, UINT64_C(0x686422b834780d38)},
	{3, 0, UINT64_C(0xc037392de4d64713)},
	{3, 1, UINT64_C(0xce5d99c119e8a3bd)},
	{3, 2, UINT64_C(0xc037392de4d64713)},
	{4, 0, UINT64_C(0x217cb3d1528ca5e2)},
	{4, 1, UINT64_C(0xa53971f2d85424f0)},
	{4, 2, UINT64_C(0x217cb3d1528ca5e2)},
	{5, 0, UINT64_C(0x6e0c51ac2e43ca8e)},
	{5, 1, UINT64_C(0xe4a35b6b1cfa453c)},
	{5, 2, UINT64_C(0x6e0c51ac2e43ca8e)},
	{6, 0, UINT64_C(0x011498d2ce41367c)},
	{6, 1, UINT64_C(0xebff1a1457d9f4be)},
	{6, 2, UINT64_C(0x011498d2ce41367c)},
	{7, 0, UINT64_C(0xf4ca8f87438c4758)},
	{7, 1, UINT64_C(0xf4ca8f87438c4758)},
	{7, 3, UINT64_C(0x27e81e0236dd8872)},
	{8, 0, UINT64_C(0x7e5dac35c2851c6c)},
	{8, 1, UINT64_C(0x97274d2c4ba6cf8a)},
	{8, 2, UINT64_C(0x7e5dac35c2851c6c)},
};

/* of the distances of all integer codes above */
#define GOLDEN_DISTANCES	UINT64_C(0x43ce3be65e2b6314)

/* factors (little-endian float32: add, F, error) and code */
#define GOLDEN_ITEM \
	"42359944f8379c3fb87db23e" \
	"245263663b99caa773dc0bdcf659893899ac63f84b73e6c6b9a74372776e8645"

#endif							/* PIR_QUANT_GOLDEN_H */
