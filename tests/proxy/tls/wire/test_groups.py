"""The table of groups, held against the OpenSSL that is installed."""

import pytest

from proxy.tls.wire.groups import (
    KNOWN,
    GroupKind,
    GroupPreference,
    NamedGroup,
    are_foreign,
    classify,
    groups_in,
    tuples_in,
)
from proxy.tls.wire.server_hello import parse_server_flight
from tests.proxy.tls.hellos import SET_GROUPS_LIST, client_context, openssl_takes, peer, server_context

HYBRID, MLKEM, X25519, P256 = KNOWN["x25519mlkem768"], KNOWN["mlkem1024"], KNOWN["x25519"], KNOWN["p-256"]


class TestKnownGroups:
    """What OpenSSL 3.5 has."""

    @pytest.mark.parametrize("name", KNOWN)
    def test_openssl_takes_every_name_and_negotiates_that_code_point(self, name: str) -> None:
        hello = peer(client_context(name)).answer(b"")
        assert parse_server_flight(peer(server_context(KNOWN[name].name)).answer(hello)).group == KNOWN[name].code_point

    def test_openssl_refuses_a_group_that_it_does_not_have(self) -> None:
        assert not openssl_takes(client_context("X25519"), SET_GROUPS_LIST, "curveSM2MLKEM768")

    @pytest.mark.parametrize(
        ("alias", "name"), [("p-256", "secp256r1"), ("prime256v1", "secp256r1"), ("p-521", "secp521r1")]
    )
    def test_an_alias_is_the_same_group(self, alias: str, name: str) -> None:
        assert KNOWN[alias] is KNOWN[name]
        assert str(KNOWN[alias]) == name

    def test_names_are_found_in_lower_case(self) -> None:
        assert all(key == key.lower() for key in KNOWN)
        assert all(KNOWN[group.name.lower()] is group for group in KNOWN.values())

    def test_code_points_are_unique(self) -> None:
        groups = set(KNOWN.values())
        assert len({group.code_point for group in groups}) == len(groups)

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("x25519mlkem768", GroupKind.HYBRID),
            ("secp384r1mlkem1024", GroupKind.HYBRID),
            ("mlkem512", GroupKind.POST_QUANTUM),
            ("x25519", GroupKind.CLASSICAL),
            ("ffdhe8192", GroupKind.CLASSICAL),
        ],
    )
    def test_only_a_classical_group_is_not_quantum_safe(self, name: str, kind: GroupKind) -> None:
        assert KNOWN[name].kind is kind
        assert KNOWN[name].is_quantum_safe is (kind is not GroupKind.CLASSICAL)

    def test_hybrids_that_openssl_lacks_are_recognised_in_a_hello_and_grease_is_not(self) -> None:
        everywhere = GroupPreference(((HYBRID,),)).quantum_safe_anywhere
        assert everywhere == {0x11EB, 0x11EC, 0x11ED, 0x11EE, 0x6399, 0x639A, 0x0200, 0x0201, 0x0202}


class TestGroupsOfProviders:
    """Groups are sorted by the names that oqs-provider gives them."""

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("x25519_frodo640aes", GroupKind.HYBRID),
            ("p256_hqc1", GroupKind.HYBRID),
            ("p521_mlkem1024", GroupKind.HYBRID),
            ("x448_bikel3", GroupKind.HYBRID),
            ("SecP256r1MLKEM768", GroupKind.HYBRID),
            ("MLKEM768X25519", GroupKind.HYBRID),
            ("curveSM2MLKEM768", GroupKind.HYBRID),
            ("bp256_mlkem512", GroupKind.HYBRID),
            ("bp512_mlkem1024", GroupKind.HYBRID),
            ("frodo640aes", GroupKind.POST_QUANTUM),
            ("efrodo1344shake", GroupKind.POST_QUANTUM),
            ("hqc1", GroupKind.POST_QUANTUM),
            ("bikel1", GroupKind.POST_QUANTUM),
            ("MLKEM1024", GroupKind.POST_QUANTUM),
            ("secp256k1", GroupKind.CLASSICAL),
            ("x25519_sikep434", GroupKind.CLASSICAL),
            ("surprise", GroupKind.CLASSICAL),
        ],
    )
    def test_a_name_tells_the_kind(self, name: str, kind: GroupKind) -> None:
        assert classify(name, 0xFE00) == NamedGroup(name, 0xFE00, kind)

    @pytest.mark.parametrize("group", list(dict.fromkeys(KNOWN.values())), ids=str)
    def test_the_rule_agrees_with_the_table(self, group: NamedGroup) -> None:
        assert classify(group.name, group.code_point) == group


class TestPreference:
    """Tuples of groups in OpenSSL's syntax."""

    def test_tuples_are_written_as_openssl_reads_them(self) -> None:
        preference = GroupPreference(((HYBRID, MLKEM), (X25519, P256)))
        assert preference.openssl_list() == "X25519MLKEM768:MLKEM1024 / X25519:secp256r1"
        assert openssl_takes(client_context("X25519"), SET_GROUPS_LIST, preference.openssl_list())

    def test_code_points_stand_in_order_of_preference(self) -> None:
        preference = GroupPreference(((HYBRID, MLKEM), (X25519,)))
        assert tuple(preference.by_code_point) == (0x11EC, 0x0202, 29)
        assert preference.quantum_safe_code_points == {0x11EC, 0x0202}

    def test_a_group_is_found_by_its_code_point(self) -> None:
        preference = GroupPreference(((HYBRID,),))
        assert preference.by_code_point.get(0x11EC) is HYBRID
        assert preference.by_code_point.get(29) is None

    def test_group_of_a_provider_is_known_although_it_is_not_accepted(self) -> None:
        frodo = classify("frodo640aes", 0xFE34)
        preference = GroupPreference(((HYBRID,), (X25519,)), frozenset({HYBRID, X25519, frodo}))
        assert 0xFE34 in preference.quantum_safe_anywhere
        assert preference.quantum_safe_code_points == {0x11EC}
        assert (preference.names[0xFE34], preference.names[0x0202]) == ("frodo640aes", "MLKEM1024")

    def test_equal_tuples_are_equal_preferences(self) -> None:
        assert GroupPreference(((HYBRID,),)) == GroupPreference(((HYBRID,),))
        assert GroupPreference(((HYBRID,),)) != GroupPreference(((HYBRID,), (X25519,)))

    def test_a_client_that_sent_only_a_classical_share_is_asked_for_a_hybrid_one(self) -> None:
        server = server_context(GroupPreference(((HYBRID,), (X25519,))).openssl_list())
        answer = peer(server).answer(peer(client_context("X25519:X25519MLKEM768")).answer(b""))
        assert parse_server_flight(answer).is_retry


def test_preference_without_the_slow_groups_keeps_the_order_of_the_others() -> None:
    tuples = tuple(tuple(KNOWN[name] for name in one) for one in (("mlkem768",), ("x448", "x25519"), ("secp256r1",)))
    assert (all_of := GroupPreference(tuples)).without_slow is all_of
    left = GroupPreference(tuples, slow={KNOWN["mlkem768"].code_point: 1.0, KNOWN["x448"].code_point: 1.0}).without_slow
    assert left is not None
    assert left.openssl_list() == "X25519 / secp256r1"
    assert GroupPreference(tuples[:1], slow={KNOWN["mlkem768"].code_point: 1.0}).without_slow is None


@pytest.mark.parametrize(
    ("listed", "is_foreign"),
    [("x25519_hqc5:hqc5 / frodo640aes", True), ("x25519_hqc5 / x25519", False), ("X25519MLKEM768", False), ("", False)],
)
def test_groups_of_providers_alone_are_foreign(listed: str, *, is_foreign: bool) -> None:
    assert are_foreign(groups_in(listed)) is is_foreign


def test_a_list_is_read_as_it_is_written() -> None:
    tuples = ((HYBRID, MLKEM), (classify("x25519_hqc5", -1), X25519))
    assert tuples_in(GroupPreference(tuples).openssl_list()) == tuples
