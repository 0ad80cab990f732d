"""What each listener runs by."""

import dataclasses
import ssl

import pytest

from config.schema import HttpProtocol, PqPolicy
from config.tables.listener import HTTP_BY_DEFAULT
from proxy.limits.rates import Rate
from proxy.tls.openssl import libssl
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.group_costs import exchange_seconds
from tests.configurations import MINIMAL_REST, Site, identity, limits, listener
from tests.generations import built, problems
from tests.proxy.tls import hellos


def test_policy_comes_from_level_and_pq(site: Site, capabilities: Capabilities) -> None:
    generation = built(
        site,
        capabilities,
        listener("public")
        + listener("strict", level="critical")
        + listener("classical", pq="off")
        + listener("cnsa", level="quantum-safe", weaker_signatures=True)
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


def test_own_list_of_groups_replaces_that_of_the_level(site: Site, capabilities: Capabilities) -> None:
    generation = built(
        site,
        capabilities,
        listener("public", groups=[["MLKEM768"], ["x25519", "X448"]]) + site.identity + MINIMAL_REST,
    )
    assert generation.listeners["public"].policy.preference.openssl_list() == "MLKEM768 / X25519:X448"


def test_identities_answer_for_their_names_on_every_listener(site: Site, capabilities: Capabilities) -> None:
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


def test_listeners_of_one_policy_share_tickets_and_others_do_not(site: Site, capabilities: Capabilities) -> None:
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
        resolved.context.current.num_tickets = 1  # of OpenSSL: there is no `TlsStream` here
        hellos.converse(peer, hellos.peer(resolved.context.current))
        return peer

    session = visit("one").tls.session
    assert visit("two", session).tls.session_reused
    assert not visit("strict", session).tls.session_reused


def test_limits_and_peers_reach_their_place(site: Site, capabilities: Capabilities) -> None:
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
    seconds = {"handshake_timeout": "3500ms", "linger_timeout": "4500ms", "write_idle_timeout": "5500ms"}
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


def test_a_listener_may_have_limits_of_its_own(site: Site, capabilities: Capabilities) -> None:
    generation = built(
        site,
        capabilities,
        listener("public", exempt=["192.0.2.0/24"], trusted_peers=["10.0.0.5"], proxy_protocol="require")
        + "[listener.public.limits]\nconnections = 30\nhandshakes_per_second_per_address = 0.5\n"
        + listener("second")
        + site.identity
        + MINIMAL_REST
        + limits({"connections": 40, "handshakes_per_address": 7, "handshake_burst_per_address": 11}),
    )
    public, second = generation.listeners["public"], generation.listeners["second"]
    assert (public.limits.connections, second.limits.connections) == (30, 40)
    assert (public.limits.handshakes_per_address, second.limits.handshakes_per_address) == (7, 7)
    assert (public.limits.handshake_rate, second.limits.handshake_rate) == (Rate.of(0.5, 11), Rate.of(2_000.0, 11))
    assert [str(network) for network in public.exempt] == ["192.0.2.0/24"]
    assert second.exempt == ()
    assert [str(one) for one in public.header_senders] == ["10.0.0.5/32"]
    assert second.header_senders == ()


def test_slow_groups_are_measured_and_can_be_left_out(site: Site, capabilities: Capabilities) -> None:
    rate = "[listener.public.limits]\nslow_groups_rate = 0.5\nslow_groups_burst = 3\n"
    slow = listener("public", groups=[["X25519MLKEM768", "ffdhe8192"], ["X25519"]]) + rate
    generation = built(site, capabilities, slow + listener("usual") + site.identity + MINIMAL_REST)
    (warning,) = generation.warnings
    assert warning.key == "listener.public.groups"
    assert warning.found.startswith("ffdhe8192, whose key exchange takes ")
    assert "0.5 a second (slow_groups_rate)" in warning.allowed
    public, usual = generation.listeners["public"], generation.listeners["usual"]
    assert public.limits.slow_rate == Rate.of(0.5, 3)
    assert list(public.policy.preference.slow) == [0x0104]
    whole = public.policy.identities.resolve("chat.test")
    assert whole is not None
    assert whole.fast is not None
    assert whole.fast.context.key_name == whole.context.key_name, "a ticket of the one is good for the other"
    other = usual.policy.identities.resolve("chat.test")
    assert other is not None
    assert (other.fast, usual.policy.preference.slow) == (None, {})
    again = built(site, capabilities, slow + site.identity + MINIMAL_REST, generation.carried)
    kept = again.listeners["public"].policy.identities.resolve("chat.test")
    assert kept is not None
    assert kept.fast is not None
    assert kept.fast.context is whole.fast.context


def test_listener_of_slow_groups_alone_has_no_others(site: Site, capabilities: Capabilities) -> None:
    generation = built(site, capabilities, listener("public", groups=[["ffdhe8192"]]) + site.identity + MINIMAL_REST)
    one = generation.listeners["public"].policy.identities.resolve("chat.test")
    assert one is not None
    assert one.fast is None


def test_unknown_group_names_those_that_are_there(site: Site, capabilities: Capabilities) -> None:
    found = problems(
        site, capabilities, listener("public", groups=["x25519_frodo640aes"]) + site.identity + MINIMAL_REST
    )
    assert "no key exchange group 'x25519_frodo640aes'" in found["listener.public.groups"].found
    for name in ("X25519MLKEM768", "MLKEM1024", "X448"):
        assert name in found["listener.public.groups"].found


def test_old_openssl_is_named_as_the_reason(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 0, 19, 0, 0))
    old = dataclasses.replace(capabilities, groups={"x25519": capabilities.groups["x25519"]})
    found = problems(site, old, site.minimal)
    assert "OpenSSL 3.5 or newer (Debian 13 has it), or a provider" in found["listener.public.level"].allowed


def test_old_openssl_gets_its_groups_without_tuples(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in ("X25519MLKEM768", "X25519"):
        exchange_seconds(group)  # measured once in a process, by contexts of its own
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 4, 0, 0, 0))
    given: list[str] = []
    monkeypatch.setattr(libssl, "set_groups", lambda _, groups: given.append(groups))
    built(
        site,
        capabilities,
        listener("public", groups=[["X25519MLKEM768"], ["X25519"]]) + site.identity + MINIMAL_REST,
    )
    assert given == ["X25519MLKEM768:X25519"]


def test_credential_that_only_openssl_refuses(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise libssl.LibsslError("the signature algorithm list", "nonsense")

    monkeypatch.setattr(libssl, "set_signature_algorithms", refuse)
    found = problems(site, capabilities, site.minimal)
    assert "credentials that OpenSSL does not take on listener public" in found["identity.chat"].found


def test_each_listener_offers_its_versions_of_http(site: Site, capabilities: Capabilities) -> None:
    offers: dict[str, tuple[HttpProtocol, ...]] = {
        "both": (HttpProtocol.HTTP_2, HttpProtocol.HTTP_1),
        "turned": (HttpProtocol.HTTP_1, HttpProtocol.HTTP_2),
        "one": (HttpProtocol.HTTP_2,),
    }
    text = "".join(listener(name, http=offer) for name, offer in offers.items()) + listener("usual")
    generation = built(site, capabilities, text + site.identity + MINIMAL_REST)
    client = hellos.client_context("X25519")
    client.set_alpn_protocols(["h2", "http/1.1"])
    for name, offer in (offers | {"usual": HTTP_BY_DEFAULT}).items():
        policy = generation.listeners[name].policy
        assert [one for one in HttpProtocol if policy.protocols.has(one)] == [
            one for one in HttpProtocol if one in offer
        ]
        identity = policy.identities.resolve("chat.test")
        assert identity is not None
        one, other = hellos.peer(client), hellos.peer(identity.context.current)
        hellos.converse(one, other)
        assert one.tls.selected_alpn_protocol() == offer[0]


def test_wildcard_of_an_identity_covers_no_name_that_is_passed_through(site: Site, capabilities: Capabilities) -> None:
    """A browser asks for it on a connection that it has under the wildcard."""
    passed = '[listener.public.passthrough]\n"turn.chat.test" = "tcp://127.0.0.1:5349"\n"turn.test" = "unix:/turn"\n'
    text = listener("public") + passed + listener("other") + site.identity + MINIMAL_REST
    generation = built(site, capabilities, text)
    covered = {}
    for name in ("public", "other"):
        identity = generation.listeners[name].policy.identities.resolve("a.chat.test")
        assert identity is not None
        covered[name] = [identity.covers(host) for host in ("chat.test", "a.chat.test", "turn.chat.test")]
    assert covered == {"public": [True, True, False], "other": [True, True, True]}
