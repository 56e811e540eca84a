/*-------------------------------------------------------------------------
 *
 * page_format.h
 *	  Bytes on disk that all index kinds share: the special space of every
 *	  page, the head of the meta page, page-table pages.
 *
 * All integers are in native byte order, as everywhere in PostgreSQL's data
 * files. Contents start at PIR_PAGE_CONTENT (behind the page header), and
 * pd_lower ends the used part, so that full-page images leave out the rest.
 *
 * A commit that changes bytes here bumps PIR_FORMAT_MAJOR (old readers must
 * refuse) or PIR_FORMAT_MINOR (old readers may read) and the table in
 * README.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIR_PAGE_FORMAT_H
#define PIR_PAGE_FORMAT_H

#include "postgres.h"

#include "storage/bufpage.h"

#define PIR_FORMAT_MAJOR	1
#define PIR_FORMAT_MINOR	0

/* Page kinds: one bit each, so that a set of allowed kinds is a mask. */
#define PIR_PAGE_META		0x01
#define PIR_PAGE_TABLE		0x02	/* logical -> physical page numbers */
#define PIR_PAGE_CODE		0x04	/* nodes, postings */
#define PIR_PAGE_LIST		0x08	/* neighbour lists, directory of posting lists */
#define PIR_PAGE_ENTRY		0x10	/* entry layer */
#define PIR_PAGE_CENTRE		0x20	/* the trained centre */
#define PIR_PAGE_FREE		0x40	/* unused, in the chain of free pages */

#define PIR_PAGE_ANY		0x7F

#define PIR_META_BLKNO		0

/* Last two bytes of a page of ours; not used by core or other known AMs. */
#define PIR_PAGE_ID			0xFFB5

/*
 * Special space, every page, format 1
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  logical        number of the page within its page table or chain
 *        4     4  next           next page of the chain, or InvalidBlockNumber
 *        8     2  nslots         slots (or entries) in use, from the start
 *       10     1  kind           PIR_PAGE_*
 *       11     1  format         PIR_FORMAT_MAJOR of the writer
 *       12     2  reserved       0
 *       14     2  page_id        PIR_PAGE_ID
 *
 *   Guarded by the content lock of the page.
 */
typedef struct PirPageSpecialOnPage
{
	uint32		logical;
	BlockNumber next;
	uint16		nslots;
	uint8		kind;
	uint8		format;
	uint16		reserved;
	uint16		page_id;
} PirPageSpecialOnPage;

StaticAssertDecl(sizeof(PirPageSpecialOnPage) == 16, "special space is 16 bytes");

#define PIR_PAGE_CONTENT	MAXALIGN(SizeOfPageHeaderData)
#define PIR_PAGE_CAPACITY	(BLCKSZ - PIR_PAGE_CONTENT - MAXALIGN(sizeof(PirPageSpecialOnPage)))

static inline PirPageSpecialOnPage *
pir_page_special(Page page)
{
	return (PirPageSpecialOnPage *) PageGetSpecialPointer(page);
}

static inline char *
pir_page_content(Page page)
{
	return (char *) page + PIR_PAGE_CONTENT;
}

/*
 * A page table: dense logical page numbers -> blocks. Part of the meta page.
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  first          first page of the table, or InvalidBlockNumber
 *        4     4  last           last page of the table
 *        8     4  npages         logical pages mapped
 */
typedef struct PirTableOnPage
{
	BlockNumber first;
	BlockNumber last;
	uint32		npages;
} PirTableOnPage;

/* A page-table page holds this many BlockNumbers, from PIR_PAGE_CONTENT on. */
#define PIR_TABLE_FANOUT	(PIR_PAGE_CAPACITY / sizeof(BlockNumber))

/*
 * Head of the meta page (block 0), from PIR_PAGE_CONTENT on, format 1. The
 * part from 'kind' up to 'nblocks' never changes in the life of an index
 * file and is covered by identity_crc.
 *
 *   OFFSET  SIZE  FIELD          MEANING
 *        0     4  magic          PIR_META_MAGIC
 *        4     2  major          PIR_FORMAT_MAJOR
 *        6     2  minor          PIR_FORMAT_MINOR
 *        8     4  identity_crc   CRC32C of bytes 12..79
 *       12     1  kind           PirKindId
 *       13     1  value_type     PirValueType
 *       14     1  metric         PirMetric
 *       15     1  quantizer      PirQuantId
 *       16     1  bits           bits per dimension of the code
 *       17     1  flags          PIR_META_*; unknown bits are an error
 *       18     2  nattrs         attribute columns: 0 in format 1.0
 *       20     4  dim            dimensions of the column
 *       24     4  code_dim       dimensions the quantizer sees
 *       28     4  item_size      bytes of a code item
 *       32     8  seed           of rotation and sketch; unique per build
 *       40     4  node_size      bytes of a node slot
 *       44     4  list_size      bytes of a neighbour list slot
 *       48     2  m              neighbours chosen for a new node
 *       50     2  nodes_per_page node slots on a code page, at least 1
 *       52     2  pages_per_node code pages that one node takes, at least 1
 *       54     2  lists_per_page list slots on a list page
 *       56    24  reserved       0
 *       80     4  nblocks        blocks in use; the file may be longer
 *       84     4  free_head      first page of the chain of free pages
 *       88     4  nfree          pages in that chain
 *       92     4  epoch          bumped when the node numbers change meaning
 *       96    24  tables         page tables: PIR_TABLE_CODE, PIR_TABLE_LIST
 *
 *   Written by page_meta.c, page_table.c and the index kinds. Guarded by the
 *   content lock of block 0.
 */
typedef struct PirMetaHeadOnPage
{
	uint32		magic;
	uint16		major;
	uint16		minor;
	uint32		identity_crc;
	uint8		kind;
	uint8		value_type;
	uint8		metric;
	uint8		quantizer;
	uint8		bits;
	uint8		flags;
	uint16		nattrs;
	uint32		dim;
	uint32		code_dim;
	uint32		item_size;
	uint64		seed;
	uint32		node_size;
	uint32		list_size;
	uint16		m;
	uint16		nodes_per_page;
	uint16		pages_per_node;
	uint16		lists_per_page;
	uint8		reserved[24];
	uint32		nblocks;
	BlockNumber free_head;
	uint32		nfree;
	uint32		epoch;
	PirTableOnPage tables[2];
} PirMetaHeadOnPage;

StaticAssertDecl(sizeof(PirMetaHeadOnPage) == 120, "meta page head is 120 bytes");

/* PirMetaHeadOnPage.tables */
#define PIR_TABLE_CODE		0
#define PIR_TABLE_LIST		1
#define PIR_NTABLES			2

#define PIR_META_MAGIC		0x4D524950	/* "PIRM" */

/* PirMetaHeadOnPage.flags */
#define PIR_META_SKETCH		0x01	/* sparse values are hashed to code_dim */
#define PIR_META_KNOWN_FLAGS	PIR_META_SKETCH

/* PirMetaHeadOnPage.kind: on-disk ids, never reused */
typedef enum PirKindId
{
	PIR_KIND_HNSW = 1,
	PIR_KIND_IVF = 2
} PirKindId;

#endif							/* PIR_PAGE_FORMAT_H */
