"""Settings that every test shares."""

import asyncio
import gc
import signal
from collections.abc import Callable, Mapping

import hypothesis
import pytest
import uvloop

# Here and not in the folder: tests of the browser import them as well.
pytest.register_assert_rewrite("tests.integration.gateway", "tests.integration.stage", "tests.integration.upstreams")

from tests.hsm.fixtures import hsm_site, public_site, shim_module  # noqa: E402 - rewritten only from here on

__all__ = ["hsm_site", "public_site", "pytest_asyncio_loop_factories", "pytest_collection_finish", "shim_module"]

# Deterministic and bounded: the same examples on every run and every machine, so a red run can be repeated.
hypothesis.settings.register_profile("plexigate", derandomize=True, max_examples=200, deadline=None, database=None)
hypothesis.settings.load_profile("plexigate")


# A shell that starts this in the background (`./dev test &` in a script) has it ignore SIGINT, and what it starts inherits that: tests
# which press Ctrl-C would wait for ever. A handler of ours becomes the default in a new program.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the loop of the product."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Leave what was collected, thousands of tests, out of the searches for garbage: each took 0.2 s, and many tests ask for some."""
    gc.collect()
    gc.freeze()
