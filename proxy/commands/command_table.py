"""The commands of the program as a table: the module of a command is imported when the command is
used.

So `plexigate --help` imports none of them, and `plexigate status` one.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from typer.main import get_group

from proxy.commands.terminal.help_text import WholeSentences, unwrap
from proxy.commands.terminal.interruption import quiet_interruption
from proxy.processes.uncollected import uncollected

if TYPE_CHECKING:
    import typer


class Entry(NamedTuple):
    """A command, or a group of commands. The `app` of `module` is the group, or has the command.

    `summary` is the first paragraph of its help.
    """

    name: str
    module: str
    summary: str

    def command(self) -> Any:
        with quiet_interruption(), uncollected():
            app: typer.Typer = import_module(self.module).app
        app.rich_markup_mode = None  # rich takes longer to load than all the rest of --help
        unwrap(app)
        group = get_group(app)
        return group if group.name == self.name else group.commands[self.name]


class CommandTable(Mapping[str, Any]):
    """Name -> command, which is made when it is asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The command. Raises `KeyError`."""
        if name not in self._made:
            self._made[name] = self.entries[name].command()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def group_of(entries: Sequence[Entry]) -> type[WholeSentences]:
    """The group of the commands of a table, as the class that typer takes."""

    class _TableGroup(WholeSentences):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self._table = CommandTable(entries)
            self.commands = self._table  # type: ignore[assignment] # nothing adds to it

        def summary_of(self, name: str) -> str:
            return self._table.entries[name].summary

    return _TableGroup
