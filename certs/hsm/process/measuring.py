"""How long operations take inside a token: the time of the calls alone.

Only in the process of `token_process`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pkcs11

from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from certs.hsm.process.key_store import TokenKeyStore
from certs.hsm.process.key_use import NONCE_BYTES, KeyUse

_DIGEST: Final = bytes(range(32))
# What is sealed most often: a ticket key or a payload key.
_PLAINTEXT: Final = bytes(1_024)
_PROBE: Final = TokenKeyName("plexigate-probe", KeyKind.ECDSA_P256, 1)


@dataclass(frozen=True, slots=True)
class Bench:
    keys: TokenKeyStore
    use: KeyUse
    address: KeyAddress | None
    count: int
    seconds: float

    def times(
        self,
        work: Callable[[], object],
        undo: Callable[[], object] = lambda: None,
        full: tuple[type[Exception], ...] = (),
    ) -> list[float]:
        """Do it repeatedly; the seconds that each `work` took. `undo` is not counted.

        What is in `full` ends it after the first time.
        """
        taken: list[float] = []
        end = time.monotonic() + self.seconds
        while len(taken) < self.count and (not taken or time.monotonic() < end):
            start = time.perf_counter()
            try:
                work()
            except full:
                if not taken:
                    raise
                break
            taken.append(time.perf_counter() - start)
            undo()
        return taken

    def key(self) -> Any:
        assert self.address is not None  # `calls.measure` was given one for these
        return self.keys.one(self.address)[0]


def _generate(bench: Bench) -> list[float]:
    # an earlier measurement may have been killed between the two
    labels = {one.label for one in bench.keys.listed()}
    if _PROBE.label in labels:
        bench.keys.destroy(KeyAddress.of(_PROBE))
    # the module of a TPM keeps a place in it for each key until the logout, also for a key that was
    # destroyed
    full = (pkcs11.exceptions.PKCS11Error,)
    return bench.times(lambda: bench.keys.generate(_PROBE), lambda: bench.keys.destroy(KeyAddress.of(_PROBE)), full)


def _sign(bench: Bench, mechanism: SignatureMechanism, data: bytes, hash_name: str | None = None) -> list[float]:
    key = bench.key()
    return bench.times(lambda: bench.use.sign_with(key, mechanism, data, hash_name))


def _encrypt(bench: Bench) -> list[float]:
    key = bench.key()
    nonces = iter([bench.use.random(NONCE_BYTES) for _ in range(bench.count)])
    return bench.times(lambda: bench.use.encrypt_with(key, next(nonces), _PLAINTEXT, b""))


MEASURED: Final[dict[str, Callable[[Bench], list[float]]]] = {
    "key generation": _generate,
    "ECDSA": lambda bench: _sign(bench, SignatureMechanism.ECDSA, _DIGEST),
    "RSA-PSS": lambda bench: _sign(bench, SignatureMechanism.RSA_PSS, _DIGEST, "sha256"),
    "ML-DSA": lambda bench: _sign(bench, SignatureMechanism.MLDSA, _DIGEST),
    "AES-256-GCM": _encrypt,
}
"""What can be measured, by name; all but the first need a key."""
