"""What workers tell: only states that a breaker has."""

import pytest

from proxy.processes.messages.codec import MessageMalformed
from proxy.processes.messages.news import BreakerChanged
from proxy.processes.messages.wire import decode_news, encode_question
from proxy.signing.breaker import BreakerState


def test_state_stands_by_its_name() -> None:
    news = BreakerChanged("plexi", BreakerState.OPEN)
    assert encode_question(news) == ("BreakerChanged", {"token": "plexi", "state": "open"})


def test_state_that_no_breaker_has_is_refused() -> None:
    with pytest.raises(MessageMalformed, match=r"BreakerChanged\.state: found other text; allowed: one of closed"):
        decode_news("BreakerChanged", {"token": "plexi", "state": "ajar"})
