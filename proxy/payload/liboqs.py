"""KEMs of other families through liboqs-python, where it and liboqs are installed.

The package looks for the library when it is imported, and where it finds none it tries to fetch and build one, then ends the process. So
it is only imported where the library is seen first: below `OQS_INSTALL_PATH`, or where the linker finds it.
"""

import ctypes.util
import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from proxy.payload.suites import Suite, X25519Beside

# Suite -> how liboqs calls its KEM, the present name first.
_KEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "X25519-FrodoKEM976": ("FrodoKEM-976-AES",),
    "X25519-HQC256": ("HQC-5", "HQC-256"),
    "X25519-ClassicMcEliece460896": ("Classic-McEliece-460896",),
}


@dataclass(frozen=True, slots=True)
class _Kem:
    """One KEM of the package."""

    oqs: Any
    mechanism: str

    def generate(self) -> tuple[bytes, bytes]:
        with self.oqs.KeyEncapsulation(self.mechanism) as kem:
            public = kem.generate_keypair()
            return bytes(kem.export_secret_key()), bytes(public)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        with self.oqs.KeyEncapsulation(self.mechanism) as kem:
            if len(public) != kem.details["length_public_key"]:
                raise ValueError("a public key of another length")
            ciphertext, secret = kem.encap_secret(public)
            return bytes(ciphertext), bytes(secret)

    def decapsulate(self, private: bytes, ciphertext: bytes) -> bytes:
        with self.oqs.KeyEncapsulation(self.mechanism, private) as kem:
            # the library reads as much as it needs, whatever it was given
            if len(ciphertext) != kem.details["length_ciphertext"]:
                raise ValueError("a ciphertext of another length")
            return bytes(kem.decap_secret(ciphertext))


@cache
def liboqs_suites() -> Mapping[str, Suite]:
    """The suites that this process can use; none without the package and the library."""
    if not is_installed():
        return {}
    oqs = importlib.import_module("oqs")
    return suites_of(oqs, oqs.get_enabled_kem_mechanisms())


def suites_of(oqs: Any, enabled: Iterator[str] | tuple[str, ...] | list[str]) -> dict[str, Suite]:
    """The suites whose KEM is enabled in a liboqs."""
    there = set(enabled)
    found: dict[str, Suite] = {}
    for suite, mechanisms in _KEMS.items():
        mechanism = next((name for name in mechanisms if name in there), None)
        if mechanism is not None:
            found[suite] = X25519Beside(suite, _Kem(oqs, mechanism))
    return found


def is_installed() -> bool:
    """Whether both the package and the library are there."""
    if importlib.util.find_spec("oqs") is None:
        return False
    place = os.environ.get("OQS_INSTALL_PATH")
    if place is not None:
        return any((Path(place) / below / "liboqs.so").exists() for below in ("lib", "lib64"))
    return ctypes.util.find_library("oqs") is not None
