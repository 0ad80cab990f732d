"""The route of the admin page, and the form beside it."""

from pathlib import Path

import pytest

from config.schema import PAGE_UPSTREAM
from proxy.auth.rules import TokenRule
from proxy.downstream.admission import RouteTarget
from proxy.tls.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems
from tests.proxy.auth.test_page_tokens import ONE

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
    [(b"short", "has line 1, which is no token"), (b"aaaa" * 10, "that is not random"), (b"", "has no token")],
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
