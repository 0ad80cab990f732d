"""Challenges, by which a CA verifies that a name is ours (RFC 8555 section 8, RFC 8737)."""

import hashlib

from acme import challenges as known
from acme.messages import ChallengeBody
from josepy.jwk import JWK

from certs.acme.challenges.proofs import Proof
from config.tables.issuers import AcmeChallenge


@known.ChallengeResponse.register
class TlsAlpn01Response(known.KeyAuthorizationChallengeResponse):
    """Says that the challenge may be tried now: an empty object (RFC 8555 section 7.5.1)."""

    typ = "tls-alpn-01"


@known.Challenge.register
class TlsAlpn01(known.KeyAuthorizationChallenge):
    """What `acme` lacks: it has an `UnrecognizedChallenge` without a token instead."""

    response_cls = TlsAlpn01Response
    typ = response_cls.typ

    def validation(self, account_key: JWK, **_: object) -> bytes:
        """The digest for the certificate (RFC 8737 section 3)."""
        authorization: str = self.key_authorization(account_key)
        return hashlib.sha256(authorization.encode()).digest()


class NotOffered(Exception):
    """The CA does not let us prove `name` as configured; `offered` are the ways that it would."""

    def __init__(self, name: str, wanted: AcmeChallenge, offered: tuple[str, ...]) -> None:
        super().__init__(name, wanted, offered)
        self.name = name
        self.wanted = wanted
        self.offered = offered

    def __str__(self) -> str:
        offered = ", ".join(self.offered) or "no challenge that Plexigate knows"
        return f"the CA does not offer {self.wanted} for {self.name}; it offers {offered}"


def proof_of(name: str, offered: tuple[ChallengeBody, ...], wanted: AcmeChallenge, thumbprint: str) -> Proof:
    """Pick the challenge of the wanted kind. Raises `NotOffered`."""
    for body in offered:
        if body.chall.typ == wanted and isinstance(body.chall, known.KeyAuthorizationChallenge):
            # its own spelling: base64url, which is as safe in a path as it is in JSON
            return Proof(wanted, name, body.chall.encode("token"), thumbprint, body.uri)
    kinds = {kind.value for kind in AcmeChallenge}
    raise NotOffered(name, wanted, tuple(sorted(one.chall.typ for one in offered if one.chall.typ in kinds)))
