"""The completion of bash: one function, which walks over the words before the cursor."""

from collections.abc import Iterator
from typing import Final

from docker.building.manual.names import DEFAULT_FILE, reading_names
from docker.building.manual.tree import CliCommand, CliValue, ValueKind

_SECOND: Final = '"$2"'
_HEAD: Final = """\
# bash completion for plexigate(1), made from its command line.

# What stands at a command: its commands, its switches, its options with the kind of their values,
# and the kinds of its arguments. A kind with "..." stands for all arguments from there on.
_plexigate_at() {
    commands= switches= options= arguments=()
    case $1 in
"""
_MIDDLE: Final = """\
    esac
}

_plexigate_names() {
    case $1 in
"""
_TAIL: Final = r"""
    esac
}

_plexigate() {
    local current=${COMP_WORDS[COMP_CWORD]} at=plexigate file=DEFAULT_FILE
    local commands switches options arguments=() word option= kind= count=0 glued= before= end=$COMP_CWORD i
    COMPREPLY=()
    # bash takes ":" for a word of its own: what is typed of http://10.0.0.7 are three words
    [[ $current == : ]] && before=: current= && end=$((end - 1)) && before=${COMP_WORDS[end]}:
    while ((end > 2)) && [[ ${COMP_WORDS[end - 1]} == : ]]; do
        before=${COMP_WORDS[end - 2]}:$before
        end=$((end - 2))
    done
    _plexigate_at "$at"
    for ((i = 1; i < end; i++)); do
        word=${COMP_WORDS[i]}
        # bash takes ":" and "=" for words of their own
        if [[ $word == : || $glued ]]; then
            [[ $word == : ]] && glued=1 || glued=
            continue
        elif [[ $word == = ]]; then
            continue
        elif [[ $option ]]; then
            [[ $option == --config ]] && file=$word
            option=
        elif [[ " $options" == *" $word="* ]]; then
            option=$word
        elif [[ $word == -* ]]; then
            continue
        elif [[ " $commands " == *" $word "* ]]; then
            at="$at $word"
            _plexigate_at "$at"
        else
            # the first argument of some commands is the configuration
            [[ ${arguments[0]-} == file && $count == 0 ]] && file=$word
            count=$((count + 1))
        fi
    done
    [[ $current == = ]] && current=
    if [[ $option ]]; then
        kind=${options#*"$option="}
        kind=${kind%% *}
    elif [[ $current == -* ]]; then
        kind="$switches $(for word in $options; do printf '%s ' "${word%%=*}"; done)"
        kind=choice:${kind// /,}
    elif [[ $commands && $count == 0 ]]; then
        kind=choice:${commands// /,}
    elif ((${#arguments[@]} > 0)); then
        [[ ${arguments[-1]} == *... && $count -ge ${#arguments[@]} ]] && count=$((${#arguments[@]} - 1))
        kind=${arguments[count]-}
        kind=${kind%...}
    fi
    local IFS=$'\n'
    case $kind in
        choice:*) kind=${kind#choice:}; COMPREPLY=($(compgen -W "${kind//,/$IFS}" -- "$current")) ;;
        name:*)
            COMPREPLY=($(compgen -W "$(_plexigate_names "${kind#name:}" "${file/#\~/$HOME}")" -- "$before$current"))
            COMPREPLY=("${COMPREPLY[@]#"$before"}") ;;
        file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
        directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$current")) ;;
    esac
    # a group whose first argument may stand in place of a command
    if [[ $commands && $count == 0 && ! $option && $current != -* && ${arguments[0]-} == file ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}
complete -F _plexigate plexigate
""".replace("DEFAULT_FILE", DEFAULT_FILE)


def bash_completion(program: CliCommand) -> str:
    """The file of bash-completion for the program."""
    commands = list(program.all())
    tables = set[str]()
    cases = "".join(f"        {line}\n" for one in commands for line in _at(one, tables))
    names = "\n".join(f"        {table}) {reading_names(table, _SECOND)} ;;" for table in sorted(tables))
    return _HEAD + cases + _MIDDLE + names + _TAIL


def _at(command: CliCommand, tables: set[str]) -> Iterator[str]:
    switches = [name for one in command.options if one.value is None for name in one.names]
    valued = [(name, one.value) for one in command.options if one.value is not None for name in one.names]
    options = " ".join(f"{name}={_kind(value, tables)}" for name, value in valued)
    arguments = " ".join(_kind(one.value, tables) + "..." * one.is_repeated for one in command.arguments)
    yield f'"{" ".join(command.path)}")'
    if command.commands:
        yield f'    commands="{" ".join(one.path[-1] for one in command.commands)}"'
    yield f'    switches="{" ".join(switches)}"'
    if options:
        yield f'    options="{options}"'
    if arguments:
        yield f"    arguments=({arguments})"
    yield "    ;;"


def _kind(value: CliValue, tables: set[str]) -> str:
    if value.kind is ValueKind.CHOICE:
        return f"choice:{','.join(value.choices)}"
    if value.kind is ValueKind.NAME:
        tables.add(value.table)
        return f"name:{value.table}"
    return str(value.kind.value)
