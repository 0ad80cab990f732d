"""AES keys that only a key pair brings back."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.sealing.errors import Tampered
from certs.sealing.unwrapping import OAEP, EcUnwrapping, RsaUnwrapping
from tests.certs.sealing.sealers import EC, RSA

BY_RSA = RsaUnwrapping(RSA.public_key(), lambda wrapped: RSA.decrypt(wrapped, OAEP))
BY_EC = EcUnwrapping(EC.public_key(), lambda peer: EC.exchange(ec.ECDH(), peer))


@pytest.mark.parametrize("unwrapping", [BY_RSA, BY_EC])
def test_a_new_key_each_time_which_comes_back(unwrapping: RsaUnwrapping | EcUnwrapping) -> None:
    (first, hidden), (second, _) = unwrapping.wrap(), unwrapping.wrap()
    assert len(first) == 32
    assert first != second
    assert first not in hidden
    assert unwrapping.unwrap(hidden) == first


@pytest.mark.parametrize("unwrapping", [BY_RSA, BY_EC])
@pytest.mark.parametrize("wrapped", [b"", bytes(65), b"\x04" + bytes(64), bytes(256), b"\x04" + b"\x01" * 64])
def test_what_hides_no_key(unwrapping: RsaUnwrapping | EcUnwrapping, wrapped: bytes) -> None:
    with pytest.raises(Tampered):
        unwrapping.unwrap(wrapped)


def test_rsa_hides_exactly_an_aes_key() -> None:
    with pytest.raises(Tampered):
        BY_RSA.unwrap(RSA.public_key().encrypt(bytes(31), OAEP))


def test_the_key_belongs_to_both_points() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    _, hidden = BY_EC.wrap()
    same_secret = EcUnwrapping(other.public_key(), lambda peer: EC.exchange(ec.ECDH(), peer))
    assert same_secret.unwrap(hidden) != BY_EC.unwrap(hidden)
