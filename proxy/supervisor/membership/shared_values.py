"""What a node has verified of all kinds that its fleet shares."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.supervisor.membership.shared import Stored
from proxy.supervisor.membership.shared_kind import SharedKind
from proxy.supervisor.membership.state import Taken
from proxy.supervisor.membership.values import NOT_READABLE, FleetKey, OfEarlierEpoch, ValueUnusable

_MOST_WRITES: Final = 100
"""As one; etcd allows 128 operations, and 1.5 MB."""
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OpenedValues:
    """What the store has and this node has not taken yet; `kept` is to be on the disk first."""

    kept: dict[str, Taken] = field(default_factory=dict)
    passing: dict[str, Taken] = field(default_factory=dict)
    used: dict[str, Stored] = field(default_factory=dict)
    parsed: list[tuple[SharedKind, dict[str, Any]]] = field(default_factory=list)
    refused: list[ValueUnusable] = field(default_factory=list)


class SharedValues:
    """The values of all kinds, as this node uses them. `kept` is always what is on its disk."""

    def __init__(self, kinds: Sequence[SharedKind]) -> None:
        self.kinds = kinds
        self._used: dict[str, Stored] = {}
        """What the store had of each value when this node took it, or found that it has it."""
        self._passing: dict[str, Taken] = {}
        """What was taken and is on no disk."""
        self._of_epoch_before: set[str] = set()
        """Of `_used`, what the store has sealed by the key of an earlier epoch."""
        self.lowest_schema: Callable[[Sequence[str]], int] = lambda _: 0
        """The newest schema that these members all read; 0 if one of them has not said it."""

    def begin(self, kept: Mapping[str, Taken]) -> None:
        """Serve by what is on the disk, as long as the store says nothing newer."""
        for kind in self.kinds:
            parsed: dict[str, Any] = {}
            for name, taken in kept.items():
                if taken.content is not None and _is_of(kind, name):
                    with suppress(*NOT_READABLE):  # of another version; the store has it
                        parsed[name] = kind.parse(name, taken.content)
            if parsed:
                kind.take(parsed)

    def epoch_ended(self) -> None:
        """There is another key. If this node leads, it seals by that what the store has."""
        self._of_epoch_before = set(self._used)

    def open(
        self, key: FleetKey, entries: Mapping[str, Stored], kept: Mapping[str, Taken], before: float = math.inf
    ) -> OpenedValues:
        """What is new in the store, of revisions below `before`. Nothing is used until `use`."""
        known = {**kept, **self._passing}
        found = OpenedValues()
        for kind in self.kinds:
            parsed: dict[str, Any] = {}
            for name in self._unused(kind, entries):
                if entries[name].revision >= before:
                    continue
                try:
                    taken, content = _opened(kind, name, key.open(name, entries[name].value), known.get(name))
                except ValueUnusable as error:
                    if not kind.is_kept and isinstance(error, OfEarlierEpoch):
                        found.used[name] = entries[name]  # as if it was gone: who has written it will do so again
                    else:
                        found.refused.append(error)
                    continue
                found.used[name] = entries[name]
                if taken != known.get(name):
                    (found.kept if kind.is_kept else found.passing)[name] = taken
                    parsed[name] = content
            gone = [name for name in self._passing if name not in entries and _is_of(kind, name)]
            found.parsed.append((kind, {**parsed, **dict.fromkeys(gone)}))
        return found

    def use(self, opened: OpenedValues, entries: Mapping[str, Stored]) -> None:
        """Serve by what was opened. What is kept of it is on the disk by now."""
        self._used = {name: one for name, one in {**self._used, **opened.used}.items() if name in entries}
        self._passing = {name: one for name, one in {**self._passing, **opened.passing}.items() if name in entries}
        self._of_epoch_before -= opened.used.keys()
        for kind, parsed in opened.parsed:
            if parsed:
                kind.take(parsed)

    def accept_older(self) -> None:
        """Take once more from the store what is on no disk, however old it is there."""
        self._passing = {name: Taken(-1, one.content) for name, one in self._passing.items()}

    def spoilt(self, entries: Mapping[str, Stored]) -> set[str]:
        """What this node cannot use. It is not written over, unless this node knows better."""
        return {name for kind in self.kinds for name in self._unused(kind, entries)}

    def lost(self, entries: Mapping[str, Stored], kept: Mapping[str, Taken]) -> Iterator[tuple[str, Taken]]:
        """What is kept, and the store has no more or not so: it was restored, others have changed
        it, or the key of an earlier epoch has sealed it.
        """
        for name, taken in kept.items():
            stored = entries.get(name)
            if stored is None:
                if taken.content is not None:
                    yield name, taken
            elif self._used.get(name) != stored or name in self._of_epoch_before:
                yield name, taken

    def numbered(
        self, contents: Mapping[str, object | None], kept: Mapping[str, Taken], now: float
    ) -> Iterator[tuple[str, Taken | None]]:
        """Each content with its serial number; None if it is to be removed from the store."""
        known = {**kept, **self._passing}
        for name, content in contents.items():
            # by the time: two nodes that have not heard of each other take different numbers
            serial = max(int(now * 1_000), known[name].serial + 1 if name in known else 0)
            passes = not any(kind.is_kept and _is_of(kind, name) for kind in self.kinds)
            yield name, None if content is None and passes else Taken(serial, content)

    def _unused(self, kind: SharedKind, entries: Mapping[str, Stored]) -> Iterator[str]:
        """The values of a kind that were not looked at yet, or are refused."""
        for name, stored in entries.items():
            if _is_of(kind, name) and self._used.get(name) != stored:
                yield name


def batches(writes: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, bytes]]:
    """The same in parts that a store takes as one."""
    batch: dict[str, bytes] = {}
    size = 0
    for name, value in writes:
        if len(batch) == _MOST_WRITES or (batch and size + len(value) > _MOST_BYTES):
            yield batch
            batch = {}
            size = 0
        batch[name] = value
        size += len(value)
    if batch:
        yield batch


def _is_of(kind: SharedKind, name: str) -> bool:
    return name.startswith(kind.prefix) if kind.prefix.endswith("/") else name == kind.prefix


def _opened(kind: SharedKind, name: str, found: Any, known: Taken | None) -> tuple[Taken, Any]:
    """A value that is not older than the one before. Raises `ValueUnusable`."""
    try:
        taken = Taken(int(found["serial"]), found["content"])
        parsed = None if taken.content is None else kind.parse(name, taken.content)
    except NOT_READABLE:
        raise ValueUnusable(name, "has a content that this Plexigate cannot read") from None
    if known is not None and (taken.serial < known.serial or (taken.serial == known.serial and taken != known)):
        raise ValueUnusable(name, "is older than what this node has taken before")
    return taken, parsed
