"""The suites of liboqs: their composition with a KEM that is at hand, and liboqs itself where it is installed."""

import ctypes.util
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from proxy.payload.liboqs import is_installed, liboqs_suites, suites_of
from proxy.payload.suites import MessageUnreadable, Suite

SUITES = ("X25519-FrodoKEM976", "X25519-HQC256", "X25519-ClassicMcEliece460896")


class KeyEncapsulation:
    """What liboqs-python has under this name, with ML-KEM-768 of cryptography behind every mechanism."""

    details = {"length_public_key": 1_184, "length_ciphertext": 1_088}  # noqa: RUF012 - as the package has it

    def __init__(self, mechanism: str, secret_key: bytes | None = None) -> None:
        self.mechanism = mechanism
        self._seed = secret_key

    def __enter__(self) -> "KeyEncapsulation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seed = None

    def generate_keypair(self) -> bytes:
        key = MLKEM768PrivateKey.generate()
        self._seed = key.private_bytes_raw()
        return key.public_key().public_bytes_raw()

    def export_secret_key(self) -> bytes:
        assert self._seed is not None
        return self._seed

    def encap_secret(self, public: bytes) -> tuple[bytes, bytes]:
        secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
        return ciphertext, secret

    def decap_secret(self, ciphertext: bytes) -> bytes:
        assert self._seed is not None
        return MLKEM768PrivateKey.from_seed_bytes(self._seed).decapsulate(ciphertext)


def package() -> Any:
    module = ModuleType("oqs")
    module.KeyEncapsulation = KeyEncapsulation  # type: ignore[attr-defined]
    return module


def agrees(suite: Suite) -> None:
    private = suite.generate()
    public = suite.public(private)
    message, secret = suite.seal(public, b"info")
    assert len(secret) == 32
    assert suite.open(private, message, b"info") == secret
    assert suite.open(private, message, b"other") != secret
    for place in (0, 31, 32, len(message) - 1):
        changed = bytearray(message)
        changed[place] ^= 1
        assert opened(suite, private, bytes(changed)) != secret
    for wrong in (message[:-1], message + b"x", b""):
        with pytest.raises(MessageUnreadable):
            suite.open(private, wrong, b"info")
    with pytest.raises(ValueError, match="another length"):
        suite.seal(public[:-1], b"info")


def opened(suite: Suite, private: bytes, message: bytes) -> bytes | None:
    try:
        return suite.open(private, message, b"info")
    except MessageUnreadable:
        return None


def test_both_secrets_and_both_ciphertexts_count() -> None:
    (suite,) = suites_of(package(), ["FrodoKEM-976-AES"]).values()
    agrees(suite)


def test_what_is_not_enabled_is_no_suite() -> None:
    assert suites_of(package(), ["Kyber768", "HQC-256"]).keys() == {"X25519-HQC256"}
    assert set(suites_of(package(), ["FrodoKEM-976-AES", "HQC-5", "HQC-256", "Classic-McEliece-460896"])) == set(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_real_liboqs(name: str) -> None:
    if not is_installed():
        pytest.skip("liboqs not installed: FrodoKEM, HQC and Classic McEliece were NOT tried")
    agrees(liboqs_suites()[name])


def test_package_is_not_touched_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would try to fetch and build one, and end the process."""
    monkeypatch.setattr(importlib.util, "find_spec", _found)
    monkeypatch.setenv("OQS_INSTALL_PATH", str(tmp_path))
    assert not is_installed()
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64/liboqs.so").touch()
    assert is_installed()
    monkeypatch.delenv("OQS_INSTALL_PATH")
    for place in (None, "liboqs.so.9"):
        monkeypatch.setattr(ctypes.util, "find_library", lambda _, place=place: place)
        assert is_installed() == (place is not None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not is_installed()


_found: Callable[[str], object] = lambda name: name  # noqa: E731 - a stand-in
