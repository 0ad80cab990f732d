"""When issuers are asked for the windows of their certificates."""

from datetime import timedelta

from certs.issuing.issuer import RenewalWindow
from certs.rotation.planning import Instant
from proxy.rotation.memory.windows import Windows
from tests.certs.authority import DAY, NOW

CHAT = ("chat", "ec")
HOUR = timedelta(hours=1)


def at(hours: float) -> Instant:
    return Instant(NOW + hours * HOUR, hours * 3_600)


def window(ask_again: timedelta | None = None) -> RenewalWindow:
    return RenewalWindow(NOW + DAY, NOW + 2 * DAY, None if ask_again is None else NOW + ask_again)


def test_each_certificate_is_asked_for_at_once_and_then_every_six_hours() -> None:
    windows = Windows()
    assert windows.to_ask({CHAT: "a"}, at(0)) == [CHAT]
    windows.said(CHAT, "a", window(), at(0))
    assert windows.of(CHAT, "a") == window()
    assert windows.to_ask({CHAT: "a"}, at(5.9)) == []
    assert windows.to_ask({CHAT: "a"}, at(6)) == [CHAT]


def test_another_certificate_is_another_question() -> None:
    windows = Windows()
    windows.said(CHAT, "a", window(), at(0))
    assert windows.of(CHAT, "b") is None
    assert windows.to_ask({CHAT: "b"}, at(0)) == [CHAT]


def test_what_the_issuer_wants_is_obeyed_within_reason() -> None:
    windows = Windows()
    windows.said(CHAT, "a", window(2 * HOUR), at(0))
    assert windows.to_ask({CHAT: "a"}, at(1.9)) == []
    assert windows.to_ask({CHAT: "a"}, at(2)) == [CHAT]
    windows.said(CHAT, "a", window(timedelta(0)), at(0))
    assert windows.to_ask({CHAT: "a"}, at(0.5 / 60)) == [], "not more than once a minute"
    windows.said(CHAT, "a", window(30 * DAY), at(0))
    assert windows.to_ask({CHAT: "a"}, at(24)) == [CHAT], "once a day at least"


def test_what_was_said_holds_while_the_issuer_does_not_answer() -> None:
    windows = Windows()
    windows.said(CHAT, "a", window(), at(0))
    windows.failed(CHAT, "a", at(6))
    assert windows.of(CHAT, "a") == window()
    assert windows.to_ask({CHAT: "a"}, at(7)) == []
    windows.failed(CHAT, "b", at(7))
    assert windows.of(CHAT, "b") is None
