"""What a node of a fleet knows by itself: sealed on its disk, enough to start and serve without the
store.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from certs.backup.recoverable import RecoverySeal
from certs.files.directory import make_directories
from certs.sealing.envelope import Purpose
from certs.sealing.files import read_sealed, write_sealed
from certs.sealing.recipients import KeyUnreadable, PrivateRecipient, RecipientKem
from certs.sealing.sealer import Sealer
from proxy.supervisor.membership.values import FleetKey

FILE_NAME: Final = "fleet.sealed"
"""In the directory of `[sealing]`."""
_LABEL: Final = Purpose.FLEET.label("node")
_VERSION: Final = 1


class NoNodeState(Exception):
    """The content of the file is not of the known version."""

    def __str__(self) -> str:
        return f"{FILE_NAME} holds no state of a fleet of this version"


@dataclass(frozen=True, slots=True)
class Taken:
    """A value that this node has verified. `content` is None once it was removed."""

    serial: int
    content: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeState:
    """`private` is the key of this node. `key` is None before it has joined.

    `values` are those of all kinds that are kept, by their names. `records` are those of the
    epochs, as the store has them. `revision` is the newest one of the store that it has taken
    something from.
    """

    private: PrivateRecipient = field(repr=False)
    key: FleetKey | None = None
    values: Mapping[str, Taken] = field(default_factory=dict)
    records: Mapping[str, bytes] = field(default_factory=dict)
    revision: int = 0

    def encode(self) -> bytes:
        """Everything, with the secrets. The caller seals it."""
        document = {
            "version": _VERSION,
            "private": self.private.pem().decode(),
            "epoch": None if self.key is None else self.key.epoch,
            "key": None if self.key is None else self.key.secret.hex(),
            "values": {name: [one.serial, one.content] for name, one in self.values.items()},
            "records": {name: value.decode() for name, value in self.records.items()},
            "revision": self.revision,
        }
        return json.dumps(document).encode()

    @classmethod
    def parse(cls, content: bytes) -> "NodeState":
        """Read what `encode` wrote. Raises `NoNodeState`, which shows no part of it."""
        try:
            found = json.loads(content)
            if found["version"] != _VERSION:
                raise NoNodeState
            private = PrivateRecipient.parse(found["private"].encode())
            key = None if found["key"] is None else FleetKey(int(found["epoch"]), bytes.fromhex(found["key"]))
            values = {str(name): Taken(int(serial), one) for name, (serial, one) in found["values"].items()}
            records = {str(name): str(value).encode() for name, value in found["records"].items()}
            return cls(private, key, values, records, int(found["revision"]))
        except (ValueError, KeyError, TypeError, AttributeError, KeyUnreadable):
            raise NoNodeState from None


@dataclass(slots=True)
class NodeFile:
    """The file with the state of this node. Its methods wait for the token of the sealing key:
    call them in a thread.

    It is one file, written as a whole for each moment in which something has changed: what is kept
    are few values of a few kilobytes.
    """

    directory: Path
    sealer: Callable[[], Sealer]
    """Asked each time: a reload may replace the sealing key."""
    kem: RecipientKem
    """The kind of the key of this node, where it has to be made."""
    recovery: RecoverySeal | None = None
    """What the recovery shares of the sealing key open elsewhere."""
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)
    _asked: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)

    def read(self) -> NodeState:
        """What was written, or a node with a new key, which is written.

        Raises `NoNodeState`, and as `write`.
        """
        try:
            return NodeState.parse(read_sealed(self.directory / FILE_NAME, _LABEL, self.sealer()))
        except FileNotFoundError:
            made = NodeState(PrivateRecipient.generate(self.kem))
        self.write(made)
        return made

    def writing(self, state: NodeState) -> Callable[[], None]:
        """A call of `write` that does nothing once a later state was written: a write whose task
        was cancelled goes on in its thread, and may be slower.
        """
        self._asked += 1
        number = self._asked

        def write() -> None:
            with self._turn:
                if number > self._written:
                    self.write(state)
                    self._written = number

        return write

    def write(self, state: NodeState) -> None:
        """Raises `SealedFileUnusable` and `OSError`, and then the old file is as it was."""
        make_directories(self.directory)
        write_sealed(self.directory / FILE_NAME, state.encode(), _LABEL, self.sealer())
