"""How a fleet leaves a node behind: a new key, for all other nodes.

Each epoch has a key. Its record has that key, encrypted to the public key of each node that stays
(HPKE, RFC 9180), and is sealed by the key of the epoch before: who lacks that begins none. The
records stay in the store, so a node that did not run meanwhile goes through all that it has missed.
Who finds no key for itself was expelled. The expelled node still knows the key before: what that
key has sealed counts only if the store had it before the record.
"""

import json
import secrets
from collections.abc import Collection, Container, Mapping
from typing import Any, TypedDict

from certs.sealing.recipients import NotOpened, PrivateRecipient, PublicRecipient
from proxy.supervisor.membership.places import EPOCHS, MEMBERS, nodes_of, recovery_place
from proxy.supervisor.membership.shared import Stored
from proxy.supervisor.membership.values import KEY_BYTES, FleetKey, ValueUnusable


class EpochRow(TypedDict):
    """The record of an epoch: its key for each node, in hexadecimal, who was expelled, which node
    did that, and when, in UNIX seconds.
    """

    keys: dict[str, str]
    expelled: str
    by: str
    since: float


class Expelled(Exception):
    """This node has no part in the fleet any more."""

    def __init__(self, row: EpochRow) -> None:
        super().__init__(row["by"], row["since"])
        self.by = row["by"]

    def __str__(self) -> str:
        return (
            f"this node was expelled from its fleet by {self.by}: it serves by what it had, and shares nothing more; "
            "to let it join again, remove fleet.sealed and restart it"
        )


def place_of(epoch: int) -> str:
    return f"{EPOCHS}{epoch}"


def next_record(key: FleetKey, entries: Mapping[str, Stored]) -> Stored | None:
    """The record of the epoch after that of a key, if there is one."""
    return entries.get(place_of(key.epoch + 1))


def newest(names: Container[str]) -> int:
    """Number of the last epoch of a store, by the names that it has."""
    epoch = 1
    while place_of(epoch + 1) in names:
        epoch += 1
    return epoch


def recoverable(names: Collection[str]) -> list[str]:
    """The members whose recovery shares open the fleet in its last epoch."""
    epoch = newest(names)
    return [node for node in nodes_of(MEMBERS, names) if recovery_place(epoch, node) in names]


def records(key: FleetKey, entries: Mapping[str, Stored]) -> dict[str, bytes]:
    """Those up to the epoch of a key: a store that was restored may have lost some."""
    places = [place_of(epoch) for epoch in range(1, key.epoch + 1)]
    return {place: entries[place].value for place in places if place in entries and entries[place].value.isascii()}


def begun(
    key: FleetKey, stay: Mapping[str, PublicRecipient], expelled: str, by: str, now: float
) -> tuple[FleetKey, EpochRow]:
    """A fresh key for these nodes, and the record of its epoch, for the key before to seal."""
    fresh = key.of_next_epoch(secrets.token_bytes(KEY_BYTES))
    wrapped = {node: public.seal(fresh.secret, _info(fresh.epoch, node)).hex() for node, public in stay.items()}
    return fresh, EpochRow(keys=wrapped, expelled=expelled, by=by, since=now)


def followed(key: FleetKey, record: bytes, node: str, private: PrivateRecipient) -> tuple[FleetKey, EpochRow]:
    """The key of the next epoch. Raises `ValueUnusable`; `Expelled` if it has none for `node`."""
    epoch = key.epoch + 1
    row: Any = key.open(place_of(epoch), record)
    try:
        if node not in row["keys"]:
            raise Expelled(row)
        secret = private.open(bytes.fromhex(row["keys"][node]), _info(epoch, node))
    except (NotOpened, ValueError, KeyError, TypeError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise ValueUnusable(place_of(epoch), "holds no key that this node can open")
    return key.of_next_epoch(secret), row


def _info(epoch: int, node: str) -> bytes:
    return json.dumps(["plexigate fleet epoch", epoch, node]).encode()
