"""Policy: what each level offers, whom it refuses, how a handshake is counted; held against OpenSSL where it has a say."""

import random
import ssl
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import PqPolicy, SecurityLevel
from proxy.tls.handshake.group_choice import (
    HandshakeOutcome,
    NothingLeftError,
    OffAtStrictLevelError,
    PolicyError,
    RepeatedGroupError,
    UnknownGroupError,
    WeakerThanLevelError,
    breaks_under_require,
    cipher_suites,
    effective_pq,
    group_preference,
    has_no_common_group,
    outcome,
    predicted_group,
    predicts_retry,
    refuses,
)
from proxy.tls.wire.client_hello import ClientHello, parse_client_hello
from proxy.tls.wire.groups import KNOWN, GroupPreference, classify
from proxy.tls.wire.server_hello import parse_server_flight
from tests.proxy.tls.hellos import (
    SET_GROUPS_LIST,
    Hello,
    client_context,
    key_share,
    openssl_takes,
    peer,
    server_context,
    signature_algorithms,
    supported_groups,
    supported_versions,
)

OFF, PREFER, REPORT, REQUIRE = PqPolicy.OFF, PqPolicy.PREFER, PqPolicy.REPORT, PqPolicy.REQUIRE
STANDARD, HIGH = SecurityLevel.STANDARD, SecurityLevel.HIGH
CRITICAL, QUANTUM_SAFE = SecurityLevel.CRITICAL, SecurityLevel.QUANTUM_SAFE
HYBRIDS = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024"
FRODO = classify("x25519_frodo640aes", 0xFE02)


def offering(*groups: int) -> ClientHello:
    """A hello that lists `groups` and sends no share."""
    return parse_client_hello(
        Hello((supported_versions(), supported_groups(groups), key_share(), signature_algorithms())).message
    )


class TestLevels:
    """The table of levels."""

    @pytest.mark.parametrize(
        ("level", "pq", "groups"),
        [
            (STANDARD, PREFER, f"{HYBRIDS} / X25519:secp256r1:secp384r1"),
            (STANDARD, REPORT, f"{HYBRIDS} / X25519:secp256r1:secp384r1"),
            (STANDARD, REQUIRE, HYBRIDS),
            (STANDARD, OFF, "X25519:secp256r1:secp384r1"),
            (HIGH, PREFER, f"{HYBRIDS} / secp384r1"),
            (HIGH, REPORT, f"{HYBRIDS} / secp384r1"),
            (HIGH, REQUIRE, HYBRIDS),
            (HIGH, OFF, "secp384r1"),
            (CRITICAL, PREFER, HYBRIDS),
            (CRITICAL, REPORT, HYBRIDS),
            (CRITICAL, REQUIRE, HYBRIDS),
            (QUANTUM_SAFE, PREFER, "SecP384r1MLKEM1024:MLKEM1024"),
            (QUANTUM_SAFE, REPORT, "SecP384r1MLKEM1024:MLKEM1024"),
            (QUANTUM_SAFE, REQUIRE, "SecP384r1MLKEM1024:MLKEM1024"),
        ],
    )
    def test_a_level_and_a_policy_give_a_list_that_openssl_takes(
        self, level: SecurityLevel, pq: PqPolicy, groups: str
    ) -> None:
        preference = group_preference(level, pq, None, KNOWN)
        assert preference.openssl_list() == groups
        assert openssl_takes(client_context("X25519"), SET_GROUPS_LIST, groups)

    @pytest.mark.parametrize("group", ["X25519MLKEM768", "SecP256r1MLKEM768", "MLKEM512", "MLKEM768", "secp384r1"])
    def test_the_level_of_cnsa_takes_no_group_but_those_of_mlkem_1024(self, group: str) -> None:
        with pytest.raises(WeakerThanLevelError, match=f"SecP384r1MLKEM1024 and MLKEM1024 only, not {group}"):
            group_preference(QUANTUM_SAFE, PREFER, ("MLKEM1024", group), KNOWN)
        assert group_preference(QUANTUM_SAFE, PREFER, ("mlkem1024",), KNOWN).openssl_list() == "MLKEM1024"

    @pytest.mark.parametrize("level", [CRITICAL, QUANTUM_SAFE])
    def test_a_level_of_quantum_safe_groups_cannot_be_switched_off(self, level: SecurityLevel) -> None:
        with pytest.raises(OffAtStrictLevelError, match=f"pq = off leaves no group at level {level}") as caught:
            group_preference(level, OFF, None, KNOWN)
        assert caught.value.level is level

    @pytest.mark.parametrize("pq", [PREFER, REPORT, REQUIRE])
    def test_a_level_of_quantum_safe_groups_implies_require(self, pq: PqPolicy) -> None:
        assert effective_pq(CRITICAL, pq) is REQUIRE
        assert effective_pq(QUANTUM_SAFE, pq) is REQUIRE

    @pytest.mark.parametrize(("level", "pq"), list(product([STANDARD, HIGH], PqPolicy)))
    def test_other_levels_keep_the_policy(self, level: SecurityLevel, pq: PqPolicy) -> None:
        assert effective_pq(level, pq) is pq

    @pytest.mark.parametrize(
        ("level", "suites"),
        [
            (STANDARD, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
            (HIGH, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"),
            (CRITICAL, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"),
            (QUANTUM_SAFE, "TLS_AES_256_GCM_SHA384"),
        ],
    )
    def test_a_level_has_its_cipher_suites(self, level: SecurityLevel, suites: str) -> None:
        assert cipher_suites(level) == suites

    def test_a_group_of_the_level_that_this_openssl_lacks_is_named(self) -> None:
        old = {name: group for name, group in KNOWN.items() if not group.is_quantum_safe}
        with pytest.raises(UnknownGroupError, match="no key exchange group 'X25519MLKEM768'"):
            group_preference(STANDARD, PREFER, None, old)


class TestOwnGroups:
    """`groups` of a listener."""

    @pytest.mark.parametrize(
        ("groups", "pq", "expected"),
        [
            (("P-256", "x25519mlkem768", "X25519", "MLKEM768"), PREFER, "X25519MLKEM768:MLKEM768 / secp256r1:X25519"),
            (("X25519", "X25519MLKEM768"), REQUIRE, "X25519MLKEM768"),
            (("X25519", "X25519MLKEM768"), OFF, "X25519"),
            (("X25519", "P-521"), PREFER, "X25519:secp521r1"),
            (("X25519MLKEM768",), REPORT, "X25519MLKEM768"),
            ((("X25519",), ("X25519MLKEM768", "P-256")), PREFER, "X25519 / X25519MLKEM768:secp256r1"),
            ((("X25519",), ("X25519MLKEM768", "P-256")), REQUIRE, "X25519MLKEM768"),
            ((("X25519MLKEM768",), ("X25519", "MLKEM768"), ("P-256",)), OFF, "X25519 / secp256r1"),
            ((("X25519MLKEM768",), (), ("X448",)), PREFER, "X25519MLKEM768 / X448"),
        ],
    )
    def test_a_list_is_filtered_by_the_policy(
        self, groups: tuple[str, ...] | tuple[tuple[str, ...], ...], pq: PqPolicy, expected: str
    ) -> None:
        assert group_preference(STANDARD, pq, groups, KNOWN).openssl_list() == expected

    def test_a_providers_group_is_taken_by_its_name(self) -> None:
        known = {**KNOWN, "x25519_frodo640aes": FRODO}
        preference = group_preference(CRITICAL, PREFER, ("X25519_Frodo640AES", "MLKEM1024"), known)
        assert preference.openssl_list() == "x25519_frodo640aes:MLKEM1024"
        assert 0xFE02 in preference.quantum_safe_code_points

    def test_an_unknown_group_is_named_with_a_near_match_and_what_there_is(self) -> None:
        with pytest.raises(UnknownGroupError) as caught:
            group_preference(STANDARD, PREFER, ("X25519MLKEM786",), KNOWN)
        assert (caught.value.name, caught.value.suggestion) == ("X25519MLKEM786", "X25519MLKEM768")
        assert caught.value.available[:3] == ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
        assert caught.value.available.count("secp256r1") == 1
        assert str(caught.value).startswith(
            "there is no key exchange group 'X25519MLKEM786' (did you mean X25519MLKEM768?); available are X25519MLKEM768, "
        )

    @pytest.mark.parametrize("name", ["tulip", "", "X25519:P-256", "?X25519", "DEFAULT"])
    def test_nothing_but_the_name_of_a_group_is_taken(self, name: str) -> None:
        with pytest.raises(UnknownGroupError):
            group_preference(STANDARD, PREFER, ((name,),), KNOWN)

    def test_an_unknown_group_like_none_gets_no_suggestion(self) -> None:
        with pytest.raises(UnknownGroupError, match="no key exchange group 'tulip'; available are") as caught:
            group_preference(STANDARD, PREFER, (("tulip",),), KNOWN)
        assert caught.value.suggestion is None

    @pytest.mark.parametrize("groups", [("P-256", "X25519", "prime256v1"), (("secp256r1",), ("P-256",))])
    def test_a_group_listed_twice_is_named(self, groups: tuple[str, ...] | tuple[tuple[str, ...], ...]) -> None:
        with pytest.raises(RepeatedGroupError, match="secp256r1 is listed twice") as caught:
            group_preference(STANDARD, PREFER, groups, KNOWN)
        assert caught.value.name == "secp256r1"

    @pytest.mark.parametrize("level", [CRITICAL])
    def test_a_classical_group_may_not_weaken_a_level(self, level: SecurityLevel) -> None:
        with pytest.raises(
            WeakerThanLevelError, match=f"level {level} allows no classical group such as X25519"
        ) as caught:
            group_preference(level, REQUIRE, ("X25519MLKEM768", "X25519"), KNOWN)
        assert (caught.value.name, caught.value.level) == ("X25519", level)

    @pytest.mark.parametrize(
        ("groups", "pq", "sentence"),
        [
            (("X25519", "P-256"), REQUIRE, "pq = require allows none of the listed groups: X25519, secp256r1"),
            (("X25519MLKEM768",), OFF, "pq = off allows none of the listed groups: X25519MLKEM768"),
            ((), PREFER, "pq = prefer allows none of the listed groups: the list is empty"),
        ],
    )
    def test_a_policy_that_leaves_nothing_is_refused(
        self, groups: tuple[str, ...], pq: PqPolicy, sentence: str
    ) -> None:
        with pytest.raises(NothingLeftError) as caught:
            group_preference(STANDARD, pq, groups, KNOWN)
        assert str(caught.value) == sentence
        assert caught.value.pq is pq

    def test_every_error_is_a_policy_error(self) -> None:
        kinds = (UnknownGroupError, RepeatedGroupError, WeakerThanLevelError, OffAtStrictLevelError, NothingLeftError)
        assert all(issubclass(kind, PolicyError) for kind in kinds)


PREFERENCE = group_preference(STANDARD, PREFER, None, KNOWN)
HYBRIDS_ONLY = group_preference(STANDARD, REQUIRE, None, KNOWN)
CLASSICAL_ONLY = group_preference(STANDARD, OFF, None, KNOWN)
CLASSICAL_FIRST = group_preference(STANDARD, PREFER, (("X25519",), ("X25519MLKEM768",)), KNOWN)
CNSA_2 = group_preference(QUANTUM_SAFE, REQUIRE, None, KNOWN)
GREASE, X25519, HYBRID, MLKEM512, SM2_HYBRID = 0x2A2A, 29, 0x11EC, 0x0200, 0x11EE


class TestRefusal:
    """Only `require` refuses, and only who lists none of our groups."""

    @pytest.mark.parametrize("groups", [(X25519, 23), (GREASE, X25519), (SM2_HYBRID, X25519), (MLKEM512,)])
    def test_require_refuses_who_lists_none_of_ours(self, groups: tuple[int, ...]) -> None:
        assert refuses(REQUIRE, HYBRIDS_ONLY, offering(*groups))

    @pytest.mark.parametrize("groups", [(X25519, HYBRID), (0x11ED,)])
    def test_require_refuses_nobody_else(self, groups: tuple[int, ...]) -> None:
        assert not refuses(REQUIRE, HYBRIDS_ONLY, offering(*groups))

    @pytest.mark.parametrize("pq", [OFF, PREFER, REPORT])
    def test_no_other_policy_refuses(self, pq: PqPolicy) -> None:
        assert not refuses(pq, PREFERENCE, offering(X25519))

    def test_a_group_of_a_provider_counts(self) -> None:
        assert not refuses(REQUIRE, GroupPreference(((FRODO,),)), offering(FRODO.code_point))

    @given(
        groups=st.lists(
            st.sampled_from(sorted({group.code_point for group in KNOWN.values()})), min_size=1, unique=True
        )
    )
    def test_openssl_agrees_with_a_refusal(self, groups: list[int]) -> None:
        """Whom we do not refuse gets a ServerHello or a HelloRetryRequest for a quantum-safe group."""
        names = {group.code_point: group.name for group in KNOWN.values()}
        server = peer(server_context(HYBRIDS_ONLY.openssl_list()))
        wire = peer(client_context(":".join(names[group] for group in groups))).answer(b"")
        if refuses(REQUIRE, HYBRIDS_ONLY, parse_client_hello(wire[5:])):
            with pytest.raises(ssl.SSLError):
                server.answer(wire)
        else:
            assert parse_server_flight(server.answer(wire)).group in HYBRIDS_ONLY.quantum_safe_code_points

    @pytest.mark.parametrize(("groups", "breaks"), [((X25519,), True), ((X25519, HYBRID), False), ((MLKEM512,), False)])
    def test_where_hybrids_are_off_any_quantum_safe_group_counts(
        self, groups: tuple[int, ...], *, breaks: bool
    ) -> None:
        assert breaks_under_require(CLASSICAL_ONLY, offering(*groups)) is breaks


class TestOutcome:
    """How a handshake is counted."""

    @pytest.mark.parametrize(
        ("pq", "preference", "groups", "selected", "expected"),
        [
            (PREFER, PREFERENCE, (HYBRID, X25519), HYBRID, "hybrid"),
            (REPORT, PREFERENCE, (HYBRID, X25519), HYBRID, "hybrid"),
            (REQUIRE, HYBRIDS_ONLY, (HYBRID, X25519), HYBRID, "hybrid"),
            (REQUIRE, CNSA_2, (0x0202,), 0x0202, "hybrid"),
            (PREFER, GroupPreference(((FRODO,),)), (FRODO.code_point,), FRODO.code_point, "hybrid"),
            (PREFER, PREFERENCE, (X25519, 23), X25519, "client_cannot"),
            (PREFER, PREFERENCE, (GREASE, X25519), X25519, "client_cannot"),
            (PREFER, PREFERENCE, (0xFE77, X25519), X25519, "client_cannot"),
            (PREFER, PREFERENCE, (X25519, MLKEM512), X25519, "not_required"),
            (PREFER, PREFERENCE, (X25519, SM2_HYBRID), X25519, "not_required"),
            (PREFER, CLASSICAL_FIRST, (X25519, HYBRID), X25519, "not_required"),
            (OFF, CLASSICAL_ONLY, (X25519, HYBRID), X25519, "not_required"),
            (OFF, CLASSICAL_ONLY, (X25519,), X25519, "client_cannot"),
            (REPORT, PREFERENCE, (X25519,), X25519, "would_refuse"),
            (REPORT, PREFERENCE, (X25519, MLKEM512), X25519, "would_refuse"),
            (REPORT, CLASSICAL_FIRST, (X25519, HYBRID), X25519, "not_required"),
            (REQUIRE, HYBRIDS_ONLY, (X25519,), None, "refused"),
        ],
    )
    def test_an_outcome_names_its_cause(
        self, pq: PqPolicy, preference: GroupPreference, groups: tuple[int, ...], selected: int | None, expected: str
    ) -> None:
        assert outcome(pq, preference, offering(*groups), selected, retried=False) == expected

    @pytest.mark.parametrize("pq", [PREFER, REPORT, REQUIRE])
    def test_a_hybrid_that_cost_a_retry_is_counted_apart(self, pq: PqPolicy) -> None:
        counted = outcome(pq, PREFERENCE, offering(X25519, HYBRID), HYBRID, retried=True)
        assert counted is HandshakeOutcome.HYBRID_AFTER_RETRY

    def test_a_retry_for_a_classical_group_changes_nothing(self) -> None:
        counted = outcome(PREFER, PREFERENCE, offering(23, 24), 23, retried=True)
        assert counted is HandshakeOutcome.CLIENT_CANNOT

    @given(
        pq=st.sampled_from([PREFER, REPORT]),
        groups=st.lists(st.sampled_from([GREASE, X25519, HYBRID, MLKEM512, SM2_HYBRID, 23]), min_size=1, unique=True),
    )
    def test_would_refuse_is_exactly_whom_require_refuses(self, pq: PqPolicy, groups: list[int]) -> None:
        hello = offering(*groups)
        is_refused = refuses(REQUIRE, HYBRIDS_ONLY, hello)
        assert breaks_under_require(PREFERENCE, hello) is is_refused
        selected = X25519 if is_refused else HYBRID
        assert (outcome(REPORT, PREFERENCE, hello, selected, retried=False) == "would_refuse") is is_refused
        assert (
            outcome(REQUIRE, HYBRIDS_ONLY, hello, None if is_refused else HYBRID, retried=False) == "refused"
        ) is is_refused
        assert outcome(pq, PREFERENCE, hello, HYBRID, retried=False) is HandshakeOutcome.HYBRID


class TestRetry:
    """Predicting a HelloRetryRequest saves the loop a key exchange; OpenSSL says whether it comes."""

    NAMES = ("X25519MLKEM768", "SecP256r1MLKEM768", "X25519", "secp256r1", "secp384r1")

    def test_client_with_none_of_the_groups_is_not_asked_again(self) -> None:
        assert not predicts_retry(PREFERENCE, offering(GREASE))

    @given(
        tuples=st.permutations(NAMES[:4]).flatmap(
            lambda names: st.integers(1, 3).map(lambda cut: (tuple(names[:cut]), tuple(names[cut:])))
        ),
        listed=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
        shares=st.sets(st.sampled_from(NAMES), min_size=1, max_size=3),
    )
    def test_openssl_agrees(self, tuples: tuple[tuple[str, ...], ...], listed: list[str], shares: set[str]) -> None:
        preference = group_preference(STANDARD, PREFER, tuples, KNOWN)
        marked = [f"*{name}" if name in shares else name for name in listed]
        if not shares & set(listed):
            marked[0] = f"*{listed[0]}"
        wire = peer(client_context(":".join(marked))).answer(b"")
        hello = parse_client_hello(wire[5:])
        server = peer(server_context(preference.openssl_list()))
        if set(hello.supported_groups).isdisjoint(preference.by_code_point):
            assert not predicts_retry(preference, hello)
            with pytest.raises(ssl.SSLError):
                server.answer(wire)
        else:
            assert predicts_retry(preference, hello) is parse_server_flight(server.answer(wire)).is_retry


class TestPrediction:
    """OpenSSL itself says which group it takes; what decides about slow groups must not be wrong."""

    NAMES = ("X25519", "secp256r1", "secp384r1", "X448")

    def test_prediction_is_what_openssl_does(self) -> None:
        chance = random.Random(3)  # noqa: S311 - the same cases each time
        for _ in range(200):
            names = chance.sample(self.NAMES, chance.randint(1, len(self.NAMES)))
            cut = chance.randint(1, len(names))
            tuples = tuple(one for one in (tuple(names[:cut]), tuple(names[cut:])) if one)
            listed = chance.sample(self.NAMES, chance.randint(1, len(self.NAMES)))
            shares = set(chance.sample(listed, chance.randint(1, len(listed))))
            preference = group_preference(STANDARD, PREFER, tuples, KNOWN)
            client = client_context(":".join(f"*{one}" if one in shares else one for one in listed))
            sent = peer(client).answer(b"")
            hello = parse_client_hello(sent[5:])
            group = predicted_group(preference, hello)
            if group is None:
                assert has_no_common_group(preference, hello)
                continue
            assert not has_no_common_group(preference, hello)
            said = parse_server_flight(peer(server_context(preference.openssl_list())).answer(sent))
            assert said.group == group.code_point, (tuples, listed, shares)
            assert said.is_retry is predicts_retry(preference, hello)
