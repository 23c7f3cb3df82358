# Bare-metal guests: one ELF file with a PVH entry for each guest-tests/bare/NAME.c that is not part
# of the runtime, with its further parts in the folder NAME; the same as a ROM for those that begin
# in firmware's place; a disk that BIOS boots; and the host's programs: with-model runs a guest
# beside a model GPU, power-cut and flash-cut kill the VMM while its guest writes. Included by the
# top-level Makefile; the target is bare-guests.

BARE_CC ?= gcc
BARE_DIR := guest-tests/bare
BARE_RUNTIME := $(sort $(wildcard $(BARE_DIR)/start*.S $(BARE_DIR)/lib*.c))
BARE_HEADERS := $(sort $(wildcard $(BARE_DIR)/*.h $(BARE_DIR)/*/*.h))
BARE_HOST := $(BUILD)/$(BARE_DIR)/with-model $(BUILD)/$(BARE_DIR)/power-cut \
	$(BUILD)/$(BARE_DIR)/flash-cut
BARE_GUESTS := $(patsubst %.c,$(BUILD)/%.elf,\
	$(sort $(filter-out $(BARE_RUNTIME),$(wildcard $(BARE_DIR)/*.c))))
BARE_CFLAGS := -std=gnu11 -I. -Os -g -Wall -Wextra -Wshadow -Wmissing-prototypes \
	-Wstrict-prototypes -Werror -ffreestanding -fno-builtin -mno-red-zone -mgeneral-regs-only \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing
BARE_LDFLAGS := -nostdlib -static -no-pie -Wl,-Ttext-segment=0x100000 -Wl,-z,noseparate-code \
	-Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,--build-id=none -Wl,-e,start_32

# Of 240 KiB: with 16 KiB of variables it is a power of two (lib_flash.h).
BARE_ROMS := $(patsubst %,$(BUILD)/$(BARE_DIR)/%.rom,flash flash-cut fw-cfg)
BARE_DISKS := $(patsubst %,$(BUILD)/$(BARE_DIR)/%.img,boot-sector large-bar)
BARE_ROM_SIZE := 0x3c000
BARE_ROM_START := 0xfffc4000

bare-guests: $(BARE_GUESTS) $(BARE_ROMS) $(BARE_DISKS) $(BARE_HOST)

# The runtime is compiled once; a guest takes what it uses.
BARE_OBJECTS := $(patsubst %,$(BUILD)/%.o,$(basename $(BARE_RUNTIME)))
$(BUILD)/$(BARE_DIR)/%.o: $(BARE_DIR)/%.c $(BARE_HEADERS) $(BARE_DIR)/bare.mk
	@mkdir -p $(@D)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -c -o $@ $<
$(BUILD)/$(BARE_DIR)/%.o: $(BARE_DIR)/%.S $(BARE_HEADERS) $(BARE_DIR)/bare.mk
	@mkdir -p $(@D)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -c -o $@ $<
$(BUILD)/$(BARE_DIR)/%.elf: $(BUILD)/$(BARE_DIR)/%.o $(BARE_OBJECTS)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_LDFLAGS) -o $@ $^
$(BUILD)/$(BARE_DIR)/virtio-blk.elf: $(patsubst %.c,$(BUILD)/%.o,\
	$(sort $(wildcard $(BARE_DIR)/virtio-blk/*.c)))

$(BUILD)/$(BARE_DIR)/%.rom: $(BUILD)/$(BARE_DIR)/%.elf $(BARE_DIR)/rom.S $(BARE_HEADERS)
	$(say) "GUEST $@"
	$(Q)objcopy --strip-all $< $@.elf
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -DROM_SIZE=$(BARE_ROM_SIZE) -DGUEST='"$@.elf"' -c -o $@.o \
		$(BARE_DIR)/rom.S
	$(Q)$(BARE_CC) -nostdlib -static -no-pie -Wl,-Ttext=$(BARE_ROM_START) -Wl,-e,protected \
		-Wl,--build-id=none -o $@.linked $@.o
	$(Q)objcopy -O binary -j .text $@.linked $@
	@rm -f $@.elf $@.o $@.linked

$(BARE_DISKS): $(BUILD)/%.img: %.S $(BARE_HEADERS) $(BARE_DIR)/bare.mk
	@mkdir -p $(@D)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -c -o $@.o $<
	$(Q)$(BARE_CC) -nostdlib -static -no-pie -Wl,-Ttext=0x7c00 -Wl,-e,0x7c00 \
		-Wl,--build-id=none -o $@.linked $@.o
	$(Q)objcopy -O binary -j .text $@.linked $@
	@truncate -s 1M $@ # BIOS counts in cylinders
	@rm -f $@.o $@.linked

$(BUILD)/$(BARE_DIR)/with-model: $(BARE_DIR)/host/with_model.c $(wildcard $(BARE_DIR)/host/api.[ch])
$(BUILD)/$(BARE_DIR)/power-cut: $(BARE_DIR)/host/power_cut.c $(wildcard $(BARE_DIR)/host/cut.[ch])
$(BUILD)/$(BARE_DIR)/flash-cut: $(BARE_DIR)/host/flash_cut.c $(wildcard $(BARE_DIR)/host/cut.[ch])
$(BARE_HOST): $(wildcard $(BARE_DIR)/host/child.[ch])
	@mkdir -p $(@D)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -O1 -g -o $@ $(filter %.c,$^) -lpthread

.PHONY: bare-guests
