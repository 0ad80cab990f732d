"""What is kept of a body, to be sent once more."""

from proxy.upstream.h2_replay import Replay


def test_all_pieces_are_kept_while_they_are_few() -> None:
    replay = Replay()
    for piece in (b"a", b"", b"b"):
        replay.add(piece)
        replay.bound()
    assert (replay.pieces, replay.is_whole) == ([b"a", b"b"], True)


def test_too_much_is_forgotten_when_it_was_sent() -> None:
    replay = Replay()
    replay.add(bytes(65_537))
    assert replay.is_whole
    replay.bound()
    replay.add(b"more")
    assert (replay.pieces, replay.is_whole) == ([], False)
