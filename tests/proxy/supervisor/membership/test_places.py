"""The names in the store of a fleet."""

import itertools

from proxy.supervisor.membership import places
from proxy.supervisor.membership.shared import LEADER


def test_no_name_begins_as_another_one() -> None:
    names = [LEADER, *(value for name, value in vars(places).items() if name.isupper())]
    assert len(names) == 6
    assert not [(one, two) for one, two in itertools.permutations(names, 2) if one.startswith(two)]
