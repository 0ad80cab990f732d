"""An installation with state, and backups of it, for tests."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs.audit.entries import unheard
from certs.backup.configured import creation_of
from certs.backup.creating import Creation
from certs.backup.manifest import Manifest
from certs.backup.opened import OpenBackup
from certs.backup.restoring import Restoration
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
PIN: Final = """
[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
[hsm.token.plexi]
pin_file = "{}"
"""


def nothing(_count: int) -> None:
    """Takes progress."""


def passed(_step: str) -> None:
    """Takes steps."""


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
        left_out = {"issued/lock", "state/lock", "state/tickets.sealed", "state/keys.sealed.lock", "sealing.key"}
        found = ((str(path.relative_to(self.directory)), path) for path in self.directory.rglob("*") if path.is_file())
        return {name: (path.stat().st_mode & 0o777, path.read_bytes()) for name, path in found if name not in left_out}

    def lost(self, keep: Path) -> Path:
        """Lose everything but the sealing key, which goes to `keep`."""
        shutil.move(self.directory / "sealing.key", keep)
        shutil.rmtree(self.directory)
        return keep


def linked(directory: Path) -> tuple[Installation, Path]:
    """An installation whose payload rings are on another volume, below the sealing directory; and a ring."""
    site = Installation.made(
        directory / "site", configuration=CONFIGURATION + '[payload]\ndirectory = "state/payload"\n'
    )
    (directory / "volume").mkdir()
    (site.directory / "state/payload").symlink_to(directory / "volume")
    return site, site.write("state/payload/ring-chat.sealed", b"ring").resolve()


def damage(file: Path) -> None:
    """Change a byte of the content of a backup."""
    with OpenBackup.at(file) as backup:
        raw = file.read_bytes()
        place = raw.index(backup.reader.header) + len(backup.reader.header)
    file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])


def secret_of(backup: OpenBackup, sealing_key: Path) -> bytes:
    return secret_by_sealing_key(backup, sealing_key)


def restored(file: Path, sealing_key: Path, *, replaces: bool = False, step: Callable[[str], None] = passed) -> None:
    """Restore as the command does; `step` is called before each change of the disk."""
    with OpenBackup.at(file) as backup:
        backup.verify(nothing)
        Restoration(backup, nothing, step).run(
            lambda: secret_of(backup, sealing_key), lambda _: None, replaces=replaces
        )
