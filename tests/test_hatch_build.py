"""What is compiled, and what comes out where that is not possible."""

import ast
import os
import subprocess
import sys
import zipfile
from contextlib import chdir
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

from proxy.processes.hot_path import hot_path
from tests import syntax

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hatch_build() -> ModuleType:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_listed_place_has_modules_and_each_exception_is_one(hatch_build: ModuleType) -> None:
    compiled = hatch_build.compiled_modules()
    settings = hatch_build._settings()["tool"]["plexigate"]
    assert len(compiled) > 100
    assert all((ROOT / path).is_file() for path in compiled)
    for listed in settings["compiled"]:
        assert [path for path in compiled if path == listed or path.startswith(f"{listed}/")], listed
    for path in settings["interpreted"]:
        assert (ROOT / path).is_file(), path
        assert path not in compiled
        assert any(path.startswith(f"{listed}/") for listed in settings["compiled"]), path


def test_each_optimised_module_is_compiled(hatch_build: ModuleType) -> None:
    optimised = hatch_build._listed("optimised")
    assert optimised == sorted(set(optimised))
    assert set(optimised) <= set(hatch_build.compiled_modules())


def test_all_of_the_hot_path_runs_as_this_process_says(hatch_build: ModuleType) -> None:
    """One compiled module could stand beside others that are not."""
    is_compiled = hot_path() == "compiled"
    for path in hatch_build.compiled_modules():
        spec = find_spec(path.removesuffix(".py").replace("/", "."))
        assert spec is not None
        assert isinstance(spec.loader, ExtensionFileLoader) is is_compiled, path
    for path in hatch_build._settings()["tool"]["plexigate"]["interpreted"]:
        spec = find_spec(path.removesuffix(".py").replace("/", "."))
        assert spec is not None
        assert isinstance(spec.loader, SourceFileLoader), path


def test_a_module_in_c_is_compiled_without_what_names_its_directory(hatch_build: ModuleType, tmp_path: Path) -> None:
    """So two builds of the wheel are the same bytes. Debian's Python has -g among its flags."""
    (extension,) = (one for one in hatch_build.native_extensions() if one.name == "proxy.http2.hpack._huffman")
    command = build_ext(Distribution({"name": "one", "ext_modules": [extension]}))
    command.build_lib, command.build_temp = str(tmp_path), str(tmp_path)
    command.ensure_finalized()
    with chdir(ROOT):
        command.run()
    (made,) = tmp_path.rglob("_huffman.*.so")
    assert str(ROOT).encode() not in made.read_bytes()


def test_no_compiled_module_has_a_coroutine(hatch_build: ModuleType) -> None:
    """mypyc 2.4 hands an exception to what a coroutine awaits by the signature of throw() that Python deprecated."""
    for path in hatch_build.compiled_modules():
        nodes = syntax.nodes(syntax.tree(ROOT / path))
        assert not [node.lineno for node in nodes if isinstance(node, ast.AsyncFunctionDef)], path


def test_mypyc_can_write_all_names_and_texts_in_c(hatch_build: ModuleType) -> None:
    """It puts an underscore before the name of an attribute, and knows no literals of surrogates."""
    keywords = {"_thread", "_asm", "_const", "_inline", "_signed", "_volatile", "_restrict", "_real", "_imag"}
    found = []
    for path in hatch_build.compiled_modules():
        for node in syntax.nodes(syntax.tree(ROOT / path)):
            if isinstance(node, ast.Attribute) and node.attr in keywords:
                found.append((path, node.lineno, node.attr))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [(path, node.lineno, ascii(one)) for one in node.value if "\ud800" <= one <= "\udfff"]
    assert found == []


def test_wheel_is_for_the_oldest_glibc_that_has_what_it_asks_for(hatch_build: ModuleType, tmp_path: Path) -> None:
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    first, second = tmp_path / "first.so", tmp_path / "second.so"
    first.write_bytes(b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.4\0libc.so.6\0")
    second.write_bytes(b"\x7fELF\0GLIBC_2.34\0GLIBC_2.17\0")
    machine = os.uname().machine
    assert hatch_build._tag([first]) == f"{python}-{python}-manylinux_2_17_{machine}"
    assert hatch_build._tag([first, second]) == f"{python}-{python}-manylinux_2_34_{machine}"
    second.write_bytes(b"\x7fELF\0libc.musl-x86_64.so.1\0")
    assert hatch_build._tag([second]) == f"{python}-{python}-linux_{machine}"


def test_what_was_not_compiled_is_not_made_on_the_way(
    hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hatch_build, "_CACHE", tmp_path)
    with pytest.raises(hatch_build.NotCompiled, match=r"^these sources have not been compiled$"):
        hatch_build.made_packages()
    assert list(tmp_path.iterdir()) == []
    made = tmp_path / hatch_build._digest(hatch_build._everything())
    made.mkdir()
    assert hatch_build.made_packages() == made


def test_native_classes_inherit_from_what_mypyc_can_lay_out(hatch_build: ModuleType) -> None:
    """Fields of a native class lie over those of a base in C: on `threading.local` they were shared by all threads."""
    ours, bases = set(), []
    for path in hatch_build.compiled_modules():
        for node in syntax.nodes(syntax.tree(ROOT / path)):
            if isinstance(node, ast.ClassDef):
                ours.add(node.name)
                if "mypyc_attr(native_class=False)" not in map(ast.unparse, node.decorator_list):
                    bases += [(path, node.name, ast.unparse(base).partition("[")[0]) for base in node.bases]
    known = {"Enum", "Exception", "Generic", "IntEnum", "Mapping", "NamedTuple", "Protocol", "StrEnum", "TypedDict"}
    assert [one for one in bases if one[2] not in known | ours] == []


def test_c_that_takes_a_set_constant_for_a_missing_one_is_refused(
    hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as mypyc 2.4 writes for a Final tuple that begins with a float."""
    (tmp_path / "bounds.py").write_text("from typing import Final\n\nBOUNDS: Final = (0.5, 1.0)\n")
    (tmp_path / "user.py").write_text("from bounds import BOUNDS\n\n\ndef last() -> float:\n    return BOUNDS[1]\n")
    (tmp_path / "pyproject.toml").write_text("[tool.mypy]\n")
    monkeypatch.setattr(hatch_build, "_ROOT", tmp_path)
    monkeypatch.setattr(hatch_build, "_CACHE", tmp_path / "cache")
    monkeypatch.setattr(hatch_build, "compiled_modules", lambda: ["bounds.py", "user.py"])
    with pytest.raises(hatch_build.NotCompiled, match=r"^user\.c, line \d+: mypyc takes a constant that is set for"):
        hatch_build.compile_into(tmp_path / "out", tmp_path / "objects")


def test_without_a_compiler_it_says_so(
    hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(hatch_build.NotCompiled, match=r"^there is no C compiler \(no-such-compiler\)$"):
        hatch_build.compile_into(tmp_path, tmp_path / "objects")
    assert list(tmp_path.iterdir()) == []


def wheel(place: Path, **environment: str) -> tuple[Path, str]:
    """A wheel built from the sources: where it was unpacked, and what the build said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
    )
    (archive,) = place.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(place / archive.name.removesuffix(".whl"))
    return place / archive.name.removesuffix(".whl"), done.stdout + done.stderr


def said_of(packages: Path) -> str:
    """What `plexigate --version` says with these packages."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PLEXIGATE_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-P", "-m", "proxy.commands.start", "--version"],
        env={**environment, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@pytest.mark.timeout(600)  # without objects in the cache it compiles all of them
def test_wheel_has_compiled_modules_for_this_python_alone(tmp_path: Path, hatch_build: ModuleType) -> None:
    packages, said = wheel(tmp_path)
    assert "without compiled code" not in said
    assert packages.name.startswith(f"plexigate-{version('plexigate')}-cp{sys.version_info[0]}{sys.version_info[1]}-")
    suffix = hatch_build._suffix()
    compiled = {str(path.relative_to(packages)).replace(suffix, ".py") for path in packages.glob(f"*/**/*{suffix}")}
    assert compiled == {*hatch_build.compiled_modules(), *(f"{native}.py" for native in hatch_build.native_modules())}
    assert said_of(packages) == f"plexigate {version('plexigate')} (hot path compiled)\n"
    (packages / f"proxy/tls/openssl/_native{suffix}").unlink()
    told = f"plexigate {version('plexigate')} (hot path compiled, TLS by the standard library)\n"
    assert said_of(packages) == told


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"PLEXIGATE_PURE": "1"}, "PLEXIGATE_PURE=1 is set"),
        ({"CC": "no-such-compiler"}, "there is no C compiler (no-such-compiler)"),
    ],
)
def test_wheel_without_a_compiler_has_the_sources_and_says_so(
    tmp_path: Path, environment: dict[str, str], reason: str
) -> None:
    packages, said = wheel(tmp_path, **environment)
    assert f"Plexigate is built without compiled code, and slower so: {reason}" in said
    assert packages.name == f"plexigate-{version('plexigate')}-py3-none-any"
    assert list(packages.rglob("*.so")) == []
    assert said_of(packages) == f"plexigate {version('plexigate')} (hot path interpreted)\n"
