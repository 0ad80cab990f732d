"""What was measured is compared with what was asked for, and a miss is not an error."""

import pytest

from certs.hsm.targets import Check, Measured, MeasuringPlace, MeasuringReport, ReportDocument, SpeedTarget, size_check
from tests.parts import differences


def measured(target: SpeedTarget, *seconds: float) -> Measured:
    return Measured(target, MeasuringPlace.TOKEN, seconds)


@pytest.mark.parametrize(
    ("one", "is_met"),
    [
        (measured(SpeedTarget.KEY_GENERATION, 0.05, 0.05), True),
        (measured(SpeedTarget.KEY_GENERATION, 0.11, 0.11), False),
        (measured(SpeedTarget.KEY_GENERATION, 0.01, 0.01, 0.9), False),  # a good median, and still 3 a second
        (measured(SpeedTarget.SEALING, 0.0009), True),
        (measured(SpeedTarget.SEALING, 0.001), False),
        (measured(SpeedTarget.SIGNING_ECDSA, 5.0), None),
    ],
)
def test_both_parts_of_a_target_have_to_be_met(one: Measured, is_met: bool | None) -> None:  # noqa: FBT001 - a column of a table
    assert one.is_met is is_met


def test_figures_are_those_of_the_calls() -> None:
    one = measured(SpeedTarget.SIGNING_RSA, *(number / 1_000 for number in range(1, 101)))
    assert one.as_json() == {
        "operation": "signing (RSA-3072, PSS)",
        "where": "token",
        "why": "",
        "count": 100,
        "median_ms": 50.5,
        "p95_ms": 96.0,
        "per_second": 19.8,
        "target_ms": None,
        "target_per_second": None,
        "met": None,
    }
    assert measured(SpeedTarget.HYBRID, 0.001).as_json()["target_ms"] == 15.0


def test_a_report_is_right_when_every_check_is() -> None:
    missed, right = measured(SpeedTarget.SEALING, 1.0), size_check("key", 1568, 1568, "FIPS 203")
    assert MeasuringReport([missed], [right]).is_right
    wrong = size_check("key", 1567, 1568, "FIPS 203")
    assert not MeasuringReport([], [right, wrong]).is_right
    assert list(differences(MeasuringReport([missed], [wrong]).as_json(), ReportDocument)) == []
    assert MeasuringReport([missed], [wrong]).as_json()["checks"] == [
        {"check": "key", "right": False, "found": "1567 bytes, FIPS 203: 1568"}
    ]
    assert Check("a", is_right=True, found="b").is_right
