"""Which column of the shared counts belongs to which worker process.

Not the slot's number: a worker that drains and the one that has taken its slot count at the same
time.
"""

import os
from collections.abc import Hashable
from typing import Final

from proxy.limits.shared import MOST_COLUMNS, SharedTable

# With more columns every look at a count costs more, so a table has no more than it needs; a reload
# may ask for some more workers.
_LEAST: Final = 16


class Columns:
    """Gives each worker a column of the table; the parent itself counts nothing."""

    def __init__(self, workers: int) -> None:
        """All columns are free.

        There are twice as many as workers, because all workers may be replaced at once.
        """
        self._count: Final = min(MOST_COLUMNS, max(_LEAST, 2 * workers))
        self._table = SharedTable.create(self._count)
        self._owners: dict[Hashable, int] = {}

    @property
    def descriptor(self) -> int:
        """The table's memory, for a worker to attach to."""
        return self._table.fd

    def close(self) -> None:
        """Free the memory; no worker counts any more."""
        os.close(self._table.fd)

    def take(self, worker: Hashable) -> int | None:
        """A column for a new worker.

        None if all are taken: its limits count for that worker alone then.
        """
        free = set(range(self._count)) - set(self._owners.values())
        if not free:
            return None
        self._owners[worker] = min(free)
        return self._owners[worker]

    def give_back(self, worker: Hashable) -> None:
        """The worker is gone, and its connections with it."""
        column = self._owners.pop(worker, None)
        if column is not None:
            self._table.forget_slot(column)
