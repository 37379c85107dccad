# SPDX-License-Identifier: MIT
#
# Banyan. 'make help' lists what can be made.
#
# Every variant (plain, check, asan, tsan ...) has a build folder of its own, so
# that objects never mix: a variant is this Makefile run again with another
# BUILD. What pkg-config and the compiler answer is asked for when it is first
# needed, so that 'make mount' and 'make check' can begin on a machine that has
# neither.

CC ?= cc
AR ?= ar
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
DESTDIR ?=

BUILD ?= build
SANITIZE ?= # as for -fsanitize=
COVERAGE ?= # 1: count what is run
WERROR ?= # 1: warnings are errors
LTO ?= 1 # empty: compile each file of the store by itself, as tests have them
V ?= # 1: show commands, and all that the tests print
KINDS ?= # of tests: folders of tests/, layers, planted; see tests/run.sh

# Of 'make mount'
DB ?= notes.banyan
DIR ?= notes

# Of the library and the programs, as store/banyan.h has it
VERSION = $(call once,VERSION,$(shell \
	sed -n 's/^.define BANYAN_VERSION "\(.*\)"/\1/p' store/banyan.h))
SONAME = libbanyan.so.$(firstword $(subst ., ,$(VERSION)))

# ---- flags ------------------------------------------------------------------

# $(call once,NAME,VALUE): VALUE, worked out when NAME is first used
once = $(eval $1 := $2)$($1)

CLANG = $(call once,CLANG,$(findstring clang,$(shell $(CC) --version)))

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
	-Wwrite-strings -Wcast-qual -Wundef -Wformat=2 -Wimplicit-fallthrough \
	-Wpointer-arith -Wdouble-promotion -Wswitch-enum
WARNINGS_GCC = -Wlogical-op -Wduplicated-cond -Wduplicated-branches \
	-Wnull-dereference -Wcast-align=strict

HARDEN = -fstack-protector-strong -fstack-clash-protection \
	-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3

# -fno-semantic-interposition: or else -fPIC, which all objects share so that
# the library is compiled once, would keep the compiler from inlining
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -iquote store \
	-fPIC -fno-semantic-interposition -fno-common -pthread \
	$(WARNINGS) $(if $(CLANG),,$(WARNINGS_GCC)) $(if $(WERROR),-Werror)
BASE_LDFLAGS = -pthread -Wl,-z,relro,-z,now -Wl,--as-needed

ifneq ($(strip $(SANITIZE)),)
BASE_CFLAGS += -fsanitize=$(strip $(SANITIZE)) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
BASE_LDFLAGS += -fsanitize=$(strip $(SANITIZE))
else ifneq ($(strip $(COVERAGE)),)
BASE_CFLAGS += --coverage
BASE_LDFLAGS += --coverage
else
BASE_CFLAGS += $(HARDEN)
endif

# The library is one piece to the optimizer: scans are a sixth faster so, reads
# and loads a twentieth. Its tests, which look into it, have it file by file.
LTO_CFLAGS = $(if $(strip $(CLANG) $(SANITIZE) $(COVERAGE)),,$(if \
	$(strip $(LTO)),-flto=auto -ffat-lto-objects))
NO_LTO = $(if $(LTO_CFLAGS),-fno-lto)

# Other people's headers are not held to these warnings: -I becomes -isystem
package_cflags = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $1))
package_libs = $(shell $(PKG_CONFIG) --libs $1)

FUSE_CFLAGS = $(call once,FUSE_CFLAGS,$(call package_cflags,fuse3 liburing))
FUSE_LIBS = $(call once,FUSE_LIBS,$(call package_libs,fuse3 liburing))
JANSSON_CFLAGS = $(call once,JANSSON_CFLAGS,$(call package_cflags,jansson))
JANSSON_LIBS = $(call once,JANSSON_LIBS,$(call package_libs,jansson))
# libcsv tells pkg-config nothing
CSV_LIBS = -lcsv
CMOCKA_CFLAGS = $(call once,CMOCKA_CFLAGS,$(call package_cflags,cmocka))
CMOCKA_LIBS = $(call once,CMOCKA_LIBS,$(call package_libs,cmocka))
LMDB_CFLAGS = $(call once,LMDB_CFLAGS,$(call package_cflags,lmdb))
LMDB_LIBS = $(call once,LMDB_LIBS,$(call package_libs,lmdb))
SQLITE_CFLAGS = $(call once,SQLITE_CFLAGS,$(call package_cflags,sqlite3))
SQLITE_LIBS = $(call once,SQLITE_LIBS,$(call package_libs,sqlite3))
# Whom bench_store compares with; Berkeley DB tells pkg-config nothing, and
# RocksDB puts its headers where all are
PEER_CFLAGS = $(LMDB_CFLAGS) $(SQLITE_CFLAGS)
PEER_LIBS = $(LMDB_LIBS) $(SQLITE_LIBS) -lrocksdb -ldb-5.3 -lm

# ---- files ------------------------------------------------------------------

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $1))

STORE_OBJS := $(call objects,store/*/*.c)
FS_OBJS := $(call objects,fs/*.c)
TOOLS_OBJS := $(call objects,tools/*.c)
# What both programs need
COMMON_OBJS := $(call objects,common/*.c)
# Each folder below tests/ has tests and what only they use; what is used by
# more than one is in tests/support/
TEST_DIRS := $(filter-out tests/bench/ tests/mount/ tests/tools/,\
	$(wildcard tests/*/ tests/unit/*/))
TEST_OBJS := $(call objects,$(TEST_DIRS:%=%test_*.c))
# What is fuzzed, which test_corpus runs, too; driver.c is made once for each
FUZZ_TARGETS := $(patsubst tests/fuzz/target_%.c,%,\
	$(wildcard tests/fuzz/target_*.c))
FUZZ_OBJS := $(filter-out %/driver.o %/make_seeds.o $(TEST_OBJS),\
	$(call objects,tests/fuzz/*.c))
FUZZERS := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/fuzz_%)
# What test_golden reads golden files with
GOLDEN_OBJS := $(filter-out %/make_golden.o $(TEST_OBJS),\
	$(call objects,tests/golden/*.c))
HELPER_OBJS := $(filter-out $(TEST_OBJS) %/driver.o %/make_seeds.o \
	%/make_golden.o,$(call objects,$(TEST_DIRS:%=%*.c)))
BENCH_OBJS := $(call objects,tests/bench/bench_*.c)
BENCH_HELPER_OBJS := $(filter-out $(BENCH_OBJS) %/memory_fs.o %/vacuum_load.o,\
	$(call objects,tests/bench/*.c))

# Those that need nothing of other people's: the tests build them, too, so that they can
# be built when they are wanted
BENCH_PLAIN = $(BUILD)/tests/bench/memory_fs $(BUILD)/tests/bench/vacuum_load
BENCH_PLAIN_OBJS := $(filter-out %/report.o,$(filter-out \
	$(BUILD)/tests/bench/engine_%,$(BENCH_HELPER_OBJS)))

LIB_A = $(BUILD)/libbanyan.a
LIB_SO = $(BUILD)/libbanyan.so
# What tests may pick from: the inside of the store; helpers, and the daemon but
# for its main()
STORE_A = $(BUILD)/store.a
TEST_A = $(BUILD)/tests.a
TESTS = $(TEST_OBJS:.o=)
# Small programs for people to read, which a suite runs
EXAMPLE_OBJS := $(call objects,examples/*.c)
EXAMPLES = $(EXAMPLE_OBJS:.o=)
# Folders whose tests are in C
C_KINDS = unit model crash support fuzz golden
BENCHES = $(BENCH_OBJS:.o=)
PROGRAMS = $(BUILD)/banyan $(BUILD)/banyanfs

SOURCES = $(wildcard store/banyan.h store/*/*.[ch] \
	$(foreach dir,common/ fs/ tools/ examples/ tests/bench/ $(TEST_DIRS),$(dir)*.c $(dir)*.h))

SCRIPTS = $(wildcard .ci/run tools/*.sh tools/*.bash \
	tests/*.sh tests/*/*.sh tests/*/*/*.sh)

# ---- what people ask for ----------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help tests examples mount check check-long check-mount-long check-planted check-asan \
	check-tsan check-valgrind run-tests cov fuzz fuzzers golden check-layers lint \
	format bench bench-store bench-kill bench-mount bench-vacuum bench-programs \
	install uninstall clean

all: $(LIB_A) $(LIB_SO) $(BUILD)/$(SONAME) $(PROGRAMS) ## Build the library, banyan and banyanfs (the default)

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do \
			printf '  %-16s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  Variables, with their defaults: CC=gcc CFLAGS='-O2 -g' PREFIX=/usr/local DESTDIR= V="

# Where nothing was said about jobs: one a CPU
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring j,$(MAKEFLAGS)),,-j$(JOBS))

mount: ## Mount database DB on directory DIR, with all that it takes: make mount DB=notes.banyan DIR=notes
	@tools/mount.sh --early "$$DB" "$$DIR"
	@tools/setup.sh build
	@$(SUBMAKE) all
	@tools/mount.sh "$$DB" "$$DIR"
export DB DIR

check: ## Install what is missing, build, run all tests: under 4 minutes
	@tools/setup.sh build check
	@$(SUBMAKE) BUILD=build/check WERROR=1 run-tests

check-long: ## The same tests with many more rounds: 300 000 power cuts, 20 kills in mid-copy and the like; check-mount-long
	@tools/setup.sh build check long
	@BANYAN_LONG=1 BANYAN_ROUNDS=20 TIME_LIMIT=3600 \
		$(SUBMAKE) BUILD=build/check WERROR=1 \
		KINDS="$(or $(strip $(KINDS)),layers $(C_KINDS) tools mount mount/long planted)" \
		run-tests

check-mount-long: ## Large odd trees, programs, kills, limits and millions of keys in a mount, over each transport: about 20 minutes
	@tools/setup.sh build check long
	@$(SUBMAKE) BUILD=build/check WERROR=1 all
	@BUILD=build/check TIME_LIMIT=1800 JOBS=$(JOBS) V=$(V) tests/run.sh mount/long

check-planted: ## Plant bugs in a copy of the sources: a test must fail with each
	@tools/setup.sh build check
	@tests/planted.sh $(ARGS)

check-asan: ## All tests with the address and undefined-behaviour sanitizers
	@tools/setup.sh build check
	@TIME_LIMIT=600 $(SUBMAKE) BUILD=build/asan SANITIZE=address,undefined \
		WERROR=1 CFLAGS="-O1 -g" run-tests

check-rings: ## The tests of the mount over io_uring, with the address and undefined-behaviour sanitizers
	@tools/setup.sh build check
	@RINGS=1 TIME_LIMIT=600 $(SUBMAKE) BUILD=build/asan \
		SANITIZE=address,undefined WERROR=1 CFLAGS="-O1 -g" KINDS=mount \
		run-tests

# Both with BANYAN_SHORT: where a loop is over what is much alike, one in so many
check-tsan: ## The tests in C and of the mount with the thread sanitizer (the tools have one thread)
	@tools/setup.sh build check
	@BANYAN_SHORT=1 TIME_LIMIT=900 $(SUBMAKE) BUILD=build/tsan \
		SANITIZE=thread CFLAGS="-O2 -g" \
		KINDS="$(or $(strip $(KINDS)),layers $(C_KINDS) mount)" run-tests

check-valgrind: ## The tests in C below valgrind
	@tools/setup.sh build check valgrind
	@BANYAN_SHORT=1 TIME_LIMIT=300 UNDER="valgrind -q --fair-sched=try --error-exitcode=99 --leak-check=full" \
		$(SUBMAKE) BUILD=build/check WERROR=1 \
		KINDS="$(or $(strip $(KINDS)),$(C_KINDS))" run-tests

cov: ## How much of each file the tests run
	@tools/setup.sh build check
	@mkdir -p build/cov && find build/cov -name "*.gcda" -delete
	@TIME_LIMIT=300 $(SUBMAKE) BUILD=build/cov COVERAGE=1 CFLAGS="-O0 -g" \
		run-tests
	@tests/coverage.sh build/cov

fuzz: ## Throw changed inputs at what reads a file, each target for FUZZ_SECONDS (60): make fuzz ONLY=node
	@tools/setup.sh build fuzz
	@$(SUBMAKE) BUILD=build/fuzz CC=clang WERROR=1 CFLAGS="-O1 -g" \
		SANITIZE=address,undefined,fuzzer-no-link fuzzers
	@BUILD=build/fuzz tests/fuzz/run.sh $(ONLY)

golden: $(BUILD)/tests/golden/make_golden ## Make tests/golden/ anew: only while the format may still change
	@rm -f tests/golden/*.image tests/golden/*.list
	@$< tests/golden

check-layers: ## Do the sources include only what lies below them?
	@tests/check_layers.sh

lint: check-layers ## clang-format, clang-tidy and shellcheck have nothing to say; check-layers
	@tools/setup.sh build lint
	@clang-format --dry-run -Werror $(SOURCES)
	@$(SUBMAKE) BUILD=build/lint tidy shellcheck

format: ## Format the sources with clang-format
	@tools/setup.sh lint
	@clang-format -i $(SOURCES)

bench: bench-store bench-mount bench-vacuum ## All benchmarks

bench-store: ## This library and LMDB, SQLite, RocksDB, Berkeley DB: make bench-store KEYS=1M VALUE_SIZE=100 ROUNDS=3 ARGS=--help
	@tools/setup.sh build bench
	@$(SUBMAKE) bench-programs
	@$(BUILD)/tests/bench/bench_store --dir $(BUILD) \
		$(if $(KEYS),--keys $(KEYS)) \
		$(if $(VALUE_SIZE),--value-size $(VALUE_SIZE)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)
	@$(BUILD)/tests/bench/bench_held

bench-kill: ## Kill loads half-way: is every batch there that had returned, how long does the next open take? KEYS=10000000 CACHE=256 ROUNDS=3
	@tools/setup.sh build bench
	@$(SUBMAKE) bench-programs
	@dir=$$(mktemp -d -p $(BUILD)) && trap 'rm -r "$$dir"' EXIT && \
		$(BUILD)/tests/bench/bench_kill "$$dir" $(or $(KEYS),10000000) \
		$(or $(CACHE),256) $(or $(ROUNDS),3)

bench-mount: ## What people do with files: the mount over each transport, the disk below, others: make bench-mount ARGS='-f 10000 -r 3 -c out.csv'
	@tools/setup.sh build bench
	@$(SUBMAKE) all bench-programs
	@BUILD=$(BUILD) CC=$(CC) tests/bench/bench_mount.sh $(ARGS)

bench-vacuum: ## Vacuums, punches, diffs and snapshots against their targets; 13 GiB of disk: make bench-vacuum ARGS='-d 50 -r 3 large small diff snapshots'
	@tools/setup.sh build bench
	@$(SUBMAKE) all bench-programs
	@BUILD=$(BUILD) tests/bench/bench_vacuum.sh $(ARGS)

install: all ## Install below $(DESTDIR)$(PREFIX)
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" \
		"$(DESTDIR)$(INCLUDEDIR)" \
		"$(DESTDIR)$(DATADIR)/bash-completion/completions" \
		"$(DESTDIR)$(DATADIR)/doc/banyan/io_uring"
	install -m 755 $(PROGRAMS) "$(DESTDIR)$(BINDIR)"
	install -m 644 $(LIB_A) "$(DESTDIR)$(LIBDIR)"
	install -m 644 $(LIB_SO) "$(DESTDIR)$(LIBDIR)/libbanyan.so.$(VERSION)"
	ln -sf libbanyan.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libbanyan.so"
	install -m 644 store/banyan.h "$(DESTDIR)$(INCLUDEDIR)"
	install -m 644 tools/banyan.bash \
		"$(DESTDIR)$(DATADIR)/bash-completion/completions/banyan"
	install -m 644 docs/io_uring/* \
		"$(DESTDIR)$(DATADIR)/doc/banyan/io_uring"
	printf '%s\n' 'Name: banyan' 'Version: $(VERSION)' \
		'Description: an ordered key-value store in one file' \
		'Cflags: -I$(INCLUDEDIR)' 'Libs: -L$(LIBDIR) -lbanyan' \
		'Libs.private: -pthread' \
		>"$(DESTDIR)$(LIBDIR)/pkgconfig/banyan.pc"

uninstall: ## Remove what install has put there
	rm -f $(addprefix "$(DESTDIR)$(BINDIR)"/,$(notdir $(PROGRAMS))) \
		"$(DESTDIR)$(INCLUDEDIR)/banyan.h" \
		$(addprefix "$(DESTDIR)$(LIBDIR)"/,libbanyan.a libbanyan.so \
			$(SONAME) libbanyan.so.$(VERSION) pkgconfig/banyan.pc) \
		"$(DESTDIR)$(DATADIR)/bash-completion/completions/banyan"
	rm -rf "$(DESTDIR)$(DATADIR)/doc/banyan"

clean: ## Remove everything that was built
	rm -rf build $(BUILD)

# ---- how --------------------------------------------------------------------

# The tests on a variant; the runner needs its programs by their names
run-tests: all tests
	@BUILD=$(BUILD) JOBS=$(JOBS) V=$(V) tests/run.sh $(KINDS)

tests: $(TESTS) examples $(BENCH_PLAIN)
examples: $(EXAMPLES) ## Build the programs in examples/
fuzzers: $(FUZZERS) $(BUILD)/tests/fuzz/make_seeds
bench-programs: $(BENCHES) $(BENCH_PLAIN)

# Say "CC store/base/buf.c" rather than the whole command, unless V=1
quiet = $(if $(V),,@printf '  %-4s %s\n' $1 $(patsubst $(BUILD)/%,%,$2);)

$(BUILD)/common/%.o: EXTRA_CFLAGS = -iquote .
$(BUILD)/fs/%.o: EXTRA_CFLAGS = -iquote . $(FUSE_CFLAGS)
$(BUILD)/tests/%.o: EXTRA_CFLAGS = $(FUSE_CFLAGS)
$(BUILD)/tests/%.o: EXTRA_CFLAGS += -iquote . $(CMOCKA_CFLAGS)
$(BUILD)/tests/bench/%.o: EXTRA_CFLAGS = -iquote . $(FUSE_CFLAGS)
$(BUILD)/tests/bench/engine_%.o: EXTRA_CFLAGS = -iquote . $(PEER_CFLAGS)
$(BUILD)/store/%.o: EXTRA_CFLAGS = $(LTO_CFLAGS)
$(BUILD)/tools/%.o: EXTRA_CFLAGS = -iquote . $(JANSSON_CFLAGS) \
	-DBANYANFS_PATH='"$(BINDIR)/banyanfs"'

# Objects are made anew when what they are made with changes
FLAGS = $(CC) $(BASE_CFLAGS) $(LTO_CFLAGS) $(CPPFLAGS) $(CFLAGS) : $(BASE_LDFLAGS) $(LDFLAGS)
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@
.PHONY: force

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(BASE_CFLAGS) $(EXTRA_CFLAGS) $(CPPFLAGS) \
		$(CFLAGS) -MMD -MP -c -o $@ $<

comma := ,
LINK_MODE = -pie
link = $(call quiet,LD,$@)$(CC) $(LINK_MODE) $(BASE_LDFLAGS) $(CFLAGS) \
	$(LDFLAGS) -o $@

# All of the store in one object, in which only banyan.h's names can be seen
$(BUILD)/libbanyan.o: $(STORE_OBJS)
	$(call quiet,LD,$@)$(CC) -r $(if $(LTO_CFLAGS),$(BASE_CFLAGS) $(CFLAGS) \
		-flto=auto -flinker-output=nolto-rel) -o $@ $^
	@$(OBJCOPY) --wildcard --keep-global-symbol='banyan_*' $@

$(LIB_A): $(BUILD)/libbanyan.o
	@rm -f $@
	$(call quiet,AR,$@)$(AR) rcs $@ $^

$(STORE_A): $(STORE_OBJS)
	@rm -f $@
	$(call quiet,AR,$@)$(AR) rcs $@ $^

$(LIB_SO): LINK_MODE = -shared -Wl,-soname,$(SONAME) \
	-Wl,--version-script=store/banyan.map
$(LIB_SO): $(BUILD)/libbanyan.o store/banyan.map
	$(link) $<

# What a program that was linked with it here looks for
$(BUILD)/$(SONAME): $(LIB_SO)
	@ln -sf $(<F) $@

$(BUILD)/banyan: $(TOOLS_OBJS) $(COMMON_OBJS) $(LIB_A)
	$(link) $^ $(JANSSON_LIBS) $(CSV_LIBS)

$(BUILD)/banyanfs: $(FS_OBJS) $(COMMON_OBJS) $(LIB_A)
	$(link) $^ $(FUSE_LIBS)

$(TEST_A): $(HELPER_OBJS) $(COMMON_OBJS) $(filter-out $(BUILD)/fs/main.o,$(FS_OBJS))
	@rm -f $@
	$(call quiet,AR,$@)$(AR) rcs $@ $^

$(TESTS): %: %.o $(TEST_A) $(STORE_A)
	$(link) $(NO_LTO) $^ $(CMOCKA_LIBS) $(FUSE_LIBS)

# Tests that come between the program and what it calls
wrap = $(patsubst %,-Wl$(comma)--wrap=%,$1)
%/test_no_memory %/test_salvage_memory %/test_vacuum_memory \
%/test_history_memory: LINK_MODE = -pie $(call wrap,malloc \
	calloc realloc aligned_alloc strdup strndup vasprintf __vasprintf_chk \
	realpath fdopendir mmap64 pthread_create pool_alloc)
%/test_interrupted: LINK_MODE = -pie $(call wrap,pread64 \
	pwritev64 fallocate64 ftruncate64 fcntl64)
%/test_replies: LINK_MODE = -pie $(call wrap,fuse_req_userdata fuse_req_ctx \
	fuse_reply_err fuse_reply_entry fuse_reply_create \
	banyan_get_attr banyan_delete)
%/test_publish: LINK_MODE = -pie $(call wrap,fsync renameat \
	renameat2 pwritev64)

$(BUILD)/fuzz.a: $(FUZZ_OBJS) $(BUILD)/tests/support/fault_image.o
	@rm -f $@
	$(call quiet,AR,$@)$(AR) rcs $@ $^

$(BUILD)/tests/fuzz/driver_%.o: tests/fuzz/driver.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(BASE_CFLAGS) -iquote . $(CPPFLAGS) $(CFLAGS) \
		-DTARGET=fuzz_$* -MMD -MP -c -o $@ $<

$(FUZZERS): $(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/driver_%.o \
		$(BUILD)/fuzz.a $(STORE_A)
	$(link) -fsanitize=fuzzer $^

$(BUILD)/tests/fuzz/make_seeds: $(BUILD)/tests/fuzz/make_seeds.o \
		$(BUILD)/fuzz.a $(STORE_A)
	$(link) $(NO_LTO) $^

$(BUILD)/tests/golden/make_golden: $(BUILD)/tests/golden/make_golden.o \
		$(GOLDEN_OBJS) $(BUILD)/fuzz.a $(STORE_A)
	$(link) $(NO_LTO) $^

$(BUILD)/bench.a: $(BENCH_HELPER_OBJS)
	@rm -f $@
	$(call quiet,AR,$@)$(AR) rcs $@ $^

$(EXAMPLES): %: %.o $(LIB_A)
	$(link) $^

$(BENCHES): %: %.o $(BUILD)/bench.a $(LIB_A)
	$(link) $^ $(PEER_LIBS)

$(BUILD)/tests/bench/memory_fs: %: %.o $(BENCH_PLAIN_OBJS) $(COMMON_OBJS) \
		$(filter-out $(BUILD)/fs/main.o,$(FS_OBJS)) $(LIB_A)
	$(link) $^ $(FUSE_LIBS)

$(BUILD)/tests/bench/vacuum_load: %: %.o $(BENCH_PLAIN_OBJS) $(LIB_A)
	$(link) $^

# clang-tidy, a file at a time so that -j helps. Not of the tests: what it says
# about fixtures and assertions is nearly always wrong.
TIDY = $(patsubst %.c,$(BUILD)/%.tidy,$(filter-out tests/% examples/%,$(filter %.c,$(SOURCES))))
.PHONY: tidy
tidy: $(TIDY)
	@:

$(BUILD)/common/%.tidy: EXTRA_CFLAGS = -iquote .
$(BUILD)/fs/%.tidy: EXTRA_CFLAGS = -iquote . $(FUSE_CFLAGS)
$(BUILD)/tools/%.tidy: EXTRA_CFLAGS = -iquote . $(JANSSON_CFLAGS)

$(BUILD)/%.tidy: %.c .clang-tidy $(filter %.h,$(SOURCES))
	@mkdir -p $(@D)
	$(call quiet,TIDY,$<)clang-tidy --quiet $< -- -std=c11 -D_GNU_SOURCE \
		-D_FILE_OFFSET_BITS=64 -iquote store $(WARNINGS) $(EXTRA_CFLAGS) \
		2>$@.log || { cat $@.log; exit 1; }
	@touch $@

# A script at a time, too: each sources some lib.sh
CHECKED = $(SCRIPTS:%=$(BUILD)/%.checked)
.PHONY: shellcheck
shellcheck: $(CHECKED)
	@:

$(CHECKED): $(BUILD)/%.checked: % .shellcheckrc \
		$(filter %/lib.sh tests/support/%,$(SCRIPTS))
	@mkdir -p $(@D)
	$(call quiet,SH,$<)shellcheck --severity=warning $<
	@touch $@

-include $(patsubst %.o,%.d,$(STORE_OBJS) $(COMMON_OBJS) $(FS_OBJS) $(TOOLS_OBJS) \
	$(TEST_OBJS) $(EXAMPLE_OBJS) $(HELPER_OBJS) $(call objects,tests/bench/*.c) \
	$(BUILD)/tests/fuzz/make_seeds.o $(BUILD)/tests/golden/make_golden.o)
