/*-------------------------------------------------------------------------
 *
 * page_meta.c
 *	  The meta page: reading with checks, allocation of pages.
 *
 * The exclusive lock of the meta page is also what protects the end of the
 * file: nobody else extends an index of ours, so the relation extension lock
 * is not needed (hash indexes do the same).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/pir_compat.h"
#include "base/pir_error.h"
#include "port/pg_crc32c.h"
#include "storage/bufmgr.h"
#include "storage/page_meta.h"

static pg_crc32c
identity_crc(const PirMetaHeadOnPage *head)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (const char *) head + offsetof(PirMetaHeadOnPage, kind),
				offsetof(PirMetaHeadOnPage, nblocks) - offsetof(PirMetaHeadOnPage, kind));
	FIN_CRC32C(crc);
	return crc;
}

void
pir_meta_seal(PirMetaHeadOnPage *head)
{
	head->magic = PIR_META_MAGIC;
	head->major = PIR_FORMAT_MAJOR;
	head->minor = PIR_FORMAT_MINOR;
	head->identity_crc = identity_crc(head);
}

char *
pir_meta_fault(const PirMetaHeadOnPage *head, PirKindId kind)
{
	if (head->magic != PIR_META_MAGIC)
		return psprintf("magic number is 0x%08X instead of 0x%08X", head->magic, PIR_META_MAGIC);
	if (head->major != PIR_FORMAT_MAJOR)
		return psprintf("index has format version %u, not %u", head->major, PIR_FORMAT_MAJOR);
	if (head->identity_crc != identity_crc(head))
		return pstrdup("checksum of the index's identity does not match");
	if (head->kind != kind)
		return psprintf("index is of kind %u, not %u", head->kind, kind);
	if (head->flags & ~PIR_META_KNOWN_FLAGS)
		return psprintf("index has unknown flags 0x%02X", head->flags & ~PIR_META_KNOWN_FLAGS);
	return NULL;
}

/* The cold half of pir_meta_read(): say what is wrong, if anything. */
static void
report_bad_meta(Relation index, const PirMetaHeadOnPage *head, PirKindId kind)
{
	char	   *fault = pir_meta_fault(head, kind);

	if (fault == NULL)
		return;
	if (head->magic == PIR_META_MAGIC)
	{
		if (head->major != PIR_FORMAT_MAJOR)
			pir_report_foreign_version(index, PIR_META_BLKNO, head->major, PIR_FORMAT_MAJOR);
		if (head->identity_crc == identity_crc(head) && head->kind == kind)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" uses features unknown to this library (flags 0x%02X)",
							RelationGetRelationName(index), head->flags & ~PIR_META_KNOWN_FLAGS),
					 errhint("REINDEX the index, or install the library version that wrote it.")));
	}
	pir_report_corrupted(index, PIR_META_BLKNO, "%s", fault);
}

Buffer
pir_meta_read(Relation index, PirKindId kind, PirLock lock)
{
	Buffer		buf = pir_page_read(index, PIR_META_BLKNO, PIR_PAGE_META, lock);
	PirMetaHeadOnPage *head = pir_meta_head(BufferGetPage(buf));

	if (unlikely(head->magic != PIR_META_MAGIC ||
				 head->major != PIR_FORMAT_MAJOR ||
				 head->identity_crc != identity_crc(head) ||
				 head->kind != kind ||
				 (head->flags & ~PIR_META_KNOWN_FLAGS)))
		report_bad_meta(index, head, kind);
	PIR_DEBUG_KIND(buf, kind);
	return buf;
}

Buffer
pir_page_alloc(Relation index, PirMetaHeadOnPage *meta)
{
	Buffer		buf;

	if (meta->free_head != InvalidBlockNumber)
	{
		buf = pir_page_read(index, meta->free_head, PIR_PAGE_FREE, PIR_LOCK_EXCLUSIVE);
		meta->free_head = pir_page_special(BufferGetPage(buf))->next;
		meta->nfree--;
		return buf;
	}

	if (meta->nblocks == MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more than %u blocks",
						RelationGetRelationName(index), MaxBlockNumber)));

	buf = pir_page_new(index, MAIN_FORKNUM, meta->nblocks);
	meta->nblocks++;
	return buf;
}

void
pir_page_free(PirMetaHeadOnPage *meta, BlockNumber blkno, Page page)
{
	pir_page_init(page, PIR_PAGE_FREE, 0);
	pir_page_set_used(page, 0);
	pir_page_special(page)->next = meta->free_head;
	meta->free_head = blkno;
	meta->nfree++;
}
