# make man, install, uninstall, deb. Read by the Makefile.
#
# Nothing is built by `make install`: it is run by root, with perhaps another environment, and what
# was tested is what gets installed. DESTDIR goes before every path; nothing is written outside it.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/minivmm
COMPLETIONSDIR ?= $(DATADIR)/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
UDEVRULESDIR ?= $(PREFIX)/lib/udev/rules.d
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
INSTALL ?= install

# Man pages: scdoc writes $(SOURCE_DATE_EPOCH) as the date, and the page's footer from the first
# line of the source, where the version is put in here.
MAN_SOURCES := $(sort $(wildcard docs/man/*.scd))
MAN_PAGES := $(MAN_SOURCES:docs/man/%.scd=$(BUILD)/man/%)
$(BUILD)/man/%: docs/man/%.scd $(CHANGELOG) packaging/install.mk | $(PACKAGES_BUILD)
	@mkdir -p $(@D)
	$(say) "MAN $@"
	$(Q)sed -E '1s/^([^ ]+).*/\1 "minivmm $(VERSION)"/' $< >$@.scd
	$(Q)SOURCE_DATE_EPOCH=$(RELEASED) scdoc <$@.scd >$@.new
	@rm $@.scd
	@mv $@.new $@
man: $(MAN_PAGES)

# What is installed: mode:file:place. systemd and udev look below /usr/local/lib, too; the README's
# links lead to the documents beside it.
DOCS := $(sort $(wildcard docs/*.md docs/*.svg))
man_place = $(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
INSTALLED = 755:minivmm:$(BINDIR)/minivmm \
	$(foreach page,$(MAN_PAGES),644:$(page):$(call man_place,$(page))) \
	644:packaging/completion.bash:$(COMPLETIONSDIR)/minivmm \
	644:packaging/minivmm@.service.in:$(UNITDIR)/minivmm@.service \
	644:packaging/minivmm.sysusers:$(SYSUSERSDIR)/minivmm.conf \
	644:packaging/minivmm.tmpfiles:$(TMPFILESDIR)/minivmm.conf \
	644:packaging/minivmm.rules:$(UDEVRULESDIR)/60-minivmm.rules \
	644:packaging/minivmm.logrotate:$(SYSCONFDIR)/logrotate.d/minivmm \
	$(foreach file,README.md $(DOCS),644:$(file):$(DOCDIR)/$(file)) \
	$(foreach file,$(sort $(wildcard configs/*.dts)),644:$(file):$(DOCDIR)/examples/$(notdir $(file)))

# Shell: for each of them "$1" is the mode, "$2" the file, "$3" where it goes.
each_installed = set -e; for entry in $(INSTALLED); do \
	IFS=:; set -- $$entry; unset IFS; set -- "$$1" "$$2" "$(DESTDIR)$$3"

# The unit says where the program is. A configuration file that is there may be the administrator's.
install:
	$(Q)for file in minivmm $(MAN_PAGES); do [ -e "$$file" ] || { \
		echo "make install: $$file is not built; first, not as root: make" >&2; exit 1; }; done
	$(Q)$(each_installed); \
		case $$2 in \
		minivmm) $(INSTALL) -D -m "$$1" -s "$$2" "$$3" ;; \
		*.logrotate) [ -e "$$3" ] || $(INSTALL) -D -m "$$1" "$$2" "$$3" ;; \
		*) $(INSTALL) -D -m "$$1" "$$2" "$$3" ;; \
		esac; \
		case $$2 in *.service.in) sed -i 's|@BINDIR@|$(BINDIR)|' "$$3" ;; esac; \
	done

uninstall:
	$(Q)$(each_installed); rm -f "$$3"; done
	$(Q)rmdir "$(DESTDIR)$(DOCDIR)/examples" "$(DESTDIR)$(DOCDIR)/docs" \
		"$(DESTDIR)$(DOCDIR)" 2>/dev/null || true

# The package is built by Debian's own tools from a copy of the sources, with packaging/debian as
# the directory debian/ that they look for.
DEB_ARCH := amd64
DEB := $(BUILD)/deb/minivmm_$(VERSION)_$(DEB_ARCH).deb
DEB_INPUTS = $(SOURCES) $(wildcard */*.h */*/*.h packaging/* packaging/debian/* configs/*) \
	$(MAN_SOURCES) $(DOCS) Makefile README.md scripts/packages
$(DEB): $(DEB_INPUTS) | $(PACKAGES_BUILD) $(PACKAGES_PACKAGE)
	$(say) "DEB $@"
	$(Q)packaging/build-deb $(@D) $(VERSION)
deb: $(DEB)

check-deb: $(DEB) $(BUILD)/guest-tests/bare/hello.elf $(BUILD)/guest-tests/bare/poweroff.elf
	scripts/run-tests deb

.PHONY: man install uninstall deb check-deb
