# The soak. Included by the top-level Makefile.
#
#   soak CYCLES=N SEED=N   N cycles of sleep and wake with the model GPU on /dev/kvm
#   soak-san               the same with ASan and UBSan in the VMM and in the model
#   soak-guest             only what guest-tests/soak/run needs besides VMM and model

CYCLES ?= 2000
SEED ?= 1
SOAK_DIR := guest-tests/soak
SOAK_ELF := $(BUILD)/$(SOAK_DIR)/soak.elf
SOAK_WATCH := $(BUILD)/$(SOAK_DIR)/watch
SOAK_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard $(SOAK_DIR)/*.c)))

# Where an instruction costs microseconds its number counts, not its size.
$(BUILD)/$(SOAK_DIR)/%.o: $(SOAK_DIR)/%.c $(wildcard $(SOAK_DIR)/*.h) $(BARE_HEADERS) \
		$(MODEL_GPU_DIR)/plan.h $(SOAK_DIR)/soak.mk
	@mkdir -p $(@D)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -O2 -c -o $@ $<
$(SOAK_ELF): $(SOAK_OBJECTS) $(BARE_OBJECTS)
	$(say) "GUEST $@"
	$(Q)$(BARE_CC) $(BARE_LDFLAGS) -o $@ $^

$(SOAK_WATCH): $(wildcard $(SOAK_DIR)/host/*.[ch]) $(wildcard $(BARE_DIR)/host/child.[ch]) \
		$(SOAK_DIR)/soak.mk | $(PACKAGES_TEST)
	@mkdir -p $(@D)
	$(say) "TEST $@"
	$(Q)$(CC_TEST) -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -O2 -g -o $@ $(filter %.c,$^)

soak-guest: $(SOAK_ELF) $(SOAK_WATCH)

soak: minivmm $(MODEL_GPU) soak-guest
	$(SOAK_DIR)/run --cycles $(CYCLES) --seed $(SEED)

soak-san: $(BUILD)/san/minivmm $(MODEL_GPU_SAN) soak-guest
	$(SOAK_DIR)/run --cycles $(CYCLES) --seed $(SEED) --vmm $(BUILD)/san/minivmm \
		--model $(MODEL_GPU_SAN)

.PHONY: soak-guest soak soak-san
