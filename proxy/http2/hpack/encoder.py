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
identity, which takes 40 instructions instead of 450 for the look-ups, which hash the field.

Strings are sent as they are. Huffman codes make the literals of a response shorter by a fifth, at
the price given in docs/performance.md.
"""

from typing import Final

from mypy_extensions import i64

from proxy.http2.hpack.dynamic_table import HeaderTable
from proxy.http2.hpack.never_indexed import NO_NAMES, SECRET_NAMES
from proxy.http2.hpack.static_table import ENTRY_BYTES, STATIC_COUNT, STATIC_ENTRIES, AnyHeader, TableEntry

# SETTINGS_HEADER_TABLE_SIZE before the peer says anything (RFC 9113 6.5.2), and the most that we
# use of it: memory that each connection keeps.
_TABLE_BYTES: Final = 4096
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


class _IndexedName:
    """A name in the dynamic table: its latest entry, and its latest value that was not indexed."""

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.passing: bytes | None = None


class HeaderEncoder:
    def __init__(self) -> None:
        self._table = HeaderTable(_TABLE_BYTES)
        # What the table has, by the numbers of insertions.
        self._fields: Final[dict[AnyHeader, int]] = {}
        self._names: Final[dict[bytes, _IndexedName]] = {}
        self._updates = b""
        self._smallest = _TABLE_BYTES
        # The last field of either table in each place of a list, and what was sent for it. They
        # hold as long as nothing changes the dynamic table.
        self._placed: Final[list[AnyHeader | None]] = []
        self._sent: Final[list[bytes]] = []
        # The same for each part of a list; an empty part is known without having been sent.
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
            if has_marks:
                self._with_marks(part, pieces, never_indexed)
            elif number < len(self._parts) and part is self._parts[number] and self._changes == self._table.changes:
                pieces.append(self._sent_parts[number])
            else:
                self._part(part, place, number, pieces)
            place += len(part)
        return b"".join(pieces)

    def _part(self, part: list[AnyHeader], place: i64, number: int, pieces: list[bytes]) -> None:
        """Write a part that begins at this place, and keep it if it is indexed as a whole."""
        first = len(pieces)
        is_indexed = True
        for field in part:
            octets = self._known(field, place)
            if octets:
                pieces.append(octets)
            else:
                is_indexed = False
                self._literal(field, pieces)
            place += 1
        if is_indexed:
            while len(self._parts) <= number:
                self._parts.append([])
                self._sent_parts.append(b"")
            self._parts[number] = part
            self._sent_parts[number] = b"".join(pieces[first:])

    def _known(self, field: AnyHeader, place: i64) -> bytes:
        """The index of a field in this place of the list; empty if no table has it."""
        if self._changes != self._table.changes:
            return self._octets(field)  # all indices have moved
        if place < len(self._placed) and field is self._placed[place]:
            return self._sent[place]
        octets = self._octets(field)
        if octets:
            self._keep(place, field, octets)
        return octets

    def _with_marks(self, part: list[AnyHeader], pieces: list[bytes], never_indexed: frozenset[bytes]) -> None:
        for field in part:
            if field[0] in never_indexed:
                self._mark(field, pieces)
            elif octets := self._octets(field):
                pieces.append(octets)
            else:
                self._literal(field, pieces)

    def _begin(self) -> list[bytes]:
        pieces: list[bytes] = []
        if self._updates:
            pieces.append(self._updates)
            self._updates = b""
            self._smallest = _TABLE_BYTES
        if self._changes != self._table.changes:
            self._changes = self._table.changes
            self._placed.clear()
            self._sent.clear()
            self._parts.clear()
            self._sent_parts.clear()
        return pieces

    def _octets(self, field: AnyHeader) -> bytes:
        """The index of a field; empty if no table has it."""
        number = self._fields.get(field)
        if number is not None:
            return _INDEXED[self._table.inserted + STATIC_COUNT - number]
        return _STATIC_FIELDS.get(field, b"")

    def _keep(self, place: i64, field: AnyHeader, octets: bytes) -> None:
        while len(self._placed) <= place:
            self._placed.append(None)
            self._sent.append(b"")
        self._placed[place] = field
        self._sent[place] = octets

    def _mark(self, field: AnyHeader, pieces: list[bytes]) -> None:
        """Write a field as one that is never indexed, even if a table has it (RFC 7541 6.2.3)."""
        name: bytes = field[0]
        index = _STATIC_NAMES.get(name, 0)
        pieces.append(_NEVER_INDEXED[index])
        if index == 0:
            _add_string(name, pieces)
        _add_string(field[1], pieces)

    def _literal(self, field: AnyHeader, pieces: list[bytes]) -> None:
        name: bytes = field[0]
        value: bytes = field[1]
        named = self._names.get(name)
        index = _STATIC_NAMES.get(name, 0)
        if index == 0 and named is not None:
            index = self._table.inserted + STATIC_COUNT - named.number
        entry: TableEntry | None = None
        if name in SECRET_NAMES:
            pieces.append(_NEVER_INDEXED[index])
        elif self._is_indexed(name, value, named):
            entry = TableEntry(name, value)
            pieces.append(_WITH_INDEXING[index])
        else:
            pieces.append(_WITHOUT_INDEXING[index])
        if index == 0:
            _add_string(name, pieces)
        _add_string(value, pieces)
        if entry is not None:
            self._insert(entry, name)

    def _is_indexed(self, name: bytes, value: bytes, named: _IndexedName | None) -> bool:
        if (len(name) + len(value) + ENTRY_BYTES) * _LARGEST_PART > self._table.capacity:
            return False
        if named is None or named.passing == value:
            return True
        named.passing = value
        return False

    def _insert(self, entry: TableEntry, name: bytes) -> None:
        number = self._table.inserted
        evicted = self._table.insert(entry)
        self._fields[entry.field] = number
        self._names[name] = _IndexedName(number)
        if evicted:
            self._forget(evicted)

    def _forget(self, evicted: list[TableEntry]) -> None:
        for entry in evicted:
            del self._fields[entry.field]
            named = self._names.get(entry.name)
            if named is not None and named.number < self._table.evicted:
                del self._names[entry.name]


def _add_string(text: bytes, pieces: list[bytes]) -> None:
    """A string as it is (RFC 7541 5.2)."""
    length = len(text)
    pieces.append(_LENGTHS[length] if length < len(_LENGTHS) else _number(0x00, 7, length))
    pieces.append(text)
