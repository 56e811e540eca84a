# piramid: vector search for PostgreSQL. See CONTRIBUTING.md for the targets.

EXTENSION = piramid
MODULE_big = piramid
DATA = piramid--1.0.sql
PGFILEDESC = "piramid - vector types and quantized vector indexes"

PG_CONFIG ?= pg_config

OBJS_base = src/base/pir_error.o src/base/pir_guc.o
OBJS_distance = src/distance/dist.o src/distance/dist_serial.o
OBJS_quant = src/quant/quant.o src/quant/quant_bits.o src/quant/quant_code.o \
	src/quant/quant_half.o src/quant/quant_none.o src/quant/quant_rabitq.o \
	src/quant/quant_rotate.o src/quant/quant_scalar.o
OBJS_vector =
OBJS_storage = src/storage/page_io.o src/storage/page_meta.o src/storage/page_pins.o \
	src/storage/page_table.o src/storage/page_wal.o
OBJS_am =
OBJS_hnsw =
OBJS_observe =

OBJS = src/piramid.o \
	$(OBJS_base) $(OBJS_distance) $(OBJS_quant) $(OBJS_vector) \
	$(OBJS_storage) $(OBJS_am) $(OBJS_hnsw) $(OBJS_observe)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -std=gnu11 -fvisibility=hidden -Wall -Wextra -Wmissing-prototypes \
	-Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-declaration-after-statement $(WERROR)
SHLIB_LINK += -lm

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS of Debian is configured without dependency tracking: every object
# depends on every header (coarse, and always right).
HEADERS_ALL := $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)
$(OBJS): $(HEADERS_ALL)

# What encoding computes goes to disk: no contraction to fused multiply-adds,
# which other machines round differently.
$(OBJS_quant): override CFLAGS += -ffp-contract=off $(CFLAGS_VECTORIZE)
