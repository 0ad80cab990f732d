"""Probes: every key is loaded again and signs, and what works is used from then on."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from proxy.signing.token import TokenPinRefused
from proxy.tls.tokens.module_instances import ModuleInstances
from proxy.tls.tokens.probe import BadSignature, KeyProbe, signing_seconds
from proxy.tls.tokens.token_key import TokenKey
from tests.certificates import Authority, CertificateFiles
from tests.fakes_signing import token_key
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.proxy.tls import hellos


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return Authority(tmp_path_factory.mktemp("credentials")).issue("chat", ("chat.example.org",))


@dataclass
class Door:
    """The way in to a token, which counts who waits for a turn."""

    pin_is_refused: bool = False
    others_know: bool = False
    turns: int = 0

    def is_refused(self, key: TokenKey) -> bool:
        assert isinstance(key, TokenKey)
        return self.pin_is_refused

    @contextmanager
    def turn(self, key: TokenKey) -> Iterator[None]:
        assert isinstance(key, TokenKey)
        self.turns += 1
        if self.others_know:
            raise TokenPinRefused
        yield


@dataclass
class Shelf:
    """Two keys, of which some are unavailable."""

    files: CertificateFiles
    away: set[int] = field(default_factory=set)
    door: Door = field(default_factory=Door)
    instances: ModuleInstances = field(default_factory=lambda: ModuleInstances(Path("/missing/module.so")))
    keys: tuple[TokenKey, ...] = ()

    def __post_init__(self) -> None:
        self.keys = tuple(token_key(self.files, is_away=partial(self._is_away, number)) for number in range(2))

    def _is_away(self, number: int) -> bool:
        return number in self.away

    def probe(self) -> KeyProbe:
        return KeyProbe(self.keys, self.door, self.instances)


@pytest.fixture
def shelf(files: CertificateFiles) -> Shelf:
    return Shelf(files)


def test_all_are_loaded_anew(shelf: Shelf) -> None:
    before = [key.loaded for key in shelf.keys]
    probe = shelf.probe()
    assert not probe.missing
    assert 0 < probe() < 10
    assert not {id(key.loaded) for key in shelf.keys} & {id(one) for one in before}


def test_where_none_works_nothing_changes(shelf: Shelf) -> None:
    shelf.away = {0, 1}
    before = [key.loaded for key in shelf.keys]
    with pytest.raises(ssl.SSLError, match="PEM"):
        shelf.probe()()
    assert [key.loaded for key in shelf.keys] == before


def test_missing_one_beside_one_that_works_is_not_used(shelf: Shelf) -> None:
    shelf.away = {0}
    probe = shelf.probe()
    probe()
    assert [key.is_loaded for key in shelf.keys] == [False, True]
    assert probe.missing == {shelf.keys[0].location}
    shelf.away.clear()
    probe()
    assert not probe.missing


def test_refused_pin_ends_it_before_the_next_key_is_tried(shelf: Shelf) -> None:
    shelf.away, shelf.door.pin_is_refused = {0}, True
    before = shelf.keys[1].loaded
    with pytest.raises(TokenPinRefused):
        shelf.probe()()
    assert shelf.keys[1].loaded is before


def test_first_key_that_is_there_is_loaded_in_turn_and_the_others_after_it(shelf: Shelf) -> None:
    shelf.probe()()
    assert shelf.door.turns == 1
    shelf.away = {0}
    shelf.probe()()
    assert shelf.door.turns == 3


def test_pin_that_others_know_to_be_refused_is_not_tried(shelf: Shelf) -> None:
    shelf.door.others_know = True
    before = shelf.keys[0].loaded
    with pytest.raises(TokenPinRefused):
        shelf.probe()()
    assert shelf.keys[0].loaded is before


def test_equal_keys_make_equal_probes(shelf: Shelf, files: CertificateFiles) -> None:
    """A reload that changes nothing is not a reason to try a PIN again."""
    assert KeyProbe(shelf.keys, Door(), shelf.instances) == KeyProbe(
        shelf.keys, Door(pin_is_refused=True), shelf.instances
    )
    assert KeyProbe((token_key(files),), shelf.door, shelf.instances) != KeyProbe(
        (token_key(files),), shelf.door, shelf.instances
    )


def test_context_without_a_key_fails() -> None:
    with pytest.raises(ssl.SSLError):
        signing_seconds(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_signature_that_does_not_fit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a token that answers anything: what the client gets is spoilt on its way."""
    context = hellos.server_context("X25519MLKEM768")
    real = ssl.SSLContext.wrap_bio

    def wrap(
        self: ssl.SSLContext,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as the real one
    ) -> ssl.SSLObject:
        if not server_side:
            return real(self, incoming, outgoing)
        aside = ssl.MemoryBIO()
        tls = real(self, incoming, aside, server_side=True)
        handshake = tls.do_handshake

        def spoilt() -> None:
            try:
                handshake()
            finally:
                flight = bytearray(aside.read())
                flight[-1] ^= 1
                outgoing.write(bytes(flight))

        monkeypatch.setattr(tls, "do_handshake", spoilt)
        return tls

    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", wrap)
    with pytest.raises(BadSignature):
        signing_seconds(context)


def test_check_signs_with_what_is_loaded_and_loads_nothing(shelf: Shelf) -> None:
    probe = shelf.probe()
    loaded = [key.loaded for key in shelf.keys]
    shelf.away = {0, 1}
    assert probe.check() > 0
    assert [key.loaded for key in shelf.keys] == loaded


def test_another_instance_that_does_not_start_leaves_everything_as_it_was(shelf: Shelf) -> None:
    shelf.away = {0, 1}
    before, used = [key.loaded for key in shelf.keys], shelf.instances.of("plexi")
    with pytest.raises(ssl.SSLError, match="PEM"):
        shelf.probe().anew()
    assert [key.loaded for key in shelf.keys] == before
    assert shelf.instances.of("plexi") is used


def test_no_other_instance_is_asked_where_this_one_works(shelf: Shelf) -> None:
    used = shelf.instances.of("plexi")
    assert shelf.probe().anew() > 0
    assert shelf.instances.of("plexi") is used


CHAT = "pkcs11:token=plexi;object=chat"


class TestKey:
    """Whether a process can still sign with a key: loaded, looked for again, destroyed."""

    def test_a_key_signs_until_it_is_destroyed(self, hsm_site: HsmSite) -> None:
        plexi = hsm_site.hsm.add_token("plexi")
        text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", hsm_site.hsm.generate(plexi, "chat"), CHAT)
        hsm_site.hsm.generate(plexi, "other", identifier="02")
        with hsm_site.signer(hsm_site.write(text)) as signer:
            assert signer.try_key("plexi", "chat", "01") == (True, True)
            assert signer.try_key("plexi", "other", "02") == (False, True), (
                "not used, but found with the PIN of the used one"
            )
            assert signer.try_key("plexi", "none", "03") == (False, False)
            assert signer.try_key("spare", "chat", "01") == (False, False), "no token of ours"
            hsm_site.hsm.destroy(plexi, "other")
            hsm_site.hsm.destroy(plexi, "chat")
            assert signer.try_key("plexi", "other", "02") == (False, False)
            assert signer.try_key("plexi", "chat", "01") == (True, False), "loaded, and of no use any more"

    def test_a_token_that_fails_signs_with_nothing(self, hsm_site: HsmSite) -> None:
        plexi = hsm_site.hsm.add_token("plexi")
        text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", hsm_site.hsm.generate(plexi, "chat"), CHAT)
        control = hsm_site.hsm.shim.token("plexi")
        with hsm_site.signer(hsm_site.write(text)) as signer:
            with control.failing(CKR_DEVICE_ERROR, "C_Sign", "C_FindObjectsInit"):
                assert signer.try_key("plexi", "chat", "01") == (True, False)
            assert signer.try_key("plexi", "chat", "01") == (True, True)
