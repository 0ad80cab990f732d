"""The keys of an installation for its backups, in one sealed file.

The recovery key opens the backups, the signing key signs them. The sealing key opens the file by
way of the keys below it, and each backup has both, still sealed, in its header. So who brings
the sealing key back from its recovery shares can open every backup, and knows whose it is; a backup
is made without any secret of people. Without a sealing key, a key file in the same directory seals:
then only backups to other public keys can be opened, as that file is lost with the machine.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from certs.backup.container import BackupDamaged
from certs.files.directory import make_directories
from certs.hierarchy.file_sealer import is_quantum_safe
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.files import read_sealed, write_sealed
from certs.sealing.own_key import OWN_KEY_FILE, OwnKeySealer
from certs.sealing.recipients import PrivateRecipient, RecipientKem, blocks_of
from certs.sealing.sealer import Sealer, SucceedingSealer
from certs.storage.disk import Disk

FILE_NAME: Final = "backup.sealed"
"""Of these keys, in the directory of `[sealing]`."""

_LABEL: Final = Purpose.BACKUP.label("keys")
_SIGNED: Final = b"plexigate backup manifest 1\0"


@dataclass(frozen=True, slots=True)
class BackupKeys:
    """A recovery key for each KEM, and the key that signs manifests."""

    recovery: dict[RecipientKem, PrivateRecipient] = field(repr=False)
    signing: mldsa.MLDSA87PrivateKey = field(repr=False)

    @classmethod
    def kept(cls, directory: Path, sealer: Sealer) -> Self:
        """Read them, or make them where there are none yet.

        Raises `SealedFileUnusable` and `OSError`.
        """
        path = directory / FILE_NAME
        try:
            return cls.parse(read_sealed(path, _LABEL, sealer))
        except FileNotFoundError:
            made = cls(
                {kem: PrivateRecipient.generate(kem) for kem in RecipientKem}, mldsa.MLDSA87PrivateKey.generate()
            )
        make_directories(directory)
        write_sealed(path, made.encode(), _LABEL, sealer)
        return made

    @classmethod
    def kept_below(cls, vault: Vault, directory: Path) -> Self:
        """The same where there is a sealing key, also if they are older than that. Raises as
        `kept`.
        """
        own = OwnKeySealer(directory / OWN_KEY_FILE, Disk())
        return cls.kept(directory, SucceedingSealer(vault.sealer(Purpose.BACKUP), own))

    @classmethod
    def opened(cls, sealed: bytes, sealer: Sealer) -> Self:
        """Those in the header of a backup. Raises a `SealingError`."""
        return cls.parse(sealer.open(sealed, _LABEL))

    def sealed(self, sealer: Sealer) -> bytes:
        """What `opened` opens. Raises `KeyUnavailable`."""
        return sealer.seal(self.encode(), _LABEL)

    def files(self, vault: Vault) -> dict[str, bytes]:
        """For a `Header`: in these the sealing key finds them. None if that is a key pair: what one
        opens, a quantum computer opens too. Raises `KeyUnavailable`, `NotSealed` and `OSError`.
        """
        # in this order: the keys below the sealing key are those that have sealed the others
        sealed = self.sealed(vault.sealer(Purpose.BACKUP))
        hierarchy = vault.path.read_bytes()
        return {FILE_NAME: sealed, vault.path.name: hierarchy} if is_quantum_safe(hierarchy) else {}

    def encode(self) -> bytes:
        signing = self.signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return b"".join([*(self.recovery[kem].pem() for kem in RecipientKem), signing])

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read what `encode` wrote, which was sealed since."""
        blocks = [block for _, block in blocks_of(content)]
        signing = load_pem_private_key(blocks[-1], None)
        assert isinstance(signing, mldsa.MLDSA87PrivateKey)  # of `encode`
        pairs = (PrivateRecipient.parse(b"".join(blocks[at : at + 2])) for at in range(0, len(blocks) - 1, 2))
        return cls({pair.kem: pair for pair in pairs}, signing)

    @property
    def signer(self) -> bytes:
        """The public half of the signing key: SubjectPublicKeyInfo in DER."""
        return self.signing.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, manifest: bytes) -> bytes:
        return self.signing.sign(_SIGNED + manifest)


def require_signature(manifest: bytes, signature: bytes, signer: bytes) -> None:
    """Raises `BackupDamaged` if this signer, as in a manifest, did not sign the manifest."""
    try:
        key = load_der_public_key(signer)
        if not isinstance(key, mldsa.MLDSA87PublicKey):
            raise BackupDamaged("names a signer that is no ML-DSA-87 key")
        key.verify(signature, _SIGNED + manifest)
    except (ValueError, UnsupportedAlgorithm):
        raise BackupDamaged("names a signer that is no public key") from None
    except InvalidSignature:
        raise BackupDamaged("is not as it was written: its signer has not signed that") from None


def signer_id(signer: bytes) -> str:
    """What people compare: SHA-256 of a signer in hexadecimal digits."""
    return hashlib.sha256(signer).hexdigest()
