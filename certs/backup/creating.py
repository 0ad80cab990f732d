"""A backup is made: what belongs to it is captured, packed, encrypted and signed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

from certs.backup.archive import add_index, packed
from certs.backup.capture import capture, known_directories
from certs.backup.container import SECRET_BYTES, BackupWriter
from certs.backup.contents import Contents
from certs.backup.header import Header
from certs.backup.keys import BackupKeys
from certs.backup.manifest import Manifest
from certs.sealing.recipients import PublicRecipient


@dataclass(frozen=True, slots=True)
class Creation:
    """What a backup is made of. `files` are those for its header (`Header.files`)."""

    contents: Contents
    keys: BackupKeys = field(repr=False)
    recipients: Sequence[PublicRecipient]
    files: Mapping[str, bytes] = field(repr=False)
    made_by: str
    node: str
    now: datetime

    def write(self, file: BinaryIO, told: Callable[[int], None]) -> Manifest:
        """Write the backup; `told` hears how many bytes were read.

        Raises `NeverStill` and `OSError`; then the file is no backup.
        """
        secret = os.urandom(SECRET_BYTES)
        writer = BackupWriter(file, Header.made(secret, self.recipients, self.files).encode(), secret)
        with packed(writer) as archive:
            index = capture(self.contents, archive, told)
            add_index(archive, index)
        manifest = Manifest(
            made_by=self.made_by,
            made_at=self.now,
            node=self.node,
            configuration=str(self.contents.configuration),
            states=tuple(map(str, self.contents.states)),
            apart=tuple(map(str, self.contents.apart)),
            locks=tuple(map(str, self.contents.locks)),
            files=len(index.files),
            size=sum(one.size for one in index.files),
            credentials=sum("/credentials/" in one.path and one.path.endswith("/ledger.json") for one in index.files),
            left_out=self.contents.left_out,
            directories=known_directories(self.contents, index),
            recipients={one.id: one.kem for one in self.recipients},
            signer=self.keys.signer,
            written=writer.finish_content(),
        )
        encoded = manifest.encode()
        writer.finish(encoded, self.keys.sign(encoded))
        return manifest
