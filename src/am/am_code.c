/*-------------------------------------------------------------------------
 *
 * am_code.c
 *	  The code of a new index: from operator class, column and the options
 *	  "quantizer" and "bits" to the identity of its meta page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "am/am_code.h"
#include "am/am_opclass.h"
#include "base/pir_compat.h"

static relopt_enum_elt_def quantizer_options[] = {
	{"auto", PIR_CODE_AUTO},
	{"none", PIR_QUANT_NONE},
	{"half", PIR_QUANT_HALF},
	{"sq8", PIR_QUANT_SQ8},
	{"rabitq", PIR_QUANT_RABITQ},
	{"bf16", PIR_QUANT_BF16},
	{"bq", PIR_QUANT_BQ},
	{NULL}
};

void
pir_code_add_options(relopt_kind kind)
{
	add_enum_reloption(kind, "quantizer",
					   "Code that stands for a vector in the index",
					   quantizer_options, PIR_CODE_AUTO,
					   gettext_noop("Valid values are \"auto\", \"none\", \"half\", \"sq8\", "
									"\"rabitq\", \"bf16\" and \"bq\"."),
					   AccessExclusiveLock);
	/* which of these a quantizer allows is checked when the index is built */
	add_int_reloption(kind, "bits",
					  "Bits of the code for each dimension",
					  0, 1, 8,
					  AccessExclusiveLock);
}

uint8
pir_code_default_bits(PirQuantId quantizer)
{
	switch (quantizer)
	{
		case PIR_QUANT_NONE:
			return 32;
		case PIR_QUANT_HALF:
		case PIR_QUANT_BF16:
			return 16;
		case PIR_QUANT_SQ8:
			return 8;
		case PIR_QUANT_RABITQ:
			return 4;
		case PIR_QUANT_BITS:
		case PIR_QUANT_BQ:
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
	attempt.bits = pir_code_default_bits(quantizer);
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
	attempt.bits = pir_code_default_bits(quantizer);
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
		if (option->symbol_val != PIR_CODE_AUTO &&
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
					   pir_code_default_bits(spec->quantizer))));
}

void
pir_code_column(Relation index, PirKindId kind, const char *am_name, PirMetaHeadOnPage *head)
{
	PirValueType type;
	PirMetric	metric;
	bool		sketch;

	pir_opclass_resolve(index, &type, &metric);
	memset(head, 0, sizeof(*head));
	head->kind = kind;
	head->value_type = type;
	head->metric = metric;
	head->dim = pir_opclass_dimensions(index, type, am_name);
	head->code_dim = pir_value_code_dim(type, head->dim, &sketch);
	head->flags = sketch ? PIR_META_SKETCH : 0;
}

void
pir_code_choose(Relation index, int quantizer, int bits, PirMetaHeadOnPage *head)
{
	PirValueType type = (PirValueType) head->value_type;
	PirQuantSpec spec = {0};
	const char *reason;

	spec.metric = head->metric;
	spec.scale = 1.0f;			/* of any index to come: training chooses it */
	spec.dim = head->code_dim;
	if (quantizer != PIR_CODE_AUTO)
		spec.quantizer = quantizer;
	else
		spec.quantizer = bits == 0 ? default_quantizer(&spec, type) : usual_quantizer(spec.metric);
	check_quantizer(&spec, type);
	spec.bits = bits == 0 ? pir_code_default_bits(spec.quantizer) : bits;
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

	head->quantizer = spec.quantizer;
	head->bits = spec.bits;
	head->item_size = pir_quant_item_size(&spec);
	head->seed = spec.seed;
}

bool
pir_code_refine(PirMetaHeadOnPage *head)
{
	PirQuantSpec spec = {0};

	spec.metric = head->metric;
	spec.dim = head->code_dim;
	switch (head->quantizer)
	{
		case PIR_QUANT_RABITQ:
			spec.quantizer = head->bits < 8 ? PIR_QUANT_RABITQ : PIR_QUANT_HALF;
			break;
		case PIR_QUANT_SQ8:
			spec.quantizer = PIR_QUANT_HALF;
			break;
		case PIR_QUANT_HALF:
			if (head->value_type == PIR_VALUE_HALFVEC)
				return false;
			spec.quantizer = PIR_QUANT_NONE;
			break;
		default:
			return false;
	}
	spec.bits = spec.quantizer == PIR_QUANT_RABITQ ? 8 : pir_code_default_bits(spec.quantizer);

	head->quantizer = spec.quantizer;
	head->bits = spec.bits;
	head->item_size = pir_quant_item_size(&spec);
	return true;
}
