"""What the keys below the sealing key are for: what each protects, and what its loss means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certs.sealing.envelope import Purpose


@dataclass(frozen=True, slots=True)
class KeyPurpose:
    """`name` is part of the id of its keys. The others are clauses for people."""

    name: str
    protects: str
    if_lost: str


PURPOSES: Final[Mapping[Purpose, KeyPurpose]] = {
    Purpose.TICKET_KEYS: KeyPurpose(
        "tickets", "the secret of session tickets", "each client makes one more full handshake"
    ),
    Purpose.CREDENTIAL_KEY: KeyPurpose(
        "credentials",
        "private keys in sealed files",
        "these keys are lost: certificates must be issued for new ones, and an internal CA gets a new root",
    ),
    Purpose.PAYLOAD_KEYRING: KeyPurpose(
        "payload", "the rings of payload encryption", "what was encrypted with a ring can never be decrypted"
    ),
    Purpose.ACME_ACCOUNT: KeyPurpose(
        "acme", "the keys of ACME accounts", "no certificate is ordered until the files of the accounts are removed"
    ),
    Purpose.BACKUP: KeyPurpose(
        "backup",
        "the keys that open and sign backups",
        "no backup is made until backup.sealed is removed; backups of before still open by the recovery shares",
    ),
    Purpose.FLEET: KeyPurpose(
        "fleet",
        "the key of this node in its fleet, and what the fleet shares",
        "the node must join its fleet again; fleet.sealed is removed for that",
    ),
}
