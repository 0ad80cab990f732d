"""The suites of liboqs: their composition with a KEM that is at hand, and liboqs itself where it
is installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from proxy.payload.keys import liboqs
from proxy.payload.keys.liboqs import LiboqsUnusable, liboqs_suite, suites_of
from proxy.payload.keys.suites import MessageUnreadable, Suite
from tests.toy_liboqs import build_toy_liboqs

SUITES = ("X25519-FrodoKEM976", "X25519-HQC256", "X25519-ClassicMcEliece460896")


class KeyEncapsulation:
    """What liboqs-python has under this name, with ML-KEM-768 of cryptography behind every
    mechanism."""

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


def package(kind: type[KeyEncapsulation] = KeyEncapsulation) -> Any:
    module = ModuleType("oqs")
    module.KeyEncapsulation = kind  # type: ignore[attr-defined]
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
    try:
        suite = liboqs_suite(name)
    except LiboqsUnusable as error:
        pytest.skip(
            f"liboqs not installed ({error}), so FrodoKEM, HQC and Classic McEliece were NOT tried: build it as docs/tls.md says"
        )
    agrees(suite)


def test_variant_tells_algorithms_of_one_name_apart() -> None:
    (suite,) = suites_of(package(), ["FrodoKEM-976-AES"]).values()
    assert suite.variant == "FrodoKEM-976-AES/1184/1088"
    assert suite.is_slow


def told(code: str, place: Path | None) -> str:
    """What a process of its own prints, whose liboqs is at this place: a library cannot be
    unloaded."""
    environment = {name: value for name, value in os.environ.items() if name != "OQS_INSTALL_PATH"}
    if place is not None:
        environment["OQS_INSTALL_PATH"] = str(place)
    code = f"from proxy.payload.keys.liboqs import *\nfrom proxy.payload.keys.liboqs import version_fault\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


ASKED = """
try:
    suite = liboqs_suite("X25519-FrodoKEM976")
    private = suite.generate()
    message, secret = suite.seal(suite.public(private), b"info")
    print(suite.open(private, message, b"info") == secret, suite.variant, version_fault())
except LiboqsUnusable as error:
    print("unusable:", error)
"""


def test_package_is_quiet_on_standard_output(tmp_path: Path) -> None:
    """The genuine package: it logs to standard output, from its import on."""
    assert told(ASKED, build_toy_liboqs(tmp_path)) == "True FrodoKEM-976-AES/32/48 None\n"


def test_other_release_of_the_library_is_said_with_its_variant(tmp_path: Path) -> None:
    said = told(ASKED, build_toy_liboqs(tmp_path, "0.15.0", ciphertext=40))
    assert said.startswith("True FrodoKEM-976-AES/32/40 liboqs 0.15.0 beside liboqs-python 0.")


def test_package_is_not_touched_where_no_library_loads(tmp_path: Path) -> None:
    """It would try to fetch and build one, and end the process. A file is not a library yet."""
    assert told(ASKED, None) == "unusable: liboqs cannot be loaded: the system finds none\n"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/liboqs.so").write_bytes(b"no library")
    said = told(ASKED, tmp_path)
    assert said.startswith(f"unusable: liboqs cannot be loaded: {tmp_path}/lib/liboqs.so: ")
    assert said.endswith("cannot open shared object file: No such file or directory\n")


def test_library_without_the_kem_is_said(tmp_path: Path) -> None:
    said = told(ASKED.replace("FrodoKEM976", "ClassicMcEliece460896"), build_toy_liboqs(tmp_path))
    assert said == "unusable: liboqs 0.16.0 here was built without Classic-McEliece-460896\n"


def test_package_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    liboqs._package.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LiboqsUnusable, match="package liboqs-python"):
        liboqs_suite("X25519-HQC256")


def test_failure_of_the_library_is_a_message_that_cannot_be_read() -> None:
    (suite,) = suites_of(package(), ["HQC-5"]).values()
    private = suite.generate()
    message, _ = suite.seal(suite.public(private), b"info")
    broken = suites_of(package(Broken), ["HQC-5"])["X25519-HQC256"]
    with pytest.raises(MessageUnreadable):
        broken.open(private, message, b"info")


class Broken(KeyEncapsulation):
    """As the package says that the library could not."""

    def decap_secret(self, ciphertext: bytes) -> bytes:
        del ciphertext
        raise RuntimeError("Can not decapsulate secret")
