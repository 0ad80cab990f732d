"""From a configuration to what runs by it, completely or not at all."""

import dataclasses
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.loader import load, survey
from config.problems import ConfigError, Problem
from config.schema import PqPolicy
from proxy.deadlines import Deadlines
from proxy.generation import Generation, build, provider_module_path
from proxy.shared_io import SharedIo
from proxy.tasks import Tasks
from proxy.tls import libssl
from proxy.tls.capabilities import Capabilities
from proxy.tls.capabilities import survey as survey_openssl
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.pool import PoolResources
from tests.certificates import DAY, CertificateFiles
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site, identity, limits, listener
from tests.fakes import FakeLoop
from tests.proxy.tls import hellos

NOW = datetime.now(UTC)  # noqa: TID251 - certificates that OpenSSL judges too are valid by the real clock
SECRETS = TicketSecrets(bytes(32))


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey_openssl(())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def built(site: Site, capabilities: Capabilities, text: str) -> Generation:
    return build(load(site.write(text)), capabilities, SECRETS, NOW)


def problems(site: Site, capabilities: Capabilities, text: str, now: datetime = NOW) -> dict[str, Problem]:
    """The errors of a configuration whose structure is fine, by their key."""
    found = survey(site.write(text))
    assert found.loaded is not None
    with pytest.raises(ConfigError) as caught:
        build(found.loaded, capabilities, SECRETS, now)
    return {problem.key: problem for problem in caught.value.problems if problem.is_error}


class TestListeners:
    def test_policy_comes_from_level_and_pq(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(
            site,
            capabilities,
            listener("public")
            + listener("strict", level="critical")
            + listener("classical", pq="off")
            + listener("cnsa", level="quantum-safe")
            + site.identity
            + MINIMAL_REST,
        )
        offers = {
            name: (one.policy.pq, one.policy.preference.openssl_list(), one.cipher_suites)
            for name, one in generation.listeners.items()
        }
        hybrids = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024"
        suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        assert offers == {
            "public": (PqPolicy.PREFER, f"{hybrids} / X25519:secp256r1:secp384r1", f"{suites}:TLS_AES_128_GCM_SHA256"),
            "strict": (PqPolicy.REQUIRE, hybrids, suites),
            "classical": (PqPolicy.OFF, "X25519:secp256r1:secp384r1", f"{suites}:TLS_AES_128_GCM_SHA256"),
            "cnsa": (PqPolicy.REQUIRE, "SecP384r1MLKEM1024:MLKEM1024", "TLS_AES_256_GCM_SHA384"),
        }

    def test_own_list_of_groups_replaces_that_of_the_level(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(
            site,
            capabilities,
            listener("public", groups=[["MLKEM768"], ["x25519", "X448"]]) + site.identity + MINIMAL_REST,
        )
        assert generation.listeners["public"].policy.preference.openssl_list() == "MLKEM768 / X25519:X448"

    def test_identities_answer_for_their_names_on_every_listener(self, site: Site, capabilities: Capabilities) -> None:
        other = site.authority.issue("other", ("other.test",))
        generation = built(
            site,
            capabilities,
            listener("public")
            + listener("second", default="other")
            + site.identity
            + identity("other", ("other.test",), other)
            + MINIMAL_REST,
        )
        public = generation.listeners["public"].policy.identities
        second = generation.listeners["second"].policy.identities
        for table in (public, second):
            for name, expected in (("chat.test", "chat"), ("a.chat.test", "chat"), ("other.test", "other")):
                found = table.resolve(name)
                assert found is not None
                assert found.name == expected
        assert public.resolve("unknown.test") is None
        default = second.resolve("unknown.test")
        assert default is not None
        assert default.name == "other"

    def test_listeners_of_one_policy_share_tickets_and_others_do_not(
        self, site: Site, capabilities: Capabilities
    ) -> None:
        generation = built(
            site,
            capabilities,
            listener("one") + listener("two") + listener("strict", pq="require") + site.identity + MINIMAL_REST,
        )
        client = hellos.client_context("X25519MLKEM768")

        def visit(name: str, session: ssl.SSLSession | None = None) -> hellos.Peer:
            resolved = generation.listeners[name].policy.identities.resolve("chat.test")
            assert resolved is not None
            peer = hellos.peer(client, session)
            hellos.converse(peer, hellos.peer(resolved.context.current))
            return peer

        session = visit("one").tls.session
        assert visit("two", session).tls.session_reused
        assert not visit("strict", session).tls.session_reused

    def test_limits_and_peers_reach_their_place(self, site: Site, capabilities: Capabilities) -> None:
        names = (
            "client_hello_wire_bytes",
            "client_hello_bytes",
            "handshakes_in_flight",
            "key_updates_per_minute",
            "connections",
            "connections_per_address",
            "linger_bytes",
        )
        values = {name: 10_000 + number for number, name in enumerate(names)}
        seconds = {"handshake_seconds": 3.5, "linger_seconds": 4.5, "write_idle_seconds": 5.5}
        generation = built(
            site,
            capabilities,
            listener("public", trusted_peers=["192.0.2.0/24"])
            + site.identity
            + MINIMAL_REST
            + limits({**values, **seconds}),
        )
        runtime = generation.listeners["public"]
        policy, limit, linger = runtime.policy, runtime.limits, runtime.linger
        assert (policy.wire_bytes, policy.hello_bytes) == (10_000, 10_001)
        assert (limit.handshakes_in_flight, policy.tls_limits.key_updates_per_minute) == (10_002, 10_003)
        assert (limit.connections, limit.connections_per_address) == (10_004, 10_005)
        assert (limit.handshake_seconds, linger.discard_bytes) == (3.5, 10_006)
        assert (linger.seconds, linger.flush_seconds) == (4.5, 5.5)
        assert [str(network) for network in runtime.trusted_peers] == ["192.0.2.0/24"]


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
        assert [server.name for server in whole.payload.upstream.servers] == [
            "http://127.0.0.1:8000",
            "unix:/run/chat.sock",
        ]
        assert http.limits is generation.limits
        assert not http.logs_query

    def test_every_limit_of_http_reaches_its_place(self, site: Site, capabilities: Capabilities) -> None:
        """Each gets a value of its own, which is then found in exactly one place."""
        numbers = [
            "head_bytes",
            "target_bytes",
            "header_count",
            "header_bytes",
            "chunk_line_bytes",
            "chunk_overhead_bytes",
            "trailer_bytes",
            "trailer_count",
            "pipelined_bytes",
            "websocket_message_bytes",
            "websocket_fragments",
            "response_head_bytes",
            "response_header_count",
            "early_responses",
        ]
        times = [
            "keep_alive_seconds",
            "write_idle_seconds",
            "head_seconds",
            "body_idle_seconds",
            "websocket_idle_seconds",
            "websocket_close_seconds",
        ]
        values: dict[str, float] = {name: 1_100 + number for number, name in enumerate(numbers)}
        values |= {name: 0.5 + number for number, name in enumerate(times)}
        values |= {"early_responses": 999}
        generation = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST + limits(values))
        found = _leaves(dataclasses.asdict(generation.limits)) | _leaves(
            dataclasses.asdict(generation.upstreams[0].responses)
        )
        assert set(values.values()) <= found

    def test_https_upstream_gets_one_context_for_all_of_its_servers(
        self, site: Site, capabilities: Capabilities
    ) -> None:
        text = f"""
[upstream.chat]
servers = ["https://127.0.0.1:1", "https://chat.internal:2", "http://127.0.0.1:3"]
ca = "{site.authority.path}"
certificate = "{site.chat.certificate}"
key = "{site.chat.key}"
connections = 5
waiting = 6
wait_seconds = 1.5
connect_seconds = 2.5
first_byte_seconds = 3.5
stall_seconds = 4.5
idle_seconds = 5.5
[[route]]
host = "chat.test"
upstream = "chat"
"""
        (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
        one, two, three = plan.dialling
        assert one.tls is two.tls is not None
        assert three.tls is None
        assert (one.server_name, two.server_name) == ("127.0.0.1", "chat.internal")
        assert one.connect_seconds == 2.5
        assert dataclasses.astuple(plan.limits) == (5, 6, 1.5)
        responses = plan.responses
        assert (responses.first_byte_seconds, responses.stall_seconds, responses.idle_seconds) == (3.5, 4.5, 5.5)

    def test_name_to_verify_can_be_given(self, site: Site, capabilities: Capabilities) -> None:
        text = MINIMAL_REST.replace("http://127.0.0.1:1", "https://127.0.0.1:1").replace(
            "[[route]]", f'server_name = "chat.internal"\nca = "{site.authority.path}"\n[[route]]'
        )
        (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
        assert plan.dialling[0].server_name == "chat.internal"


def _leaves(value: object) -> set[object]:
    if isinstance(value, dict):
        return set().union(*(_leaves(part) for part in value.values())) if value else set()
    return {value}


class TestWhole:
    def test_facts_for_the_report(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(site, capabilities, site.minimal)
        assert generation.identity_algorithms == {"chat": ("ecdsa-p256",)}
        assert generation.tickets is SECRETS
        assert generation.warnings == ()

    def test_warnings_are_kept_and_stop_nothing(self, site: Site, capabilities: Capabilities) -> None:
        generation = built(site, capabilities, listener("public", level="quantum-safe") + site.identity + MINIMAL_REST)
        (warning,) = generation.warnings
        assert warning.key == "listener.public.level"
        assert "ML-DSA-87" in warning.found

    def test_quantum_safe_level_is_content_with_mldsa_87(self, site: Site, capabilities: Capabilities) -> None:
        strong = site.authority.issue("strong", ("chat.test", "*.chat.test"), kind="mldsa-87")
        text = identity("chat", ("chat.test", "*.chat.test"), site.chat, strong)
        generation = built(site, capabilities, listener("public", level="quantum-safe") + text + MINIMAL_REST)
        assert generation.warnings == ()
        assert generation.identity_algorithms == {"chat": ("ecdsa-p256", "mldsa-87")}


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

    def test_unknown_group_names_those_that_are_there(self, site: Site, capabilities: Capabilities) -> None:
        found = problems(
            site, capabilities, listener("public", groups=["x25519_frodo640aes"]) + site.identity + MINIMAL_REST
        )
        assert "no key exchange group 'x25519_frodo640aes'" in found["listener.public.groups"].found
        for name in ("X25519MLKEM768", "MLKEM1024", "X448"):
            assert name in found["listener.public.groups"].found

    def test_old_openssl_is_named_as_the_reason(
        self, site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 0, 19, 0, 0))
        old = dataclasses.replace(capabilities, groups={"x25519": capabilities.groups["x25519"]})
        found = problems(site, old, site.minimal)
        assert "OpenSSL 3.5 or newer (Debian 13 has it), or a provider" in found["listener.public.level"].allowed

    def test_old_openssl_gets_its_groups_without_tuples(
        self, site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 4, 0, 0, 0))
        given: list[str] = []
        monkeypatch.setattr(libssl, "set_groups", lambda _, groups: given.append(groups))
        built(
            site,
            capabilities,
            listener("public", groups=[["X25519MLKEM768"], ["X25519"]]) + site.identity + MINIMAL_REST,
        )
        assert given == ["X25519MLKEM768:X25519"]

    def test_missing_provider_says_where_it_belongs(self, site: Site, capabilities: Capabilities) -> None:
        asked = dataclasses.replace(capabilities, missing_providers=("oqsprovider",))
        found = problems(site, asked, '[openssl]\nproviders = ["oqsprovider"]\n' + site.minimal)
        problem = found["openssl.providers[0]"]
        assert problem.found == '"oqsprovider", which OpenSSL cannot load'
        assert "openssl.module_path" in problem.allowed

    def test_credential_that_only_openssl_refuses(
        self, site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise libssl.LibsslError("the signature algorithm list", "nonsense")

        monkeypatch.setattr(libssl, "set_signature_algorithms", refuse)
        found = problems(site, capabilities, site.minimal)
        assert "credentials that OpenSSL does not take on listener public" in found["identity.chat"].found

    def test_upstream_settings_that_only_openssl_refuses(
        self, site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.generation._UPSTREAM_GROUPS", "nonsense")
        found = problems(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST.replace("http:", "https:"))
        assert "TLS settings that OpenSSL does not take" in found["upstream.chat"].found

    def test_time_is_that_of_the_caller(self, site: Site, capabilities: Capabilities) -> None:
        assert "identity.chat.certificate" in problems(site, capabilities, site.minimal, NOW + timedelta(days=1_000))


def test_place_of_provider_modules_is_relative_to_the_file(site: Site) -> None:
    (site.directory / "modules").mkdir()
    text = '[openssl]\nmodule_path = "modules"\n' + site.minimal
    assert provider_module_path(load(site.write(text))) == site.directory / "modules"
    assert provider_module_path(load(site.write(site.minimal))) is None
