"""Whether a key in a token can be used: what is told, and how often anybody logs in to find out."""

from collections.abc import Callable

import pytest

from certs.hsm.secret import LONGEST_PIN
from certs.keys.signing_key import PublicKey
from tests.configurations import listener
from tests.hsm.shim import CKR_DEVICE_ERROR, CKR_PIN_INCORRECT, TokenControl
from tests.hsm.site import HsmSite, Signer
from tests.hsm.softhsm import Token

PLACE = "identity.localhost.key"
URI = "pkcs11:token=plexi;object=chat"

Problems = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def plexi(hsm_site: HsmSite) -> Token:
    return hsm_site.hsm.add_token("plexi")


@pytest.fixture
def control(hsm_site: HsmSite, plexi: Token) -> TokenControl:
    return hsm_site.hsm.shim.token(plexi.label)


@pytest.fixture
def chat(hsm_site: HsmSite, plexi: Token) -> PublicKey:
    return hsm_site.hsm.generate(plexi, "chat")


def found(signer: Signer) -> dict[str, str]:
    return {key: problem["found"] for key, problem in signer.problems.items()}


def test_wrong_pin_is_tried_once(hsm_site: HsmSite, plexi: Token, control: TokenControl, chat: PublicKey) -> None:
    """Whatever the number of keys and listeners."""
    files = hsm_site.hsm.generate(plexi, "files", identifier="02")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    text += hsm_site.identity("files.test", files, "pkcs11:token=plexi;object=files")
    hsm_site.hsm.pin_file(plexi, "wrong")
    with hsm_site.signer(hsm_site.write(text, listener=listener("public") + listener("other"))) as signer:
        problems = found(signer)
        assert problems == {
            PLACE: f'"{URI}", whose token refuses the PIN',
            "identity.files.key": '"pkcs11:token=plexi;object=files", whose token refuses the PIN',
        }
        assert control.calls("C_Login") == 1
        signer.build()  # nor again, as long as the PIN is the same
        assert found(signer) == problems
        assert control.calls("C_Login") == 1
        hsm_site.hsm.pin_file(plexi)
        signer.build()
        assert found(signer) == {}
        assert control.calls("C_Login") == 2
        assert signer.handshakes() == []
    assert "wrong" not in str(problems)


def test_login_that_fails_for_no_known_reason_is_tried_once(
    hsm_site: HsmSite, plexi: Token, control: TokenControl, chat: PublicKey
) -> None:
    """Not every token tells by its flags that a PIN was wrong."""
    files = hsm_site.hsm.generate(plexi, "files", identifier="02")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    text += hsm_site.identity("files.test", files, "pkcs11:token=plexi;object=files")
    with control.failing(CKR_PIN_INCORRECT, "C_Login"), hsm_site.signer(hsm_site.write(text)) as signer:
        assert found(signer)[PLACE] == f'"{URI}", whose token refuses every login'
        assert found(signer)["identity.files.key"].endswith("whose token refuses every login")
        assert control.calls("C_Login") == 1


def test_what_fails_here_alone_stops_no_start(
    hsm_site: HsmSite, plexi: Token, control: TokenControl, chat: PublicKey
) -> None:
    """The parent has just logged in to it, and replaces a process that cannot."""
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    well = {"plexi": {"condition": "well", "detail": "", "module_is_down": False}}
    with control.failing(CKR_DEVICE_ERROR, "C_Login"), hsm_site.signer(hsm_site.write(text)) as signer:
        assert found(signer)[PLACE].endswith("whose token refuses every login")
        assert signer.problems[PLACE]["severity"] == "error"
        signer.build(closed=well)
        assert signer.problems[PLACE]["severity"] == "warning"


def test_no_pin_goes_to_a_token_that_may_not_be_meant(hsm_site: HsmSite, plexi: Token, chat: PublicKey) -> None:
    hsm_site.hsm.add_token("plexi")  # a second one of this label
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert found(signer) == {PLACE: f'"{URI}", which 2 tokens fit'}
        serials = [
            one.split(" ")[0] for one in signer.problems[PLACE]["allowed"].partition("there are: ")[2].split(", ")
        ]
        assert len(set(serials)) == 2
    assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 0
    assert hsm_site.hsm.shim.token("plexi").calls("C_FindObjects") <= 2  # the provider's own, of profiles


def test_serial_tells_tokens_of_one_label_apart(hsm_site: HsmSite, plexi: Token, chat: PublicKey) -> None:
    with hsm_site.signer(hsm_site.write(hsm_site.tokens(plexi), hsm_site.identity("localhost", chat, URI))) as signer:
        serial = signer.tokens(hsm_site.hsm.shim.module)["plexi"]["serial"]
    hsm_site.hsm.add_token("plexi")
    tokens = hsm_site.tokens(plexi, further={"plexi": f'label = "plexi"\nserial = "{serial}"'})
    with hsm_site.signer(hsm_site.write(tokens, hsm_site.identity("localhost", chat, URI))) as signer:
        assert found(signer) == {}
        assert signer.handshakes() == []


def test_one_key_of_the_token_fits(hsm_site: HsmSite, plexi: Token, chat: PublicKey) -> None:
    hsm_site.hsm.generate(plexi, "chat", identifier="02")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert found(signer) == {PLACE: f'"{URI}", which several keys of the token fit'}
        hsm_site.write(hsm_site.tokens(plexi), hsm_site.identity("localhost", chat, f"{URI};id=%01"))
        signer.build()
        assert found(signer) == {}
        assert signer.handshakes() == []


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-3072"])
def test_key_of_another_certificate(hsm_site: HsmSite, plexi: Token, chat: PublicKey, kind: str) -> None:
    hsm_site.hsm.generate(plexi, "other", kind, identifier="02")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, "pkcs11:token=plexi;object=other")
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert found(signer) == {PLACE: '"pkcs11:token=plexi;object=other", which does not fit the certificate'}


def test_what_is_not_there(hsm_site: HsmSite, plexi: Token, control: TokenControl, chat: PublicKey) -> None:
    tokens = hsm_site.tokens(plexi)
    nothing = hsm_site.identity("localhost", chat, "pkcs11:token=plexi;object=none")
    with hsm_site.signer(hsm_site.write(tokens, nothing)) as signer:
        assert found(signer)[PLACE].endswith(", which is not in the token, or not as a private key")
        away = tokens.replace("[hsm.token.plexi]", "[hsm.token.gone]")
        hsm_site.write(away, hsm_site.identity("localhost", chat, "pkcs11:token=gone;object=chat"))
        signer.build()
        assert found(signer)[PLACE].endswith(", whose token is not there")
        assert '(there are: "plexi")' in signer.problems[PLACE]["allowed"]
        hsm_site.write(tokens, hsm_site.identity("localhost", chat, URI))
        for function in ("C_FindObjects", "C_FindObjectsInit"):
            with control.failing(CKR_DEVICE_ERROR, function):
                signer.build()
                assert found(signer)[PLACE].endswith(", which cannot be looked up: error 0x30 of the token")
        signer.build()
        assert found(signer) == {}


def test_who_lacks_mldsa_is_named(hsm_site: HsmSite, plexi: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token, or with a token that has it the provider."""
    key = hsm_site.authority.issue("modern", ("localhost",), kind="mldsa-65")
    text = f'[identity.localhost]\nnames = ["localhost"]\ncertificate = "{key.certificate}"\nkey = "{URI}"\n'
    with hsm_site.signer(hsm_site.write(hsm_site.tokens(plexi), text)) as signer:
        lack = "token plexi has no ML-DSA (CKM_ML_DSA_KEY_PAIR_GEN is not in its list of mechanisms)"
        assert found(signer)[PLACE].endswith(f", which cannot serve: {lack}")
    monkeypatch.setenv("PLEXIGATE_SHIM_MLDSA", "1")
    with hsm_site.signer(hsm_site.directory / "plexigate.toml") as signer:
        assert ", which cannot serve: OpenSSL's pkcs11-provider has no ML-DSA (/usr/lib/" in found(signer)[PLACE]


@pytest.mark.parametrize(("length", "works"), [(LONGEST_PIN, True), (LONGEST_PIN + 1, False)])
def test_longest_pin_is_what_openssl_takes(
    hsm_site: HsmSite,
    length: int,
    works: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    plexi = hsm_site.hsm.add_token("plexi", "p" * length)
    chat = hsm_site.hsm.generate(plexi, "chat")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", chat, URI)
    with hsm_site.signer(hsm_site.write(text)) as signer:
        uri = f"{URI};type=private?pin-source=file:{hsm_site.hsm.pin_file(plexi)}"
        assert signer.count_keys(uri) == (1 if works else 0, 0)
        assert (signer.problems == {}) is works
