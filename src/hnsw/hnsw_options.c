/*-------------------------------------------------------------------------
 *
 * hnsw_options.c
 *	  Options of an hnsw index, and the identity of a new one.
 *
 * Options are wishes; what an index is stands in its meta page. They meet in
 * pir_hnsw_identity(), when an index is built: changing an option later (but
 * ef_construction) has no effect before REINDEX.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "lib/stringinfo.h"

#include "am/am_opclass.h"
#include "base/pir_compat.h"
#include "hnsw/hnsw.h"
#include "hnsw/hnsw_private.h"

/* PirHnswOptions.quantizer if it is left to us */
#define QUANTIZER_AUTO		(-1)

static relopt_kind hnsw_relopt_kind;

static relopt_enum_elt_def quantizer_options[] = {
	{"auto", QUANTIZER_AUTO},
	{"none", PIR_QUANT_NONE},
	{"half", PIR_QUANT_HALF},
	{"sq8", PIR_QUANT_SQ8},
	{"rabitq", PIR_QUANT_RABITQ},
	{NULL}
};

void
pir_hnsw_init(void)
{
	hnsw_relopt_kind = add_reloption_kind();
	add_int_reloption(hnsw_relopt_kind, "m",
					  "Neighbours chosen for a new node",
					  PIR_HNSW_DEFAULT_M, PIR_HNSW_MIN_M, PIR_HNSW_MAX_M,
					  AccessExclusiveLock);
	add_int_reloption(hnsw_relopt_kind, "ef_construction",
					  "Candidates among which neighbours are chosen",
					  PIR_HNSW_DEFAULT_EF_CONSTRUCTION,
					  PIR_HNSW_MIN_EF_CONSTRUCTION, PIR_HNSW_MAX_EF_CONSTRUCTION,
					  AccessExclusiveLock);
	add_enum_reloption(hnsw_relopt_kind, "quantizer",
					   "Code that stands for a vector in the index",
					   quantizer_options, QUANTIZER_AUTO,
					   gettext_noop("Valid values are \"auto\", \"none\", \"half\", \"sq8\" and \"rabitq\"."),
					   AccessExclusiveLock);
	/* which of these a quantizer allows is checked when the index is built */
	add_int_reloption(hnsw_relopt_kind, "bits",
					  "Bits of the code for each dimension",
					  0, 1, 8,
					  AccessExclusiveLock);
}

bytea *
pir_hnsw_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"m", RELOPT_TYPE_INT, offsetof(PirHnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(PirHnswOptions, ef_construction)},
		{"quantizer", RELOPT_TYPE_ENUM, offsetof(PirHnswOptions, quantizer)},
		{"bits", RELOPT_TYPE_INT, offsetof(PirHnswOptions, bits)},
	};

	return (bytea *) build_reloptions(reloptions, validate, hnsw_relopt_kind,
									  sizeof(PirHnswOptions), table, lengthof(table));
}

int
pir_hnsw_m(Relation index)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	return options ? options->m : PIR_HNSW_DEFAULT_M;
}

int
pir_hnsw_ef_construction(Relation index)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;

	return options ? options->ef_construction : PIR_HNSW_DEFAULT_EF_CONSTRUCTION;
}

/* Bits per dimension for those who do not choose */
static uint8
default_bits(PirQuantId quantizer)
{
	switch (quantizer)
	{
		case PIR_QUANT_NONE:
			return 32;
		case PIR_QUANT_HALF:
			return 16;
		case PIR_QUANT_SQ8:
			return 8;
		case PIR_QUANT_RABITQ:
			return 4;
		case PIR_QUANT_BITS:
			return 1;
	}
	elog(ERROR, "unknown quantizer %d", (int) quantizer);
}

/* The quantizer for those who do not choose, at any dimension */
static PirQuantId
usual_quantizer(PirMetric metric)
{
	switch (metric)
	{
		case PIR_METRIC_L2:
		case PIR_METRIC_IP:
		case PIR_METRIC_COSINE:
			return PIR_QUANT_RABITQ;
		case PIR_METRIC_L1:
			return PIR_QUANT_SQ8;
		case PIR_METRIC_HAMMING:
		case PIR_METRIC_JACCARD:
			return PIR_QUANT_BITS;
	}
	elog(ERROR, "unknown metric %d", (int) metric);
}

static Size
item_size(const PirQuantSpec *spec, PirQuantId quantizer)
{
	PirQuantSpec attempt = *spec;

	attempt.quantizer = quantizer;
	attempt.bits = default_bits(quantizer);
	return pir_quant_item_size(&attempt);
}

/*
 * The quantizer for those who do not choose. Codes are padded and carry
 * factors, so that in few dimensions the values themselves take no more room;
 * there they are also wanted most, since near neighbours are very near in
 * comparison to the spread that a code has to cover.
 */
static PirQuantId
default_quantizer(const PirQuantSpec *spec, PirValueType type)
{
	PirQuantId	usual = usual_quantizer(spec->metric);
	PirQuantId	plain = type == PIR_VALUE_HALFVEC ? PIR_QUANT_HALF : PIR_QUANT_NONE;

	if (type != PIR_VALUE_BIT && item_size(spec, plain) <= item_size(spec, usual))
		return plain;
	return usual;
}

/* Name of a metric, for messages */
static const char *
metric_name(PirMetric metric)
{
	switch (metric)
	{
		case PIR_METRIC_L2:
			return "Euclidean distance";
		case PIR_METRIC_IP:
			return "inner product";
		case PIR_METRIC_COSINE:
			return "cosine distance";
		case PIR_METRIC_L1:
			return "taxicab distance";
		case PIR_METRIC_HAMMING:
			return "Hamming distance";
		case PIR_METRIC_JACCARD:
			return "Jaccard distance";
	}
	return "unknown metric";
}

/* Can 'quantizer' serve the index at all, with its default number of bits? */
static bool
quantizer_serves(const PirQuantSpec *spec, PirValueType type, PirQuantId quantizer)
{
	PirQuantSpec attempt = *spec;

	if ((type == PIR_VALUE_BIT) != (quantizer == PIR_QUANT_BITS))
		return false;
	attempt.quantizer = quantizer;
	attempt.bits = default_bits(quantizer);
	return pir_quant_check_spec(&attempt) == NULL;
}

/* Append an item to a comma-separated list. */
static void
append_item(StringInfo list, const char *item)
{
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	appendStringInfoString(list, item);
}

/* ERROR unless the chosen quantizer serves the index; names those that do. */
static void
check_quantizer(const PirQuantSpec *spec, PirValueType type)
{
	StringInfoData allowed;

	if (quantizer_serves(spec, type, spec->quantizer))
		return;

	initStringInfo(&allowed);
	append_item(&allowed, "auto");
	for (const relopt_enum_elt_def *option = quantizer_options; option->string_val; option++)
	{
		if (option->symbol_val != QUANTIZER_AUTO &&
			quantizer_serves(spec, type, option->symbol_val))
			append_item(&allowed, option->string_val);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("quantizer \"%s\" does not serve the %s of type %s",
					pir_quant_name(spec->quantizer), metric_name(spec->metric),
					pir_value_type_name(type)),
			 errhint("Available values: %s.", allowed.data)));
}

/* ERROR unless the quantizer has codes of that many bits; names those it has. */
static void
check_bits(const PirQuantSpec *spec)
{
	StringInfoData allowed;
	PirQuantSpec attempt = *spec;

	if (pir_quant_check_spec(spec) == NULL)
		return;

	initStringInfo(&allowed);
	for (int bits = 1; bits <= 8; bits++)
	{
		attempt.bits = bits;
		if (pir_quant_check_spec(&attempt) == NULL)
			append_item(&allowed, psprintf("%d", bits));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("quantizer \"%s\" does not have codes of %d bits",
					pir_quant_name(spec->quantizer), spec->bits),
			 allowed.len > 0
			 ? errhint("Available values of \"bits\": %s.", allowed.data)
			 : errhint("Leave out \"bits\": this quantizer always takes %d.",
					   default_bits(spec->quantizer))));
}

void
pir_hnsw_identity(Relation index, PirMetaHeadOnPage *head)
{
	const PirHnswOptions *options = (PirHnswOptions *) index->rd_options;
	int			quantizer = options ? options->quantizer : QUANTIZER_AUTO;
	int			bits = options ? options->bits : 0;
	PirValueType type;
	PirMetric	metric;
	PirQuantSpec spec = {0};
	uint32		dim;
	bool		sketch;
	const char *reason;

	pir_opclass_resolve(index, &type, &metric);
	dim = pir_opclass_dimensions(index, type, "hnsw");
	if (pir_hnsw_ef_construction(index) < 2 * pir_hnsw_m(index))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be at least 2 * m"),
				 errdetail("m is %d, ef_construction is %d.",
						   pir_hnsw_m(index), pir_hnsw_ef_construction(index))));

	spec.metric = metric;
	spec.scale = 1.0f;			/* of any index to come: training chooses it */
	spec.dim = pir_value_code_dim(type, dim, &sketch);
	if (quantizer != QUANTIZER_AUTO)
		spec.quantizer = quantizer;
	else
		spec.quantizer = bits == 0 ? default_quantizer(&spec, type) : usual_quantizer(metric);
	check_quantizer(&spec, type);
	spec.bits = bits == 0 ? default_bits(spec.quantizer) : bits;
	check_bits(&spec);

	/* zero is what a seed forgotten would be */
	while (spec.seed == 0)
	{
		if (!pg_strong_random(&spec.seed, sizeof(spec.seed)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random seed for index \"%s\"",
							RelationGetRelationName(index))));
	}

	reason = pir_quant_check_spec(&spec);
	if (reason != NULL)
		elog(ERROR, "quantizer of index \"%s\" refused: %s", RelationGetRelationName(index), reason);

	memset(head, 0, sizeof(*head));
	head->kind = PIR_KIND_HNSW;
	head->value_type = type;
	head->metric = metric;
	head->quantizer = spec.quantizer;
	head->bits = spec.bits;
	head->flags = sketch ? PIR_META_SKETCH : 0;
	head->dim = dim;
	head->code_dim = spec.dim;
	head->item_size = pir_quant_item_size(&spec);
	head->seed = spec.seed;
	head->m = pir_hnsw_m(index);
	pir_hnsw_geometry(head);
}
