"""The table of `./dev bench`."""

import json

import pytest

from tests.bench.report import Round, Row, as_json, table


def test_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_the_medians() -> None:
    row = Row.of("request", "µs CPU", 2.0, [Round(10, 20), Round(10, 10), Round(40, 60)])
    assert (row.nginx, row.plexigate, row.ratio) == (10, 20, 1.5)


@pytest.mark.parametrize(("plexigate", "verdict"), [(10.0, "ok"), (10.1, "OVER")])
def test_row_may_have_a_bound_of_its_own_whatever_nginx_needs(plexigate: float, verdict: str) -> None:
    row = Row.of("echo", "ms", None, [Round(800, plexigate)], most=10.0, note="in a storm")
    assert table([row]).splitlines()[1].split()[-5:] == ["10.0", verdict, "(in", "a", "storm)"]


def test_row_without_a_bound_only_tells() -> None:
    row = Row.of("visit", "µs CPU", None, [Round(10, 1_000)])
    assert row.is_within_limit
    assert table([row]).splitlines()[1].split() == ["visit", "µs", "CPU", "10.0", "1000.0", "100.00x"]


@pytest.mark.parametrize(("plexigate", "verdict"), [(15.0, "ok"), (15.1, "OVER")])
def test_row_is_over_when_its_ratio_exceeds_the_limit(plexigate: float, verdict: str) -> None:
    row = Row.of("request", "µs CPU", 1.5, [Round(10, plexigate)])
    assert row.is_within_limit == (verdict == "ok")
    assert table([row]).splitlines()[1].split() == [
        "request",
        "µs",
        "CPU",
        "10.0",
        str(plexigate),
        "1.50x" if verdict == "ok" else "1.51x",
        "1.50x",
        verdict,
    ]


def test_columns_of_the_table_are_aligned() -> None:
    rows = [
        Row.of("request", "µs CPU", 2.0, [Round(9, 9)]),
        Row.of("full handshake", "KB RSS", 1.15, [Round(999, 1_200)]),
    ]
    lines = table(rows).splitlines()
    assert len({line.index("x") for line in lines[1:]}) == 1
    assert max(map(len, lines)) <= 100


def test_json_holds_every_number_and_the_verdict() -> None:
    document = json.loads(as_json([Row.of("request", "µs CPU", 2.0, [Round(10, 30)])]))
    assert document == {
        "rows": [
            {
                "title": "request",
                "unit": "µs CPU",
                "nginx": 10,
                "plexigate": 30,
                "ratio": 3,
                "limit": 2,
                "most": None,
                "note": "",
                "ok": False,
            }
        ]
    }
