"""A program that says how many files a request or a configuration passes, and where it climbs.

It makes the requests of `kept_alive` on interpreted code, or reads a configuration as the parent
does and builds it as a worker does, and looks at each call. A call climbs if it enters a file of
another room that imports the one it comes from, directly or through others: the caller cannot name
what it calls, so a reader has to search.
"""

import sys
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, Final

import proxy
from proxy.supervisor.editions.edition import read_edition
from proxy.supervisor.secrets.safe import now_in_utc
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.worker.control import WorkerControl
from tests import house
from tests.configurations import Site
from tests.integration.kept_alive import KINDS

_HALF: Final = "proxy.downstream."
_DECIDING: Final = ("config.loading.", "proxy.supervisor.", "proxy.worker.")
"""The files that read, judge and hand over a configuration. Beside them are tables: a shape, a rule and a builder for each."""
_ROOT: Final = str(Path(proxy.__file__).parents[1])


def calls(run: Callable[[], object], *within: str) -> set[tuple[str, str, str]]:
    """The module of each caller, the module that it calls, and the function there."""
    found: set[tuple[str, str, str]] = set()

    def called(frame: FrameType, event: str, _argument: Any) -> None:
        module = _module(frame)
        if event == "call" and module.startswith(within):
            found.add((_module(frame.f_back), module, frame.f_code.co_name))

    sys.setprofile(called)
    run()
    sys.setprofile(None)
    return found


def _module(frame: FrameType | None) -> str:
    path = "" if frame is None else frame.f_code.co_filename
    return path.removeprefix(_ROOT).removesuffix(".py").strip("/").replace("/", ".")


def climbs(found: set[tuple[str, str, str]], graph: house.Graph) -> list[str]:
    """The calls back up, without what all names begin with."""
    return sorted(
        f"{caller.removeprefix(_HALF)}->{module.removeprefix(_HALF)}.{function}"
        for caller, module, function in found
        if caller in graph and house.room(caller) != house.room(module) and caller in _below(module, graph)
    )


def _below(module: str, graph: house.Graph) -> set[str]:
    """All that a module imports, directly or through others."""
    seen: set[str] = set()
    left = {module}
    while left:
        left = set(chain.from_iterable(graph.get(one, ()) for one in left)) - seen
        seen |= left
    return seen


def configuration(directory: Path) -> Callable[[], object]:
    """Reads one and judges it, and builds what a worker gets of it."""
    site = Site.make(directory)
    path, tickets = site.write(site.minimal), TicketSecrets.fresh()
    no_parent: Any = SimpleNamespace()
    worker = WorkerControl(no_parent, no_parent, no_parent, None, lambda: None, no_parent)

    def run() -> None:
        edition = read_edition(path, 1, tickets, now_in_utc())
        worker._build(edition.question(), edition.material.memory_file())

    return run


if __name__ == "__main__":
    graph = house.imports(with_annotations=False)
    for kind in KINDS:
        walk = calls(KINDS[kind](), _HALF)
        files = {module for _, module, _ in walk}
        print(kind.replace(" ", "_"), len(files), *climbs(walk, graph), sep=",")  # noqa: T201 - its answer
    with tempfile.TemporaryDirectory() as directory:
        run = configuration(Path(directory))
        run()  # what is loaded late is no call
        walk = calls(run, "proxy.", "certs.", "config.")
    files = {module for _, module, _ in walk if module.startswith(_DECIDING)}
    print("configuration", len(files), *climbs(walk, graph), sep=",")  # noqa: T201 - its answer
