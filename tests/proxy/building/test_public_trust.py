"""Hosts get Strict-Transport-Security by themselves only if browsers trust all certificates for them."""

import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from certs.identities.identities import load_credentials
from config.loading.loader import load
from config.schema import Config
from proxy.building.public_trust import publicly_trusted
from proxy.tls.openssl.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.certificates import Authority
from tests.configurations import MINIMAL_LISTENER, Site, identity
from tests.generations import NOW, built

ROUTE = '[[route]]\nhost = "{}"\nupstream = "chat"\n{}\n'
UPSTREAM = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n'


def trusted(
    site: Site, *hosts: str, store: Path, line: str = "security_headers = true", now: datetime = NOW
) -> set[str]:
    """The hosts of routes that are publicly trusted, if `store` has the roots of the system."""
    private = Authority(site.directory, "Private").issue("private", ("private.test", "*.mixed.test"))
    identities = site.identity + identity("private", ("private.test", "*.mixed.test"), private)
    public = site.authority.issue("mixed", ("public.mixed.test",))
    identities += identity("mixed", ("public.mixed.test",), public)
    text = MINIMAL_LISTENER + identities + UPSTREAM + "".join(ROUTE.format(host, line) for host in hosts)
    loaded = load(site.write(text))
    credentials = load_credentials(loaded, now)
    return set(publicly_trusted(loaded.config, credentials.identities, now, store))


def test_hosts_whose_certificates_the_store_trusts_are_told_apart(site: Site) -> None:
    hosts = ("chat.test", "*.chat.test", "private.test", "public.mixed.test", "other.mixed.test", "*.mixed.test")
    assert trusted(site, *hosts, store=site.authority.path) == {"chat.test", "*.chat.test"}


@pytest.mark.parametrize("line", ["", "security_headers = true\nhsts = false", "security_headers = true\nhsts = true"])
def test_store_is_not_read_if_no_route_asks(site: Site, line: str) -> None:
    assert trusted(site, "chat.test", store=site.authority.path, line=line) == set()


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_without_roots_no_host_is_trusted(site: Site, tmp_path: Path, content: bytes | None) -> None:
    store = tmp_path / "roots.pem"
    if content is not None:
        store.write_bytes(content)
    assert trusted(site, "chat.test", store=store) == set()


def test_host_without_an_identity_is_not_trusted(site: Site) -> None:
    config = Config.model_validate(tomllib.loads(site.minimal + "security_headers = true\n"))
    assert publicly_trusted(config, {}, NOW, site.authority.path) == frozenset()


def lines_of(generation: Generation) -> bytes:
    route = generation.routes.match(b"chat.test", b"/")
    assert route is not None
    edits = route.payload.response_fields
    assert edits is not None
    return edits.beside(b"", lambda: pytest.fail("no value depends on the request"))


@pytest.mark.parametrize(("line", "has_hsts"), [("", False), ("hsts = true\n", True), ("hsts = false\n", False)])
def test_certificate_of_an_internal_issuer_brings_none_unless_the_route_says_so(
    site: Site, capabilities: Capabilities, line: str, *, has_hsts: bool
) -> None:
    lines = lines_of(built(site, capabilities, site.minimal + "security_headers = true\n" + line))
    assert (b"Strict-Transport-Security" in lines) is has_hsts
    assert b"nosniff" in lines
