# SPDX-License-Identifier: MIT
# A thin front to Meson: `make help` lists what there is. BUILD=folder builds elsewhere.
BUILD ?= build
PREFIX ?= /usr/local
SAN_JOBS ?= 2
export L7_BUILD = $(abspath $(BUILD))
SAN_ENV = L7_BUILD=$(abspath $@-build) L7_PEERS=$(abspath $(BUILD)/peers) L7_PATIENCE=60

.PHONY: all build run test unit sim e2e bench soak lint asan ubsan tsan valgrind ucontext fuzz mutate torture cover format install \
        deb-deps clean help

all: build

build: $(BUILD)/build.ninja ## the program, at build/l7
	@meson compile -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/deps build
	@meson setup $(BUILD) --prefix $(PREFIX) -Dwhole=true >$(BUILD).setup.log || { cat $(BUILD).setup.log; exit 1; }
	@rm -f $(BUILD).setup.log

run: $(BUILD)/build.ninja ## everything at once on loopback: the lab
	@meson compile -C $(BUILD) l7 >$(BUILD)/run.log || { cat $(BUILD)/run.log; exit 1; }
	@exec $(BUILD)/l7 lab $(ARGS)

test: ## every test: unit, fuzz corpora, simulated network, end to end
	@tools/deps build test
	@$(MAKE) --no-print-directory build
	@tools/run_tests $(BUILD)

unit sim: build ## one ring of tests
	@meson test -C $(BUILD) --suite $@ --print-errorlogs

e2e: build ## the end-to-end tests; ONLY=echo.EchoTcp chooses
	@tests/e2e/run.py $(ONLY)

bench: build ## ratios against peers, in the same run
	@tools/deps bench
	@bench/run $(ONLY)

soak: build ## long loads and kill loops
	@tools/run_tests $(BUILD) --suite soak --e2e soak_

lint: ## format, layers, lengths, banned calls, clang-tidy, cppcheck
	@tools/deps build lint
	@$(MAKE) --no-print-directory build
	@tools/lint $(BUILD)

# The sanitizers build in folders of their own, run rings 1 to 4, and must report the bugs planted for them.
asan ubsan tsan: ## all tests under AddressSanitizer, UBSan or ThreadSanitizer
	@tools/deps build test sanitizers
	@tools/sanitize $@ $@-build $(SAN_JOBS)
	@$(SAN_ENV) tools/run_tests $@-build

valgrind: build ## the unit tests under memcheck
	@tools/deps sanitizers
	@meson test -C $(BUILD) --suite unit --wrap 'valgrind -q --error-exitcode=9' --timeout-multiplier 20 --print-errorlogs

ucontext: ## all tests with libc's context switch in place of the assembly
	@tools/deps build test
	@[ -f ucontext-build/build.ninja ] || meson setup ucontext-build -Dfiber=ucontext >/dev/null
	@meson compile -C ucontext-build
	@$(SAN_ENV) tools/run_tests ucontext-build

fuzz: ## search on with libFuzzer, FUZZ_SECONDS (60) a driver
	@tools/deps build sanitizers
	@tools/fuzz $${FUZZ_SECONDS:-60}

mutate: build ## break the cache's rules one by one: a requirement must turn red each time
	@tests/sim/mutate.py $(ONLY)

torture: build ## each system call and each allocation failing in turn
	@meson test -C $(BUILD) --suite torture --print-errorlogs

cover: ## line coverage of all tests
	@tools/deps build test cover
	@[ -f cover-build/build.ninja ] || meson setup cover-build -Db_coverage=true -Doptimization=0 >/dev/null
	@meson compile -C cover-build
	@L7_BUILD=$(abspath cover-build) L7_PEERS=$(abspath $(BUILD)/peers) tools/run_tests cover-build || true
	@gcovr -r . --object-directory cover-build --exclude tests --exclude bench -s | tail -5

format: ## clang-format over everything
	@git ls-files -z '*.[ch]' | xargs -0 clang-format -i

install: build ## DESTDIR and PREFIX as usual
	@meson install -C $(BUILD) --no-rebuild

deb-deps: ## install every Debian package that any target needs
	@tools/deps build test lint sanitizers bench cover

clean: ## remove the build folders
	rm -rf $(BUILD) *-build

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9 -]*:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
