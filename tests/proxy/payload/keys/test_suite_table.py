"""Which suites there are, and what `check` says about those that there are not."""

from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from proxy.payload.keys import liboqs
from proxy.payload.keys.keyring import Keyring, PayloadKeyState
from proxy.payload.keys.liboqs import LiboqsUnusable
from proxy.payload.keys.payload_keys import TICKETS, kem_ring
from proxy.payload.keys.suite_table import completed, new_secret, suite, suite_problems, variant_of, variant_warnings
from proxy.payload.keys.suites import BUILT_IN
from tests.payloads import NOW, ring, secret
from tests.proxy.payload.keys.test_liboqs import KeyEncapsulation, package


def loaded(*names: str) -> LoadedConfig:
    return LoadedConfig(
        Config.model_validate({"payload": {"sessions": {"suites": names}}}), ConfigFile(Path("/etc/p.toml"))
    )


FRODO = "X25519-FrodoKEM976"
CONFIG = Config.model_validate({"payload": {"ring": {"chat": {}}, "sessions": {}}})
KEM = kem_ring("MLKEM768-X25519")


def installed(monkeypatch: pytest.MonkeyPatch, version: str = "0.16.0") -> None:
    """A liboqs with every KEM, and its package of release 0.16.0.1."""
    oqs = package()
    oqs.oqs_version, oqs.oqs_python_version = lambda: version, lambda: "0.16.0.1"
    oqs.get_enabled_kem_mechanisms = lambda: ("FrodoKEM-976-AES", "HQC-5", "Classic-McEliece-460896")
    monkeypatch.setattr(liboqs, "_package", lambda: oqs)


def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No liboqs."""

    def refuse() -> None:
        raise LiboqsUnusable("liboqs cannot be loaded: why")

    monkeypatch.setattr(liboqs, "_package", refuse)


def test_built_in_suites_need_no_liboqs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liboqs, "_package", lambda: pytest.fail("nothing asks for it"))
    assert [suite(name).name for name in BUILT_IN] == list(BUILT_IN)
    assert list(suite_problems(loaded(*BUILT_IN))) == []
    assert list(suite_problems(LoadedConfig(Config(), ConfigFile(Path("/etc/p.toml"))))) == []
    assert list(variant_warnings(LoadedConfig(Config(), ConfigFile(Path("/etc/p.toml"))), {})) == []


def test_suite_without_liboqs_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch)
    (problem,) = suite_problems(loaded("MLKEM768-X25519", FRODO))
    assert (problem.key, problem.is_error) == ("payload.sessions.suites[1]", True)
    assert problem.found == f'"{FRODO}", which cannot be used: liboqs cannot be loaded: why'
    assert "OQS_INSTALL_PATH" in problem.allowed
    assert "plexigate[liboqs]" in problem.allowed
    assert list(variant_warnings(loaded(FRODO), {kem_ring(FRODO): Keyring.fresh("x", b"", NOW)})) == []


def test_releases_that_do_not_belong_together_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    assert list(suite_problems(loaded(FRODO, *BUILT_IN))) == []
    installed(monkeypatch, "0.15.0")
    (problem,) = suite_problems(loaded(FRODO, *BUILT_IN))
    assert (problem.is_error, problem.found) == (False, "liboqs 0.15.0 beside liboqs-python 0.16.0.1")


@pytest.mark.parametrize("suites", [(FRODO,), ("RSA4096-MLKEM1024",)])
def test_suites_that_no_page_has_are_a_warning(monkeypatch: pytest.MonkeyPatch, suites: tuple[str, ...]) -> None:
    installed(monkeypatch)
    (problem,) = suite_problems(loaded(*suites))
    assert (problem.key, problem.is_error) == ("payload.sessions.suites", False)
    assert "JavaScript" in problem.found
    assert list(suite_problems(loaded(*suites, "MLKEM1024-P384"))) == []


def test_document_that_a_large_key_makes_large_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.setattr(
        KeyEncapsulation, "details", {"length_public_key": 524_160, "length_ciphertext": 156}, raising=True
    )
    mceliece = "X25519-ClassicMcEliece460896"
    (problem,) = suite_problems(loaded("MLKEM768-X25519", mceliece))
    assert (problem.key, problem.is_error) == ("payload.sessions.suites[1]", False)
    assert problem.found == f'"{mceliece}", whose public key makes the document of keys 931 KB'


def test_ring_of_another_variant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    here = variant_of(kem_ring(FRODO))
    for variant, expected in ((here, None), ("FrodoKEM-976-AES/32/40", "FrodoKEM-976-AES/32/40"), ("", "unknown")):
        rings = {kem_ring(FRODO): Keyring.fresh(kem_ring(FRODO), b"", NOW, variant)}
        warnings = list(variant_warnings(loaded("MLKEM768-X25519", FRODO), rings))
        if expected is None:
            assert warnings == []
        else:
            assert [(one.key, one.is_error) for one in warnings] == [("payload.sessions.suites[1]", False)]
            assert expected in warnings[0].found
            assert here in warnings[0].found
    assert list(variant_warnings(loaded(FRODO), {})) == []


def test_secret_and_variant_are_those_of_the_kind_of_ring() -> None:
    assert len(new_secret("chat")) == 32
    assert len(new_secret(kem_ring("MLKEM768-X25519"))) == 96
    assert variant_of("chat") == variant_of(kem_ring("MLKEM768-X25519")) == ""
    with pytest.raises(KeyError):
        new_secret(kem_ring("none"))


def test_what_is_known_is_kept_and_the_rest_is_made() -> None:
    known = {"chat": ring(2), "gone": ring()}
    rings = completed(CONFIG, known, NOW)
    assert rings["chat"] is known["chat"]
    assert set(rings) == {"chat", TICKETS, KEM}


def test_ring_of_another_variant_begins_anew() -> None:
    before = {**completed(CONFIG, {}, NOW), KEM: Keyring.fresh(KEM, secret(3), NOW, "old")}
    after = completed(CONFIG, before, NOW + 2)
    assert (after[KEM].variant, after[KEM].active.version, after[KEM].active.created) == ("", 2, NOW + 2)
    assert [(key.version, key.state, key.secret) for key in after[KEM].ended] == [
        (1, PayloadKeyState.RETIRED, secret(3)[:16])
    ]
    assert {name for name in after if after[name] is before[name]} == {"chat", TICKETS}
    assert completed(CONFIG, after, NOW + 3) == after
