/*-------------------------------------------------------------------------
 *
 * hnsw_vacuum.h
 *	  What the passes of VACUUM share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_HNSW_VACUUM_H
#define PIR_HNSW_VACUUM_H

#include "base/pir_error.h"
#include "hnsw/hnsw_private.h"
#include "utils/memutils.h"

/* Sets of nodes */
typedef struct PirHnswNodeSet
{
	uint64	   *words;
	uint32		size;			/* nodes */
} PirHnswNodeSet;

typedef struct PirHnswVacuum
{
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;	/* NULL: only finish what was begun */
	void	   *callback_state;
	PirHnswIndex hnsw;
	MemoryContext context;
	MemoryContext work;			/* reset per list or node */
	PirPins		pins;

	PirHnswNodeSet		dead;			/* tombstones of this run */
	PirHnswNodeSet		gone;			/* slots that held no node in pass 1 */
	uint32		ndead;
	uint32	   *pending;		/* owners whose duplicate chain may be empty now */
	uint32		npending;
	uint32		pending_capacity;

	PirHnswNodeSet		live;			/* as of the beginning of pass 3 */
	PirHnswNodeSet		reached;		/* from the root, along anchors of live nodes */
	uint32		nlive;
} PirHnswVacuum;

static inline void
set_init(PirHnswVacuum *vac, PirHnswNodeSet *set, uint32 size)
{
	set->size = size;
	set->words = (uint64 *) MemoryContextAllocExtended(vac->context,
											pir_size_mul((Size) size / 64 + 1, sizeof(uint64)),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static inline bool
set_has(const PirHnswNodeSet *set, uint32 nid)
{
	return nid < set->size && (set->words[nid / 64] >> (nid % 64) & 1) != 0;
}

static inline void
set_add(PirHnswNodeSet *set, uint32 nid)
{
	if (nid < set->size)
		set->words[nid / 64] |= UINT64CONST(1) << (nid % 64);
}

/* hnsw_vacuum_reach.c: passes 2 and 3 */
extern void pir_hnsw_vacuum_flag_lists(PirHnswVacuum *vac);
extern void pir_hnsw_vacuum_reach(PirHnswVacuum *vac);

/* hnsw_vacuum_lists.c: passes 4 and 5 */
extern void pir_hnsw_vacuum_lists(PirHnswVacuum *vac);
extern void pir_hnsw_vacuum_entries(PirHnswVacuum *vac);

#endif							/* PIR_HNSW_VACUUM_H */
