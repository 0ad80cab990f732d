"""The renewal windows that issuers suggest (ARI, RFC 9773): asked for at times, and kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from certs.issuing.issuer import RenewalWindow
from certs.rotation.planning import Instant, Key

_INTERVAL_SECONDS: Final = 6 * 3_600.0
_SOONEST_SECONDS: Final = 60.0


class Windows:
    """The windows of all issuers, by credential and serial number. Pure."""

    def __init__(self) -> None:
        self._said: dict[Key, tuple[str, RenewalWindow | None]] = {}
        self._again: dict[Key, float] = {}

    def of(self, key: Key, serial: str) -> RenewalWindow | None:
        """The window of a certificate, if it is known."""
        said = self._said.get(key)
        return said[1] if said is not None and said[0] == serial else None

    def to_ask(self, serials: Mapping[Key, str], now: Instant) -> list[Key]:
        """The credentials whose issuers to ask now."""
        return [
            key
            for key, serial in serials.items()
            if now.ticks >= self._again.get(key, 0.0) or self._said.get(key, (serial,))[0] != serial
        ]

    def said(self, key: Key, serial: str, window: RenewalWindow | None, now: Instant) -> None:
        self._said[key] = (serial, window)
        self._again[key] = now.ticks + _seconds(None if window is None else window.ask_again, now.wall)

    def failed(self, key: Key, serial: str, now: Instant) -> None:
        """An issuer did not answer: its window from before holds (RFC 9773 4.3)."""
        self._said[key] = (serial, self.of(key, serial))
        self._again[key] = now.ticks + _INTERVAL_SECONDS


def _seconds(ask_again: datetime | None, now: datetime) -> float:
    if ask_again is None:
        return _INTERVAL_SECONDS
    return min(max((ask_again - now).total_seconds(), _SOONEST_SECONDS), 4 * _INTERVAL_SECONDS)
