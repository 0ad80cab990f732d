"""The edition that all workers serve by now, and what they offer by it."""

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.supervisor.editions.edition import Edition

if TYPE_CHECKING:
    from proxy.observe.startup import Offers


class ServedEdition:
    """Keeps the served edition, and numbers new editions."""

    def __init__(self, first: Edition) -> None:
        """Until the first commit, `edition` is the one that the start has read."""
        self.edition = first
        self.offers: Offers | None = None
        """The listeners and libraries that a worker has reported. None before the first commit."""
        self.changed: Final = asyncio.Event()
        """Set when another edition serves; its one waiter clears it."""
        self._number = first.number

    def next_number(self) -> int:
        """A new number for an edition. A number is used once, even if its edition never serves."""
        self._number += 1
        return self._number
