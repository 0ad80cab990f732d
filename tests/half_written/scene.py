"""A Plexigate all of whose state is in one directory, and what an operator does that changes it."""

import json
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from certs.storage.disk import STAGING
from tests import prepared
from tests.configurations import process
from tests.half_written.stopping import Stopper
from tests.programs import PLEXIGATE, Program, plexigate

if TYPE_CHECKING:
    import subprocess

_REST: Final = """
[listener.public]
bind = "127.0.0.1:0"
[identity.local]
names = ["localhost"]
[[identity.local.credential]]
key = "ec-p256@sealed"
issuer = "internal"
[issuer.internal]
type = "internal"
[rotation]
state = "state/certificates"
[sealing]
key = "{sealing_key}"
directory = "state/sealing"
[audit]
file = "state/audit.log"
[payload]
directory = "state/payload"
[[route]]
host = "localhost"
respond = {{ status = 204 }}
"""
_COMMAND_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What must not get lost."""

    root: bytes
    """The certificate of the internal CA."""
    keys: frozenset[str]
    """The keys of rings, and those below the sealing key."""

    def missing_in(self, later: "Kept") -> list[str]:
        """What this one has, and a later one has not."""
        gone = [f"{key} is lost" for key in sorted(self.keys - later.keys)]
        return gone if self.root == later.root else [*gone, "the internal CA has another root"]


@dataclass
class State:
    """The directory, and a proxy that uses it now and then."""

    directory: Path
    stopper: Stopper
    rings: list[str]
    sealing_key: Path

    @classmethod
    def made(cls, beside: Path, stopper: Stopper) -> "State":
        """Make one with a sealing key, which has never served."""
        directory = beside / "site"
        directory.mkdir()
        one = cls(directory, stopper, ["chat"], directory / "sealing.key")
        stopper.watch(one.state)
        one.forget()
        one.write()
        done = one.command("hsm", "init", "--no-recovery", "--yes", "--key-file", str(one.sealing_key))
        assert done.returncode == 0, done.stderr
        return one

    @property
    def path(self) -> Path:
        """The configuration."""
        return self.directory / "plexigate.toml"

    @property
    def state(self) -> Path:
        """Everything that it writes."""
        return self.directory / "state"

    def write(self) -> None:
        """Write the configuration."""
        rings = "".join(f"[payload.ring.{name}]\n" for name in self.rings)
        self.path.write_text(
            process(self.directory / "admin.sock") + _REST.format(sealing_key=self.sealing_key) + rings
        )

    def next_sealing_key(self) -> Path:
        """A file that is not there yet."""
        return self.directory / f"sealing{len(list(self.directory.glob('sealing*.key')))}.key"

    def forget(self) -> None:
        """Be as on the first day."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(mode=0o700)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run one with the configuration; it may be killed."""
        return self._run(*words, "--config", str(self.path))

    def burn(self) -> None:
        """Lose everything but the sealing key."""
        self.forget()
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.directory / STAGING, ignore_errors=True)

    def restore(self, backup: Path) -> "subprocess.CompletedProcess[str]":
        """Restore it; that may be killed."""
        return self._run("backup", "restore", str(backup), "--sealing-key", str(self.sealing_key))

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return prepared.run([PLEXIGATE, *words], self.stopper.environment, _COMMAND_SECONDS)

    def check(self) -> list[str]:
        """What `plexigate check` finds wrong with the directory."""
        done = _asked("check", str(self.path))
        return [f"check: {done.stdout}{done.stderr}"] if done.returncode else []

    def audit(self) -> list[str]:
        """What `plexigate audit verify` finds wrong with the log in it."""
        done = _asked("audit", "verify", str(self.state / "audit.log"))
        # 3 and 4: intact, and no line is proven, as nothing keeps the checkpoints
        return [] if done.returncode in {0, 3, 4} else [f"audit verify: {done.stdout}{done.stderr}"]

    @contextmanager
    def serving(self) -> Iterator["Serving"]:
        """Run the proxy until the block ends; it may be killed before. Raises `NotReadyError`."""
        with plexigate(self.path, self.stopper.environment) as running:
            try:
                yield Serving(self, running)
            finally:
                self._end_successor(running.pid)

    def _end_successor(self, pid: int) -> None:
        """End the process that an upgrade has put in place of this one: nobody else has our shim."""
        for one in self.stopper.processes() - {pid}:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Serving:
    """While the proxy runs."""

    of: State
    program: Program[dict[str, list[str]]]

    @property
    def root(self) -> Path:
        """The certificate of the internal CA."""
        (path,) = (self.of.state / "certificates" / "issuers" / "internal" / "root").glob("v*/chain.pem")
        return path

    def answers(self) -> bool:
        """Whether a new client, who trusts the internal CA, gets an answer."""
        host, _, port = self.program.ready["public"][0].rpartition(":")
        client = ssl.create_default_context(cafile=str(self.root))
        try:
            with (
                socket.create_connection((host, int(port)), timeout=10) as plain,
                client.wrap_socket(plain, server_hostname="localhost") as tls,
            ):
                tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return tls.recv(64).startswith(b"HTTP/1.1 204 ")
        except OSError:
            return False

    def name_sealing_key(self) -> None:
        """Let the configuration name the newest sealing key, and the proxy, if it lives, read that."""
        (newest,) = (Path(one["id"]) for one in self._sealing_keys() if one["state"] == "active")
        if newest != self.of.sealing_key:
            self.of.sealing_key = newest
            self.of.write()
            _asked("reload", "--config", str(self.of.path))

    def _sealing_keys(self) -> list[Any]:
        return [one for one in self._asked("hsm", "keys") if one["purpose"] == "sealing key"]

    def kept(self) -> Kept:
        """What is there."""
        rings = self._asked("payload", "list")["rings"]
        below = self._asked("hsm", "keys")
        of_rings = {f"key {key['version']} of ring {ring['name']}" for ring in rings for key in ring["keys"]}
        return Kept(
            self.root.read_bytes(),
            frozenset(of_rings | {key["id"] for key in below if key["purpose"] != "sealing key"}),
        )

    def _asked(self, *words: str) -> Any:
        done = _asked(*words, "--json", "--config", str(self.of.path))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def _asked(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that changes nothing, without the shim."""
    return prepared.run([PLEXIGATE, *words])
