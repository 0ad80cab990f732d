"""What a listener is given has safe defaults: a listener exempts no client unless its table says so."""

from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.limits.connections import ListenerLimits
from proxy.limits.rates import Rate
from tests.fakes import LINGER
from tests.fakes_http import handshake_policy


def test_a_listener_exempts_nobody_by_itself() -> None:
    limits = ListenerLimits(10, 10, 10, 10, Rate.of(1.0, 1), 10.0)
    runtime = ListenerRuntime("public", handshake_policy(), "TLS_AES_256_GCM_SHA384", limits, (), LINGER)
    assert runtime.exempt == ()
