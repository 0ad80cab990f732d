"""The list of logs that browsers know, in the format of Chrome and Apple (version 3). Pure.

https://www.gstatic.com/ct/log_list/v3/log_list.json is Chrome's.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Logs count milliseconds since then."""
# What counts of a log in each state (Chrome's policy): all timestamps, those before its retirement.
_ADMISSIBLE: Final = frozenset({"qualified", "usable", "readonly"})
_RETIRED: Final = "retired"
_ADDRESSES: Final = ("url", "monitoring_url")
"""Of logs with the API of RFC 6962, and of tiled ones."""


class LogListDamaged(ValueError):
    """The content is no list of logs; `found` says why."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"no list of logs in the format of Chrome and Apple, version 3: {self.found}"


@dataclass(frozen=True, slots=True)
class KnownLog:
    """`key` is its public key in DER. `since`: from when on it has been in its `state`. `former`
    are its operators before, the first one first, and until when they were. `addresses` are those
    at which it is read.
    """

    name: str
    operator: str
    key: bytes
    state: str
    since: datetime
    former: tuple[tuple[str, datetime], ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def log_id(self) -> bytes:
        """The SHA-256 of its key: timestamps have it (RFC 6962 section 3.2)."""
        return sha256(self.key).digest()

    @property
    def is_admissible(self) -> bool:
        """Whether browsers count every timestamp of it."""
        return self.state in _ADMISSIBLE

    def counts_at(self, moment: datetime) -> bool:
        """Whether browsers count a timestamp of this moment."""
        return self.is_admissible or (self.state == _RETIRED and moment < self.since)

    def operator_at(self, moment: datetime) -> str:
        """Who operated it: a log that has moved on breaks no certificate (Chrome's policy)."""
        return next((name for name, end in self.former if moment < end), self.operator)

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """RFC 6962 section 2.1.4: ECDSA over P-256 or RSA of 2048 bits, both with SHA-256."""
        try:
            key = load_der_public_key(self.key)
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
            else:
                return False
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class LogList:
    """Logs by their id."""

    made_at: datetime
    logs: Mapping[bytes, KnownLog]

    def at_address(self, address: str) -> KnownLog | None:
        """The log that is read at an address."""
        wanted = address.rstrip("/")
        return next((one for one in self.logs.values() if wanted in one.addresses), None)


def parse_log_list(content: bytes) -> LogList:
    """Read a list in JSON. Raises `LogListDamaged`."""
    try:
        document = json.loads(content)
        made_at = _moment(document["log_list_timestamp"])
        return LogList(made_at, {one.log_id: one for one in _logs(document)})
    except KeyError as error:
        raise LogListDamaged(f"{error} is missing") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise LogListDamaged(str(error)) from None


def _logs(document: Mapping[str, Any]) -> Iterator[KnownLog]:
    for operator in document["operators"]:
        for one in [*operator.get("logs", ()), *operator.get("tiled_logs", ())]:
            # one without a state is not accepted by browsers yet
            ((state, about),) = one.get("state", {"pending": {"timestamp": document["log_list_timestamp"]}}).items()
            key = base64.b64decode(one["key"], validate=True)
            since = _moment(about["timestamp"])
            former = ((_moment(each["end_time"]), str(each["name"])) for each in one.get("previous_operators", ()))
            yield KnownLog(
                str(one.get("description", one["key"])),
                str(operator["name"]),
                key,
                str(state),
                since,
                tuple((name, end) for end, name in sorted(former)),
                tuple(str(one[place]).rstrip("/") for place in _ADDRESSES if place in one),
            )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found
