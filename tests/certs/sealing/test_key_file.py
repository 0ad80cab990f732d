"""A sealing key in a file."""

import traceback
from base64 import b64encode
from pathlib import Path

import pytest

from certs.sealing.errors import Tampered
from certs.sealing.held_key import key_id_of
from certs.sealing.key_file import KeyFile, KeyFileUnusable

SECRET = bytes(range(32))


def test_made_and_read(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    made = KeyFile.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile.load(path) == made
    assert made.secret != KeyFile.create(tmp_path / "other.key").secret
    assert KeyFile.create(tmp_path / "given.key", bytearray(SECRET)).secret == SECRET


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    made = KeyFile.create(path)
    with pytest.raises(KeyFileUnusable, match="File exists"):
        KeyFile.create(path, SECRET)
    assert KeyFile.load(path) == made
    with pytest.raises(ValueError, match="32 bytes"):
        KeyFile.create(tmp_path / "short.key", bytes(31))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_others_may_do_nothing_with_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sealing.key"
    KeyFile.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileUnusable, match=f"which has mode {mode:04o}; allowed: mode 0600"):
        KeyFile.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SECRET,
        b64encode(SECRET),
        b"plexigate sealing key 1\n",
        b"plexigate sealing key 1\n" + b64encode(SECRET[:-1]),
        b"plexigate sealing key 1\n" + b64encode(SECRET)[:-1],
        b"plexigate sealing key 2\n" + b64encode(SECRET),
    ],
)
def test_what_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileUnusable, match="which is not a sealing key") as caught:
        KeyFile.load(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert b64encode(SECRET).decode()[:20] not in shown


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnusable, match="No such file"):
        KeyFile.load(tmp_path / "sealing.key")


def test_id_and_representation_tell_nothing_of_the_key() -> None:
    key = KeyFile(Path("sealing.key"), SECRET)
    assert key.key_id == key_id_of(SECRET) != key_id_of(bytes(32))
    assert len(key.key_id) == 16
    assert repr(key) == f"KeyFile(path={Path('sealing.key')!r})"
    assert "not a key in a token" in key.warning


def test_encryption_is_authenticated() -> None:
    key = KeyFile(Path("sealing.key"), SECRET)
    nonce, sealed = key.encrypt(b"plain", b"associated")
    assert key.decrypt(nonce, sealed, b"associated") == b"plain"
    for other_nonce, ciphertext, associated in (
        (bytes(12), sealed, b"associated"),
        (nonce, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"associated"),
        (nonce, sealed, b"other"),
    ):
        with pytest.raises(Tampered):
            key.decrypt(other_nonce, ciphertext, associated)
