"""The sentences of connections that were relayed; `test_event` has their facts."""

from proxy.observe.events.relays import PassthroughClosed


def test_a_connection_without_a_server_is_told_without_one() -> None:
    event = PassthroughClosed("192.0.2.1", "public", "turn.test", (), None, 1, 2, 1_000.0, "drained")
    assert "turn.test to no server, 1 bytes in, 2 out, 1.0 s" in event.sentence()
    assert "(" not in event.sentence()
