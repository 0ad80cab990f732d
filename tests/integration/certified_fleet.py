"""Two proxies of a fleet whose certificate comes from pebble, or from an internal CA, and one address in front of both."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from certs.recovery.shares import SharingScheme, split
from certs.sealing.key_file import create_key
from proxy.admin.client import AdminRefused, UnixAdminClient
from proxy.commands.cli import app
from proxy.supervisor.membership.shared import LEASE_SECONDS
from tests import pebble as pebbles
from tests.certificates import Authority
from tests.configurations import MINIMAL_REST, listener
from tests.etcd import Etcd
from tests.hsm_tokens import SoftHsm
from tests.integration.rotation import AcmeScene
from tests.pebble import Pebble
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, Program, plexigate
from tests.waiting import until_found

_IN_TOKEN = "pkcs11:token=plexi;object=sealing.aes-256.v1"  # noqa: S105 - no password
INTERNAL = '[issuer.ca]\ntype = "internal"\n'


class Front:
    """One port that leads to the first of several others that answers, as a balancer does."""

    def __init__(self, *behind: int) -> None:
        self.behind = behind
        self._socket = socket.create_server(("127.0.0.1", lasting_port()))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client:
            for port in self.behind:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
                    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                    back.start()
                    _pump(client, server)
                    back.join()
                    return

    def close(self) -> None:
        self._socket.close()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65_536):
            other.sendall(content)
        other.shutdown(socket.SHUT_WR)


@dataclass
class FleetNode:
    """A proxy, which may be killed and started again."""

    name: str
    configuration: Path
    port: int
    http_port: int
    shares: str = ""
    """Those of its sealing key, as `hsm recover` reads them."""
    running: Program[dict[str, list[str]]] | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def socket(self) -> Path:
        return self.configuration.parent / self.name / "admin.sock"

    def start(self) -> None:
        self.running = self.stack.enter_context(plexigate(self.configuration))

    def kill(self) -> None:
        """As a power cut does."""
        assert self.running is not None
        os.kill(self.running.pid, signal.SIGKILL)
        self.running = None
        self.stack.close()

    def command(self, *words: str, given: str | None = None) -> Any:
        done = CliRunner().invoke(app, ["fleet", *words, "--json", "--socket", str(self.socket)], input=given)
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    def hsm(self, *words: str, typed: str = "") -> str:
        """Run a command for its sealing key, which is in a token or in a file."""
        is_in_token = "[hsm]" in self.configuration.read_text()
        place = [] if is_in_token else ["--key-file", str(self.socket.with_name("sealing.key"))]
        command = [PLEXIGATE, "hsm", *words, "--config", str(self.configuration), *place]
        return subprocess.run(command, input=typed, check=True, capture_output=True, text=True).stdout

    @property
    def status(self) -> Any:
        return UnixAdminClient(self.socket).get("/fleet")[1]

    def rotate(self, **query: str) -> list[dict[str, Any]]:
        """Rotate, once the rotation is over whose certificate serves already."""

        def rotated() -> list[dict[str, Any]]:
            try:
                return list(UnixAdminClient(self.socket).steps("/certificates/chat/rotate", query))
            except AdminRefused as refused:
                if "is being rotated now" not in refused.detail:
                    raise
                return []

        return until_found(rotated)

    def served(self, root: str) -> str:
        """The serial number that a client gets, verified; empty without a handshake."""
        context = ssl.create_default_context(cadata=root)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), 5) as plain,
                context.wrap_socket(plain, server_hostname="chat.test") as tls,
            ):
                found = tls.getpeercert()
        except OSError:
            return ""
        assert found is not None
        return str(found["serialNumber"])

    @property
    def key(self) -> bytes:
        """The private key that it serves by."""
        shelf = self.configuration.parent / self.name / "certificates/credentials/chat/ec"
        number = json.loads((shelf / "ledger.json").read_bytes())["current"]
        return (shelf / f"v{number:06}" / "key").read_bytes()


@dataclass
class CertifiedFleet:
    nodes: tuple[FleetNode, FleetNode]
    etcd: Etcd
    root: Callable[[], str]
    pebble: list[str]
    """What it prints."""
    fronts: tuple[Front, ...] = ()
    """Where pebble asks."""
    hsm: SoftHsm | None = None

    @property
    def orders(self) -> int:
        """How many orders pebble has got."""
        return sum("Added order" in line for line in self.pebble)

    @property
    def leader(self) -> FleetNode:
        return until_found(lambda: next((one for one in self.nodes if one.running and one.status["is_leading"]), None))  # type: ignore[return-value]

    def other(self, node: FleetNode) -> FleetNode:
        return next(one for one in self.nodes if one is not node)

    def versions(self, prefix: str) -> dict[str, int]:
        """How often each name was written since it is there."""
        return self.etcd.versions(f"/plexigate/{prefix}")

    def agrees(self, before: str = "", seconds: float = 60.0) -> str:
        """Wait until both serve by the same certificate and key, another one than `before`; its serial number."""
        one, two = self.nodes
        root = self.root()

        def same() -> str:
            first = one.served(root)
            return first if first not in {"", before} and first == two.served(root) else ""

        serial = until_found(same, seconds)
        assert one.key == two.key
        return serial


@contextmanager
def certified_fleet(
    directory: Path, challenge: str | None = "http-01", hsm: SoftHsm | None = None
) -> Iterator[CertifiedFleet]:
    """Run both, joined; `challenge` None: an internal CA; `hsm`: the sealing key of the second one is in a token of it."""
    with ExitStack() as stack:
        authority = Authority(directory, "etcd authority")
        etcd = Etcd(directory, authority.issue("etcd"), authority.path)
        ports = {name: (lasting_port(), lasting_port()) for name in ("edge-1", "edge-2")}
        output: list[str] = []
        fronts: tuple[Front, ...] = ()
        issuer = INTERNAL
        if challenge is not None:
            names = stack.enter_context(pebbles.names())
            # the node that does not lead answers first
            plain = Front(*(ports[name][1] for name in ("edge-2", "edge-1")))
            tls = Front(*(ports[name][0] for name in ("edge-2", "edge-1")))
            fronts = plain, tls
            for front in fronts:
                stack.callback(front.close)
            pebble = Pebble(directory, names.dns, plain.port, tls.port)
            settings = AcmeScene.by_pebble(pebble, directory, challenge, 0, 0)["acme"]
            lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
            issuer = f'[issuer.ca]\ntype = "acme"\n{lines}'
            output = stack.enter_context(pebble.up())
            (directory / "root.pem").write_bytes(pebble.root)
        stack.enter_context(etcd.running())
        nodes = []
        for name, (port, http_port) in ports.items():
            (directory / name).mkdir()
            client = authority.issue(name)
            path = directory / f"{name}.toml"
            file = directory / name / "sealing.key"
            in_token = hsm if name == "edge-2" else None
            path.write_text(
                f'workers = 1\n[admin]\nsocket = "{directory}/{name}/admin.sock"\n'
                + listener("public", bind=f"127.0.0.1:{port}", pq="require")
                + '[identity.chat]\nnames = ["chat.test"]\n[[identity.chat.credential]]\n'
                + f'key = "ec-p256@file"\nissuer = "ca"\n{issuer}'
                + f'[plain]\nbind = "127.0.0.1:{http_port}"\n[rotation]\nstate = "{name}/certificates"\n'
                + f'{_token(in_token) if in_token else ""}[sealing]\ndirectory = "{directory}/{name}/state"\n'
                + f'key = "{_IN_TOKEN if in_token else file}"\n'
                + f'[fleet]\netcd = "{etcd.url}"\nname = "{name}"\nca = "{authority.path}"\n'
                + f'certificate = "{client.certificate}"\nkey = "{client.key}"\n{MINIMAL_REST}'
            )
            nodes.append(FleetNode(name, path, port, http_port))
            nodes[-1].shares = nodes[-1].hsm("init", "--yes") if in_token else _shares_of_new_key(file)
            stack.callback(nodes[-1].stack.close)
        one, two = nodes
        fleet = CertifiedFleet((one, two), etcd, lambda: _root(directory, one), output, fronts, hsm)
        one.start()
        until_found(lambda: one.status["is_leading"])
        two.start()
        token = one.command("invite")["token"]
        two.command("join", given=token + "\n")
        until_found(lambda: one.status["requests"])
        one.command("approve", "edge-2")
        yield fleet


@contextmanager
def recovered(fleet: CertifiedFleet, lost: FleetNode, name: str) -> Iterator[FleetNode]:
    """Lose all nodes with their disks and tokens, and run one on another machine, which joins by the shares of `lost`'s sealing key."""
    for node in fleet.nodes:
        if node.running:
            node.kill()
            shutil.rmtree(node.socket.parent)
    other = replace(lost, name=name, configuration=lost.configuration.with_stem(name), stack=ExitStack())
    other.socket.parent.mkdir()
    settings = lost.configuration.read_text().replace(f"{lost.name}/", f"{name}/")
    other.configuration.write_text(settings.replace(f'name = "{lost.name}"', f'name = "{name}"'))
    if fleet.hsm:
        for token in (fleet.hsm.directory / "tokens").iterdir():
            shutil.rmtree(token)
        _token(fleet.hsm)
    other.hsm("recover", typed=lost.shares)
    with other.stack:
        other.start()
        assert other.command("recover")["by"] == lost.name
        yield other


def _token(hsm: SoftHsm) -> str:
    """Make one, and say how it is configured."""
    hsm.init_token("plexi")
    return f'[hsm]\nmodule = "{hsm.module}"\n[hsm.token.plexi]\npin_file = "{hsm.pin_file()}"\n'


def _shares_of_new_key(path: Path) -> str:
    """Make a sealing key in a file; enough of its shares, a line each."""
    key = create_key(path, has_shares=True)
    shares = split(bytearray(key.secret), SharingScheme(2, 3))
    return "".join(f"{' '.join(share.words)}\n" for share in shares[1:])


def _root(directory: Path, node: FleetNode) -> str:
    external = directory / "root.pem"
    if external.exists():
        return external.read_text(encoding="ascii")
    (path,) = (directory / node.name / "certificates/issuers/ca/root").glob("v*/chain.pem")
    return path.read_text(encoding="ascii")


STEPS: dict[str, Callable[[CertifiedFleet], bool]] = {
    "it is asked for": lambda fleet: bool(fleet.versions("wishes/")),
    "its key is made": lambda fleet: bool(fleet.versions("rotations/")),
    "its order is placed": lambda fleet: 2 in fleet.versions("rotations/").values(),
    "a challenge is shared": lambda fleet: bool(fleet.versions("challenges/")),
    "the CA is told": lambda fleet: _has(fleet, r"POST /chalZ/"),
    "its request is handed in": lambda fleet: _has(fleet, r"POST /finalize-order/"),
    "etcd does not hear where its order is": lambda fleet: bool(fleet.versions("rotations/")) and _unheard(fleet),
    "all nodes have it": lambda _: False,
}
"""When to kill the leader."""


def _unheard(fleet: CertifiedFleet) -> bool:
    """Whether an order was placed while etcd sleeps, which it does then."""
    fleet.etcd.sleep()
    with suppress(AssertionError):
        return bool(until_found(lambda: fleet.orders, 0.5))
    fleet.etcd.wake()
    return False


def _has(fleet: CertifiedFleet, pattern: str) -> bool:
    return any(re.search(pattern, line) for line in fleet.pebble)


def matrix(directory: Path) -> Iterator[tuple[str, float]]:
    """Kill the leader at each step, with both kinds of CA; answers each, and the seconds that it took."""
    for challenge in ("http-01", "tls-alpn-01", None):
        place = directory / str(challenge)
        place.mkdir()
        with certified_fleet(place, challenge) as fleet:
            for step in STEPS:
                began = time.monotonic()
                killed_at(fleet, step)
                yield f"{challenge or 'internal CA'}: {step}", time.monotonic() - began


def killed_at(fleet: CertifiedFleet, step: str) -> None:
    """Rotate, kill the leader at a step, and see what the next one makes of it within 5 s: one order, one certificate, one key."""
    before = fleet.agrees()
    leader = fleet.leader
    heir = fleet.other(leader)
    for front in fleet.fronts:  # a CA that asks a node while that is killed gives the order up
        front.behind = tuple(sorted(front.behind, key=(leader.port, leader.http_port).__contains__))
    del fleet.pebble[:]
    told: list[object] = []
    asking = threading.Thread(target=_ask, args=(heir, told), daemon=True)
    asking.start()
    # an internal CA needs a moment for all of it: then the leader is killed after the last step
    until_found(lambda: STEPS[step](fleet) or heir.served(fleet.root()) != before)
    leader.kill()
    fleet.etcd.wake()
    began = time.monotonic()
    until_found(lambda: heir.status["is_leading"], LEASE_SECONDS + 5)
    assert time.monotonic() - began < LEASE_SECONDS + 2, step
    leader.start()
    fleet.agrees(before)
    asking.join(30)
    assert told[-1:] == [{"ok": True}], (step, told)
    until_found(lambda: not fleet.versions("rotations/"))
    if fleet.pebble:
        assert fleet.orders == 1, (step, fleet.pebble)
        assert sum("Issued certificate" in line for line in fleet.pebble) == 1, (step, fleet.pebble)


def _ask(node: FleetNode, told: list[object]) -> None:
    told += node.rotate()
