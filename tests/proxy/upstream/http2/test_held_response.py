"""What is kept of a response."""

from proxy.upstream.http2.held_response import HeldResponse


def test_pieces_wait_until_they_are_taken() -> None:
    held = HeldResponse()
    assert not held.is_waiting
    held.is_paused = True
    assert held.is_waiting
    for piece in (b"a", b"", b"b"):
        held.keep(piece)
    held.is_paused = False
    assert held.is_waiting
    assert held.take() == b"ab"
    assert not held.is_waiting
    assert (held.take(), held.is_ended, held.trailers) == (b"", False, [])
