"""What a wheel has beside the sources: the hot path compiled with mypyc, manual pages, completions.

This is a build hook of hatch, and makes the compiled code that `./dev` runs.

One source, two ways to run it. `[tool.plexigate]` in pyproject.toml lists the modules. A wheel has
them compiled if a C compiler is there; otherwise it has the sources alone, and the build says so
(pip shows that with -v; `plexigate --version` tells it later).

    python hatch_build.py            prints a directory that has all packages, their hot path compiled
    python hatch_build.py --made     the same, but makes none: it fails if there is none

That directory comes before the sources in PYTHONPATH. Its name is the digest of everything that went
into it, and it is made when it is missing. Objects are kept by the digest of their C source, so that
a changed module costs the compiler one file.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stdout
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp

_ROOT: Final = Path(__file__).parent
_PACKAGES: Final = ("proxy", "certs", "config")
_CACHE: Final = _ROOT / ".dev" / "compiled"
# The builds of both interpreters before and after a change.
_KEPT_BUILDS: Final = 6
_GROUP: Final = "plexigate"
# Of the modules that `optimised` in pyproject.toml does not list. Those, and what comes with mypyc,
# have the other one.
_OPTIMISATION: Final = "1"
_OPTIMISATION_OF_THE_HOTTEST: Final = "-O2"
# What is written in C (`huffman.py` and `driver.py` beside it); before glibc 2.34 `dlopen` is in a library of its own.
_NATIVE: Final = ("proxy/http2/hpack/_huffman", "proxy/tls/openssl/_native")
_NATIVE_LIBRARIES: Final = ["dl"]
# Made where the headers of these libraries are, which it is linked to (`proxy/quic/library.py`).
_QUIC: Final = "proxy/quic/_native"
_QUIC_LIBRARIES: Final = ("ngtcp2", "nghttp3")
# The exit status by SIGTERM, as shells say it.
_ENDED: Final = 143
# How often a build tells how far it is.
_TOLD_FILES: Final = 50


class NotCompiled(Exception):
    """The hot path could not be compiled; the reason is a sentence."""


class CompiledHotPath(BuildHookInterface[Any]):
    """Adds the compiled modules, manual pages and completions to a wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the compiler needs: itself, and what the sources import, for their types. The command
        line is imported for its manual pages.
        """
        if self.target_name != "wheel" or _is_refused():
            return []
        project = _settings()["project"]
        compilers = [one for one in project["optional-dependencies"]["build"] if one.startswith("mypy[mypyc]")]
        return [*([] if _what_is_missing() else compilers), *project["dependencies"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the install is editable: that one runs the sources."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._built = tempfile.TemporaryDirectory(prefix="plexigate-built-")
        place, beside = Path(self._built.name, "compiled"), Path(self._built.name, "beside")
        place.mkdir()
        if reason := _why_no_data_files(beside, self.metadata.version):
            self.app.display_warning(f"Plexigate is built without manual pages and completions: {reason}")
        else:
            build_data["shared_data"][str(beside / "share")] = "share"
        reason = "PLEXIGATE_PURE=1 is set" if _is_refused() else _why_not(place)
        if reason:
            self.app.display_warning(f"Plexigate is built without compiled code, and slower so: {reason}")
            return
        build_data["pure_python"] = False
        libraries = sorted(place.rglob(f"*{_suffix()}"))
        build_data["tag"] = _tag(libraries)
        for library in libraries:
            build_data["force_include"][str(library)] = str(library.relative_to(place))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if hasattr(self, "_built"):
            self._built.cleanup()


def _tag(libraries: Iterable[Path]) -> str:
    """What the wheel is for: this Python, this machine, and the oldest glibc that has all symbols
    which the libraries ask for (PEP 600). With another libc: the machine that builds it.
    """
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    asked_for = {int(one) for path in libraries for one in re.findall(rb"\0GLIBC_2\.(\d+)", path.read_bytes())}
    if asked_for:
        # pip knows no older one
        platform = platform.replace("linux_", f"manylinux_2_{max(17, *asked_for)}_", 1)
    return f"{python}-{python}-{platform}"


def _why_not(place: Path) -> str:
    """Put the compiled modules into `place`; returns why that was not possible, or an empty text."""
    # A checkout that `./dev` has compiled has all of it, or objects; elsewhere the sources may be read-only.
    kept = _CACHE / "objects"
    try:
        if (made := _made()) is not None:
            for library in made.rglob(f"*{_suffix()}"):
                to = place / library.relative_to(made)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(library, to)
        else:
            compile_into(place, kept if os.access(kept, os.W_OK) else place / "objects")
    except NotCompiled as error:
        return str(error)
    return ""


def _why_no_data_files(place: Path, version: str) -> str:
    """Write manual pages and completions below `place`.

    Returns why that was not possible, or an empty text.
    """
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SOURCE_DATE_EPOCH": str(_source_date())}
    command = [sys.executable, "-P", "-B", "-m", "docker.building.manual.data_files", str(place), version]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else ""


def _source_date() -> int:
    """SOURCE_DATE_EPOCH, or else the date of the last entry in the changelog of the Debian package.

    An image is built without that changelog; the pages there have the date that hatch gives files.
    """
    changelog = _ROOT / "debian" / "changelog"
    if "SOURCE_DATE_EPOCH" not in os.environ and changelog.exists():
        date = re.search(r"^ -- .*>  (.*)$", changelog.read_text(encoding="utf-8"), re.MULTILINE)
        if date is not None:
            return int(parsedate_to_datetime(date[1]).timestamp())
    return get_reproducible_timestamp()


def made_packages() -> Path:
    """The directory with all packages, their hot path compiled, from the cache.

    Raises `NotCompiled` if these sources have not been compiled.
    """
    if (built := _made()) is None:
        raise NotCompiled("these sources have not been compiled")
    os.utime(built)
    return built


def _made() -> Path | None:
    built = _CACHE / _digest(_everything())
    return built if built.is_dir() else None


def compiled_packages() -> Path:
    """The same, made now if it is missing. Raises `NotCompiled`."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with _only_one(_CACHE / "lock"):
        while not (built := _CACHE / _digest(_everything())).is_dir():
            with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
                place = Path(scratch) / "packages"
                for package in _PACKAGES:
                    shutil.copytree(_ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
                compile_into(place, _CACHE / "objects")
                if built.name == _digest(_everything()):  # no source has changed meanwhile
                    place.rename(built)
        os.utime(built)
        _forget_old(built)
    return built


def compile_into(place: Path, objects: Path) -> None:
    """Compile the listed modules, and put their libraries below `place`.

    `objects` keeps what the C compiler made. Raises `NotCompiled`.
    """
    try:
        from mypyc.build import mypycify
        from setuptools import Distribution
        from setuptools.command.build_ext import build_ext
    except ImportError as error:
        raise NotCompiled(f"mypyc or setuptools is missing ({error})") from error
    if missing := _what_is_missing():
        raise NotCompiled(missing)
    objects.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="plexigate-c-") as scratch, chdir(_ROOT):
        extensions = _in_c(mypycify, scratch)
        _refuse_inverted_checks(Path(scratch))
        for extension in extensions:
            # others ask for nothing but the entries of modules: all else is found without a table of addresses
            extension.extra_compile_args = [*extension.extra_compile_args, "-fvisibility=hidden"]  # all have one list
        extensions += native_extensions()
        command = build_ext(Distribution({"name": _GROUP, "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(place), scratch
        # Each module has a library of its own, which only asks the large one: for each of them a tenth
        # of a second of CPU.
        command.parallel = os.cpu_count()
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


def _in_c(mypycify: Callable[..., Any], scratch: str) -> Any:
    """The extensions that mypyc makes of the listed modules below `scratch`. Raises `NotCompiled`."""
    said = io.StringIO()  # of mypyc, which also says much that is not wrong
    try:
        with redirect_stdout(said):
            return mypycify(
                ["--config-file", "pyproject.toml", "--cache-dir", os.devnull, *compiled_modules()],
                opt_level=_OPTIMISATION,
                debug_level="0",
                multi_file=True,
                group_name=_GROUP,
                target_dir=scratch,
            )
    except SystemExit as error:
        if error.code == _ENDED:
            raise
        raise NotCompiled(f"mypyc found mistakes:\n{said.getvalue()}{error.code}") from error


def native_extensions() -> list[Any]:
    """The modules in C, for `build_ext`."""
    from setuptools import Extension

    return [
        Extension(
            path.replace("/", "."),
            [f"{path}.c"],
            libraries=libraries,
            # what helps to debug names the directory in which it was compiled
            extra_compile_args=[_OPTIMISATION_OF_THE_HOTTEST, "-g0"],
        )
        for path, libraries in native_modules().items()
    ]


def native_modules() -> dict[str, list[str]]:
    """The modules in C by their paths, with the libraries that each is linked to.

    That of QUIC is left out where the headers of its libraries are missing (on Debian:
    libngtcp2-dev, libnghttp3-dev): then there is no HTTP/3.
    """
    modules = dict.fromkeys(_NATIVE, _NATIVE_LIBRARIES)
    headers = "".join(f"#include <{one}/{one}.h>\n" for one in _QUIC_LIBRARIES)
    command = [_c_compiler(), "-E", "-x", "c", "-o", os.devnull, "-"]
    asked = subprocess.run(command, input=headers.encode(), capture_output=True, check=False)  # noqa: S603 - of CC
    if asked.returncode == 0:
        modules[_QUIC] = [*_NATIVE_LIBRARIES, *_QUIC_LIBRARIES]
    return modules


def _what_is_missing() -> str:
    """What the C compiler lacks, as a sentence; an empty text if nothing is missing."""
    if shutil.which(_c_compiler()) is None:
        return f"there is no C compiler ({_c_compiler()})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "the headers of Python are missing (on Debian: python3-dev)"
    return ""


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
    left_out = set(_listed("interpreted"))
    found = (
        str(file.relative_to(_ROOT))
        for listed in settings["compiled"]
        for file in ((_ROOT / listed).rglob("*.py") if (_ROOT / listed).is_dir() else [_ROOT / listed])
        if file.name != "__init__.py"
    )
    return sorted(path for path in found if path not in left_out)


def _listed(name: str) -> list[str]:
    paths: list[str] = _settings()["tool"]["plexigate"][name]
    return paths


def _cached(objects: Path, scratch: Path) -> Any:
    """Let `compile` of setuptools use all processors, and work on those files alone that are new."""
    headers = _digest(sorted(scratch.rglob("*.h")), root=scratch)
    hottest = {f"__native_{path.removesuffix('.py').replace('/', '___')}.c" for path in _listed("optimised")}
    # what comes with mypyc does a fifth of the work
    hottest |= {path.name for path in scratch.glob("*.c") if not path.name.startswith("__native_")}

    def wrap(compile_sources: Any) -> Any:
        def compile_one(source: str, options: dict[str, Any]) -> str:
            if Path(source).parent == scratch and Path(source).name in hottest:
                options = {**options, "extra_postargs": [*options["extra_postargs"], _OPTIMISATION_OF_THE_HOTTEST]}
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
            made = []
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for one in pool.map(lambda source: compile_one(source, options), sources):
                    made.append(one)
                    if len(made) % _TOLD_FILES == 0:
                        sys.stderr.write(f"  {len(made)} of {len(sources)} files compiled\n")
            return made

        return compile_all

    return wrap


def _everything() -> Iterator[Path]:
    for package in _PACKAGES:
        yield from sorted(
            path for path in (_ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    # with the constraints, as the types of other packages decide what is compiled
    yield from (_ROOT / "pyproject.toml", _ROOT / "constraints.txt", _ROOT / "constraints-build.txt")
    yield _ROOT / "hatch_build.py"


def _digest(paths: Iterable[Path], root: Path = _ROOT) -> str:
    found = hashlib.sha256(_environment())
    for path in paths:
        content = path.read_bytes()
        found.update(f"\0{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:32]


@cache
def _environment() -> bytes:
    """What compiles: the interpreter, mypyc, the C compiler and its flags."""
    try:
        mypyc = version("mypy")
    except PackageNotFoundError:
        mypyc = "none"
    flags = [f"{name}={os.environ.get(name)}" for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")]
    compiler = "none"
    if shutil.which(_c_compiler()) is not None:
        command = [_c_compiler(), "--version"]
        compiler = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - of CC
    said = [sys.version, sysconfig.get_platform(), mypyc, compiler, str(sysconfig.get_config_var("CC"))]
    return "\0".join([*said, *flags, _OPTIMISATION]).encode()


def _forget_old(newest: Path) -> None:
    """Keep the builds that were used last or in the last day, as programs may run from them.

    Objects are kept for a week. What an interrupted build has left is removed.
    """
    now = newest.stat().st_mtime

    def is_older(path: Path, days: int) -> bool:
        return path.stat().st_mtime < now - days * 86_400

    builds = sorted((path for path in _CACHE.iterdir() if len(path.name) == len(newest.name)), key=_used_at)
    left = [path for path in _CACHE.iterdir() if path.name.startswith("tmp")]
    for old in [path for path in builds[:-_KEPT_BUILDS] if is_older(path, 1)] + left:
        shutil.rmtree(old)
    for kept in (_CACHE / "objects").iterdir():
        if is_older(kept, 7):
            kept.unlink(missing_ok=True)


def _used_at(path: Path) -> float:
    return path.stat().st_mtime


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))  # not without removing what was begun
    try:
        packages = made_packages() if sys.argv[1:] == ["--made"] else compiled_packages()
        sys.stdout.write(f"{packages}\n")
    except NotCompiled as error:
        sys.exit(f"{Path(__file__).name}: {error}")
