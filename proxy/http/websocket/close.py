"""How a WebSocket ended: its close code (RFC 6455 section 7.4), and which side closed it. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NO_CODE: Final = 1_005
"""The close frame had no code (section 7.4.1)."""
LOST: Final = 1_006
"""There was no close frame."""


class ClosedBy(StrEnum):
    """The side whose close frame came first, or that was lost without one."""

    CLIENT = "client"
    SERVER = "server"
    PROXY = "proxy"


class CloseClass(StrEnum):
    """What a close code says; a label of metrics, so there are few."""

    NORMAL = "normal"
    NO_CODE = "no_code"
    LOST = "lost"
    FAULT = "fault"
    """The other side broke a rule of the protocol, or of the application's policy."""
    ERROR = "error"
    """The side that closed has failed."""
    RESTART = "restart"
    """The client may try again later."""
    LIBRARY = "library"
    APPLICATION = "application"
    OTHER = "other"


_CLASSES: Final = {
    1_000: CloseClass.NORMAL,
    1_001: CloseClass.NORMAL,
    1_002: CloseClass.FAULT,
    1_003: CloseClass.FAULT,
    NO_CODE: CloseClass.NO_CODE,
    LOST: CloseClass.LOST,
    1_007: CloseClass.FAULT,
    1_008: CloseClass.FAULT,
    1_009: CloseClass.FAULT,
    1_010: CloseClass.FAULT,
    1_011: CloseClass.ERROR,
    1_012: CloseClass.RESTART,
    1_013: CloseClass.RESTART,
    1_014: CloseClass.ERROR,
}


@dataclass(frozen=True, slots=True)
class WebSocketClose:
    code: int
    by: ClosedBy

    @property
    def kind(self) -> CloseClass:
        """The class of the code. Applications have 4000 to 4999, libraries 3000 to 3999."""
        known = _CLASSES.get(self.code)
        if known is not None:
            return known
        thousands = self.code // 1_000
        if thousands == 4:
            return CloseClass.APPLICATION
        return CloseClass.LIBRARY if thousands == 3 else CloseClass.OTHER
