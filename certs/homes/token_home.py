"""A home in a token: keys are made, sign and are destroyed there. They never leave it.

The state directory keeps the address and the public half of a key, so that the token is called only
for signatures. Each call has its own process that logs in and out (`hsm.clients.client`): rotations
are days apart, and an open session would be missing for handshakes.

A key is named after its identity, its owner and its version, such as `chat.3f9a2c71.ecdsa-p256.v3`.
The owner is a state directory: several proxies, and keys that an operator makes for the same
identity, can share a token, and each owner destroys only its own keys.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import HsmError, KeyMissing
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import IdentityUnusable, TokenKeyName
from certs.keys.home import HomeFailed, KeyName
from certs.keys.signing_key import KeyAlgorithm, KeyFamily, spki_of, supported_public_key
from certs.keys.token_private_key import token_private_key
from certs.keys.token_public_key import public_key_of
from certs.storage.owner import OWNER_DIGITS, Owner, OwnerDamaged
from config.values.pkcs11_uri import Pkcs11Uri

LONGEST_IDENTITY: Final = 40 - 1 - OWNER_DIGITS
"""Characters of an identity whose keys can be here (`certs.hsm.key_names`)."""

_KINDS: Final = {kind.value: kind for kind in KeyKind}
# Signatures through the process of a token in cryptography's shape (`token_private_key`) are of
# these.
_FAMILIES: Final = frozenset({KeyFamily.ECDSA, KeyFamily.RSA})


class TokenHome:
    """The token NAME of `[hsm.token.NAME]`."""

    is_software: Final = False

    def __init__(self, name: str, token: Pkcs11Uri, access: Callable[[], TokenAccess], owner: Owner) -> None:
        """`token` is a URI that finds no other one, `access` how to log in (raises an HsmError)."""
        self.name: Final = name
        self._token = token
        self._access = access
        self._owner = owner

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        """ECDSA and RSA as tokens have them; whether this one does is found when it is asked."""
        return algorithm.family in _FAMILIES and str(algorithm) in _KINDS

    @staticmethod
    def can_name(identity: str) -> bool:
        """Whether a label in a token has room for an identity, and the characters."""
        try:
            TokenKeyName(f"{identity}.{'0' * OWNER_DIGITS}", KeyKind.ECDSA_P256, 1)
        except IdentityUnusable:
            return False
        return True

    def make(self, name: KeyName) -> bytes:
        with self._failures(), TokenProcess.logged_in(self._access()) as process:
            key = self._named(name)
            process.perform(calls.generate(key))
            public = public_key_of(process.perform(calls.public_parts(KeyAddress.of(key))))
        return json.dumps({"label": key.label, "id": key.id.hex(), "public": spki_of(public).hex()}).encode()

    def signer(self, name: KeyName, kept: bytes) -> CertificateIssuerPrivateKeyTypes:
        """A key that signs in the token; it asks for the token each time that it does.

        What it raises then is a `HomeFailed`.
        """
        del name
        facts = self._facts(kept)
        public = supported_public_key(load_der_public_key(bytes.fromhex(facts["public"])))
        if public is None:
            raise self._damaged()
        return token_private_key(public, _address(facts), self._perform)

    def for_workers(self, name: KeyName, kept: bytes) -> bytes:
        del name
        address = _address(self._facts(kept))
        token = self._token
        uri = Pkcs11Uri(
            token=token.token, serial=token.serial, slot_id=token.slot_id, object=address.label, id=address.id
        )
        return str(uri).encode()

    def has(self, name: KeyName, kept: bytes) -> bool:
        del name
        address = _address(self._facts(kept))
        found = self._perform(calls.keys())
        return any((one.label, one.id) == (address.label, address.id) for one in found)

    def destroy(self, name: KeyName) -> None:
        """Destroy a key of our own, if it is there."""
        with self._failures(), TokenProcess.logged_in(self._access()) as process:
            try:
                process.perform(calls.destroy(KeyAddress.of(self._named(name))))
            except KeyMissing:
                return

    # -- how

    def _perform(self, call: Call[Answer]) -> Answer:
        with self._failures(), TokenProcess.logged_in(self._access()) as process:
            return process.perform(call)

    def _named(self, name: KeyName) -> TokenKeyName:
        return TokenKeyName(f"{name.identity}.{self._owner.id()}", _KINDS[str(name.algorithm)], name.version)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (HsmError, IdentityUnusable, OSError, OwnerDamaged) as error:
            raise HomeFailed(self.name, str(error)) from None

    def _facts(self, kept: bytes) -> dict[str, str]:
        try:
            document: Any = json.loads(kept)
            facts = {name: str(document[name]) for name in ("label", "id", "public")}
            bytes.fromhex(facts["id"] + facts["public"])
        except (KeyError, TypeError, ValueError):
            raise self._damaged() from None
        return facts

    def _damaged(self) -> HomeFailed:
        return HomeFailed(self.name, "the file that says where a key is, is damaged")


def _address(facts: dict[str, str]) -> KeyAddress:
    return KeyAddress(facts["label"], bytes.fromhex(facts["id"]))
