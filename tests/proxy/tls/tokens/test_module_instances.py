"""A token that the module of this process does not see is used by another instance of the module, in the same process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.tls.openssl.key_store import KeyNotLoaded
from proxy.tls.tokens.module_instances import ModuleInstance, ModuleInstances, module_instances
from tests.certificates import Authority
from tests.descriptors import open_descriptors
from tests.fakes_signing import token_key
from tests.hsm.shim import CKR_PIN_INCORRECT
from tests.hsm.site import HsmSite, Signer
from tests.hsm.softhsm import SoftHsm, Token

URIS = ("pkcs11:token=spare;object=chat", "pkcs11:token=plexi;object=chat")
LOST = ("SSLError", "FileNotFoundError", "KeyNotLoaded")
"""What comes of a token that is gone; FileNotFoundError where errno happens to be that."""


class TestInAProcess:
    @pytest.fixture
    def tokens(self, hsm_site: HsmSite) -> tuple[Token, Token]:
        return hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")

    @pytest.fixture
    def away(self, hsm_site: HsmSite) -> SoftHsm:
        return SoftHsm.make(hsm_site.directory / "away", hsm_site.hsm.shim.module)

    @pytest.fixture
    def signer(self, hsm_site: HsmSite, tokens: tuple[Token, Token]) -> Iterator[Signer]:
        key = hsm_site.hsm.share("chat", *tokens)
        with hsm_site.signer(
            hsm_site.write(hsm_site.tokens(*tokens), hsm_site.identity("localhost", key, *URIS))
        ) as one:
            assert one.handshakes() == []
            yield one
        assert one.exit_status == 0, "it ends cleanly with two instances"

    def leave_and_return(self, hsm_site: HsmSite, signer: Signer, away: SoftHsm) -> None:
        hsm_site.hsm.put_into(away, "spare")
        assert signer.probe("spare") in LOST
        away.put_into(hsm_site.hsm, "spare")

    def test_a_token_that_was_away_signs_again_and_the_others_notice_nothing(
        self, hsm_site: HsmSite, signer: Signer, away: SoftHsm
    ) -> None:
        self.leave_and_return(hsm_site, signer, away)
        assert signer.probe("spare") in LOST, "the module of this process does not see it any more"
        logins = hsm_site.hsm.shim.token("plexi").calls("C_Login")
        before = hsm_site.hsm.shim.token("spare").calls("C_Sign")
        assert signer.probe("spare", anew=True) is None
        assert signer.handshakes(count=20, threads=4) == []
        assert hsm_site.hsm.shim.token("spare").calls("C_Sign") - before >= 20
        assert signer.probe("spare") is None, "by the same instance"
        assert signer.probe("plexi") is None
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == logins

    def test_it_may_come_and_go(self, hsm_site: HsmSite, signer: Signer, away: SoftHsm) -> None:
        for _ in range(3):
            self.leave_and_return(hsm_site, signer, away)
            assert signer.probe("spare", anew=True) is None
            assert signer.handshakes() == []

    def test_a_reload_finds_its_keys_by_the_same_instance(
        self, hsm_site: HsmSite, tokens: tuple[Token, Token], signer: Signer, away: SoftHsm
    ) -> None:
        self.leave_and_return(hsm_site, signer, away)
        assert signer.probe("spare", anew=True) is None
        other = hsm_site.hsm.generate(tokens[1], "other", identifier="02")
        uri = "pkcs11:token=spare;object=other"
        hsm_site.write(hsm_site.tokens(*tokens), hsm_site.identity("localhost", other, uri))
        signer.build(is_reload=True)
        assert signer.problems == {}
        assert signer.handshakes() == []
        assert signer.try_key("spare", "chat", "01") == (False, True), "found by the PIN of the used one"

    def test_one_that_is_still_away_is_not_found_and_costs_no_login(
        self, hsm_site: HsmSite, signer: Signer, away: SoftHsm
    ) -> None:
        hsm_site.hsm.put_into(away, "spare")
        for _ in range(10):
            assert signer.probe("spare", anew=True) in LOST
        logins = hsm_site.hsm.shim.token("spare").calls("C_Login")
        away.put_into(hsm_site.hsm, "spare")
        assert signer.probe("spare", anew=True) in LOST, "the instances are used up: a matter of the parent"
        assert hsm_site.hsm.shim.token("spare").calls("C_Login") == logins
        assert signer.probe("plexi") is None

    def test_a_refused_pin_is_tried_once(self, hsm_site: HsmSite, signer: Signer, away: SoftHsm) -> None:
        self.leave_and_return(hsm_site, signer, away)
        control = hsm_site.hsm.shim.token("spare")
        before = control.calls("C_Login")
        with control.failing(CKR_PIN_INCORRECT, "C_Login"):
            hsm_site.hsm.try_wrong_pin(Token("spare", "another-pin"))  # SoftHSM tells by its flags
            assert signer.probe("spare", anew=True) == "TokenPinRefused"
        assert control.calls("C_Login") - before == 1


def test_they_are_few_and_shared(tmp_path: Path) -> None:
    instances = ModuleInstances(tmp_path / "module.so")
    first = instances.of("plexi")
    assert first.module == tmp_path / "module.so"
    (made,) = instances.others("plexi")
    instances.use("plexi", made)
    assert instances.of("plexi") is made
    assert instances.of("spare") is first
    assert next(instances.others("spare")) is made, "what one token has needed may show another one"
    assert not instances.are_spent
    for _ in range(10):
        list(instances.others("plexi"))
    assert instances.are_spent
    assert len(list(instances.others("plexi"))) == 7
    assert module_instances(tmp_path, None) is module_instances(tmp_path, None)


@pytest.mark.parametrize("content", [None, b"no library"])
def test_a_module_that_cannot_be_loaded_again_says_so_and_costs_nothing_more(
    tmp_path: Path, content: bytes | None
) -> None:
    module = tmp_path / "module.so"
    if content is not None:
        module.write_bytes(content)
    instance = ModuleInstance(module, None, is_first=False)
    key = token_key(Authority(tmp_path).issue("chat"))
    descriptors = []
    for _ in range(3):
        with pytest.raises(FileNotFoundError if content is None else KeyNotLoaded):
            instance.load(key)
        descriptors.append(len(open_descriptors()))
    assert descriptors == descriptors[:1] * 3
    assert instance.module == module
