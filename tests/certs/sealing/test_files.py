"""Sealed files, and errors that name them."""

from pathlib import Path

import pytest

from certs.sealing.envelope import Purpose
from certs.sealing.errors import KeyUnavailable, OtherLabel
from certs.sealing.files import SealedFileUnusable, read_sealed, write_sealed
from tests.certs.sealing.sealers import direct

LABEL = Purpose.PAYLOAD_KEYRING.label("chat")
SEALER = direct()


class Gone:
    key_id = bytes(16)

    def seal(self, plain: bytes, label: str) -> bytes:
        raise KeyUnavailable(f"the token is gone ({len(plain)} {len(label)})")

    def open(self, sealed: bytes, label: str) -> bytes:
        raise KeyUnavailable(f"the token is gone ({len(sealed)} {len(label)})")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "payload.keyring"


def test_written_and_read(path: Path) -> None:
    write_sealed(path, b"keys", LABEL, SEALER)
    assert read_sealed(path, LABEL, SEALER) == b"keys"
    assert b"keys" not in path.read_bytes().replace(b"keyring", b"")
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_yet(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_sealed(path, LABEL, SEALER)


def test_errors_name_the_file(path: Path) -> None:
    write_sealed(path, b"keys", LABEL, SEALER)
    with pytest.raises(SealedFileUnusable, match=r'payload\.keyring" is sealed as "payload keyring: chat"') as caught:
        read_sealed(path, Purpose.CREDENTIAL_KEY.label("chat"), SEALER)
    assert isinstance(caught.value.cause, OtherLabel)
    damaged = path.read_bytes()
    path.write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    with pytest.raises(SealedFileUnusable, match=r'payload\.keyring" was changed or damaged'):
        read_sealed(path, LABEL, SEALER)
    path.write_bytes(b"PLAIN")
    with pytest.raises(SealedFileUnusable, match=r'payload\.keyring" is not sealed'):
        read_sealed(path, LABEL, SEALER)
    with path.open("wb") as file:
        file.truncate(17 * 1_048_576)
    with pytest.raises(SealedFileUnusable, match=r'payload\.keyring" is not sealed: it has more than 16_777_216 bytes'):
        read_sealed(path, LABEL, SEALER)
    with pytest.raises(SealedFileUnusable, match=r"Is a directory"):
        read_sealed(path.parent, LABEL, SEALER)


def test_a_key_that_is_gone_leaves_the_old_file(path: Path) -> None:
    write_sealed(path, b"old", LABEL, SEALER)
    with pytest.raises(
        SealedFileUnusable, match=r'payload\.keyring" cannot be sealed or opened now: the token is gone'
    ):
        write_sealed(path, b"new", LABEL, Gone())
    assert read_sealed(path, LABEL, SEALER) == b"old"
    with pytest.raises(SealedFileUnusable):
        read_sealed(path, LABEL, Gone())
    with pytest.raises(SealedFileUnusable, match=r"No such file"):
        write_sealed(path.parent / "missing" / "file", b"new", LABEL, SEALER)
