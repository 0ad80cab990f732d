"""Settings that every test shares."""

import asyncio
import faulthandler
import gc
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
import uvloop
from coverage import Coverage

# Here and not in their folders: tests of other folders import them as well, perhaps before the conftest of the folder is read.
pytest.register_assert_rewrite(
    *("tests.integration.gateway", "tests.integration.stage", "tests.integration.upstreams"),
    *("tests.hostile.scene", "tests.hostile.client", "tests.hostile.recorder"),
)

from proxy.processes.hot_path import hot_path  # noqa: E402 - rewritten only from here on
from tests import side_by_side  # noqa: E402 - rewritten only from here on
from tests.hsm.fixtures import hsm_site, public_site, shim_module  # noqa: E402 - rewritten only from here on
from tests.own_places import OwnPlaces  # noqa: E402 - rewritten only from here on
from tests.prepared_children import forked  # noqa: E402 - rewritten only from here on
from tests.run_parts import Part, is_at_length, is_for_compiled_code  # noqa: E402 - rewritten only from here on
from tests.side_by_side import at_the_beginning, pytest_runtestloop  # noqa: E402 - rewritten only from here on

__all__ = [
    "forked_children",
    "hsm_site",
    "public_site",
    "pytest_addoption",
    "pytest_asyncio_loop_factories",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_collectstart",
    "pytest_configure",
    "pytest_ignore_collect",
    "pytest_report_header",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtestloop",
    "pytest_timeout_set_timer",
    "pytest_unconfigure",
    "shim_module",
]

_OWN: Final = pytest.StashKey[OwnPlaces]()

# Deterministic and bounded: the same examples on every run and every machine, so a red run can be repeated.
_usual: Final = hypothesis.settings(derandomize=True, max_examples=100, deadline=None, database=None)
hypothesis.settings.register_profile("plexigate", _usual)
hypothesis.settings.register_profile("release", _usual, max_examples=400)
hypothesis.settings.load_profile("plexigate")


# A shell that starts this in the background (`./dev test &` in a script) has it ignore SIGINT, and what it starts inherits that: tests
# which press Ctrl-C would wait for ever. A handler of ours becomes the default in a new program.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def forked_children() -> Generator[None]:
    """Fork what tests start that are its parents themselves."""
    with forked():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `./dev test` say which code it means to test."""
    parser.addoption("--hot-path", choices=["compiled", "interpreted"], help="refuse to test other code than this")
    parser.addoption(
        "--every-cut", action="store_true", help="send every hostile case byte by byte too, not one in four"
    )
    parser.addoption("--every-module", action="store_true", help="also try what SoftHSM has shown on other modules")
    side_by_side.pytest_addoption(parser)
    parser.addoption("--part", type=Part, help="leave out the files of tests that are in the other part alone")


def pytest_configure(config: pytest.Config) -> None:
    """End at once where the tests would pass on the wrong code."""
    own = config.stash[_OWN] = OwnPlaces()
    at_the_beginning(own.take_others)
    if (wanted := config.getoption("--hot-path")) not in {None, hot_path()}:
        raise pytest.UsageError(f"the hot path is {hot_path()}; --hot-path asks for {wanted} code")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what another part of the run has."""
    part: Part | None = config.getoption("--part")
    return (part is not None and collection_path.match("test_*.py") and not part.has(collection_path)) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long and is for releases, and what another part of the run does at length."""
    left: set[pytest.Item] = set()
    if not config.getoption("--every-module"):
        left |= {one for one in items if one.get_closest_marker("every_module")}
    if config.getoption("--part") is Part.PURE:
        left |= set(filter(is_for_compiled_code, items))
    config.hook.pytest_deselected(items=[*left])
    items[:] = [one for one in items if one not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Measure no coverage by what tries many examples: smaller tests take its branches, and it would take three times as long."""
    measured = Coverage.current() if is_at_length(item) else None
    if measured is not None:
        measured.stop()
    try:
        return (yield)
    finally:
        if measured is not None:
            measured.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget what proxies have remembered."""
    config.stash[_OWN].remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that used a default place of this machine, also if it has not noticed."""
    yield
    item.config.stash[_OWN].blame()


def pytest_report_header() -> str:
    """Say which code is tested."""
    return f"hot path: {hot_path()}"


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """End a test that takes too long. uvloop drops what pytest-timeout raises in a signal handler, and hands on SystemExit."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def over(_number: int, _frame: object) -> None:
        faulthandler.dump_traceback(2)
        raise SystemExit(f"it took more than {settings.timeout:g} s")

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the loop of the product."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collectstart() -> None:
    """Search for no garbage until `pytest_collection_finish`: what is collected stays. It is a tenth of the time until then."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected, thousands of tests, out of the searches for garbage: each took 0.2 s, and many tests ask for some."""
    gc.collect()
    gc.freeze()
    gc.enable()
