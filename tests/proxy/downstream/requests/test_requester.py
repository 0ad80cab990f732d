"""Who a request comes from, behind a trusted peer and without one."""

from ipaddress import ip_network

import pytest

from config.tables.listener import ClientAddressFrom
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.requester import PeerTrust, Requester
from proxy.http.fields import sort_request_fields
from proxy.limits.networks import EXEMPT, is_in, network_of
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
from proxy.routes.access import Access
from tests.fakes_http import established

CLIENT, FORGED, PEER = "198.51.100.7", "203.0.113.66", "192.0.2.7"
FIELDS = sort_request_fields(
    [(b"Host", b"chat.test"), (b"X-Forwarded-For", CLIENT.encode()), (b"FORWARDED", b"for=" + FORGED.encode())]
)


@pytest.mark.parametrize(
    ("reads", "client"), [(ClientAddressFrom.X_FORWARDED_FOR, CLIENT), (ClientAddressFrom.FORWARDED, FORGED)]
)
def test_only_one_of_two_fields_is_read(reads: ClientAddressFrom, client: str) -> None:
    assert PeerTrust((ip_network(PEER),), reads).chain(FIELDS).addresses == (client,)


def behind(trust: PeerTrust, value: bytes | None = CLIENT.encode()) -> Requester:
    claims = [] if value is None else [(b"X-Forwarded-For", value)]
    rates = None if is_in(PEER, trust.exempt) else ClientRates(network_of(PEER))
    facts = ClientFacts(PEER, "public", established(), trust, rates)
    return facts.client_of(sort_request_fields([(b"Host", b"chat.test"), *claims]))


def trust(*exempt: str) -> PeerTrust:
    networks = tuple(ip_network(network) for network in exempt)
    return PeerTrust((ip_network(PEER), ip_network("10.0.0.0/8")), ClientAddressFrom.X_FORWARDED_FOR, networks)


def test_client_is_shown_as_upstreams_have_it() -> None:
    found = behind(trust())
    assert (found.address, found.shown, found.network) == (CLIENT, CLIENT.encode(), network_of(CLIENT))
    assert (found.record.client, found.record.peer) == (CLIENT, PEER)
    itself = behind(trust(), None)
    assert (itself.address, itself.shown, itself.record.peer) == (PEER, PEER.encode(), None)
    mapped = ClientFacts("::ffff:192.0.2.7", "public", established()).requester
    assert (mapped.address, mapped.shown) == ("::ffff:192.0.2.7", PEER.encode())


def test_exempt_is_decided_by_the_client_and_not_by_its_balancer() -> None:
    assert behind(trust(PEER)).network == network_of(CLIENT)
    assert behind(trust(CLIENT)).network == EXEMPT


@pytest.mark.parametrize("value", [b"unknown", b"", b"198.51.100.7, _hidden", None])
def test_balancer_that_does_not_tell_its_client_is_not_exempt(value: bytes | None) -> None:
    found = behind(trust(PEER), value)
    assert (found.address, found.network) == (PEER, network_of(PEER))


def test_hop_that_does_not_tell_its_client_is_not_exempt() -> None:
    assert behind(trust("10.0.0.1"), b"unknown, 10.0.0.1").network == network_of("10.0.0.1")
    assert behind(trust("10.0.0.1"), b"10.0.0.1").network == EXEMPT, "it asks for itself"


def test_client_that_is_exempt_never_waits() -> None:
    rate, table = RequestRate.of("chat.test/", 0.5, 1, is_per_client=True), SharedTable.private()
    exempt, other = behind(trust(CLIENT)), behind(trust(PEER))
    assert [exempt.take(rate, table, 1_000.0) for _ in range(2)] == [0.0, 0.0]
    assert [other.take(rate, table, 1_000.0) for _ in range(2)] == [0.0, 2.0]
    neighbour = behind(trust(), b"198.51.100.8")
    assert neighbour.take(rate, table, 1_000.0) == 0.0, "another client of the same balancer has its own rate"


@pytest.mark.parametrize(
    ("value", "may"),
    [
        (CLIENT.encode(), True),
        (b"203.0.113.9", False),
        (b"unknown", False),
        (b"unknown, 10.0.0.1", False),
        (None, False),
    ],
)
def test_client_that_is_not_named_is_of_no_network_that_may_pass(value: bytes | None, *, may: bool) -> None:
    access = Access([ip_network("198.51.100.0/24"), ip_network("192.0.2.0/24"), ip_network("10.0.0.0/8")], [])
    assert behind(trust(), value).is_admitted_by(access) is may
    assert behind(trust(), value).is_admitted_by(Access([], [ip_network("203.0.113.0/24")])) is may


def test_peer_that_is_not_trusted_is_judged_by_its_own_address() -> None:
    stranger = ClientFacts(PEER, "public", established()).client_of(FIELDS)
    assert stranger.is_admitted_by(Access([ip_network(PEER)], []))
    assert not stranger.is_admitted_by(Access([ip_network(CLIENT)], []))


def test_client_without_a_name_passes_no_list_of_networks() -> None:
    unnamed = ClientFacts(PEER, "public", established(), is_named=False).requester
    named = ClientFacts(PEER, "public", established()).requester
    for access in (Access([ip_network(PEER)], []), Access([], [ip_network("10.0.0.0/8")])):
        assert [one.is_admitted_by(access) for one in (unnamed, named)] == [False, True]
