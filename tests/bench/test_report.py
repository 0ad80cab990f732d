"""The table of `./dev bench`."""

import json

import pytest

from tests.bench.report import Round, Row, as_json, markdown, table

HEAD = {"date": "2026-11-27", "code": "compiled", "nginx": "1.26.3"}


def row(*rounds: Round, wanted: float | None = None, most: float | None = None, note: str = "") -> Row:
    return Row("get", "request", "µs CPU", rounds, wanted, most=most, note=note)


def rounds(*pairs: tuple[float, float]) -> list[Round]:
    return [{"nginx": nginx, "plexigate": plexigate} for nginx, plexigate in pairs]


def test_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_the_medians() -> None:
    one = row(*rounds((10, 20), (10, 10), (40, 60)))
    assert (one.figure("nginx"), one.figure("plexigate"), one.ratio) == (10, 20, 1.5)


def test_yardstick_is_the_better_of_the_others_whichever_that_is() -> None:
    one = row({"nginx": 10, "haproxy": 8, "plexigate": 8}, {"nginx": 10, "haproxy": 20, "plexigate": 8})
    assert (one.yardstick, one.ratio) == ("nginx", 0.8)
    assert row({"nginx": 10, "haproxy": 8, "plexigate": 16}).ratios == [2.0]


@pytest.mark.parametrize(("plexigate", "verdict"), [(10.0, "ok"), (10.1, "OVER")])
def test_row_may_have_a_bound_of_its_own_whatever_others_need(plexigate: float, verdict: str) -> None:
    one = row(*rounds((800, plexigate)), most=10.0, note="in a storm")
    assert table(HEAD, [one]).splitlines()[3].split()[-2:] == ["10.0", verdict]
    assert table(HEAD, [one]).splitlines()[-1] == "request: in a storm"


def test_row_without_a_bound_only_tells() -> None:
    one = row(*rounds((10, 1_000)))
    assert one.is_within_limit
    assert table(HEAD, [one]).splitlines()[3].split() == [
        "request",
        "µs",
        "CPU",
        "10.0",
        "1000.0",
        "100.00x",
        "100.00-100.00",
    ]


@pytest.mark.parametrize(("plexigate", "verdict"), [(15.0, "ok"), (15.1, "OVER")])
def test_row_is_over_when_its_ratio_exceeds_what_is_wanted(plexigate: float, verdict: str) -> None:
    one = row({"nginx": 10, "haproxy": 12, "plexigate": plexigate}, wanted=1.5)
    assert one.is_within_limit == (verdict == "ok")
    ratio = "1.50x 1.50-1.50" if verdict == "ok" else "1.51x 1.51-1.51"
    assert (
        table(HEAD, [one]).splitlines()[3].split()
        == f"request µs CPU 10.0 12.0 {plexigate} {ratio} 1.50x {verdict}".split()
    )


@pytest.mark.parametrize(("each", "is_within"), [(False, True), (True, False)])
def test_every_round_is_judged_where_that_is_wanted(each: bool, is_within: bool) -> None:  # noqa: FBT001
    measured = rounds((10, 1), (10, 1), (10, 2))
    one = Row("token", "handshake", "ms", measured, 1 / 6, is_wanted_each_time=each)
    assert one.is_within_limit is is_within
    assert one.bound == "0.167x"


def test_yardstick_without_a_column_stands_below_the_table() -> None:
    one = row({"MultiFernet": 10, "plexigate": 11}, wanted=1.3)
    assert table(HEAD, [one]).splitlines()[3].split() == [
        "request",
        "µs",
        "CPU",
        "11.0",
        "1.10x",
        "1.10-1.10",
        "1.30x",
        "ok",
    ]
    assert table(HEAD, [one]).splitlines()[-1] == "request: MultiFernet 10.0"


def test_columns_of_the_table_are_aligned() -> None:
    lines = table(
        HEAD,
        [
            row(*rounds((9, 9)), wanted=2.0),
            Row("handshake", "full handshake", "KB RSS", [{"nginx": 999, "haproxy": 1_500, "plexigate": 1_200}], 1.15),
        ],
    ).splitlines()
    assert len({line.index("x") for line in lines[3:5]}) == 1
    assert max(map(len, lines[:5])) <= 120


def test_head_says_when_and_what() -> None:
    assert table(HEAD, [row(*rounds((9, 9)))]).splitlines()[0] == "2026-11-27, compiled, nginx 1.26.3"


def test_json_holds_every_number_and_the_verdict() -> None:
    document = json.loads(as_json(HEAD, [row(*rounds((10, 30), (10, 20)), wanted=2.0)]))
    assert document == {
        "measured": HEAD,
        "rows": [
            {
                "key": "get",
                "title": "request",
                "unit": "µs CPU",
                "medians": {"nginx": 10, "plexigate": 25},
                "spread": {"nginx": [10, 10], "plexigate": [20, 30]},
                "yardstick": "nginx",
                "ratio": 2.5,
                "ratio_spread": [2, 3],
                "wanted": 2,
                "most": None,
                "note": "",
                "ok": False,
            }
        ],
    }


def test_table_for_the_document_has_the_figures_and_says_what_was_missed() -> None:
    rows = [
        row({"nginx": 99.94, "haproxy": 1_234, "plexigate": 120}, wanted=1.5, note="2 in flight"),
        Row("grown", "with many", "µs CPU", [{"with 1": 10, "plexigate": 12}, {"with 1": 10, "plexigate": 14}], 1.1),
        row(*rounds((10, 20))),
    ]
    assert markdown(HEAD, rows).splitlines()[4:] == [
        "| request | 99.9 µs | 1,234 µs | 120 µs | 1.20 (1.20 - 1.20) | 1.50 |",
        "| with many (with 1 10.0 µs) |  |  | 13.0 µs | 1.30 (1.20 - 1.40) | 1.10, missed |",
        "| request | 10.0 µs |  | 20.0 µs | 2.00 (2.00 - 2.00) |  |",
        "",
        "- request: 2 in flight",
    ]
