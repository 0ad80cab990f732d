"""What a CA says, and what becomes of it: cut, printable, and with a kind."""

from datetime import UTC, datetime, timedelta

import pytest

from certs.acme.problems import AcmeProblem, printable, problem_of, retry_after_seconds
from certs.issuing.issuer import FailureKind

NOW = datetime(2026, 3, 1, tzinfo=UTC)
URN = "urn:ietf:params:acme:error:"


@pytest.mark.parametrize(
    ("status", "type_", "kind"),
    [
        (429, "rateLimited", FailureKind.RATE_LIMITED),
        (429, "", FailureKind.RATE_LIMITED),
        (403, "rateLimited", FailureKind.RATE_LIMITED),
        (400, "badCSR", FailureKind.PERMANENT),
        (403, "rejectedIdentifier", FailureKind.PERMANENT),
        (500, "malformed", FailureKind.TEMPORARY),
        (403, "unauthorized", FailureKind.TEMPORARY),
        (400, "connection", FailureKind.TEMPORARY),
        (502, "", FailureKind.TEMPORARY),
    ],
)
def test_kind(status: int, type_: str, kind: FailureKind) -> None:
    assert problem_of(status, {"type": URN + type_} if type_ else None).kind is kind


def test_failure_names_issuer_what_was_asked_type_and_wait() -> None:
    problem = problem_of(429, {"type": f"{URN}rateLimited", "detail": "too many"}, 60.0)
    failure = problem.as_failure("le", "chat.test")
    assert (str(failure), failure.retry_after) == ("le: chat.test: rateLimited (too many)", 60.0)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (None, "status 500"),
        ([], "status 500"),
        ({"title": "Down"}, "status 500 (Down)"),
        ({"type": 7, "detail": 8}, "status 500"),
        ({"type": "https://ca.test/odd", "detail": "x"}, "https://ca.test/odd (x)"),
        ({"type": f"{URN}dns", "subproblems": 7}, "dns"),
        ({"type": f"{URN}dns", "subproblems": [7, {"type": f"{URN}caa", "identifier": 7}]}, "dns; caa"),
        (
            {"type": f"{URN}dns", "subproblems": [{"type": f"{URN}caa", "identifier": {"value": "a.test"}}]},
            "dns; caa for a.test",
        ),
    ],
)
def test_whatever_comes_can_be_told(document: object, text: str) -> None:
    assert str(problem_of(500, document)) == text


def test_one_rate_limited_name_limits_all() -> None:
    problem = problem_of(403, {"type": f"{URN}compound", "subproblems": [{"type": f"{URN}rateLimited"}]})
    assert problem.kind is FailureKind.RATE_LIMITED
    assert len(problem_of(400, {"subproblems": [{}] * 1_000}).subproblems) == 16


def test_text_of_strangers_is_cut_and_made_printable() -> None:
    assert printable("a\r\n\x1b[31mb\u2028c") == "a [31mb c"
    assert printable(7) == ""
    assert len(printable("x" * 10_000)) == 303
    assert isinstance(problem_of(400, {"detail": "x"}), AcmeProblem)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 400, 604_800.0),
        ("Sun, 01 Mar 2026 00:05:00 GMT", 300.0),
        ("Sat, 28 Feb 2026 00:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 00:05:00", None),  # without a zone
        ("٣", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_retry_after_never_lasts_for_weeks() -> None:
    late = f"{NOW + timedelta(days=400):%a, %d %b %Y %H:%M:%S} GMT"
    assert retry_after_seconds(late, NOW) == 604_800.0
