"""The stages of a request: in the order that the documents have, the same for both protocols, and what each one refuses."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from config.tables.listener import ClientAddressFrom
from proxy.auth.grant import Grant
from proxy.auth.rules import AuthRule
from proxy.downstream.pipeline.exchange import Exchange
from proxy.downstream.pipeline.local import LocalResponder
from proxy.downstream.pipeline.pipeline import admit, unmet_demand
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.requester import PeerTrust
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.fields import sort_request_fields
from proxy.http.head import MalformedMessage
from proxy.http.routing import Route, RouteTable
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.payload.endpoints import key_endpoint
from proxy.routes.access import Access
from proxy.tls.wire.client_certificate import ClientCertificate
from proxy.tls.wire.groups import NamedGroup
from tests import house
from tests.client_authorities import ClientAuthority
from tests.fakes_http import (
    CLASSICAL,
    HYBRID,
    LIMITS,
    TRUST,
    Conversation,
    FakeClient,
    established,
    request,
    response,
)
from tests.proxy.downstream.pipeline.test_sealed import ROUTE

PARSED = {
    ".".join(path.relative_to(house.ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in (house.ROOT / "proxy" / "downstream").rglob("*.py")
}

PLAIN = RouteTarget("chat", "x", requires_pq=False, body_bytes=1)
SEALED = RouteTarget("chat", "x", requires_pq=False, body_bytes=1, payload=ROUTE)
LOCAL = RouteTarget(
    "chat", "x", requires_pq=False, body_bytes=1, endpoint=Endpoint(key_endpoint(b""), mark=b"X-Mark: 1\r\n")
)


def taken_up(target: RouteTarget, *lines: bytes, is_trusted: bool = False, host: bytes = b"chat.test") -> Responder:
    service = Conversation().service
    service.runtime = replace(service.runtime, routes=RouteTable([Route("chat.test", "/", target)]))
    facts = ClientFacts("192.0.2.7", "public", established(), TRUST if is_trusted else None)
    read = RequestReader().read(request(*lines, host=host), LIMITS.head)
    client = FakeClient()
    return admit(read, client, client.writer_for(read), service, facts)


@pytest.mark.parametrize(
    ("target", "kind", "is_marked"),
    [(PLAIN, Exchange, False), (SEALED, Exchange, True), (LOCAL, LocalResponder, True)],
    ids=["plain", "sealed", "local"],
)
def test_kind_follows_from_the_route(target: RouteTarget, kind: type[object], *, is_marked: bool) -> None:
    responder = taken_up(target, b"Payload-Key: chat")
    assert (responder.target, responder.refusal) == (target, None)
    assert type(responder) is kind
    assert responder.tally.route == "chat"
    assert bool(responder.mark) is is_marked, "where bodies are encrypted, and of our own, errors say so"


def test_refused_request_has_no_route() -> None:
    responder = taken_up(PLAIN, host=b"other.test")
    assert responder.refusal is not None
    assert (responder.refusal.status, responder.target, responder.tally.route) == (421, None, None)


def test_body_over_the_limit_of_the_route_is_refused() -> None:
    responder = taken_up(PLAIN, b"Content-Length: 2")
    assert responder.refusal is not None
    assert (responder.refusal.status, responder.tally.route) == (413, "chat")


@pytest.mark.parametrize("is_trusted", [True, False])
def test_trusted_peer_names_the_request(*, is_trusted: bool) -> None:
    responder = taken_up(PLAIN, b"X-Request-Id: theirs-1", is_trusted=is_trusted)
    assert (responder.tally.request_id == b"theirs-1") is is_trusted


@pytest.mark.parametrize("target", [PLAIN, SEALED, LOCAL], ids=["plain", "sealed", "local"])
def test_a_server_that_wants_a_proxy_header_is_told_of_the_client(target: RouteTarget) -> None:
    lines = (b"Payload-Key: chat", b"X-Forwarded-For: 203.0.113.9")
    own = taken_up(target, *lines)
    assert isinstance(own.link, ClientFacts)
    assert own.link.address == "192.0.2.7"
    behind = taken_up(target, *lines, is_trusted=True)
    assert not behind.link.keeps_servers, "a peer sends requests of others too: they share no connection"


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
    fields = sort_request_fields([(b"X-Forwarded-For", claimed)] if claimed else [])
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
            read = RequestReader().read(request(start=start, host=b"chat.test"), LIMITS.head)
        except MalformedMessage as error:
            return error.status
        target = read.routed(tls, self.ROUTES)
        if isinstance(target, RequestRefusal):
            return target.status
        refusal = unmet_demand(target, facts, facts.client_of(read.framing.fields))
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


ONE = RequestRate.of("chat.test/", 0.1, 1, is_per_client=True)
AUTH = AuthRule("sso", b"/", frozenset(), 5.0)


def test_open_route_starts_at_once() -> None:
    of = Conversation()
    of.receive(request())
    assert (len(of.server.waiting), of.sso.waiting) == (1, [])


def test_open_route_withholds_fields_in_which_others_tell_who_the_client_is() -> None:
    of = Conversation(withheld=Grant(frozenset({b"x-user"})))
    forged, plain = request(b"x_User: root", b"A: 1"), request(b"A: 1")
    of.receive(forged)
    server = of.server.lend()
    for sent in (forged, plain, plain, forged, b""):
        got = server.sent()
        assert b"root" not in got
        assert b"\r\nA: 1\r\n" in got
        server.receive(response(b"Content-Length: 0"))
        of.receive(sent)


def test_rate_counts_before_anybody_is_asked() -> None:
    of = Conversation(rate=ONE, rates=ClientRates(b"network"), auth=AUTH)
    of.receive(request())
    assert len(of.sso.waiting) == 1
    stream = of.sso.lend()
    stream.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    of.loop.settle()
    of.client.sent()
    of.receive(request())
    assert of.client.sent().startswith(b"HTTP/1.1 429 ")
    assert stream.sent().count(b"GET / ") == 1


def stages() -> dict[str, list[str]]:
    """The stages that the docstring of the pipeline lists, and what they call."""
    text = ast.get_docstring(PARSED["proxy.downstream.pipeline.pipeline"]) or ""
    listed = re.findall(r"^- (\w+): (.+)$", text, re.MULTILINE)
    return {stage: re.findall(r"`([\w.]+)`", names) for stage, names in listed}


def called(function: str) -> Iterator[str]:
    """The names that a function of the pipeline calls in their order, those of its own functions in place."""
    own = {
        one.name: one for one in PARSED["proxy.downstream.pipeline.pipeline"].body if isinstance(one, ast.FunctionDef)
    }
    calls = [one.func for one in ast.walk(own[function]) if isinstance(one, ast.Call)]
    for func in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
        name = ast.unparse(func).rpartition(".")[2]
        if name.startswith("_") and name in own:
            yield from called(name)
        yield name


def test_documents_and_code_have_the_stages_in_the_same_order() -> None:
    page = (house.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    life = page.partition("## Life of a request")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\w+) \|", life, re.MULTILINE)[1:] == list(stages())
    listed = [
        name.rpartition(".")[2]
        for stage, names in stages().items()
        if stage not in {"read", "respond", "record"}  # by events of the client and of the server
        for name in names
        if name not in {"LocalResponder", "Exchange"}  # whose `start` it is
    ]
    calls = [*called("admit"), *called("answer")]
    assert [name for name in dict.fromkeys(calls) if name in listed] == listed


def test_what_the_stages_call_exists() -> None:
    defined = {
        name
        for tree in PARSED.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for name in (node.name, *(f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)))
    }
    assert {name for names in stages().values() for name in names} - defined == set()


def test_both_protocols_send_requests_through_them_and_nobody_else_makes_an_exchange() -> None:
    calls = {
        module: [ast.unparse(one.func) for one in ast.walk(tree) if isinstance(one, ast.Call)]
        for module, tree in PARSED.items()
    }
    users = {module for module, names in calls.items() if "admit" in names and "answer" in names}
    assert users == {"proxy.downstream.http1.connection", "proxy.downstream.http2.stream"}
    made = [module for module, names in calls.items() for name in names if name in {"Exchange", "LocalResponder"}]
    assert made == ["proxy.downstream.pipeline.pipeline"] * 2
