"""The tokens that open the admin page, and the sessions of browsers that showed one. Pure.

Theory of operation. A browser shows a token once, and gets a cookie: the time at which the session
ends, a random number, and a MAC of both under a key that follows from the token. So no process
keeps sessions, every worker knows those of the others, and a token that is taken out of the file
ends its sessions with the reload.

A token is random, so a digest of it can be compared and needs no slow hash.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from proxy.http.head import Header

COOKIE: Final = b"__Host-plexigate-page"
"""RFC 6265bis section 4.1.3.2: only this host can set it, only over TLS. No subdomain gets it."""
SESSION_SECONDS: Final = 12 * 3_600
"""A working day."""
NONCE_BYTES: Final = 16

# RFC 6750 section 2.1. 32 hexadecimal digits have 128 random bits.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{32,256}")
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/=-]{1,256})", re.IGNORECASE)
_SESSION: Final = re.compile(rb"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
# Of 32 random hexadecimal digits 14 differ on average. Fewer than 10 are a word or a pattern.
_LEAST_DIFFERENT: Final = 10
_MOST_TOKENS: Final = 16
_SESSION_KEY: Final = b"plexigate admin page session"

ALLOWED: Final = (
    f"up to {_MOST_TOKENS} lines with a random token each, of 32 to 256 letters, digits and . _ ~ + / = -:"
    " openssl rand -hex 32"
)


class TokensRefused(Exception):
    """A file of tokens that cannot be used. The sentences contain no token."""

    allowed: Final = ALLOWED

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class PageTokens:
    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._digests: Final = [sha256(token).digest() for token in tokens]
        self._keys: Final = [_session_key(token) for token in tokens]

    def __repr__(self) -> str:
        return f"<PageTokens: {len(self._keys)}>"

    def knows(self, token: bytes) -> bool:
        """Whether this is one of them. The time that it takes does not tell how much is right."""
        digest = sha256(token).digest()
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(found)

    def is_open(self, session: bytes, now: float) -> bool:
        """Whether a cookie is of one of them and has not ended. `now` is in UNIX seconds."""
        parts = _SESSION.fullmatch(session)
        if parts is None:
            return False
        found = [hmac.compare_digest(_mac(key, parts[1], parts[2]), parts[3]) for key in self._keys]
        return any(found) and now < int(parts[1])


def session_of(token: bytes, nonce: bytes, now: float) -> bytes:
    """The cookie for a token that is right. `nonce` has `NONCE_BYTES` random octets."""
    ends = b"%d" % int(now + SESSION_SECONDS)
    number = nonce.hex().encode()
    return b"%b.%b.%b" % (ends, number, _mac(_session_key(token), ends, number))


def _session_key(token: bytes) -> bytes:
    return hmac.digest(token, _SESSION_KEY, "sha256")


def _mac(key: bytes, ends: bytes, number: bytes) -> bytes:
    return hmac.digest(key, b"%b.%b" % (ends, number), "sha256").hex().encode()


def bearer_token(headers: Iterable[Header]) -> bytes | None:
    """The token of a program (RFC 6750 section 2.1). None without one that has a single meaning."""
    values = [value for name, value in headers if name.lower() == b"authorization"]
    found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    return None if found is None else found[1]


def parse_tokens(content: bytes) -> PageTokens:
    """Read a file. Lines that are empty or begin with # do not count. Raises `TokensRefused`."""
    tokens: list[bytes] = []
    for number, written in enumerate(content.splitlines(), 1):
        line = written.strip()
        if not line or line.startswith(b"#"):
            continue
        if not _TOKEN.fullmatch(line):
            raise TokensRefused(f"line {number}, which is not a token of 32 to 256 letters and digits (not shown)")
        if len(set(line)) < _LEAST_DIFFERENT:
            raise TokensRefused(f"line {number} with a token that is not random (not shown)")
        tokens.append(line)
    if not tokens:
        raise TokensRefused("no token")
    if len(tokens) > _MOST_TOKENS:
        raise TokensRefused(f"{len(tokens)} tokens")
    return PageTokens(tokens)
