"""Challenges, by which a CA verifies that a name is ours (RFC 8555 section 8, RFC 8737), and the
`Solver` seam.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from acme import challenges as known
from acme.messages import ChallengeBody
from josepy.jwk import JWK


class ChallengeKind(StrEnum):
    """The ways that we can prove it."""

    TLS_ALPN_01 = "tls-alpn-01"
    """By a certificate in a handshake on port 443 (RFC 8737): every listener of ours answers it."""
    HTTP_01 = "http-01"
    """By a file on port 80 (RFC 8555 section 8.3)."""
    DNS_01 = "dns-01"
    """By a TXT record (RFC 8555 section 8.4): the only one for wildcards."""


@known.ChallengeResponse.register
class TlsAlpn01Response(known.KeyAuthorizationChallengeResponse):
    """Says that the challenge may be tried now: an empty object (RFC 8555 section 7.5.1)."""

    typ = "tls-alpn-01"


@known.Challenge.register
class TlsAlpn01(known.KeyAuthorizationChallenge):
    """What `acme` lacks: without it, this challenge is an `UnrecognizedChallenge` without a
    token.
    """

    response_cls = TlsAlpn01Response
    typ = response_cls.typ

    def validation(self, account_key: JWK, **_: object) -> bytes:
        """The digest for the certificate (RFC 8737 section 3)."""
        authorization: str = self.key_authorization(account_key)
        return hashlib.sha256(authorization.encode()).digest()


class NotOffered(Exception):
    """The CA does not let us prove `name` in the configured way; `offered` are those that it
    would.
    """

    def __init__(self, name: str, wanted: ChallengeKind, offered: tuple[str, ...]) -> None:
        super().__init__(name, wanted, offered)
        self.name = name
        self.wanted = wanted
        self.offered = offered

    def __str__(self) -> str:
        offered = ", ".join(self.offered) or "no challenge that Plexigate knows"
        return f"the CA does not offer {self.wanted} for {self.name}; it offers {offered}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What has to be seen at `name` (a DNS name without `*.`, or an IP address) for as long as the
    CA looks.
    """

    kind: ChallengeKind
    name: str
    token: str
    thumbprint: str = field(repr=False)
    """Of the account's key."""
    url: str
    """Where the CA is told that it may look."""

    @property
    def key_authorization(self) -> str:
        """The content of the file of http-01 (RFC 8555 section 8.1)."""
        return f"{self.token}.{self.thumbprint}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key authorization, for the certificate of tls-alpn-01 (RFC 8737 section
        3).
        """
        return hashlib.sha256(self.key_authorization.encode()).digest()

    @property
    def record(self) -> tuple[str, str]:
        """Name (fully qualified, with the last dot) and value of the TXT record of dns-01 (RFC 8555
        section 8.4).
        """
        return f"_acme-challenge.{self.name}.", base64.urlsafe_b64encode(self.digest).rstrip(b"=").decode()


def proof_of(name: str, offered: tuple[ChallengeBody, ...], wanted: ChallengeKind, thumbprint: str) -> Proof:
    """Pick the challenge of the wanted kind. Raises `NotOffered`."""
    for body in offered:
        if body.chall.typ == wanted and isinstance(body.chall, known.KeyAuthorizationChallenge):
            # its own spelling: base64url, which is as safe in a path as it is in JSON
            return Proof(wanted, name, body.chall.encode("token"), thumbprint, body.uri)
    kinds = {kind.value for kind in ChallengeKind}
    raise NotOffered(name, wanted, tuple(sorted(one.chall.typ for one in offered if one.chall.typ in kinds)))


class PresentingFailed(Exception):
    """A proof could not be shown to the world; `reason` is a clause without a secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Solver(Protocol):
    """Shows proofs to the world. Both methods block, in the thread of the order."""

    def present(self, proof: Proof) -> None:
        """Answers when the CA may look.

        Raises `PresentingFailed`; then nothing is left to withdraw.
        """

    def withdraw(self, proof: Proof) -> None:
        """Take back what `present` showed; to be called once for each success.

        Raises `PresentingFailed`.
        """
