"""Counts and rates that all workers share, without a lock.

Theory of operation. The parent makes a block of memory without a name (memfd), and every worker
maps it. It has three regions of 8-byte cells, and each region has two rows of buckets. A key is a
listener, or a client network of a listener. A hash with a secret of this start maps the key to one
bucket in each row, and a reader takes the lower of the two. So an untrusted client counts for the
key only if it shares *both* buckets, and a client cannot choose which other client it is counted
with.

*Counts* (connections, and handshakes in flight, packed into one cell). A bucket has a column for
each process, which alone writes it; a count is the sum of all columns. A process knows its own part
exactly and says it when it asks. So only the part of the others can be too high, by what untrusted
clients in both buckets have: on average their connections divided by the buckets of a row (4,096 up
to 16 columns, 1,024 with 64). A count is too low only for what two processes admit at the very same
moment: each further worker may exceed a limit by one connection. One worker alone is exact. A
column belongs to one living process. When that has died, and its connections with it, the parent
clears the column (`forget_slot`).

*Rates* (a time for each bucket, see `rates`). All processes write these. When two do so within the
same half microsecond, one of the two is lost: a client gets a request or a handshake more each
time, never less. A request takes 30 microseconds, so this adds about one in a hundred. Two
processes that did nothing else would let twice the rate through; it cannot be more. An untrusted
client can take tokens away only if it empties both buckets.

*Replays*: see `replays`.

A cell is read and written as one aligned machine word, so no process ever sees half of a number.
"""

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from proxy.limits.rates import UNKNOWN_SHARE, Rate
from proxy.limits.replays import REPLAY_CELLS, ReplayTable

if TYPE_CHECKING:
    from mypy_extensions import i64

MOST_COLUMNS: Final = 64
_CELL_BYTES: Final = 8
_SECRET_BYTES: Final = 32
_NAME_BYTES: Final = 8
# Header, padded to a page: number of columns, then the secret.
_HEADER: Final = struct.Struct(f"<Q{_SECRET_BYTES}s")
_HEADER_BYTES: Final = 4_096
# The counts take 1 MiB at most, with any number of columns.
_COUNTS_BYTES: Final = 1_048_576
_MOST_BUCKETS: Final = 4_096
# Listeners are a handful. Two of them share both buckets in one of 60,000 starts.
_TOTAL_BUCKETS: Final = 256
# Clients with a rate that is not long past: half a mebibyte for 32,768 buckets in each row.
_RATE_BUCKETS: Final = 32_768
_INDEXES: Final = struct.Struct("<4I")

# To find the places of a key takes 8,000 instructions, and clients come again. Those of the last
# keys are kept, half a megabyte at most.
_KEPT_PLACES: Final = 1_024

# A cell of counts is (connections << 32) + handshakes.
CONNECTION: Final = 1 << 32
HANDSHAKE: Final = 1
_HANDSHAKES: Final = CONNECTION - 1
_WANTED: Final = b"wanted\0"

Place = tuple[int, int]
"""Where a key is in the two rows of a region."""


def _buckets(columns: int) -> int:
    """How many buckets a row of counts has: a power of two."""
    buckets = _MOST_BUCKETS
    while 2 * buckets * columns * _CELL_BYTES > _COUNTS_BYTES:
        buckets //= 2
    return buckets


class SharedTable:
    """One process's view of the table."""

    def __init__(self, descriptor: int, slot: int) -> None:
        """Map what `create` made; the descriptor may be closed afterwards. `slot` is the column of
        this process: no other has it.
        """
        self.fd: Final = descriptor
        """For a child to inherit, which then makes the table of its own slot."""
        memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        columns: int  # compiled, what has no type is counted by the interpreter
        secret: bytes
        columns, secret = _HEADER.unpack_from(memory)
        self._columns: Final = columns
        if not 0 <= slot < self._columns:
            raise ValueError(f"slot {slot} of a table with {self._columns} columns")
        self._slot = slot
        self._buckets = _buckets(self._columns)
        self._hash = hashlib.blake2b(key=secret, digest_size=_INDEXES.size)
        self.pseudonym: Final = hashlib.blake2b(b"name", key=secret, digest_size=_NAME_BYTES).hexdigest().encode()
        """Names all processes that share the table, and no other; it does not tell the secret."""
        cells = _cell_count(self._columns)
        view = memoryview(memory)[_HEADER_BYTES:]
        self._counts = view[: cells * _CELL_BYTES]
        self._cells = self._counts.cast("q")
        # compiled, one object goes here and into the table: two numbers would be made of an `int`
        self._own: Final[list[Any]] = [0] * (cells // self._columns)
        """What this process has written into its column: to read it there takes longer."""
        # of native numbers, read as machine words; two views and an iterator take twice its time
        self._columns_at: Final = struct.Struct(f"{self._columns}q").unpack_from
        rates = (cells + 2 * _RATE_BUCKETS) * _CELL_BYTES
        self._rates = view[cells * _CELL_BYTES : rates].cast("d")
        self.replays: Final = ReplayTable(view[rates:].cast("Q"), secret)
        """The marks of the last moments; costs no memory before it is used."""
        self._places: Final[dict[bytes, tuple[Place, Place]]] = {}
        self.shares: Mapping[str, float] = {}
        """What this node has of the limits of its fleet, by their names."""
        self._wanted: Final[dict[str, Place]] = {}

    @classmethod
    def create(cls, columns: int) -> "SharedTable":
        """Make a table for `columns` processes at one time, at most `MOST_COLUMNS`.

        A worker that is being replaced counts too. The answer has slot 0 and is meant for the
        parent, which has no connections and only calls `forget_slot`.
        """
        if not 1 <= columns <= MOST_COLUMNS:
            raise ValueError(f"{columns} columns, which must be 1 to {MOST_COLUMNS}")
        descriptor = os.memfd_create("plexigate-limits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        cells = _cell_count(columns) + 2 * _RATE_BUCKETS + REPLAY_CELLS
        os.truncate(descriptor, _HEADER_BYTES + cells * _CELL_BYTES)
        # a table that shrinks under a process that has mapped it would kill it
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.pwrite(descriptor, _HEADER.pack(columns, secrets.token_bytes(_SECRET_BYTES)), 0)
        return cls(descriptor, 0)

    @classmethod
    def private(cls) -> "SharedTable":
        """A table for a process that shares it with no other."""
        table = cls.create(1)
        os.close(table.fd)
        return table

    def forget_slot(self, slot: int) -> None:
        """Clear the column of a process that has died."""
        column = self._cells[slot :: self._columns]
        column[:] = memoryview(bytes(len(column) * _CELL_BYTES)).cast("q")

    # -- places

    def total_place(self, key: bytes) -> Place:
        first, second, _, _ = self._indexes(b"total\0" + key)
        columns = self._columns
        row = 2 * self._buckets
        return (
            (row + first % _TOTAL_BUCKETS) * columns,
            (row + _TOTAL_BUCKETS + second % _TOTAL_BUCKETS) * columns,
        )

    def places(self, key: bytes) -> tuple[Place, Place]:
        """Where the counts of a key are, and where its rate."""
        known = self._places.get(key)
        if known is not None:
            return known
        first, second, third, fourth = self._indexes(key)
        columns = self._columns
        buckets = self._buckets
        if len(self._places) >= _KEPT_PLACES:
            self._places.clear()
        places = self._places[key] = (
            ((first % buckets) * columns, (buckets + second % buckets) * columns),
            (third % _RATE_BUCKETS, _RATE_BUCKETS + fourth % _RATE_BUCKETS),
        )
        return places

    def rate_place(self, key: bytes) -> Place:
        """Where the rate of a key is that has no counts."""
        return self.places(key)[1]

    def _indexes(self, key: bytes) -> tuple[int, int, int, int]:
        keyed = self._hash.copy()
        keyed.update(key)
        first, second, third, fourth = _INDEXES.unpack(keyed.digest())
        return first, second, third, fourth

    # -- shares of limits of the fleet

    def share(self, limit: str) -> float:
        """What this node may use of a limit now, as a part of it."""
        return self.shares.get(limit, UNKNOWN_SHARE)

    def want(self, limit: str) -> None:
        """Count a request that needs something of a limit."""
        place = self._wanted.get(limit)
        if place is None:
            place = self._wanted[limit] = self.total_place(_WANTED + limit.encode())
        self.add(place, HANDSHAKE)

    def wanted(self, limit: str) -> int:
        """How often all processes but this one have wanted something of a limit, so far. Less than
        before if one of them has ended.
        """
        return self.others(self.total_place(_WANTED + limit.encode()))[1]

    def open_at(self, listener: str) -> int:
        """The connections of a listener in all processes but this one."""
        return self.others(self.total_place(listener.encode()))[0]

    # -- counts

    def add(self, place: Place, amount: int) -> None:
        """Count: sums of `CONNECTION` and `HANDSHAKE`, negative ones to count out."""
        first, second = place
        self._add(first, amount)
        self._add(second, amount)

    def _add(self, start: int, amount: int) -> None:
        own = self._own
        begin: i64 = start
        cell = begin // self._columns
        count: i64 = own[cell]  # a machine word: as an `int` of the interpreter it takes twice as long
        written: Any = count + amount
        own[cell] = written
        self._cells[begin + self._slot] = written

    def others(self, place: Place) -> tuple[int, int]:
        """Connections and handshakes that all other processes have there."""
        columns = self._columns
        if columns == 1:
            return 0, 0
        first, second = place
        one = self._others(first)
        if not one:  # nor has the lower of the two any
            return 0, 0
        two = self._others(second)
        return min(one >> 32, two >> 32), min(one & _HANDSHAKES, two & _HANDSHAKES)

    def _others(self, start: int) -> int:
        """The cell of a bucket, summed over all other processes."""
        begin: i64 = start
        cells: tuple[int, ...] = self._columns_at(self._counts, start * _CELL_BYTES)
        own: i64 = self._own[begin // self._columns]
        count = -own
        for cell in cells:  # compiled, `sum` takes three times as long
            count += cell
        return count

    def largest_other(self, place: Place) -> int:
        """The most handshakes that any other process has there."""
        columns = self._columns
        slot = self._slot
        cells = self._cells
        rows = (cells[start : start + columns] for start in place)
        return min(
            max((cell & _HANDSHAKES for column, cell in enumerate(row) if column != slot), default=0) for row in rows
        )

    # -- rates

    def take(self, place: Place, rate: Rate, now: float) -> float:
        """Take a token; 0 if there was one, else the seconds until there is one.

        `now` is the time of the machine's monotonic clock.
        """
        first, second = place
        rates = self._rates
        full_at = min(rates[first], rates[second])
        wait = rate.wait(full_at, now)
        if wait:
            return wait
        later = rate.after_one(full_at, now)
        # A bucket that another process has emptied further stays so. It is read again: since the
        # first time the system may have let other processes run for milliseconds, and all that they
        # took would be given back.
        if rates[first] < later:
            rates[first] = later
        if rates[second] < later:
            rates[second] = later
        return 0.0


def _cell_count(columns: int) -> int:
    return 2 * (_buckets(columns) + _TOTAL_BUCKETS) * columns


Clock = Callable[[], float]
"""Seconds of the machine's monotonic clock, which is the same for all of its processes."""
