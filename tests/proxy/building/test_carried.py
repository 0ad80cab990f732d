"""What goes from one generation to the next: the same contexts for the same content, from wherever it is read."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.loader import accepted, read_file
from config.schema import CredentialConfig, HttpProtocol
from config.values.problems import ConfigError
from proxy.building.carried import Carried, ContextKey
from proxy.processes.material import Material
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.context import TlsSettings
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.worker.generation import Generation, build
from tests.configurations import MINIMAL_REST, Site, identity, limits, listener
from tests.generations import NOW, SECRETS

SECURE_REST = MINIMAL_REST.replace("http://127.0.0.1:1", "https://chat.test:1")


def next_of(
    site: Site,
    capabilities: Capabilities,
    text: str,
    before: Generation | None = None,
    tickets: TicketSecrets = SECRETS,
    now: datetime = NOW,
) -> Generation:
    """Build a generation after another one, as a worker does: out of memory files that are gone afterwards."""
    path = site.write(text)
    content = read_file(path)
    named = accepted(content, path)
    material = Material.read(
        named.file.resolve(one.certificate if part == "certificate" else str(one.key[0]))
        for settings in named.config.identity.values()
        for one in settings.credentials
        if isinstance(one, CredentialConfig)
        for part in ("certificate", "key")
    )
    with material.as_files() as files:
        loaded = LoadedConfig.of_document(named.document, ConfigFile(path, files=files))
        return build(loaded, capabilities, tickets, now, Carried() if before is None else before.carried)


def contexts(generation: Generation, listener: str = "public", *hosts: str) -> list[object]:
    """The contexts of a listener by server name."""
    table = generation.listeners[listener].policy.identities
    found = [table.resolve(host) for host in hosts or ("chat.test",)]
    assert all(found)
    return [one.context for one in found if one is not None]


@pytest.fixture
def two(site: Site) -> str:
    """Two identities on one listener; the second one's files are this test's."""
    second = site.authority.issue("second", ("second.test",))
    return listener("public") + site.identity + identity("second", ("second.test",), second) + MINIMAL_REST


def test_unchanged_identities_keep_the_same_contexts(site: Site, capabilities: Capabilities, two: str) -> None:
    first = next_of(site, capabilities, two)
    second = next_of(site, capabilities, two + limits({"drain_timeout": "7s"}), first)
    third = next_of(site, capabilities, two, second)
    for later in (second, third):
        for one, other in zip(
            contexts(first, "public", "chat.test", "second.test"),
            contexts(later, "public", "chat.test", "second.test"),
            strict=True,
        ):
            assert one is other


def test_new_certificate_gets_a_new_context_and_the_other_identity_keeps_its_own(
    site: Site, capabilities: Capabilities, two: str
) -> None:
    first = next_of(site, capabilities, two)
    site.authority.issue("second", ("second.test",))  # the same files, other content
    second = next_of(site, capabilities, two, first)
    (chat, changed), (same, other) = (
        contexts(generation, "public", "chat.test", "second.test") for generation in (first, second)
    )
    assert chat is same
    assert changed is not other


def test_what_no_context_is_made_of_changes_none(site: Site, capabilities: Capabilities) -> None:
    files = site.authority.issue("named", ("second.test", "new.second.test"))
    rest = MINIMAL_REST.replace("chat.test", "second.test")
    few, more = (
        listener("public", trusted_peers=peers) + identity("second", names, files) + rest
        for names, peers in ((("second.test",), []), (("second.test", "new.second.test"), ["192.0.2.1"]))
    )
    first = next_of(site, capabilities, few)
    second = next_of(site, capabilities, more, first)
    assert contexts(second, "public", "new.second.test") == contexts(first, "public", "second.test")


@pytest.mark.parametrize("settings", [{"level": "high"}, {"groups": ["X25519"]}, {"pq": "require"}])
def test_other_settings_of_a_listener_get_other_contexts(
    site: Site, capabilities: Capabilities, settings: dict[str, object]
) -> None:
    first = next_of(site, capabilities, site.minimal)
    second = next_of(site, capabilities, listener("public", **settings) + site.identity + MINIMAL_REST, first)
    assert contexts(first)[0] is not contexts(second)[0]


def test_rotated_tickets_get_other_contexts(site: Site, capabilities: Capabilities) -> None:
    first = next_of(site, capabilities, site.minimal)
    second = next_of(site, capabilities, site.minimal, first, SECRETS.rotated(b"\x01" * 32))
    assert contexts(first)[0] is not contexts(second)[0]


def test_what_is_not_used_any_more_is_dropped(site: Site, capabilities: Capabilities, two: str) -> None:
    first = next_of(site, capabilities, two)
    second = next_of(site, capabilities, site.minimal, first)
    assert (len(first.carried.contexts), len(second.carried.contexts)) == (2, 1)
    assert (len(first.carried.credentials), len(second.carried.credentials)) == (2, 1)


def test_listeners_of_the_same_settings_share(site: Site, capabilities: Capabilities) -> None:
    text = listener("public") + listener("second") + site.identity + MINIMAL_REST
    generation = next_of(site, capabilities, text)
    assert contexts(generation)[0] is contexts(generation, "second")[0]


class TestTime:
    def test_judged_as_of_its_reading_an_expired_certificate_stops_no_replacement(
        self, site: Site, capabilities: Capabilities
    ) -> None:
        """A worker that is replaced weeks later is asked with `read_at` of the edition."""
        files = site.authority.issue("short", ("chat.test",), (timedelta(days=-9), timedelta(days=-1)))
        text = listener("public") + identity("chat", ("chat.test",), files) + MINIMAL_REST
        assert contexts(next_of(site, capabilities, text, now=NOW - timedelta(days=5)))

    def test_known_certificate_that_expired_since_stops_a_reload(self, site: Site, capabilities: Capabilities) -> None:
        files = site.authority.issue("short", ("chat.test",), (timedelta(days=-9), timedelta(days=-1)))
        text = listener("public") + identity("chat", ("chat.test",), files) + MINIMAL_REST
        first = next_of(site, capabilities, text, now=NOW - timedelta(days=5))
        with pytest.raises(ConfigError) as caught:
            next_of(site, capabilities, text, first)
        (problem,) = (one for one in caught.value.problems if one.is_error)
        assert problem.key == "identity.chat.certificate"
        assert str(files.certificate) in problem.found
        assert "/proc/" not in str(problem)


class TestUpstreams:
    def of(self, generation: Generation) -> ssl.SSLContext:
        (context,) = generation.carried.client_tls.values()
        return context.context

    def test_same_authorities_keep_their_context(self, site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
        authorities = tmp_path / "ca.pem"
        authorities.write_bytes(site.authority.path.read_bytes())
        rest = SECURE_REST.replace("[[route]]", f'ca = "{authorities}"\n[[route]]')
        text = listener("public") + site.identity + rest
        first = next_of(site, capabilities, text)
        assert self.of(next_of(site, capabilities, text, first)) is self.of(first)
        authorities.write_bytes(site.authority.path.read_bytes() * 2)
        assert self.of(next_of(site, capabilities, text, first)) is not self.of(first)


def test_no_secret_is_shown() -> None:
    secret = b"\x5a" * 32
    server = ContextKey(
        "chat", (b"digest",), "ecdsa", TlsSettings("X25519", "suite", (HttpProtocol.HTTP_1,)), TicketSecrets(secret)
    )
    assert repr(secret)[2:-1] not in repr(server)
