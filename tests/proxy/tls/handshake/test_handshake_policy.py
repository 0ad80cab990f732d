"""Whom a listener refuses for what stands in the ClientHello, and by which alert."""

from dataclasses import replace

import pytest

from config.schema import HttpProtocol, PqPolicy, SecurityLevel
from proxy.tls.handshake.group_choice import HandshakeOutcome, SlowExchange, group_preference
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.handshake.results import ConnectionRefusal, Established, FailureReason, UnopenedHello
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.openssl.stream import TlsLimits
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_hello import ClientHello, parse_client_hello
from proxy.tls.wire.groups import KNOWN
from proxy.tls.wire.passthrough import PassthroughTable
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.tls.wire.records import ClientHelloReader
from proxy.tls.wire.server_hello import ServerHello
from tests.fakes import changed_identity, changed_policy
from tests.proxy.tls import hellos
from tests.proxy.tls.hellos import (
    Hello,
    alpn,
    key_share,
    records,
    server_name,
    signature_algorithms,
    supported_groups,
    supported_versions,
)

A, F = AlertDescription, FailureReason
H2, H1 = HttpProtocol.HTTP_2, HttpProtocol.HTTP_1


IDENTITY = ServerIdentity("chat", frozenset({"chat.test"}), ServerContext(build_alert_context()))


def policy_of(
    pq: PqPolicy,
    level: SecurityLevel = SecurityLevel.STANDARD,
    protocols: tuple[HttpProtocol, ...] = (HttpProtocol.HTTP_1,),
) -> HandshakePolicy:
    """The policy of a listener at a level."""
    return HandshakePolicy(
        pq=pq,
        preference=group_preference(level, pq, None, KNOWN),
        identities=IdentityTable([], None),
        hello_bytes=65_536,
        wire_bytes=400_000,
        alert_context=build_alert_context(),
        tls_limits=TlsLimits(32),
        protocols=ProtocolOffer.of_http(protocols),
    )


def judged(
    hello: Hello, pq: PqPolicy, *, is_somebodys: bool = True, level: SecurityLevel = SecurityLevel.STANDARD
) -> ServerIdentity | ConnectionRefusal:
    """What a policy says; `is_somebodys`: whether an identity has the name."""
    return policy_of(pq, level).judge(parse_client_hello(hello.message), IDENTITY if is_somebodys else None)


@pytest.mark.parametrize("names", [(), (b"http/1.1",), (b"h2", b"http/1.1")])
def test_our_protocol_or_none_is_fine(names: tuple[bytes, ...]) -> None:
    hello = Hello().with_extensions(alpn(*names)) if names else Hello()
    assert judged(hello, PqPolicy.PREFER) is IDENTITY


def test_other_protocols_only_are_refused_and_the_first_four_named() -> None:
    hello = Hello().with_extensions(alpn(b"h2", b"\x1b[1m", b"three", b"four", b"five"))
    assert judged(hello, PqPolicy.PREFER) == ConnectionRefusal(
        F.NO_APPLICATION_PROTOCOL, A.NO_APPLICATION_PROTOCOL, r"offered 'h2', '\x1b[1m', 'three', 'four'"
    )


def test_client_without_alpn_finds_nothing_where_there_is_only_http_2() -> None:
    hello = parse_client_hello(Hello().message)
    assert policy_of(PqPolicy.PREFER, protocols=(H2, H1)).judge(hello, IDENTITY) is IDENTITY
    assert policy_of(PqPolicy.PREFER, protocols=(H2,)).judge(hello, IDENTITY) == ConnectionRefusal(
        F.NO_APPLICATION_PROTOCOL,
        A.NO_APPLICATION_PROTOCOL,
        "offered no protocol, and the listener needs one",
    )


@pytest.mark.parametrize(
    ("name", "detail"), [(b"stranger.test", "server name stranger.test"), (None, "no server name")]
)
def test_name_of_nobody_is_refused(name: bytes | None, detail: str) -> None:
    hello = Hello() if name is None else Hello().with_extensions(server_name(name))
    assert judged(hello, PqPolicy.PREFER, is_somebodys=False) == ConnectionRefusal(
        F.UNRECOGNIZED_NAME, A.UNRECOGNIZED_NAME, detail
    )


@pytest.mark.parametrize("pq", list(PqPolicy))
@pytest.mark.parametrize("groups", [(29,), (29, 4588)])
def test_policy_refuses_who_offers_none_of_its_groups(pq: PqPolicy, groups: tuple[int, ...]) -> None:
    hello = Hello((*(one for one in hellos.MINIMAL_EXTENSIONS if one[1] != 10), supported_groups(groups)))
    refusal = judged(hello, pq)
    if pq is PqPolicy.REQUIRE and groups == (29,):
        assert isinstance(refusal, ConnectionRefusal)
        assert refusal[:2] == (F.POLICY, A.HANDSHAKE_FAILURE)
    else:
        assert refusal is IDENTITY


def offering(groups: tuple[int, ...]) -> Hello:
    """A hello that lists these groups, and has a share of none."""
    return Hello(
        (hellos.supported_versions(), supported_groups(groups), hellos.key_share(), hellos.signature_algorithms())
    )


@pytest.mark.parametrize(
    ("level", "groups"),
    [(SecurityLevel.STANDARD, (0x0202,)), (SecurityLevel.HIGH, (29,)), (SecurityLevel.HIGH, (0x0A0A, 29, 23))],
    ids=["mlkem1024_at_standard", "x25519_at_high", "grease_at_high"],
)
def test_no_group_in_common_is_refused_by_its_name(level: SecurityLevel, groups: tuple[int, ...]) -> None:
    assert judged(offering(groups), PqPolicy.PREFER, level=level) == ConnectionRefusal(
        F.NO_COMMON_GROUP, A.HANDSHAKE_FAILURE, "the client offers none of our key exchange groups"
    )


def test_hello_without_any_group_is_left_to_openssl() -> None:
    """One that resumes without a new key exchange has none."""
    psk = (hellos.PSK_KEY_EXCHANGE_MODES, hellos.pre_shared_key([b"t"], [bytes(32)]))
    assert judged(Hello((hellos.supported_versions(), *psk)), PqPolicy.PREFER) is IDENTITY


def test_a_completed_handshake_has_the_group_of_the_server_hello() -> None:
    hello = parse_client_hello(offering((0x11EC,)).with_extensions(server_name(b"chat.test")).message)
    retried = ServerHello(is_retry=False, group=0x11EC, cipher_suite=0x1302, psk_selected=False, wire_length=90)
    assert policy_of(PqPolicy.PREFER).settled(hello, IDENTITY, retried, 0.001, H2, retried=True) == Established(
        server_name="chat.test",
        identity=IDENTITY,
        group=KNOWN["x25519mlkem768"],
        outcome=HandshakeOutcome.HYBRID_AFTER_RETRY,
        is_resumed=False,
        signing_seconds=0.001,
        breaks_under_require=False,
        protocol=H2,
        cipher_suite=0x1302,
    )


def test_a_resumption_without_a_key_exchange_has_no_group() -> None:
    hello = parse_client_hello(offering((29,)).message)
    resumed = ServerHello(is_retry=False, group=None, cipher_suite=0x1302, psk_selected=True, wire_length=90)
    result = policy_of(PqPolicy.PREFER).settled(hello, IDENTITY, resumed, None, H1, retried=False)
    assert (result.group, result.is_resumed, result.breaks_under_require) == (None, True, True)


class TestSlowGroups:
    """Which key exchange a client would get, and which other one it can have."""

    ML, X, P = (KNOWN[name].code_point for name in ("x25519mlkem768", "x25519", "secp256r1"))

    def policy(self, *slow: int, pq: PqPolicy = PqPolicy.PREFER) -> HandshakePolicy:
        policy = policy_of(pq)
        known = group_preference(SecurityLevel.STANDARD, pq, (("X25519MLKEM768",), ("X25519",)), KNOWN)
        return changed_policy(policy, preference=replace(known, slow=dict.fromkeys(slow, 0.05)))

    @staticmethod
    def hello(*groups: int) -> ClientHello:
        extensions = (supported_versions(), supported_groups(groups), key_share((groups[0], b"k" * 32)))
        return parse_client_hello(Hello((*extensions, signature_algorithms())).message)

    def test_slow_one_is_avoidable_for_a_client_of_another_group(self) -> None:
        identity = changed_identity(IDENTITY)
        identity.fast = IDENTITY
        policy = self.policy(self.ML)
        assert policy.slow_exchange(self.hello(self.X), identity) is None
        assert policy.slow_exchange(self.hello(self.X, self.ML), identity) == SlowExchange(0.05, is_avoidable=True)
        assert policy.slow_exchange(self.hello(self.ML, self.P), identity) == SlowExchange(0.05, is_avoidable=False)
        assert policy.without_slow(self.hello(self.ML, self.X), identity) is IDENTITY

    def test_a_policy_that_requires_post_quantum_groups_gives_no_classical_one(self) -> None:
        identity = changed_identity(IDENTITY)
        identity.fast = IDENTITY
        required = changed_policy(self.policy(self.ML), pq=PqPolicy.REQUIRE)
        refusal = required.without_slow(self.hello(self.ML, self.X), identity)
        assert isinstance(refusal, ConnectionRefusal)
        assert (refusal.reason, refusal.alert) == (F.SLOW_GROUPS, A.INTERNAL_ERROR)
        assert "X25519MLKEM768" in refusal.detail

    def test_where_all_are_slow_each_hello_counts(self) -> None:
        policy = self.policy(self.ML, self.X)
        assert policy.preference.without_slow is None
        assert policy.slow_exchange(self.hello(self.P), IDENTITY) == SlowExchange(0.05, is_avoidable=False)
        assert isinstance(policy.without_slow(self.hello(self.X), IDENTITY), ConnectionRefusal)


def test_connection_that_is_not_opened_goes_on_with_all_that_came() -> None:
    reader = ClientHelloReader(65_536, 400_000)
    reader.receive_data(records(Hello().message, 100))
    usual = policy_of(PqPolicy.PREFER)
    passing = changed_policy(usual, passthrough=PassthroughTable({"there.test": "https://127.0.0.1:1"}, ["chat.test"]))
    unopened = passing.unopened("there.test", [1, 2], reader)
    assert unopened == UnopenedHello("there.test", "https://127.0.0.1:1", [1, 2], records(Hello().message, 100))
    assert passing.unopened("chat.test", [1, 2], reader) is None
    assert passing.unopened(None, [1, 2], reader) is None
    assert usual.unopened("there.test", [1, 2], reader) is None
