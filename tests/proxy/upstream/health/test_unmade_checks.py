"""Checks that could not be made: what is counted, and what is said."""

from typing import Any

from proxy.observe.scrape import UnmadeCheck
from proxy.upstream.health.unmade_checks import UnmadeChecks

ONE, OTHER = ("chat", "http://10.0.0.1:8000"), ("chat", "http://10.0.0.2:8000")
REASON = "Too many open files"


class Case:
    """Checks, and what they said."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[tuple[dict[str, Any], str]] = []
        self.checks = UnmadeChecks(
            lambda event: self.told.append((event.as_json(), event.sentence())), lambda: self.now
        )

    @property
    def names(self) -> list[str]:
        """The events."""
        return [event["event"] for event, _ in self.told]


def test_it_is_said_once_a_minute_and_at_the_end() -> None:
    case = Case()
    case.checks.made(ONE)
    assert case.told == []
    for _ in range(100):
        case.checks.not_made(ONE, REASON)
        case.checks.not_made(OTHER, REASON)
    assert case.told == [
        (
            {
                "event": "health_checks_not_made",
                "upstream": "chat",
                "server": "http://10.0.0.1:8000",
                "detail": REASON,
                "servers": 1,
                "not_made": 1,
            },
            "the health check of http://10.0.0.1:8000 of upstream chat could not be made: Too many open files; "
            "until it can, the previous result counts",
        )
    ]
    case.now += 60
    case.checks.not_made(OTHER, REASON)
    assert "http://10.0.0.2:8000 of upstream chat and of 1 more could not" in case.told[1][1]
    assert (case.told[1][0]["servers"], case.told[1][0]["not_made"]) == (2, 201)
    case.checks.made(ONE)
    assert case.checks.reasons == {OTHER: REASON}
    case.checks.made(OTHER)
    case.checks.made(OTHER)
    assert case.told[2] == (
        {"event": "health_checks_made", "not_made": 201},
        "all health checks are made again; 201 could not be made so far",
    )
    case.checks.not_made(ONE, REASON)
    assert case.names == ["health_checks_not_made"] * 2 + ["health_checks_made", "health_checks_not_made"]
    assert case.checks.as_rows() == [UnmadeCheck(*ONE, 101, REASON), UnmadeCheck(*OTHER, 101, None)]


def test_servers_that_are_gone_are_forgotten() -> None:
    case = Case()
    case.checks.not_made(ONE, REASON)
    case.checks.not_made(OTHER, REASON)
    case.checks.follow([OTHER])
    assert (case.checks.counts, case.checks.reasons) == ({OTHER: 1}, {OTHER: REASON})
    assert case.names == ["health_checks_not_made"]
    case.checks.follow([])
    assert case.names == ["health_checks_not_made", "health_checks_made"]
    case.checks.follow([])
    assert len(case.told) == 2
