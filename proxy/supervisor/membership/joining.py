"""How a node joins a fleet: the texts that it and a member exchange through the store.

A member makes an invitation: a random secret, which an operator carries to the new node. The new
node posts its public key with a proof that it knows the secret. A member encrypts the key of the
fleet to that public key (HPKE, RFC 9180), once an operator has approved, with a proof of the same
kind. An attacker who writes into the store can neither join without an invitation, nor
hand a new node the key of another fleet.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from certs.sealing.recipients import KeyUnreadable, NotOpened, PrivateRecipient, PublicRecipient
from proxy.supervisor.membership.values import KEY_BYTES, NOT_READABLE, FleetKey

_INFO: Final = b"plexigate fleet key 1"
_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 32


class NotJoined(Exception):
    """A token, a request or a welcome that is not what it should be; a sentence without secrets."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """`id` names it in the store."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @property
    def token(self) -> str:
        return f"{self.id}.{base64.urlsafe_b64encode(self.secret).decode().rstrip('=')}"

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read the token that an operator gives. Raises `NotJoined`."""
        name, _, text = token.strip().partition(".")
        try:
            found = cls(bytes.fromhex(name).hex(), base64.b64decode(text + "=", altchars=b"-_", validate=True))
        except ValueError:
            found = cls("", b"")
        if (len(found.id), len(found.secret)) != (2 * _ID_BYTES, _SECRET_BYTES):
            raise NotJoined("this is no token of plexigate fleet invite")
        return found

    def proof(self, what: str, *parts: str) -> str:
        """That who says `parts` knows the secret: HMAC-SHA-256 (RFC 2104)."""
        said = json.dumps(["plexigate fleet", what, *parts]).encode()
        return hmac.digest(self.secret, said, hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a node posts: under its own name."""

    invitation: str
    public: str
    """Its public key, in PEM."""
    proof: str

    @classmethod
    def made(cls, invitation: Invitation, node: str, public: PublicRecipient) -> Self:
        pem = public.pem().decode()
        return cls(invitation.id, pem, invitation.proof("join", node, pem))

    def encode(self) -> bytes:
        return json.dumps({"invitation": self.invitation, "public": self.public, "proof": self.proof}).encode()

    @classmethod
    def parse(cls, value: bytes) -> Self:
        """Read what `encode` wrote. Raises `NotJoined`."""
        try:
            found = json.loads(value)
            return cls(_ascii(found["invitation"]), _ascii(found["public"]), _ascii(found["proof"]))
        except NOT_READABLE:
            raise NotJoined("a request that is none of this version") from None

    @property
    def recipient(self) -> PublicRecipient:
        """The public key of the node that asks. Raises `NotJoined`."""
        try:
            return PublicRecipient.parse(self.public.encode())
        except KeyUnreadable as error:
            raise NotJoined(f"a request with no public key: {error.found}") from None

    def welcome(self, invitation: Invitation, node: str, key: FleetKey) -> bytes:
        """What lets the node in. Raises `NotJoined` if it does not know the invitation."""
        if not hmac.compare_digest(self.proof, invitation.proof("join", node, self.public)):
            raise NotJoined(f"the request of {node} was not made with this invitation, or was changed")
        wrapped = self.recipient.seal(key.secret, _INFO).hex()
        proof = invitation.proof("welcome", node, self.public, str(key.epoch), wrapped)
        return json.dumps({"epoch": key.epoch, "wrapped": wrapped, "proof": proof}).encode()


def welcomed(value: bytes, invitation: Invitation, node: str, private: PrivateRecipient) -> FleetKey:
    """The key of the fleet. Raises `NotJoined`."""
    try:
        found = json.loads(value)
        epoch = int(found["epoch"])
        wrapped = str(found["wrapped"])
        sealed = bytes.fromhex(wrapped)
        proof = _ascii(found["proof"])
    except NOT_READABLE:
        raise NotJoined("a welcome that is none of this version") from None
    public = private.public.pem().decode()
    if not hmac.compare_digest(proof, invitation.proof("welcome", node, public, str(epoch), wrapped)):
        raise NotJoined("a welcome of someone who does not know the invitation")
    try:
        secret = private.open(sealed, _INFO)
    except NotOpened:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise NotJoined("a welcome that is not for the key of this node")
    return FleetKey(epoch, secret)


def _ascii(value: object) -> str:
    """Raises `ValueError`, where a comparison or an encoding would raise something else."""
    text = str(value)
    if not text.isascii():
        raise ValueError
    return text
