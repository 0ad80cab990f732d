"""How this machine reaches packages (proxies, mirrors, authorities), in a form that another root on it can use.

A root that is made on a machine has to fetch packages through what this machine is set to: nothing of that stands in the repository.
What apt and pip are set to is asked of them, whatever files it comes from, and written to files that are put into the other root.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PLACE = Path("/run/machine")
"""Where the files of this machine that pip's settings name are found in the other root."""
APT_FILE = Path("/etc/apt/apt.conf.d/99machine")
PIP_FILE = Path("/etc/pip.conf")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

_APT = re.compile(
    r"^Acquire::(?:https?|ftp|Retries|ForceIPv[46]|Check-Date|Check-Valid-Until|(?:Max|Min)-ValidTime|By-Hash)\b.*\";$",
    re.MULTILINE,
)
_PIP = re.compile(r"^(?::env:|\w+)\.(?P<key>[\w-]+)=(?P<value>'.*'|\".*\")$", re.MULTILINE)
_PIP_KEYS = frozenset(
    [
        "cert",
        "constraint",
        "default-timeout",
        "extra-index-url",
        "find-links",
        "index-url",
        "no-index",
        "proxy",
        "timeout",
        "trusted-host",
    ]
)


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Files and directories for another root, by their place in it, and variables for its environment."""

    mounts: Mapping[Path, Path]
    environment: Mapping[str, str]

    def copy_to(self, root: Path) -> None:
        """Put them into a root that nothing runs in yet."""
        for place, source in self.mounts.items():
            target = root / place.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)


def machine_settings(directory: Path) -> MachineSettings:
    """Ask apt and pip, and write their files to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    mounts: dict[Path, Path] = {}
    if apt := apt_settings(_said("apt-config", "dump", "Acquire")):
        (directory / "apt.conf").write_text(apt, encoding="utf-8")
        mounts[APT_FILE] = directory / "apt.conf"
    settings, files = pip_settings(_said(sys.executable, "-m", "pip", "config", "list"))
    if settings:
        (directory / "pip.conf").write_text(settings, encoding="utf-8")
        mounts[PIP_FILE] = directory / "pip.conf"
    return MachineSettings(mounts | files, dict(_proxies(os.environ)))


def apt_settings(dump: str) -> str:
    """What `apt-config dump` says of the network, in lines of an apt.conf."""
    return "".join(f"{found[0]}\n" for found in _APT.finditer(dump) if not found[0].endswith(' "";'))


def pip_settings(listed: str) -> tuple[str, dict[Path, Path]]:
    """What `pip config list` says of the network, as a pip.conf, and the files that it names.

    They are found below PLACE in the other root. Variables of the environment (`:env:`) come before files, as for pip.
    """
    found: dict[str, str] = {}
    for line in sorted(_PIP.finditer(listed), key=lambda match: match[0].startswith(":env:")):
        if line["key"] in _PIP_KEYS:
            found[line["key"]] = ast.literal_eval(line["value"])
    lines, files = ["[global]"], dict[Path, Path]()
    for key, value in found.items():
        words = []
        for word in str(value).split():
            path = Path(word)
            if path.is_absolute() and path.exists():
                place = PLACE / f"{key}-{path.name}"
                files[place] = path.resolve()
                words.append(str(place))
            else:
                words.append(word)
        lines.append(f"{key} = {' '.join(words)}")
    return ("\n".join(lines) + "\n" if found else ""), files


def _proxies(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in PROXIES:
        if value := environment.get(name) or environment.get(name.upper()):
            yield name, value


def _said(*command: str) -> str:
    """What a program prints; nothing if it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
