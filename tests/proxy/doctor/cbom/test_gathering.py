"""The inventory of configurations, with and without a running proxy."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certs.files.pem import NotPem
from proxy.doctor.cbom.gathering import gathered
from proxy.doctor.cbom.inventory import Inventory, KeyRole, LibraryFacts, LibraryRole, Protection
from proxy.doctor.checkup import AnsweringProxy
from proxy.payload.keys import liboqs
from proxy.payload.keys.payload_keys import kem_ring
from proxy.quic.availability import LIBRARIES, written
from tests.certificates import Authority
from tests.configurations import identity, listener
from tests.proxy.doctor.checkups import NOON, NOTHING, answering, configured
from tests.slow_provider import GROUP, NAME, build_slow_provider

STATUS: Any = {"listeners": [], "tokens": []}
HSM = '[hsm]\nmodule = "/usr/lib/softhsm.so"\n[hsm.token.one]\npin_file = "pin"\n[hsm.token.two]\nserial = "17"\npin_file = "pin"\n'
TWO_TOKENS = 'key = ["pkcs11:token=one;object=chat", "pkcs11:serial=17;object=chat"]\n'


def inventory(directory: Path, text: str, running: AnsweringProxy | None = None) -> Inventory:
    file = directory / "plexigate.toml"
    file.write_text(text)
    return gathered(replace(NOTHING, file=file, configured=configured(file), running=running), "1.2.3")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("gathering"))


class TestListeners:
    def test_groups_and_suites_of_the_file(self, tmp_path: Path) -> None:
        text = listener("public", pq="require") + listener("own", groups=["X25519", "x25519_frodo640aes"])
        public, own = inventory(tmp_path, text).listeners
        assert public.groups == ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
        assert (public.pq, public.level, public.observed) == ("require", "standard", None)
        assert len(public.suites) == 3
        assert set(own.groups) == {"X25519", "x25519_frodo640aes"}

    def test_running_proxy_says_what_is_in_force_and_was_observed(self, tmp_path: Path) -> None:
        served = {
            "name": "public",
            "groups": "X25519MLKEM768 / X25519:secp256r1",
            "handshakes": {"by_group": {"X25519": 3}},
        }
        running = answering({**STATUS, "listeners": [served]})
        (public,) = inventory(tmp_path, listener("public"), running).listeners
        assert public.groups == ("X25519MLKEM768", "X25519", "secp256r1")
        assert public.observed == {"X25519": 3}

    def test_listener_that_opens_no_tls_has_none(self, tmp_path: Path) -> None:
        text = listener("thru", protocol="tcp") + '[listener.thru.passthrough]\n"a.test" = "tcp://127.0.0.1:1"\n'
        assert inventory(tmp_path, text).listeners == ()

    def test_policy_that_contradicts_itself_is_said(self, tmp_path: Path) -> None:
        found = inventory(tmp_path, listener("public", pq="off", level="critical"))
        assert found.listeners == ()
        assert "pq = off leaves no group" in found.unread[0]


class TestIdentities:
    def test_certificate_and_key_in_files(self, tmp_path: Path, authority: Authority) -> None:
        found = inventory(tmp_path, identity("chat", ("chat.test",), authority.issue("chat", ("chat.test",))))
        (certificate,) = found.certificates
        (key,) = (one for one in found.keys if one.use is KeyRole.IDENTITY)
        assert (certificate.identity, certificate.position, certificate.keys) == ("chat", 0, (0,))
        assert (key.name, key.algorithm, key.protection, key.token) == ("chat-1", "ecdsa-p256", Protection.FILE, "")
        assert key.place.endswith("chat.key")

    def test_same_key_in_two_tokens_is_two_keys_of_one_certificate(self, tmp_path: Path, authority: Authority) -> None:
        files = authority.issue("chat", ("chat.test",), kind="mldsa-65")
        text = f'[identity.chat]\nnames = ["chat.test"]\ncertificate = "{files.certificate}"\n{TWO_TOKENS}{HSM}'
        found = inventory(tmp_path, text)
        assert found.certificates[0].keys == (0, 1)
        assert [(one.name, one.protection, one.token) for one in found.keys] == [
            ("chat-1.1", Protection.TOKEN, "one"),
            ("chat-1.2", Protection.TOKEN, "two"),
        ]
        assert {one.algorithm for one in found.keys} == {"mldsa-65"}

    @pytest.mark.parametrize(
        ("key", "protection", "token"),
        [
            ("ec-p256@file", Protection.FILE, ""),
            ("mldsa-65@sealed", Protection.SEALED, ""),
            ("rsa-3072@one", Protection.TOKEN, "one"),
        ],
    )
    def test_issued_credential_that_is_not_there_yet(
        self, tmp_path: Path, key: str, protection: Protection, token: str
    ) -> None:
        text = (
            f'[identity.chat]\nnames = ["chat.test"]\n[[identity.chat.credential]]\nissuer = "own"\nkey = "{key}"\n'
            f'[issuer.own]\ntype = "internal"\nkey = "ec-p256@file"\nroot = "ec-p256@file"\n[rotation]\nstate = "{tmp_path}/state"\n{HSM}'
        )
        found = inventory(tmp_path, text)
        assert found.certificates == ()
        (one,) = found.keys
        assert (one.algorithm, one.protection, one.token) == (key.partition("@")[0], protection, token)

    def test_certificate_that_cannot_be_read_is_said_and_the_rest_goes_on(
        self, tmp_path: Path, authority: Authority
    ) -> None:
        (tmp_path / "bad.pem").write_text("nothing")
        good = identity("files", ("files.test",), authority.issue("files", ("files.test",)))
        bad = '[identity.chat]\nnames = ["chat.test"]\ncertificate = "bad.pem"\nkey = "bad.key"\n'
        found = inventory(tmp_path, bad + good)
        assert [one.identity for one in found.certificates] == ["files"]
        assert found.keys[0].algorithm == "unknown"
        assert len(found.unread) == 1
        assert found.unread[0].startswith("identity chat, credential 1: ")
        assert NotPem.__name__ not in found.unread[0]


class TestOtherKeys:
    def uses(self, found: Inventory) -> dict[KeyRole, Protection]:
        return {one.use: one.protection for one in found.keys}

    def test_tickets_are_in_memory_without_a_sealing_key(self, tmp_path: Path) -> None:
        assert self.uses(inventory(tmp_path, listener("public"))) == {KeyRole.TICKETS: Protection.MEMORY}

    def test_sealing_key_in_a_token(self, tmp_path: Path) -> None:
        text = f'{listener("public")}[sealing]\nkey = "pkcs11:token=one;object=seal"\ndirectory = "{tmp_path}"\n{HSM}'
        found = inventory(tmp_path, text)
        assert self.uses(found) == {KeyRole.SEALING: Protection.TOKEN, KeyRole.TICKETS: Protection.SEALED}
        assert [one.token for one in found.keys] == ["one", ""]

    def test_rings_without_a_running_proxy(self, tmp_path: Path) -> None:
        found = inventory(tmp_path, '[payload]\ndirectory = "payload"\n[payload.ring.rooms]\n')
        (one,) = found.keys
        assert (one.name, one.algorithm, one.version, one.is_secret_key) == ("rooms", "Fernet", "", True)

    def test_keys_of_rings_and_suites_of_a_running_proxy(self, tmp_path: Path) -> None:
        keys = [
            {"version": 2, "state": "active", "created": NOON.timestamp(), "uses": 5, "ended": None},
            {"version": 1, "state": "revoked", "created": NOON.timestamp(), "uses": 5, "ended": 6.0},
        ]
        rings = [{"name": "rooms", "keys": keys}, {"name": kem_ring("MLKEM768-X25519"), "keys": keys[:1]}]
        running = answering(STATUS, {"/payload": {"rings": rings}})
        text = '[payload]\ndirectory = "payload"\n[payload.ring.rooms]\n[payload.sessions]\n'
        found = inventory(tmp_path, text, running)
        assert found.suites == ("MLKEM768-X25519",)
        told = [(one.name, one.version, one.state, one.created, one.is_secret_key) for one in found.keys]
        assert told[:2] == [("rooms", "2", "active", NOON, True), ("rooms", "1", "compromised", NOON, True)]
        assert told[2][1:] == ("2", "active", NOON, False)

    def test_running_proxy_that_does_not_answer_about_payload_is_said(self, tmp_path: Path) -> None:
        text = '[payload]\ndirectory = "payload"\n[payload.ring.rooms]\n'
        found = inventory(tmp_path, text, answering(STATUS))
        assert found.keys == ()
        assert found.unread == ("payload keys: there is no /payload",)


def test_tokens_with_the_state_that_the_running_proxy_sees(tmp_path: Path) -> None:
    running = answering({**STATUS, "tokens": [{"token": "one", "parent": "well"}]})
    one, two = inventory(tmp_path, HSM, running).tokens
    assert (one.name, one.module, one.label, one.state) == ("one", "/usr/lib/softhsm.so", "one", "well")
    assert (two.label, two.serial, two.state) == ("", "17", "")
    assert [each.state for each in inventory(tmp_path, HSM).tokens] == ["", ""]


def test_libraries(tmp_path: Path) -> None:
    assert [one.role for one in inventory(tmp_path, "").libraries] == [LibraryRole.TLS, LibraryRole.KEYS]
    text = '[payload]\ndirectory = "payload"\n[payload.sessions]\nsuites = ["X25519-HQC256"]\n'
    libraries = inventory(tmp_path, text).libraries
    assert libraries[-1].role is LibraryRole.OTHER_KEMS
    assert all(one.version for one in libraries[:2])


def test_libraries_of_http_3_where_a_listener_has_it(tmp_path: Path) -> None:
    one = inventory(tmp_path, listener("public", http3=True))
    found = {library.name: library.purl for library in one.libraries if library.role is LibraryRole.QUIC}
    for library in LIBRARIES:
        number = library.version()
        if number is None:
            assert f"{library.name}: {library.file} is not installed" in one.unread
        else:
            assert found[library.name] == f"pkg:github/ngtcp2/{library.name[3:]}@v{written(number)}"
    assert all(library.role is not LibraryRole.QUIC for library in inventory(tmp_path, listener("public")).libraries)


def test_provider_and_the_library_behind_it(tmp_path: Path) -> None:
    build_slow_provider(tmp_path)
    provider = f'[openssl]\nproviders = ["{NAME}"]\nmodule_path = "{tmp_path}"\n'
    text = provider + listener("public", groups=[[GROUP], ["X25519"]])
    *_, found, library = inventory(tmp_path, text).libraries
    assert found == LibraryFacts(NAME, "0.12.0", LibraryRole.PROVIDER, "", (GROUP,), "0.16.0")
    assert (library.name, library.version, library.role) == ("liboqs", "0.16.0", LibraryRole.KEM_LIBRARY)
    unasked = inventory(tmp_path, provider + listener("public")).libraries[2]
    assert (unasked.name, unasked.provides) == (NAME, ())


def test_liboqs_of_payload_sessions_has_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liboqs, "versions", lambda: ("0.16.0", "0.16.0.1"))
    text = '[payload]\ndirectory = "payload"\n[payload.sessions]\nsuites = ["X25519-HQC256"]\n'
    *_, package, library = inventory(tmp_path, text).libraries
    assert (package.version, package.liboqs, library.version) == ("0.16.0.1", "0.16.0", "0.16.0")


def test_openssl_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = inventory(tmp_path, '[openssl]\nproviders = ["legacy"]\n' + listener("public"))
    assert any(one.startswith("providers of OpenSSL: ") for one in found.unread)


def test_it_says_when_and_by_what_it_was_made(tmp_path: Path) -> None:
    found = inventory(tmp_path, "")
    assert (found.version, found.at, found.is_observed) == ("1.2.3", NOON, False)
    assert inventory(tmp_path, "", answering(STATUS)).is_observed
