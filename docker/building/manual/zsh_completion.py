"""The completion of zsh: a function for each command, by `_arguments`."""

from collections.abc import Iterator
from typing import Final

from docker.building.manual.names import DEFAULT_FILE, reading_names
from docker.building.manual.tree import CliCommand, CliOption, CliValue, ValueKind

_FILE: Final = '"$file"'
_HEAD: Final = """\
#compdef plexigate
# zsh completion for plexigate(1), made from its command line.
"""
_NAMES: Final = """
# The configuration is that of --config, or the usual one.
_plexigate_names() {
  local file=${${words[(r)--config=*]#--config=}:-${words[${words[(i)--config]}+1]}}
  file=${~file:-DEFAULT_FILE}
  local -a names
  case $1 in
CASES
  esac
  compadd -a names
}
""".replace("DEFAULT_FILE", DEFAULT_FILE)


def zsh_completion(program: CliCommand) -> str:
    """The file of zsh for the program."""
    commands = list(program.all())
    tables = set[str]()
    functions = "".join("\n".join(["", *_function(one, tables), ""]) for one in commands)
    cases = [f'    {table}) names=(${{(f)"$({reading_names(table, _FILE)})"}}) ;;' for table in sorted(tables)]
    return _HEAD + _NAMES.replace("CASES", "\n".join(cases)) + functions + '\n_plexigate "$@"\n'


def _function(command: CliCommand, tables: set[str]) -> Iterator[str]:
    yield f"{_name(command)}() {{"
    specs = [_option(name, option, tables) for option in command.options for name in option.names]
    if not command.commands:
        specs += [
            f"'{'*' if one.is_repeated else ''}:{_quoted(one.value.word)}:{_action(one.value, tables)}'"
            for one in command.arguments
        ]
        yield from ["  _arguments -s \\", *_continued(specs), "}"]
        return
    yield "  local context state state_descr line ret=1"
    yield "  typeset -A opt_args"
    yield from [
        "  _arguments -C \\",
        *_continued([*specs, "'1:command:->command'", "'*::argument:->argument' && ret=0"]),
    ]
    yield "  case $state in"
    yield "    command)"
    yield "      local -a commands=("
    for one in command.commands:
        yield f"        '{_quoted(one.path[-1])}:{_quoted(one.summary)}'"
    yield "      )"
    yield "      _describe command commands && ret=0"
    for argument in command.arguments:
        yield f"      {_action(argument.value, tables)} && ret=0"
    yield "      ;;"
    yield "    argument)"
    yield "      case $line[1] in"
    for one in command.commands:
        yield f"        {one.path[-1]}) {_name(one)} && ret=0 ;;"
    yield from ["      esac", "      ;;", "  esac", "  return ret", "}"]


def _continued(specs: list[str]) -> Iterator[str]:
    for spec in specs[:-1]:
        yield f"    {spec} \\"
    yield f"    {specs[-1]}"


def _option(name: str, option: CliOption, tables: set[str]) -> str:
    several = "*" if option.is_repeated else ""
    meaning = f"[{_quoted(option.meaning)}]"
    if option.value is None:
        return f"'{several}{name}{meaning}'"
    return f"'{several}{name}={meaning}:{_quoted(option.value.word)}:{_action(option.value, tables)}'"


def _action(value: CliValue, tables: set[str]) -> str:
    match value.kind:
        case ValueKind.CHOICE:
            return f"({' '.join(value.choices)})"
        case ValueKind.NAME:
            tables.add(value.table)
            return f"{{_plexigate_names {value.table}}}"
        case ValueKind.FILE:
            return "_files"
        case ValueKind.DIRECTORY:
            return "_files -/"
        case ValueKind.TEXT:
            return " "


def _name(command: CliCommand) -> str:
    return "_" + "_".join(command.path).replace("-", "_")


def _quoted(text: str) -> str:
    """Text for a description within single quotes."""
    plain = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    return plain.replace("'", "'\\''")
