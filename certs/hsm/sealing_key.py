"""The sealing key in a token: it seals through the token's process, and gets there from the ceremonies of `certs.recovery`."""

from typing import Final

from certs.hsm import calls
from certs.hsm.calls import Sealed
from certs.hsm.client import TokenProcess
from certs.hsm.errors import CallFailed, HsmError
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import KeyName
from certs.recovery.importing import ImportRefused
from certs.sealing.errors import KeyUnavailable, Tampered

IDENTITY: Final = "sealing"
"""Whose key it is, in its label: `sealing.aes-256.v1`."""

_PROBE: Final = b"plexigate"


def sealing_key_name(version: int = 1) -> KeyName:
    """What a sealing key is called in a token. Envelopes name its id, so a key that is brought back needs its old version."""
    return KeyName(IDENTITY, KeyKind.AES_256, version)


class TokenSealingKey:
    """An `AeadKey` in a token that a process has logged in to."""

    def __init__(self, process: TokenProcess, name: KeyName) -> None:
        self._process = process
        self._address = KeyAddress.of(name)
        self.key_id = name.id

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """The token's nonce, and ciphertext with tag; raises `KeyUnavailable`."""
        try:
            sealed = self._process.perform(calls.encrypt(self._address, plain, associated))
        except HsmError as error:
            raise KeyUnavailable(str(error)) from None
        return sealed.nonce, sealed.ciphertext

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plain text; raises `Tampered` or `KeyUnavailable`."""
        try:
            return self._opened(Sealed(nonce, ciphertext), associated)
        except CallFailed as error:
            # the return value does not tell a wrong tag from a failing token (SoftHSM: CKR_GENERAL_ERROR for both): the key tells
            if self._still_works():
                raise Tampered from None
            raise KeyUnavailable(str(error)) from None
        except HsmError as error:
            raise KeyUnavailable(str(error)) from None

    def _opened(self, sealed: Sealed, associated: bytes) -> bytes:
        return self._process.perform(calls.decrypt(self._address, sealed, associated))

    def _still_works(self) -> bool:
        try:
            sealed = self._process.perform(calls.encrypt(self._address, _PROBE))
            return self._opened(sealed, b"") == _PROBE
        except HsmError:
            return False


class TokenKeyImporter:
    """A token as the place for the sealing key (`KeyImporter`). What it makes or takes is read back and compared by its process."""

    is_outside_again = False

    def __init__(self, process: TokenProcess, token: str, version: int = 1) -> None:
        """`token` is what people call it."""
        self._process = process
        self._name = sealing_key_name(version)
        self.place = f"token {token}"

    def require_free(self) -> None:
        """Raises `ImportRefused` if the token has this version of the key, or cannot tell."""
        try:
            labels = [key.label for key in self._process.perform(calls.keys())]
        except HsmError as error:
            raise ImportRefused(str(error)) from None
        if self._name.label in labels:
            raise ImportRefused(f"{self.place} has a key {self._name.label} already")

    def import_key(self, secret: bytearray) -> TokenSealingKey:
        """Put the key in: sensitive, not extractable, for sealing only."""
        try:
            self._process.perform(calls.import_secret(self._name, bytes(secret)))
        except HsmError as error:
            raise ImportRefused(str(error)) from None
        return TokenSealingKey(self._process, self._name)

    def generate(self) -> TokenSealingKey:
        """Make one there."""
        try:
            self._process.perform(calls.generate(self._name))
        except HsmError as error:
            raise ImportRefused(str(error)) from None
        return TokenSealingKey(self._process, self._name)
