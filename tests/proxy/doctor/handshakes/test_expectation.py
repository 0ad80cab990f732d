"""What the policy of a listener promises to each offer."""

import pytest

from config.schema import PqPolicy, SecurityLevel
from proxy.doctor.handshakes import offers
from proxy.doctor.handshakes.expectation import REFUSAL, ExpectedAnswer, expected, is_quantum_safe, is_same_group
from proxy.doctor.handshakes.offers import Groups, HelloOffer
from proxy.tls.handshake.group_choice import group_preference
from proxy.tls.wire.groups import KNOWN

GROUPS = Groups("X25519MLKEM768", "X25519")
HYBRID = offers.hybrid_share(None, GROUPS)
RETRY = offers.classical_share(None, GROUPS)
CLASSICAL = offers.classical_only(None, GROUPS)


def promised(pq: PqPolicy, offer: HelloOffer, groups: tuple[str, ...] | None = None) -> ExpectedAnswer:
    return expected(group_preference(SecurityLevel.STANDARD, pq, groups, KNOWN), pq, offer)


@pytest.mark.parametrize("pq", [PqPolicy.PREFER, PqPolicy.REPORT, PqPolicy.REQUIRE])
def test_hybrid_wins_under_every_policy_that_has_it(pq: PqPolicy) -> None:
    assert promised(pq, HYBRID) == ExpectedAnswer("X25519MLKEM768")
    assert promised(pq, RETRY) == ExpectedAnswer("X25519MLKEM768", is_retried=True)


@pytest.mark.parametrize("pq", [PqPolicy.PREFER, PqPolicy.REPORT])
def test_classical_client_is_served_where_it_may(pq: PqPolicy) -> None:
    assert promised(pq, CLASSICAL) == ExpectedAnswer("X25519")


def test_classical_client_is_refused_where_a_quantum_safe_group_is_required() -> None:
    assert promised(PqPolicy.REQUIRE, CLASSICAL) == REFUSAL


def test_off_means_a_classical_group_by_a_retry_if_need_be() -> None:
    assert promised(PqPolicy.OFF, HYBRID) == ExpectedAnswer("X25519", is_retried=True)
    assert promised(PqPolicy.OFF, RETRY) == ExpectedAnswer("X25519")


def test_no_group_in_common_is_a_refusal() -> None:
    assert promised(PqPolicy.PREFER, CLASSICAL, ("X25519MLKEM768", "secp384r1")) == REFUSAL


def test_share_that_was_sent_wins_within_a_tuple() -> None:
    one_tuple = group_preference(SecurityLevel.STANDARD, PqPolicy.PREFER, (("X25519MLKEM768", "X25519"),), KNOWN)
    assert expected(one_tuple, PqPolicy.PREFER, RETRY) == ExpectedAnswer("X25519")
    assert expected(one_tuple, PqPolicy.PREFER, HYBRID) == ExpectedAnswer("X25519MLKEM768")


def test_require_counts_no_classical_group_of_a_tuple() -> None:
    mixed = group_preference(SecurityLevel.STANDARD, PqPolicy.PREFER, (("X25519MLKEM768", "X25519"),), KNOWN)
    assert expected(mixed, PqPolicy.REQUIRE, RETRY) == ExpectedAnswer("X25519MLKEM768", is_retried=True)


def test_names_of_one_group_are_the_same() -> None:
    assert is_same_group("P-256", "prime256v1")
    assert is_same_group("x25519", "X25519")
    assert not is_same_group("x25519", "X448")
    assert is_same_group("hqc1", "HQC1")
    assert not is_same_group("hqc1", "x25519")


def test_what_is_not_known_is_not_quantum_safe() -> None:
    assert is_quantum_safe("x25519mlkem768")
    assert not is_quantum_safe("x25519")
    assert not is_quantum_safe("hqc1")
