"""Which edition all workers serve by now, and what they offer by it."""

from typing import TYPE_CHECKING

from proxy.supervisor.editions.edition import Edition

if TYPE_CHECKING:
    from proxy.observe.startup import Offers


class ServedEdition:
    """The one place that says what is served; it numbers the editions too."""

    def __init__(self, first: Edition) -> None:
        """Until the first commit `edition` is the one that the start has read."""
        self.edition = first
        """What is served."""
        self.offers: Offers | None = None
        """What a worker says of its listeners and libraries; None before the first commit."""
        self._number = first.number

    def next_number(self) -> int:
        """A number that no edition of this process has had, whether it came to be served or not."""
        self._number += 1
        return self._number
