"""What keys of a token do: sign, seal, open. Only in the process of `token_process`."""

from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, MechanismFlag
from pkcs11.mechanisms import KDF, MGF, GCMParams, Mechanism

from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import SignatureMechanism
from certs.hsm.process.key_store import TokenKeyStore

NONCE_BYTES: Final = 12
"""Of AES-GCM (NIST SP 800-38D 5.2.1.1)."""

COORDINATE_BYTES: Final = 32
"""Of a point of P-256."""

_MECHANISMS: Final = {
    SignatureMechanism.ECDSA: Mechanism.ECDSA,
    SignatureMechanism.RSA_PSS: Mechanism.RSA_PKCS_PSS,
    SignatureMechanism.MLDSA: Mechanism.ML_DSA,
}
_PKCS1_MECHANISMS: Final = {
    "sha256": Mechanism.SHA256_RSA_PKCS,
    "sha384": Mechanism.SHA384_RSA_PKCS,
    "sha512": Mechanism.SHA512_RSA_PKCS,
}
_PSS_HASHES: Final = {
    "sha256": (Mechanism.SHA256, MGF.SHA256, 32),
    "sha384": (Mechanism.SHA384, MGF.SHA384, 48),
    "sha512": (Mechanism.SHA512, MGF.SHA512, 64),
}


class KeyUse:
    """What the keys of one token do.

    Every method raises an error of python-pkcs11 where the token fails.
    """

    def __init__(self, session: pkcs11.Session, keys: TokenKeyStore) -> None:
        self._session = session
        self._keys = keys

    def sign(self, address: KeyAddress, mechanism: SignatureMechanism, data: bytes, hash_name: str | None) -> bytes:
        """A signature, as the token writes it: r and s of ECDSA side by side.

        `hash_name` is what RSA works with.
        """
        key, _ = self._keys.one(address)
        return self.sign_with(key, mechanism, data, hash_name)

    def sign_with(self, key: Any, mechanism: SignatureMechanism, data: bytes, hash_name: str | None) -> bytes:
        """The same, with a key that was found before."""
        signature: bytes
        if mechanism is SignatureMechanism.RSA_PKCS1:
            assert hash_name is not None  # as the mechanism hashes
            signature = key.sign(data, mechanism=_PKCS1_MECHANISMS[hash_name])
            return signature
        parameter = _PSS_HASHES[hash_name] if hash_name is not None else None
        signature = key.sign(data, mechanism=_MECHANISMS[mechanism], mechanism_param=parameter)
        return signature

    def encrypt(self, address: KeyAddress, plaintext: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """AES-256-GCM: a nonce from the token's generator, and the ciphertext with its tag of 16
        bytes.
        """
        key, _ = self._keys.one(address)
        nonce = self.random(NONCE_BYTES)
        return nonce, self.encrypt_with(key, nonce, plaintext, associated)

    def encrypt_with(self, key: Any, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """The same, with a key that was found before and a nonce that was never used with it."""
        sealed: bytes = key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, associated))
        return sealed

    def decrypt(self, address: KeyAddress, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plaintext. What was tampered with fails with a return value of the token's choice
        (SoftHSM: CKR_GENERAL_ERROR).
        """
        key, _ = self._keys.one(address)
        plaintext: bytes = key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, associated))
        return plaintext

    def agree(self, address: KeyAddress, point: bytes) -> bytes:
        """ECDH with CKD_NULL: the x coordinate (SEC 1 3.3.1), in a key of the session that is shown
        and gone.
        """
        key, _ = self._keys.one(address)
        shown = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
        agreed = key.derive_key(
            KeyType.GENERIC_SECRET,
            8 * COORDINATE_BYTES,
            store=False,
            capabilities=MechanismFlag(0),
            template=shown,
            mechanism=Mechanism.ECDH1_DERIVE,
            mechanism_param=(KDF.NULL, None, point),
        )
        try:
            return bytes(agreed[Attribute.VALUE])
        finally:
            agreed.destroy()

    def unwrap(self, address: KeyAddress, wrapped: bytes) -> bytes:
        """RSAES-OAEP with SHA-1, the hash that every token has for it."""
        key, _ = self._keys.one(address)
        parameter = (Mechanism.SHA_1, MGF.SHA1, None)
        plain: bytes = key.decrypt(wrapped, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameter)
        return plain

    def random(self, count: int) -> bytes:
        return bytes(self._session.generate_random(count * 8))


def _gcm(nonce: bytes, associated: bytes) -> GCMParams:
    return GCMParams(nonce, associated or None, 128)
