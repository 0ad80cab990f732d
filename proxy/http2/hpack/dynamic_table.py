"""The dynamic table of one direction of a connection (RFC 7541 2.3 and 4)."""

from typing import Final

from mypy_extensions import i64

from proxy.http2.hpack.static_table import ENTRY_BYTES, STATIC_COUNT, STATIC_ENTRIES, TableEntry
from proxy.http2.wire.errors import ConnectionFault, ErrorCode


class HeaderTable:
    """The latest fields, as many as fit into `capacity`.

    `size` counts name, value and 32 octets for each entry (RFC 7541 4.1). `inserted` and `evicted`
    count entries from the start, so the table has the entries from number `evicted` to number
    `inserted` - 1. `changes` counts what may have changed the table.
    """

    def __init__(self, capacity: i64) -> None:
        self.capacity: i64 = capacity
        self.size: i64 = 0
        self.inserted: i64 = 0
        self.evicted: i64 = 0
        self.changes: i64 = 0
        # The newest comes last. 4,096 octets are 128 entries at most: moving them when the oldest
        # ones go costs less than a ring does at each look-up.
        self._entries: Final[list[TableEntry]] = []

    def entry(self, index: i64) -> TableEntry:
        """The entry of either table (RFC 7541 2.3.3). Raises ConnectionFault."""
        if 0 < index <= STATIC_COUNT:
            return STATIC_ENTRIES[index - 1]
        position = len(self._entries) - (index - STATIC_COUNT)
        if index == 0 or position < 0:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "index of no field")
        return self._entries[position]

    def insert(self, entry: TableEntry) -> list[TableEntry]:
        """Make room and insert the entry; returns those that were evicted.

        An entry that is larger than the table empties it, and is not in it (RFC 7541 4.4).
        """
        needed = entry.octets + ENTRY_BYTES
        evicted = self._evict(self.capacity - needed)
        self.changes += 1
        if needed <= self.capacity:
            self._entries.append(entry)
            self.size += needed
            self.inserted += 1
        return evicted

    def resize(self, capacity: i64) -> list[TableEntry]:
        """Change the capacity (RFC 7541 4.3); returns the entries that were evicted."""
        self.changes += 1
        self.capacity = capacity
        return self._evict(capacity)

    def clear(self) -> None:
        """Evict all entries, as an entry that is larger than the table does (RFC 7541 4.4)."""
        self.changes += 1
        self._evict(0)

    def _evict(self, left: i64) -> list[TableEntry]:
        """Evict the oldest entries until no more than `left` octets are used."""
        evicted: list[TableEntry] = []
        while self.size > left and self._entries:
            entry = self._entries.pop(0)
            self.size -= entry.octets + ENTRY_BYTES
            self.evicted += 1
            evicted.append(entry)
        return evicted
