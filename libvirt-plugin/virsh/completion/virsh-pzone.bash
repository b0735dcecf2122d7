# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Completion of virsh-pzone for bash: commands, options, domains, classes,
# pools. The words come from the program itself ("virsh-pzone complete").
#
# For "virsh pzone-..." nothing is needed here: libvirt's own completion asks
# the virsh that was typed, and the virsh front knows both kinds of commands.

_virsh_pzone()
{
	local cur words cword w i=1
	local -a global=() reply=()

	# without this a URI falls apart at its colons
	_get_comp_words_by_ref -n "=:" cur words cword
	while ((i < cword)); do
		w=${words[i]}
		case $w in
		-c | --connect) global+=("$w" "${words[i + 1]}"); ((i++)) ;;
		-r | --readonly | --connect=*) global+=("$w") ;;
		-d | -e | -k | -K | -l) ((i++)) ;;
		-*) ;;
		*) break ;;
		esac
		((i++))
	done
	if ((i >= cword)) && [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--connect --help --quiet \
			--readonly --timing --version" -- "$cur")
		return
	fi
	case ${words[cword - 1]} in
	-c | --connect) ((i > cword)) && return ;;
	esac
	mapfile -t reply < <("$1" "${global[@]}" complete -- \
		"${words[@]:i:cword-i+1}" 2>/dev/null)
	mapfile -t COMPREPLY < <(compgen -W "${reply[*]}" -- "$cur")
	__ltrim_colon_completions "$cur"
}
complete -o default -F _virsh_pzone virsh-pzone
