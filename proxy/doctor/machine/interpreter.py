"""The Python that runs Plexigate, and how Plexigate is installed in it."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import proxy
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.processes.hot_path import compiled_for, hot_path
from proxy.tls.openssl.driver import driver_name

_PYTHON: Final = Judge("interpreter")
_OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 14)


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs here.

    `executable` is the interpreter, and `prefix` its virtual environment (None: none).
    `compiled_for` are the tags of the interpreters that the hot path here was compiled for, `tag`
    that of this one.
    """

    python: tuple[int, int, int]
    implementation: str
    executable: str
    prefix: str | None
    version: str
    place: str
    is_editable: bool
    hot_path: str
    tls_driver: str
    tag: str
    compiled_for: tuple[str, ...]
    is_pure_by_wish: bool
    """Whether `PLEXIGATE_PURE` asks for the sources."""


def installation() -> Installation:
    tag = EXTENSION_SUFFIXES[0].split(".")[1]
    try:
        installed = distribution("plexigate")
        told = installed.version, _is_editable(installed.read_text("direct_url.json"))
    except PackageNotFoundError:
        told = "unknown", True
    return Installation(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        implementation=platform.python_implementation(),
        executable=sys.executable,
        prefix=sys.prefix if sys.prefix != sys.base_prefix else None,
        version=told[0],
        place=str(Path(proxy.__path__[0]).parent),
        is_editable=told[1],
        hot_path=hot_path(),
        tls_driver=driver_name(),
        tag=tag,
        compiled_for=tuple(sorted(compiled_for())),
        is_pure_by_wish=os.environ.get("PLEXIGATE_PURE") == "1",
    )


def _is_editable(document: str | None) -> bool:
    """Whether the distribution was installed as a link to its sources (PEP 610)."""
    told: Any = json.loads(document or "{}")
    return bool(told.get("dir_info", {}).get("editable", False))


def interpreter_findings(found: Installation) -> Iterator[Finding]:
    number = ".".join(map(str, found.python))
    where = "" if found.prefix is None else f", virtual environment {found.prefix}"
    text = f"{found.implementation} {number}, {found.executable}{where}"
    if found.implementation != "CPython" or not _OLDEST <= found.python[:2] <= _NEWEST:
        allowed = f"CPython {'.'.join(map(str, _OLDEST))} to {'.'.join(map(str, _NEWEST))}"
        yield _PYTHON.failure("Python", text, f"Install Plexigate with {allowed}: /usr/bin/python3 of Debian 13 does.")
    else:
        yield _PYTHON.ok("Python", text)
    kind = "linked to its sources" if found.is_editable else "from a wheel or package"
    yield _PYTHON.ok("Plexigate", f"{found.version}, {kind}, in {found.place}")
    if found.hot_path == "compiled":
        yield _PYTHON.ok("hot path", f"compiled for {found.tag}")
        yield _tls_driver(found)
        return
    if found.is_pure_by_wish:
        wish = "interpreted, because PLEXIGATE_PURE is set: each request costs several times as much"
        yield _PYTHON.warning("hot path", wish, "Remove PLEXIGATE_PURE from the environment when the search is over.")
        return
    others = [tag for tag in found.compiled_for if tag != found.tag]
    remedy = (
        "Install the wheel that was built for this Python; a build from source needs gcc and the headers of Python."
    )
    if others:
        found_text = f"interpreted: it was compiled for {', '.join(others)}, and this Python is {found.tag}"
    else:
        found_text = "interpreted: each request costs several times as much as with the compiled hot path"
    yield _PYTHON.warning("hot path", found_text, remedy)


def _tls_driver(found: Installation) -> Finding:
    if found.tls_driver == "native":
        return _PYTHON.ok("TLS driver", "native")
    slower = "that of the standard library, as the native one cannot be loaded: uploads cost a fifth more"
    remedy = "Run Plexigate with an interpreter that uses the system's OpenSSL, such as Debian's /usr/bin/python3."
    return _PYTHON.warning("TLS driver", slower, remedy)


def _interpreter(_: Examined) -> Iterator[Finding]:
    yield from interpreter_findings(installation())


INTERPRETER: Final = (Checkup("interpreter", Area.MACHINE, _interpreter),)
