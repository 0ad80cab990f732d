"""The command line as values: each command with its texts, arguments and options.

Manual pages and completions are made from these values, so that both have what the program has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

# Tables of the configuration whose names an argument takes, by the word that stands for the
# argument in --help.
_TABLES: Final = {
    "IDENTITY": "identity",
    "ISSUER": "issuer",
    "RING": "payload.ring",
    "ROUTE": "route",
    "SERVER": "upstream.servers",
    "TOKEN": "hsm.token",
    "UPSTREAM": "upstream",
}
_HELP: Final = "Show the help of the command, and exit."
_EXAMPLE: Final = "Example: "


class ValueKind(Enum):
    """What a shell can offer for a value."""

    TEXT = "text"
    FILE = "file"
    DIRECTORY = "directory"
    CHOICE = "choice"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class CliValue:
    """What an argument or an option takes."""

    word: str
    """What stands for it in --help, such as FILE."""
    kind: ValueKind
    choices: tuple[str, ...] = ()
    table: str = ""
    """The table of the configuration whose names are taken, such as `payload.ring`."""


@dataclass(frozen=True, slots=True)
class CliArgument:
    """A value that is given by its place."""

    value: CliValue
    meaning: str
    is_required: bool
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class CliOption:
    """An option. Without a value it is a switch."""

    names: tuple[str, ...]
    value: CliValue | None
    meaning: str
    default: str
    """As it is typed, empty if there is none."""
    is_required: bool
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class CliCommand:
    path: tuple[str, ...]
    """What is typed, such as `plexigate certs list`."""
    paragraphs: tuple[str, ...]
    epilog: str
    """What stands at the end of --help, without the examples."""
    examples: tuple[str, ...]
    arguments: tuple[CliArgument, ...]
    options: tuple[CliOption, ...]
    commands: tuple["CliCommand", ...]
    default: str
    """The command of a group that is meant where none is named. The group takes its arguments and
    options; empty for a group that has none.
    """
    is_complete: bool
    """Whether it does something without a further command."""

    @property
    def summary(self) -> str:
        """Its first sentence."""
        first, _, _ = self.paragraphs[0].partition(". ")
        return first.rstrip(".")

    def all(self) -> Iterator["CliCommand"]:
        yield self
        for command in self.commands:
            yield from command.all()


def command_tree(command: object, path: tuple[str, ...] = ()) -> CliCommand:
    """Read a command that stands at `path`. Hidden commands and options are left out."""
    assert isinstance(command, TyperCommand | TyperGroup)  # Typer makes no others
    here = (*path, command.name or "")
    children = command.commands.values() if isinstance(command, TyperGroup) else ()
    default = str(getattr(command, "default_command", ""))
    given = command.commands[default] if isinstance(command, TyperGroup) and default else command
    is_complete = not isinstance(command, TyperGroup) or command.invoke_without_command
    arguments = [one for one in given.params if isinstance(one, TyperArgument) and not one.hidden]
    options = [one for one in given.params if isinstance(one, TyperOption) and not one.hidden]
    closing = command.epilog or ""
    is_example = closing.startswith(_EXAMPLE)
    return CliCommand(
        path=here,
        paragraphs=tuple(" ".join(one.split()) for one in (command.help or "").split("\n\n") if one.strip()),
        epilog="" if is_example else closing,
        examples=(closing.removeprefix(_EXAMPLE),) if is_example else (),
        arguments=tuple(_argument(one, here) for one in arguments),
        options=(*(_option(one) for one in options), CliOption(("--help",), None, _HELP, "", False, False)),  # noqa: FBT003
        commands=tuple(command_tree(one, here) for one in children if not one.hidden),
        default=default,
        is_complete=is_complete or bool(default),
    )


def _argument(argument: TyperArgument, path: tuple[str, ...]) -> CliArgument:
    value = _value(argument)
    if path[1] == "certs" and value.word == "NAME":
        value = CliValue(value.word, ValueKind.NAME, table="identity")
    return CliArgument(value, argument.help or "", argument.required, argument.nargs == -1)


def _option(option: TyperOption) -> CliOption:
    default = option.default
    if isinstance(default, Enum):
        default = default.value
    is_told = not option.is_flag and default is not None
    return CliOption(
        names=(*option.opts, *option.secondary_opts),
        value=None if option.is_flag else _value(option),
        meaning=option.help or "",
        default=str(default) if is_told else "",
        is_required=option.required,
        is_repeated=option.multiple,
    )


def _value(parameter: TyperArgument | TyperOption) -> CliValue:
    annotation = parameter.type_descriptor.annotation
    (kind,) = getattr(annotation, "__args__", (annotation,))  # of a list
    word = parameter.metavar or (parameter.name or "").strip("_").upper().replace("_", "-")
    if isinstance(kind, type) and issubclass(kind, Enum):
        return CliValue(word, ValueKind.CHOICE, tuple(str(one.value) for one in kind))
    if kind is Path:
        return CliValue(word, ValueKind.DIRECTORY if word == "DIRECTORY" else ValueKind.FILE)
    if word in _TABLES:
        return CliValue(word, ValueKind.NAME, table=_TABLES[word])
    return CliValue(word, ValueKind.TEXT)
