"""Handshakes by how the key exchange ended."""

from proxy.doctor.readiness.tally import Tally, share, total
from proxy.tls.handshake.group_choice import HandshakeOutcome

ONE_OF_EACH = {str(outcome): 10**place for place, outcome in enumerate(HandshakeOutcome)}


def test_every_outcome_counts_once() -> None:
    tally = Tally.of(ONE_OF_EACH)
    assert tally == Tally(hybrid=1, retried=10, unable=10_100, able=1_000, refused=100_000)
    assert tally.established + tally.refused == sum(ONE_OF_EACH.values())


def test_who_offers_other_groups_breaks_where_ours_are_on() -> None:
    tally = Tally(unable=3, able=2)
    assert (tally.breaking(is_offered=True), tally.breaking(is_offered=False)) == (5, 3)


def test_sum_and_json() -> None:
    assert total([]) == Tally()
    assert Tally().as_json()["hybrid_share"] is None
    assert total([Tally(hybrid=1, retried=2), Tally(1, 0, 3, 1, 5)]).as_json() == {
        "established": 8,
        "hybrid": 4,
        "hybrid_after_retry": 2,
        "classical_client_cannot": 3,
        "classical_client_could": 1,
        "refused": 5,
        "hybrid_share": 0.5,
    }


def test_share_of_nothing_is_none() -> None:
    assert share(1, 4) == 0.25
    assert share(0, 0) is None
