"""The facts about a credential, read from its shelf: the input of the planner."""

import hashlib
from typing import Final

from cryptography import x509

from certs.identities.chain import alternative_names
from certs.issuing.issuer import RenewalWindow
from certs.rotation.checks import ChainUnusable, is_weak, read_chain_pem
from certs.rotation.due import Current, Wanted
from certs.storage.shelf import ShelfDamaged, StoredVersion
from config.tables.rotation import IssuedCredential

_JITTER_STEPS: Final = 1 << 32


def wanted_of(names: tuple[str, ...], asked: IssuedCredential) -> Wanted:
    settings = asked.settings
    return Wanted(names, str(asked.key), asked.issuer, settings.rotate_key_after, settings.rotate_key_after_uses)


def current_of(version: StoredVersion, window: RenewalWindow | None = None, uses: int = 0) -> Current:
    """What a version is. Raises `ShelfDamaged`."""
    chain = chain_of(version)
    leaf = chain[0]
    return Current(
        not_before=leaf.not_valid_before_utc,
        # a chain is good until the first of it ends
        not_after=min(one.not_valid_after_utc for one in chain),
        names=tuple(alternative_names(leaf)),
        key=version.intent.key,
        issuer=version.intent.issuer,
        key_made_at=version.intent.begun_at,
        jitter=jitter_of(leaf.serial_number),
        uses=uses,
        window=window,
        is_weak=is_weak(chain),
    )


def chain_of(version: StoredVersion) -> tuple[x509.Certificate, ...]:
    """The certificates of a version, leaf first. Raises `ShelfDamaged`."""
    try:
        return read_chain_pem(version.chain_path.read_bytes())
    except (OSError, ChainUnusable) as error:
        raise ShelfDamaged(version.chain_path, str(error)) from None


def leaf_of(version: StoredVersion) -> x509.Certificate:
    """The certificate of the server. Raises `ShelfDamaged`."""
    return chain_of(version)[0]


def jitter_of(serial: int) -> float:
    """From -1 to 1, always the same for one certificate: what was planned for it survives a
    restart.
    """
    digest = hashlib.sha256(f"{serial:x}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / (_JITTER_STEPS / 2) - 1
