# Fuzz targets: tests/fuzz/fuzz_*.c, each a program with libFuzzer in it. Included by the Makefile
# after TEST_OBJECTS; `make fuzz-programs` builds them, scripts/run-tests gives each a short run.

FUZZ_CC := clang
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJECTS := $(patsubst $(BUILD)/san/%,$(BUILD)/fuzz/obj/%,$(TEST_OBJECTS)) \
	$(patsubst %.c,$(BUILD)/fuzz/obj/%.o,\
	$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))

$(BUILD)/fuzz/obj/%.o: %.c Makefile tests/fuzz/fuzz.mk | $(PACKAGES_TEST) $(PACKAGES_BUILD)
	@mkdir -p $(@D)
	$(say) "FUZZ $@"
	$(Q)$(FUZZ_CC) $(CPPFLAGS_OWN) $(CFLAGS_OWN) -O1 -g -fsanitize=fuzzer-no-link \
		$(FUZZ_SANITIZE) -c -o $@ $<
$(BUILD)/fuzz/product.a: $(FUZZ_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^
$(FUZZ_PROGRAMS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(BUILD)/fuzz/product.a
	$(say) "FUZZ $@"
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer $(FUZZ_SANITIZE) -o $@ $^ -lcmocka $(LIBRARIES) -lpthread

fuzz-programs: $(FUZZ_PROGRAMS)
.PHONY: fuzz-programs
-include $(FUZZ_OBJECTS:.o=.d) $(FUZZ_PROGRAMS:$(BUILD)/fuzz/%=$(BUILD)/fuzz/obj/tests/fuzz/%.d)
