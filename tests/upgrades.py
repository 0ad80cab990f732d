"""Programs that an upgrade starts: this tree under another version, and ones that fail at some point."""

import atexit
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests import prepared
from tests.programs import PLEXIGATE

ROOT = Path(__file__).parents[1]
_SECONDS = 60.0

# Speaks the wire as a program of any version would, and fails where it is told to.
_SPEAKER = """#!{python} -S
import json, os, socket, sys, time
wire = socket.socket(fileno=int(os.environ["PLEXIGATE_UPGRADE"]))
def say(kind, **body):
    wire.send(json.dumps({{"say": kind, "body": body}}).encode())
def hear():
    while True:
        data, descriptors, _, _ = socket.recv_fds(wire, 65536, 253)
        if not data:
            sys.exit(0)
        said = json.loads(data)
        if "say" in said:
            return said["say"]
def wait(kind):
    while (said := hear()) != kind:
        if said == "ping":
            say("pong", workers=2)
        if said == "give back":
            sys.exit(0)
{script}
"""
GREETS = 'say("hello", protocol=2, version="9.9.9", pid=os.getpid())\n'
IS_READY = GREETS + 'wait("handover")\nsay("ready")\n'
KEPT = """while (said := hear()) != "keep":
    say("pong", workers=2)
say("kept")
"""
SERVES = IS_READY + 'wait("take")\nsay("serving", places=["/nowhere"], workers=2)\n'


def speaker(directory: Path, name: str, text: str) -> Path:
    """A program that says what the text says."""
    return script(directory, name, _SPEAKER.format(python=sys.executable, script=text))


def script(directory: Path, name: str, text: str) -> Path:
    """Any program, where a parent that is root may start it: root starts none below /tmp."""
    path = (_root_only() / directory.name if os.geteuid() == 0 else directory) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@cache
def _root_only() -> Path:
    made = Path(tempfile.mkdtemp(prefix="plexigate-test-", dir=Path.home()))
    atexit.register(shutil.rmtree, made)
    return made


def other_version(directory: Path, version: str) -> Path:
    """A copy of this tree that says that it is another version, and the program that runs it."""
    tree = directory / f"tree-{version}"
    for package in ("proxy", "certs", "config"):
        shutil.copytree(ROOT / package, tree / package)
    facts = tree / f"plexigate-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plexigate\nVersion: {version}\n")
    return _running(directory / f"plexigate-{version}", str(tree))


def this_version(directory: Path) -> Path:
    """The program of this tree, wherever the environment of its parent leads to."""
    return _running(directory / "plexigate-this", os.environ.get("PYTHONPATH", ""))


def _running(path: Path, places: str) -> Path:
    return script(
        path.parent,
        path.name,
        f'#!/bin/sh\nexport PYTHONPATH="{places}"\nexec {sys.executable} -P -m proxy.commands.start "$@"\n',
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `plexigate upgrade --json` has told."""

    status: int
    steps: list[dict[str, Any]]
    errors: str

    @property
    def last(self) -> dict[str, Any]:
        """The last step."""
        return self.steps[-1] if self.steps else {"ok": None, "reason": self.errors}


def upgrade(configuration: Path, *words: str) -> Outcome:
    """Run the command until it ends."""
    command = [PLEXIGATE, "upgrade", "--json", "--config", str(configuration), *words]
    done = prepared.run(command, timeout=_SECONDS)
    return Outcome(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)
