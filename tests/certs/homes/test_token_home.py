"""Keys in a real token of SoftHSM: made there, signing there, destroyed there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certs.homes.token_home import LONGEST_IDENTITY, TokenHome
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.hsm.secret import Secret
from certs.issuing.signing_request import signing_request
from certs.keys.generating import ALGORITHMS, digest_for
from certs.keys.home import HomeFailed, KeyName
from certs.storage.disk import Disk
from certs.storage.owner import Owner
from config.values.pkcs11_uri import Pkcs11Uri, parse
from tests.hsm_tokens import SoftHsm, softhsm, token_process

NAME = KeyName("chat", ALGORITHMS["ec-p256"], 1)
PLEXI = Pkcs11Uri(token="plexi")


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with softhsm(tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.fixture(scope="module")
def access(hsm: SoftHsm) -> TokenAccess:
    return hsm.init_token("plexi")


def home(access: TokenAccess, state: Path) -> TokenHome:
    return TokenHome("plexi", PLEXI, lambda: access, Owner(state, Disk()))


def labels(access: TokenAccess) -> list[str]:
    with token_process(access) as process:
        return [key.label for key in process.perform(calls.keys())]


def test_a_key_signs_in_the_token_until_it_is_destroyed_there(access: TokenAccess, tmp_path: Path) -> None:
    token = home(access, tmp_path)
    kept = token.make(NAME)
    owner = Owner(tmp_path, Disk()).id()
    label = f"chat.{owner}.ecdsa-p256.v1"
    assert labels(access) == [label]
    with token_process(access) as process:
        (facts,) = process.perform(calls.keys())
    assert facts.is_sealed_in
    assert facts.is_sign_only
    uri = parse(token.for_workers(NAME, kept).decode())
    assert (uri.token, uri.object, uri.id) == ("plexi", label, facts.id)

    key = token.signer(NAME, kept)
    csr = x509.load_der_x509_csr(signing_request(("chat.test",), key))
    assert csr.is_signature_valid
    assert csr.public_key() == key.public_key()

    token.destroy(NAME)
    assert labels(access) == []
    token.destroy(NAME)
    with pytest.raises(HomeFailed, match=r'keys at "plexi": .*no key'):
        signing_request(("chat.test",), key)


def test_rsa_keys_sign_as_well(access: TokenAccess, tmp_path: Path) -> None:
    token, name = home(access, tmp_path), KeyName("chat", ALGORITHMS["rsa-3072"], 1)
    key = token.signer(name, token.make(name))
    assert x509.load_der_x509_csr(signing_request(("chat.test",), key)).is_signature_valid
    token.destroy(name)


def test_keys_of_others_of_the_same_name_are_not_touched(access: TokenAccess, tmp_path: Path) -> None:
    ours, others = home(access, tmp_path / "ours"), home(access, tmp_path / "others")
    with token_process(access) as process:
        made = process.perform(calls.generate(TokenKeyName("chat", KeyKind.ECDSA_P256, 1)))
    ours.make(NAME)
    others.make(NAME)
    ours.destroy(NAME)
    ours.destroy(NAME)
    left = labels(access)
    assert len(left) == 2
    assert "chat.ecdsa-p256.v1" in left
    others.destroy(NAME)
    with token_process(access) as process:
        process.perform(calls.destroy(KeyAddress(label=made.label)))


def test_a_second_key_of_one_name_is_refused(access: TokenAccess, tmp_path: Path) -> None:
    token = home(access, tmp_path)
    token.make(NAME)
    with pytest.raises(HomeFailed, match="plexi"):
        token.make(NAME)
    token.destroy(NAME)


def test_a_token_that_lets_nobody_in_is_told_without_the_pin(hsm: SoftHsm, tmp_path: Path) -> None:
    wrong = TokenAccess(hsm.module, hsm.init_token("other").token, Secret("99999999"), tmp_path / "latches")
    token = home(wrong, tmp_path)
    with pytest.raises(HomeFailed, match="PIN") as caught:
        token.make(NAME)
    assert "99999999" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kept", [b"", b"{}", b'{"label": "a", "id": "zz", "public": ""}', b"[1]"])
def test_what_is_kept_of_a_key_and_was_damaged_is_told(access: TokenAccess, tmp_path: Path, kept: bytes) -> None:
    with pytest.raises(HomeFailed, match="damaged"):
        home(access, tmp_path).for_workers(NAME, kept)
    with pytest.raises(HomeFailed, match="damaged"):
        home(access, tmp_path).signer(NAME, kept)


def test_tokens_make_what_they_can_sign_with(access: TokenAccess, tmp_path: Path) -> None:
    token = home(access, tmp_path)
    made = [name for name, algorithm in ALGORITHMS.items() if token.makes(algorithm)]
    assert made == ["ec-p256", "ec-p384", "rsa-3072", "rsa-4096"]
    assert not token.is_software


def test_labels_have_room_for_identities_up_to_a_length() -> None:
    assert TokenHome.can_name("a" * LONGEST_IDENTITY)
    assert not TokenHome.can_name("a" * (LONGEST_IDENTITY + 1))


def test_the_digest_and_the_padding_are_those_of_certificates(access: TokenAccess, tmp_path: Path) -> None:
    token, name = home(access, tmp_path), KeyName("chat", ALGORITHMS["ec-p384"], 4)
    key = token.signer(name, token.make(name))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    digest = digest_for(key)
    assert digest is not None
    key.public_key().verify(key.sign(b"data", ec.ECDSA(digest)), b"data", ec.ECDSA(digest))
    token.destroy(name)
