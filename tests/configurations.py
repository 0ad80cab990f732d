"""Configurations on disk, with certificates that fit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority, CertificateFiles

MINIMAL_LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\n'
MINIMAL_REST = """
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


def process(socket: Path, workers: int = 1) -> str:
    """The top of a file: one worker, as most tests look at one process, and an admin socket that no other test has."""
    return f"workers = {workers}\nadmin.socket = {json.dumps(str(socket))}\n"


def identity(name: str, names: tuple[str, ...], *credentials: CertificateFiles, prefer: str | None = None) -> str:
    """An `[identity.NAME]` table."""
    text = f"[identity.{name}]\nnames = {json.dumps(names)}\n"
    if prefer is not None:
        text += f"prefer = {json.dumps(prefer)}\n"
    for files in credentials:
        text += f"[[identity.{name}.credential]]\n" if len(credentials) > 1 else ""
        text += f"certificate = {json.dumps(str(files.certificate))}\nkey = {json.dumps(str(files.key))}\n"
    return text


def listener(name: str, **settings: object) -> str:
    """A `[listener.NAME]` table on a free port of 127.0.0.1."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"bind": "127.0.0.1:0", **settings}.items()]
    return "\n".join([f"[listener.{name}]", *lines, ""])


def limits(values: Mapping[str, float | str]) -> str:
    """The `[limits]` table."""
    return "\n".join(["[limits]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""])


@dataclass(frozen=True, slots=True)
class Site:
    """A directory with an authority and a certificate for chat.test, in which configurations are written."""

    directory: Path
    authority: Authority
    chat: CertificateFiles

    @classmethod
    def make(cls, directory: Path) -> "Site":
        """Set it up."""
        authority = Authority(directory)
        return cls(directory, authority, authority.issue("chat", ("chat.test", "*.chat.test")))

    @property
    def identity(self) -> str:
        """The identity of chat.test."""
        return identity("chat", ("chat.test", "*.chat.test"), self.chat)

    @property
    def minimal(self) -> str:
        """The smallest configuration that serves."""
        return MINIMAL_LISTENER + self.identity + MINIMAL_REST

    def write(self, text: str, name: str = "plexigate.toml") -> Path:
        """Write a configuration."""
        path = self.directory / name
        top = process(path.with_suffix(".sock")).splitlines(keepends=True)
        path.write_text("".join([line for line in top if line.split(" ")[0].split(".")[0] not in text] + [text]))
        return path
