# Completion of minivmm for bash. It needs nothing of bash-completion, which only finds and loads it.
#
# Commands, options and the keys of --gpu are read from the program's own --help, so they are those
# of the program that is there. What --help does not say in a form for programs, the words that some
# options take, is in _minivmm_words; packaging/check-completion compares it with what the program
# accepts. Devices are read from sysfs, where looking does not wake them.

# The values of option or key $1, where it takes one of a few words.
_minivmm_words() {
	case $1 in
	power) echo auto d3cold d3hot off ;;
	reentry) echo auto guest host ;;
	reset) echo auto flr bus none ;;
	x-entry-error) echo ENOTTY EINVAL EIO ;;
	--vfio-backend) echo auto group iommufd ;;
	--on-panic) echo exit ignore reboot ;;
	--watchdog) echo exit off reboot ;;
	--firmware) echo bios uefi ;;
	--console) echo serial virtio ;;
	esac
}

# Options that begin a line of --help; of a command, which has few, those that it mentions.
_minivmm_options() { # PROGRAM [COMMAND]
	if [ $# -eq 1 ]; then
		"$1" --help 2>/dev/null | sed -nE 's/^  (--[a-z0-9-]+(, --[a-z0-9-]+)*).*/\1/p' |
			tr -d ' ' | tr , '\n'
	else
		"$1" "$2" --help 2>/dev/null | grep -oE -- '(^|[^a-z0-9-])--?[a-z][a-z0-9-]*' |
			grep -oE -- '--?[a-z].*' | sort -u
	fi
}
_minivmm_keys() { # PROGRAM
	"$1" --help 2>/dev/null | sed -nE 's/^ {7}([a-z-]+=).*/\1/p'
}
# A line of the commands is "  NAME ARGUMENT, NAME ARGUMENT  explanation".
_minivmm_commands() { # PROGRAM
	"$1" --help 2>/dev/null |
		sed -nE '/^Commands/,/^$/{s/^  ([a-z].*)/\1/;T;s/ {2}.*//;s/, /\n/g;p}' | sed 's/ .*//'
}
_minivmm_ctl_commands() { # PROGRAM
	"$1" ctl --help 2>/dev/null | sed -nE 's/^  ([a-z][a-z-]*).*/\1/p' | sort -u
}

# Display controllers (class 03), in the short form unless the user began the long one.
_minivmm_gpus() { # BEGINNING
	local device class
	for device in "${MINIVMM_SYSFS:-/sys}"/bus/pci/devices/*; do
		read -r class 2>/dev/null <"$device/class" && [[ $class == 0x03* ]] || continue
		device=${device##*/}
		[[ $1 == 0000:* ]] || device=${device#0000:}
		echo "$device"
	done
}

_minivmm_sockets() {
	compgen -G "${MINIVMM_RUN:-/run/minivmm}/*.sock"
}

# Words for a value of --gpu: SLOT, then keys not given yet, then a key's words.
_minivmm_gpu() { # PROGRAM BEGINNING
	local last=${2##*,} before=${2%"${2##*,}"} key
	if [[ $2 != *,* ]]; then
		[[ $2 == vfio-user:* ]] && compgen -P vfio-user: -f -- "${2#vfio-user:}"
		_minivmm_gpus "$2"
		echo vfio-user:
	elif [[ $last == *=* ]]; then
		for key in $(_minivmm_words "${last%%=*}"); do
			echo "$before${last%%=*}=$key"
		done
	else
		for key in $(_minivmm_keys "$1"); do
			[[ $before == *",$key"* ]] || echo "$before$key"
		done
	fi
}

# What may stand where the cursor is, one a line. Nothing: a file name, or something of one's own.
_minivmm_candidates() { # PROGRAM COMMAND PREVIOUS BEGINNING POSITION
	local program=$1 command=$2 previous=$3 cur=$4 position=$5
	case $previous in
	--gpu) _minivmm_gpu "$program" "$cur"; return ;;
	--vfio-backend | --on-panic | --watchdog | --firmware | --console)
		_minivmm_words "$previous"
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		_minivmm_options "$program" $command
	elif [ -z "$command" ]; then
		[ "$position" -ne 1 ] || _minivmm_commands "$program"
	elif [ "$command" = ctl ] && [ "$position" -eq 2 ]; then
		_minivmm_sockets
	elif [ "$command" = ctl ] && [ "$position" -eq 3 ]; then
		_minivmm_ctl_commands "$program"
	elif [[ $command == doctor || $command == bind || $command == unbind ||
		$command == power-test ]]; then
		_minivmm_gpus "$cur"
	fi
}

_minivmm() {
	local program=${1/#\~/$HOME} line=${COMP_LINE:0:COMP_POINT} words cur command="" found
	# Not COMP_WORDS: bash cuts words at : and =, of which a slot and its keys are full.
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	local last=$((${#words[@]} - 1))
	cur=${words[last]}
	if [ "$last" -gt 1 ]; then
		command=$(_minivmm_commands "$program" | grep -Fx -e "${words[1]}")
	fi
	COMPREPLY=()
	while IFS= read -r found; do
		[[ -n $found && $found == "$cur"* ]] || continue
		# readline replaces only what is behind the last character at which it cuts.
		case $cur in *[:=]*) found=${found#"${cur%"${cur##*[:=]}"}"} ;; esac
		COMPREPLY+=("$found")
	done < <(_minivmm_candidates "$program" "$command" "${words[last - 1]}" "$cur" "$last")
	# After a slot comes a comma, after a key its value.
	case ${words[last - 1]} in --gpu) compopt -o nospace 2>/dev/null ;; esac
}
complete -o default -o bashdefault -F _minivmm minivmm
