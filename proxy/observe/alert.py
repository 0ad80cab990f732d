"""Alerts: what requires operator action, how urgent it is, and the message that receivers get.
Pure.

`Notice.as_json` is a contract with the programs that read it: see docs/alerts.md. A change that
could break them takes another `VERSION`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypedDict

from proxy.api.status import AlertRow
from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency

# A refused reload may name hundreds of problems. Receivers have limits: 4,096 bytes for ntfy.
_LONGEST_TEXT: Final = 1_000
_DAY: Final = 86_400.0
_HOUR: Final = 3_600.0

VERSION: Final = 1
"""The version of the message. Receivers ignore fields that they do not know."""


class ConcernRow(TypedDict):
    """A `Concern` as JSON."""

    kind: str
    subject: str
    urgency: str
    text: str


class NoticeDocument(TypedDict):
    """What receivers get, see docs/alerts.md."""

    version: int
    state: str
    key: str
    host: str
    at: str
    kind: str
    subject: str
    urgency: str
    since: str
    text: str
    remedy: str
    times: int


@dataclass(frozen=True, slots=True)
class Concern:
    """A fault that requires operator action now.

    `subject` tells it apart from others of its kind. `text` says in one sentence what is wrong.
    """

    kind: AlertKind
    subject: str
    urgency: AlertUrgency
    text: str

    @property
    def key(self) -> tuple[AlertKind, str]:
        """Two concerns with the same key are one alert."""
        return self.kind, self.subject

    def as_json(self) -> ConcernRow:
        urgency = str(self.urgency)
        return {"kind": str(self.kind), "subject": self.subject, "urgency": urgency, "text": self.text}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Concern":
        """Reverse `as_json`. Raises `KeyError` or `ValueError` for one of another version."""
        urgency = AlertUrgency(document["urgency"])
        return cls(AlertKind(document["kind"]), str(document["subject"]), urgency, str(document["text"]))


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """A concern that was told. `since` is the time of its first sight, in UNIX seconds."""

    concern: Concern
    since: float
    times: int
    """How many times it was sent to the receivers."""
    is_over: bool = False
    """Whether the latest look did not find it. If that stays so, it is resolved soon."""

    def as_json(self) -> AlertRow:
        """The facts for `plexigate alerts --json`, the status and the receivers."""
        concern = self.concern
        text = concern.text if len(concern.text) <= _LONGEST_TEXT else f"{concern.text[:_LONGEST_TEXT]} ..."
        return {
            "kind": str(concern.kind),
            "subject": concern.subject,
            "urgency": str(concern.urgency),
            "since": utc(self.since),
            "text": text,
            "remedy": KINDS[concern.kind].remedy,
            "times": self.times,
            "over": self.is_over,
        }


class AlertState(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message about an alert. `at` is its time in UNIX seconds.

    `is_repeat`: the same was told before, and nothing has changed. `lasted`: for how many seconds
    the alert was open, also if the time of day was set meanwhile.
    """

    state: AlertState
    alert: OpenAlert
    at: float
    is_repeat: bool = False
    lasted: float = 0.0

    @property
    def key(self) -> tuple[AlertKind, str]:
        """Of two messages with the same key only the latest is of interest."""
        return self.alert.concern.key

    @property
    def urgency(self) -> AlertUrgency:
        return self.alert.concern.urgency

    def as_json(self, host: str) -> NoticeDocument:
        """The message. `host` is the name of this machine: there may be several proxies."""
        alert = self.alert.as_json()
        return {
            "version": VERSION,
            "state": str(self.state),
            "key": f"{alert['kind']}/{alert['subject']}",
            "host": host,
            "at": utc(self.at),
            "kind": alert["kind"],
            "subject": alert["subject"],
            "urgency": alert["urgency"],
            "since": alert["since"],
            "text": alert["text"],
            "remedy": alert["remedy"],
            "times": alert["times"],
        }


def utc(seconds: float) -> str:
    """UNIX seconds as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """A time for a sentence: minutes, hours from two on, days from two on."""
    if seconds < 2 * _HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} d"
