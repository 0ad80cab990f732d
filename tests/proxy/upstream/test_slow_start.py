"""What a server gets while it begins slowly."""

import pytest

from proxy.upstream.slow_start import warmth


@pytest.mark.parametrize(("age", "part"), [(0.0, 0.1), (1.0, 0.1), (5.0, 0.5), (9.0, 0.9), (10.0, 1.0), (11.0, 1.0)])
def test_share_grows_from_a_tenth_to_the_whole(age: float, part: float) -> None:
    assert warmth(age, 10.0) == part


def test_no_slow_start_is_the_whole_at_once() -> None:
    assert warmth(0.0, 0.0) == 1.0
