"""Chains in files."""

from pathlib import Path

import pytest

from certs.files.errors import Part
from certs.files.pem import FileUnreadable, NotPem
from certs.identities.chain_file import read_chain
from tests.certs.authority import issue, key_pem, private_key

MIDDLE = issue("Middle", private_key("ecdsa-p256", 1))
LEAF = issue("chat", private_key("ecdsa-p256"), issuer=MIDDLE)


def test_the_certificates_of_a_file_are_read_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "chat.pem"
    path.write_bytes(LEAF.pem + key_pem(LEAF.key) + b"text\n" + MIDDLE.pem)
    assert read_chain(path) == (LEAF.certificate, MIDDLE.certificate)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (key_pem(LEAF.key), "which holds no certificate but PRIVATE KEY"),
        (LEAF.pem.replace(b"M", b"N", 1), "which holds a damaged certificate"),
        (LEAF.pem[:200], "which holds a damaged certificate"),
        (
            LEAF.pem.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
            "which holds no certificate but TRUSTED CERTIFICATE",
        ),
        (b"", "which holds nothing"),
    ],
)
def test_what_is_no_chain_is_described(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "chat.pem"
    path.write_bytes(content)
    with pytest.raises(NotPem) as caught:
        read_chain(path)
    assert caught.value.found == found
    assert caught.value.part is Part.CERTIFICATE


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        read_chain(tmp_path / "none.pem")
