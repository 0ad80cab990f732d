"""Makes the virtual environment in which `./dev` runs the sources.

    python3 environment.py [--link] PLACE

`python3 -m venv` and an editable install by pip would do the same in ten seconds of CPU: pip
compiles all of itself first, and builds a wheel to write some lines. A user waits for that.
"""

import ensurepip
import hashlib
import os
import shutil
import sys
import sysconfig
import tomllib
import venv
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_LICENSES: Final = ("LICENSE", "NOTICE")
_PROGRAM: Final = """\
#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def make(place: Path) -> None:
    """Make the environment, with pip in it, again."""
    venv.create(place, clear=True, symlinks=True)
    with zipfile.ZipFile(_pip()) as wheel:
        wheel.extractall(_packages(place))


def link(place: Path) -> None:
    """Let the environment run the sources, as an editable install does (PEP 660).

    A previous link or install is replaced.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = _packages(place)
    facts = packages / f"{project['name']}-{project['version']}.dist-info"
    for former in packages.glob(f"{project['name']}-*.dist-info"):
        shutil.rmtree(former)
    for former in packages.glob(f"_editable_impl_{project['name']}.*"):
        former.unlink()
    texts = {
        packages / f"_{project['name']}.pth": f"{ROOT}\n",
        facts / "INSTALLER": "dev\n",
        facts / "METADATA": "".join(f"{line}\n" for line in _metadata(project)),
        facts / "direct_url.json": f'{{"dir_info": {{"editable": true}}, "url": "{ROOT.as_uri()}"}}\n',
        facts / "entry_points.txt": "[console_scripts]\n"
        + "".join(f"{name} = {entry}\n" for name, entry in project["scripts"].items()),
        **{facts / "licenses" / name: (ROOT / name).read_text(encoding="utf-8") for name in _LICENSES},
    }
    programs = {place / "bin" / name: _program(place, entry) for name, entry in project["scripts"].items()}
    for path, text in {**texts, **programs}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in programs:
        path.chmod(0o755)
    _record(facts, packages, [*texts, *programs])


def _program(place: Path, entry: str) -> str:
    module, _, function = entry.partition(":")
    return _PROGRAM.format(python=place.absolute() / "bin" / "python", module=module, function=function)


def _metadata(project: dict[str, Any]) -> Iterator[str]:
    yield from ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    yield from (f"Requires-Dist: {one}" for one in project["dependencies"])
    for extra, needed in project["optional-dependencies"].items():
        yield f"Provides-Extra: {extra}"
        for one in needed:
            name, _, condition = one.partition(";")
            only = f"({condition.strip()}) and " if condition else ""
            yield f'Requires-Dist: {name.strip()}; {only}extra == "{extra}"'


def _record(facts: Path, packages: Path, files: list[Path]) -> None:
    """Write what pip removes when it installs Plexigate in another way."""
    record = facts / "RECORD"
    lines = []
    for path in files:
        digest = urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        lines.append(f"{os.path.relpath(path, packages)},sha256={digest},{path.stat().st_size}\n")
    record.write_text("".join([*lines, f"{record.relative_to(packages)},,\n"]), encoding="utf-8")


def _packages(place: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "installed_base": str(place)}))


def _pip() -> Path:
    """The wheel that the interpreter brings: a distribution may keep it apart from `ensurepip`."""
    places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(ensurepip.__file__).parent / "_bundled"]
    return next(wheel for one in places if one for wheel in sorted(Path(one).glob("pip-*.whl")))


if __name__ == "__main__":
    *options, name = sys.argv[1:]
    if options != ["--link"]:
        make(Path(name))
    link(Path(name))
