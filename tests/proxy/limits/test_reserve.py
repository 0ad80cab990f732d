"""What the parent keeps descriptors for, and who has to do without."""

import pytest

from proxy.limits.reserve import DescriptorReserve
from tests.fakes import FakeFigures


def reserve(limit: int, used: int, workers: int = 2) -> DescriptorReserve:
    """A process with so many descriptors, of which so many are in use."""
    figures = FakeFigures()
    figures.descriptor_limit, figures.lowest_free_descriptor = limit, used
    return DescriptorReserve(figures, lambda: workers)


@pytest.mark.parametrize(("limit", "workers", "size"), [(1_024, 2, 52), (1_024, 32, 352), (256, 32, 128), (64, 2, 32)])
def test_it_grows_with_the_workers_and_is_half_of_all_at_most(limit: int, workers: int, size: int) -> None:
    assert reserve(limit, 0, workers).size == size


def test_strangers_do_without_before_health_checks_do() -> None:
    assert not reserve(256, 203).is_short()
    assert reserve(256, 204).is_short()
    assert reserve(256, 229).why_not_check() is None
    reason = reserve(256, 230).why_not_check()
    assert reason == "26 descriptors are left, which are kept for workers, the log and operators: see LimitNOFILE"
    assert reserve(256, 256).is_short()
