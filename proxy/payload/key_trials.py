"""Whether the keys of a ring do what they are for: each encrypts and decrypts a message.

A trial counts no use of a key, and its result has no secret.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.payload.keys.keyring import Keyring, RingKey
from proxy.payload.keys.liboqs import LiboqsUnusable
from proxy.payload.keys.payload_keys import suite_of
from proxy.payload.keys.suite_table import suite
from proxy.payload.keys.suites import MessageUnreadable, info_of
from proxy.payload.messages.causes import PayloadFault
from proxy.payload.messages.codec import FreshnessWindow, RingCodec

_MESSAGE: Final = b"plexigate payload self-test"
_NOW: Final = 1_800_000_000.0  # of the token; it is opened at once
_WINDOW: Final = FreshnessWindow(max_age=1.0, skew=1.0)


@dataclass(frozen=True, slots=True)
class RingKeyTrial:
    """What became of one key. `fault` is a clause, None if the key works."""

    ring: str
    version: int
    state: str
    fault: str | None


def trials(ring: Keyring) -> Iterator[RingKeyTrial]:
    name = suite_of(ring.name)
    for key in ring.readable:
        fault = _fault_of_ring(ring, key) if name is None else _fault_of_suite(name, key)
        yield RingKeyTrial(ring.name, key.version, key.state.value, fault)


def _fault_of_ring(ring: Keyring, key: RingKey) -> str | None:
    try:
        codec = RingCodec(ring)
        opened = codec.open(codec.seal(_MESSAGE, _NOW, key.version), _WINDOW, _NOW, key.version)
    except (PayloadFault, ValueError) as error:
        return f"it does not open its own message: {type(error).__name__}"
    return None if opened.plain == _MESSAGE else "it opens its own message as another one"


def _fault_of_suite(name: str, key: RingKey) -> str | None:
    try:
        kem = suite(name)
        info = info_of(name, key.version)
        message, secret = kem.seal(kem.public(key.secret), info)
        agreed = kem.open(key.secret, message, info)
    except LiboqsUnusable as missing:  # another name than below: mypyc gives a name one type
        return str(missing)
    except (KeyError, ValueError, MessageUnreadable) as error:
        return f"it does not open its own message: {type(error).__name__}"
    return None if agreed == secret else "both sides agree on different secrets"
