"""What requests are held to."""

from pathlib import Path

import pytest

from config.routes.fields import FieldsConfig
from config.routes.route import RouteConfig
from config.schema import PAGE_UPSTREAM
from proxy.auth.rules import TokenRule
from proxy.building.routes.routes import field_edits, path_change
from proxy.downstream.requests.targets import RouteTarget
from proxy.limits.request_rates import RequestRate
from proxy.routes.security_fields import security_defaults
from proxy.routes.templates import RequestValues
from proxy.tls.openssl.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems
from tests.proxy.auth.test_page_tokens import ONE


def rate_of(generation: Generation) -> RequestRate | None:
    """That of its only route."""
    route = generation.routes.match(b"chat.test", b"/")
    assert route is not None
    return route.payload.rate


@pytest.mark.parametrize(("per", "is_per_client"), [("client", True), ("route", False)])
def test_a_route_may_have_a_rate(
    site: Site,
    capabilities: Capabilities,
    per: str,
    is_per_client: bool,  # noqa: FBT001 - a parameter
) -> None:
    rate = f'rate = {{ requests_per_second = 0.5, burst = 7, per = "{per}" }}\n'
    generation = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST + rate)
    assert rate_of(generation) == RequestRate.of("chat.test/", 0.5, 7, is_per_client=is_per_client)
    plain = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST)
    assert rate_of(plain) is None


def routed(generation: Generation, path: bytes) -> RouteTarget:
    route = generation.routes.match(b"chat.test", path)
    assert route is not None
    return route.payload


def test_routes_of_one_path_are_told_apart_by_their_conditions(site: Site, capabilities: Capabilities) -> None:
    routes = """
[[route]]
host = "chat.test"
path = "/x"
upstream = "chat"
[[route]]
host = "chat.test"
path = "/x"
methods = ["GET"]
headers = { X-Version = "2" }
query = { v = "*" }
upstream = "chat"
[[route]]
host = "chat.test"
path = "/y"
upstream = "chat"
"""
    generation = built(site, capabilities, site.minimal + routes)
    place = routed(generation, b"/x")
    assert place.alternatives is not None
    fields = [(b"x-version", b"2")]
    found = [place.alternatives.match(method, fields, b"v=1") for method in (b"GET", b"HEAD", b"POST")]
    special = "chat.test/x GET x-version=2 ?v=*"
    assert [one and one.label for one in found] == [special, special, "chat.test/x"]
    assert routed(generation, b"/y").alternatives is None


def test_one_route_with_conditions_takes_nothing_else(site: Site, capabilities: Capabilities) -> None:
    text = site.minimal + 'query = { v = "1" }\n'
    place = routed(built(site, capabilities, text), b"/")
    assert place.alternatives is not None
    assert place.alternatives.match(b"GET", [], b"") is None


@pytest.mark.parametrize(
    ("line", "admitted"),
    [("", [True, True]), ('allow = ["10.0.0.0/8"]', [True, False]), ('deny = ["10.0.0.0/8"]', [False, True])],
)
def test_networks_of_a_route_are_built(site: Site, capabilities: Capabilities, line: str, admitted: list[bool]) -> None:
    access = routed(built(site, capabilities, site.minimal + line + "\n"), b"/").access
    assert [access is None or access.admits(one) for one in (b"10.0.0.1", b"192.0.2.1")] == admitted
    assert (access is None) == (not line)


ROUTE = {"host": "chat.example.org", "upstream": "chat", "path": "/u"}


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        ({"strip_prefix": "/u"}, b"/bob/files/x?y"),
        ({"add_prefix": "/in"}, b"/in/u/bob/files/x?y"),
        ({"strip_prefix": "/u", "add_prefix": "/in"}, b"/in/bob/files/x?y"),
        ({"rewrite": {"path": "/u/{name}/files/{rest*}", "to": "/f/{rest*}"}}, b"/f/x?y"),
        ({"rewrite": {"path": "/u/{name}/{kind}/{id}", "to": "/{id}/{name}/"}}, b"/x/bob/?y"),
    ],
)
def test_each_key_changes_the_path(keys: dict[str, object], changed: bytes) -> None:
    change = path_change(RouteConfig.model_validate({**ROUTE, **keys}))
    assert change is not None
    assert change.applied(b"/u/bob/files/x?y") == changed


def test_route_without_them_leaves_the_path_alone() -> None:
    assert path_change(RouteConfig.model_validate(ROUTE)) is None


def unasked() -> RequestValues:
    raise AssertionError("no value depends on the request")


def test_each_key_changes_the_fields() -> None:
    fields = FieldsConfig.model_validate({"remove": ["A"], "set": {"B": "1"}, "add": {"C": "2"}})
    edits = field_edits(fields, security_defaults(hsts=False)[:1])
    assert edits is not None
    lines = edits.edited([b"a: 0\r\n", b"b: 0\r\n", b"c: 0\r\n"], unasked)
    assert lines == [b"c: 0\r\n", b"B: 1\r\n", b"C: 2\r\n", b"X-Content-Type-Options: nosniff\r\n"]


def test_route_without_edits_changes_no_field() -> None:
    assert field_edits(None) is None
    assert field_edits(None, security_defaults(hsts=True)) is not None


PAGE = '[admin]\npage_socket = "/run/p/page.sock"\n[[route]]\nhost = "ops.chat.test"\n'


def tokens(directory: Path, content: bytes = ONE) -> str:
    file = directory / "page.tokens"
    file.write_bytes(content)
    file.chmod(0o600)
    return f'admin_page = {{ tokens = "{file}" }}\n'


def text(site: Site, keys: str) -> str:
    return MINIMAL_LISTENER + site.identity + MINIMAL_REST + PAGE + keys


def target(generation: Generation, path: bytes) -> RouteTarget:
    found = generation.routes.match(b"ops.chat.test", path)
    assert found is not None
    return found.payload


def test_page_asks_for_a_token_and_the_form_for_none(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    keys = tokens(tmp_path) + 'allow = ["10.0.0.0/8"]\npq = "require"\n'
    generation = built(site, capabilities, text(site, keys))
    page, form = target(generation, b"/events"), target(generation, b"/sign-in")
    assert isinstance(page.auth, TokenRule)
    assert page.auth.tokens.knows(ONE)
    assert (page.upstream, page.body_bytes, form.upstream, form.auth) == (PAGE_UPSTREAM, 0, "", None)
    assert page.withheld is not None
    assert page.withheld.removed == {b"authorization", b"cookie"}
    assert form.endpoint is not None
    assert form.endpoint.takes_body
    for one in (page, form):
        assert one.requires_pq
        assert one.access is not None
    (plan,) = [plan for plan in generation.upstreams if plan.name == PAGE_UPSTREAM]
    assert str(plan.dialling[0].address) == "unix:/run/p/page.sock"


def test_page_for_certificates_has_no_form(site: Site, capabilities: Capabilities) -> None:
    asked = '[identity.chat.client_certificates]\nca = "{}"\n'
    keys = 'admin_page = {}\nclient_certificate = "require"\n' + asked.format(site.authority.path)
    generation = built(site, capabilities, text(site, keys))
    page = target(generation, b"/sign-in")
    assert page.requires_certificate
    assert (page.auth, page.upstream) == (None, PAGE_UPSTREAM)


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"short", "has line 1, which is not a token"), (b"aaaa" * 10, "that is not random"), (b"", "has no token")],
)
def test_file_of_tokens_that_cannot_be_used_is_named(
    site: Site, capabilities: Capabilities, tmp_path: Path, content: bytes, found: str
) -> None:
    problem = problems(site, capabilities, text(site, tokens(tmp_path, content)))["route[1].admin_page.tokens"]
    assert found in problem.found
    assert "openssl rand -hex 32" in problem.allowed


def test_missing_file_of_tokens_is_named(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    keys = f'admin_page = {{ tokens = "{tmp_path}/none" }}\n'
    assert "cannot be read" in problems(site, capabilities, text(site, keys))["route[1].admin_page.tokens"].found
