"""What a fleet stores for its certificates. Pure.

All of it is sealed, also chains and revocation lists: so who writes into the store cannot put
another one in their place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from certs.rotation.due import RenewalReason
from certs.rotation.sharing import SharedEdition, SharedKey
from proxy.rotation.fellows import Answer, Wish
from proxy.supervisor.membership.kinds.node_facts import SharedRow

_PEM: Final = "-----BEGIN"
"""Of a key in a file. Of one in a token there is its address."""


@dataclass(frozen=True, slots=True)
class EditionRow:
    edition: SharedEdition

    def as_json(self) -> dict[str, object]:
        return {
            **self.edition.key.as_json(),
            "chain": self.edition.chain_pem.decode(),
            "sound_from": self.edition.sound_from,
        }

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "EditionRow":
        key = SharedKey.from_json(row)
        return cls(SharedEdition(key, str(row["chain"]).encode(), int(row["sound_from"])))


@dataclass(frozen=True, slots=True)
class BegunRow:
    """A key that a leader has made, and where the order for it is at the CA of `directory`."""

    key: SharedKey
    directory: str = ""
    order: str = ""

    def as_json(self) -> dict[str, object]:
        return {**self.key.as_json(), "directory": self.directory, "order": self.order}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "BegunRow":
        return cls(SharedKey.from_json(row), str(row["directory"]), str(row["order"]))


@dataclass(frozen=True, slots=True)
class AccountRow(SharedRow):
    """An ACME account as a document with its key, and the epoch in which that was made."""

    document: str = field(repr=False)
    epoch: int

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "AccountRow":
        return cls(str(row["document"]), int(row["epoch"]))


@dataclass(frozen=True, slots=True)
class AuthorityRow(SharedRow):
    """An `AuthorityCopy`. Nodes that were expelled knew the keys of intermediates up to
    `distrusted_until`; the `epoch` is that of the last look.
    """

    copy: Mapping[str, Any] = field(repr=False)
    epoch: int
    distrusted_until: int = 0

    @property
    def has_known_root(self) -> bool | None:
        """Whether all nodes know the key of the root. None if it was moved away, perhaps since."""
        keys = [one["key"] for one in self.copy["root"]["versions"]]
        return None if None in keys else any(one.startswith(_PEM) for one in keys)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "AuthorityRow":
        copy = row["copy"]
        if not isinstance(copy, dict):
            raise TypeError
        return cls(copy, int(row["epoch"]), int(row["distrusted_until"]))


@dataclass(frozen=True, slots=True)
class RevocationRow(SharedRow):
    """A certificate, in PEM, that an internal CA is to revoke."""

    issuer: str
    pem: str

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.encode())

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "RevocationRow":
        found = cls(str(row["issuer"]), str(row["pem"]))
        _ = found.leaf
        return found


@dataclass(frozen=True, slots=True)
class ChallengeRow(SharedRow):
    """What all nodes show to a CA: for http-01 a `token` and its answer, for tls-alpn-01 a DNS name
    or IP address, and a digest in hexadecimal.
    """

    kind: str
    token: str
    answer: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "ChallengeRow":
        return cls(str(row["kind"]), str(row["token"]), str(row["answer"]))


def wish_as_json(one: Wish) -> dict[str, object]:
    return {"id": one.id, "key": list(one.key), "reason": one.reason.value, "insists": one.insists}


def read_wish(row: Mapping[str, Any]) -> Wish:
    identity, slot = row["key"]
    return Wish(str(row["id"]), (str(identity), str(slot)), RenewalReason(row["reason"]), bool(row["insists"]))


def answer_as_json(one: Answer) -> dict[str, object]:
    return {"is_fulfilled": one.is_fulfilled, "detail": one.detail}


def read_answer(row: Mapping[str, Any]) -> Answer:
    return Answer(bool(row["is_fulfilled"]), str(row["detail"]))
