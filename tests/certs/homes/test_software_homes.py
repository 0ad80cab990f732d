"""Keys in files, plain and sealed."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.homes.software_homes import FileHome, SealedHome
from certs.keys.generating import ALGORITHMS, private_pem
from certs.keys.home import HomeFailed, KeyHome, KeyName
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from certs.sealing.errors import KeyUnavailable
from tests.certs.authority import key_pem, private_key

NAME = KeyName("chat", ALGORITHMS["mldsa-65"], 1)


class Reversed:
    """A `Sealer` that anybody can open."""

    @property
    def key_id(self) -> bytes:
        return bytes(16)

    def seal(self, plain: bytes, label: str) -> bytes:
        return label.encode() + plain[::-1]

    def open(self, sealed: bytes, label: str) -> bytes:
        if not sealed.startswith(label.encode()):
            raise KeyUnavailable("what is sealed belongs elsewhere")
        return sealed[len(label) :][::-1]


class Broken:
    """A `Sealer` whose key is gone."""

    @property
    def key_id(self) -> bytes:
        return bytes(16)

    def seal(self, _plain: bytes, _label: str) -> bytes:
        raise KeyUnavailable("the token is gone")

    def open(self, _sealed: bytes, _label: str) -> bytes:
        raise KeyUnavailable("the token is gone")


@pytest.mark.parametrize("home", [FileHome(), SealedHome(Reversed())], ids=["file", "sealed"])
def test_a_key_that_was_made_can_be_used(home: KeyHome) -> None:
    kept = home.make(NAME)
    pem = home.for_workers(NAME, kept)
    load_pem_private_key(pem, None)
    assert private_pem(home.signer(NAME, kept)) == pem
    assert home.is_software
    home.destroy(NAME)


def test_homes_of_software_make_what_software_can() -> None:
    for home in (FileHome(), SealedHome(Reversed())):
        assert all(home.makes(algorithm) for algorithm in ALGORITHMS.values())
        assert not home.makes(KeyAlgorithm(KeyFamily.ED25519))


def test_what_is_kept_of_a_sealed_key_is_no_key() -> None:
    home = SealedHome(Reversed())
    assert b"PRIVATE KEY" not in home.make(NAME)


def test_a_sealed_key_is_for_its_name_alone() -> None:
    home = SealedHome(Reversed())
    other = KeyName("chat", ALGORITHMS["mldsa-65"], 2)
    with pytest.raises(
        HomeFailed, match=r'keys at "sealed": chat.mldsa-65.v2 cannot be .* what is sealed belongs elsewhere'
    ):
        home.for_workers(other, home.make(NAME))


def test_a_sealing_key_that_is_gone_is_told() -> None:
    home = SealedHome(Broken())
    with pytest.raises(HomeFailed, match="the token is gone"):
        home.make(NAME)
    with pytest.raises(HomeFailed, match="the token is gone"):
        home.signer(NAME, b"")


@pytest.mark.parametrize("kept", [b"", b"rubbish", key_pem(private_key("ed25519"))])
def test_a_file_that_is_no_key_of_ours_is_told_without_its_content(kept: bytes) -> None:
    with pytest.raises(HomeFailed, match="the file of a key") as caught:
        FileHome().signer(NAME, kept)
    assert "rubbish" not in str(caught.value)
    assert caught.value.__cause__ is None
