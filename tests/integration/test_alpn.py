"""Which version of HTTP a client gets from each listener, as OpenSSL's and curl's own programs see it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.tls.wire.alerts import AlertDescription as A
from tests.configurations import listener
from tests.integration.gateway import Gateway, Said, Trust, events, gateway
from tests.integration.upstreams import ScriptedServer

H2, H1 = "h2", "http/1.1"
OFFERS = {"both": (H2, H1), "turned": (H1, H2), "one": (H1,), "two": (H2,)}
LISTENERS = "".join(listener(name, http=protocols) for name, protocols in OFFERS.items())
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def running(trust: Trust, echo_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("alpn"), trust, echo_server, LISTENERS) as running:
        yield running


def chosen(said: Said) -> str | None:
    """What s_client says that the server chose."""
    assert said.is_established
    found = re.search(r"^ALPN protocol: (\S+)$", said.output, re.MULTILINE)
    assert found is not None or "No ALPN negotiated" in said.output
    return None if found is None else found[1]


@pytest.mark.parametrize("groups", ["X25519MLKEM768", "X25519MLKEM768:*x25519"], ids=["direct", "retried"])
@pytest.mark.parametrize("offered", [(H2, H1), (H1, H2), (H2,), (H1,), ("h3", H2, "http/1.0")])
@pytest.mark.parametrize("on", OFFERS)
def test_the_first_of_ours_that_the_client_offers_is_chosen(
    running: Gateway, on: str, offered: tuple[str, ...], groups: str
) -> None:
    said = running.s_client("-alpn", ",".join(offered), "-groups", groups, on=on)
    expected = next((one for one in OFFERS[on] if one in offered), None)
    if expected is None:
        assert said.alert == A.NO_APPLICATION_PROTOCOL
        assert said.status != 0
    else:
        assert chosen(said) == expected


@pytest.mark.parametrize("on", OFFERS)
def test_a_client_without_alpn_speaks_http_1_1_or_nothing(running: Gateway, on: str) -> None:
    said = running.s_client(on=on)
    if on != "two":
        assert chosen(said) is None
        return
    assert said.alert == A.NO_APPLICATION_PROTOCOL
    failed = running.program.wait_for(
        lambda output: next(
            (one for one in events(output, "handshake_failed") if one["detail"].startswith("offered no protocol")),
            None,
        )
    )
    assert (failed["reason"], failed["listener"]) == ("no_application_protocol", "two")


def test_a_resumption_negotiates_anew(running: Gateway, tmp_path: Path) -> None:
    """The tickets of a listener do not settle the protocol of the next connection."""
    ticket = str(tmp_path / "ticket")
    request = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"
    first = running.s_client("-alpn", H1, "-sess_out", ticket, "-ign_eof", on="both", say=request)
    assert chosen(first) == H1
    for offered, expected in ((H2, H2), (f"{H1},{H2}", H2), (H1, H1)):
        resumed = running.s_client("-alpn", offered, "-sess_in", ticket, on="both")
        assert "Reused" in resumed.output
        assert chosen(resumed) == expected


@pytest.mark.parametrize("on", ["both", "turned", "one"])
def test_prior_knowledge_of_http_2_without_alpn_is_refused(running: Gateway, on: str) -> None:
    """RFC 9113 section 3.3 allows it on connections without TLS only."""
    with running.connect(on=on) as client:
        assert client.tls.selected_alpn_protocol() is None
        client.send(PREFACE)
        assert client.read_response().status == 505


@pytest.mark.parametrize("on", ["both", "turned", "one"])
def test_curl_that_asks_for_http_1_1_gets_it_from_each_listener_that_has_it(running: Gateway, on: str) -> None:
    said = running.curl("--http1.1", "--include", "--verbose", on=on)
    assert said.output.startswith("HTTP/1.1 200")
    assert "ALPN: server accepted http/1.1" in said.errors


@pytest.mark.parametrize("on", ["turned", "one"])
def test_curl_that_takes_http_2_gets_http_1_1_where_it_is_preferred(running: Gateway, on: str) -> None:
    said = running.curl("--http2", "--include", "--verbose", on=on)
    assert said.output.startswith("HTTP/1.1 200")
    assert "ALPN: server accepted http/1.1" in said.errors
