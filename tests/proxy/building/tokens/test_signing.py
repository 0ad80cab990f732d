"""Plans for identities with keys in tokens: what is loaded, how often, and what one generation hands to the next."""

import pytest

from certs.keys.signing_key import PublicKey
from tests.configurations import listener
from tests.hsm.shim import CKR_DEVICE_ERROR, CKR_PIN_INCORRECT, CKR_TOKEN_NOT_PRESENT
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token

URIS = ("pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat")


@pytest.fixture
def tokens(hsm_site: HsmSite) -> tuple[Token, Token]:
    return hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")


@pytest.fixture
def chat(hsm_site: HsmSite, tokens: tuple[Token, Token]) -> PublicKey:
    return hsm_site.hsm.share("chat", *tokens)


def test_plan_names_its_keys_and_threads(hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey) -> None:
    text = hsm_site.tokens(*tokens, further={"plexi": "max_sessions = 8"})
    with hsm_site.signer(hsm_site.write(text + hsm_site.identity("localhost", chat, *URIS))) as signer:
        plan = signer.plan("localhost")
    assert plan["keys"] == [["plexi", True], ["spare", True]]
    assert not plan["is_spread"]
    assert plan["tokens"] == {"plexi": 5, "spare": 13}  # less two of the parent and one to stay logged in


def test_token_that_no_key_is_in_is_not_planned(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, URIS[0])
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert set(signer.plan("localhost")["tokens"]) == {"plexi"}


def test_another_listener_and_other_ticket_keys_ask_no_token(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        calls = hsm_site.hsm.shim.calls
        two = listener("public") + listener("second", level="high")
        hsm_site.write(text, listener=two)
        signer.build(tickets="22" * 32)
        assert signer.problems == {}
        assert hsm_site.hsm.shim.calls == calls
        assert signer.handshakes() == []


def test_key_is_loaded_once_for_several_listeners(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)):
        once = hsm_site.hsm.shim.token("plexi").calls("C_GetAttributeValue")
    two = listener("public") + listener("second", level="high")
    with hsm_site.signer(hsm_site.write(text, listener=two)):
        assert hsm_site.hsm.shim.token("plexi").calls("C_GetAttributeValue") == 2 * once


def test_change_of_spread_alone_makes_another_plan(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    hsm = hsm_site.tokens(*tokens)
    text = hsm + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        hsm_site.write(text.replace('object=chat"]\n', 'object=chat"]\nspread = true\n'))
        signer.build()
        assert signer.problems == {}
        assert signer.plan("localhost")["is_spread"]


def test_token_that_is_away_at_the_start_is_used_once_a_probe_finds_it(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    plexi = hsm_site.hsm.shim.token("plexi")
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with plexi.failing(CKR_DEVICE_ERROR, "C_FindObjects"), hsm_site.signer(hsm_site.write(text)) as signer:
        assert signer.plan("localhost")["keys"] == [["plexi", False], ["spare", True]]
        assert signer.probe("plexi") is not None
        with plexi.failing(0, "C_FindObjects"):
            assert signer.probe("plexi") is None
        assert signer.plan("localhost")["keys"] == [["plexi", True], ["spare", True]]


def test_only_key_that_cannot_be_loaded_is_an_error(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    plexi = hsm_site.hsm.shim.token("plexi")
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, URIS[0])
    with (
        plexi.failing(CKR_TOKEN_NOT_PRESENT, "C_OpenSession"),
        hsm_site.signer(hsm_site.write(text)) as signer,
    ):
        assert list(signer.problems) == ["identity.localhost.key"]


def test_refused_pin_ends_the_probes(hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey) -> None:
    """SoftHSM sees no change of a PIN by another process, so the shim refuses it, and the token remembers a wrong one."""
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    plexi = hsm_site.hsm.shim.token("plexi")
    with hsm_site.signer(hsm_site.write(text)) as signer:
        with plexi.failing(CKR_PIN_INCORRECT, "C_Login"):
            plexi.lose_sessions()
            assert signer.probe("plexi") == "SSLError"  # a token that does not say why
            hsm_site.hsm.try_wrong_pin(tokens[0])
            assert signer.probe("plexi") == "TokenPinRefused"
        assert signer.probe("spare") is None
        assert signer.probe("plexi") == "TokenPinRefused"  # pkcs11-provider tries no PIN twice that was wrong once
