"""What is kept of a body, to be sent once more."""

from proxy.upstream.http2.replay import Replay


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


def test_a_refused_request_moves_once_unless_its_server_leaves() -> None:
    replay = Replay()
    assert [replay.may_move(server_leaves=False) for _ in range(2)] == [True, False]
    replay = Replay()
    assert [replay.may_move(server_leaves=True) for _ in range(11)] == [True] * 10 + [False]
    replay = Replay()
    replay.forget()
    assert not replay.may_move(server_leaves=True)
