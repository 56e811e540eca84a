/*-------------------------------------------------------------------------
 *
 * am_opclass.c
 *	  From an index's operator class and column to type, metric, dimensions.
 *
 * An operator class names functions; what an index needs is a type and a
 * metric. The functions are known by their address in this library, so that
 * nothing depends on the names or the schema of SQL objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/amvalidate.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "am/am_opclass.h"
#include "base/pir_compat.h"
#include "vector/vector.h"

static const PirTypeInfo type_infos[] = {
	{PIR_VALUE_VECTOR, PIR_VECTOR_MAX_DIM},
	{PIR_VALUE_HALFVEC, PIR_VECTOR_MAX_DIM},
	{PIR_VALUE_SPARSEVEC, PIR_SPARSEVEC_MAX_DIM},
	{PIR_VALUE_BIT, 1024 * 1024},
};

/*
 * What an index can order by. 'distance' is support function 1, 'norm'
 * support function 2 or NULL, and 'operator' the function behind the operator
 * that such an index serves.
 */
typedef struct OrderingRow
{
	PirValueType type;
	PirMetric	metric;
	PGFunction	distance;
	PGFunction	norm;
	PGFunction	operator;
} OrderingRow;

static const OrderingRow orderings[] = {
	{PIR_VALUE_VECTOR, PIR_METRIC_L2,
	pir_vector_l2_squared_distance, NULL, pir_l2_distance_vector},
	{PIR_VALUE_VECTOR, PIR_METRIC_IP,
	pir_vector_negative_inner_product, NULL, pir_vector_negative_inner_product},
	{PIR_VALUE_VECTOR, PIR_METRIC_COSINE,
	pir_vector_negative_inner_product, pir_vector_norm, pir_cosine_distance_vector},
	{PIR_VALUE_VECTOR, PIR_METRIC_L1,
	pir_l1_distance_vector, NULL, pir_l1_distance_vector},

	{PIR_VALUE_HALFVEC, PIR_METRIC_L2,
	pir_halfvec_l2_squared_distance, NULL, pir_l2_distance_halfvec},
	{PIR_VALUE_HALFVEC, PIR_METRIC_IP,
	pir_halfvec_negative_inner_product, NULL, pir_halfvec_negative_inner_product},
	{PIR_VALUE_HALFVEC, PIR_METRIC_COSINE,
	pir_halfvec_negative_inner_product, pir_l2_norm_halfvec, pir_cosine_distance_halfvec},
	{PIR_VALUE_HALFVEC, PIR_METRIC_L1,
	pir_l1_distance_halfvec, NULL, pir_l1_distance_halfvec},

	{PIR_VALUE_SPARSEVEC, PIR_METRIC_L2,
	pir_sparsevec_l2_squared_distance, NULL, pir_l2_distance_sparsevec},
	{PIR_VALUE_SPARSEVEC, PIR_METRIC_IP,
	pir_sparsevec_negative_inner_product, NULL, pir_sparsevec_negative_inner_product},
	{PIR_VALUE_SPARSEVEC, PIR_METRIC_COSINE,
	pir_sparsevec_negative_inner_product, pir_l2_norm_sparsevec, pir_cosine_distance_sparsevec},
	{PIR_VALUE_SPARSEVEC, PIR_METRIC_L1,
	pir_l1_distance_sparsevec, NULL, pir_l1_distance_sparsevec},

	{PIR_VALUE_BIT, PIR_METRIC_HAMMING,
	pir_hamming_distance, NULL, pir_hamming_distance},
	{PIR_VALUE_BIT, PIR_METRIC_JACCARD,
	pir_jaccard_distance, NULL, pir_jaccard_distance},
};

const PirTypeInfo *
pir_opclass_type_info(PirValueType type)
{
	for (int i = 0; i < lengthof(type_infos); i++)
	{
		if (type_infos[i].type == type)
			return &type_infos[i];
	}
	elog(ERROR, "unknown value type %d", (int) type);
}

static const OrderingRow *
find_ordering(PGFunction distance, PGFunction norm)
{
	for (int i = 0; i < lengthof(orderings); i++)
	{
		if (orderings[i].distance == distance && orderings[i].norm == norm)
			return &orderings[i];
	}
	return NULL;
}

/* C function behind a support function of an index, or NULL */
static PGFunction
support_function(Relation index, uint16 procnum)
{
	if (!OidIsValid(index_getprocid(index, 1, procnum)))
		return NULL;
	return index_getprocinfo(index, 1, procnum)->fn_addr;
}

/* The type that the last support function of an index stands for */
static PirValueType
marked_type(Relation index)
{
	uint16		procnum = index->rd_indam->amsupport;
	FmgrInfo   *marker;
	const PirTypeInfo *info;

	if (!OidIsValid(index_getprocid(index, 1, procnum)))
		return PIR_VALUE_VECTOR;
	marker = index_getprocinfo(index, 1, procnum);
	info = (const PirTypeInfo *) DatumGetPointer(FunctionCall1(marker, PointerGetDatum(NULL)));

	/* it may be anybody's function: take nothing but a row of ours */
	for (int i = 0; i < lengthof(type_infos); i++)
	{
		if (info == &type_infos[i])
			return info->type;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class of index \"%s\" has a wrong support function %d",
					RelationGetRelationName(index), procnum),
			 errdetail("Function %s marks none of the types that can be indexed.",
					   format_procedure_qualified(marker->fn_oid))));
}

void
pir_opclass_resolve(Relation index, PirValueType *type, PirMetric *metric)
{
	const OrderingRow *ordering;

	/* reports a missing distance function, unlike support_function() */
	(void) index_getprocinfo(index, 1, PIR_PROC_DISTANCE);

	ordering = find_ordering(support_function(index, PIR_PROC_DISTANCE),
							 support_function(index, PIR_PROC_NORM));
	if (ordering == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class of index \"%s\" uses a distance that cannot be indexed",
						RelationGetRelationName(index)),
				 errdetail("No index can order by function %s%s.",
						   format_procedure_qualified(index_getprocid(index, 1, PIR_PROC_DISTANCE)),
						   OidIsValid(index_getprocid(index, 1, PIR_PROC_NORM))
						   ? psprintf(" of values normalised by %s",
									  format_procedure_qualified(index_getprocid(index, 1, PIR_PROC_NORM))) : "")));
	if (marked_type(index) != ordering->type)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class of index \"%s\" mixes types",
						RelationGetRelationName(index)),
				 errdetail("Its distance function is of type %s, its support function %d stands for type %s.",
						   pir_value_type_name(ordering->type), index->rd_indam->amsupport,
						   pir_value_type_name(marked_type(index)))));

	*type = ordering->type;
	*metric = ordering->metric;
}

uint32
pir_opclass_dimensions(Relation index, PirValueType type, const char *am_name)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(index), 0);
	uint32		max_dim = pir_opclass_type_info(type)->max_dim;
	int32		typmod = att->atttypmod;
	Oid			typid = getBaseTypeAndTypmod(att->atttypid, &typmod);

	/* the operator classes of bit accept it, since it looks the same inside */
	if (typid == VARBITOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type %s is not supported by %s indexes", format_type_be(typid), am_name),
				 errhint("Use a column or an expression of type bit(n).")));
	if (typmod < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column does not have dimensions"),
				 errhint("Declare it, or cast the indexed expression, as %s(n).",
						 pir_value_type_name(type))));
	if ((uint32) typmod > max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column cannot have more than %u dimensions for %s index", max_dim, am_name),
				 errdetail("It has %d.", typmod)));
	return (uint32) typmod;
}

/* --- amvalidate --- */

/* Operator class under examination */
typedef struct Validation
{
	Oid			amoid;
	Oid			family;
	Oid			opcintype;
	const char *am_name;
	const char *opclass_name;
	const char *family_name;
	uint16		type_proc;		/* number of the type's marker, the last support function */
	bool		ok;

	/* of the operator class itself */
	Oid			procs[PIR_MAX_PROCS + 1];
	Oid			ordering_op;
} Validation;

/* Report a fault of the family that we are looking at, and remember it. */
#define report_fault(v, ...) \
	do { \
		ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION), errmsg(__VA_ARGS__))); \
		(v)->ok = false; \
	} while (0)

static void
validate_function(Validation *v, Form_pg_amproc proc)
{
	Oid			type = proc->amproclefttype;
	bool		signature_ok;

	if (proc->amproclefttype != proc->amprocrighttype)
		report_fault(v, "operator family \"%s\" of access method %s contains support function %s with different left and right input types",
					 v->family_name, v->am_name, format_procedure(proc->amproc));

	if (proc->amprocnum < 1 || proc->amprocnum > v->type_proc)
	{
		report_fault(v, "operator family \"%s\" of access method %s contains function %s with invalid support number %d",
					 v->family_name, v->am_name, format_procedure(proc->amproc), proc->amprocnum);
		return;
	}
	if (proc->amprocnum == v->type_proc)
		signature_ok = check_amproc_signature(proc->amproc, INTERNALOID, true, 1, 1, INTERNALOID);
	else if (proc->amprocnum == PIR_PROC_DISTANCE)
		signature_ok = check_amproc_signature(proc->amproc, FLOAT8OID, true, 2, 2, type, type);
	else if (proc->amprocnum == PIR_PROC_NORM)
		signature_ok = check_amproc_signature(proc->amproc, FLOAT8OID, true, 1, 1, type);
	else
		signature_ok = check_amproc_signature(proc->amproc, FLOAT8OID, true, 2, 2, type, type) ||
			check_amproc_signature(proc->amproc, FLOAT8OID, true, 1, 1, type);
	if (!signature_ok)
		report_fault(v, "operator family \"%s\" of access method %s contains function %s with wrong signature for support number %d",
					 v->family_name, v->am_name, format_procedure(proc->amproc), proc->amprocnum);
	else if (proc->amproclefttype == v->opcintype && proc->amprocrighttype == v->opcintype)
		v->procs[proc->amprocnum] = proc->amproc;
}

static void
validate_operator(Validation *v, Form_pg_amop op)
{
	bool		usable = true;

	if (op->amopstrategy != PIR_STRATEGY_ORDER)
	{
		report_fault(v, "operator family \"%s\" of access method %s contains operator %s with invalid strategy number %d",
					 v->family_name, v->am_name, format_operator(op->amopopr), op->amopstrategy);
		usable = false;
	}
	if (op->amoppurpose != AMOP_ORDER)
	{
		report_fault(v, "operator family \"%s\" of access method %s contains search operator %s, but can only order",
					 v->family_name, v->am_name, format_operator(op->amopopr));
		usable = false;
	}
	else if (!opfamily_can_sort_type(op->amopsortfamily, FLOAT8OID))
	{
		report_fault(v, "operator family \"%s\" of access method %s contains incorrect ORDER BY opfamily specification for operator %s",
					 v->family_name, v->am_name, format_operator(op->amopopr));
		usable = false;
	}
	if (!check_amop_signature(op->amopopr, FLOAT8OID, op->amoplefttype, op->amoprighttype))
	{
		report_fault(v, "operator family \"%s\" of access method %s contains operator %s with wrong signature",
					 v->family_name, v->am_name, format_operator(op->amopopr));
		usable = false;
	}
	if (usable && op->amoplefttype == v->opcintype && op->amoprighttype == v->opcintype)
		v->ordering_op = op->amopopr;
}

static PGFunction
function_address(Oid function)
{
	FmgrInfo	info;

	if (!OidIsValid(function))
		return NULL;
	fmgr_info(function, &info);
	return info.fn_addr;
}

/* Do operator and functions of the class belong together? */
static void
validate_ordering(Validation *v)
{
	const OrderingRow *ordering;

	if (!OidIsValid(v->ordering_op))
		report_fault(v, "operator class \"%s\" of access method %s is missing operator(s)",
					 v->opclass_name, v->am_name);
	if (!OidIsValid(v->procs[PIR_PROC_DISTANCE]))
	{
		report_fault(v, "operator class \"%s\" of access method %s is missing support function %d",
					 v->opclass_name, v->am_name, PIR_PROC_DISTANCE);
		return;
	}

	ordering = find_ordering(function_address(v->procs[PIR_PROC_DISTANCE]),
							 function_address(v->procs[PIR_PROC_NORM]));
	if (ordering == NULL)
	{
		report_fault(v, "operator class \"%s\" of access method %s uses support function %s, whose distance cannot be indexed",
					 v->opclass_name, v->am_name, format_procedure(v->procs[PIR_PROC_DISTANCE]));
		return;
	}
	if ((ordering->type == PIR_VALUE_VECTOR) != !OidIsValid(v->procs[v->type_proc]))
		report_fault(v, "operator class \"%s\" of access method %s for type %s must%s have support function %d",
					 v->opclass_name, v->am_name, format_type_be(v->opcintype),
					 ordering->type == PIR_VALUE_VECTOR ? " not" : "", v->type_proc);
	if (OidIsValid(v->ordering_op) &&
		function_address(get_opcode(v->ordering_op)) != ordering->operator)
		report_fault(v, "operator class \"%s\" of access method %s contains operator %s, which does not order as support function %s",
					 v->opclass_name, v->am_name, format_operator(v->ordering_op),
					 format_procedure(v->procs[PIR_PROC_DISTANCE]));
}

bool
pir_opclass_validate(Oid opclass)
{
	HeapTuple	class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	HeapTuple	family_tuple;
	Form_pg_opclass class_form;
	CatCList   *procs;
	CatCList   *ops;
	Validation	v = {.ok = true};

	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	class_form = (Form_pg_opclass) GETSTRUCT(class_tuple);
	v.amoid = class_form->opcmethod;
	v.family = class_form->opcfamily;
	v.opcintype = class_form->opcintype;
	v.opclass_name = NameStr(class_form->opcname);
	v.am_name = get_am_name(v.amoid);
	v.type_proc = GetIndexAmRoutineByAmId(v.amoid, false)->amsupport;
	if (v.type_proc > PIR_MAX_PROCS)
		elog(ERROR, "access method %s has %d support functions", v.am_name, v.type_proc);

	family_tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(v.family));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u", v.family);
	v.family_name = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);

	if (OidIsValid(class_form->opckeytype))
		report_fault(&v, "operator class \"%s\" of access method %s must not have a storage type",
					 v.opclass_name, v.am_name);

	procs = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(v.family));
	ops = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(v.family));
	for (int i = 0; i < procs->n_members; i++)
		validate_function(&v, (Form_pg_amproc) GETSTRUCT(&procs->members[i]->tuple));
	for (int i = 0; i < ops->n_members; i++)
		validate_operator(&v, (Form_pg_amop) GETSTRUCT(&ops->members[i]->tuple));
	validate_ordering(&v);

	ReleaseCatCacheList(ops);
	ReleaseCatCacheList(procs);
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return v.ok;
}
