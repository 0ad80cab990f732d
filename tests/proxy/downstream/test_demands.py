"""What a route demands of the client, and the answer to one that does not meet it."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from config.listener import ClientAddressFrom
from proxy.downstream.admission import RouteTarget, admit
from proxy.downstream.client import ClientFacts
from proxy.downstream.demands import unmet_demand
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requester import PeerTrust
from proxy.http.fields import Fields
from proxy.http.framing import request_framing
from proxy.http.head import MalformedMessage, parse_request_head
from proxy.http.routing import Route, RouteTable
from proxy.routes.access import Access
from proxy.tls.client_certificate import ClientCertificate
from proxy.tls.groups import NamedGroup
from tests.client_authorities import ClientAuthority
from tests.fakes_http import CLASSICAL, HYBRID, LIMITS, established, request

OPEN = RouteTarget("open", "chat", requires_pq=False, body_bytes=1_000)
STRICT = RouteTarget("strict", "chat", requires_pq=True, body_bytes=1_000)


def asked(
    target: RouteTarget,
    group: NamedGroup | None = HYBRID,
    address: str = "192.0.2.7",
    claimed: bytes | None = None,
    *,
    is_trusted: bool = False,
) -> RequestRefusal | None:
    """The answer to a request of a client with this key exchange and this address; `claimed` is what a peer says."""
    trust = PeerTrust((ip_network(address),), ClientAddressFrom.X_FORWARDED_FOR) if is_trusted else None
    facts = ClientFacts(address, "public", established(group=group), trust)
    fields = Fields([], [(b"X-Forwarded-For", claimed)] if claimed else [], {})
    return unmet_demand(target, facts, facts.client_of(fields))


@pytest.mark.parametrize(("target", "group"), [(OPEN, HYBRID), (OPEN, CLASSICAL), (OPEN, None), (STRICT, HYBRID)])
def test_client_that_meets_all_demands_may_go_on(target: RouteTarget, group: NamedGroup | None) -> None:
    assert asked(target, group) is None


@pytest.mark.parametrize(("group", "name"), [(CLASSICAL, "X25519"), (None, "unknown")])
def test_stricter_route_names_group_and_remedy(group: NamedGroup | None, name: str) -> None:
    refused = asked(STRICT, group)
    assert refused is not None
    assert (refused.status, refused.reason) == (403, "route_requires_pq")
    assert name in refused.detail
    assert refused.members["group"] == name
    assert "X25519MLKEM768" in str(refused.members["required"])
    assert "client" in str(refused.members["remedy"])


class TestCertificate:
    MEMBERS = replace(OPEN, label="members", requires_certificate=True)
    ROUTES = RouteTable([Route("chat.test", "/", OPEN), Route("chat.test", "/members", MEMBERS)])

    @pytest.fixture
    def bot(self, tmp_path: Path) -> ClientCertificate:
        return ClientCertificate(ClientAuthority("Root").issue(tmp_path, "bot").der)

    def answer(self, start: bytes, client: ClientCertificate | None) -> int | str:
        """The status of a refusal, or the label of the route."""
        tls = established()
        tls.client = client
        facts = ClientFacts("192.0.2.7", "public", tls)
        try:
            head = parse_request_head(request(start=start, host=b"chat.test"), LIMITS.head)
            framing = request_framing(head)
        except MalformedMessage as error:
            return error.status
        target = admit(head, framing, tls, self.ROUTES)
        if isinstance(target, RequestRefusal):
            return target.status
        refusal = unmet_demand(target, facts, facts.client_of(framing.fields))
        return target.label if refusal is None else refusal.status

    def test_client_without_one_gets_the_reason(self) -> None:
        refused = asked(self.MEMBERS)
        assert refused is not None
        assert (refused.status, refused.reason) == (403, "client_certificate_required")

    def test_client_with_one_may_go_on(self, bot: ClientCertificate) -> None:
        assert self.answer(b"GET /members HTTP/1.1", bot) == "members"
        assert self.answer(b"GET /other HTTP/1.1", None) == "open"

    @pytest.mark.parametrize(
        "target",
        [
            *(b"/members", b"/members?x", b"/members/", b"/members/x", b"/%6dembers", b"/x/../members", b"/./members"),
            *(b"//members", b"/x%2f..%2fmembers", b"/members%2fx", b"/members;x", b"https://chat.test/members"),
            *(b"/x\\..\\members", b"/members/..%2fother", b"/%2e/members", b"/x/%2e%2e/members", b"/members%00"),
        ],
    )
    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"OPTIONS"])
    def test_no_spelling_of_a_path_gets_round_it(self, method: bytes, target: bytes) -> None:
        assert self.answer(b"%b %b HTTP/1.1" % (method, target), None) in {400, 403}


INSIDE = replace(OPEN, access=Access([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")], []))


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"])
def test_client_of_an_allowed_network_may_go_on(address: str) -> None:
    assert asked(INSIDE, address=address) is None


@pytest.mark.parametrize("address", ["198.51.100.1", "::ffff:198.51.100.1", "2001:db9::7", "fe80::1"])
def test_client_of_another_network_is_refused(address: str) -> None:
    refused = asked(INSIDE, address=address)
    assert refused is not None
    assert (refused.status, refused.reason) == (403, "network_not_allowed")


def test_stranger_cannot_claim_an_address() -> None:
    assert asked(INSIDE, address="198.51.100.1", claimed=b"192.0.2.7") is not None


@pytest.mark.parametrize(
    ("claimed", "may"), [(b"192.0.2.7", True), (b"198.51.100.1", False), (b"unknown", False), (None, False)]
)
def test_trusted_peer_names_the_client(claimed: bytes | None, *, may: bool) -> None:
    assert (asked(INSIDE, address="192.0.2.1", claimed=claimed, is_trusted=True) is None) is may


def test_post_quantum_key_exchange_is_demanded_first() -> None:
    refused = asked(replace(INSIDE, requires_pq=True), CLASSICAL, address="198.51.100.1")
    assert refused is not None
    assert refused.reason == "route_requires_pq"
