# piramid: vector search for PostgreSQL
#
#   make                      build against the PostgreSQL of PG_CONFIG
#   make install              install there
#   make test, make test-all  test on temporary clusters of a private copy
#
# CONTRIBUTING.md explains every target. All files that are compiled are named
# here, module by module.

EXTENSION = piramid
MODULE_big = piramid
DATA = piramid--1.0.sql
PGFILEDESC = "piramid - vector types and quantized vector indexes"

PG_CONFIG ?= pg_config

OBJS_base = src/base/pir_detoast.o src/base/pir_error.o src/base/pir_guc.o \
	src/base/pir_recent.o
OBJS_distance = src/distance/dist.o src/distance/dist_avx2.o \
	src/distance/dist_avx512.o src/distance/dist_neon.o src/distance/dist_serial.o
OBJS_cluster = src/cluster/cluster.o src/cluster/cluster_seed.o
OBJS_quant = src/quant/quant.o src/quant/quant_bits.o src/quant/quant_bq.o src/quant/quant_code.o \
	src/quant/quant_half.o src/quant/quant_measure.o src/quant/quant_none.o src/quant/quant_rabitq.o \
	src/quant/quant_rotate.o src/quant/quant_scalar.o
OBJS_vector = src/vector/vector_agg.o src/vector/vector_cast.o \
	src/vector/vector_check.o src/vector/vector_dense.o \
	src/vector/vector_distance.o src/vector/vector_io.o \
	src/vector/vector_literal.o src/vector/vector_ops.o \
	src/vector/sparsevec_cast.o src/vector/sparsevec_distance.o \
	src/vector/sparsevec_io.o src/vector/sparsevec_ops.o

# The host-free part of vector: reading numbers.
OBJS_vector_number = src/vector/vector_number.o
OBJS_storage = src/storage/page_check.o src/storage/page_debug.o src/storage/page_heap.o src/storage/page_io.o \
	src/storage/page_meta.o src/storage/page_pins.o src/storage/page_sink.o \
	src/storage/page_table.o src/storage/page_toast.o src/storage/page_toast_scan.o \
	src/storage/page_wal.o
OBJS_am = src/am/am_check_rows.o src/am/am_code.o src/am/am_cost.o src/am/am_emit.o \
	src/am/am_kind.o src/am/am_opclass.o \
	src/am/am_remains.o src/am/am_rerank.o src/am/am_value.o
OBJS_hnsw = src/hnsw/hnsw_build.o src/hnsw/hnsw_builder.o src/hnsw/hnsw_builder_pages.o \
	src/hnsw/hnsw_builder_write.o \
	src/hnsw/hnsw_check.o src/hnsw/hnsw_check_heap.o \
	src/hnsw/hnsw_entry.o src/hnsw/hnsw_handler.o src/hnsw/hnsw_insert.o \
	src/hnsw/hnsw_inspect.o src/hnsw/hnsw_link.o src/hnsw/hnsw_mirror.o src/hnsw/hnsw_node.o src/hnsw/hnsw_options.o \
	src/hnsw/hnsw_parallel.o \
	src/hnsw/hnsw_scan.o src/hnsw/hnsw_search.o src/hnsw/hnsw_shards.o src/hnsw/hnsw_shards_build.o \
	src/hnsw/hnsw_shards_join.o src/hnsw/hnsw_train.o src/hnsw/hnsw_vacuum.o \
	src/hnsw/hnsw_vacuum_lists.o src/hnsw/hnsw_vacuum_reach.o
OBJS_ivf = src/ivf/ivf_build.o src/ivf/ivf_builder.o src/ivf/ivf_check.o \
	src/ivf/ivf_handler.o src/ivf/ivf_insert.o src/ivf/ivf_inspect.o src/ivf/ivf_list.o \
	src/ivf/ivf_options.o src/ivf/ivf_partition.o src/ivf/ivf_scan.o src/ivf/ivf_train.o \
	src/ivf/ivf_vacuum.o
OBJS_observe = src/observe/obs_check.o src/observe/obs_index.o src/observe/obs_inspect.o

# The host-free part of hnsw: no PostgreSQL header, tested without a server.
OBJS_hnsw_graph = src/hnsw/hnsw_graph.o src/hnsw/hnsw_graph_divide.o \
	src/hnsw/hnsw_graph_join.o src/hnsw/hnsw_graph_order.o \
	src/hnsw/hnsw_graph_search.o src/hnsw/hnsw_graph_select.o

OBJS = src/piramid.o \
	$(OBJS_base) $(OBJS_distance) $(OBJS_cluster) $(OBJS_quant) $(OBJS_vector_number) $(OBJS_vector) \
	$(OBJS_storage) $(OBJS_am) $(OBJS_hnsw_graph) $(OBJS_hnsw) $(OBJS_ivf) $(OBJS_observe)

# Regression tests run in this order, on one database that has the extension.
REGRESS = $(patsubst $(srcdir)/sql/%.sql,%,$(sort $(wildcard $(srcdir)/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir) --load-extension=piramid

ISOLATION = $(patsubst $(srcdir)/test/isolation/specs/%.spec,%,$(sort $(wildcard $(srcdir)/test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=piramid

# WERROR=-Werror in continuous integration only: a new compiler's new warning
# must not keep a user from installing.
WARNINGS = -Wall -Wextra -Wmissing-prototypes -Wshadow -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement \
	$(if $(findstring clang,$(CC)),$(CLANG_WARNINGS))
# make CC=clang: the server's flags are those of the compiler that built it
CLANG_WARNINGS = -Wno-ignored-attributes -Wno-ignored-optimization-argument \
	-Wno-unknown-warning-option -Wno-unused-command-line-argument \
	-Wno-compound-token-split-by-macro

PG_CPPFLAGS = -I$(srcdir)/src -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -std=gnu11 -fvisibility=hidden $(WARNINGS) -MMD -MP $(WERROR)
SHLIB_LINK += -lm
EXTRA_CLEAN = build $(OBJS:.o=.d)

# srcdir is set by PGXS, and wanted before it is included
srcdir ?= $(if $(VPATH),$(VPATH),.)

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error "$(PG_CONFIG)" does not run: install postgresql-server-dev-NN, or say make PG_CONFIG=/path/to/pg_config)
endif
include $(PGXS)

# What encoding computes goes to disk: no contraction to fused multiply-adds,
# which other machines round differently.
$(OBJS_quant): override CFLAGS += -ffp-contract=off $(CFLAGS_VECTORIZE)
$(OBJS_cluster): override CFLAGS += $(CFLAGS_VECTORIZE)

# Debian's PostgreSQL is configured without dependency tracking, so ours is
# kept here: the compiler writes a .d file beside each object (-MMD).
-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): %.bc: %.o

# ------------------------------------------------------------------------
# Unit and fuzz programs: host-free code, no server. Each test/unit/X_test.c
# is one program that prints TAP; each test/fuzz/X_fuzz.c is one entry point
# that regression_driver.c feeds with the files of test/fuzz/corpus/X/.
# ------------------------------------------------------------------------

UNIT_DIR = build/unit
UNIT_CFLAGS = -std=gnu11 -O2 -g $(WARNINGS) $(WERROR) -I$(srcdir)/src -I$(srcdir)/test/unit -MMD -MP
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

HOSTFREE_SRCS = $(patsubst %.o,%.c,$(OBJS_distance) $(OBJS_cluster) $(OBJS_quant) $(OBJS_vector_number) $(OBJS_hnsw_graph))
HOSTFREE_OBJS = $(patsubst %.c,$(UNIT_DIR)/%.o,$(HOSTFREE_SRCS))
UNIT_NAMES = $(patsubst $(srcdir)/test/unit/%.c,%,$(sort $(wildcard $(srcdir)/test/unit/*_test.c)))
FUZZ_NAMES = $(patsubst $(srcdir)/test/fuzz/%.c,%,$(sort $(wildcard $(srcdir)/test/fuzz/*_fuzz.c)))
UNIT_PROGRAMS = $(addprefix $(UNIT_DIR)/,$(UNIT_NAMES))
FUZZ_PROGRAMS = $(addprefix $(UNIT_DIR)/,$(FUZZ_NAMES))

$(UNIT_DIR)/%.o: $(srcdir)/%.c
	@mkdir -p $(dir $@)
	$(CC) $(UNIT_CFLAGS) $(UNIT_EXTRA) -c -o $@ $<

$(UNIT_PROGRAMS): $(UNIT_DIR)/%: $(UNIT_DIR)/test/unit/%.o $(HOSTFREE_OBJS)
	$(CC) $(UNIT_CFLAGS) $(UNIT_EXTRA) -o $@ $^ -lm

$(FUZZ_PROGRAMS): $(UNIT_DIR)/%: $(UNIT_DIR)/test/fuzz/%.o $(UNIT_DIR)/test/fuzz/regression_driver.o $(HOSTFREE_OBJS)
	$(CC) $(UNIT_CFLAGS) $(UNIT_EXTRA) -o $@ $^ -lm

$(filter $(UNIT_DIR)/src/quant/%,$(HOSTFREE_OBJS)): UNIT_CFLAGS += -ffp-contract=off $(CFLAGS_VECTORIZE)

.SECONDARY:
-include $(HOSTFREE_OBJS:.o=.d) $(wildcard $(UNIT_DIR)/test/*/*.d)

.PHONY: unit-programs fuzz-programs test test-all test-unit test-fuzz test-regress \
	test-isolation test-tap lint tidy format asan valgrind coverage fuzz docs dist

unit-programs: $(UNIT_PROGRAMS)
fuzz-programs: $(FUZZ_PROGRAMS)

test-unit: $(UNIT_PROGRAMS)
	prove --exec '' $(PROVE_FLAGS) $(UNIT_PROGRAMS)

asan:
	$(MAKE) UNIT_DIR=build/asan UNIT_EXTRA='$(SANITIZE)' test-unit
	$(RUN) fuzz

valgrind: $(UNIT_PROGRAMS)
	prove --exec 'valgrind -q --error-exitcode=99' $(PROVE_FLAGS) $(UNIT_PROGRAMS)

# make bench BENCH_ARGS='--quick DATASET': against pgvector; test/bench/README.md
.PHONY: bench bench-kernels bench-quant
bench:
	PG_CONFIG='$(PG_CONFIG)' WERROR='$(WERROR)' $(srcdir)/test/bench/run $(BENCH_ARGS)

# make bench-kernels BENCH_ARGS='kernel=dot_u4_s8 n=512': see the head of the file
BENCH_DIR = build/bench
BENCH_CFLAGS = -std=gnu11 -O2 -g $(WARNINGS) $(WERROR) -I$(srcdir)/src \
	-DBENCH_COMMIT='"$(shell git -C $(srcdir) describe --always --dirty 2>/dev/null)"'
BENCH_SRCS = $(patsubst %.o,$(srcdir)/%.c,$(OBJS_distance))
BENCH_QUANT_SRCS = $(patsubst %.o,$(srcdir)/%.c,$(OBJS_quant)) $(BENCH_SRCS)

bench-kernels:
	@mkdir -p $(BENCH_DIR)
	$(CC) $(BENCH_CFLAGS) -o $(BENCH_DIR)/bench_kernels $(srcdir)/test/bench/bench_kernels.c $(BENCH_SRCS) -lm
	$(BENCH_DIR)/bench_kernels $(BENCH_ARGS)

# make bench-quant BENCH_ARGS='quant=rabitq dim=512'
bench-quant:
	@mkdir -p $(BENCH_DIR)
	$(CC) $(BENCH_CFLAGS) -ffp-contract=off $(CFLAGS_VECTORIZE) \
		-o $(BENCH_DIR)/bench_quant $(srcdir)/test/bench/bench_quant.c $(BENCH_QUANT_SRCS) -lm
	$(BENCH_DIR)/bench_quant $(BENCH_ARGS)

# make fuzz T=quant_round_trip: look for new inputs that break one target
FUZZ_SECONDS = 60
fuzz:
	$(if $(T),,$(error say which target: make fuzz T=NAME, one of $(FUZZ_NAMES:_fuzz=)))
	@mkdir -p build/libfuzzer/corpus/$(T)
	clang -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined -I$(srcdir)/src -I$(srcdir)/test/unit \
		-o build/libfuzzer/$(T) $(srcdir)/test/fuzz/$(T)_fuzz.c $(addprefix $(srcdir)/,$(HOSTFREE_SRCS)) -lm
	build/libfuzzer/$(T) -max_total_time=$(FUZZ_SECONDS) build/libfuzzer/corpus/$(T) $(wildcard $(srcdir)/test/fuzz/corpus/$(T))

# ------------------------------------------------------------------------
# Everything that needs a server goes through test/run, which makes one.
# ------------------------------------------------------------------------

RUN = PG_CONFIG='$(PG_CONFIG)' WERROR='$(WERROR)' $(srcdir)/test/run

test:
	$(RUN) lint unit fuzz regress isolation

test-all:
	$(RUN)

test-fuzz test-regress test-isolation:
	$(RUN) $(@:test-%=%)

coverage:
	$(RUN) --coverage regress isolation tap pgtap

test-tap:
	$(RUN) tap $(PROVE_TESTS)

# ------------------------------------------------------------------------
# Tools
# ------------------------------------------------------------------------

# make format FILES="src/x/y.c": for new files; see CONTRIBUTING.md, "Style"
CLANG_FORMAT ?= clang-format
format:
	$(if $(FILES),,$(error say which files: make format FILES="src/x/y.c"))
	$(CLANG_FORMAT) -i $(FILES)

lint:
	$(RUN) lint

# slower tools, for those who have them; their findings are worth a look, and
# some are wrong, so they fail nothing
tidy:
	-cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr \
		--suppress=unknownMacro --suppress=missingInclude --suppress=invalidPointerCast \
		--suppress=nullPointerArithmetic -I$(srcdir)/src $(srcdir)/src
	-clang-tidy --quiet $(OBJS:.o=.c) -- -std=gnu11 $(PG_CPPFLAGS) -D_GNU_SOURCE 2>/dev/null

# build/docs/sql.md: every object of the extension, from its script
docs:
	@mkdir -p build/docs
	$(srcdir)/test/docs/sql_reference > build/docs/sql.md
	@echo build/docs/sql.md

# the archive that goes to PGXN, from what is committed
DIST = $(EXTENSION)-$(shell sed -n 's/^ *"version": *"\(.*\)",$$/\1/p' $(srcdir)/META.json | tail -1)
dist:
	@mkdir -p build
	git -C $(srcdir) archive --format=zip --prefix=$(DIST)/ -o $(abspath build)/$(DIST).zip HEAD
	@echo build/$(DIST).zip
