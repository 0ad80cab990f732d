"""What a thief of the disks of etcd, or of a proxy without its sealing key, finds of the secrets of a run.

A secret may be over before the end, and be on a disk all the same: etcd keeps what was written before. So they are noted while
they are there.
"""

import base64
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from proxy.supervisor.membership.state import NodeState
from proxy.supervisor.membership.values import FleetKey, ValueUnusable

Secret = tuple[str, bytes]
"""What it is of, and what it is."""
KINDS = {"the key of the fleet", "authorities", "certificates", "invitations", "payload", "tickets"}
"""Of which a run has secrets, at least. A key below rotations/ becomes that of a certificate."""


def found_on_disks(secrets: set[Secret], places: Iterable[Path]) -> list[str]:
    """Which of these secrets are in files below these places."""
    assert {name.partition("/")[0] for name, _ in secrets} >= KINDS
    contents = [(path, written_in(path)) for place in places for path in place.rglob("*") if path.is_file()]
    assert any(b"/plexigate/tickets" in content for _, content in contents), "nothing was searched"
    found: list[str] = []
    for path, content in contents:
        unbroken = content.translate(None, b" \r\n\t").replace(b"\\n", b"")
        for name, secret in secrets:
            if secret in content or any(text in unbroken for text in texts_of(secret)):
                found.append(f"{name} in {path}")
    return found


def written_in(path: Path) -> bytes:
    """What was written into a file, without the zeros at its end: etcd makes room of 64 MB in each log, which takes long to read."""
    pieces: list[bytes] = []
    end = 0
    with path.open("rb") as file:
        try:
            while True:
                begin = file.seek(end, os.SEEK_DATA)
                end = file.seek(begin, os.SEEK_HOLE)
                file.seek(begin)
                pieces.append(file.read(end - begin))
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing was written from there on
                raise
    return b"".join(pieces).rstrip(b"\0")


def texts_of(secret: bytes) -> Iterator[bytes]:
    """How a secret looks as text: in hexadecimal, and in base64 at any place in what was encoded, such as a key in PEM."""
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        inner = text[-(-before * 8 // 6) : len(text) - 4]  # without what depends on its neighbours
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def secrets_of(name: str, state: NodeState) -> Iterator[Secret]:
    """What a node has, as it opens it itself: its keys, and everything in a shared value that may be a secret."""
    assert state.key is not None
    yield "the key of the fleet", state.key.secret
    yield from ((f"a private key of {name}", one) for one in private_keys(state.private.pem()))
    for value, taken in state.values.items():
        yield from ((value, one) for one in secrets_in(taken.content))


def secrets_at(key: FleetKey, values: Iterable[tuple[str, bytes]]) -> Iterator[Secret]:
    """The same of what etcd has, as each member opens it."""
    for name, value in values:
        with suppress(ValueUnusable):  # of an earlier epoch, or no value of the fleet
            content: Any = key.open(name, value)
            yield from ((name, one) for one in secrets_in(content))


def secrets_in(content: object) -> Iterator[bytes]:
    """Keys in hexadecimal, in base64 (of 32 bytes), and in PEM."""
    if isinstance(content, dict | list):
        for one in content.values() if isinstance(content, dict) else content:
            yield from secrets_in(one)
    elif isinstance(content, str):
        yield from private_keys(content.encode())
        if re.fullmatch(r"([0-9a-f]{2}){16,}", content):
            yield bytes.fromhex(content)
        elif re.fullmatch(r"[-\w+/]{43}=?", content):
            yield base64.b64decode(content.rstrip("=") + "=", altchars=b"-_")


def private_keys(pem: bytes) -> Iterator[bytes]:
    """The secret part of each: the number of an elliptic curve, or the seed, which is at the end."""
    for block, body in re.findall(rb"(-----BEGIN [^-]*PRIVATE KEY-----(.+?)-----END [^-]*-----)", pem, re.DOTALL):
        try:
            key = load_pem_private_key(block, None)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, EllipticCurvePrivateKey):
            yield key.private_numbers().private_value.to_bytes(key.key_size // 8)
        else:
            yield base64.b64decode(body)[-32:]
