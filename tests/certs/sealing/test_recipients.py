"""Keys that open backups: in PEM, as other programs read it, and for nobody else."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.sealing.recipients import KeyUnreadable, NotOpened, PrivateRecipient, PublicRecipient, RecipientKem

SECRET = bytes(range(32))


@pytest.fixture(params=RecipientKem)
def key(request: pytest.FixtureRequest) -> PrivateRecipient:
    return PrivateRecipient.generate(request.param)


def test_what_is_sealed_to_the_public_key_opens_by_the_private_one_alone(key: PrivateRecipient) -> None:
    sealed = key.public.seal(SECRET)
    assert key.open(sealed) == SECRET
    assert SECRET not in sealed
    with pytest.raises(NotOpened):
        PrivateRecipient.generate(key.kem).open(sealed)
    with pytest.raises(NotOpened):
        key.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(NotOpened):
        key.open(b"")


def test_pem_gives_the_same_key_also_in_the_other_order(key: PrivateRecipient) -> None:
    sealed = key.public.seal(SECRET)
    blocks = key.pem().split(b"-----END PRIVATE KEY-----\n")
    turned = blocks[1] + b"-----END PRIVATE KEY-----\n" + blocks[0] + b"-----END PRIVATE KEY-----\n"
    for pem in (key.pem(), turned):
        assert PrivateRecipient.parse(pem).open(sealed) == SECRET
    public = PublicRecipient.parse(key.public.pem())
    assert (public.kem, public.id, len(public.id)) == (key.kem, key.public.id, 32)
    assert key.open(public.seal(SECRET)) == SECRET


def test_openssl_reads_the_first_half(key: PrivateRecipient, tmp_path: Path) -> None:
    (tmp_path / "safe.key").write_bytes(key.pem())
    shown = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "safe.key", "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "ML-KEM" in shown.stdout


def pem(*keys: object) -> bytes:
    made = [one.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for one in keys]  # type: ignore[attr-defined]
    return b"".join(made)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem(mlkem.MLKEM768PrivateKey.generate()),
        pem(mlkem.MLKEM768PrivateKey.generate(), mlkem.MLKEM768PrivateKey.generate()),
        pem(mlkem.MLKEM768PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())),
        pem(mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())),
        pem(*[mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()] * 2),
    ],
)
def test_other_keys_are_refused(content: bytes) -> None:
    with pytest.raises(KeyUnreadable, match="ML-KEM-768 with X25519") as caught:
        PublicRecipient.parse(content)
    assert "AAAA" not in str(caught.value)
    with pytest.raises(KeyUnreadable):
        PrivateRecipient.parse(content)


def test_no_repr_shows_a_private_key(key: PrivateRecipient) -> None:
    assert "halves" not in repr(key)
