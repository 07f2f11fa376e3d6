# podvisor's build and gate. `make help` lists the targets.
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
SAN ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON := /usr/bin/python3
MAKEFLAGS += --no-builtin-rules $(if $(V),,--silent)

ROOMS := base wire model io runtime control cli
# What a room's unit tests link, which is the room and those below it: the
# tests of base, wire and model cannot reach libuv at all.
LINK_base := base
LINK_wire := wire base
LINK_model := model wire base
LINK_io := io model wire base
LINK_runtime := runtime io model wire base
LINK_control := control runtime io model wire base
LINK_cli := cli runtime io model wire base
LINK_ALL := cli control runtime io model wire base
PURE := base wire model

PACKAGES := libuv libpq libcurl jansson libwebsockets libpcre2-8
PC_CFLAGS := $(subst -I,-isystem ,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
PC_LIBS = $(shell pkg-config --libs $(PACKAGES)) -lm
PURE_LIBS := -ljansson -lpcre2-8
CMOCKA_LIBS := -lcmocka

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough -Werror
CPPFLAGS := -D_GNU_SOURCE -Iinclude
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2
# Relocations stay lazy (no -z now): binding all of libcurl, libpq and OpenSSL at the start costs time.
LDFLAGS := -Wl,-z,relro -Wl,--as-needed
OPT := -O2 -g $(HARDEN)
# Sanitizers and -O0 make gcc guess wrong about what may be uninitialized; the plain builds are the judge of warnings.
ifdef SAN
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=undefined -Wno-error
endif
ifdef COVER
OPT := -O0 -g --coverage -Wno-error
endif
CFLAGS := -std=gnu11 -fPIE $(WARN) $(OPT)
COMPILE = $(CC) $(CPPFLAGS) $(PC_CFLAGS) $(CFLAGS) -MMD -MP
LINK = $(CC) $(OPT) -pie $(LDFLAGS)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

sources = $(wildcard supervisor/$1/*.c)
objects = $(patsubst supervisor/%.c,$(BUILD)/obj/%.o,$(call sources,$1))
libs = $(patsubst %,$(BUILD)/lib%.a,$1)
tests = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/$1))

LIBS := $(call libs,$(LINK_ALL))
PROGRAM := $(if $(wildcard supervisor/main.c),$(BUILD)/podvisor)
SHIM := $(if $(call sources,shim),$(BUILD)/podvisor-shim)
UNIT := $(call tests,unit/*/*_test.c)
SIM := $(if $(wildcard tests/sim/*.c),$(BUILD)/tests/sim/sim)
INTEGRATION := $(call tests,integration/*_test.c)
FIXTURES := $(patsubst tests/fixtures/%.c,$(BUILD)/fixtures/%,$(wildcard tests/fixtures/*.c)) \
	$(patsubst tests/fixtures/preload/%.c,$(BUILD)/fixtures/%.so,$(wildcard tests/fixtures/preload/*.c))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
FUZZERS := $(call tests,fuzz/*_fuzz.c)
SUPPORT := $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(filter-out %_test.c,$(wildcard tests/integration/*.c)))

export PODVISOR = $(abspath $(BUILD)/podvisor)
export PODVISOR_SHIM = $(abspath $(BUILD)/podvisor-shim)
export PODVISOR_FIXTURES = $(abspath $(BUILD)/fixtures)
export PODVISOR_BENCH = $(abspath $(BUILD)/bench)
SUITES = $(PYTHON) tests/tools/run-suites --build $(BUILD) --jobs $(JOBS)

.PHONY: all programs tests unit-tests sim-tests integration-tests run test check unit sim spin integration e2e charts tools deploy kubeconfig rollback bootstrap preview preview-down preview-sweep dns-plan dns-apply faults asan valgrind tidy tidy-all tidy-files format format-check \
	layers cover fuzz fuzzers bench chrome-faults deps compile_commands.json manual install clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: programs ## Build podvisor and its shim into $(BUILD) (default)
programs: $(LIBS) $(PROGRAM) $(SHIM) $(FIXTURES) $(BENCH)
tests: programs unit-tests sim-tests integration-tests ## Build every test as well, without running it
# ONLY=part/of/path keeps what is built and run to the tests that have it in their path.
only = $(if $(ONLY),$(foreach t,$1,$(if $(findstring $(ONLY),$t),$t)),$1)
unit-tests: $(call only,$(UNIT))
sim-tests: $(SIM)
integration-tests: programs $(call only,$(INTEGRATION))

run: ## Install what is needed, build, and run the whole demo stack (Ctrl-C ends it)
	.ci/install build run
	+$(MAKE) --no-print-directory -j$(JOBS) all
	BUILD=$(abspath $(BUILD)) exec examples/demo/run
test: ## Everything: packages, check, integration and end-to-end tests; ends with the counts
	.ci/install
	.ci/tools
	$(SUITES) gcc clang layers format tidy spin asan-unit asan-sim integration charts e2e
check: ## The gate: gcc and clang, layers, format, tidy, unit tests and simulation under sanitizers
	$(SUITES) gcc clang layers format tidy asan-unit asan-sim

unit: ## Unit tests (ONLY=part/of/name picks some)
	$(SUITES) unit
# What is asked for by number is run in the open, for as long as it takes.
sim: $(if $(SIM_STEPS)$(SIM_SEEDS)$(SIM_SEED),$(SIM)) ## The model in virtual time, with seeded random events and faults (SIM_STEPS=n, SIM_SEED=n)
	$(if $(SIM_STEPS)$(SIM_SEEDS)$(SIM_SEED),$(SIM),$(SUITES) sim)
integration: ## Ports and runtime parts against the real kernel, PostgreSQL and Chrome
	$(SUITES) integration
e2e: ## The real binary, from outside (pytest; ONLY=expression picks some)
	$(SUITES) e2e
faults: ## Every call that podvisor makes in a life fails once (make test takes a sample of them)
	FAULTS_ALL=1 ONLY=test_faults $(SUITES) e2e
asan: ## Unit, sim, integration and end-to-end tests under AddressSanitizer and UBSan
	$(SUITES) asan-unit asan-sim asan-integration asan-e2e
valgrind: ## The same under valgrind
	$(SUITES) valgrind-unit valgrind-sim valgrind-integration valgrind-e2e
spin: ## The protocol of leases, model-checked to completion, and its known mistakes found (Spin)
	$(SUITES) spin
charts: ## Charts and deploy tooling: rendered, refused, validated, run (ONLY=expression picks some; make tools first)
	$(SUITES) charts
tidy: ## clang-tidy and cppcheck
	$(SUITES) tidy
layers: $(LIBS) ## The rule of LAYERS: includes, cycles and symbols
	$(PYTHON) tests/tools/layers $(BUILD)
cover: ## Line coverage of unit, sim and integration tests (gcovr)
	$(SUITES) cover
fuzz: ## Each fuzzer for FUZZ_SECONDS (30)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(SUITES) fuzz
bench: ## Measure podvisor beside its peers (BENCH_ARGS="--rounds 5 --only start"; 15 minutes)
	.ci/install build bench
	+$(MAKE) --no-print-directory -j$(JOBS) all
	tests/bench/run $(BENCH_ARGS)
chrome-faults: all ## Chrome's fault matrix with its times, 100 kills, 20 swaps under load (CHROME_ARGS="--only GPU"; 50 minutes)
	tests/bench/chrome_faults $(CHROME_ARGS)
	PODVISOR_KILLS=100 PODVISOR_SWAPS=20 $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/e2e/test_browser_life.py \
		tests/e2e/test_browser_clients.py -k "whatever_is_killed or swaps_under_load"

C_FILES = $(shell find supervisor include tests -name '*.[ch]' -not -path '*/node_modules/*')
format: ## Reformat every C file
	clang-format -i $(C_FILES)
format-check: ## Fail when a C file is not formatted
	clang-format --dry-run --Werror $(C_FILES)
CPPCHECK := cppcheck -q -j$(JOBS) --std=c11 $(CPPFLAGS) --enable=warning,performance,portability --inline-suppr \
	--library=tests/tools/cppcheck.cfg --suppress=zerodivcond --suppress=ctuuninitvar --error-exitcode=1
tidy-all: tidy-files
	@mkdir -p $(BUILD)/cppcheck
	$(CPPCHECK) --cppcheck-build-dir=$(BUILD)/cppcheck supervisor
# One stamp per source, made anew whenever its object is: a second run looks at what changed only.
tidy-files: $(patsubst supervisor/%.c,$(BUILD)/tidy/%.ok,$(wildcard supervisor/*.c supervisor/*/*.c))
$(BUILD)/tidy/%.ok: supervisor/%.c $(BUILD)/obj/%.o .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- -std=gnu11 $(CPPFLAGS) $(PC_CFLAGS) 2>$@.err || { cat $@.err; false; }
	touch $@

# Deploying: each is a script of deploy/ with --help. DRY=1 only says what would be done.
DRY_RUN := $(if $(DRY),--dry-run)
deploy: ## Put an image into service (ENV=stage|prod DIGEST=sha256:...)
	deploy/deploy --env '$(ENV)' --digest '$(DIGEST)' $(DRY_RUN)
kubeconfig: ## An entry for kubectl and Helm that lasts an hour (CLUSTER=newmarkettrading)
	doctl kubernetes cluster kubeconfig save '$(or $(CLUSTER),newmarkettrading)' --expiry-seconds 3600
rollback: ## Go back to the revision before (ENV=stage|prod, TO=revision)
	deploy/rollback --env '$(ENV)' $(if $(TO),--to '$(TO)') $(DRY_RUN)
bootstrap: ## From an empty account to the running stack (ENV=stage|prod EMAIL=you@example.org)
	deploy/bootstrap --env '$(ENV)' --email '$(EMAIL)' $(if $(DIGEST),--digest '$(DIGEST)') $(if $(FROM),--from '$(FROM)') $(DRY_RUN)
# What comes from a pull request goes by the environment: make would put it into a shell's line.
preview preview-down preview-sweep: export PREVIEW_BRANCH := $(value BRANCH)
preview preview-down preview-sweep: export PREVIEW_OPEN := $(value OPEN)
preview: ## Make or update the preview of a pull request (PR=N APP=frontend|docs BRANCH=name)
	deploy/preview up --app '$(APP)' --pr '$(PR)' --branch="$$PREVIEW_BRANCH" $(DRY_RUN)
preview-down: ## Take it down (PR=N APP=frontend|docs)
	deploy/preview down --app '$(APP)' --pr '$(PR)' $(DRY_RUN)
preview-sweep: ## Take down what is no longer open (APP=frontend|docs OPEN=N,N)
	deploy/preview sweep --app '$(APP)' --open="$$PREVIEW_OPEN" $(DRY_RUN)
dns-plan: ## What would change in the zone (ENV=stage|prod ADDRESS=load balancer's)
	deploy/dns plan --env '$(ENV)' --address '$(ADDRESS)'
dns-apply: ## Change it
	deploy/dns apply --env '$(ENV)' --address '$(ADDRESS)' $(DRY_RUN)

manual: programs ## Write docs/man/podvisor.1 and docs/commands.md out of the table of commands
	docs/man/generate $(BUILD)/podvisor
deps: ## Install the Debian packages that build, run and test podvisor
	.ci/install
tools: ## Install Helm 3 and 4, kubeconform, actionlint ... outside the repository, each at its version
	.ci/tools
compile_commands.json: ## The compilation database for editors
	@printf '%s\n' $(wildcard supervisor/*.c supervisor/*/*.c tests/*/*.c tests/*/*/*.c) | \
	$(PYTHON) tests/tools/compile-commands $(CC) $(CPPFLAGS) $(PC_CFLAGS) $(CFLAGS) > $@
install: all ## Install into PREFIX (/usr/local), below DESTDIR
	install -D -m 755 $(BUILD)/podvisor $(DESTDIR)$(PREFIX)/bin/podvisor
	install -D -m 755 $(BUILD)/podvisor-shim $(DESTDIR)$(PREFIX)/libexec/podvisor/podvisor-shim
	install -D -m 644 docs/man/podvisor.1 $(DESTDIR)$(PREFIX)/share/man/man1/podvisor.1
	$(BUILD)/podvisor completion bash > $(BUILD)/completion.bash
	install -D -m 644 $(BUILD)/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/podvisor
clean: ## Remove everything that was built
	rm -rf $(BUILD) $(BUILD)-*/ compile_commands.json
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The directory is a prerequisite so that a source that goes away leaves the archive too.
define ROOM
$(BUILD)/lib$1.a: $(call objects,$1) $(wildcard supervisor/$1)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $(call objects,$1)
$(BUILD)/tests/unit/$1/%_test: tests/unit/$1/%_test.c $(call libs,$(LINK_$1))
	@mkdir -p $$(@D)
	$$(COMPILE) $$< -o $$@ -pie $$(LDFLAGS) $(call libs,$(LINK_$1)) $$(CMOCKA_LIBS) \
	$(if $(filter $1,$(PURE)),$(PURE_LIBS),$$(PC_LIBS))
endef
$(foreach r,$(ROOMS),$(eval $(call ROOM,$r)))

$(BUILD)/obj/%.o: supervisor/%.c
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@
$(BUILD)/obj/control/dashboard.o: supervisor/control/dashboard.html
$(BUILD)/obj/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@
# The version is compiled into one file, and only when it changed.
VERSIONED := $(firstword $(wildcard supervisor/cli/version.c) supervisor/main.c)
$(VERSIONED:supervisor/%.c=$(BUILD)/obj/%.o): CPPFLAGS += -DPODVISOR_VERSION='"$(VERSION)"'
$(VERSIONED:supervisor/%.c=$(BUILD)/obj/%.o): $(BUILD)/version
$(BUILD)/version: FORCE
	@mkdir -p $(@D); echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@

$(BUILD)/podvisor: $(BUILD)/obj/main.o $(LIBS)
	$(LINK) $^ -o $@ $(PC_LIBS)

# The shim stands beside every worker: small, static, never sanitized. With musl it starts in less than half the time and
# keeps a third of the memory, since glibc's start-up asks the CPU for its features, which a virtual machine traps. Where
# there is no musl-gcc, glibc will do. (musl's vfork was a fork on some machines; the shim needs a real one.)
SHIM_CC := $(or $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),$(shell command -v musl-gcc)),$(CC))
SHIM_SOURCES := $(call sources,shim) supervisor/wire/procfs.c supervisor/wire/shim.c
SHIM_CFLAGS := -std=gnu11 -O2 -g $(HARDEN) -fno-pie -ffunction-sections -fdata-sections $(WARN)
$(BUILD)/static/%.o: supervisor/%.c
	@mkdir -p $(@D)
	$(SHIM_CC) $(CPPFLAGS) $(SHIM_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/podvisor-shim: $(SHIM_SOURCES:supervisor/%.c=$(BUILD)/static/%.o)
	$(SHIM_CC) -static -no-pie -Wl,--gc-sections $^ -o $@

$(BUILD)/tests/sim/sim: $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(wildcard tests/sim/*.c)) $(call libs,$(LINK_model))
	@mkdir -p $(@D)
	$(LINK) $(filter %.o,$^) $(call libs,$(LINK_model)) -o $@ $(CMOCKA_LIBS) $(PURE_LIBS)
$(BUILD)/tests/integration/%_test: tests/integration/%_test.c $(SUPPORT) $(LIBS)
	@mkdir -p $(@D)
	$(COMPILE) $< -o $@ $(SUPPORT) -pie $(LDFLAGS) $(LIBS) $(CMOCKA_LIBS) $(PC_LIBS)
$(BUILD)/fixtures/%: tests/fixtures/%.c
	@mkdir -p $(@D)
	$(COMPILE) $< -o $@ -pie
# Unfortified: the C library's checked forms of read and recv would be defined here a second time, as inline functions.
# Never sanitized: it is asked before a sanitizer has begun.
$(BUILD)/fixtures/%.so: tests/fixtures/preload/%.c
	@mkdir -p $(@D)
	$(COMPILE) -U_FORTIFY_SOURCE -fno-sanitize=all -fPIC -shared $< -o $@
# Small and static, as what they stand for: their own weight must not be measured.
$(BUILD)/bench/%: tests/bench/%.c $(wildcard tests/bench/*.h)
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(SHIM_CFLAGS) -static $< -o $@
# llhttp, the fuzzers' second opinion, comes as sources (node-llhttp). It is watched for coverage, so that what it tells
# apart is tried out, but its faults are not ours to find.
LLHTTP := /usr/share/llhttp
LLHTTP_CFLAGS := -isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
fuzzers: $(FUZZERS)
$(BUILD)/tests/fuzz/%_fuzz: tests/fuzz/%_fuzz.c $(BUILD)/liboracle.a $(call libs,$(LINK_model))
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=fuzzer $< -o $@ -pie $(filter %.a,$^) $(PURE_LIBS)
$(BUILD)/liboracle.a: $(BUILD)/obj/tests/fuzz/oracle.o $(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp)
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/obj/tests/fuzz/oracle.o: CPPFLAGS += $(LLHTTP_CFLAGS)
$(BUILD)/obj/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -g -w -fPIE $(LLHTTP_CFLAGS) $(if $(SAN),-fsanitize=fuzzer-no-link) -c $< -o $@
$(LLHTTP)/%.c:
	@echo 'llhttp is not installed: make deps installs it (node-llhttp)' >&2; false

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
