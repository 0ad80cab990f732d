"""Header blocks of a peer: octets -> fields (RFC 7541 section 6), within limits.

Theory of operation. A block is read once, from its first octet to its last. Only references are
collected: an indexed field gives the very tuple that stands in the table, so that it costs eight
bytes however often it comes. Number and size of the list are counted before a field joins it. When
one is over its limit the list is dropped, and the rest of the block is read for its errors and for
what it does to the table, because the table has to stay in step with that of the peer.

A literal that is not indexed often comes again: a path that is polled, an entity tag. One with the
same octets as the literal in its place of the last block gives the same object. Secrets are not
kept for this, nor names that an index of the dynamic table gives.

The names of fields that must never be indexed are kept beside the list (RFC 7541 6.2.3): a message
goes on through a head of HTTP/1.1, whose lines cannot say it.
"""

from dataclasses import dataclass
from typing import Final

from mypy_extensions import i64, mypyc_attr

from proxy.http.head import Header
from proxy.http2.hpack.dynamic_table import HeaderTable
from proxy.http2.hpack.huffman import decode_huffman
from proxy.http2.hpack.never_indexed import NO_NAMES, SECRET_NAMES
from proxy.http2.hpack.static_table import ENTRY_BYTES, STATIC_COUNT, AnyHeader, TableEntry
from proxy.http2.wire.errors import ConnectionFault, ErrorCode

# The first octet of a field, RFC 7541 section 6: its highest bits say what it is, the rest begins
# a number.
_INDEXED: Final = 0x80
_INDEX_BITS: Final = 0x7F
_WITH_INDEXING: Final = 0x40
_WITH_INDEXING_BITS: Final = 0x3F
_SIZE_UPDATE: Final = 0x20
_SIZE_BITS: Final = 0x1F
# both without indexing (0x00) and never indexed (0x10)
_LITERAL_BITS: Final = 0x0F
_NEVER_INDEXED: Final = 0x10
_HUFFMAN: Final = 0x80
_LENGTH_BITS: Final = 0x7F
# RFC 7541 4.2: the smallest size between two blocks, then the last one.
_SIZE_UPDATES: Final = 2
# Four octets behind the first one are 2^28: more than any block has, and than any table.
_LAST_SHIFT: Final = 21
# Of the second octet of a literal whose name has an index from 15 on: the last of the static table.
_LAST_STATIC: Final = STATIC_COUNT - _LITERAL_BITS
_KEPT_LITERALS: Final = 8
# A block that is longer is not kept to be recognised: it would stay in memory with an idle
# connection.
_REMEMBERED_BYTES: Final = 1024
# What a list may be larger than its block. A field of the table costs one octet, and a proxy writes
# it out in full to its server: seven of 4 KB on each of 128 streams would make 10 MB of 14 KB. An
# honest client names what it put into the table once, so the table's size bounds that. Huffman's
# code saves three eighths at most, and names and values of the static table have a kilobyte.
_BLOCK_FACTOR: Final = 2
_STATIC_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class BlockLimits:
    count: int
    """Fields; all crumbs of `cookie` are one (RFC 9113 8.2.3)."""
    list_bytes: int
    """Names, values, and 32 for each field, for each crumb too (RFC 9113 6.5.2)."""
    field_bytes: int
    """Name and value of one field."""


@mypyc_attr(acyclic=True, free_list_len=1)
class DecodedFields:
    """The fields of one block as they were sent; none if they were too many or too large."""

    def __init__(
        self,
        fields: list[Header],
        is_too_large: bool,  # noqa: FBT001 - called for each request
        never_indexed: frozenset[bytes] = NO_NAMES,
    ) -> None:
        self.fields = fields
        self.is_too_large = is_too_large
        self.never_indexed = never_indexed
        """Names that the peer marked, without those that are secret anyway."""


@mypyc_attr(acyclic=True, free_list_len=1)
class _Literal:
    """A literal as it came, and the field that it is."""

    def __init__(self, octets: bytes, entry: TableEntry) -> None:
        self.octets = octets
        self.entry = entry


class HeaderDecoder:
    def __init__(self, table_bytes: int) -> None:
        """`table_bytes` is our SETTINGS_HEADER_TABLE_SIZE, the most that the peer may use."""
        self._table_bytes: i64 = table_bytes
        self._table = HeaderTable(table_bytes)
        self._at: i64 = 0
        # The literals of the last block, and of this one.
        self._before: list[_Literal] = []
        self._literals: list[_Literal] = []
        # The last block and what it gave, if both can be used again.
        self._block = b""
        self._limits: BlockLimits | None = None
        self._decoded: DecodedFields | None = None

    def decode(self, block: bytes, limits: BlockLimits) -> DecodedFields:
        """Decode one complete block; each block has to be given, since each may change the table.

        A block that equals the last one and did not change the table gives the same object again.
        Raises ConnectionFault (COMPRESSION_ERROR): the table is then out of step.
        """
        if self._decoded is not None and limits is self._limits and block == self._block:
            return self._decoded
        changes = self._table.changes
        self._at = 0
        self._before = self._literals
        self._literals = []
        self._update_size(block)
        decoded = self._read(block, limits)
        if len(block) > _REMEMBERED_BYTES:
            self._literals = []
            self._decoded = None
        elif changes == self._table.changes:
            self._block = block
            self._limits = limits
            self._decoded = decoded
        else:
            self._decoded = None
        return decoded

    def _update_size(self, block: bytes) -> None:
        """Read the size updates that a block may begin with (RFC 7541 4.2 and 6.3)."""
        count = 0
        while self._at < len(block) and block[self._at] >> 5 == _SIZE_UPDATE >> 5:
            size = self._number(block, _SIZE_BITS)
            count += 1
            if count > _SIZE_UPDATES:
                raise _fault("more than two updates of the table's size")
            if size > self._table_bytes:
                raise _fault("table larger than announced")
            self._table.resize(size)

    def _read(self, block: bytes, limits: BlockLimits) -> DecodedFields:
        collected = _Collected(limits)
        end: i64 = len(block)
        while self._at < end:
            if block[self._at] >= _INDEXED:
                collected.add(self._table.entry(self._number(block, _INDEX_BITS)))
            elif not self._is_repeated(block, collected):
                self._literal(block, collected)
        if collected.octets > _BLOCK_FACTOR * end + self._table_bytes + _STATIC_BYTES:
            collected.drop()
        marked = collected.marked
        return DecodedFields(
            collected.fields, collected.is_too_large, NO_NAMES if marked is None else frozenset(marked)
        )

    def _is_repeated(self, block: bytes, collected: "_Collected") -> bool:
        """Take the literal that stood in this place of the last block, if it comes again."""
        place = len(self._literals)
        if place >= len(self._before) or block[self._at] >= _NEVER_INDEXED:
            return False
        known = self._before[place]
        end = self._at + len(known.octets)
        if block[self._at : end] != known.octets:
            return False
        self._at = end
        self._literals.append(known)
        collected.add(known.entry)
        return True

    def _literal(self, block: bytes, collected: "_Collected") -> None:
        """Read a literal field (RFC 7541 6.2)."""
        start = self._at
        first: i64 = block[start]
        limit: i64 = collected.field_bytes
        if first & _WITH_INDEXING:
            # what fits into the table is needed, wanted here or not
            name, value = self._strings(block, _WITH_INDEXING_BITS, max(limit, self._table_bytes))
            if name is None or value is None:
                self._table.clear()
                collected.drop()
                return
            entry = TableEntry(name, value)
            self._table.insert(entry)
            collected.add(entry)
            return
        if first & _SIZE_UPDATE:
            raise _fault("update of the table's size behind a field")
        name, value = self._strings(block, _LITERAL_BITS, limit)
        if name is None or value is None:
            collected.drop()
            return
        entry = TableEntry(name, value)
        collected.add(entry)
        if name in SECRET_NAMES:
            return
        if first & _NEVER_INDEXED:
            collected.mark(name)
        elif len(self._literals) < _KEPT_LITERALS and (first < _LITERAL_BITS or block[start + 1] <= _LAST_STATIC):
            self._literals.append(_Literal(block[start : self._at], entry))

    def _strings(self, block: bytes, bits: i64, limit: i64) -> tuple[bytes | None, bytes | None]:
        index = self._number(block, bits)
        name = self._table.entry(index).name if index else self._string(block, limit)
        return name, self._string(block, limit)

    def _string(self, block: bytes, limit: i64) -> bytes | None:
        """Read a string (RFC 7541 5.2); None if it is longer than `limit`."""
        if self._at == len(block):
            raise _fault("block ends inside a field")
        is_huffman = block[self._at] >= _HUFFMAN
        length = self._number(block, _LENGTH_BITS)
        start = self._at
        end = start + length
        if end > len(block):
            raise _fault("block ends inside a string")
        self._at = end
        if is_huffman:
            return decode_huffman(block, start, end, limit)
        return block[start:end] if length <= limit else None

    def _number(self, block: bytes, bits: i64) -> i64:
        """Read a number whose first octet has these bits (RFC 7541 5.1)."""
        value: i64 = block[self._at] & bits
        self._at += 1
        if value < bits:
            return value
        shift: i64 = 0
        while self._at < len(block):
            octet: i64 = block[self._at]
            self._at += 1
            value += (octet & 0x7F) << shift
            if octet < 0x80:
                return value
            if shift == _LAST_SHIFT:
                raise _fault("number too long")
            shift += 7
        raise _fault("block ends inside a number")


@mypyc_attr(acyclic=True, free_list_len=1)
class _Collected:
    """The fields of a block, as long as they keep the limits.

    `field_bytes` is the longest string that is still wanted.
    """

    def __init__(self, limits: BlockLimits) -> None:
        self.fields: list[AnyHeader] = []
        self.field_bytes: i64 = limits.field_bytes
        self.octets: i64 = 0
        """Names and values."""
        self.is_too_large = False
        self.marked: set[bytes] | None = None
        """The names of fields that must never be indexed."""
        self._fields_left: i64 = limits.count
        self._bytes_left: i64 = limits.list_bytes
        self._has_crumb = False

    def add(self, entry: TableEntry) -> None:
        """Take a field, if none was too much."""
        octets = entry.octets
        if not entry.is_crumb:
            self._fields_left -= 1
        elif not self._has_crumb:
            self._fields_left -= 1
            self._has_crumb = True
        self._bytes_left -= octets + ENTRY_BYTES
        if self._fields_left < 0 or self._bytes_left < 0 or octets > self.field_bytes:
            self.drop()
        else:
            self.fields.append(entry.field)
            self.octets += octets

    def mark(self, name: bytes) -> None:
        """Note that the field that was just added must never be indexed."""
        if self.is_too_large:
            return
        if self.marked is None:
            self.marked = set()
        self.marked.add(name)

    def drop(self) -> None:
        """Keep none of the fields, and take no more: they are too much."""
        self.is_too_large = True
        self.fields = []
        self.marked = None
        self.field_bytes = 0
        self._fields_left = -1


def _fault(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, reason)
