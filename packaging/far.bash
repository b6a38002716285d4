# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Completion of far(1) for bash.  Verbs, flags, their words, backends and
# processes are asked of the command itself, so they cannot be out of date.

_far_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# _far_flags COMMAND VERB: all its flags
_far_flags() {
	"$1" "$2" --help 2>/dev/null | grep -o -- '^ *\(-., \)\?--[a-z_-]*' |
		grep -o -- '--[a-z_-]*'
}

# _far_arg COMMAND VERB FLAG: how the help names the value of FLAG
_far_arg() {
	"$1" "$2" --help 2>/dev/null |
		sed -n "s/^ *\(-., \)\{0,1\}$3 \([A-Za-z0-9|_]*\).*/\2/p"
}

# The word after FLAG: "on|off" offers its words, a file or a spec itself.
_far_value() {
	local arg backend=()

	arg=$(_far_arg "$1" "$2" "$3")
	case $3 in
	--far)
		read -ra backend < <("$1" version 2>/dev/null |
			sed -n 's/^backends: //p')
		_far_words "${backend[*]/%/:}" "$4"
		return 0
		;;
	--budget | --trace | --replay) arg=FILE ;;
	esac
	case $arg in
	'') return 1 ;;
	FILE) mapfile -t COMPREPLY < <(compgen -f -- "$4") ;;
	*'|'* | *[a-z]*) _far_words "${arg//|/ }" "$4" ;;
	*) COMPREPLY=() ;;
	esac
	return 0
}

# far trace: its own verbs, and files
_far_trace() {
	local sub=${COMP_WORDS[2]-}

	if [ "$COMP_CWORD" = 2 ]; then
		_far_words "record report export" "$2"
		return
	fi
	case $2 in
	-*) _far_words "$("$1" trace "$sub" --help 2>/dev/null |
		grep -o -- '^ *\(-., \)\?--[a-z_-]*' |
		grep -o -- '--[a-z_-]*')" "$2" ;;
	*) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	esac
}

_far() {
	local far=${COMP_WORDS[0]} verb=${COMP_WORDS[1]-}
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i

	COMPREPLY=()
	if [ "$verb" = trace ] && [ "$COMP_CWORD" -gt 1 ]; then
		_far_trace "$far" "$cur"
		return
	fi
	if [ "$COMP_CWORD" = 1 ]; then
		_far_words "$("$far" help 2>/dev/null |
			sed -n 's/^  \([a-z]*\)  .*/\1/p')" "$cur"
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ]; then
			if [ $((i + 1)) = "$COMP_CWORD" ]; then
				mapfile -t COMPREPLY < <(compgen -c -- "$cur")
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			fi
			return
		fi
	done
	case $prev in
	--*) ! _far_value "$far" "$verb" "$prev" "$cur" || return ;;
	esac
	case $cur in
	-*)
		_far_words "$(_far_flags "$far" "$verb")" "$cur"
		return
		;;
	esac
	case $verb in
	stat)
		_far_words "$("$far" stat --all --json 2>/dev/null |
			sed -n 's/.*"pid":\([0-9]*\).*/\1/p')" "$cur"
		;;
	help)
		_far_words "$("$far" help 2>/dev/null |
			sed -n 's/^  \([a-z]*\)  .*/\1/p')" "$cur"
		;;
	run)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		;;
	esac
}

complete -F _far far
