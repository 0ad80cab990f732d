"""The collector while something is built."""

import gc
import weakref

import pytest

from proxy.processes.uncollected import uncollected


class Circle:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_built_is_never_searched() -> None:
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
            built = weakref.ref(Circle())
            kept = [Circle() for _ in range(10)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept) + 1
        gc.collect()
        assert built() is not None, "this circle lives on, which is the price"
    finally:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    assert built() is None


def test_the_collector_works_again_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        _ = 1 / 0
    assert gc.isenabled()
