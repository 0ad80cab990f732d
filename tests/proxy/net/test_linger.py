"""The limits of an end."""

from proxy.net.linger import Linger


def test_each_limit_has_its_name() -> None:
    linger = Linger(10, 2.0, 60.0)
    assert (linger.discard_bytes, linger.seconds, linger.flush_seconds) == (10, 2.0, 60.0)
