"""What a check asks for and is given, unless it says otherwise."""

from proxy.doctor.finding import Area
from tests.proxy.doctor.checkups import checkup


def test_a_check_runs_beside_others_needs_nothing_and_has_ten_seconds() -> None:
    one = checkup("clock")
    assert (one.area, one.needs, one.seconds, one.is_alone) == (Area.MACHINE, frozenset(), 10.0, False)
