"""The scripts by which bash, zsh and fish ask pypm what to offer; they know nothing of its verbs."""

from __future__ import annotations

__all__ = ["PLACES", "SCRIPTS"]

BASH = r"""# Completion of pypm for bash.
_pypm() {
    local line=${COMP_LINE:0:COMP_POINT} last=${COMP_WORDS[COMP_CWORD]} candidate glued= quoted=1 word i
    local -a words=() files=()
    COMPREPLY=()
    # Readline takes worker:0 and --sort=cpu apart; pypm is asked for them as they stand there.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ -z $word && $line == *[[:space:]] ]] && glued=
        if [[ ${#words[@]} -gt 0 && ( -n $glued || $word =~ ^[:=]+$ ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        glued=
        [[ $word =~ ^[:=]+$ ]] && glued=1
    done
    [[ $last =~ ^[:=]+$ ]] && last=
    local current=${words[-1]}
    local there=${current%"$last"}
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
            :files) mapfile -t files < <(compgen -f -- "$last") ;;
            :folders) mapfile -t files < <(compgen -d -- "$last") ;;
            *) COMPREPLY+=("${candidate#"$there"}") ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${words[@]}" 2>/dev/null)
    if ((${#files[@]})); then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=("${files[@]}")
    elif [[ $current != [\'\"]* ]]; then
        for i in "${!COMPREPLY[@]}"; do
            printf -v 'COMPREPLY[i]' %q "${COMPREPLY[i]}"
        done
    fi
}
complete -F _pypm pypm
"""

ZSH = r"""#compdef pypm
# Completion of pypm for zsh.
_pypm() {
    local line name text asked program=${(Q)words[1]/#\~/$HOME}
    local -a described before
    before=("${(@Q)words[2,CURRENT-1]}")
    for line in "${(@f)$($program __complete "${before[@]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        name=${line%%$'\t'*}
        text=${line#*$'\t'}
        case $name in
            '') ;;
            :files) asked=-f ;;
            :folders) asked=-/ ;;
            *) [[ $line == *$'\t'* ]] || text=
               described+=("${name//:/\\:}${text:+:$text}") ;;
        esac
    done
    (( $#described )) && _describe -V pypm described
    [[ $asked == -f ]] && _files
    [[ $asked == -/ ]] && _files -/
    return 0
}
if [[ $funcstack[1] == _pypm ]]; then
    _pypm "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _pypm pypm
fi
"""

FISH = r"""# Completion of pypm for fish.
function __pypm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete $words $current 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path $current
            case :folders
                __fish_complete_directories $current
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c pypm -f -k -a '(__pypm_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
"""Shell -> its script."""

PLACES = {
    "bash": 'in ~/.bashrc: eval "$(pypm completion bash)"',
    "zsh": 'in ~/.zshrc: eval "$(pypm completion zsh)"',
    "fish": "pypm completion fish > ~/.config/fish/completions/pypm.fish",
}
"""Shell -> what to do with the script."""
