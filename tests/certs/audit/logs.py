"""Audit logs made in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.audit.chain import Head, genesis
from certs.audit.checkpoint import Checkpoint
from certs.audit.entries import Action, KeyOperation, Outcome
from certs.audit.line import NO_HASH, Facts, Line, LineKind
from certs.audit.signatures import by_fingerprint
from certs.audit.signing import FileSigner
from certs.audit.verdict import LogVerdict
from certs.audit.verification import LogSource, verify
from certs.keys.signing_key import PublicKey

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
LOG = "0123456789abcdef" * 2
SIGNER = FileSigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_SIGNER = FileSigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
SIGNED = KeyOperation("parent", Action.SIGN, "pkcs11:token=plexi;object=chat", Outcome.DONE)


class Journal:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, text: str) -> None:
        self.texts.append(text)


class Writer:
    """A log as a list of lines."""

    def __init__(self, log: str = LOG) -> None:
        first = genesis(log, NOW)
        self.lines = [first.encode()]
        self.head = Head(log, 0, NO_HASH).moved(first)

    def put(self, kind: LineKind = LineKind.OPERATION, facts: Facts = SIGNED.facts) -> Line:
        line = self.head.line(kind, facts, NOW + timedelta(seconds=self.head.seq))
        self.lines.append(line.encode())
        self.head = self.head.moved(line)
        return line

    def operations(self, count: int) -> "Writer":
        for number in range(count):
            self.put(facts={**SIGNED.facts, "detail": f"{number}"})
        return self

    def checkpoint(self, signer: FileSigner | None = SIGNER) -> Checkpoint:
        checkpoint = Checkpoint.of(self.head, NOW)
        checkpoint = checkpoint.signed(signer) if signer else checkpoint.unsigned("the token is gone")
        self.put(LineKind.CHECKPOINT, checkpoint.facts)
        return checkpoint


def judged(
    *files: Sequence[bytes], key: PublicKey | None = SIGNER.public_key, known: Sequence[Checkpoint] = ()
) -> LogVerdict:
    sources = [LogSource(f"{index}.jsonl", lines) for index, lines in enumerate(files)]
    return verify(sources, by_fingerprint([key] if key else []), known)


def signer_in(path: Path) -> FileSigner:
    """A new Ed25519 key in a file that only its owner may read."""
    key = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return FileSigner(key)
