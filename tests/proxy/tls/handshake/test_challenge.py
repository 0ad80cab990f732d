"""A challenge is a value: equal content is the same challenge."""

from proxy.tls.handshake.challenge import TlsChallenge


def test_challenges_with_the_same_content_are_the_same() -> None:
    assert TlsChallenge("chat.test", bytes(32)) == TlsChallenge("chat.test", bytes(32))
    assert TlsChallenge("chat.test", bytes(32)) != TlsChallenge("chat.test", bytes([1]) * 32)
