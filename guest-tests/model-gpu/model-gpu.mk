# The model GPU and the client that checks it. Included by the top-level Makefile.
#
#   model-gpu        both programs, and their builds with sanitizers
#   check-model-gpu  runs the checks

MODEL_GPU_DIR := guest-tests/model-gpu
MODEL_GPU_OUT := $(BUILD)/$(MODEL_GPU_DIR)
MODEL_GPU := $(MODEL_GPU_OUT)/model-gpu
MODEL_GPU_SAN := $(MODEL_GPU).san
MODEL_GPU_CHECK := $(MODEL_GPU_OUT)/check-model
MODEL_GPU_CFLAGS := -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -g

model-gpu: $(MODEL_GPU) $(MODEL_GPU_SAN) $(MODEL_GPU_CHECK)

$(MODEL_GPU) $(MODEL_GPU_SAN): $(wildcard $(MODEL_GPU_DIR)/*.[ch]) $(MODEL_GPU_DIR)/model-gpu.mk
$(MODEL_GPU_CHECK): $(wildcard $(MODEL_GPU_DIR)/check/*.[ch]) $(MODEL_GPU_DIR)/protocol.h \
	$(MODEL_GPU_DIR)/model-gpu.mk
$(MODEL_GPU): MODEL_GPU_BUILD := -O2
$(MODEL_GPU_SAN): MODEL_GPU_BUILD := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(MODEL_GPU_CHECK): MODEL_GPU_BUILD := -O1

$(MODEL_GPU) $(MODEL_GPU_SAN) $(MODEL_GPU_CHECK):
	@mkdir -p $(@D)
	$(CC_TEST) $(MODEL_GPU_CFLAGS) $(MODEL_GPU_BUILD) -o $@ $(filter %.c,$^)

check-model-gpu: model-gpu
	$(MODEL_GPU_CHECK) $(MODEL_GPU)
	$(MODEL_GPU_CHECK) $(MODEL_GPU_SAN)

.PHONY: model-gpu check-model-gpu
