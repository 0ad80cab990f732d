"""The shape of `[payload]`."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.schema import RouteConfig
from config.tables.limits import RateConfig, RatePer
from config.tables.payload import PayloadConfig, PayloadEnvelope, RingConfig, SessionsConfig, SessionSuite


def test_defaults_are_those_that_the_documents_promise() -> None:
    table = {"max_age": "60s", "clock_skew": "30s", "refuse_replays": False}
    assert PayloadConfig() == PayloadConfig.model_validate(table)
    assert (RingConfig().rotate_hours, RingConfig().quota, RingConfig().overlap) == (24.0, 10_000, 3)
    assert (RingConfig().bind, RingConfig().envelope) == (False, PayloadEnvelope.NONE)
    assert SessionsConfig().suites == (SessionSuite.MLKEM768_X25519,)
    assert SessionsConfig().rate == RateConfig(requests_per_second=20.0, burst=200, per=RatePer.CLIENT)


@pytest.mark.parametrize(
    "table",
    [
        {"ring": {"a:b": {}}},
        {"ring": {"chat": {"overlap": 0}}},
        {"ring": {"chat": {"envelope": "other"}}},
        {"ring": {"chat": {"quota": True}}},
        {"sessions": {"suites": []}},
        {"sessions": {"suites": ["MLKEM768-X25519", "MLKEM768-X25519"]}},
        {"sessions": {"suites": ["Kyber768"]}},
        {"sessions": {"rate": {"requests_per_second": 0.0, "burst": 1, "per": "client"}}},
        {"sessions": {"rate": {"requests_per_second": 1.0, "burst": 1, "per": "fleet"}}},
        {"max_age": "0s"},
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PayloadConfig.model_validate(table)


ROUTE = {"host": "chat.test", "upstream": "chat"}


@pytest.mark.parametrize(
    "origin",
    ["https://a.test", "http://localhost:3000", "https://[::1]:8443", "http://192.0.2.1:443", "capacitor://localhost"],
)
def test_origins_are_taken_as_browsers_send_them(origin: str) -> None:
    route = RouteConfig.model_validate({**ROUTE, "payload_origins": [origin]})
    assert route.payload_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "a.test",
        "https://*.a.test",
        "https://a.test/",
        "https://A.test",
        "https://a.test:443",
        "http://a.test:80",
        "https://a.test:65536",
        "https://a.test:0",
        "https://user@a.test",
        "https://a.test\r\nX: y",
        "https://a.test\n",
    ],
)
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({**ROUTE, "payload_origins": [origin]})
