"""Settings that every test shares."""

import asyncio
from collections.abc import Callable, Mapping

import hypothesis
import uvloop

from tests.hsm.fixtures import hsm_site, shim_module

__all__ = ["hsm_site", "pytest_asyncio_loop_factories", "shim_module"]

# Deterministic and bounded: the same examples on every run and every machine, so a red run can be repeated.
hypothesis.settings.register_profile("plexigate", derandomize=True, max_examples=200, deadline=None, database=None)
hypothesis.settings.load_profile("plexigate")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the loop of the product."""
    return {"uvloop": uvloop.new_event_loop}
