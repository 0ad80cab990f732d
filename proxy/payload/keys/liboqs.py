"""KEMs of other families through liboqs-python, if it and liboqs are installed.

When the package is imported, it looks for the library. If it can load none, it tries to fetch and
build one, and then ends the process. It also writes to standard output, where `check --json` has
its document. So it is imported only for a suite that is asked for, only after the library was
loaded from the place where the package looks for it, and with its output held back.
"""

import contextlib
import ctypes
import ctypes.util
import importlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from proxy.payload.keys.suites import Suite, X25519Beside

# Suite -> how liboqs calls its KEM, the present name first.
_KEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "X25519-FrodoKEM976": ("FrodoKEM-976-AES",),
    "X25519-HQC256": ("HQC-5", "HQC-256"),
    "X25519-ClassicMcEliece460896": ("Classic-McEliece-460896",),
}
SUITES: Final = frozenset(_KEMS)
"""The suites that need liboqs."""


class LiboqsUnusable(Exception):
    """The package or the library is missing, or lacks the KEM; `reason` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class _Kem:
    oqs: Any
    mechanism: str

    @property
    def variant(self) -> str:
        """The mark that tells algorithms of one name apart.

        FrodoKEM-976-AES of liboqs 0.16 has a salt in its ciphertext; before it had none.
        """
        with self.oqs.KeyEncapsulation(self.mechanism) as kem:
            return f"{self.mechanism}/{kem.details['length_public_key']}/{kem.details['length_ciphertext']}"

    def generate(self) -> tuple[bytes, bytes]:
        with self.oqs.KeyEncapsulation(self.mechanism) as kem:
            public = kem.generate_keypair()
            return bytes(kem.export_secret_key()), bytes(public)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        with self.oqs.KeyEncapsulation(self.mechanism) as kem:
            if len(public) != kem.details["length_public_key"]:
                raise ValueError("a public key of another length")
            ciphertext, secret = _done(lambda: kem.encap_secret(public))
            return bytes(ciphertext), bytes(secret)

    def decapsulate(self, private: bytes, ciphertext: bytes) -> bytes:
        with self.oqs.KeyEncapsulation(self.mechanism, private) as kem:
            # the library reads as much as it needs, even beyond the end of what it was given
            if len(ciphertext) != kem.details["length_ciphertext"]:
                raise ValueError("a ciphertext of another length")
            return bytes(_done(lambda: kem.decap_secret(ciphertext)))


def _done(call: Any) -> Any:
    try:
        return call()
    except RuntimeError as error:  # as the package says that the library did not
        raise ValueError(str(error)) from None


def liboqs_suite(name: str) -> Suite:
    """A suite of `SUITES`. Raises `LiboqsUnusable`."""
    oqs = _package()
    found = suites_of(oqs, oqs.get_enabled_kem_mechanisms()).get(name)
    if found is None:
        raise LiboqsUnusable(f"liboqs {oqs.oqs_version()} here was built without {' or '.join(_KEMS[name])}")
    return found


def suites_of(oqs: Any, enabled: Iterable[str]) -> dict[str, Suite]:
    """The suites whose KEM is enabled in a liboqs."""
    there = set(enabled)
    found: dict[str, Suite] = {}
    for suite, mechanisms in _KEMS.items():
        mechanism = next((name for name in mechanisms if name in there), None)
        if mechanism is not None:
            found[suite] = X25519Beside(suite, _Kem(oqs, mechanism))
    return found


def versions() -> tuple[str, str]:
    """Of the library and of the package. Raises `LiboqsUnusable`."""
    oqs = _package()
    return oqs.oqs_version(), oqs.oqs_python_version()


def version_fault() -> str | None:
    """What is wrong with the releases of package and library, which belong together.

    None if nothing is. Raises `LiboqsUnusable`.
    """
    library, package = versions()
    if library.split(".")[:2] == package.split(".")[:2]:
        return None
    return f"liboqs {library} beside liboqs-python {package}"


@cache
def _package() -> Any:
    if importlib.util.find_spec("oqs") is None:
        raise LiboqsUnusable("the Python package liboqs-python is not installed here")
    _require_library()
    # what it has to say at its import, and to its logger later; of other releases `version_fault`
    # tells
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        return importlib.import_module("oqs")


def _require_library() -> None:
    """Load the library as the package is going to; that a file exists says little."""
    faults = []
    for place in _places():
        try:
            ctypes.CDLL(place)
        except OSError as error:
            faults.append(str(error))
        else:
            return
    raise LiboqsUnusable(f"liboqs cannot be loaded: {'; '.join(faults) or 'the system finds none'}")


def _places() -> Iterator[str]:
    for name in ("oqs", "liboqs"):
        found = ctypes.util.find_library(name)
        if found is not None:
            yield found
    place = os.environ.get("OQS_INSTALL_PATH")
    if place is not None:
        for below in ("lib", "lib64"):
            yield str(Path(place).absolute() / below / "liboqs.so")
