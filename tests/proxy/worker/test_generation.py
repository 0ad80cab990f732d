"""From a configuration to what runs by it, completely or not at all."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.capabilities import survey as survey_openssl
from proxy.upstream.pooling.pools import PoolResources
from tests.certificates import DAY, Authority, CertificateFiles
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site, identity, listener
from tests.fakes import FakeLoop
from tests.generations import NOW, built, problems


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey_openssl(())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class TestHttp:
    def test_routes_lead_to_their_upstreams(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(
            site,
            capabilities,
            MINIMAL_LISTENER
            + site.identity
            + """
[upstream.chat]
servers = ["http://127.0.0.1:8000", "unix:/run/chat.sock"]
[upstream.files]
servers = ["http://127.0.0.1:9000"]
[[route]]
host = "chat.test"
upstream = "chat"
[[route]]
host = "*.chat.test"
path = "/files"
upstream = "files"
pq = "require"
body_bytes = 7
[limits]
body_bytes = 11
""",
        )
        loop = FakeLoop()
        resources = PoolResources(SharedIo(loop), Tasks(loop, lambda _: None), Deadlines(loop))
        http = generation.http(resources)
        whole, files = http.routes.match(b"chat.test", b"/"), http.routes.match(b"a.chat.test", b"/files/1")
        assert whole is not None
        assert files is not None
        assert (whole.payload.label, whole.payload.requires_pq, whole.payload.body_bytes) == ("chat.test/", False, 11)
        assert (files.payload.label, files.payload.requires_pq, files.payload.body_bytes) == (
            "*.chat.test/files",
            True,
            7,
        )
        assert [server.name for server in http.upstreams[whole.payload.upstream].servers] == [
            "http://127.0.0.1:8000",
            "unix:/run/chat.sock",
        ]
        assert {name: len(upstream.servers) for name, upstream in http.upstreams.items()} == {"chat": 2, "files": 1}
        assert (whole.payload.upstream, files.payload.upstream) == ("chat", "files")
        assert http.limits is generation.limits
        assert not http.logs_query

    def test_servers_go_on_in_the_runtime_that_follows(self, site: Site, capabilities: Capabilities) -> None:
        loop = FakeLoop()
        resources = PoolResources(SharedIo(loop), Tasks(loop, lambda _: None), Deadlines(loop))
        before, after = (built(site, capabilities, site.minimal) for _ in range(2))
        first = before.http(resources)
        second = after.http(resources, first)
        assert second.upstreams["chat"].servers == first.upstreams["chat"].servers
        assert after.http(resources).upstreams["chat"].servers != first.upstreams["chat"].servers


class TestWhole:
    def test_facts_for_the_report(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(site, capabilities, site.minimal)
        assert generation.identity_algorithms == {"chat": ("ecdsa-p256",)}
        assert generation.warnings == ()

    def test_warnings_are_kept_and_stop_nothing(self, site: Site, capabilities: Capabilities) -> None:
        strict = listener("public", level="quantum-safe", weaker_signatures=True)
        generation = built(site, capabilities, strict + site.identity + MINIMAL_REST)
        (warning,) = generation.warnings
        assert warning.key == "listener.public.weaker_signatures"
        assert "chat (ecdsa-p256)" in warning.found

    def test_quantum_safe_level_is_content_with_mldsa_87(self, site: Site, capabilities: Capabilities) -> None:
        authority = Authority(site.directory, "Strong authority", "mldsa-87")
        strong = authority.issue("strong", ("chat.test", "*.chat.test"), kind="mldsa-87")
        text = identity("chat", ("chat.test", "*.chat.test"), strong)
        generation = built(site, capabilities, listener("public", level="quantum-safe") + text + MINIMAL_REST)
        assert generation.warnings == ()
        assert generation.identity_algorithms == {"chat": ("mldsa-87",)}


class TestProblems:
    def test_all_are_found_at_once(self, site: Site, capabilities: Capabilities) -> None:
        other = site.authority.issue("stranger", ("chat.test", "*.chat.test"))
        expired = site.authority.issue("expired", ("old.test",), valid=(-10 * DAY, -DAY))
        asked = dataclasses.replace(capabilities, missing_providers=("nonsense",))
        found = problems(
            site,
            asked,
            '[openssl]\nproviders = ["nonsense"]\n'
            + listener("public", groups=["X25519MLKEM786"])
            + identity("chat", ("chat.test",), CertificateFiles(site.chat.certificate, other.key))
            + identity("old", ("old.test",), expired)
            + identity("lost", ("lost.test",), CertificateFiles(Path("lost.pem"), Path("lost.key")))
            + MINIMAL_REST.replace("http:", "https:").replace("[[route]]", 'ca = "no-ca.pem"\n[[route]]'),
        )
        assert set(found) == {
            "openssl.providers[0]",
            "listener.public.groups",
            "identity.chat.key",
            "identity.old.certificate",
            "identity.lost.certificate",
            "identity.lost.key",
            "upstream.chat.ca",
        }

    def test_time_is_that_of_the_caller(self, site: Site, capabilities: Capabilities) -> None:
        assert "identity.chat.certificate" in problems(site, capabilities, site.minimal, NOW + timedelta(days=1_000))
