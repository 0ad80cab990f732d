"""Answers about certificates that rotate: `/certificates` and what is below it. Pure.

Times are in ISO 8601, serials in hexadecimal as `openssl x509` writes them.
"""

from typing import NotRequired, TypedDict


class KeyRow(TypedDict):
    """The key of a credential: its algorithm, and where it lives."""

    algorithm: str
    place: str


class NextTry(TypedDict):
    """The rotation that comes next."""

    at: str
    due_at: str
    reason: str
    """A `RenewalReason`."""
    urgency: str
    """calm, due, late, grave or expired."""
    failures: int
    """Failed attempts in a row."""
    waits_seconds: float


class CertificateRow(TypedDict):
    """One issued credential. What is None is not known before the first certificate."""

    identity: str
    credential: str
    names: list[str]
    issuer: str
    key: KeyRow
    version: int | None
    serial: str | None
    not_before: str | None
    not_after: str | None
    seconds_left: float | None
    next: NextTry | None
    last_error: str | None
    running: bool
    """Whether it is being rotated now."""


class CertificatesDocument(TypedDict):
    """`GET /certificates`."""

    certificates: list[CertificateRow]


class RotationLine(TypedDict, total=False):
    """A line of `POST /certificates/NAME/rotate`. Which keys it has depends on its step.

    A line about one credential has `identity` and `credential`, its last line has `rotated`. The
    last line of all has `ok` alone.
    """

    identity: str
    credential: str
    would: list[str]
    """The steps that a dry run does not make."""
    rotated: bool
    ok: bool
    step: str
    """A step of `certs.rotation.attempt`, or begun, or waiting."""
    reason: str
    until: str
    seconds: float
    key: str
    issuer: str
    version: int
    resumed: bool
    """Whether an earlier attempt had stored this version."""
    serial: str
    not_before: str
    not_after: str
    kind: str
    """A `FailureKind`."""
    detail: str
    note: str


class RollbackRow(TypedDict):
    """What became of one credential: the version that serves again, or why it stays."""

    identity: str
    credential: str
    ok: bool
    version: NotRequired[int]
    serial: NotRequired[str]
    step: NotRequired[str]
    kind: NotRequired[str]
    detail: NotRequired[str]


class RollbackDocument(TypedDict):
    """`POST /certificates/NAME/rollback`."""

    results: list[RollbackRow]


class ShownRow(TypedDict):
    """What a worker shows on a listener for one credential.

    `fault` is None if the handshake was good. `untried` says why none was made, or which replica
    was shown instead.
    """

    worker: int
    pid: int
    listener: str
    algorithm: str
    serial: str
    fault: str | None
    untried: str | None


class ShownDocument(TypedDict):
    """`GET /certificates/NAME/live`."""

    shown: list[ShownRow]


class LiveRow(TypedDict):
    """One check of `plexigate certs check --json`."""

    about: str
    found: str
    ok: bool
