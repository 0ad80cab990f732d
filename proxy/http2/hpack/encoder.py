"""Header blocks for a peer: fields -> octets (RFC 7541 section 6).

Theory of operation. A field that is in the table costs one look-up and one octet. A new name is
indexed with its first value. When another value comes with a name that the table has, it is only
indexed if it comes twice in a row. So a value that is never sent again (a length, an identifier, an
etag) takes no room from fields that stay, while its name costs one octet, and a date is indexed
where a second has several responses.

Secrets are literals that are never indexed on the way (RFC 7541 7.1.3): a table that holds one can
be probed by the length of what is sent. So are fields that their sender marked (6.2.3).

A list of fields comes in parts. A server's head that repeats is read once, and most of what the
proxy adds are constants: such a part is the very list of the last time, in the same place, and what
was sent for it is sent again if it was indexed. Where only some fields of a response are others,
the rest are the very objects of the last one, in the same place. Such a field is known by its
identity, and by the number of its insertion, which later insertions leave as it is. A name that the
table has once tells by its value whether the table has a field: to look that up takes ten times as
much, because it hashes the field.

Strings are sent as they are. Huffman codes make the literals of a response shorter by a fifth, at
the price given in docs/performance.md.
"""

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy.http2.hpack.dynamic_table import HeaderTable
from proxy.http2.hpack.never_indexed import NO_NAMES, SECRET_NAMES
from proxy.http2.hpack.static_table import ENTRY_BYTES, STATIC_COUNT, STATIC_ENTRIES, AnyHeader, TableEntry

if TYPE_CHECKING:
    from proxy.http.head import Header

# SETTINGS_HEADER_TABLE_SIZE before the peer says anything (RFC 9113 6.5.2), and the most that we
# use of it: memory that each connection keeps.
_TABLE_BYTES: Final = 4096
# A part of fewer fields is not worth a memory of its own.
_LEAST_FIELDS: Final = 2
# A field that takes more than this part of the table is not indexed: it would evict most others.
_LARGEST_PART: Final = 4


def _number(first: int, bits: int, value: int) -> bytes:
    """A number whose first octet has other bits as well (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    octets = [first | most]
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


# Each index of both tables, as the beginning of a field (RFC 7541 section 6): 61 and 128.
_INDICES: Final = range(STATIC_COUNT + 1 + _TABLE_BYTES // ENTRY_BYTES)
_INDEXED: Final = [_number(0x80, 7, index) for index in _INDICES]
_WITH_INDEXING: Final = [_number(0x40, 6, index) for index in _INDICES]
_WITHOUT_INDEXING: Final = [_number(0x00, 4, index) for index in _INDICES]
_NEVER_INDEXED: Final = [_number(0x10, 4, index) for index in _INDICES]
_LENGTHS: Final = [_number(0x00, 7, length) for length in range(256)]
_STATIC_FIELDS: Final[dict[AnyHeader, bytes]] = {
    entry.field: _INDEXED[index] for index, entry in enumerate(STATIC_ENTRIES, 1)
}
# The lowest index counts: all others would do.
_STATIC_NAMES: Final[dict[bytes, int]] = {
    entry.name: index for index, entry in reversed(list(enumerate(STATIC_ENTRIES, 1)))
}


# Of these, other values may be in the static table.
_STATIC_VALUES: Final = frozenset([entry.name for entry in STATIC_ENTRIES if entry.field[1]])


class _IndexedName:
    """A name in the dynamic table: its latest entry, and its latest value that was not indexed."""

    def __init__(self, name: bytes) -> None:
        self.count: i64 = 0
        self.number: i64 = 0
        self.value = b""
        self.passing: bytes | None = None
        self.static_index: i64 = _STATIC_NAMES.get(name, 0)
        self.has_static_values = name in _STATIC_VALUES

    def indexed(self, number: i64, value: bytes) -> None:
        """Take its next entry, whose value is not passing any more."""
        self.count += 1
        self.number = number
        self.value = value
        self.passing = None


class _PlacedField:
    """The last field of either table that stood in one place of a list."""

    def __init__(self) -> None:
        self.field: AnyHeader = None
        self.number: i64 = -1
        """That of its insertion; -1 for one of the static table."""
        self.octets = b""


class HeaderEncoder:
    def __init__(self) -> None:
        self._table = HeaderTable(_TABLE_BYTES)
        # What the table has, by the numbers of insertions.
        self._fields: Final[dict[AnyHeader, int]] = {}
        self._names: Final[dict[bytes, _IndexedName]] = {}
        self._updates = b""
        self._smallest = _TABLE_BYTES
        self._places: Final[list[_PlacedField]] = []
        # The last part in each place of a list, if it was indexed as a whole, and what was sent for
        # it. They hold as long as nothing changes the dynamic table.
        self._parts: Final[list[list[AnyHeader]]] = []
        self._sent_parts: Final[list[bytes]] = []
        self._changes: i64 = 0

    def peer_table_bytes(self, count: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: we use no more; the next block says how much."""
        size = min(count, _TABLE_BYTES)
        if size == self._table.capacity:
            return
        self._forget(self._table.resize(size))
        # RFC 7541 4.2: the smallest of all sizes since the last block, and the last one
        self._smallest = min(self._smallest, size)
        self._updates = _number(0x20, 5, self._smallest)
        if size != self._smallest:
            self._updates += _number(0x20, 5, size)

    def encode(self, parts: list[list[AnyHeader]], never_indexed: frozenset[bytes] = NO_NAMES) -> bytes:
        """Return one complete block, which has to be sent, since it may change the table.

        Names are in lower case. A part never changes. Fields with the names of `never_indexed`
        stand in no table.
        """
        pieces = self._begin()
        has_marks = len(never_indexed) > 0
        place: i64 = 0
        for number, part in enumerate(parts):
            if len(part) == 0:
                continue
            if has_marks:
                self._with_marks(part, place, pieces, never_indexed)
            elif number < len(self._parts) and part is self._parts[number] and self._changes == self._table.changes:
                pieces.append(self._sent_parts[number])
            else:
                self._part(part, place, number, pieces)
            place += len(part)
        return b"".join(pieces)

    def _part(self, part: list[AnyHeader], place: i64, number: int, pieces: list[bytes]) -> None:
        """Write a part that begins at this place, and keep it if it is indexed as a whole."""
        begin = place
        first = len(pieces)
        is_indexed = True
        for field in part:
            octets = self._known(field, place)
            if len(octets) == 0:
                pair: Header = field
                named = self._names.get(pair[0])
                octets = self._index(field, named, place)
                if len(octets) == 0:
                    is_indexed = False
                    octets = self._literal(field, named)
            pieces.append(octets)
            place += 1
        if is_indexed and place - begin >= _LEAST_FIELDS:
            while len(self._parts) <= number:
                self._parts.append([])
                self._sent_parts.append(b"")
            self._parts[number] = part
            self._sent_parts[number] = b"".join(pieces[first:])

    def _known(self, field: AnyHeader, place: i64) -> bytes:
        """The index of the very field that stood last in this place; empty for another one."""
        if place >= len(self._places):
            return b""
        last = self._places[place]
        if last.field is not field or last.number < 0:
            return last.octets if last.field is field else b""
        return _INDEXED[self._index_of(last.number)] if last.number >= self._table.evicted else b""

    def _index(self, field: AnyHeader, named: _IndexedName | None, place: i64) -> bytes:
        """The index of a field, which is kept for this place; empty if no table has it."""
        number: i64 = -1
        octets = b""
        if named is not None and named.count == 1 and not named.has_static_values:
            pair: Header = field
            if pair[1] != named.value:
                return octets
            number = named.number
        elif named is not None:
            found = self._fields.get(field)
            if found is not None:
                number = found
        octets = _STATIC_FIELDS.get(field, b"") if number < 0 else _INDEXED[self._index_of(number)]
        if len(octets) > 0:
            while len(self._places) <= place:
                self._places.append(_PlacedField())
            kept = self._places[place]
            kept.field = field
            kept.number = number
            kept.octets = octets
        return octets

    def _index_of(self, number: i64) -> i64:
        """The index of an entry of the dynamic table."""
        return self._table.inserted + STATIC_COUNT - number

    def _with_marks(
        self, part: list[AnyHeader], place: i64, pieces: list[bytes], never_indexed: frozenset[bytes]
    ) -> None:
        """Write a part with fields that are never indexed, even if a table has them (6.2.3)."""
        for field in part:
            if field[0] in never_indexed:
                pieces.append(_literal(_NEVER_INDEXED, _STATIC_NAMES.get(field[0], 0), field))
                continue
            named = self._names.get(field[0])
            pieces.append(self._index(field, named, place) or self._literal(field, named))
            place += 1

    def _begin(self) -> list[bytes]:
        pieces: list[bytes] = []
        if self._updates:
            pieces.append(self._updates)
            self._updates = b""
            self._smallest = _TABLE_BYTES
        if self._changes != self._table.changes:
            self._changes = self._table.changes
            self._parts.clear()
            self._sent_parts.clear()
        return pieces

    def _literal(self, field: AnyHeader, named: _IndexedName | None) -> bytes:
        pair: Header = field
        name, value = pair
        index = _STATIC_NAMES.get(name, 0) if named is None else named.static_index
        if index == 0 and named is not None:
            index = self._index_of(named.number)
        if named is None and name in SECRET_NAMES:
            return _literal(_NEVER_INDEXED, index, field)
        if not self._is_indexed(name, value, named):
            return _literal(_WITHOUT_INDEXING, index, field)
        octets = _literal(_WITH_INDEXING, index, field)
        self._insert(TableEntry(name, value), named)
        return octets

    def _is_indexed(self, name: bytes, value: bytes, named: _IndexedName | None) -> bool:
        if (len(name) + len(value) + ENTRY_BYTES) * _LARGEST_PART > self._table.capacity:
            return False
        if named is None or named.passing == value:
            return True
        named.passing = value
        return False

    def _insert(self, entry: TableEntry, named: _IndexedName | None) -> None:
        number = self._table.inserted
        evicted = self._table.insert(entry)
        self._fields[entry.field] = number
        if named is None:
            named = self._names[entry.name] = _IndexedName(entry.name)
        named.indexed(number, entry.field[1])
        if evicted:
            self._forget(evicted)

    def _forget(self, evicted: list[TableEntry]) -> None:
        for entry in evicted:
            del self._fields[entry.field]
            named = self._names[entry.name]
            named.count -= 1
            if named.count == 0:
                del self._names[entry.name]


def _literal(starts: list[bytes], index: i64, field: AnyHeader) -> bytes:
    """A literal field, with the index of its name, or its name if that is 0 (RFC 7541 6.2)."""
    pair: Header = field
    name, value = pair
    if index:
        return b"%b%b%b" % (starts[index], _length(value), value)
    return b"%b%b%b%b%b" % (starts[0], _length(name), name, _length(value), value)


def _length(text: bytes) -> bytes:
    """What comes before a string that is sent as it is (RFC 7541 5.2)."""
    length = len(text)
    return _LENGTHS[length] if length < len(_LENGTHS) else _number(0x00, 7, length)
