"""Counts are handed out once, revocations hold for what was begun before."""

from typing import TYPE_CHECKING

import pytest

from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.codec import RingCodec
from proxy.payload.messages.uses import PayloadUses
from tests.payloads import NOW, WINDOW, ring

if TYPE_CHECKING:
    from collections.abc import Callable


def test_revocations_are_seen_by_codecs_that_were_there_before() -> None:
    uses = PayloadUses()
    one = RingCodec(ring(1), uses.count, uses.revoked)
    token = one.seal(b"hello", NOW, 1)
    one.require(1)
    uses.revoked.add(("chat", 1))
    attempts: list[Callable[[], object]] = [lambda: one.require(1), lambda: one.open(token, WINDOW, NOW)]
    for refused in attempts:
        with pytest.raises(PayloadFault) as caught:
            refused()
        assert caught.value.cause is Cause.REVOKED_KEY
    one.require(None)
    assert one.open(one.seal(b"hello", NOW), WINDOW, NOW).plain == b"hello"


def test_what_was_taken_begins_anew() -> None:
    uses = PayloadUses()
    for version in (2, 1, 2):
        uses.count("chat", version)
    assert uses.take() == [("chat", 1, 1), ("chat", 2, 2)]
    assert uses.take() == []


def test_versions_are_revoked_together() -> None:
    uses = PayloadUses()
    uses.revoke([("chat", 1), ("chat", 2)])
    assert uses.revoked == {("chat", 1), ("chat", 2)}
