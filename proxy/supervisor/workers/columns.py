"""Which column of the shared counts belongs to which worker process.

The column is not the number of the slot: a worker that drains and its successor in the slot count
at the same time.
"""

import os
from collections.abc import Hashable
from typing import Final

from proxy.limits.shared import MOST_COLUMNS, SharedTable

# Each column makes reading a count slower, so a table has few spare ones. Some are spare, because a
# reload may ask for more workers.
_LEAST: Final = 16


class Columns:
    """Gives each worker a column of the table. The parent itself has no counts."""

    def __init__(self, workers: int) -> None:
        """All columns are free: twice as many as workers, which may all be replaced at once."""
        self._count: Final = min(MOST_COLUMNS, max(_LEAST, 2 * workers))
        self.table: Final = SharedTable.create(self._count)
        self._owners: dict[Hashable, int] = {}

    @property
    def descriptor(self) -> int:
        """The descriptor of the table's memory. A worker attaches to it."""
        return self.table.fd

    def close(self) -> None:
        os.close(self.table.fd)

    def take(self, worker: Hashable) -> int | None:
        """A column for a new worker; without one (None) it applies limits to its own counts."""
        free = set(range(self._count)) - set(self._owners.values())
        if not free:
            return None
        self._owners[worker] = min(free)
        return self._owners[worker]

    def give_back(self, worker: Hashable) -> None:
        """Free the column of a worker that has ended."""
        column = self._owners.pop(worker, None)
        if column is not None:
            self.table.forget_slot(column)
