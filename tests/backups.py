"""An installation with state, and backups of it, for tests."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs.audit.entries import unheard
from certs.backup.configured import creation_of
from certs.backup.creating import Creation
from certs.backup.header import Header
from certs.backup.manifest import Manifest
from certs.backup.opened import OpenBackup
from certs.backup.restoring import Restoration, RestoreJournal
from certs.backup.unsealing import secret_by_sealing_key
from certs.sealing.key_file import create_key
from config.loading.loaded import LoadedConfig
from config.loading.loader import survey

NOW: Final = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
NODE: Final = "plexi1"
SECRETS: Final = (b"-----BEGIN PRIVATE KEY-----", b"the key of chat", b"$scrypt$of-alice")
"""What stands in files of an installation, and nowhere in its backup."""
CONFIGURATION: Final = """
[listener.public]
bind = "127.0.0.1:0"
[sealing]
key = "sealing.key"
directory = "state"
[audit]
file = "log/audit.jsonl"
[rotation]
state = "issued"
[identity.chat]
names = ["localhost"]
certificate = "tls/server.pem"
key = "tls/server.key"
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "localhost"
upstream = "chat"
basic_auth = { file = "users" }
"""


def nothing(_count: int) -> None:
    """Takes progress."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A configuration with a sealing key in a file, and state beside it."""

    directory: Path

    @classmethod
    def made(cls, directory: Path, names: int = 2, configuration: str = CONFIGURATION) -> "Installation":
        """One with so many issued credentials."""
        one = cls(directory)
        directory.mkdir(parents=True, exist_ok=True)
        one.path.write_text(configuration)
        create_key(directory / "sealing.key")
        one.write("tls/server.pem", b"-----BEGIN CERTIFICATE-----")
        one.write("tls/server.key", SECRETS[0], 0o640)
        one.write("users", b"alice:" + SECRETS[2])
        one.write("log/audit.jsonl", b'{"seq": 1}\n')
        one.write("issued/lock", b"1\n")
        one.write("issued/owner", b"3f9a2c71\n")
        one.write("state/tickets.sealed", b"tickets")
        for number in range(names):
            shelf = f"issued/credentials/name{number}/ec"
            one.write(f"{shelf}/ledger.json", json.dumps({"current": 1, "number": number}).encode())
            one.write(f"{shelf}/v000001/key", SECRETS[1] + b" %d" % number)
            one.write(f"{shelf}/v000001/chain.pem", b"chain %d\n" % number * 40)
        return one

    @property
    def path(self) -> Path:
        return self.directory / "plexigate.toml"

    @property
    def loaded(self) -> LoadedConfig:
        found = survey(self.path).loaded
        assert found is not None
        return found

    def write(self, name: str, content: bytes, mode: int = 0o600) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def creation(self, *others: Path) -> Creation:
        return creation_of(self.loaded, others, lambda: NOW, unheard, made_by="1.2.3", node=NODE)

    def backed_up(self, file: Path, *others: Path) -> Manifest:
        with file.open("wb") as out:
            return self.creation(*others).write(out, nothing)

    def files(self) -> dict[str, tuple[int, bytes]]:
        """What a restore brings back, by its path below the directory: mode and content."""
        left_out = {"issued/lock", "state/tickets.sealed", "state/keys.sealed.lock", "sealing.key"}
        found = ((str(path.relative_to(self.directory)), path) for path in self.directory.rglob("*") if path.is_file())
        return {name: (path.stat().st_mode & 0o777, path.read_bytes()) for name, path in found if name not in left_out}

    def lost(self, keep: Path) -> Path:
        """Lose everything but the sealing key, which goes to `keep`."""
        shutil.move(self.directory / "sealing.key", keep)
        shutil.rmtree(self.directory)
        return keep


def secret_of(backup: OpenBackup, header: Header, sealing_key: Path, directory: Path) -> bytes:
    directory.mkdir(exist_ok=True)
    return secret_by_sealing_key(header, backup.manifest, sealing_key, directory, lambda: NOW)


def restored(file: Path, sealing_key: Path, scratch: Path, *, replaces: bool = False, step: object = None) -> None:
    """Restore as the command does; `step` is called before each change of the disk."""
    with OpenBackup.at(file) as backup:
        header = backup.verified(nothing)
        restoration = Restoration(backup, nothing, step) if callable(step) else Restoration(backup, nothing)
        with restoration.alone():
            journal: RestoreJournal | None = restoration.unfinished(replaces=replaces)
            if journal is None:
                secret = secret_of(backup, header, sealing_key, scratch)
                index = restoration.index(secret)
                if not replaces:
                    restoration.require_free(index)
                journal = restoration.stage(index, secret)
            restoration.place(journal)
