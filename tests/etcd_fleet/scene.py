"""Three proxies of a fleet and three members of etcd, with TLS, as operators set them up; a network that can be cut."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.sealing.recipients import RecipientKem
from config.loading.loader import load
from proxy.admin.client import AdminRefused, AdminUnreachable, UnixAdminClient
from proxy.commands.cli import app
from proxy.supervisor.membership.kinds.keys.ticket_plan import TicketPlan
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.state import NodeFile, NodeState
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.certificates import Authority
from tests.configurations import identity
from tests.etcd import Etcd, Place
from tests.etcd_fleet.network import Network
from tests.etcd_fleet.thief import Secret, found_on_disks, secrets_at, secrets_of
from tests.ports import lasting_port
from tests.programs import Program, plexigate, program
from tests.soak.scenes import backend_port
from tests.waiting import until_found

NODES = ("edge-1", "edge-2", "edge-3")
MEMBERS = ("etcd-1", "etcd-2", "etcd-3")
PREFIX = "/plexigate/"
PER_SECOND = 60
BURST = 30
"""Of the requests for /limited, over all proxies."""
_QUOTA_BYTES = 96 << 20
NO_HEADERS: Final[Mapping[str, str]] = {}
REQUEST = b"GET /load/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Node:
    """A proxy of the fleet. Its disk stays when it ends."""

    name: str
    path: Path
    client: ssl.SSLContext
    running: Program[dict[str, list[str]]] | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def output(self) -> list[str]:
        """What it has printed."""
        assert self.running is not None
        return self.running.output

    def start(self) -> None:
        """Run it, until `stop`."""
        self.running = self._stack.enter_context(plexigate(self.path))

    def stop(self) -> None:
        """End it, if it still runs."""
        self.running = None
        self._stack.close()

    def kill(self) -> None:
        """End it, as a power cut does."""
        self.signal(signal.SIGKILL)
        self.stop()

    def signal(self, number: signal.Signals) -> None:
        """Tell the parent something."""
        assert self.running is not None
        os.kill(self.running.pid, number)

    def command(self, *words: str, given: str | None = None) -> Any:
        """What a command of an operator answers."""
        done = CliRunner().invoke(app, [*words, "--json", "--socket", str(self.socket)], input=given)
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    def attempt(self, *words: str, status: int = 1) -> str:
        """What a command says that is refused, or ends with another status."""
        done = CliRunner().invoke(app, [*words, "--socket", str(self.socket)])
        assert done.exit_code == status, done.output
        return done.output

    def served(self, seconds: float, every: float) -> int:
        """How many of the requests for /limited were answered that a client sends for so long."""
        end = time.monotonic() + seconds
        count = 0
        with closing(self._connection("127.0.0.2")) as connection:
            while time.monotonic() < end:
                connection.request("GET", "/limited/x")
                response = connection.getresponse()
                response.read()
                assert response.status in {200, 429}
                count += response.status == 200
                time.sleep(every)
        return count

    def asked(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[int, Mapping[str, str], bytes]:
        """What a client gets for a request: status, header fields, and body."""
        with closing(self._connection("127.0.0.1")) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def _connection(self, address: str) -> HTTPSConnection:
        """Of a client at an address, as it comes by a balancer: under one name and port for all proxies."""
        connection = HTTPSConnection("localhost", context=self.client, timeout=10, source_address=(address, 0))
        connection._create_connection = lambda _, *rest: socket.create_connection(("127.0.0.1", self.port), *rest)  # type: ignore[attr-defined]
        return connection

    def answer(self) -> int:
        """The status of an answer."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as sock,
            self.client.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            tls.sendall(REQUEST)
            return int(tls.recv(10_000).split(b" ")[1])

    @property
    def disk(self) -> Path:
        """Where it keeps what it seals."""
        return self.path.parent / "state"

    @property
    def socket(self) -> Path:
        return self.path.parent / "admin.sock"

    @property
    def status(self) -> Any:
        """What `plexigate fleet status` shows, as soon as a node that has just started has read its disk."""

        def shown() -> Any:
            status, document = UnixAdminClient(self.socket).get("/fleet")
            return document if status == 200 else None

        return until_found(shown)

    @property
    def port(self) -> int:
        """Where it serves."""
        assert self.running is not None
        return int(self.running.ready["public"][0].rpartition(":")[2])

    def visit(self, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        """One connection with a request: whether it resumed the session, and one for the next."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as sock,
            self.client.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(REQUEST)
            assert tls.recv(10_000).startswith(b"HTTP/1.1 200")
            assert tls.session is not None
            return bool(tls.session_reused), tls.session

    @property
    def state(self) -> NodeState:
        """What is on its disk, as the node itself opens it."""
        loaded = load(self.path)
        vault = Safe(now_in_utc).vault(loaded)
        assert vault is not None
        return NodeFile(self.disk, lambda: vault.sealer(Purpose.FLEET), RecipientKem.MLKEM768_X25519).read()

    @property
    def kept(self) -> dict[str, str]:
        """Everything on its disk that the fleet shares."""
        return {name: repr((one.serial, one.content)) for name, one in self.state.values.items()}

    def rotate(self) -> None:
        """Rotate what an operator can: a certificate of the internal CA, and a payload ring. It may be killed meanwhile."""
        admin = UnixAdminClient(self.socket)
        with suppress(AdminUnreachable, AdminRefused):
            admin.post("/payload/chat/rotate", {})
            for _ in admin.steps("/certificates/inner/rotate", {}):
                pass

    @property
    def plan(self) -> TicketPlan:
        """Of the ticket keys, on its disk."""
        return TicketPlan.from_json(self.state.values[TICKETS].content)


class FleetScene:
    """All of it."""

    def __init__(self, directory: Path, backend: int, more: str = "") -> None:
        """Make everything, with `more` in the configuration of each proxy; nothing runs yet."""
        self.directory = directory
        authority = Authority(directory, "etcd authority")
        self.network = Network(self._processes)
        server = authority.issue("etcd")
        ports = {name: lasting_port() for name in MEMBERS}
        reached = {name: self.network.reach(name, port) for name, port in ports.items()}
        self.members = [
            Etcd(directory / name, server, authority.path, Place(name, port, reached)) for name, port in ports.items()
        ]
        for one in self.members:
            one.more = ("--quota-backend-bytes", str(_QUOTA_BYTES))
        urls = [f"https://127.0.0.1:{self.network.reach(one.name, one.port)}" for one in self.members]
        self._clients = Authority(directory)
        self.backend: Final = backend
        self._more = more
        self._certificate = self._clients.issue("localhost")
        self.nodes = [self._made(name, urls, authority) for name in NODES]
        self.secrets: set[Secret] = set()
        """All that were noted."""

    def _made(self, name: str, urls: Sequence[str], authority: Authority) -> Node:
        directory = self.directory / name
        directory.mkdir()
        create_key(directory / "sealing.key")
        client = authority.issue(name, is_named=False)
        (directory / "plexigate.toml").write_text(
            f'workers = 1\n[listener.public]\nbind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp = ["h2", "http/1.1"]\n'
            f"{identity('local', ('localhost', '127.0.0.1'), self._certificate)}"
            f'[upstream.backend]\nservers = ["http://127.0.0.1:{self.backend}"]\n'
            '[[route]]\nhost = "localhost"\nupstream = "backend"\n'
            '[[route]]\nhost = "localhost"\npath = "/limited"\nupstream = "backend"\n'
            f'rate = {{ requests_per_second = {PER_SECOND:.1f}, burst = {BURST}, per = "fleet" }}\n'
            '[[route]]\nhost = "localhost"\npath = "/of-ring"\nupstream = "backend"\n'
            'payload = "require"\npayload_ring = "chat"\n'
            '[[route]]\nhost = "localhost"\npath = "/of-session"\nupstream = "backend"\n'
            'payload = "require"\npayload_sessions = true\n'
            '[identity.inner]\nnames = ["inner.test"]\n[[identity.inner.credential]]\n'
            'key = "ec-p256@sealed"\nissuer = "ca"\n[issuer.ca]\ntype = "internal"\nkey = "ec-p256@sealed"\nroot = "ec-p256@sealed"\n'
            f"[payload.ring.chat]\n[payload.sessions]\n{self._more}"
            f'[sealing]\nkey = "{directory}/sealing.key"\ndirectory = "{directory}/state"\n'
            f'[rotation]\nstate = "{directory}/state"\n'
            f'[fleet]\netcd = {json.dumps(urls)}\nname = "{name}"\nca = "{authority.path}"\n'
            f'certificate = "{client.certificate}"\nkey = "{client.key}"\n'
            f'[admin]\nsocket = "{directory}/admin.sock"\n'
        )
        return Node(name, directory / "plexigate.toml", self._clients.client_context())

    def _processes(self) -> dict[str, int]:
        nodes = {node.name: node.running.pid for node in self.nodes if node.running is not None}
        return nodes | {member.name: member.pid for member in self.members if member.pid is not None}

    @property
    def client(self) -> ssl.SSLContext:
        """Who trusts the proxies."""
        return self._clients.client_context()

    # -- etcd

    def start_etcd(self) -> None:
        """Run all members, and wait until they take writes."""
        for one in self.members:
            one.begin()
        for one in self.members:
            until_found(one.is_healthy, 20)

    def kill_etcd(self) -> None:
        """End all members, as a power cut does."""
        for one in self.members:
            one.kill()

    def cut_off(self, node: Node) -> None:
        """Let a proxy reach no member."""
        self.network.cut(*((node.name, member) for member in MEMBERS))

    def cut_off_member(self, member: Etcd) -> None:
        """Let a member reach no other one. The proxies reach it."""
        self.network.cut(*((member.name, other) for other in MEMBERS if other != member.name))

    def cut_off_with(self, node: Node, member: Etcd) -> None:
        """Let a proxy reach this member alone, and the member no other one."""
        others = [other for other in MEMBERS if other != member.name]
        self.network.cut(*((one, other) for one in (node.name, member.name) for other in others))

    def restore_etcd(self, snapshot: Path) -> None:
        """Put a snapshot in place of what all members have, as etcd's documents say. They are not to run."""
        for one in self.members:
            shutil.rmtree(one.data)
            command = ["etcdutl", "snapshot", "restore", str(snapshot), "--data-dir", str(one.data), *one.member]
            subprocess.run(command, check=True, capture_output=True)

    # -- the fleet

    @property
    def leader(self) -> Node | None:
        """The proxy that leads, if one does."""
        return next((node for node in self.running if node.status["is_leading"]), None)

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.running is not None]

    def led(self, seconds: float = 10.0) -> Node:
        """The proxy that leads, as soon as one does."""
        found = until_found(lambda: self.leader, seconds)
        assert found is not None
        return found

    def settled(self, seconds: float = 20.0) -> None:
        """Wait until all proxies that run have what the fleet shares."""
        until_found(lambda: not any(node.status["fault"] for node in self.running), seconds)
        until_found(lambda: len({node.status["tickets_until"] for node in self.running}) == 1, seconds)
        self.led(seconds)

    def alike(self) -> None:
        """Wait until all disks have the same of what the fleet shares."""
        until_found(lambda: self.nodes[0].kept == self.nodes[1].kept == self.nodes[2].kept, 20)

    def join(self, node: Node, by: Node) -> float:
        """Let a proxy join, by the commands of docs/fleet.md; how long it took after the approval until it resumed sessions."""
        token = by.command("fleet", "invite")["token"]
        self.note_secrets(by)
        asked = node.command("fleet", "join", given=token + "\n")
        until_found(lambda: asked["key"] in [row["key"] for row in by.status["requests"]])
        began = time.monotonic()
        by.command("fleet", "approve", node.name)
        until_found(lambda: node.status["tickets_until"])
        until_found(lambda: node.visit(by.visit()[1])[0])
        return time.monotonic() - began

    def join_all(self) -> Iterator[tuple[Node, float]]:
        """Let all others join the one that leads; each with how long `join` took."""
        founder = self.led()
        for node in self.nodes:
            if node is not founder:
                yield node, self.join(node, founder)

    # -- what a thief would like

    def note_secrets(self, *nodes: Node) -> None:
        """Remember those that all nodes, or these, and etcd have now."""
        for node in nodes or self.nodes:
            self.secrets |= {*secrets_of(node.name, node.state)}
        key = (*nodes, *self.nodes)[0].state.key
        assert key is not None
        self.secrets |= {*secrets_at(key, self.members[0].values(PREFIX))}

    def found_on_disks(self) -> list[str]:
        """What a thief of all disks finds."""
        return found_on_disks(self.secrets, (*(one.data for one in self.members), *(one.disk for one in self.nodes)))


@contextmanager
def fleet_scene(directory: Path, more: str = "") -> Iterator[FleetScene]:
    """Run all of it, with `more` in the configuration of each proxy. The others are to join the first one."""
    with ExitStack() as stack:
        backend = stack.enter_context(program([sys.executable, "-m", "tests.soak.backend"], backend_port))
        scene = FleetScene(directory, backend.ready, more)
        stack.callback(scene.network.close)
        for member in scene.members:
            stack.enter_context(member.ended())
        scene.start_etcd()
        for node in scene.nodes:
            stack.callback(node.stop)
            node.start()
            node.client = scene.nodes[0].client  # a session belongs to the context that it was made with
        yield scene
