"""Which key serves of a credential that has several, and what is said about the others."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from certs.keys.signing_key import PublicKey
from tests.certs.authority import private_key
from tests.configurations import listener
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token

URIS = ("pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat")
SESSIONS = ("C_OpenSession", "C_FindObjects", "C_FindObjectsInit", "C_GetAttributeValue")


@pytest.fixture
def tokens(hsm_site: HsmSite) -> tuple[Token, Token]:
    return hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")


@pytest.fixture
def chat(hsm_site: HsmSite, tokens: tuple[Token, Token]) -> PublicKey:
    return hsm_site.hsm.share("chat", *tokens)


def signatures(site: HsmSite) -> tuple[int, int]:
    plexi, spare = (site.hsm.shim.token(label).calls("C_Sign") for label in ("plexi", "spare"))
    return plexi, spare


def test_first_of_several_signs(hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert signer.problems == {}
        assert signer.handshakes(count=3) == []
    assert signatures(hsm_site) == (3, 0)


def test_token_that_does_not_answer_is_passed_over_and_told(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    configuration = hsm_site.write(hsm_site.tokens(*tokens), hsm_site.identity("localhost", chat, *URIS))
    control = hsm_site.hsm.shim.token("plexi")
    with control.failing(CKR_DEVICE_ERROR, "C_FindObjects"), hsm_site.signer(configuration) as signer:
        (problem,) = signer.problems.values()
        assert (problem["key"], problem["severity"]) == ("identity.localhost.key[0]", "warning")
        assert problem["found"].endswith("which cannot be looked up: error 0x30 of the token")
        assert signer.handshakes(count=3) == []
        assert signatures(hsm_site) == (0, 3)
        signer.build(tickets="11" * 32)  # by the key of before, and nobody is asked again
        assert signer.problems == {}
        assert signer.handshakes(count=3) == []
        assert signatures(hsm_site) == (0, 6)


def test_a_key_that_does_not_fit_is_left_out_while_another_one_signs(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    hsm_site.hsm.generate(tokens[1], "other", identifier="02")
    keys = (URIS[0], "pkcs11:token=spare;object=other")
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *keys)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        (problem,) = signer.problems.values()
        assert (problem["key"], problem["severity"]) == ("identity.localhost.key[1]", "warning")
        assert signer.plan("localhost")["keys"] == [["plexi", True]]
        assert signer.handshakes() == []
        signer.build()
        assert signer.plan("localhost")["keys"] == [["plexi", True]]


def test_a_key_that_is_lost_in_one_of_two_tokens_is_a_warning_at_a_start_and_at_a_reload_and_is_used_once_it_is_back(
    hsm_site: HsmSite, tokens: tuple[Token, Token]
) -> None:
    private = private_key("ecdsa-p256")
    key = hsm_site.hsm.share("chat", *tokens, key=private)
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", key, *URIS)
    lost = {
        "identity.localhost.key[0]": ("warning", f'"{URIS[0]}", which is not in the token, or not as a private key')
    }
    with hsm_site.signer(hsm_site.write(text)) as signer:
        hsm_site.hsm.destroy(tokens[0], "chat")
        signer.build(is_reload=True)
        assert {key: (one["severity"], one["found"]) for key, one in signer.problems.items()} == lost
    with hsm_site.signer(hsm_site.directory / "plexigate.toml") as signer:
        assert {key: (one["severity"], one["found"]) for key, one in signer.problems.items()} == lost
        assert signer.plan("localhost")["keys"] == [["plexi", False], ["spare", True]]
        assert signer.handshakes() == []
        hsm_site.hsm.share("chat", tokens[0], key=private)
        assert signer.probe("plexi") is None
        assert signer.plan("localhost")["keys"] == [["plexi", True], ["spare", True]]


def test_another_key_beside_the_one_that_is_meant_takes_it_out_of_use_while_its_twin_signs(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        hsm_site.hsm.generate(tokens[0], "chat", identifier="02")
        signer.build(is_reload=True)
        (problem,) = signer.problems.values()
        assert (problem["severity"], "several keys" in problem["found"]) == ("warning", True)
        assert signer.plan("localhost")["keys"] == [["spare", True]]
        signer.build(tickets="11" * 32)
        assert signer.plan("localhost")["keys"] == [["spare", True]]
        assert signer.handshakes() == []


def test_a_lost_key_stops_no_start_while_the_token_of_its_twin_is_away(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    files = hsm_site.authority.issue("files", ("files.test",))
    text = f'[identity.files]\nnames = ["files.test"]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    with hsm_site.signer(hsm_site.write(hsm_site.tokens(*tokens), text)) as signer:
        hsm_site.hsm.destroy(tokens[0], "chat")
        hsm_site.write(hsm_site.tokens(*tokens), text, hsm_site.identity("localhost", chat, *URIS))
        signer.build(closed={"spare": told("absent")})
        assert {one["severity"] for one in signer.problems.values()} == {"warning"}
        signer.build(closed={"plexi": told("well"), "spare": told("well")}, is_reload=True)
        assert signer.probe("spare") is None


def test_a_lost_key_is_a_warning_while_another_credential_serves_and_an_error_beside_mldsa_alone(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    certificate = hsm_site.authority.certify("chat", chat, ("localhost",))
    lost = f'[[identity.chat.credential]]\ncertificate = "{certificate}"\nkey = "pkcs11:token=plexi;object=none"\n'
    for kind, severity in (("rsa-3072", "warning"), ("mldsa-65", "error")):
        files = hsm_site.authority.issue(kind, ("localhost",), kind=kind)
        text = hsm_site.tokens(*tokens) + '[identity.chat]\nnames = ["localhost"]\n'
        text += f'[[identity.chat.credential]]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n{lost}'
        with hsm_site.signer(hsm_site.write(text)) as signer:
            (problem,) = signer.problems.values()
            assert (problem["key"], problem["severity"]) == ("identity.chat.credential[1].key", severity)
            if severity == "warning":
                assert signer.handshakes() == []


def test_no_usable_key_is_told_for_each(hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey) -> None:
    configuration = hsm_site.write(hsm_site.tokens(*tokens), hsm_site.identity("localhost", chat, *URIS))
    plexi, spare = (hsm_site.hsm.shim.token(token.label) for token in tokens)
    with (
        plexi.failing(CKR_DEVICE_ERROR, "C_FindObjects"),
        spare.failing(CKR_DEVICE_ERROR, "C_OpenSession"),
        hsm_site.signer(configuration) as signer,
    ):
        assert {key: one["severity"] for key, one in signer.problems.items()} == {
            "identity.localhost.key[0]": "error",
            "identity.localhost.key[1]": "error",
        }


def test_what_did_not_change_is_not_asked_for_again(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    """A reload for another reason works while the token is unavailable."""
    hsm = hsm_site.tokens(*tokens)
    text = hsm + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        calls = hsm_site.hsm.shim.calls
        plexi = hsm_site.hsm.shim.token("plexi")
        with plexi.failing(CKR_DEVICE_ERROR, *SESSIONS):
            hsm_site.write(text, "[limits]\nconnections = 10_000\n", listener=listener("public", pq="report"))
            signer.build()
            assert signer.problems == {}
            assert hsm_site.hsm.shim.calls == calls, "other secrets are no reason to look at keys"
            signer.build(is_reload=True)
            assert signer.problems == {}
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 1
        assert signer.handshakes() == []


def test_a_reload_looks_again_at_keys_and_refuses_what_a_start_refuses(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        signer.build(is_reload=True)
        assert signer.problems == {}
        hsm_site.hsm.destroy(tokens[1], "chat")
        hsm_site.hsm.generate(tokens[0], "chat", identifier="02")
        signer.build()
        assert signer.problems == {}, "other secrets must not be refused for it"
        signer.build(closed={"plexi": told("unwell"), "spare": told("absent")}, is_reload=True)
        assert signer.problems == {}, "nothing is asked of a token that is unavailable"
        signer.build(is_reload=True)
        again = dict(signer.problems)
        assert {key: (one["severity"], one["found"]) for key, one in again.items()} == {
            "identity.localhost.key[0]": ("error", f'"{URIS[0]}", which several keys of the token fit'),
            "identity.localhost.key[1]": ("error", f'"{URIS[1]}", which is not in the token, or not as a private key'),
        }
    with hsm_site.signer(hsm_site.directory / "plexigate.toml") as signer:
        assert signer.problems == again, "the same words"
    logins = [hsm_site.hsm.shim.token(token.label).calls("C_Login") for token in tokens]
    assert logins == [2, 2], "one of each process"


def test_a_reload_says_nothing_of_an_issued_key_that_is_gone(hsm_site: HsmSite, plexi: Token, issued: Path) -> None:
    with hsm_site.signer(issued) as signer:
        kept = hsm_site.directory / "issued" / "credentials" / "localhost" / "ec" / "v000001" / "key"
        hsm_site.hsm.destroy(plexi, json.loads(kept.read_text())["label"])
        signer.build(is_reload=True)
        assert signer.problems == {}


def test_place_in_tables_of_several_credentials(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    files = hsm_site.authority.issue("modern", ("localhost",), kind="mldsa-65")
    certificate = hsm_site.authority.certify("chat", chat, ("localhost",))
    text = hsm_site.tokens(*tokens) + '[identity.chat]\nnames = ["localhost"]\n'
    for one, key in ((files.certificate, files.key), (certificate, "pkcs11:token=plexi;object=none")):
        text += f'[[identity.chat.credential]]\ncertificate = "{one}"\nkey = "{key}"\n'
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert list(signer.problems) == ["identity.chat.credential[1].key"]
        hsm_site.write(text.replace("object=none", "object=chat"))
        signer.build()
        assert signer.problems == {}
        assert signer.handshakes() == []
    assert signatures(hsm_site) == (1, 0)


@pytest.mark.parametrize(
    ("sessions", "workers", "is_enough"), [(16, 2, True), (5, 2, False), (6, 2, True), (16, 8, False)]
)
def test_sessions_are_enough_for_all_workers(
    hsm_site: HsmSite,
    tokens: tuple[Token, Token],
    chat: PublicKey,
    sessions: int,
    workers: int,
    is_enough: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    text = hsm_site.tokens(tokens[0], further={"plexi": f"max_sessions = {sessions}"})
    configuration = hsm_site.write(text, hsm_site.identity("localhost", chat, URIS[0]), workers=workers)
    with hsm_site.signer(configuration) as signer:
        assert (signer.problems == {}) is is_enough
        if not is_enough:
            problem = signer.problems["hsm.token.plexi.max_sessions"]
            assert problem["found"] == f"{sessions}, which is too few for {workers} workers"


def test_module_that_openssl_cannot_use_is_said_once(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens) + hsm_site.identity("localhost", chat, *URIS)
    with hsm_site.signer(hsm_site.write(text.replace(str(hsm_site.hsm.shim.module), "/bin/true"))) as signer:
        assert list(signer.problems) == ["hsm.module"]


def told(condition: str) -> dict[str, object]:
    return {"condition": condition, "detail": "the parent says so", "module_is_down": False}


@pytest.mark.parametrize("condition", ["unwell", "absent", "pin_refused"])
def test_a_token_that_the_parent_has_closed_is_not_touched_and_stops_nothing(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey, condition: str
) -> None:
    plexi, spare = hsm_site.hsm.shim.token("plexi"), hsm_site.hsm.shim.token("spare")
    files = hsm_site.authority.issue("files", ("files.test",))
    text = f'[identity.files]\nnames = ["files.test"]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    with hsm_site.signer(hsm_site.write(hsm_site.tokens(*tokens), text)) as signer:
        hsm_site.write(hsm_site.tokens(*tokens), text, hsm_site.identity("localhost", chat, *URIS))
        signer.build(closed={"plexi": told(condition), "spare": told(condition)})
        assert {problem["severity"] for problem in signer.problems.values()} == {"warning"}
        assert len(signer.problems) == 2
        assert (plexi.calls("C_Login"), spare.calls("C_Login")) == (0, 0)
        assert signer.handshakes("files.test") == []
        signer.build()
        assert (plexi.calls("C_Login"), spare.calls("C_Login")) == (0, 0), "the probes load them, beside the serving"
        assert signer.probe("spare") is None
        assert (plexi.calls("C_Login"), spare.calls("C_Login")) == (0, 1)


def test_a_token_that_the_parent_sees_and_this_process_does_not_is_no_fault_of_the_configuration(
    hsm_site: HsmSite, tokens: tuple[Token, Token], chat: PublicKey
) -> None:
    text = hsm_site.tokens(*tokens).replace("[hsm.token.plexi]", '[hsm.token.plexi]\nlabel = "later"')
    uri = "pkcs11:token=later;object=chat"
    with hsm_site.signer(hsm_site.write(text, hsm_site.identity("localhost", chat, uri))) as signer:
        (problem,) = signer.problems.values()
        assert problem["severity"] == "error"
        signer.build(closed={"plexi": told("well")})
        (problem,) = signer.problems.values()
        assert (problem["severity"], "whose token is not there" in problem["found"]) == ("warning", True)


ISSUED = "identity.localhost.credential[0].key"


@pytest.fixture
def plexi(hsm_site: HsmSite) -> Token:
    return hsm_site.hsm.add_token("plexi")


@pytest.fixture
def issued(hsm_site: HsmSite, plexi: Token) -> Path:
    """A configuration whose key was made in the token plexi by a rotation."""
    configuration = hsm_site.write(hsm_site.tokens(plexi), hsm_site.issued_identity("localhost", "ec-p256@plexi"))
    hsm_site.issue(configuration, "localhost")
    return configuration


def test_an_issued_key_that_cannot_be_looked_up_stops_no_beginning_and_comes_by_itself(
    hsm_site: HsmSite, plexi: Token, issued: Path
) -> None:
    with ExitStack() as ending, ExitStack() as fault:
        fault.enter_context(hsm_site.hsm.shim.token(plexi.label).failing(CKR_DEVICE_ERROR, "C_FindObjects"))
        signer = ending.enter_context(hsm_site.signer(issued))
        problem = signer.problems[ISSUED]
        assert problem["severity"] == "warning"
        assert problem["found"].endswith("which cannot be looked up: error 0x30 of the token")
        assert signer.plan("localhost")["keys"] == [["plexi", False]]
        assert signer.probe("plexi") is not None
        fault.close()
        assert signer.probe("plexi") is None
        assert signer.plan("localhost")["keys"] == [["plexi", True]]


def test_an_issued_key_that_is_gone_from_its_token_stops_no_beginning_and_a_rotation_is_advised(
    hsm_site: HsmSite, plexi: Token, issued: Path
) -> None:
    with hsm_site.signer(issued) as signer:
        assert signer.problems == {}
        assert signer.plan("localhost")["keys"] == [["plexi", True]]
    kept = hsm_site.directory / "issued" / "credentials" / "localhost" / "ec" / "v000001" / "key"
    hsm_site.hsm.destroy(plexi, json.loads(kept.read_text())["label"])
    with hsm_site.signer(issued) as signer:
        problem = signer.problems[ISSUED]
        assert problem["severity"] == "warning"
        assert problem["allowed"] == "another one: plexigate certs rotate localhost"
        assert signer.plan("localhost")["keys"] == [["plexi", False]]


def test_which_replica_is_to_be_rotated_is_said(hsm_site: HsmSite, plexi: Token) -> None:
    identity = hsm_site.issued_identity("localhost", ["ec-p256@plexi", "ec-p256@spare"])
    configuration = hsm_site.write(hsm_site.tokens(plexi, hsm_site.hsm.add_token("spare")), identity)
    hsm_site.issue(configuration, "localhost")
    kept = hsm_site.directory / "issued" / "credentials" / "localhost" / "ec@plexi" / "v000001" / "key"
    hsm_site.hsm.destroy(plexi, json.loads(kept.read_text())["label"])
    with hsm_site.signer(configuration) as signer:
        assert (
            signer.problems[ISSUED]["allowed"] == "another one: plexigate certs rotate localhost --credential ec@plexi"
        )


def test_no_issued_key_takes_the_place_of_another_one_before_it_is_found(
    hsm_site: HsmSite, plexi: Token, issued: Path
) -> None:
    with hsm_site.signer(issued) as signer:
        hsm_site.issue(issued, "localhost")
        with hsm_site.hsm.shim.token(plexi.label).failing(CKR_DEVICE_ERROR, "C_FindObjects"):
            signer.build()
        assert signer.problems[ISSUED]["severity"] == "error"
        assert signer.plan("localhost")["keys"] == [["plexi", True]], "of the generation before"
        signer.build()
        assert signer.problems == {}
