"""The ledger of one credential: which version serves, which ones served, and how long their keys
are kept. Pure.

The ledger is one small file that is replaced atomically: a decision holds completely or not at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

_FORMAT: Final = 1


class LedgerDamaged(ValueError):
    """The file is none that this program wrote; `found` says what is wrong."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"not a ledger that Plexigate wrote: {self.found}"


@dataclass(frozen=True, slots=True)
class Retirement:
    """A version that serves no more since `at`, for the reason `why`; its key goes at `destroy_at`.

    `is_compromised`: its key must never serve again; `is_revoked`: its issuer has told the world
    so.
    """

    at: datetime
    destroy_at: datetime
    why: str
    is_compromised: bool = False
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """`current` serves (None: nothing yet).

    `decided` is the highest version about which a decision was ever made: a complete one above it
    was stored by a process that did not come to decide. `served_since` is when a version last began
    to serve."""

    current: int | None = None
    decided: int = 0
    served_since: Mapping[int, datetime] = field(default_factory=lambda: MappingProxyType({}))
    retired: Mapping[int, Retirement] = field(default_factory=lambda: MappingProxyType({}))

    def serving(self, version: int, retirement: Retirement) -> "Ledger":
        """The record once `version` serves; the one before goes into retirement."""
        retired = {number: one for number, one in self.retired.items() if number != version}
        if self.current is not None and self.current != version:
            retired[self.current] = retirement
        return replace(
            self,
            current=version,
            decided=max(self.decided, version),
            served_since={**self.served_since, version: retirement.at},
            retired=retired,
        )

    def retiring(self, retirement: Retirement) -> "Ledger":
        """The record once nothing serves any more."""
        if self.current is None:
            return self
        return replace(self, current=None, retired={**self.retired, self.current: retirement})

    def revoked(self, version: int) -> "Ledger":
        """The record once the issuer of a compromised version has taken its certificate back."""
        return replace(self, retired={**self.retired, version: replace(self.retired[version], is_revoked=True)})

    def without(self, version: int) -> "Ledger":
        """The record once a version is forgotten that serves no more."""
        return replace(
            self,
            served_since={number: at for number, at in self.served_since.items() if number != version},
            retired={number: one for number, one in self.retired.items() if number != version},
        )

    def refused(self, version: int) -> "Ledger":
        """The record once a complete version was judged unusable."""
        return replace(self, decided=max(self.decided, version))

    def encode(self) -> bytes:
        document = {
            "format": _FORMAT,
            "current": self.current,
            "decided": self.decided,
            "served_since": {str(number): at.isoformat() for number, at in self.served_since.items()},
            "retired": {
                str(number): {
                    "at": one.at.isoformat(),
                    "destroy_at": one.destroy_at.isoformat(),
                    "why": one.why,
                    "is_compromised": one.is_compromised,
                    "is_revoked": one.is_revoked,
                }
                for number, one in self.retired.items()
            },
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> "Ledger":
        """Read what `encode` wrote. Raises `LedgerDamaged`."""
        try:
            document = json.loads(content)
            if document["format"] != _FORMAT:
                raise LedgerDamaged(f"format {document['format']!r}")
            return cls(
                current=_number(document["current"]),
                decided=int(document["decided"]),
                served_since={int(number): _time(at) for number, at in document["served_since"].items()},
                retired={int(number): _retirement(facts) for number, facts in document["retired"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise error if isinstance(error, LedgerDamaged) else LedgerDamaged(f"{type(error).__name__}") from None


def _number(value: object) -> int | None:
    if value is not None and not isinstance(value, int):
        raise TypeError
    return value


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError
    return at


def _retirement(facts: Mapping[str, Any]) -> Retirement:
    return Retirement(
        at=_time(facts["at"]),
        destroy_at=_time(facts["destroy_at"]),
        why=str(facts["why"]),
        is_compromised=bool(facts["is_compromised"]),
        is_revoked=bool(facts["is_revoked"]),
    )
