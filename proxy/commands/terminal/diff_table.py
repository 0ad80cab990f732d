"""The changes between two configurations, for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from config.diff import Change, EffectKind

# The gravest kind comes last, where a terminal stops scrolling.
_HEADINGS: Final[Mapping[EffectKind, tuple[str, str]]] = {
    EffectKind.LIVE: ("changes live", "bold green"),
    EffectKind.DRAINED: ("changes live, and ends connections", "bold yellow"),
    EffectKind.RESTART: ("needs a restart; a reload refuses it", "bold red"),
}


def render(changes: Sequence[Change]) -> RenderableType:
    """Show each change with its effect, grouped by kind."""
    return Group(*_parts(changes)) if changes else Text("nothing changes")


def _parts(changes: Sequence[Change]) -> Iterator[RenderableType]:
    for kind, (heading, style) in _HEADINGS.items():
        of_kind = [change for change in changes if change.kind is kind]
        if of_kind:
            yield Text(heading, style)
        for change in of_kind:
            # the whole block is indented, so that a long line continues below its beginning
            yield Padding(Text.assemble((change.key, "bold"), f": {change.summary}"), (0, 0, 0, 2))
            yield Padding(Text(change.effect, "dim"), (0, 0, 0, 6))
