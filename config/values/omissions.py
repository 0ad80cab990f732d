"""What had to be left out of a faulty document, so that the rest of it can still be judged.

One run must report every fault. So a value that is refused is left out (or the table that cannot do
without it), and the rest is read again. Checks on the rest must not take a gap for a fault. They
must name list entries by the index that they have in the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.values.problems import Location, toml_key


@dataclass(frozen=True, slots=True)
class Omissions:
    """The locations, as in the file, of refused values; falsy when nothing was refused."""

    locations: frozenset[Location] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.locations)

    def touch(self, *location: str | int) -> bool:
        """Whether anything at, or under, a location of the file was left out."""
        return any(omitted[: len(location)] == location for omitted in self.locations)

    def touch_any(self, table: Location, keys: Iterable[str]) -> bool:
        """Whether anything at, or under, one of these keys was left out of a table; its location is
        that in what was left.
        """
        place = self.in_file(table)
        return any(self.touch(*place, key) for key in keys)

    def names(self, table: str) -> frozenset[str]:
        """The NAMEs of the `[table.NAME]`s that were left out as a whole."""
        pairs = (omitted for omitted in self.locations if len(omitted) == 2 and omitted[0] == table)
        return frozenset(str(name) for _, name in pairs)

    def key(self, *location: str | int) -> str:
        """The key in the file of a location in what was left."""
        return toml_key(self.in_file(location))

    def in_file(self, location: Location) -> Location:
        """The location in the file of a location in what was left: an index counts the entries left
        out before it.
        """
        found: Location = ()
        for part in location:
            found = (*found, self._index_in_file(found, part) if isinstance(part, int) else part)
        return found

    def without(self, document: Mapping[str, object]) -> dict[str, object]:
        """A copy of the document of the file without what is left out."""
        return {key: self._pruned(value, (key,)) for key, value in document.items() if (key,) not in self.locations}

    def _index_in_file(self, place: Location, left: int) -> int:
        index = 0
        while (*place, index) in self.locations or left:
            left -= (*place, index) not in self.locations
            index += 1
        return index

    def _pruned(self, value: object, place: Location) -> object:
        match value:
            case dict():
                entries = ((key, entry, (*place, key)) for key, entry in value.items())
                return {key: self._pruned(entry, at) for key, entry, at in entries if at not in self.locations}
            case list():
                entries = ((index, entry, (*place, index)) for index, entry in enumerate(value))
                return [self._pruned(entry, at) for _, entry, at in entries if at not in self.locations]
            case _:
                return value
