"""The keys of an installation for its backups are made once, rest sealed, and sign its manifests."""

from pathlib import Path

import pytest

from certs.backup.container import BackupDamaged
from certs.backup.keys import FILE_NAME, BackupKeys, require_signature, signer_id
from certs.sealing.errors import Tampered
from certs.sealing.files import SealedFileUnusable
from certs.sealing.held_key import HeldKey
from certs.sealing.recipients import RecipientKem
from certs.sealing.sealer import AeadSealer

SEALER = AeadSealer(HeldKey(bytes(32)))


def test_they_are_made_once_and_rest_sealed(in_memory: Path) -> None:
    place = in_memory / "state"
    made = BackupKeys.kept(place, SEALER)
    kept = BackupKeys.kept(place, SEALER)
    assert kept.signer == made.signer
    assert {kem: key.public.id for kem, key in kept.recovery.items()} == {
        kem: key.public.id for kem, key in made.recovery.items()
    }
    assert set(kept.recovery) == set(RecipientKem)
    content = (place / FILE_NAME).read_bytes()
    assert b"PRIVATE" not in content
    assert BackupKeys.opened(content, SEALER).signer == made.signer
    with pytest.raises(Tampered):
        BackupKeys.opened(content[:-1] + bytes([content[-1] ^ 1]), SEALER)
    with pytest.raises(SealedFileUnusable):
        BackupKeys.kept(place, AeadSealer(HeldKey(bytes(31) + b"1")))
    assert "PRIVATE" not in repr(made)
    assert "recovery" not in repr(made)


def test_a_signature_is_of_one_signer_over_one_manifest(in_memory: Path) -> None:
    keys = BackupKeys.kept(in_memory / "one", SEALER)
    other = BackupKeys.kept(in_memory / "two", SEALER)
    signature = keys.sign(b"manifest")
    require_signature(b"manifest", signature, keys.signer)
    for manifest, signed, signer in (
        (b"manifesto", signature, keys.signer),
        (b"manifest", signature[:-1] + bytes([signature[-1] ^ 1]), keys.signer),
        (b"manifest", signature, other.signer),
        (b"manifest", signature, b"rubbish"),
    ):
        with pytest.raises(BackupDamaged):
            require_signature(manifest, signed, signer)
    assert len(signer_id(keys.signer)) == 64
    assert signer_id(keys.signer) != signer_id(other.signer)


def test_a_signer_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.generate()
    signer = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(BackupDamaged, match="no ML-DSA-87 key"):
        require_signature(b"manifest", key.sign(b"manifest"), signer)
