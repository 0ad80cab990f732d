"""What a backup says about itself, to everybody: it is signed, and not encrypted.

It has no digest of a single file: that would tell who guesses a short secret whether the guess is
right. Those are in the index, among the encrypted content.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from certs.backup.container import BackupDamaged, Written
from certs.backup.index import UNREADABLE, KnownDirectory, LeftOut, require_plain, typed

FORMATS: Final[Mapping[str, int]] = {"index": 1, "keys.sealed": 2, "ledger.json": 1, "intent.json": 1}
"""The formats of files that this version writes; it reads these and all before them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`made_by` is the version of Plexigate, `node` the name of the machine.

    `configuration` is the path of the configuration file, `states` are the directories of state,
    and `locks` those that a running proxy holds. `apart` are files with sealing keys and PINs.
    `directories` are those that a restore may have to make. `files` and `size` (bytes) count the
    content; `formats` are those of its files.
    `recipients`: the ids of the keys that open it, each with its KEM.
    """

    made_by: str
    made_at: datetime
    node: str
    configuration: str
    states: tuple[str, ...]
    apart: tuple[str, ...]
    locks: tuple[str, ...]
    files: int
    size: int
    credentials: int
    left_out: tuple[LeftOut, ...]
    directories: tuple[KnownDirectory, ...]
    recipients: Mapping[str, str]
    signer: bytes
    written: Written
    formats: Mapping[str, int] = field(default_factory=lambda: FORMATS)

    def encode(self) -> bytes:
        document = asdict(self) | {
            "made_at": self.made_at.isoformat(),
            "signer": base64.b64encode(self.signer).decode(),
            "formats": dict(self.formats),
            "recipients": dict(self.recipients),
        }
        return json.dumps(document, indent=1).encode()

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """Read what `encode` wrote. Raises `BackupDamaged`."""
        try:
            facts: dict[str, Any] = json.loads(content)
            made_at = datetime.fromisoformat(facts["made_at"])
            if made_at.tzinfo is None:
                raise BackupDamaged("was made at a time without its zone")
            made = cls(
                made_by=str(facts["made_by"]),
                made_at=made_at.astimezone(UTC),
                node=str(facts["node"]),
                configuration=str(facts["configuration"]),
                states=tuple(map(str, facts["states"])),
                apart=tuple(map(str, facts["apart"])),
                locks=tuple(map(str, facts["locks"])),
                files=int(facts["files"]),
                size=int(facts["size"]),
                credentials=int(facts["credentials"]),
                left_out=tuple(typed(LeftOut, one) for one in facts["left_out"]),
                directories=tuple(typed(KnownDirectory, one) for one in facts["directories"]),
                recipients={str(key): str(kem) for key, kem in facts["recipients"].items()},
                signer=base64.b64decode(facts["signer"], validate=True),
                written=typed(Written, facts["written"]),
                formats={str(name): int(number) for name, number in facts["formats"].items()},
            )
        except UNREADABLE:
            raise BackupDamaged("has a manifest that Plexigate did not write") from None
        directories = (one.path for one in made.directories)
        for path in (made.configuration, *made.states, *made.apart, *made.locks, *directories):
            require_plain(path)
        return made

    def conversions(self) -> list[str]:
        """What a restore here converts, or the files are read as they are. Raises `TooNew`."""
        newer = [name for name, number in self.formats.items() if number > FORMATS.get(name, 0)]
        if newer:
            raise TooNew(self.made_by, newer)
        return [
            f"{name} from format {self.formats[name]} to {ours}"
            for name, ours in FORMATS.items()
            if self.formats.get(name, ours) < ours
        ]


class TooNew(Exception):
    """A backup with files in formats that this version does not know."""

    def __init__(self, made_by: str, files: list[str]) -> None:
        super().__init__(made_by, files)
        self.made_by = made_by
        self.files = files

    def __str__(self) -> str:
        return (
            f"the backup was made by Plexigate {self.made_by} and has newer formats of {', '.join(self.files)}; "
            "allowed: a restore by that version or a later one"
        )
