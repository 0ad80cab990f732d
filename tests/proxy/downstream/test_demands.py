"""What a route demands of the client, and the answer to one that does not meet it."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.downstream.admission import RouteTarget, admit
from proxy.downstream.client import ClientFacts
from proxy.downstream.demands import unmet_demand
from proxy.downstream.refusals import RequestRefusal
from proxy.http.fields import Fields
from proxy.http.framing import request_framing
from proxy.http.head import MalformedMessage, parse_request_head
from proxy.http.routing import Route, RouteTable
from proxy.tls.client_certificate import ClientCertificate
from proxy.tls.groups import NamedGroup
from tests.client_authorities import ClientAuthority
from tests.fakes_http import CLASSICAL, HYBRID, LIMITS, established, request

OPEN = RouteTarget("open", "chat", requires_pq=False, body_bytes=1_000)
STRICT = RouteTarget("strict", "chat", requires_pq=True, body_bytes=1_000)


def asked(target: RouteTarget, group: NamedGroup | None = HYBRID) -> RequestRefusal | None:
    """The answer to a request of a client with this key exchange."""
    facts = ClientFacts("192.0.2.7", "public", established(group=group), is_trusted=False)
    return unmet_demand(target, facts, Fields([], [], {}))


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
        facts = ClientFacts("192.0.2.7", "public", tls, is_trusted=False)
        try:
            head = parse_request_head(request(start=start, host=b"chat.test"), LIMITS.head)
            framing = request_framing(head)
        except MalformedMessage as error:
            return error.status
        target = admit(head, framing, tls, self.ROUTES)
        if isinstance(target, RequestRefusal):
            return target.status
        refusal = unmet_demand(target, facts, framing.fields)
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
