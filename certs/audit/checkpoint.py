"""Checkpoints: a signed statement of how many lines a log had, and the hash of the last.

Hashes alone prove little: an attacker who can write the file can compute them again. A checkpoint
cannot be made without the key, and its copy in the journal is out of the attacker's reach.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from certs.audit.chain import Head
from certs.audit.line import Facts
from certs.audit.signatures import CheckpointKey, fingerprint, is_signature
from certs.keys.signing_key import PublicKey

MARK: Final = "plexigate-audit-checkpoint"
"""What a checkpoint begins with in the journal."""

# Signatures of this key over anything else can never be taken for one of these.
_CONTEXT: Final = "plexigate audit checkpoint v1"
_MARKED = re.compile(rf"{MARK} (\{{.*\}})")
_HEX_ID = re.compile(r"[0-9a-f]{32}")
_HEX_HASH = re.compile(r"[0-9a-f]{64}")


class NotACheckpoint(Exception):
    """Facts that are no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `log` had `count` lines at `time`, the last with the hash `head`.

    `key` is the `fingerprint` of the key that signed, empty without signature; then `reason` may
    say why.
    """

    log: str
    count: int
    head: bytes
    time: str
    key: str = ""
    signature: bytes = b""
    reason: str = ""

    @classmethod
    def of(cls, head: Head, now: datetime) -> Self:
        """The checkpoint of a log that ends there, without signature."""
        time = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return cls(head.log, head.seq, head.hash, time)

    def signed(self, signer: CheckpointKey) -> "Checkpoint":
        """The same with a signature; raises `SignerUnavailable`."""
        return replace(self, key=fingerprint(signer.public_key), signature=signer.sign(self.content), reason="")

    def unsigned(self, reason: str) -> "Checkpoint":
        """The same, with the reason why it is unsigned."""
        return replace(self, reason=reason)

    @property
    def content(self) -> bytes:
        facts = {"context": _CONTEXT, "log": self.log, "count": self.count, "head": self.head.hex(), "at": self.time}
        return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()

    def is_signed_by(self, public_key: PublicKey) -> bool:
        return bool(self.signature) and is_signature(public_key, self.signature, self.content)

    def is_proof(self, public_keys: Mapping[str, PublicKey]) -> bool:
        """Whether the key that it names is one of these (`by_fingerprint`), and has signed it."""
        key = public_keys.get(self.key)
        return key is not None and self.is_signed_by(key)

    @property
    def facts(self) -> Facts:
        facts: Facts = {"log": self.log, "count": self.count, "head": self.head.hex(), "at": self.time}
        if self.signature:
            return {**facts, "key": self.key, "signature": base64.b64encode(self.signature).decode()}
        return {**facts, "unsigned": self.reason or "no key to sign with"}

    @classmethod
    def from_facts(cls, facts: Facts) -> Self:
        """Read what `facts` wrote; raises `NotACheckpoint`."""
        log, count, head, time = (facts.get(name) for name in ("log", "count", "head", "at"))
        if not (
            isinstance(log, str) and _HEX_ID.fullmatch(log) and isinstance(head, str) and _HEX_HASH.fullmatch(head)
        ):
            raise NotACheckpoint
        if not (isinstance(count, int) and count >= 1 and isinstance(time, str)):
            raise NotACheckpoint
        key = facts.get("key", "")
        signature = facts.get("signature", "")
        try:
            decoded = base64.b64decode(str(signature), validate=True)
        except ValueError:
            raise NotACheckpoint from None
        return cls(log, count, bytes.fromhex(head), time, str(key), decoded, str(facts.get("unsigned", "")))

    @property
    def journal_text(self) -> str:
        """The checkpoint on one line, for the journal; `checkpoints_in` finds it again."""
        facts = {name: value for name, value in self.facts.items() if name != "unsigned"}
        return f"{MARK} {json.dumps(facts, sort_keys=True, separators=(',', ':'))}"


def checkpoints_in(lines: Iterable[str]) -> tuple[Checkpoint, ...]:
    """The checkpoints in an export of the journal (`journalctl -t plexigate`, in any of its text
    forms) or of standard error.

    Passes over what is none. In `-o json` a message is JSON within JSON, so its quotes are escaped
    once more.
    """
    found = []
    for line in lines:
        match = _MARKED.search(line.replace('\\"', '"'))
        if match is None:
            continue
        try:
            facts, _ = json.JSONDecoder().raw_decode(match[1])
            found.append(Checkpoint.from_facts(facts))
        except (ValueError, RecursionError, NotACheckpoint):
            continue
    return tuple(found)
