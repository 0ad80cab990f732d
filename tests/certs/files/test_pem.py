"""Reading PEM files."""

from pathlib import Path

import pytest

from certs.files.errors import Part
from certs.files.pem import FileUnreadable, NotPem, read_pem

BLOCK = b"-----BEGIN %b-----\nAAAA\n-----END %b-----\n"


def pem(label: bytes) -> bytes:
    return BLOCK % (label, label)


def test_labels_and_mode_are_told_and_content_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(b"some text\n" + pem(b"CERTIFICATE") + pem(b"PKCS#11 PROVIDER URI") + pem(b"EC PRIVATE KEY"))
    path.chmod(0o640)
    file = read_pem(path, Part.KEY)
    assert file.labels == ("CERTIFICATE", "PKCS#11 PROVIDER URI", "EC PRIVATE KEY")
    assert file.mode == 0o640
    assert "AAAA" not in repr(file)


@pytest.mark.parametrize(
    ("mode", "is_exposed"), [(0o600, False), (0o400, False), (0o620, False), (0o640, True), (0o604, True)]
)
def test_a_file_that_others_may_read_is_exposed(tmp_path: Path, mode: int, is_exposed: bool) -> None:  # noqa: FBT001
    path = tmp_path / "a.key"
    path.write_bytes(pem(b"PRIVATE KEY"))
    path.chmod(mode)
    assert read_pem(path, Part.KEY).is_exposed is is_exposed


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable) as caught:
        read_pem(tmp_path / "none.pem", Part.CERTIFICATE)
    assert caught.value.part is Part.CERTIFICATE
    assert "which cannot be read (No such file or directory); allowed: a PEM file that" in str(caught.value)


def test_a_directory_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="Is a directory"):
        read_pem(tmp_path, Part.KEY)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "which holds nothing"),
        (b" \n", "which holds nothing"),
        (b"\x30\x82\x01\x02", "which holds DER, not PEM"),
        (b"junk", "which holds no PEM"),
        (b"  -----BEGIN PRIVATE KEY-----", "which holds no PEM"),
    ],
)
def test_a_file_without_pem_is_described(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(content)
    with pytest.raises(NotPem) as caught:
        read_pem(path, Part.KEY)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        (
            Part.CERTIFICATE,
            "a PEM file with certificates, leaf first (openssl x509 -inform DER -in FILE -out FILE.pem)",
        ),
        (Part.KEY, "a PEM file with a private key (openssl pkey -inform DER -in FILE -out FILE.pem)"),
    ],
)
def test_der_can_be_converted(tmp_path: Path, part: Part, allowed: str) -> None:
    path = tmp_path / "a.der"
    path.write_bytes(b"\x30\x82\x01\x02")
    with pytest.raises(NotPem) as caught:
        read_pem(path, part)
    assert caught.value.allowed == allowed


def test_a_device_and_a_file_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="a device"):
        read_pem(Path("/dev/zero"), Part.KEY)
    (large := tmp_path / "large").write_bytes(bytes(1_048_577))
    with pytest.raises(NotPem, match="more than 1_048_576 bytes"):
        read_pem(large, Part.KEY)
