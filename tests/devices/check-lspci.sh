#!/bin/sh
# An independent reader of our config space: lspci decodes a dump of the emulated functions, and
# the text must be the golden one. Run from the root of the project. With --update the golden text
# is replaced; read the difference before it is committed.
set -eu

golden=tests/devices/golden/lspci.txt
lspci=$(command -v lspci || echo /usr/bin/lspci)
if [ ! -x "$lspci" ]; then
	echo "check-lspci: lspci is missing (Debian package pciutils)" >&2
	exit 1
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. -o "$dir/dump_cfg" tests/devices/dump_cfg.c \
	tests/fake_pci.c tests/fake_irq.c tests/fake_must.c devices/pci*.c devices/root_port*.c \
	devices/pme.c devices/slot_events.c devices/aer.c devices/q35.c vmm/bus.c vmm/base/*.c \
	-lpthread
"$dir/dump_cfg" > "$dir/dump.txt"
"$lspci" -n -vv -F "$dir/dump.txt" > "$dir/lspci.txt" 2> "$dir/stderr.txt"
# Whether this machine has kernel modules is not what is checked.
grep -v libkmod "$dir/stderr.txt" > "$dir/complaints.txt" || true
if [ -s "$dir/complaints.txt" ]; then
	echo "check-lspci: lspci complains:" >&2
	cat "$dir/complaints.txt" >&2
	exit 1
fi
# A word by which lspci shows what it cannot make sense of.
if grep -n -i -E '<access denied>|unknown|broken|invalid|!!!' "$dir/lspci.txt" >&2; then
	echo "check-lspci: lspci cannot make sense of the lines above" >&2
	exit 1
fi
if [ "${1:-}" = --update ]; then
	cp "$dir/lspci.txt" "$golden"
	exit 0
fi
diff -u "$golden" "$dir/lspci.txt"
echo "check-lspci: $(grep -c '^[0-9a-f]' "$golden") functions read as expected"
