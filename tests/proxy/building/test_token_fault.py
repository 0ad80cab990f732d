"""What is wrong with a key, and what that means for its identity: the same for `check`, a start and a reload."""

from dataclasses import replace

import pytest

from config.values.problems import Severity
from proxy.building.token_fault import Unusable, severity_of

LOST = Unusable("which is not in the token", "one that is", may_return=True)
OTHER = Unusable("which does not fit the certificate", "the key that does")
AWAY = Unusable("whose token is not there", "a token that is", may_pass=True)
EXPECTED = replace(AWAY, is_expected=True)


def test_a_fault_is_one_of_the_configuration_unless_it_says_otherwise() -> None:
    assert (OTHER.may_pass, OTHER.is_expected, OTHER.may_return) == (False, False, False)


def test_what_may_come_by_itself_is_waited_for() -> None:
    assert [one.is_awaited for one in (LOST, OTHER, AWAY, EXPECTED)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("faults", "severity"),
    [
        ([None, LOST], Severity.WARNING),
        ([OTHER, AWAY, None], Severity.WARNING),
        ([LOST, EXPECTED], Severity.WARNING),
        ([LOST], Severity.ERROR),
        ([LOST, OTHER], Severity.ERROR),
        ([LOST, AWAY], Severity.ERROR),
    ],
)
def test_refused_is_only_what_no_key_could_serve(faults: list[Unusable | None], severity: Severity) -> None:
    assert severity_of(faults) is severity
