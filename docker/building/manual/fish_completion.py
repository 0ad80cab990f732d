"""The completion of fish: a line for each command and each option."""

from collections.abc import Iterator
from typing import Final

from docker.building.manual.names import DEFAULT_FILE, reading_names
from docker.building.manual.tree import CliCommand, CliValue, ValueKind

_HEAD: Final = """\
# fish completion for plexigate(1), made from its command line.

# Whether the words before the cursor lead to a command: its name, without options. The words that
# follow it are arguments, unless they are commands of it.
function __plexigate_at
    set -l words
    for word in (commandline -opc)
        string match -q -- '-*' $word; or set -a words $word
    end
    set -l count (count $argv)
    test (count $words) -ge $count; or return 1
    test "$words[1..$count]" = "$argv"; or return 1
end

function __plexigate_next
    __plexigate_at $argv; or return 1
    set -l words
    for word in (commandline -opc)
        string match -q -- '-*' $word; or set -a words $word
    end
    test (count $words) -eq (count $argv)
end

function __plexigate_file
    set -l words (commandline -opc)
    for number in (seq (count $words))
        if test "$words[$number]" = --config; and set -q words[(math $number + 1)]
            string replace -r '^~' $HOME -- $words[(math $number + 1)]
            return
        end
    end
    echo DEFAULT_FILE
end

complete -c plexigate -f
""".replace("DEFAULT_FILE", DEFAULT_FILE)


def fish_completion(program: CliCommand) -> str:
    """The file of fish for the program."""
    return _HEAD + "".join(f"{line}\n" for one in program.all() for line in _lines(one))


def _lines(command: CliCommand) -> Iterator[str]:
    here = " ".join(command.path)
    for one in command.commands:
        yield f"complete -c plexigate -n '__plexigate_next {here}' -a {one.path[-1]} -d '{_quoted(one.summary)}'"
    place = f"{'__plexigate_next' if len(command.path) == 1 else '__plexigate_at'} {here}"
    if command.default:  # its arguments and options are not those of its other commands
        place = "".join(f"not __plexigate_at {' '.join(one.path)}; and " for one in command.commands) + place
    at = f"complete -c plexigate -n '{place}'"
    for argument in command.arguments:
        if offered := _offered(argument.value):
            yield f"{at} {offered}"
    for option in command.options:
        for name in option.names:
            value = "" if option.value is None else f" -x {_offered(option.value)}".rstrip()
            if option.value is not None and option.value.kind is ValueKind.FILE:
                value = " -r -F"
            yield f"{at} -l {name.removeprefix('--')}{value} -d '{_quoted(option.meaning)}'"


def _offered(value: CliValue) -> str:
    match value.kind:
        case ValueKind.CHOICE:
            return f"-a '{' '.join(value.choices)}'"
        case ValueKind.NAME:
            return f"-a '({_quoted(reading_names(value.table, '(__plexigate_file)'))})'"
        case ValueKind.FILE:
            return "-F"
        case ValueKind.DIRECTORY:
            return "-a '(__fish_complete_directories)'"
        case ValueKind.TEXT:
            return ""


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
