"""What upstreams and the log are told about a client."""

import pytest

from proxy.downstream.client import ClientFacts
from proxy.http.fields import sort_request_fields
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.requests import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
from tests.fakes_http import HYBRID, established


def test_a_client_is_described_once() -> None:
    facts = ClientFacts("::ffff:192.0.2.7", "public", established(), True)  # noqa: FBT003 - a fact
    assert (facts.peer.address, facts.peer.is_trusted) == (b"192.0.2.7", True)
    assert facts.peer is facts.peer
    assert (facts.record.client, facts.record.listener, facts.record.group) == (
        "::ffff:192.0.2.7",
        "public",
        HYBRID.name,
    )
    assert facts.record is facts.record


def test_a_client_that_is_exempt_never_waits() -> None:
    rate, table = RequestRate.of("chat.test/", 0.5, 1, is_per_client=True), SharedTable.private()
    exempt = ClientFacts("192.0.2.7", "public", established(), is_trusted=False)
    other = ClientFacts("192.0.2.7", "public", established(), is_trusted=False, rates=ClientRates(b"network"))
    assert [exempt.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 0.0]
    assert [other.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 2.0]


PEER, CLIENT = "192.0.2.7", "2001:db8::7"


def counted(forwarded_for: bytes | None, *, is_trusted: bool, is_exempt: bool) -> bytes:
    """The network that a request counts for, whose peer says that it speaks for this client."""
    rates = None if is_exempt else ClientRates(network_of(PEER))
    facts = ClientFacts(PEER, "public", established(), is_trusted, rates)
    claims = [] if forwarded_for is None else [(b"X-Forwarded-For", forwarded_for)]
    return facts.counts_as(sort_request_fields([(b"Host", b"chat.test"), *claims]))


@pytest.mark.parametrize("claim", [None, CLIENT.encode()])
def test_request_counts_for_its_peer_unless_that_is_trusted(claim: bytes | None) -> None:
    assert counted(claim, is_trusted=False, is_exempt=False) == network_of(PEER)
    assert counted(claim, is_trusted=False, is_exempt=True) == EXEMPT


def test_request_of_a_trusted_peer_counts_for_its_client() -> None:
    assert counted(b"198.51.100.9:40123", is_trusted=True, is_exempt=False) == network_of("198.51.100.9")
    for is_exempt in (False, True):
        assert counted(CLIENT.encode(), is_trusted=True, is_exempt=is_exempt) == network_of(CLIENT)
    assert counted(PEER.encode(), is_trusted=True, is_exempt=True) == EXEMPT
    assert counted(None, is_trusted=True, is_exempt=False) == network_of(PEER)


@pytest.mark.parametrize("name", [b"1.2.3.4.5", b"unknown", b"_hidden", b"\xe9", b"a\x00b"])
def test_client_that_is_no_address_counts_by_its_name(name: bytes) -> None:
    assert counted(name, is_trusted=True, is_exempt=False) == name
