"""The list of all checks."""

from proxy.commands.doctor.checkups import checkups


def test_each_name_is_there_once() -> None:
    names = [one.name for one in checkups()]
    assert len(names) == len(set(names))
