"""The shape of `[payload]`."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.limits import RateConfig, RatePer
from config.payload import PayloadConfig, PayloadEnvelope, RingConfig, SessionsConfig, SessionSuite


def test_defaults_are_those_that_the_documents_promise() -> None:
    assert PayloadConfig() == PayloadConfig(
        directory=None, max_age_seconds=60.0, skew_seconds=30.0, refuse_replays=False
    )
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
        {"max_age_seconds": 0.0},
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PayloadConfig.model_validate(table)
