"""The messages that wait for one receiver, and when it is tried again. Pure.

Of each alert only the latest message waits: a receiver that was unavailable for an hour gets the
state of each alert, not its history. So the box is no longer than the list of alerts. It has a
bound beside that.
"""

from typing import Final

from proxy.observe.alert import Notice
from proxy.observe.alert_kinds import AlertKind, AlertUrgency

_MOST: Final = 256
# The pauses after the 1st, 2nd, ... failure in a row; the last one holds for all further ones.
_PAUSES: Final = {
    AlertUrgency.CRITICAL: (5.0, 15.0, 30.0, 60.0),
    AlertUrgency.SERIOUS: (15.0, 60.0, 300.0),
    AlertUrgency.WARNING: (60.0, 300.0, 900.0),
}


class UnsentNotices:
    """Takes messages at any time. Hands out the most urgent one, of those the oldest."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[AlertKind, str], Notice] = {}
        self.dropped = 0
        """Messages that found no room, since the last success."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, notice: Notice) -> None:
        """Add a message. It replaces an earlier one about the same alert."""
        self._waiting.pop(notice.key, None)
        self._waiting[notice.key] = notice
        if len(self._waiting) > _MOST:
            least = max(self._waiting.values(), key=lambda one: one.urgency.rank)  # of those the oldest
            del self._waiting[least.key]
            self.dropped += 1

    def first(self) -> Notice:
        """The message to send next. It stays in the box until `sent`."""
        return min(self._waiting.values(), key=lambda one: one.urgency.rank)

    def sent(self, notice: Notice) -> None:
        """A message has arrived. A newer one about the same alert stays."""
        if self._waiting.get(notice.key) is notice:
            del self._waiting[notice.key]

    def pause_seconds(self, failures: int) -> float:
        """How long to wait after `failures` in a row, by the most urgent message."""
        pauses = _PAUSES[self.first().urgency]
        return pauses[min(failures, len(pauses)) - 1]
