"""OpenSSL's pkcs11-provider by the configuration that we write, counted at the module.

Each setting is also left out once: a test that then sees nothing would prove nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.configurations import identity
from tests.hsm.shim import CKR_DEVICE_ERROR, Shim, TokenControl, build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.hsm_modules import ON_REQUEST, Tpm

SIGNATURES = 200
THREADS = 8
SIGNED = ("C_Sign", "C_SignFinal")
URI = "pkcs11:token=plexi;object=chat"


@pytest.fixture(params=[pytest.param(None, id="softhsm"), *ON_REQUEST])
def hsm_site(request: pytest.FixtureRequest, tmp_path: Path, shim_module: Path) -> Iterator[HsmSite]:
    """As elsewhere, on every module."""
    with ExitStack() as stack:
        site = HsmSite.make(tmp_path, shim_module)
        if request.param is not None:
            (tmp_path / "other").mkdir()
            other = stack.enter_context(request.param(tmp_path / "other"))
            shim = Shim(build_shim(tmp_path, other.module), tmp_path / "shim.control")
            site = replace(site, hsm=replace(site.hsm, shim=shim, other=other))
        stack.callback(site.hsm.shim.close)
        yield site


@pytest.fixture
def plexi(hsm_site: HsmSite) -> Token:
    return hsm_site.hsm.add_token("plexi")


@pytest.fixture
def control(hsm_site: HsmSite, plexi: Token) -> TokenControl:
    return hsm_site.hsm.shim.token(plexi.label)


def one_key(site: HsmSite, plexi: Token, kind: str = "ecdsa-p256") -> str:
    key = site.hsm.generate(plexi, "chat", kind)
    return site.tokens(plexi) + site.identity("localhost", key, URI)


def signatures(control: TokenControl) -> int:
    """How many there were: whole or in parts, as the provider chooses by the mechanisms of the token."""
    return sum(control.calls(function) for function in SIGNED)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-3072"])
def test_client_that_verifies_is_served(hsm_site: HsmSite, plexi: Token, control: TokenControl, kind: str) -> None:
    with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi, kind))) as signer:
        assert signer.problems == {}
        assert control.calls("C_Login") == 1
        assert signer.handshakes(count=5) == []
    assert signatures(control) == 5
    assert signer.exit_status == 0


class TestEarly:
    def with_file(self, site: HsmSite, plexi: Token) -> str:
        chat = identity("files", ("files.test",), site.authority.issue("files", ("files.test",)))
        return one_key(site, plexi) + chat

    def test_keys_of_files_never_travel_into_a_token(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl
    ) -> None:
        with hsm_site.signer(hsm_site.write(self.with_file(hsm_site, plexi))) as signer:
            before = hsm_site.hsm.shim.calls
            assert signer.handshakes("files.test", count=5) == []
            assert hsm_site.hsm.shim.calls == before
            assert signer.handshakes("localhost", count=5) == []
            after = hsm_site.hsm.shim.calls
            assert signatures(control) == 5
            assert signer.handshakes("files.test", count=5) == []  # also when the token has signed
            assert hsm_site.hsm.shim.calls == after
        assert control.calls("C_CreateObject") == 0

    def test_without_it_they_do(self, hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
        with hsm_site.signer(hsm_site.write(self.with_file(hsm_site, plexi)), ["load-behavior"]) as signer:
            assert signer.handshakes("localhost") == []
            before = signatures(control)
            signer.handshakes("files.test", count=5)
            have_travelled = signatures(control) > before or control.calls("C_CreateObject") > 0
            assert have_travelled is not isinstance(hsm_site.hsm.other, Tpm), "a TPM takes none"


class TestKeys:
    def test_destroyed_key_signs_no_more(self, hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
            assert signer.handshakes(count=3) == []
            hsm_site.hsm.destroy(plexi, "chat")
            # the module of a TPM shows what it has read until it is loaded again
            assert len(signer.handshakes(count=3)) == (0 if isinstance(hsm_site.hsm.other, Tpm) else 3)
        assert control.calls("C_CopyObject") == 0

    def test_without_the_setting_a_copy_would(self, hsm_site: HsmSite, plexi: Token) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi)), ["cache-keys"]) as signer:
            assert signer.handshakes(count=3) == []
            hsm_site.hsm.destroy(plexi, "chat")
            assert signer.handshakes(count=3) == []


class TestSessions:
    @pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
    def test_no_session_is_opened_for_a_signature(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl, kind: str
    ) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi, kind))) as signer:
            control.delay(2, *SIGNED)
            assert signer.handshakes(count=SIGNATURES, threads=THREADS) == []
        assert control.calls("C_SignInit") == SIGNATURES
        # one to look at the token, one to stay logged in, and one for each thread; some threads meet at the start
        assert control.calls("C_OpenSession") <= 2 * THREADS

    def test_without_the_setting_most_signatures_open_one(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl
    ) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi)), ["cache-sessions"]) as signer:
            control.delay(2, *SIGNED)
            assert signer.handshakes(count=SIGNATURES, threads=2 * THREADS) == []
        assert control.calls("C_OpenSession") > SIGNATURES / 4


class TestEnd:
    def test_process_ends_cleanly(self, hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
            assert signer.handshakes() == []
        assert signer.exit_status == 0
        assert hsm_site.hsm.shim.token("").calls("C_Finalize") == 0
        assert signatures(control) == 1

    def test_without_the_quirk_the_module_is_unloaded_at_the_end(self, hsm_site: HsmSite, plexi: Token) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi)), ["quirks"]) as signer:
            assert signer.handshakes() == []
        assert signer.exit_status != 0 or hsm_site.hsm.shim.token("").calls("C_Finalize") > 0


def test_nobody_else_in_the_process_uses_the_module(hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
    """Neither the OpenSSL of cryptography nor children."""
    with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
        before = hsm_site.hsm.shim.calls
        assert before > 0
        signer.use_openssl_otherwise()
        assert hsm_site.hsm.shim.calls == before
        assert signer.handshakes() == []
    assert signatures(control) == 1


class TestFaults:
    @pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
    @pytest.mark.parametrize("functions", [("C_SignInit",), ("C_Sign", "C_SignUpdate"), SIGNED])
    def test_failed_signature_fails_its_handshake_only(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl, kind: str, functions: tuple[str, ...]
    ) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi, kind))) as signer:
            with control.failing(CKR_DEVICE_ERROR, *functions):
                assert len(signer.handshakes(count=3)) == 3
            assert signer.handshakes(count=3) == []
        assert sum(control.calls(function) for function in functions) == 6

    def test_slow_signature_takes_its_time(self, hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
        """And other threads sign meanwhile: 20 times 50 ms on 20 threads are not a second."""
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
            control.delay(50, *SIGNED)
            assert signer.handshakes(count=20, threads=20) == []
        assert signatures(control) == 20

    def test_hanging_signature_goes_on_when_it_is_let(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl
    ) -> None:
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
            with control.hanging("C_SignInit"):
                signer.begin_handshake()
                control.wait_for("C_SignInit", 1)
            assert signer.end_handshake() == []

    def test_lost_sessions_need_another_login_and_another_context(
        self, hsm_site: HsmSite, plexi: Token, control: TokenControl
    ) -> None:
        """The provider logs in again only when a key is looked up, and what it had loaded before is of no more use."""
        with hsm_site.signer(hsm_site.write(one_key(hsm_site, plexi))) as signer:
            assert signer.handshakes() == []
            control.lose_sessions()
            assert len(signer.handshakes(count=2)) == 2
            assert control.calls("C_Login") == 1
            signer.build(tickets="11" * 32)  # which shares what was loaded, and asks nobody
            assert signer.problems == {}
            assert len(signer.handshakes()) == 1
            assert control.calls("C_Login") == 1
            signer.probe("plexi")
            assert control.calls("C_Login") == 2
            assert signer.handshakes(count=2) == []
