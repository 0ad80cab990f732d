"""A group whose key exchange costs 50 ms, in a running proxy: who gets it, and who waits for it."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from proxy.tls.wire.server_hello import parse_server_flight
from tests import prepared
from tests.configurations import listener
from tests.integration.gateway import Gateway, Said, Trust, events, gateway
from tests.integration.upstreams import ScriptedServer
from tests.programs import PLEXIGATE
from tests.proxy.tls.hellos import Hello, key_share, record, server_name, signature_algorithms, supported_groups
from tests.proxy.tls.hellos import supported_versions as versions
from tests.slow_provider import CODE_POINT, GROUP, NAME, build_slow_provider

HELLO = record(
    Hello(
        (
            versions(),
            supported_groups([CODE_POINT]),
            key_share((CODE_POINT, b"k" * 32)),
            signature_algorithms(),
            server_name(b"chat.test"),
        )
    ).message
)
"""A client's, which anyone can send repeatedly at no cost."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("slow")
    build_slow_provider(directory)
    return directory


@pytest.fixture(scope="module")
def slow(directory: Path, trust: Trust, echo_server: ScriptedServer) -> Iterator[Gateway]:
    text = (
        listener("standard", groups=[[GROUP], ["X25519MLKEM768"], ["X25519"]])
        + listener("alone", groups=[[GROUP]], pq="require")
        + listener("rarely", groups=[[GROUP], ["X25519"]])
        + "[listener.rarely.limits]\nslow_groups_rate = 0.001\nslow_groups_burst = 1\n"
        + f'[openssl]\nproviders = ["{NAME}"]\nmodule_path = "{directory}"\n'
    )
    with gateway(directory, trust, echo_server, text) as running:
        yield running


@pytest.fixture
def ask(slow: Gateway, directory: Path) -> Callable[[str, str], Said]:
    def ask(groups: str, on: str) -> Said:
        provider = ("-provider-path", str(directory), "-provider", NAME, "-provider", "default")
        return slow.s_client(*provider, "-groups", groups, on=on)

    return ask


@pytest.mark.parametrize(("groups", "hellos"), [(GROUP, 1), (f"{GROUP}:*X25519", 2)])
@pytest.mark.parametrize("on", ["standard", "alone"])
def test_client_of_the_group_gets_it(ask: Callable[[str, str], Said], groups: str, hellos: int, on: str) -> None:
    said = ask(groups, on)
    assert (said.group, said.server_hellos, said.is_established) == (GROUP, hellos, True)


def test_beyond_its_rate_a_client_gets_another_group_or_is_refused(
    slow: Gateway, ask: Callable[[str, str], Said]
) -> None:
    assert ask(GROUP, "rarely").group == GROUP
    assert ask(f"{GROUP}:X25519", "rarely").group == "x25519"
    assert ask(GROUP, "rarely").alert == 80

    def told(output: list[str]) -> dict[str, Any] | None:
        return next((one for one in events(output, "handshake_failed") if one["listener"] == "rarely"), None)

    refused = slow.program.wait_for(told)
    assert (refused["reason"], refused["groups"]) == ("slow_groups_rate", [GROUP])
    assert GROUP in refused["detail"]


def test_check_says_what_the_group_costs(slow: Gateway, directory: Path) -> None:
    del slow
    command = [PLEXIGATE, "check", "--json", str(next(directory.glob("gateway-*.toml")))]
    done = prepared.run(command)
    found = {one["key"]: one["found"] for one in json.loads(done.stdout)["problems"]}
    assert found["listener.standard.groups"].startswith(f"{GROUP}, whose key exchange takes 5")


def test_certs_check_leaves_out_the_listener_whose_groups_it_lacks(slow: Gateway, directory: Path) -> None:
    command = [PLEXIGATE, "certs", "check", "chat", "--config", str(next(directory.glob("gateway-*.toml")))]
    done = prepared.run([*command, "--ca", str(slow.trust.classical.path), "--json"])
    untried = [one["about"] for one in json.loads(done.stdout) if "not seen from here" in one["found"]]
    assert [about.rpartition(" on ")[2] for about in untried] == ["alone"]


def test_replayed_hellos_stop_nobody_else(slow: Gateway) -> None:
    """On the loop, eight of them would be answered before the second request."""
    with ExitStack() as stack:
        port = slow.port("alone")
        attackers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30, (f"127.0.2.{number}", 0)))
            for number in range(1, 9)
        ]
        other = stack.enter_context(slow.connect())
        for one in attackers:
            one.sendall(HELLO)
        for _ in range(3):
            other.send(b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            assert other.read_response().status == 200
        answered, _, _ = select.select(attackers, [], [], 0)
        assert len(answered) < len(attackers)
        flights = [parse_server_flight(one.recv(65_536)) for one in attackers]
    assert {(one.group, one.is_retry) for one in flights} == {(CODE_POINT, False)}
