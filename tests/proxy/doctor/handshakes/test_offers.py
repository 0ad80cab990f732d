"""What the clients of the doctor offer."""

from proxy.doctor.handshakes import offers
from proxy.doctor.handshakes.offers import Cut, Groups, Versions

GROUPS = Groups("X25519MLKEM768", "X25519")


def test_hybrid_share_lists_both_groups_and_shares_the_hybrid_one() -> None:
    offer = offers.hybrid_share("chat.test", GROUPS, ("h2",))
    assert offer.groups_list == "*X25519MLKEM768:X25519"
    assert offer.server_name == "chat.test"
    assert offer.alpn == ("h2",)


def test_classical_share_lists_both_groups_and_shares_the_classical_one() -> None:
    assert offers.classical_share("chat.test", GROUPS).groups_list == "*X25519:X25519MLKEM768"


def test_classical_client_lists_nothing_else() -> None:
    assert offers.classical_only("chat.test", GROUPS).groups_list == "*X25519"


def test_variants_change_one_thing() -> None:
    hybrid = offers.hybrid_share("chat.test", GROUPS)
    assert offers.in_many_segments(hybrid).cut is Cut.MANY_SEGMENTS
    assert offers.in_many_segments(hybrid).groups == hybrid.groups
    assert offers.with_mldsa_only(hybrid).signature_schemes == ("mldsa44", "mldsa65", "mldsa87")
    old = offers.with_tls_1_2(hybrid)
    assert old.versions is Versions.ONLY_TLS_1_2
    assert old.groups_list == "X25519:secp256r1"
