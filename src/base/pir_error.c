/*-------------------------------------------------------------------------
 *
 * pir_error.c
 *	  Reports that several modules make in the same words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "lib/stringinfo.h"

void
pir_report_corrupted(Relation index, BlockNumber blkno, const char *what,...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, what);
		needed = appendStringInfoVA(&text, what, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}

	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" is corrupted at block %u: %s",
					RelationGetRelationName(index), blkno, text.data),
			 errhint("REINDEX the index.")));
	pg_unreachable();
}

void
pir_report_foreign_version(Relation index, BlockNumber blkno,
						   unsigned int found, unsigned int known)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("index \"%s\" has format version %u at block %u, but this library reads versions up to %u",
					RelationGetRelationName(index), found, blkno, known),
			 errhint("REINDEX the index, or install the library version that wrote it.")));
	pg_unreachable();
}

Size
pir_size_mul(Size a, Size b)
{
	Size		result;

	if (b != 0 && a > SIZE_MAX / b)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("requested size %zu x %zu overflows", a, b)));
	result = a * b;
	return result;
}

Size
pir_size_add(Size a, Size b)
{
	if (a > SIZE_MAX - b)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("requested size %zu + %zu overflows", a, b)));
	return a + b;
}
