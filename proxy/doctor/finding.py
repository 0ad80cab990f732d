"""What a check has found, as a value. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLOCK_FIRST: Final = (
    "Check the clock of this machine first (timedatectl). If it is right, serve the previous certificate until then."
)
"""The remedy for a certificate that is not valid yet."""


class State(StrEnum):
    """How a subject stands."""

    OK = "ok"
    WARNING = "warning"
    """It works today. Check it in the next days."""
    FAILURE = "failure"
    """It does not work, or does not do what the configuration says."""
    UNKNOWN = "unknown"
    """The check could not find out."""
    SKIPPED = "skipped"
    """The check does not apply here, or lacks what it needs; `found` says which."""


class Area(StrEnum):
    """The heading that a check stands under in the report, in this order."""

    MACHINE = "machine"
    CONFIGURATION = "configuration"
    FILES = "files"
    NETWORK = "network"
    CERTIFICATES = "certificates"
    ISSUERS = "issuers"
    TOKENS = "tokens and keys"
    UPSTREAMS = "upstreams"
    RUNNING = "running proxy"
    HANDSHAKES = "handshakes"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one subject stands.

    `check` names the check, `subject` what it looked at (a file, an address, an identity), `found`
    what it saw, and `remedy` what to do about it (empty when there is nothing to do). None of them
    has a secret.
    """

    check: str
    subject: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes the findings of a check. Each subject goes in as its text."""

    check: str

    def ok(self, subject: object, found: str) -> Finding:
        return Finding(self.check, str(subject), State.OK, found)

    def warning(self, subject: object, found: str, remedy: str) -> Finding:
        """The subject works, and will cause trouble."""
        return Finding(self.check, str(subject), State.WARNING, found, remedy)

    def failure(self, subject: object, found: str, remedy: str) -> Finding:
        """The subject does not work."""
        return Finding(self.check, str(subject), State.FAILURE, found, remedy)

    def unknown(self, subject: object, found: str, remedy: str = "") -> Finding:
        """The check could not find out; `found` says why."""
        return Finding(self.check, str(subject), State.UNKNOWN, found, remedy)

    def skipped(self, subject: object, found: str, remedy: str = "") -> Finding:
        """The check did not look; `found` says why."""
        return Finding(self.check, str(subject), State.SKIPPED, found, remedy)
