/*-------------------------------------------------------------------------
 *
 * quant.h
 *	  Quantizers: how an index turns a vector into a short code, and what
 *	  distances can be had from codes.
 *
 * Host-free C11, as distance/. A quantizer is one row of a table (quant.c)
 * and one file; callers never ask which one they have. Its parameters for one
 * index are a PirQuantSpec: what the meta page stores, plus the trained
 * centre. All scratch memory comes from the caller.
 *
 * A *code item* is what the index stores for a vector:
 *
 *	  factors (nfactors x float32) | packed code
 *
 * of item_size bytes, multiple of 4, read in place from a page with 4-byte
 * alignment.
 *
 * Distances are "search distances", smaller is nearer:
 *	  PIR_METRIC_L2		squared Euclidean
 *	  PIR_METRIC_IP		negative inner product
 *	  PIR_METRIC_COSINE	squared Euclidean of unit vectors (= 2 x cosine
 *						distance); the caller normalises before encode/query
 *	  PIR_METRIC_L1		taxicab
 *	  PIR_METRIC_HAMMING	differing bits
 *	  PIR_METRIC_JACCARD	1 - |and| / |or|; 1 when no common bit
 *
 * See README.md for each code's layout, its error bound and references.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_QUANT_H
#define PIR_QUANT_H

#include "distance/dist.h"

/* On-disk ids: never reused, never renumbered. */
typedef enum PirMetric
{
	PIR_METRIC_L2 = 0,
	PIR_METRIC_IP = 1,
	PIR_METRIC_COSINE = 2,
	PIR_METRIC_L1 = 3,
	PIR_METRIC_HAMMING = 4,
	PIR_METRIC_JACCARD = 5
} PirMetric;

#define PIR_NMETRICS	6

typedef enum PirQuantId
{
	PIR_QUANT_NONE = 0,			/* float32 as is; exact */
	PIR_QUANT_HALF = 1,			/* float16 */
	PIR_QUANT_SQ8 = 2,			/* 8-bit scalar, not rotated; also serves L1 */
	PIR_QUANT_RABITQ = 3,		/* rotated, 1/2/4/8 bits, unbiased */
	PIR_QUANT_BITS = 4,			/* a bit string is its own code; exact */
	PIR_QUANT_BF16 = 5,			/* bfloat16 */
	PIR_QUANT_BQ = 6			/* signs of the centred components, not rotated */
} PirQuantId;

typedef struct PirQuantSpec
{
	uint8_t		quantizer;		/* PirQuantId */
	uint8_t		metric;			/* PirMetric */
	uint8_t		bits;			/* bits per dimension: 1, 2, 4, 8, 16, 32 */
	uint32_t	dim;			/* dimensions of the input vector (bits: number of bits) */
	uint64_t	seed;			/* of the rotation */
	float		scale;			/* SQ8 with L1: value of one step; else unused */
	float		offset;			/* SQ8 with L1: value of code 0 */
	const float *centre;		/* dim floats, or NULL for the origin */
} PirQuantSpec;

/*
 * A prepared quantizer: a PirQuantSpec with everything derived from it (padded
 * dimension, rotation signs, a copy of the centre). Lives in one block of
 * pir_quant_size(spec) bytes that the caller owns. Read-only once made, so
 * threads may share it; it holds pointers into itself and to kernels, so it
 * must not be moved, and every process makes its own from the same spec.
 */
typedef struct PirQuant PirQuant;

/*
 * A prepared query; one block of pir_quant_query_size() bytes, aligned for a
 * double. Must not be moved.
 */
typedef struct PirQuantQuery PirQuantQuery;

/* An estimate and how far the true distance may be below / above it. */
typedef struct PirQuantEstimate
{
	float		dist;			/* estimated search distance, unbiased where the code allows */
	float		err;			/* one calibrated unit (about one standard deviation); 0 = exact */
} PirQuantEstimate;

/*
 * Check a spec. Returns NULL if it can be served, else a static text that
 * names the reason (for the HINT/DETAIL of an error): bits not allowed, metric
 * not served by this quantizer, dimension out of range.
 */
extern const char *pir_quant_check_spec(const PirQuantSpec *spec);

/* Bytes of one code item; 0 never happens for a checked spec. */
extern size_t pir_quant_item_size(const PirQuantSpec *spec);

/* Name <-> id ("none", "half", "sq8", "rabitq", "bits", "bf16", "bq"); -1 / NULL if unknown. */
extern int	pir_quant_id_by_name(const char *name);
extern const char *pir_quant_name(int id);

extern size_t pir_quant_size(const PirQuantSpec *spec);
extern PirQuant *pir_quant_init(void *memory, const PirQuantSpec *spec);

/* Accessors. */
extern const PirQuantSpec *pir_quant_spec(const PirQuant *quant);

/* Bytes of scratch that encode and prepare_query need (floats inside: 16-aligned). */
extern size_t pir_quant_scratch_size(const PirQuant *quant);

/*
 * Encode one vector: 'vec' is dim finite floats (unit length for COSINE), or
 * for PIR_QUANT_BITS the bytes of the bit string. Writes item_size bytes, all
 * of them, deterministically for a given instruction set. Never fails; a
 * vector equal to the centre, and denormal or huge components, give a valid
 * item.
 */
extern void pir_quant_encode(const PirQuant *quant, const void *vec, void *item, void *scratch);

/*
 * Approximate vector of an item (dim floats; not for PIR_QUANT_BITS), with the
 * centre added and the rotation undone. For k-means on codes and tests.
 */
extern void pir_quant_decode(const PirQuant *quant, const void *item, float *vec, void *scratch);

extern size_t pir_quant_query_size(const PirQuant *quant);
extern PirQuantQuery *pir_quant_prepare_query(const PirQuant *quant, const void *vec, void *memory, void *scratch);

/*
 * A stored item as the query: afterwards pir_quant_distance(quant, query, x)
 * is pir_quant_code_distance(quant, item, x), bit for bit, and distance_many
 * the same for many x. For build, pruning and repair, which measure one item
 * against dozens of others: what depends on 'item' alone (unpacking it to
 * signed bytes, its sums) is done once. rabitq of 1, 2 and 4 bits need no sum
 * over x then: with q = 2 x_u(item) - (2^bits - 1), sum x_u(x) q is the whole
 * product but for a constant of the query. Memory as prepare_query;
 * pir_quant_error() is not defined for such a query.
 */
extern PirQuantQuery *pir_quant_prepare_item(const PirQuant *quant, const void *item, void *memory);

/* The hot path: search distance of one item, and of m items at once. */
extern float pir_quant_distance(const PirQuant *quant, const PirQuantQuery *query, const void *item);
extern void pir_quant_distance_many(const PirQuant *quant, const PirQuantQuery *query,
									const void *const *items, int m, float *out);

/*
 * Error unit of an estimate (see README.md, "The bound"): the perpendicular
 * unit, with the query's rounding included. 'dist' is what
 * pir_quant_distance() gave for the item. 0 for exact codes.
 */
extern float pir_quant_error(const PirQuant *quant, const PirQuantQuery *query, const void *item, float dist);

/* True if pir_quant_distance() is the search distance itself (up to float rounding). */
extern bool pir_quant_is_exact(const PirQuant *quant);

/* Search distance between two stored items (build, pruning, repair). */
extern float pir_quant_code_distance(const PirQuant *quant, const void *item_a, const void *item_b);

/*
 * Scale and offset of SQ8 with L1 from a sample: 'low' and 'high' hold the
 * smallest and the largest component of each of n vectors (both arrays are
 * reordered). Covers all but the outermost hundredth at either end; what falls
 * outside is clamped and charged to the error unit. If all of them are
 * integers, the step is chosen so that every integer of the range has a code
 * of its own, exact. n = 0 is legal.
 */
extern void pir_quant_train_l1(float *low, float *high, uint32_t n, float *scale, float *offset);

/*
 * Do codes of some kind tell near neighbours apart, in one table? A survey of
 * a sample looks at the neighbours, once; a measurement compares the codes of
 * one prepared quantizer with them. See README.md, "Do the codes resolve the
 * neighbours?".
 */
#define PIR_QUANT_SURVEY_PROBES	100 /* rows whose neighbours are looked for */
#define PIR_QUANT_SURVEY_DEPTH	16	/* neighbours of each */
#define PIR_QUANT_SURVEY_NEAR	10	/* rank that codes must resolve */
#define PIR_QUANT_MAX_ROWS		60	/* codes resolve it with at most so many rows to look at */
#define PIR_QUANT_WARN_ROWS		200 /* with more, users must be told */

typedef struct PirQuantProbe
{
	uint32_t	row;			/* number in the sample */
	uint32_t	neighbour;		/* a near row of the sample */
	double		dist;			/* of the 10th nearest row in the table, estimated */
	double		excess;			/* by this the neighbour's rank is above 10 */
} PirQuantProbe;

typedef struct PirQuantSurvey
{
	bool		taxicab;
	uint32_t	dim;
	uint32_t	nprobes;
	double		exponent;		/* rows within distance d grow as d to this */
	PirQuantProbe probes[PIR_QUANT_SURVEY_PROBES];
} PirQuantSurvey;

typedef struct PirQuantMeasure
{
	float		error;			/* of a distance from codes, relative, at near neighbours: median */
	float		rows;			/* rows to look at for the 10 nearest: enough in 9 of 10 places */
} PirQuantMeasure;

/*
 * Survey 'sample', n vectors of dim floats out of a table of nrows rows (as
 * pir_quant_encode() takes them; not for bit strings). Reads n times
 * PIR_QUANT_SURVEY_PROBES vectors: 10 ms for 4096 vectors of 512 dimensions.
 */
extern void pir_quant_survey(PirMetric metric, const float *sample, uint32_t n, uint32_t dim,
							 double nrows, PirQuantSurvey *survey);

/*
 * Measure codes of 'quant' with a survey of the same sample. 'memory' is
 * pir_quant_measure_size() bytes. The result depends on the arguments alone,
 * but for the last places of float sums.
 */
extern size_t pir_quant_measure_size(const PirQuant *quant);
extern void pir_quant_measure(const PirQuant *quant, const PirQuantSurvey *survey,
							  const float *sample, void *memory, PirQuantMeasure *result);

/* Error bounds are this many units wide: see README.md. */
#define PIR_QUANT_EPS		2.5f
/* ... and this many where an answer must be exact (about 6e-7 two-sided). */
#define PIR_QUANT_EPS_SURE	5.0f
/* ... and this many where rows must come in order (3e-5 one-sided). */
#define PIR_QUANT_EPS_ORDER	4.0f

#endif							/* PIR_QUANT_H */
