"""Each budget and each error has a reason of its own, or that of a broken rule."""

from proxy.limits.reasons import ConnectionReason
from proxy.quic.faults import QuicFault, fault_of

FLOODS = 14
CRYPTO_BUFFER, FATAL = -229, -500


def test_each_flood_has_a_reason() -> None:
    found = [fault_of(-1_000 - number) for number in range(1, FLOODS + 1)]
    assert len({one.reason for one in found}) == FLOODS
    assert ConnectionReason.HTTP3_PROTOCOL_ERROR not in {one.reason for one in found}


def test_errors_of_the_library_have_theirs() -> None:
    assert fault_of(CRYPTO_BUFFER).reason is ConnectionReason.HTTP3_CRYPTO_FLOOD
    assert fault_of(FATAL) == QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "QUIC error -500")
