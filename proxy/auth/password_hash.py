"""Hashes of passwords in the PHC string format: Argon2id (RFC 9106) and scrypt (RFC 7914).

Both need much memory for each guess, so a thief of the file guesses slowly. Faster hashes (MD5,
SHA-1, bcrypt, crypt) are not read.
"""

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_ARGON2ID: Final = re.compile(r"\$argon2id\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,4}),p=([0-9]{1,3})\$([^$]+)\$([^$]+)")
_SCRYPT: Final = re.compile(r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,4}),p=([0-9]{1,3})\$([^$]+)\$([^$]+)")

_LEAST_MEMORY: Final = 8 * 1024 * 1024
"""Bytes. Below it a graphics card guesses cheaply."""
_MOST_MEMORY: Final = 256 * 1024 * 1024
"""Bytes: each process may need it once."""
_MOST_WORK: Final = 1024 * 1024 * 1024
"""Bytes of memory that are written for one guess: half a second to a second of one core."""
_LEAST_BYTES: Final = 16
"""Of salt (RFC 9106 section 3.1) and of hash."""
_MOST_BYTES: Final = 64

# The second choice of RFC 9106 section 4 takes 64 MiB. This is what OWASP advises for servers that
# many users log in to: 30 ms of a core, and 19 MiB.
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32

READABLE: Final = "a hash that begins with $argon2id$v=19$ or $scrypt$, as `plexigate password` writes it"


class HashRefused(Exception):
    """A text that is no such hash, or too weak or costly; `found` says so, without the hash."""

    def __init__(self, found: str, allowed: str = READABLE) -> None:
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.found}; allowed: {self.allowed}"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    is_argon2: bool
    cost: tuple[int, int, int]
    """Argon2id: KiB, passes, lanes. scrypt: the exponent of N, r, p."""
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def work(self) -> int:
        """Bytes of memory that one guess writes: its cost in time, compared with others."""
        one, two, three = self.cost
        return one * 1024 * two if self.is_argon2 else 128 * two * 2**one * three

    def matches(self, password: bytes) -> bool:
        """Whether it is of this password, in constant time: tens of milliseconds of a core."""
        return hmac.compare_digest(self._derive(password), self.digest)

    def _derive(self, password: bytes) -> bytes:
        one, two, three = self.cost
        length = len(self.digest)
        if self.is_argon2:
            kdf = Argon2id(salt=self.salt, length=length, iterations=two, lanes=three, memory_cost=one)
            return kdf.derive(password)
        return Scrypt(salt=self.salt, length=length, n=2**one, r=two, p=three).derive(password)


def new_hash(password: bytes, salt: bytes) -> str:
    """Hash a password by Argon2id, as a PHC string. `salt` has 16 random octets."""
    kdf = Argon2id(salt=salt, length=_HASH_BYTES, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    costs = f"m={_MEMORY_KIB},t={_PASSES},p={_LANES}"
    return f"$argon2id$v=19${costs}${_encoded(salt)}${_encoded(kdf.derive(password))}"


def parse_hash(text: str) -> PasswordHash:
    """Read a PHC string. Raises `HashRefused`."""
    is_argon2 = text.startswith("$argon2id$")
    found = (_ARGON2ID if is_argon2 else _SCRYPT).fullmatch(text)
    if found is None:
        raise HashRefused("a hash of another kind or form")
    one, two, three = (int(number) for number in found.groups()[:3])
    read = PasswordHash(is_argon2, (one, two, three), _decoded(found[4]), _decoded(found[5]))
    if is_argon2:
        _check_argon2(one, two, three)
    else:
        _check_scrypt(one, two, three)
    if read.work > _MOST_WORK:
        raise HashRefused("a hash that takes too long to compute", f"a cost of at most {_MOST_WORK:_} bytes in all")
    return read


def _check_argon2(kib: int, passes: int, lanes: int) -> None:
    _check_memory(kib * 1024)
    # RFC 9106 section 3.1: at least 8 blocks of a KiB for each lane
    if not passes or not 1 <= lanes <= kib // 8 or lanes > 16:
        raise HashRefused(f"t={passes} and p={lanes}", "t of 1 or more, and p from 1 to 16")


def _check_scrypt(exponent: int, blocks: int, parallel: int) -> None:
    # RFC 7914 section 2
    if not 1 <= blocks <= 64 or not 1 <= parallel <= 16 or exponent > 24:
        raise HashRefused(
            f"ln={exponent}, r={blocks} and p={parallel}", "ln up to 24, r from 1 to 64, and p from 1 to 16"
        )
    _check_memory(128 * blocks * 2**exponent)


def _check_memory(used: int) -> None:
    if not _LEAST_MEMORY <= used <= _MOST_MEMORY:
        allowed = f"from {_LEAST_MEMORY // 2**20} to {_MOST_MEMORY // 2**20} MiB"
        raise HashRefused(f"a hash that needs {used / 2**20:.1f} MiB of memory", allowed)


def _decoded(text: str) -> bytes:
    """Decode the Base64 of PHC strings, which has no padding."""
    try:
        octets = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Error, ValueError):
        raise HashRefused("a salt or a hash that is not Base64") from None
    if not _LEAST_BYTES <= len(octets) <= _MOST_BYTES:
        raise HashRefused(
            f"a salt or a hash of {len(octets)} octets", f"from {_LEAST_BYTES} to {_MOST_BYTES} octets of each"
        )
    return octets


def _encoded(octets: bytes) -> str:
    return b64encode(octets).decode("ascii").rstrip("=")
