# Bare-metal guests: one ELF file with a PVH entry for each guest-tests/bare/*.c that is not part of
# the runtime. Included by the top-level Makefile; the target is bare-guests.

BARE_CC ?= gcc
BARE_DIR := guest-tests/bare
BARE_RUNTIME := $(BARE_DIR)/start.S $(BARE_DIR)/lib.c $(BARE_DIR)/lib_acpi.c
BARE_GUESTS := $(patsubst %.c,$(BUILD)/%.elf,\
	$(sort $(filter-out $(BARE_RUNTIME),$(wildcard $(BARE_DIR)/*.c))))
BARE_CFLAGS := -std=gnu11 -I. -Os -g -Wall -Wextra -Wshadow -Wmissing-prototypes \
	-Wstrict-prototypes -Werror -ffreestanding -fno-builtin -mno-red-zone -mgeneral-regs-only \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing
BARE_LDFLAGS := -nostdlib -static -no-pie -Wl,-Ttext-segment=0x100000 -Wl,-z,noseparate-code \
	-Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,--build-id=none -Wl,-e,start_32

bare-guests: $(BARE_GUESTS)

$(BUILD)/$(BARE_DIR)/%.elf: $(BARE_DIR)/%.c $(BARE_RUNTIME) $(BARE_DIR)/lib.h $(BARE_DIR)/bare.mk
	@mkdir -p $(@D)
	$(BARE_CC) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $< $(BARE_RUNTIME)

.PHONY: bare-guests
