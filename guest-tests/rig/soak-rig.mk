# `make soak-rig CYCLES=1000`: so many wake-ups of sleeping devices by random accesses of the rig's
# host, see soak/wakes.scn. Not part of `make test`: one takes about 2 seconds.

CYCLES_RIG = $(or $(CYCLES),1000)
SOAK_RIG := $(BUILD)/rig/soak/wakes.scn

soak-rig: minivmm | $(PACKAGES_RIG)
	@mkdir -p $(dir $(SOAK_RIG))
	@sed -e 's/^soak 1000 /soak $(CYCLES_RIG) /' -e 's/^expect-min 1000$$/expect-min $(CYCLES_RIG)/' \
		-e "s/^timeout .*/timeout $$((600 + $(CYCLES_RIG) * 10))/" \
		guest-tests/rig/soak/wakes.scn >$(SOAK_RIG)
	guest-tests/rig/run $(SOAK_RIG)

.PHONY: soak-rig
