"""Two proxies with one etcd, as operators set them up: a session resumes on the other node, by the same commands as in
docs/fleet.md. Then etcd and the leader go, each with -9."""

import base64
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.sealing.recipients import RecipientKem
from config.loading.loader import load
from proxy.admin.client import UnixAdminClient
from proxy.commands.cli import app
from proxy.supervisor.membership.kinds.ticket_plan import TicketPlan
from proxy.supervisor.membership.kinds.tickets import TICKETS
from proxy.supervisor.membership.shared import LEASE_SECONDS
from proxy.supervisor.membership.state import NodeFile
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.certificates import Authority
from tests.configurations import Site
from tests.etcd import Etcd
from tests.integration.gateway import events
from tests.programs import Program, plexigate
from tests.waiting import until_found
from tests.workforces import REQUEST


@dataclass
class Node:
    """A running proxy of the fleet."""

    running: Program[dict[str, list[str]]]
    socket: Path
    client: ssl.SSLContext

    def command(self, *words: str, given: str | None = None) -> Any:
        """What a command of an operator answers."""
        done = CliRunner().invoke(app, ["fleet", *words, "--json", "--socket", str(self.socket)], input=given)
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    @property
    def status(self) -> Any:
        return UnixAdminClient(self.socket).get("/fleet")[1]

    def visit(self, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        """One connection with a request: whether it resumed the session, and one for the next."""
        port = int(self.running.ready["public"][0].rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as sock,
            self.client.wrap_socket(sock, server_hostname="chat.test", session=session) as tls,
        ):
            tls.sendall(REQUEST)
            assert tls.recv(10_000).startswith(b"HTTP/1.1 421")
            assert tls.session is not None
            return bool(tls.session_reused), tls.session


def configured(site: Site, name: str, etcd: Etcd, authority: Authority) -> Path:
    """The file of a node, with a sealing key of its own."""
    directory = site.directory / name
    directory.mkdir()
    create_key(directory / "sealing.key")
    client = authority.issue(name)
    text = (
        f'workers = 1\n{site.minimal}\n[sealing]\nkey = "{directory}/sealing.key"\ndirectory = "{directory}/state"\n'
        f'[fleet]\netcd = "{etcd.url}"\nname = "{name}"\nca = "{authority.path}"\n'
        f'certificate = "{client.certificate}"\nkey = "{client.key}"\n'
        f'[admin]\nsocket = "{directory}/admin.sock"\n'
    )
    return site.write(text, f"{name}.toml")


def test_two_nodes_share_sessions_and_outlive_etcd_and_their_leader(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    authority = Authority(tmp_path, "etcd authority")
    etcd = Etcd(tmp_path, authority.issue("etcd"), authority.path)
    with ExitStack() as stack:
        stack.enter_context(etcd.running())
        one, two = (
            Node(
                stack.enter_context(plexigate(configured(site, name, etcd, authority))),
                tmp_path / name / "admin.sock",
                site.authority.client_context(),
            )
            for name in ("edge-1", "edge-2")
        )
        founder, other = (one, two) if until_found(lambda: _founder(one, two)) is one else (two, one)
        name = other.status["node"]
        two.client = one.client
        own = other.visit()[1]
        assert not founder.visit(own)[0], "before it has joined"

        token = founder.command("invite")["token"]
        asked = other.command("join", given=token + "\n")
        until_found(lambda: [row["key"] for row in founder.status["requests"]] == [asked["key"]])
        began = time.monotonic()
        assert founder.command("approve", name)["node"] == name
        until_found(lambda: other.status["tickets_until"])
        until_found(lambda: other.visit(founder.visit()[1])[0])
        assert time.monotonic() - began < 5
        # both ways, every time
        for first, second in ((one, two), (two, one)) * 5:
            assert second.visit(first.visit()[1])[0]

        # etcd goes, as in a power cut
        session = one.visit()[1]
        etcd.kill()
        until_found(lambda: all(node.status["fault"] for node in (one, two)))
        for first, second in ((one, two), (two, one)) * 10:
            assert second.visit(first.visit()[1])[0]
        assert two.visit(session)[0]
        etcd.start()
        until_found(lambda: all(not node.status["fault"] for node in (one, two)), 20)

        # the leader goes
        leader = until_found(lambda: next((node for node in (one, two) if node.status["is_leading"]), None))
        assert leader is not None
        next_one = two if leader is one else one
        session = leader.visit()[1]
        os.kill(leader.running.pid, signal.SIGKILL)
        began = time.monotonic()
        until_found(lambda: next_one.status["is_leading"])
        assert time.monotonic() - began < LEASE_SECONDS + 2
        assert next_one.visit(session)[0]
        names = [entry["event"] for entry in events(other.running.output, "fleet_joined")]
        assert names == ["fleet_joined"]
    # what thieves of the disks of etcd, and of a node without its sealing key, find
    secrets = {
        text
        for secret in (secret for name in ("edge-1", "edge-2") for secret in secrets_of(tmp_path / name))
        for text in (secret, secret.hex().encode(), base64.b64encode(secret))
    }
    assert len(secrets) >= 3 * 5
    places = (etcd.data, tmp_path / "edge-1/state", tmp_path / "edge-2/state")
    contents = [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]
    assert any(b"/plexigate/tickets" in content for content in contents)
    assert not [secret for secret in secrets for content in contents if secret in content]


def secrets_of(directory: Path) -> Iterator[bytes]:
    """What a node has shared, as the node itself opens it."""
    loaded = load(directory.with_suffix(".toml"))
    vault = Safe(now_in_utc).vault(loaded)
    assert vault is not None
    state = NodeFile(directory / "state", lambda: vault.sealer(Purpose.FLEET), RecipientKem.MLKEM768_X25519).read()
    assert state.key is not None
    yield state.key.secret
    yield from (one.secret for one in TicketPlan.from_json(state.values[TICKETS].content).keys)


def _founder(*nodes: Node) -> Node | None:
    return next((node for node in nodes if node.status.get("tickets_until")), None)
