# minivmm: build, test and demo. `make help` lists the targets.
#
# The product is one static binary built with musl. `make test` is everything that CI runs.

BUILD ?= build
MAKEFLAGS += -j$(shell nproc) --no-print-directory
CC_MUSL ?= musl-gcc
CC_TEST ?= gcc
# The version and its date are said once, at the top of the changelog.
CHANGELOG := packaging/debian/changelog
VERSION := $(shell sed -nE '1s/.*\((.*)\).*/\1/p' $(CHANGELOG))
RELEASED := $(shell date -d "$$(sed -nE '/^ -- /{s/.*>  //p;q}' $(CHANGELOG))" +%s)

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wimplicit-fallthrough -Wmissing-prototypes \
	-Wstrict-prototypes -Wcast-qual -Wwrite-strings -Wtype-limits -Werror
WARNINGS_PURE := -Wconversion
WARNINGS_CLANG := -Wcomma
# musl-gcc does not look where the kernel's headers are.
KERNEL_HEADERS := -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
# Debian's static libraries, which were built for another libc, need nothing of it but memchr() and
# the like; the folder, which also has that libc's libraries, is no search path.
LIBRARIES := $(addprefix /usr/lib/x86_64-linux-gnu/,libfdt.a liburing.a)
CPPFLAGS_OWN := -D_GNU_SOURCE -DMINIVMM_VERSION='"$(VERSION)"' -I.
CFLAGS ?= -Oz -g
CFLAGS_OWN := -std=c11 $(WARNINGS) -fno-common -ffunction-sections -fdata-sections -MMD -MP
# Nothing unwinds a stack at run time; debuggers have tables of their own, which strip removes.
# The binary is static and has a fixed address, so its code need not be independent of it.
CFLAGS_PRODUCT := -fno-asynchronous-unwind-tables -fno-pie
# The build ID joins a stripped program and its symbols (the package minivmm-dbgsym).
LDFLAGS_OWN := -static -Wl,--gc-sections -Wl,--build-id -Wl,-T,scripts/product.ld
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

SOURCES := $(sort $(wildcard vmm/base/*.c vmm/*.c devices/*.c vfio/*.c acpi/*.c tools/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
CLANG_OBJECTS := $(SOURCES:%.c=$(BUILD)/clang/%.o)

# Unit tests: every tests/**/test_*.c is a program, linked with all of the product but what talks
# to KVM and vhost, for which there are fakes.
KVM_USERS := devices/vhost.c vmm/main.c $(wildcard vmm/machine*.c) vmm/kvm.c vmm/mem.c vmm/irq.c vmm/doorbell.c vmm/vcpu.c vmm/vcpu_state.c
TEST_SOURCES := $(sort $(wildcard tests/test_*.c tests/*/test_*.c tests/*/*/test_*.c))
TEST_TOOLS := $(sort $(wildcard tests/*/dump_*.c))
TESTS := $(TEST_SOURCES:%.c=$(BUILD)/%) $(TEST_TOOLS:%.c=$(BUILD)/%)
TEST_OBJECTS := $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out $(KVM_USERS),$(SOURCES)) \
	$(wildcard tests/fake_*.c))

# `make V=1` shows the commands.
ifeq ($(V),1)
say = @:
else
Q := @
say = @echo
endif

all: minivmm man

help:
	@echo "make            build minivmm, one static binary, and its man pages"
	@echo "make install    install them; PREFIX (/usr/local), DESTDIR; make uninstall"
	@echo "make deb        build the Debian package"
	@echo "make demo       let a guest's device sleep and wake in the rig; print the timeline, draw it"
	@echo "make test       all tests: checks, unit, bare-metal guests on /dev/kvm, package, rig"
	@echo "make check      checks, unit tests, fuzzers, models only (minutes)"
	@echo "make test-bare  bare-metal guests on /dev/kvm and the fault matrix only"
	@echo "make test-rig   the rig's scenarios only; SCENARIOS=\"a b\" chooses"
	@echo "make check-deb  the package only, in a fresh Debian"
	@echo "make test-san   what test-bare has of guests and faults, and a soak, under ASan and UBSan"
	@echo "make soak CYCLES=N      sleeps and wakes of the model GPU, with random faults"
	@echo "make soak-san CYCLES=N  the same, all under ASan and UBSan"
	@echo "make soak-rig CYCLES=N  the same in the rig, with random accesses on the host"
	@echo "make test-iommufd       the rig with iommufd; builds a kernel first, once"
	@echo "make rig-shell  the prompt of the rig's host"
	@echo "make clean      remove what was built, keep downloads"

minivmm $(BUILD)/clang/minivmm: scripts/product.ld
minivmm: $(OBJECTS)
	$(say) "CC $@"
	$(Q)$(CC_MUSL) $(CFLAGS) $(LDFLAGS_OWN) -o $@ $(filter %.o,$^) $(LIBRARIES) -lpthread

# A fresh machine gets its packages before the first compiler call.
PACKAGES_BUILD := $(BUILD)/.packages-build
PACKAGES_TEST := $(BUILD)/.packages-test
PACKAGES_RIG := $(BUILD)/.packages-rig
PACKAGES_PACKAGE := $(BUILD)/.packages-package
$(BUILD)/.packages-%: scripts/packages scripts/install-packages
	@mkdir -p $(@D)
	scripts/install-packages $*
	@touch $@
$(OBJECTS): | $(PACKAGES_BUILD)
$(PACKAGES_TEST) $(PACKAGES_RIG) $(PACKAGES_PACKAGE): | $(PACKAGES_BUILD)

$(BUILD)/acpi/%.o $(BUILD)/vmm/base/%.o: CFLAGS_OWN += $(WARNINGS_PURE)
$(BUILD)/%.o: %.c Makefile $(CHANGELOG)
	@mkdir -p $(@D)
	$(say) "CC $@"
	$(Q)$(CC_MUSL) $(CPPFLAGS_OWN) $(KERNEL_HEADERS) $(CFLAGS_OWN) $(CFLAGS_PRODUCT) $(CFLAGS) -c -o $@ $<

# The second compiler's opinion; its objects link with the same libc.
$(BUILD)/clang/acpi/%.o $(BUILD)/clang/vmm/base/%.o: CFLAGS_OWN += $(WARNINGS_PURE)
$(BUILD)/clang/%.o: %.c Makefile | $(PACKAGES_TEST)
	@mkdir -p $(@D)
	$(say) "CLANG $@"
	$(Q)clang $(CPPFLAGS_OWN) -nostdlibinc -isystem /usr/include/x86_64-linux-musl \
		$(KERNEL_HEADERS) $(CFLAGS_OWN) $(WARNINGS_CLANG) $(CFLAGS_PRODUCT) $(CFLAGS) \
		-c -o $@ $<
$(BUILD)/clang/minivmm: $(CLANG_OBJECTS) | $(PACKAGES_BUILD)
	$(say) "CC $@"
	$(Q)$(CC_MUSL) $(CFLAGS) $(LDFLAGS_OWN) -o $@ $(filter %.o,$^) $(LIBRARIES) -lpthread

$(BUILD)/san/%.o: %.c Makefile | $(PACKAGES_TEST) $(PACKAGES_BUILD)
	@mkdir -p $(@D)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) $(CPPFLAGS_OWN) $(CFLAGS_OWN) -O1 -g $(SANITIZE) -c -o $@ $<
$(BUILD)/san/product.a: $(TEST_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^
$(TESTS): $(BUILD)/tests/%: $(BUILD)/san/tests/%.o $(BUILD)/san/product.a
	@mkdir -p $(@D)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) $(SANITIZE) -o $@ $^ -lcmocka $(LIBRARIES) -lpthread

unit-tests: $(TESTS)

# The product itself under the sanitizers, for the soak.
SAN_OBJECTS := $(SOURCES:%.c=$(BUILD)/san/%.o)
$(BUILD)/san/minivmm: $(SAN_OBJECTS)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) $(SANITIZE) -o $@ $^ $(LIBRARIES) -lpthread

include packaging/install.mk guest-tests/bare/bare.mk
include guest-tests/model-gpu/model-gpu.mk tests/fuzz/fuzz.mk guest-tests/soak/soak.mk
include guest-tests/rig/soak-rig.mk guest-tests/rig/iommufd.mk

check: all $(BUILD)/clang/minivmm unit-tests fuzz-programs model-gpu \
	$(BUILD)/tests/program/check_ctl
	scripts/run-tests check unit fuzz model

# These run the real program: on a pseudo-terminal, on a pipe that nobody reads.
PROGRAM_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/program/check_*.c)))
$(PROGRAM_TESTS): $(BUILD)/%: %.c Makefile | $(PACKAGES_TEST)
	@mkdir -p $(@D)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) $(CPPFLAGS_OWN) -std=c11 $(WARNINGS) -O1 -g -o $@ $<

test-bare: minivmm bare-guests model-gpu soak-guest $(PROGRAM_TESTS)
	scripts/run-tests bare

# The bare guests, the fault matrix and a soak again, with ASan and UBSan in the VMM and the model.
test-san: $(BUILD)/san/minivmm model-gpu bare-guests soak-guest
	MODEL_GPU=$(MODEL_GPU_SAN) guest-tests/bare/run $(BUILD)/san/minivmm
	MODEL_GPU=$(MODEL_GPU_SAN) guest-tests/bare/matrix $(BUILD)/san/minivmm
	$(SOAK_DIR)/run --vmm $(BUILD)/san/minivmm --model $(MODEL_GPU_SAN)

test-rig: minivmm | $(PACKAGES_RIG)
	scripts/run-tests rig $(SCENARIOS)

test: all $(BUILD)/clang/minivmm unit-tests fuzz-programs model-gpu bare-guests \
	soak-guest $(PROGRAM_TESTS) $(DEB) | $(PACKAGES_RIG)
	scripts/run-tests check unit fuzz model bare deb rig

demo: minivmm | $(PACKAGES_RIG)
	guest-tests/rig/demo

rig-shell: minivmm | $(PACKAGES_RIG)
	guest-tests/rig/run --shell

clean:
	rm -rf minivmm $(filter-out $(BUILD)/cache,$(wildcard $(BUILD)/*)) $(BUILD)/.packages-*

.PHONY: all help unit-tests check test test-bare test-san test-rig demo rig-shell clean
.SECONDARY:
-include $(OBJECTS:.o=.d) $(CLANG_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(SAN_OBJECTS:.o=.d) \
	$(TESTS:$(BUILD)/%=$(BUILD)/san/%.d)
