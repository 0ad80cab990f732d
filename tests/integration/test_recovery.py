"""From nothing but shares and a backup to a proxy that serves, by the commands of docs/backup.md as they stand.

Only these differ: the places of the machine, what systemd does, and the people with the shares. `./dev soak recovery` does it with 10,000
names.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.document_links import ROOT
from tests.documents import read
from tests.programs import PLEXIGATE
from tests.soak.recovery import MOST_SECONDS, Machine, Operator, recovered

BACKUP = read(ROOT / "docs/backup.md")
NOT_HERE = re.compile(r"# (systemctl|mkdir) ")
APART = "unshare --mount --net bash"


class Reader(Operator):
    """Follows the document as root of a machine that is a directory."""

    def __init__(self, machine: Machine, place: Path) -> None:
        super().__init__(machine, place)
        self.place = place
        self.instead = {
            "/etc/plexigate": str(machine.directory),
            "/var/lib/plexigate": str(place / "lib"),
            "/var/log/plexigate": str(place / "log"),
            "/media/safe": str(place),
            "--check 0123456789abcdef ": "",
        }

    def backs_up(self) -> None:
        self.follows("how-it-is-protected")
        verified = self.follows("by-hand")
        assert "plexigate.pxbackup is whole" in verified
        self.instead["HEX"] = re.findall(r"Signer: (\w{64})", verified)[-1]
        listed = self.machine.runs("certs", "list", "--offline", "--config", self.machine.path)
        assert len(issued(listed)) == self.machine.names // 10
        if os.geteuid() == 0:  # it mounts directories
            for name in ("lib", "log"):
                (self.place / name).mkdir()
            assert issued(self.follows("a-rehearsal-in-ten-minutes")) == issued(listed)
            assert self.machine.path.exists()

    def restores(self, shares: str) -> None:
        assert "can be used" in self.follows("restore", shares)

    def follows(self, section: str, typed: str = "") -> str:
        """Run the commands of a section in one shell, whose output is answered. Raises `AssertionError`."""
        console = next(one.text for one in BACKUP.section(section).blocks if one.language == "console")
        for old, new in self.instead.items():
            console = console.replace(old, new)
        lines = re.sub(r"\\\n *", " ", console).splitlines()
        commands = [line[2:] for line in lines if line.startswith(("$ ", "# ")) and not NOT_HERE.match(line)]
        shell = commands.pop(0).split() if commands[0] == APART else ["bash"]
        done = subprocess.run(
            [*shell, "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=self.place,
            env={
                **os.environ,
                **self.machine.environment,
                "PATH": f"{Path(PLEXIGATE).parent}:{os.environ['PATH']}",
                "COLUMNS": "200",
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{commands}: {done.stdout}{done.stderr}"
        return done.stdout


def issued(table: str) -> dict[str, list[str]]:
    """Serial number and expiry of each credential with a key in a file, in the table of `certs list`."""
    return {row.split()[0]: row.split()[5:7] for row in table.splitlines() if re.match(r"n[0-9]+ ", row)}


def test_shares_and_a_backup_bring_a_machine_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "machine", 40)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    found = recovered(machine, Reader(machine, tmp_path))
    assert found.machine_seconds < MOST_SECONDS
    assert found.secrets > 5
    assert found.leaked == 0
