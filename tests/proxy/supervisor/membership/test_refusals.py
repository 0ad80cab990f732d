"""What a node refuses of a store, at the very limit."""

import pytest

from proxy.supervisor.membership.places import FOUNDED
from proxy.supervisor.membership.refusals import (
    MOST_BYTES,
    ClockDiffers,
    OtherFleet,
    StoreTooLarge,
    first_of,
    require_fleet,
    require_size,
    require_skew,
)
from proxy.supervisor.membership.shared import Stored


def test_a_store_has_a_limit_of_size() -> None:
    half = Stored(bytes(MOST_BYTES // 2), 1)
    require_size({"a": half, "b": half})
    with pytest.raises(StoreTooLarge, match="more than 64 MB"):
        require_size({"a": half, "b": half, "c": Stored(b"1", 1)})


def test_a_minute_is_no_other_time() -> None:
    for skew in (60.0, -60.0):
        require_skew(skew)
    for skew in (60.1, -60.1):
        with pytest.raises(ClockDiffers):
            require_skew(skew)


def test_only_a_fleet_that_is_known_is_another_one() -> None:
    found = {FOUNDED: Stored(b"of this one", 1)}
    for known, entries in (({}, found), ({FOUNDED: b"of this one"}, found), ({FOUNDED: b"of another one"}, {})):
        require_fleet(known, entries)
    with pytest.raises(OtherFleet):
        require_fleet({FOUNDED: b"of another one"}, found)


def test_the_first_error_is_found_in_groups_of_groups() -> None:
    first = ValueError()
    assert first_of(ExceptionGroup("", [ExceptionGroup("", [first, KeyError()]), TypeError()])) is first
