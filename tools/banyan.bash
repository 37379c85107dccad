# SPDX-License-Identifier: MIT
# banyan.bash - completion for bash. Commands and options are asked of banyan
# itself, keys of the database; so this knows what the binary knows.

# _banyan_keys FILE WORD [OPTION]: as ls lists them with the option
_banyan_keys()
{
	local file=$1 word=${2//\\/} space=
	[[ $word == */* ]] && space=${word%/*}/
	local IFS=$'\n' name
	COMPREPLY=()
	for name in $(banyan ls --prefix="${word##*/}" ${3:+"$3"} -- "$file" "$space" \
		2>/dev/null); do
		COMPREPLY+=("$(printf %q "$space$name")")
	done
	# What may be a key space can go on: let the user type the slash
	compopt -o nospace 2>/dev/null
}

# Options of a command whose argument is a word of its own
_banyan_valued()
{
	banyan help "$1" 2>/dev/null | grep -oE -- '(-[a-zA-Z], )?--[a-z]+=' |
		tr -s ',= \n' ' '
}

_banyan()
{
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} i
	local valued at=
	local -a operands=()

	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$(banyan help 2>/dev/null |
			sed -n 's/^  \([a-z]*\)  *.*/\1/p')" -- "$word")
		return
	fi
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(banyan help "$command" \
			2>/dev/null | grep -oE -- '(^|[ ,])--[a-z]+' |
			tr -d ' ,')" -- "$word")
		return
	fi
	valued=" $(_banyan_valued "$command") "
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} != -* ]]; then
			operands+=("${COMP_WORDS[i]}")
		elif [[ $valued == *" ${COMP_WORDS[i]} "* ]]; then
			local option=${COMP_WORDS[i++]}
			# To bash a "=" is a word, too
			[[ ${COMP_WORDS[i]} != = ]] || ((i++))
			[[ $option != --at ]] || at=--at=${COMP_WORDS[i]}
		fi
	done
	# What is typed is the argument of an option: most are files
	((i == COMP_CWORD)) || command=
	case $command in
	get | ls | ln | mv | rm | mkdir | stat | put | export | log)
		if ((${#operands[@]} > 0)); then
			local file=${operands[0]//\\/}
			_banyan_keys "${file/#\~/$HOME}" "$word" "$at"
			return
		fi
		;;
	help)
		mapfile -t COMPREPLY < <(compgen -W "$(banyan help 2>/dev/null |
			sed -n 's/^  \([a-z]*\)  *.*/\1/p')" -- "$word")
		return
		;;
	esac
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$word")
}

complete -F _banyan banyan
