"""When clients are told of HTTP/3, and when to forget it."""

from proxy.quic.advertisement import OFF, SECONDS, UNTRIED, Advertisement

OFFER = b'h3=":443"; ma=3600'


def test_nothing_is_said_before_a_handshake_has_succeeded() -> None:
    untried = Advertisement(443)
    assert (untried.fault, untried.is_offered, untried.value(10.0)) == (UNTRIED, False, b"")
    failed = untried.after("no answer", 10.0)
    assert (failed.fault, failed.value(10.0)) == ("no answer", b"")
    offered = failed.after(None, 20.0)
    assert (offered.is_offered, offered.value(20.0)) == (True, OFFER)


def test_clear_is_said_as_long_as_a_client_may_remember() -> None:
    offered = Advertisement(443).after(None, 0.0)
    failed = offered.after(OFF, 100.0)
    assert failed.value(100.0) == b"clear"
    assert failed.value(99.0 + SECONDS) == b"clear"
    assert failed.value(100.0 + SECONDS) == b""


def test_further_failure_does_not_extend_it() -> None:
    failed = Advertisement(443).after(None, 0.0).after("no answer", 100.0).after("refused", 200.0)
    assert failed.fault == "refused"
    assert failed.value(100.0 + SECONDS) == b""


def test_offer_comes_back_with_the_next_success() -> None:
    assert Advertisement(443).after(None, 0.0).after("no answer", 1.0).after(None, 2.0).value(2.0) == OFFER


def test_other_port_is_another_offer() -> None:
    offered = Advertisement(8443).after(None, 0.0)
    assert offered.at_port(8443) is offered
    assert offered.at_port(443).value(0.0) == OFFER
