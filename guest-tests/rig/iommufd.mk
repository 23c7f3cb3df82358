# `make test-iommufd`: the rig with a host kernel that has iommufd, which is built first, once. Not part
# of `make test`: the build takes minutes.

PACKAGES_IOMMUFD := $(BUILD)/.packages-iommufd
$(PACKAGES_IOMMUFD): | $(PACKAGES_RIG)

test-iommufd: minivmm | $(PACKAGES_IOMMUFD)
	guest-tests/rig/iommufd $(SCENARIOS)

.PHONY: test-iommufd
