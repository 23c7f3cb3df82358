#!/usr/bin/env bash
# What iasl and ACPICA's own interpreter say of our tables:
# - the golden .aml files are what iasl makes of their .asl;
# - every table of machines with 0, 1 and 16 slots (of any card, too) disassembles, and compiles again without an
#   error, warning or remark, to the same AML;
# - _OSC and _DSM, executed, answer as the PCI Firmware specification wants, and the methods of the
#   slot run.
# Prints what fails; exits 1 if anything does.
set -euo pipefail
cd "$(dirname "$0")/../.."
dump=${DUMP_TABLES:-build/tests/acpi/dump_tables}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
say() { echo "$*"; bad=1; }

[ -x "$dump" ] || { echo "$dump is missing: make unit-tests"; exit 1; }
for tool in iasl acpiexec; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: package acpica-tools"; exit 1; }
done

# Compiles as our builder encodes (-oa); wants silence about the source.
compile() { # SOURCE OUTPUT-WITHOUT-SUFFIX
	local log
	log=$(iasl -oa -p "$2" "$1" 2>&1) || true
	case $log in
	*" 0 Errors, 0 Warnings, 0 Remarks"*) ;;
	*) say "$1: iasl says:"; echo "$log" | grep -E 'Error|Warning|Remark|failed' ;;
	esac
}

# Equal but for checksum (byte 10) and creator (bytes 29 to 36).
same_table() { # ONE OTHER
	[ -s "$2" ] && [ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ] &&
		{ cmp -l "$1" "$2" || true; } |
		awk '$1 != 10 && ($1 < 29 || $1 > 36) { bad = 1 } END { exit bad }'
}

for asl in tests/acpi/golden/*.asl; do
	name=$(basename "$asl" .asl)
	compile "$asl" "$work/$name"
	cmp "$work/$name.aml" "tests/acpi/golden/$name.aml" || say "$asl changed, its .aml did not"
done

# Disassembles, with the other tables at hand, and compiles again.
check_table() { # DIRECTORY TABLE OTHERS...
	local dir=$1 table=$2 externals=()
	for other in "${@:3}"; do
		[ "$other" = "$table" ] || externals+=("$dir/$other.dat")
	done
	[ ${#externals[@]} -eq 0 ] || externals=(-e "${externals[@]}")
	iasl "${externals[@]}" -p "$dir/$table" -d "$dir/$table.dat" >"$dir/$table.log" 2>&1 ||
		say "$table.dat: no disassembly"
	if grep -iE 'error|warning|invalid|unknown|could not' "$dir/$table.log"; then
		say "$table.dat: the disassembler says the above"
	fi
	compile "$dir/$table.dsl" "$dir/again-$table"
	same_table "$dir/$table.dat" "$dir/again-$table.aml" ||
		say "$table.dat: compiles to something else"
}

for machine in "0" "1" "16" "16 0xff 1" "2 0x1 1" "2 0xff 0"; do
	dir=$work/machine-${machine// /-}
	mkdir "$dir"
	# shellcheck disable=SC2086 # SLOTS FUNCTIONS D3COLD
	"$dump" "$dir" $machine >/dev/null || { say "machine $machine: not built"; continue; }
	aml=$(find "$dir" -name 'dsdt.dat' -o -name 'ssdt*.dat' | sed 's|.*/||; s/\.dat$//' | sort)
	[ "$(echo "$aml" | wc -l)" -eq $((1 + ${machine%% *})) ] ||
		say "machine $machine: not all its tables"
	for table in facp apic mcfg wdat xsdt facs; do check_table "$dir" "$table"; done
	# shellcheck disable=SC2086 # a list of names
	for table in $aml; do check_table "$dir" "$table" $aml; done
	# shellcheck disable=SC2046 # a list of files
	acpiexec -b 'namespace' $(for t in $aml; do echo "$dir/$t.dat"; done) >"$dir/load.log" 2>&1
	grep -q "tables\? successfully acquired and loaded" "$dir/load.log" ||
		say "machine $machine: does not load"
	if grep -E 'ACPI (Error|Warning)|AE_' "$dir/load.log"; then
		say "machine $machine: acpiexec says the above"
	fi
done

# What ACPICA's interpreter answers: METHOD ARGUMENT... = ANSWER, in the order of execution.
osc='\_SB.PCI0._OSC (5B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66)'
dsm='\_SB.PCI0._DSM (D0 37 C9 E5 53 35 7A 4D 91 17 EA 4D 19 C3 43 4D)'
other='(00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF)'
no_osc="${osc%% *} $other"
no_dsm="${dsm%% *} $other"
slot='\_SB.PCI0.RP00'
cases=(
	# A query for more than we grant is masked, and told so; one for what we grant is not.
	"$osc 1 3 (01 00 00 00 1F 00 00 00 BF 03 00 00) = 11 00 00 00 1F 00 00 00 1D 00 00 00"
	"$osc 1 3 (01 00 00 00 1F 00 00 00 1D 00 00 00) = 01 00 00 00 1F 00 00 00 1D 00 00 00"
	# The request is handled alike.
	"$osc 1 3 (00 00 00 00 1F 00 00 00 1D 00 00 00) = 00 00 00 00 1F 00 00 00 1D 00 00 00"
	"$osc 1 3 (00 00 00 00 1F 00 00 00 14 00 00 00) = 00 00 00 00 1F 00 00 00 14 00 00 00"
	# Standard hot plug, LTR and DPC are not.
	"$osc 1 3 (00 00 00 00 1F 00 00 00 B2 00 00 00) = 10 00 00 00 1F 00 00 00 10 00 00 00"
	"$osc 1 3 (00 00 00 00 1F 00 00 00 00 00 00 00) = 00 00 00 00 1F 00 00 00 00 00 00 00"
	# Unknown UUID, unknown revision: told so, and the capabilities come back as they were.
	"$no_osc 1 3 (01 00 00 00 1F 00 00 00 BF 03 00 00) = 05 00 00 00 1F 00 00 00 BF 03 00 00"
	"$osc 2 3 (00 00 00 00 1F 00 00 00 14 00 00 00) = 08 00 00 00 1F 00 00 00 14 00 00 00"
	# Functions 0 and 8, from revision 3 on; no delay after reset.
	"$dsm 3 0 [0] = 01 01"
	"$dsm 4 0 [0] = 01 01"
	"$dsm 3 8 [0] = integer 0000000000000001"
	"$dsm 1 0 [0] = 00"
	"$dsm 2 0 [0] = 00"
	"$dsm 2 8 [0] = 00"
	"$dsm 1 5 [0] = 00"
	"$dsm 3 5 [0] = 00"
	"$no_dsm 3 0 [0] = 00"
	"$no_dsm 3 8 [0] = 00"
	# The registers read zero there: off, idle, nothing woken.
	"$slot.PWRS._STA = integer 0000000000000000"
	"$slot.PWRS._ON = nothing"
	"$slot.PWRS._OFF = nothing"
	"$slot.FN00._PS0 = nothing"
	"\_GPE._E10 = nothing"
)
for ((i = 0; i < ${#cases[@]}; i += 8)); do # a command line has at most 1023 characters
	part=("${cases[@]:i:8}")
	acpiexec -b "$(printf 'evaluate %s;' "${part[@]% = *}")" \
		"$work"/machine-1/{dsdt,ssdt00}.dat >>"$work/answers.log" 2>&1 ||
		say "acpiexec fails"
done
mapfile -t answers < <(sed -nE 's/^ +\[Buffer\].*0000: (([0-9A-F]{2} )+) .*/\1/p
	s/^ +\[Integer\] = /integer /p; s/^No object was returned.*/nothing/p' "$work/answers.log")
[ ${#answers[@]} -eq ${#cases[@]} ] || say "${#cases[@]} evaluations, ${#answers[@]} answers"
for i in "${!cases[@]}"; do
	answer=${answers[i]:-}
	[ "${answer% }" = "${cases[i]##* = }" ] || say "${cases[i]}, but answered $answer"
done
if grep -E 'ACPI (Error|Warning)|AE_' "$work/answers.log"; then say "acpiexec says the above"; fi

[ "$bad" -eq 0 ] && echo "all tables compile again; _OSC and _DSM answer as they should"
exit $bad
