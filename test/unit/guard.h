/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Buffers whose neighbours may not be touched, for unit programs.
 *
 * A guarded buffer lies between two pages without access: reading or writing
 * past it ends the program. What lies between the bytes asked for and those
 * pages is filled with a poison byte, so that a kernel which looks a little
 * too far gives a wrong result, and one that writes there is found by
 * guard_intact().
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_UNIT_GUARD_H
#define PIR_UNIT_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_POISON	0xff	/* as float, half, bfloat16: NaN */
#define GUARD_MARGIN	256		/* bytes poisoned and inspected on either side */

typedef struct Guard
{
	char	   *begin;			/* first usable byte */
	char	   *end;			/* first forbidden byte after */
} Guard;

/* Where in its buffer a block lies. */
typedef enum GuardPlace
{
	GUARD_TAIL,					/* up against the page after */
	GUARD_TAIL_ODD,				/* one byte before that, hence badly aligned */
	GUARD_HEAD,					/* right after the page before */
	GUARD_NPLACES
} GuardPlace;

/* Map a buffer for blocks of up to 'capacity' bytes. It is never unmapped. */
static inline Guard
guard_make(size_t capacity)
{
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);
	size_t		size = (capacity + 1 + page - 1) / page * page;
	char	   *map = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	Guard		guard;

	if (map == MAP_FAILED || mprotect(map + page, size, PROT_READ | PROT_WRITE) != 0)
	{
		perror("cannot map a guarded buffer");
		exit(2);
	}
	guard.begin = map + page;
	guard.end = map + page + size;
	return guard;
}

/* The part of the margin on either side that lies within the buffer. */
static inline size_t
guard_before(const Guard *guard, const char *block)
{
	size_t		room = block - guard->begin;

	return room < GUARD_MARGIN ? room : GUARD_MARGIN;
}

static inline size_t
guard_after(const Guard *guard, const char *block, size_t size)
{
	size_t		room = guard->end - (block + size);

	return room < GUARD_MARGIN ? room : GUARD_MARGIN;
}

/* A copy of 'size' bytes at that place, poison around it. */
static inline void *
guard_put(const Guard *guard, GuardPlace place, const void *from, size_t size)
{
	char	   *block = guard->begin;

	if (place == GUARD_TAIL)
		block = guard->end - size;
	else if (place == GUARD_TAIL_ODD)
		block = guard->end - size - 1;
	memset(block - guard_before(guard, block), GUARD_POISON, guard_before(guard, block));
	memset(block + size, GUARD_POISON, guard_after(guard, block, size));
	if (size > 0)
		memcpy(block, from, size);
	return block;
}

/* Is the poison around a block still there? */
static inline bool
guard_intact(const Guard *guard, const void *at, size_t size)
{
	const unsigned char *block = at;
	size_t		before = guard_before(guard, at);
	size_t		after = guard_after(guard, at, size);

	for (size_t i = 1; i <= before; i++)
		if (*(block - i) != GUARD_POISON)
			return false;
	for (size_t i = 0; i < after; i++)
		if (block[size + i] != GUARD_POISON)
			return false;
	return true;
}

#endif							/* PIR_UNIT_GUARD_H */
