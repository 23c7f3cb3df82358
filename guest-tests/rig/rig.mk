# Builds the pieces of the rig below build/rig; guest-tests/rig/run asks for those it needs.
#
#   driver, agent          the programs that are /init of host and guest
#   host-FLAVOUR.cpio      the host's initramfs: driver, busybox, modules
#   guest-FLAVOUR.cpio     a guest's kernel and initramfs, to be found by the host below /guests/FLAVOUR;
#                          with FLAVOUR-pvh the kernel is the PVH ELF image, with FLAVOUR-uki a unified
#                          kernel image with all in it, with FLAVOUR-disk a disk image that UEFI and BIOS
#                          boot, else the bzImage; with FLAVOUR-tools the initramfs has these:
#   tools.cpio             fio, iperf3, passt
#   program-NAME.cpio      a program of the host's distribution, as /bin/NAME, with its libraries
#   firmware.cpio          the distribution's firmware
#   vmm.cpio               minivmm
#   pr3.aml                ACPI table of the host
#
# Archives are appended to each other at run time, so a new minivmm repacks nothing big.

BUILD ?= build
CC_MUSL ?= musl-gcc
MINIVMM ?= minivmm
RIG := guest-tests/rig
OUT := $(BUILD)/rig
KERNELS := $(BUILD)/cache/kernels
TCG_MODULE := /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so
UKI_STUB := /usr/lib/systemd/boot/efi/linuxx64.efi.stub

CFLAGS_RIG := -std=c11 -D_GNU_SOURCE -I. -idirafter /usr/include \
	-idirafter /usr/include/x86_64-linux-gnu -Wall -Wextra -Wshadow -Wvla -Wimplicit-fallthrough \
	-Wmissing-prototypes -Wstrict-prototypes -Wcast-qual -Wwrite-strings -Wtype-limits -Werror \
	-O2 -static -s

# The files below directory $(1) as an archive $@.
pack = (cd $(1) && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >$@.new && \
	mv $@.new $@ && rm -rf $(1)

.DELETE_ON_ERROR:

$(OUT)/driver: $(wildcard $(RIG)/driver*.c $(RIG)/driver*.h $(RIG)/irqs.[ch] $(RIG)/sum.[ch] \
		$(RIG)/stream.[ch])
	@mkdir -p $(@D)
	$(CC_MUSL) $(CFLAGS_RIG) -o $@ $(filter %.c,$^)

$(OUT)/agent: $(wildcard $(RIG)/agent*.c $(RIG)/irqs.[ch] $(RIG)/sum.[ch] $(RIG)/stream.[ch]) $(RIG)/agent.h
	@mkdir -p $(@D)
	$(CC_MUSL) $(CFLAGS_RIG) -o $@ $(filter %.c,$^)

$(OUT)/qemu_lock.so: $(RIG)/qemu_lock.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -Wall -Wextra -Werror -O2 -shared -fPIC -DRIG_TCG_MODULE='"$(TCG_MODULE)"' -o $@ $<

$(OUT)/pr3.aml: $(RIG)/pr3.asl
	@mkdir -p $(@D)
	iasl -p $(basename $@) $< >$@.log || (cat $@.log; false)

$(OUT)/host-%.cpio: $(OUT)/driver $(KERNELS)/%/release $(RIG)/profile
	@rm -rf $@.d && mkdir -p $@.d/bin $@.d/etc
	@cp $(OUT)/driver $@.d/init
	@cp -r $(KERNELS)/$*/modules $@.d/modules
	@cp $(KERNELS)/$*/host.order $@.d/modules/order
	@cp $(RIG)/profile $@.d/etc/profile
	@cp "$$(command -v busybox)" $@.d/bin/busybox
	@ln -s busybox $@.d/bin/sh
	@$(call pack,$@.d)

$(OUT)/initrd-%: $(OUT)/agent $(KERNELS)/%/release
	@rm -rf $@.d && mkdir -p $@.d/modules
	@cp $(OUT)/agent $@.d/init
	@cp $(KERNELS)/$*/guest.order $@.d/modules/order
	@for file in $$(grep -o '[^ ]*\.ko' $(KERNELS)/$*/guest.order | sort -u); do \
		cp $(KERNELS)/$*/modules/$$file $@.d/modules/ || exit 1; done
	@$(call pack,$@.d)

# Kernel $(1), as flavour $(2), from flavour $(3)
guest = rm -rf $@.d && mkdir -p $@.d/guests/$(2) && cp $(OUT)/initrd-$(3) $@.d/guests/$(2)/initrd && \
	cp $(KERNELS)/$(3)/$(1) $@.d/guests/$(2)/kernel && $(call pack,$@.d)

$(OUT)/guest-%-pvh.cpio: $(OUT)/initrd-%
	@$(call guest,vmlinux,$*-pvh,$*)

# As systemd's ukify does it; firmware loads the sections to these addresses from the stub's base on.
$(OUT)/uki-%: $(OUT)/initrd-%
	@echo "console=ttyS0 loglevel=4 panic=-1 uki" >$@.cmdline
	@objcopy --add-section .cmdline=$@.cmdline --change-section-vma .cmdline=0x30000 \
		--add-section .linux=$(KERNELS)/$*/vmlinuz --change-section-vma .linux=0x2000000 \
		--add-section .initrd=$(OUT)/initrd-$* --change-section-vma .initrd=0x4000000 \
		$(UKI_STUB) $@

$(OUT)/guest-%-uki.cpio: $(OUT)/uki-%
	@rm -rf $@.d && mkdir -p $@.d/guests/$*-uki && cp $< $@.d/guests/$*-uki/kernel
	@$(call pack,$@.d)

# One FAT file system: UEFI starts the unified kernel image from it, BIOS starts syslinux, which does
# not ask and loads kernel and initrd.
$(OUT)/guest-%-disk.cpio: $(OUT)/uki-% $(OUT)/initrd-%
	@rm -rf $@.d && mkdir -p $@.d/guests/$*-disk
	@printf '%s\n' 'SERIAL 0' 'DEFAULT linux' 'LABEL linux' 'LINUX vmlinuz' 'INITRD initrd' \
		'APPEND console=ttyS0 loglevel=4 panic=-1 syslinux' >$@.cfg
	@/sbin/mkfs.fat -C $@.d/guests/$*-disk/kernel 65536 >/dev/null
	@cd $@.d/guests/$*-disk && mmd -i kernel ::EFI ::EFI/BOOT && \
		mcopy -i kernel $(abspath $(OUT)/uki-$*) ::EFI/BOOT/BOOTX64.EFI && \
		mcopy -i kernel $(abspath $(KERNELS)/$*/vmlinuz) ::vmlinuz && \
		mcopy -i kernel $(abspath $(OUT)/initrd-$*) ::initrd && \
		mcopy -i kernel $(abspath $@.cfg) ::syslinux.cfg && syslinux --install kernel
	@$(call pack,$@.d)

FIRMWARE := $(addprefix /usr/share/,OVMF/OVMF_CODE_4M.fd OVMF/OVMF_CODE_4M.secboot.fd \
	OVMF/OVMF_VARS_4M.fd seabios/bios-256k.bin)
# Their list may change, too.
$(OUT)/firmware.cpio: $(FIRMWARE) $(RIG)/rig.mk
	@rm -rf $@.d && mkdir -p $@.d && cp --parents $(FIRMWARE) $@.d
	@$(call pack,$@.d)

$(OUT)/tools.cpio: $(RIG)/tools
	@rm -rf $@.d && mkdir -p $(@D)
	@$(RIG)/tools $@.d
	@$(call pack,$@.d)

$(OUT)/guest-%-tools.cpio: $(OUT)/initrd-% $(OUT)/tools.cpio
	@rm -rf $@.d && mkdir -p $@.d/guests/$*-tools
	@cat $^ >$@.d/guests/$*-tools/initrd
	@cp $(KERNELS)/$*/vmlinuz $@.d/guests/$*-tools/kernel
	@$(call pack,$@.d)

$(OUT)/guest-%.cpio: $(OUT)/initrd-%
	@$(call guest,vmlinuz,$*,$*)

# ldd's lines are "NAME => FILE (ADDRESS)" and, for the loader, "FILE (ADDRESS)".
$(OUT)/program-%.cpio: /usr/lib/qemu/%
	@rm -rf $@.d && mkdir -p $@.d/bin
	@cp $< $@.d/bin/$*
	@for file in $$(ldd $< | grep -o '/[^ ]*'); do \
		mkdir -p $@.d$$(dirname $$file) && cp $$file $@.d$$file || exit 1; done
	@$(call pack,$@.d)

# Always: MINIVMM may name another program than last time, even an older one.
$(OUT)/vmm.cpio: FORCE
	@rm -rf $@.d && mkdir -p $@.d/bin
	@cp $(MINIVMM) $@.d/bin/minivmm
	@$(call pack,$@.d)

.PHONY: FORCE
