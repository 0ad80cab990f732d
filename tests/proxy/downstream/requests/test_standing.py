"""Whether a connection may continue under another configuration."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from config.schema import HttpProtocol
from proxy.downstream.requests.standing import NoLongerWelcome, standing
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.openssl.client_trust import ClientTrust
from proxy.tls.wire.client_certificate import ClientCertificate
from proxy.tls.wire.groups import NamedGroup
from tests.client_authorities import ClientAuthority
from tests.fakes import changed_identity
from tests.fakes_http import CLASSICAL, HYBRID, established, handshake_policy, server_identity
from tests.proxy.tls.client_visits import trust

PRESENT = established()


def test_same_policy_changes_nothing() -> None:
    policy = handshake_policy(identities=[PRESENT.identity])
    assert standing(PRESENT, "public", {"public": policy}) is PRESENT


def test_identity_of_the_same_name_brings_its_names_of_now() -> None:
    identity = server_identity("chat", "chat.test", "new.test")
    now = standing(PRESENT, "public", {"public": handshake_policy(identities=[identity])})
    assert now.identity is identity
    assert now == replace(PRESENT, identity=identity)


def test_default_identity_still_answers_for_who_named_none() -> None:
    nameless = replace(PRESENT, server_name=None)
    policy = handshake_policy(identities=[PRESENT.identity], default=PRESENT.identity)
    assert standing(nameless, "public", {"public": policy}) is nameless
    with pytest.raises(NoLongerWelcome):
        standing(nameless, "public", {"public": handshake_policy(identities=[PRESENT.identity])})


def test_unknown_group_is_no_reason() -> None:
    """A resumption without a key exchange, or a group that nobody could name, was judged at the
    handshake."""
    unknown = established(group=None)
    policy = handshake_policy(HYBRID, identities=[unknown.identity])
    assert standing(unknown, "public", {"public": policy}) is unknown


@pytest.mark.parametrize("protocol", list(HttpProtocol))
def test_protocol_that_a_reload_takes_away_is_a_reason(protocol: HttpProtocol) -> None:
    present = replace(PRESENT, protocol=protocol)
    (other,) = set(HttpProtocol) - {protocol}
    same = handshake_policy(identities=[PRESENT.identity], protocols=[protocol])
    assert standing(present, "public", {"public": same}) is present
    without = handshake_policy(identities=[PRESENT.identity], protocols=[other])
    with pytest.raises(NoLongerWelcome) as caught:
        standing(present, "public", {"public": without})
    assert caught.value.reason == f"a reload forbids its protocol {protocol}"


@pytest.mark.parametrize(
    ("group", "policies", "reason"),
    [
        (HYBRID, {}, "a reload removed its listener"),
        (HYBRID, {"other": handshake_policy()}, "a reload removed its listener"),
        (CLASSICAL, {"public": handshake_policy(HYBRID)}, "a reload forbids its key exchange group X25519"),
        (
            HYBRID,
            {"public": handshake_policy(identities=[server_identity("chat", "other.test")])},
            "a reload gave its server name to another identity or to none",
        ),
        (
            HYBRID,
            {"public": handshake_policy(identities=[server_identity("second")])},
            "a reload gave its server name to another identity or to none",
        ),
    ],
)
def test_what_a_client_could_not_have_now_it_loses(
    group: NamedGroup, policies: Mapping[str, HandshakePolicy], reason: str
) -> None:
    with pytest.raises(NoLongerWelcome) as caught:
        standing(established(group=group), "public", policies)
    assert (caught.value.reason, str(caught.value)) == (reason, reason)


class TestClientCertificates:
    ROOT, OTHER = ClientAuthority("Root"), ClientAuthority("Other")

    @pytest.fixture
    def bot(self, tmp_path: Path) -> ClientCertificate:
        return ClientCertificate(self.ROOT.issue(tmp_path, "bot").der)

    @staticmethod
    def judged(before: ClientTrust | None, client: ClientCertificate | None, after: ClientTrust | None) -> str | None:
        """Why a connection ends when what its identity asks for changes; None if it stays."""
        present = replace(PRESENT, identity=changed_identity(PRESENT.identity, clients=before), client=client)
        identity = changed_identity(PRESENT.identity, clients=after)
        try:
            now = standing(present, "public", {"public": handshake_policy(identities=[identity])})
        except NoLongerWelcome as error:
            return error.reason
        assert (now.client, now.identity) == (client, identity)
        return None

    def test_connections_that_would_be_let_in_again_stay(self, bot: ClientCertificate) -> None:
        optional, required = trust(self.ROOT, is_required=False), trust(self.ROOT)
        for before, client, after in [
            (required, bot, required),
            (required, bot, trust(self.ROOT)),
            (required, bot, trust(self.ROOT, self.OTHER)),
            (required, bot, trust(self.ROOT, lists=[self.ROOT.revocations()])),
            (required, bot, optional),
            (optional, bot, required),
            (optional, None, optional),
            (None, None, optional),
            (optional, None, None),
            (None, None, None),
        ]:
            assert self.judged(before, client, after) is None

    def test_the_others_end(self, bot: ClientCertificate) -> None:
        optional, required = trust(self.ROOT, is_required=False), trust(self.ROOT)
        leaf = x509.load_der_x509_certificate(bot.leaf)
        for before, client, after, reason in [
            (None, None, required, "it showed no certificate"),
            (optional, None, required, "it showed no certificate"),
            (required, bot, trust(self.OTHER), "unable to get local issuer certificate"),
            (required, bot, trust(self.OTHER, is_required=False), "unable to get local issuer certificate"),
            (required, bot, trust(self.ROOT, lists=[self.ROOT.revocations(leaf)]), "certificate revoked"),
        ]:
            assert self.judged(before, client, after) == f"a reload refuses its client certificate: {reason}"
        assert self.judged(optional, bot, None) == (
            "a reload asks for no client certificates any more, and it had shown one"
        )
