"""Read PEM files (RFC 7468) of certificates and keys."""

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from certs.files.errors import CredentialError, Part
from config.loading.reading import read_regular

# Far above any real chain or key; keeps a device that was named by mistake out of memory.
_LARGEST_FILE = 1_048_576  # bytes
_BEGIN = re.compile(rb"^-----BEGIN ([^-\r\n]{1,64})-----", re.MULTILINE)
_DER_SEQUENCE = 0x30
_DER = "DER, not PEM"


@dataclass(frozen=True, slots=True)
class PemFile:
    """The content of a PEM file, never shown; `labels` are those of its blocks in order, `mode` its
    permission bits.
    """

    path: Path
    content: bytes = field(repr=False)
    labels: tuple[str, ...]
    mode: int

    @property
    def is_exposed(self) -> bool:
        """Whether others than its owner may read the file."""
        return bool(self.mode & (stat.S_IRGRP | stat.S_IROTH))


class FileUnreadable(CredentialError):
    """The file cannot be opened or read; `reason` is the system's."""

    def __init__(self, path: Path, part: Part, reason: str) -> None:
        allowed = "a PEM file that this process may read (relative paths start at the configuration file)"
        super().__init__(path, f"which cannot be read ({reason})", allowed)
        self.part = part


class NotPem(CredentialError):
    """The file has no block of the kind that is needed; `content` describes what it has instead."""

    def __init__(self, path: Path, part: Part, content: str) -> None:
        tool = "x509" if part is Part.CERTIFICATE else "pkey"
        kind = "certificates, leaf first" if part is Part.CERTIFICATE else "a private key"
        remedy = f" (openssl {tool} -inform DER -in FILE -out FILE.pem)" if content == _DER else ""
        super().__init__(path, f"which holds {content}", f"a PEM file with {kind}{remedy}")
        self.part = part


def read_pem(path: Path, part: Part, most: int = _LARGEST_FILE) -> PemFile:
    """Read a PEM file of at most `most` bytes; raises `FileUnreadable` or, where nothing in it is
    PEM, `NotPem`.
    """
    try:
        read = read_regular(path, most + 1)
    except OSError as error:
        raise FileUnreadable(path, part, error.strerror or type(error).__name__) from None
    content = read.content
    if len(content) > most:
        raise NotPem(path, part, f"more than {most:_} bytes")
    labels = tuple(label.decode("ascii", "replace") for label in _BEGIN.findall(content))
    if not labels:
        raise NotPem(path, part, _described(content))
    return PemFile(path, content, labels, read.mode)


def _described(content: bytes) -> str:
    if not content.strip():
        return "nothing"
    return _DER if content[0] == _DER_SEQUENCE else "no PEM"
