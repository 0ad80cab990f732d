"""Take the key of a root away: to a medium that lies in a safe, as it is needed once a year."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.keys.home import HomeFailed
from certs.storage.disk import Disk


def take_root_key(authority: InternalAuthority, file: Path, disk: Disk) -> None:
    """Write it to a file with mode 0600, read that back, and only then destroy it here.

    Raises `HomeFailed` where it is in a token, which it never leaves, or is gone already;
    `OSError`; `FileExistsError`.
    """
    key = authority.exportable_root_key()
    if key is None:
        raise HomeFailed("root", "its key is in a token, which it never leaves, or was already moved away")
    if file.exists():
        raise FileExistsError(f"{file} exists already")
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    disk.write(file, content)
    if file.read_bytes() != content:
        raise OSError(f"{file} does not contain the key that was written to it")
    authority.forget_root_key()
