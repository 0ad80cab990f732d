"""What is known of a client for the life of its connection."""

import socket
from pathlib import Path

import pytest

from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.origin import Origin
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.http.fields import sort_request_fields
from proxy.http.forwarded_head import client_cert_lines
from proxy.limits.idleness import Shown
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.request_rates import ClientRates
from proxy.proxy_protocol.header import Endpoints, ProxyHeader, Relayed
from proxy.tls.wire.client_certificate import ClientCertificate
from tests.client_authorities import ClientAuthority
from tests.fakes import changed_identity
from tests.fakes_http import HYBRID, TRUST, established, handshake_policy, server_identity
from tests.proxy.tls.client_visits import trust

PEER = "192.0.2.7"


def test_a_client_is_described_once() -> None:
    facts = ClientFacts("::ffff:192.0.2.7", "public", established())
    assert not facts.is_trusted
    found = facts.requester
    assert found is facts.requester
    assert (found.peer.address, found.chain) == (b"192.0.2.7", None)
    record = found.record
    assert (record.client, record.listener, record.group) == ("::ffff:192.0.2.7", "public", HYBRID.name)


def test_connection_counts_for_its_peer() -> None:
    exempt = ClientFacts(PEER, "public", established())
    other = ClientFacts(PEER, "public", established(), rates=ClientRates(network_of(PEER)))
    assert (exempt.network, exempt.requester.network) == (EXEMPT, EXEMPT)
    assert (other.network, other.requester.network) == (network_of(PEER), network_of(PEER))
    assert (other.idle(5.0).client, other.idle(5.0).shown) == (network_of(PEER), Shown.HANDSHAKE)


def test_connection_of_a_trusted_peer_counts_for_it_and_its_requests_for_their_clients() -> None:
    facts = ClientFacts(PEER, "public", established(), TRUST, ClientRates(network_of(PEER)))
    fields = sort_request_fields([(b"Host", b"chat.test"), (b"X-Forwarded-For", b"2001:db8::7")])
    found = facts.client_of(fields)
    assert facts.is_trusted
    assert (facts.network, found.network) == (network_of(PEER), network_of("2001:db8::7"))
    assert found.peer is facts.requester.peer, "its lines are those of the connection"


class TestCertificate:
    ROOT = ClientAuthority("Root")
    BELOW = ClientAuthority("Below", above=ROOT)

    def test_upstreams_and_the_log_are_told(self, tmp_path: Path) -> None:
        issued = self.BELOW.issue(tmp_path, "bot")
        tls = established()
        tls.identity = changed_identity(tls.identity, clients=trust(self.ROOT))
        tls.client = ClientCertificate(issued.der, issued.chain)
        for address in ("192.0.2.7", "2001:db8::7"):
            facts = ClientFacts(address, "public", tls)
            assert client_cert_lines(issued.der, issued.chain) in facts.requester.peer.lines
            assert facts.requester.peer.asks_for_certificates
            assert facts.requester.record.subject == "CN=bot"

    def test_client_without_one_is_none(self) -> None:
        tls = established()
        facts = ClientFacts("192.0.2.7", "public", tls)
        assert (facts.requester.record.subject, facts.requester.peer.asks_for_certificates) == (None, False)
        tls.identity = changed_identity(tls.identity, clients=trust(self.ROOT, is_required=False))
        facts = ClientFacts("192.0.2.7", "public", tls)
        assert (facts.requester.record.subject, facts.requester.peer.asks_for_certificates) == (None, True)
        assert b"Client-Cert" not in facts.requester.peer.lines

    @pytest.mark.parametrize("is_trusted", [True, False])
    def test_a_trusted_peer_connects_anew_when_clients_are_asked(self, *, is_trusted: bool) -> None:
        """What it said of certificates was believed, and is remembered with its requests."""
        facts = ClientFacts("192.0.2.7", "public", established(), TRUST if is_trusted else None)
        facts.stand({"public": handshake_policy()})
        asking = changed_identity(server_identity(), clients=trust(self.ROOT, is_required=False))
        policies = {"public": handshake_policy(identities=[asking])}
        if is_trusted:
            with pytest.raises(NoLongerWelcome, match="who is asked"):
                facts.stand(policies)
        else:
            facts.stand(policies)
        assert facts.tls.identity is asking


@pytest.mark.parametrize(
    ("claim", "told"),
    [(None, PEER), (PEER.encode(), PEER), (b"2001:db8::7", "2001:db8::7"), (b"unknown", PEER), (b"\xff", PEER)],
)
def test_a_server_is_told_of_the_client_that_a_trusted_peer_speaks_for(claim: bytes | None, told: str) -> None:
    facts = ClientFacts(PEER, "public", established(), TRUST)
    with socket.socket() as sock:
        facts.origin = Origin(sock, ProxyHeader(Relayed.CLIENT, Endpoints(PEER, 1, "198.51.100.2", 443)))
        claims = [] if claim is None else [(b"X-Forwarded-For", claim)]
        link = facts.link_of(facts.client_of(sort_request_fields([(b"Host", b"chat.test"), *claims])))
        endpoints = link.described().endpoints
    assert endpoints is not None
    assert endpoints.source == told
    # only requests that are told of as the peer's own may share a connection to a server
    assert (link is facts) is link.keeps_servers is (told == PEER)


def test_what_is_kept_for_a_client_ends_when_it_has_left() -> None:
    facts = ClientFacts(PEER, "public", established())
    assert facts.keeps_servers
    facts.left()
    assert not facts.keeps_servers
    assert facts.described().endpoints is None
