"""Authorities and revocation lists that change while the proxy runs."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests import prepared
from tests.certificates import DAY, Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.hostile.client import Client, End
from tests.integration.clients_scene import BOTS, OPEN, SECONDS, Asking, Clients, asking
from tests.programs import PLEXIGATE
from tests.waiting import until_found
from tests.web_documents import web_documents

GET = f"GET / HTTP/1.1\r\nHost: {BOTS}\r\n\r\n".encode()


@pytest.fixture
def proxy(tmp_path: Path, authority: Authority) -> Iterator[Asking]:
    (tmp_path / "clients").mkdir()
    with asking(tmp_path, authority, Clients.make(tmp_path / "clients"), 'limits.drain_timeout = "1s"\n') as running:
        yield running


def websocket(proxy: Asking, stack: ExitStack, host: str, client: ClientFiles | None) -> ClientConnection:
    """One that its server keeps open."""
    sock = socket.create_connection(("127.0.0.1", proxy.site.port()), SECONDS)
    one = stack.enter_context(connect(f"wss://{host}/echo", sock=sock, ssl=proxy.context(client)))
    assert works(one)
    return one


def works(one: ClientConnection) -> bool:
    """Whether it still echoes."""
    one.send("x")
    return one.recv(SECONDS) == "x"


def close_code(one: ClientConnection) -> int | None:
    """Wait for the end."""
    with pytest.raises(ConnectionClosed) as caught:
        one.recv(SECONDS)
    return None if caught.value.rcvd is None else caught.value.rcvd.code


def refused(proxy: Asking, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> str | None:
    """The alert that a visit of bots ends with."""
    try:
        proxy.visit(context, BOTS, session)
    except ssl.SSLError as error:
        return error.reason
    return None


class TestRevocation:
    def test_revoked_client_loses_its_connections_and_its_ticket(self, proxy: Asking) -> None:
        clients = proxy.clients
        with ExitStack() as stack:
            revoked, stays = (websocket(proxy, stack, BOTS, one) for one in (clients.bot, clients.other_bot))
            open_to_all = websocket(proxy, stack, OPEN, None)
            idle = stack.enter_context(Client(proxy.address, BOTS, proxy.context(clients.bot)))
            idle.send(GET)
            assert idle.read_response().status == 200
            bad, good = proxy.context(clients.bot), proxy.context(clients.other_bot)
            _, _, ticket = proxy.visit(bad, BOTS)
            _, _, other_ticket = proxy.visit(good, BOTS)

            done = proxy.reload("bots.crl", clients.lists(clients.bot))
            assert done.returncode == 0, done.stdout
            assert "identity.bots.client_certificates.crl" in done.stdout
            assert close_code(revoked) == 1012
            assert idle.await_end() is End.CLEAN
            assert refused(proxy, bad) == refused(proxy, bad, ticket) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
            failed = proxy.failure("client_certificate_revoked", BOTS)
            assert (failed["alert"], failed["detail"]) == ("certificate_revoked", "certificate revoked: CN=bot 1")

            assert works(stays)
            assert works(open_to_all)
            is_resumed, _, ticket = proxy.visit(good, BOTS, other_ticket)
            assert not is_resumed  # it was made by the list before
            assert proxy.visit(good, BOTS, ticket)[0]

    def test_list_that_expires_shuts_out_and_a_new_one_lets_in(self, proxy: Asking) -> None:
        clients, context = proxy.clients, proxy.context(proxy.clients.bot)
        done = proxy.reload("bots.crl", clients.lists(valid=(-DAY, timedelta(seconds=2))))
        assert done.returncode == 0, done.stdout
        _, _, ticket = proxy.visit(context, BOTS)
        ends = time.monotonic() + SECONDS
        while (alert := refused(proxy, context)) is None and time.monotonic() < ends:
            pass  # a handshake takes some milliseconds
        assert alert == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
        assert refused(proxy, context, ticket) == alert
        assert proxy.failure("client_revocations_unknown", BOTS)["detail"] == "CRL has expired: CN=bot 1"
        again = proxy.reload("bots.crl", clients.lists(valid=(-DAY, -timedelta(seconds=1))))
        assert again.returncode == 0  # what only the time makes wrong is a warning
        assert "its clients are refused until there is a current one" in again.stdout + again.stderr
        assert proxy.reload("bots.crl", clients.lists()).returncode == 0
        assert refused(proxy, context) is None

    def test_list_that_is_none_changes_nothing(self, proxy: Asking) -> None:
        context = proxy.context(proxy.clients.bot)
        _, _, ticket = proxy.visit(context, BOTS)
        for content in (
            b"",
            proxy.clients.bots.pem,
            ClientAuthority("Mallory").revocations(),
            proxy.clients.bots.revocations(),
        ):
            done = proxy.reload("bots.crl", content)
            assert done.returncode != 0
            assert "client_certificates.crl" in done.stdout + done.stderr
            command = [PLEXIGATE, "check", str(proxy.site.configuration)]
            checked = prepared.run(command)
            assert checked.returncode != 0
            assert "client_certificates.crl" in checked.stdout + checked.stderr
        assert proxy.visit(context, BOTS, ticket)[0]


def test_other_authorities_end_what_they_did_not_issue(proxy: Asking) -> None:
    clients, context = proxy.clients, proxy.context(proxy.clients.bot)
    renewed = ClientAuthority("Bots")
    with ExitStack() as stack:
        one = websocket(proxy, stack, BOTS, clients.bot)
        optional = websocket(proxy, stack, OPEN, clients.bot)
        without = websocket(proxy, stack, OPEN, None)
        _, _, ticket = proxy.visit(context, BOTS)
        proxy.write("bots.crl", renewed.revocations())
        done = proxy.reload("bots.pem", renewed.pem)
        assert done.returncode == 0, done.stdout
        assert close_code(one) == close_code(optional) == 1012
        assert works(without)
        assert refused(proxy, context, ticket) == "TLSV1_ALERT_DECRYPT_ERROR"  # of the same name, with another key


def test_a_demand_that_is_new_ends_what_cannot_meet_it(proxy: Asking) -> None:
    """`optional` becomes `require`."""
    text = (proxy.directory / "site.toml").read_bytes()
    with ExitStack() as stack:
        without = websocket(proxy, stack, OPEN, None)
        shown = websocket(proxy, stack, OPEN, proxy.clients.bot)
        done = proxy.reload("site.toml", text.replace(b'mode = "optional"', b'mode = "require"'))
        assert done.returncode == 0, done.stdout
        assert close_code(without) == 1012
        assert works(shown)


def test_a_changed_list_is_noticed(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "clients").mkdir()
    clients = Clients.make(tmp_path / "clients")
    with asking(tmp_path, authority, clients, "watch = true\n") as proxy:
        assert refused(proxy, proxy.context(clients.bot)) is None
        proxy.write("bots.crl", clients.lists(clients.bot))
        proxy.site.program.wait_for(lambda output: any('"event": "reloaded"' in line for line in output) or None)
        assert refused(proxy, proxy.context(clients.bot)) == "SSLV3_ALERT_CERTIFICATE_REVOKED"


def test_lists_from_addresses_shut_out_without_a_reload(tmp_path: Path, authority: Authority) -> None:
    """They are kept: they hold while nobody answers at the address."""
    (tmp_path / "clients").mkdir()
    clients = Clients.make(tmp_path / "clients")
    with web_documents() as web, ExitStack() as stack:
        below = web.address("/below", clients.below.revocations())
        bots = web.address("/bots", clients.bots.revocations())
        state = f'rotation.state = "{tmp_path / "state"}"\nlimits.drain_timeout = "1s"\n'
        proxy = stack.enter_context(asking(tmp_path, authority, clients, state, [bots, below]))
        bad, good = proxy.context(clients.bot), proxy.context(clients.other_bot)
        until_found(lambda: refused(proxy, bad) is None)
        revoked, stays = (websocket(proxy, stack, BOTS, one) for one in (clients.bot, clients.other_bot))
        web.contents["/bots"] = clients.bots.revocations(clients.bot.leaf, valid=(-DAY / 2, DAY))
        assert close_code(revoked) == 1012
        assert refused(proxy, bad) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
        failed = proxy.failure("client_certificate_revoked", BOTS)
        assert (failed["alert"], failed["detail"]) == ("certificate_revoked", "certificate revoked: CN=bot 1")
        web.contents.clear()
        assert proxy.site.command("reload").returncode == 0
        assert refused(proxy, bad) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
        assert refused(proxy, good) is None
        assert works(stays)
