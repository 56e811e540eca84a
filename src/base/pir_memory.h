/*-------------------------------------------------------------------------
 *
 * pir_memory.h
 *	  Aligned allocation for the host-free modules, whose SIMD wants more than
 *	  MAXALIGN; hints to the cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_MEMORY_H
#define PIR_MEMORY_H

#include "postgres.h"

#include "utils/memutils.h"

#define PIR_CACHE_LINE	64

/*
 * 'size' bytes aligned to a cache line, of any size, in 'context'. Zeroed on
 * request. Cannot be pfree'd: it goes with its context.
 */
static inline void *
pir_alloc_aligned(MemoryContext context, Size size, bool zero)
{
	Size		padded = size + PIR_CACHE_LINE;
	void	   *chunk;

	if (unlikely(padded < size || padded > MaxAllocHugeSize))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("requested size %zu is too large", size)));
	chunk = MemoryContextAllocExtended(context, padded,
									   MCXT_ALLOC_HUGE | (zero ? MCXT_ALLOC_ZERO : 0));
	return (void *) TYPEALIGN(PIR_CACHE_LINE, chunk);
}

/* A hint to the CPU that the line at 'address' will be read. */
static inline void
pir_prefetch(const void *address)
{
#if defined(__GNUC__) || defined(__clang__)
	__builtin_prefetch(address);
#endif
}

#endif							/* PIR_MEMORY_H */
