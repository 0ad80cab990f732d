"""How urgent the replacement of a credential is. Pure."""

from datetime import datetime
from enum import IntEnum
from typing import Final

from certs.rotation.due import Current, Due


class Urgency(IntEnum):
    """Rises with the elapsed share of the time between a credential's due date and expiry."""

    CALM = 0
    """It is not due."""
    DUE = 1
    """It is being replaced; single failures are normal."""
    LATE = 2
    """A third of the time is over: an operator should look."""
    GRAVE = 3
    """Two thirds are over: an operator has to act."""
    EXPIRED = 4
    """Clients are refused."""

    @property
    def alerts(self) -> bool:
        return self >= Urgency.LATE


_LATE: Final = 1 / 3
_GRAVE: Final = 2 / 3


def urgency(current: Current | None, due: Due, now: datetime) -> Urgency:
    """How urgent a replacement is; `current` is None if no certificate serves."""
    if current is None or current.not_after <= now:
        return Urgency.EXPIRED
    if due.at > now:
        return Urgency.CALM
    room = current.not_after - due.at  # more than nothing, as it is due and not expired
    gone = (now - due.at) / room
    if gone < _LATE:
        return Urgency.DUE
    return Urgency.LATE if gone < _GRAVE else Urgency.GRAVE
