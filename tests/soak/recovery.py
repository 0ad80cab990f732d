"""A machine burns: its token, its configuration and its state are gone. Three shares, a backup and a new token bring a proxy back.

The backup was made while the proxy served. Names whose keys were in files serve as before; the key of the name in the token is lost with
it, and the proxy makes another and gets a certificate for it. Short in the suite, with 10,000 names here.
"""

import base64
import os
import resource
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from certs.rotation.due import RenewalReason
from proxy.admin.client import UnixAdminClient
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.offline import Offline
from tests.hsm_tokens import PIN, softhsm, softhsm_module
from tests.programs import PLEXIGATE, Program, plexigate_listeners, program

NAMES: Final = 10_000
MOST_SECONDS: Final = 60.0
"""Of processors, from the first share to a proxy that serves; people who read shares aloud take longer."""
IN_TOKEN: Final = "token.test"  # noqa: S105 - no password
_PATIENCE_SECONDS: Final = 60.0
_NEEDED: Final = 3


def configuration(names: int, module: Path) -> str:
    """A proxy with a name in a token, and so many whose keys are in files, ten for each key."""
    several = "".join(
        f"[identity.n{number}]\nnames = {[f'{name}.n{number}.test' for name in 'abcdefghij']}\n"
        f'[[identity.n{number}.credential]]\nkey = "ec-p256@{"file" if number % 2 else "sealed"}"\nissuer = "internal"\n'
        for number in range(names // 10)
    )
    return f"""
workers = 1
[listener.public]
bind = "127.0.0.1:0"
default = "token"
[admin]
socket = "plexigate.sock"
[hsm]
module = "{module}"
[hsm.token.plexi]
pin_file = "plexi.pin"
[sealing]
key = "pkcs11:token=plexi;object=sealing.aes-256.v1"
directory = "state"
[audit]
file = "audit.jsonl"
[rotation]
state = "issued"
[issuer.internal]
type = "internal"
[identity.token]
names = ["{IN_TOKEN}"]
[[identity.token.credential]]
key = "ec-p256@plexi"
issuer = "internal"
{several}
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "{IN_TOKEN}"
upstream = "chat"
"""


@dataclass
class Machine:
    """A machine that can burn. Everything of it is below `directory`; shares and backups are elsewhere."""

    directory: Path
    names: int

    @property
    def path(self) -> Path:
        return self.directory / "plexigate.toml"

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.directory / "softhsm2.conf"), "STATE_DIRECTORY": str(self.directory / "own")}

    @property
    def token_options(self) -> list[str]:
        return ["--module", str(softhsm_module()), "--token", "plexi", "--pin-file", str(self.directory / "plexi.pin")]

    def gets_a_token(self) -> None:
        """An empty token, and the file with its PIN."""
        self.directory.mkdir()
        with softhsm(self.directory) as hsm:
            hsm.init_token("plexi")
            hsm.pin_file(name="plexi.pin")

    def runs(self, *arguments: str | Path, typed: str = "") -> str:
        """Run a command of plexigate, and answer what it printed. Raises `AssertionError` unless it is done."""
        done = subprocess.run(
            [PLEXIGATE, *map(str, arguments)],
            env={**os.environ, **self.environment},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def issues(self) -> None:
        """Get the certificates of all names whose keys are in files: the proxy would take its time."""
        os.environ.update(self.environment)
        offline = Offline(self.path, CLOCKS)
        with offline.alone():
            for found in offline.credentials(None):
                if found[0] != "token":
                    assert all(step.get("rotated", True) for step in offline.rotate(found, RenewalReason.FIRST)), found

    @contextmanager
    def serves(self) -> Iterator[Program[dict[str, list[str]]]]:
        command = [PLEXIGATE, "run", str(self.path)]
        with program(command, plexigate_listeners, self.environment) as running:
            yield running

    def handshake(self, running: Program[dict[str, list[str]]], name: str) -> bytes:
        """The certificate that a client gets who trusts our CA. Raises `ssl.SSLError`."""
        (root,) = (self.directory / "issued/issuers/internal/root").glob("v*/chain.pem")
        context = ssl.create_default_context(cafile=str(root))
        port = int(running.ready["public"][0].rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 10.0) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            found = tls.getpeercert(binary_form=True)
        assert found is not None
        return found

    def waits_for(self, running: Program[dict[str, list[str]]], name: str) -> bytes:
        """The same, once it succeeds."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self.handshake(running, name)
            except (ssl.SSLError, ConnectionError, ValueError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def secrets(self) -> list[bytes]:
        """Every secret of this run that is in a file: keys in PEM and as octets, PINs, sealed keys as they would be in the clear."""
        found = [PIN.encode()]
        for path in self.directory.rglob("*"):
            if path.is_file() and (content := path.read_bytes()).startswith(b"-----BEGIN PRIVATE KEY"):
                text = b"".join(content.splitlines()[1:-1])
                found += [text[20:60], base64.b64decode(text)[-64:]]
        return found

    def burns(self) -> None:
        shutil.rmtree(self.directory)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What it took until a proxy served that had made a new key in the token: `machine_seconds` of processors, and `seconds` of a clock.

    `size` is that of the backup; `leaked` says how many of so many `secrets` are in it.
    """

    machine_seconds: float
    seconds: float
    size: int
    leaked: int
    secrets: int


class Operator:
    """Types the commands of a backup and of a restore."""

    def __init__(self, machine: Machine, place: Path) -> None:
        self.machine = machine
        self.backup: Final = place / "plexigate.pxbackup"

    def backs_up(self) -> None:
        self.machine.runs("backup", "create", self.backup, "--config", self.machine.path)

    def restores(self, shares: str) -> None:
        self.machine.runs("hsm", "recover", *self.machine.token_options, typed=shares)
        self.machine.runs("backup", "restore", self.backup, *self.machine.token_options)


def recovered(machine: Machine, operator: Operator) -> Recovery:
    """Lose a machine and bring it back. Raises `AssertionError` if something does not serve."""
    machine.gets_a_token()
    machine.path.write_text(configuration(machine.names, softhsm_module()))
    shares = machine.runs("hsm", "init", "--yes", "--config", machine.path)
    machine.issues()
    with machine.serves() as running:
        before = machine.waits_for(running, IN_TOKEN)
        names = range(0, machine.names, machine.names // 7)
        sample = [f"{'abcdefghij'[number % 10]}.n{number // 10}.test" for number in names]
        certificates = {name: machine.waits_for(running, name) for name in sample}
        operator.backs_up()
    secrets = machine.secrets()
    content = operator.backup.read_bytes()
    leaked = sum(secret in content for secret in secrets)
    machine.burns()
    machine.gets_a_token()
    began, used = time.monotonic(), _used()
    operator.restores(shares_of(shares, _NEEDED))
    with machine.serves() as running:
        assert {name: machine.waits_for(running, name) for name in sample} == certificates
        assert machine.waits_for(running, IN_TOKEN) != before, "a key that was in the token is back"
        took = time.monotonic() - began
        status = UnixAdminClient(machine.directory / "plexigate.sock").get("/status")[1]
        assert status["readiness"]["ready"], status["readiness"]
    return Recovery(_used() - used, took, len(content), leaked, len(secrets))


def _used() -> float:
    """The processor time of all programs that have ended."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of_children.ru_utime + of_children.ru_stime


def shares_of(printed: str, count: int) -> str:
    """The first shares that `hsm init` printed."""
    parts = printed.split("\nShare ")
    return "\nShare ".join(parts[: count + 1])


def run(_minutes: float, console: Console) -> list[str]:
    """`./dev soak recovery`."""
    with TemporaryDirectory() as place:
        machine = Machine(Path(place, "machine"), NAMES)
        found = recovered(machine, Operator(machine, Path(place)))
    console.print(
        f"{NAMES:,} names, a backup of {found.size:,} bytes; back after {found.machine_seconds:.1f} s of processors, "
        f"{found.seconds:.1f} s by the clock",
        highlight=False,
    )
    wrong = [f"{found.leaked} of {found.secrets:,} secrets are in the backup"] if found.leaked else []
    if found.machine_seconds > MOST_SECONDS:
        wrong.append(f"it took {found.machine_seconds:.0f} s, more than {MOST_SECONDS:.0f} s")
    return wrong
