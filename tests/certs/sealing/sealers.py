"""Sealers of every scheme."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer, SealingKey, WrappingSealer
from certs.sealing.unwrapping import OAEP, EcUnwrapping, RsaUnwrapping

RSA = rsa.generate_private_key(65_537, 2_048)
EC = ec.generate_private_key(ec.SECP256R1())


def direct(secret: bytes = bytes(range(32))) -> AeadSealer:
    return AeadSealer(HeldKey(secret))


def by_rsa() -> WrappingSealer:
    return WrappingSealer(RsaUnwrapping(RSA.public_key(), lambda wrapped: RSA.decrypt(wrapped, OAEP)))


def by_ec() -> WrappingSealer:
    return WrappingSealer(EcUnwrapping(EC.public_key(), lambda peer: EC.exchange(ec.ECDH(), peer)))


SEALERS: dict[str, SealingKey] = {"direct": direct(), "rsa": by_rsa(), "ec": by_ec()}
