"""Looks at the timestamps of logs in a certificate, as a browser does."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.identities.chain import extension_of
from certs.transparency.log_list import LogList, LogListDamaged, parse_log_list
from certs.transparency.timestamps import timestamp_faults, timestamps
from config.loading.loaded import LoadedConfig

_OLDEST_LIST: Final = timedelta(days=70)
"""Chrome believes no list that is older: logs come and go."""

Check = tuple[str, bool | None]
"""What is found, and whether it is a fault; None: it is a remark."""


class LogListUnusable(Exception):
    """The file at `path` gives no list of logs; `reason` is a clause."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def log_list_path(loaded: LoadedConfig) -> Path | None:
    """Where the list of logs is, None if the configuration names none."""
    named = loaded.config.ct.log_list
    return None if named is None else loaded.file.resolve(named)


def known_logs(path: Path) -> LogList:
    """The list of logs in a file. Raises `LogListUnusable`."""
    try:
        return parse_log_list(path.read_bytes())
    except OSError as error:
        raise LogListUnusable(path, error.strerror or str(error)) from None
    except LogListDamaged as error:
        raise LogListUnusable(path, str(error)) from None


def timestamp_checks(chain: Sequence[x509.Certificate], path: Path | None, now: datetime) -> Iterator[Check]:
    """Judge the timestamps of a public certificate by the list of logs in a file."""
    leaf = chain[0]
    try:
        count = len(extension_of(leaf, x509.PrecertificateSignedCertificateTimestamps) or ())
    except ValueError:
        yield "its signed certificate timestamps are damaged", True
        return
    if count == 0:
        yield "no signed certificate timestamps: browsers refuse public certificates without", None
        return
    if path is None:
        yield f"{count} signed certificate timestamps, not verified: ct.log_list is not set", None
        return
    try:
        known = known_logs(path)
    except LogListUnusable as error:
        yield f"its timestamps cannot be verified: {error}", True
        return
    yield from _judged(chain, path, known, now)


def _judged(chain: Sequence[x509.Certificate], path: Path, known: LogList, now: datetime) -> Iterator[Check]:
    age = now - known.made_at
    if age > _OLDEST_LIST:
        yield f"{path} is {age.days} days old, and Chrome believes no list of more than {_OLDEST_LIST.days} days", None
    found = timestamps(chain, known, now)
    for one in found:
        # a log that the list does not have is no fault if others are enough
        if one.fault is not None:
            yield f"the timestamp of {one.log}: {one.fault}", True if one.operator else None
    faults = list(timestamp_faults(chain[0], found))
    for fault in faults:
        yield f"{fault}: they refuse it", True
    if not faults:
        names = ", ".join(f"{one.log} ({one.operator}, {one.at:%Y-%m-%d})" for one in found if one.fault is None)
        yield f"timestamps verified: {names}", False
