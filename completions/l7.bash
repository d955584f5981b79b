# SPDX-License-Identifier: MIT
# bash completion for l7: asks the program itself, so it is never out of date.
_l7() {
    local word=${COMP_WORDS[COMP_CWORD]} tool= role= before i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -* | help) ;;
        *) if [ -z "$tool" ]; then tool=${COMP_WORDS[i]}; elif [ -z "$role" ]; then role=${COMP_WORDS[i]}; fi ;;
        esac
    done
    before=$("${COMP_WORDS[0]}" help --words ${tool:+"$tool"} ${role:+"$role"} 2>/dev/null)
    [ -n "$before" ] || before=$("${COMP_WORDS[0]}" help --words ${tool:+"$tool"} 2>/dev/null)
    COMPREPLY=($(compgen -W "$before" -- "$word"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}
complete -o default -F _l7 l7
