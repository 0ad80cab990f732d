"""Compiles the hot path with mypyc: a build hook of hatch, and the compiled code that `./dev` runs.

One source, two ways to run it. `[tool.plexigate]` in pyproject.toml lists the modules. A wheel has
them compiled if a C compiler is there; otherwise it has the sources alone, and the build says so
(pip shows that with -v; `plexigate --version` tells it later).

    python hatch_build.py            prints a directory that has all packages, their hot path compiled

That directory comes before the sources in PYTHONPATH. Its name is the digest of everything that went
into it, and it is made when it is missing. Objects are kept by the digest of their C source, so that
a changed module costs the compiler one file.
"""

import fcntl
import hashlib
import io
import os
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ROOT: Final = Path(__file__).parent
_PACKAGES: Final = ("proxy", "certs", "config")
_CACHE: Final = _ROOT / ".dev" / "compiled"
# The builds of both interpreters before and after a change.
_KEPT_BUILDS: Final = 6
_GROUP: Final = "plexigate"
_OPTIMISATION: Final = "2"


class NotCompiled(Exception):
    """The hot path could not be compiled; the reason is a sentence."""


class CompiledHotPath(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the compiler needs: itself, and what the sources import, for their types."""
        project = _settings()["project"]
        return [] if _is_refused() else ["mypy[mypyc]>=2.4", *project["dependencies"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the install is editable: that one runs the sources."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._built = tempfile.TemporaryDirectory(prefix="plexigate-compiled-")
        place = Path(self._built.name)
        reason = "PLEXIGATE_PURE=1 is set" if _is_refused() else _why_not(place)
        if reason:
            self.app.display_warning(f"Plexigate is built without compiled code, and slower so: {reason}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in place.rglob(f"*{_suffix()}"):
            build_data["force_include"][str(library)] = str(library.relative_to(place))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel now."""
        if hasattr(self, "_built"):
            self._built.cleanup()


def _why_not(place: Path) -> str:
    """Compile into `place`; returns why that was not possible, or an empty text."""
    try:
        compile_into(place)
    except NotCompiled as error:
        return str(error)
    return ""


def compiled_packages() -> Path:
    """The directory with all packages, their hot path compiled: from the cache, or made now.

    Raises `NotCompiled`.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    with _only_one(_CACHE / "lock"):
        built = _CACHE / _digest(_everything())
        if not built.is_dir():
            with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
                place = Path(scratch) / "packages"
                for package in _PACKAGES:
                    shutil.copytree(_ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
                compile_into(place)
                place.rename(built)
        os.utime(built)
        _forget_old(built)
    return built


def compile_into(place: Path) -> None:
    """Compile the listed modules, and put their libraries below `place`. Raises `NotCompiled`."""
    try:
        from mypyc.build import mypycify
        from setuptools import Distribution
        from setuptools.command.build_ext import build_ext
    except ImportError as error:
        raise NotCompiled(f"mypyc or setuptools is missing ({error})") from error
    if shutil.which(_c_compiler()) is None:
        raise NotCompiled(f"there is no C compiler ({_c_compiler()})")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise NotCompiled("the headers of Python are missing (on Debian: python3-dev)")
    objects = _CACHE / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    said = io.StringIO()  # of mypyc, which also says much that is not wrong
    with tempfile.TemporaryDirectory(prefix="plexigate-c-") as scratch, chdir(_ROOT):
        try:
            with redirect_stdout(said):
                extensions = mypycify(
                    ["--config-file", "pyproject.toml", *compiled_modules()],
                    opt_level=_OPTIMISATION,
                    debug_level="0",
                    multi_file=True,
                    group_name=_GROUP,
                    target_dir=scratch,
                )
        except SystemExit as error:
            raise NotCompiled(f"mypyc found mistakes:\n{said.getvalue()}") from error
        _refuse_inverted_checks(Path(scratch))
        command = build_ext(Distribution({"name": _GROUP, "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(place), scratch
        command.ensure_finalized()
        compile_with = _cached(objects, Path(scratch))
        make_extensions = command.build_extensions

        def build_extensions() -> None:
            command.compiler.compile = compile_with(command.compiler.compile)
            make_extensions()

        command.build_extensions = build_extensions
        try:
            command.run()
        except Exception as error:
            raise NotCompiled(f"the C compiler failed: {error}") from error


def _refuse_inverted_checks(scratch: Path) -> None:
    """Raise `NotCompiled` for C of mypyc 2.4 that fails at run time.

    It takes a Final tuple that begins with a float for one that was never set. The type
    `tuple[float, ...]` at the constant avoids it.
    """
    for source in sorted(scratch.rglob("__native_*.c")):
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if "!= -113.0 && PyErr_Occurred()" in line:
                name = source.name.removeprefix("__native_").rpartition("___")[2]
                raise NotCompiled(
                    f"{name}, line {number}: mypyc takes a constant that is set for a missing one: {line}"
                )


def compiled_modules() -> list[str]:
    """The paths of the modules that are compiled, sorted."""
    settings = _settings()["tool"]["plexigate"]
    left_out = set(settings["interpreted"])
    found = (
        str(file.relative_to(_ROOT))
        for listed in settings["compiled"]
        for file in ((_ROOT / listed).glob("*.py") if (_ROOT / listed).is_dir() else [_ROOT / listed])
        if file.name != "__init__.py"
    )
    return sorted(path for path in found if path not in left_out)


def _cached(objects: Path, scratch: Path) -> Any:
    """Let `compile` of setuptools use all processors, and work on those files alone that are new."""
    headers = _digest(sorted(scratch.rglob("*.h")), root=scratch)

    def wrap(compile_sources: Any) -> Any:
        def compile_one(source: str, options: dict[str, Any]) -> str:
            text = Path(source).read_bytes().replace(str(scratch).encode(), b"")
            flags = repr(options.get("extra_postargs")).encode()
            key = hashlib.sha256(b"\0".join([headers.encode(), flags, _environment(), text])).hexdigest()
            kept = objects / f"{key}.o"
            if kept.exists():
                os.utime(kept)
                return str(kept)
            made: str
            (made,) = compile_sources([source], **options)
            whole = objects / f"{key}.{os.getpid()}"
            shutil.copyfile(made, whole)
            whole.rename(kept)
            return made

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda source: compile_one(source, options), sources))

        return compile_all

    return wrap


def _everything() -> Iterator[Path]:
    """All files that a build depends on."""
    for package in _PACKAGES:
        yield from sorted(
            path for path in (_ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    yield from (_ROOT / "pyproject.toml", _ROOT / "hatch_build.py")


def _digest(paths: Iterable[Path], root: Path = _ROOT) -> str:
    found = hashlib.sha256(_environment())
    for path in paths:
        content = path.read_bytes()
        found.update(f"\0{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:32]


def _environment() -> bytes:
    """What compiles: the interpreter, mypyc, the C compiler."""
    try:
        mypyc = version("mypy")
    except PackageNotFoundError:
        mypyc = "none"
    return f"{sys.version} {sysconfig.get_platform()} {mypyc} {sysconfig.get_config_var('CC')} {_OPTIMISATION}".encode()


def _forget_old(newest: Path) -> None:
    """Keep the builds that were used last, and the objects that were used in the last week."""
    builds = sorted(
        (path for path in _CACHE.iterdir() if len(path.name) == len(newest.name)), key=lambda path: path.stat().st_mtime
    )
    for old in builds[:-_KEPT_BUILDS]:
        shutil.rmtree(old)
    week_before = newest.stat().st_mtime - 7 * 86_400
    for kept in (_CACHE / "objects").iterdir():
        if kept.stat().st_mtime < week_before:
            kept.unlink(missing_ok=True)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _settings() -> dict[str, Any]:
    return tomllib.loads((_ROOT / "pyproject.toml").read_text())


def _c_compiler() -> str:
    return os.environ.get("CC", sysconfig.get_config_var("CC") or "cc").split()[0]


def _suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def _is_refused() -> bool:
    return os.environ.get("PLEXIGATE_PURE") == "1"


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{compiled_packages()}\n")
    except NotCompiled as error:
        sys.exit(f"{Path(__file__).name}: {error}")
