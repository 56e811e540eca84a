/*-------------------------------------------------------------------------
 *
 * cluster.h
 *	  k-means: from a sample of rows to the centres of lists.
 *
 * Host-free C11, as distance/: no PostgreSQL header, no allocation, no
 * errors. The caller gives rows through a function, so that a sample may be
 * kept in whatever form is smallest, and one block of memory, whose size it
 * can ask for beforehand. The same rows, spec and kernel table give the same
 * centres, whatever the number of workers.
 *
 * See README.md for the algorithm and what was measured.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_CLUSTER_H
#define PIR_CLUSTER_H

#include "distance/dist.h"

typedef struct PirClusterSpec
{
	uint32_t	nrows;			/* rows of the sample; 0 is legal */
	uint32_t	dim;			/* 1 .. PIR_DIST_MAX_DIM */
	uint32_t	nlists;			/* centres wanted, at least 1 */
	bool		spherical;		/* rows are of unit length, and centres are to be */
	uint32_t	max_rounds;		/* of the last phase; 0 for the default */
	uint32_t	nworkers;		/* that may run pieces at the same time, at least 1 */
	uint64_t	seed;
} PirClusterSpec;

/*
 * Row i of the sample: dim finite floats. The pointer is used until the next
 * call with the same 'scratch' (dim floats, which the function may fill and
 * return). Called for any i, many times, by several workers at once.
 */
typedef struct PirClusterRows
{
	const float *(*row) (const void *arg, uint32_t i, float *scratch);
	const void *arg;
} PirClusterRows;

/* Does piece number 'piece' of a step; 'worker' is below spec.nworkers. */
typedef void (*PirClusterPiece) (void *state, uint32_t piece, uint32_t worker);

/* What the caller may offer; any pointer may be NULL. */
typedef struct PirClusterHost
{
	void	   *arg;

	/*
	 * Called between pieces, every few milliseconds, if the pieces are not
	 * run by run(). May leave by longjmp: nothing needs to be released.
	 */
	void		(*interrupt) (void *arg);

	/*
	 * Run pieces 0 .. npieces - 1 in any order, at once if that is possible,
	 * and return when all are done. NULL: one after the other.
	 */
	void		(*run) (void *arg, PirClusterPiece piece, void *state, uint32_t npieces);
} PirClusterHost;

typedef struct PirClusterResult
{
	uint32_t	nlists;			/* centres found: fewer if the rows have fewer distinct values */
	uint32_t	rounds;			/* of the last phase */
	double		residual;		/* mean squared distance of a row from the centre of its list */
} PirClusterResult;

/* Bytes that pir_cluster_train() needs. SIZE_MAX if that overflows. */
extern size_t pir_cluster_memory(const PirClusterSpec *spec);

/*
 * Find centres: 'centres' has room for nlists * dim floats, and the first
 * result->nlists of them are filled, all finite. 'memory' is aligned for a
 * double. 'host' may be NULL.
 */
extern void pir_cluster_train(const PirClusterSpec *spec, const PirClusterRows *rows,
							  const PirClusterHost *host, float *centres, void *memory,
							  PirClusterResult *result);

#endif							/* PIR_CLUSTER_H */
