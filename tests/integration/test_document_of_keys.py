"""The commands of docs/hsm.md and docs/audit.md, run as they stand, with SoftHSM.

Only these differ: the port, questions to a person, and programs that a machine may lack (jq, the journal).
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.document_links import ROOT
from tests.documents import Document, read
from tests.programs import PLEXIGATE, Program, plexigate_listeners, program

HSM, AUDIT = read(ROOT / "docs/hsm.md"), read(ROOT / "docs/audit.md")
# The text of a document, and what the test runs instead.
INSTEAD = {
    " && plexigate run plexigate.toml": "",
    "plexigate hsm init ": "plexigate hsm init --yes ",
    "| jq -r .public_key": "| python3 -c 'import json, sys; print(json.load(sys.stdin)[\"public_key\"])'",
}


def text(document: Document, section: str, language: str) -> str:
    """The first block of a language in a section."""
    return next(block.text for block in document.section(section).blocks if block.language == language)


@dataclass(frozen=True, slots=True)
class Reader:
    """Follows the documents in a new directory."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """It has plexigate in PATH, and a state directory of its own."""
        return {
            "PATH": f"{Path(PLEXIGATE).parent}:{os.environ['PATH']}",
            "STATE_DIRECTORY": str(self.directory / "state"),
            "SOFTHSM2_CONF": str(self.directory / "hsm/softhsm2.conf"),
        }

    def has(self, configuration: str) -> None:
        """Write `plexigate.toml`, at a port that is free."""
        written = configuration.replace('"127.0.0.1:8443"', '"127.0.0.1:0"')
        assert written != configuration
        (self.directory / "plexigate.toml").write_text(written)

    def follows(self, console: str) -> None:
        """Run the commands of a block, except those that only run the proxy, and those of the journal."""
        for old, new in INSTEAD.items():
            console = console.replace(old, new)
        lines = re.sub(r"\\\n *", " ", console).splitlines()
        commands = [line.removeprefix("$ ") for line in lines if not re.match(r"\$ (plexigate run|journalctl) ", line)]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{commands}: {done.stdout}{done.stderr}"

    def runs(self) -> Program[dict[str, list[str]]]:
        """Start the proxy, wait until it serves, and end it. Answers what it printed."""
        with program(
            [PLEXIGATE, "run", str(self.directory / "plexigate.toml")], plexigate_listeners, self.environment
        ) as running:
            assert list(running.ready) == ["public"]
        return running


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / "docker").symlink_to(ROOT / "docker")
    (tmp_path / "state").mkdir(mode=0o700)
    return Reader(tmp_path)


def test_a_reader_has_keys_in_a_token_then_sealed_ones_then_an_audit_log(reader: Reader) -> None:
    base = text(HSM, "the-configuration-with-a-token", "toml")
    reader.has(base)
    reader.follows(text(HSM, "from-an-empty-token-to-a-served-key", "console"))
    sealed = re.sub(r"(?m)^\[identity\.chat\]\n(?:.+\n)+", "", base) + text(
        HSM, "the-configuration-with-a-sealing-key", "toml"
    )
    reader.has(sealed)
    reader.follows(text(HSM, "private-keys-in-sealed-files", "console"))
    reader.has(f"{sealed}\n{text(AUDIT, 'turn-it-on', 'toml')}")
    reader.follows(text(AUDIT, "turn-it-on", "console"))
    said = reader.runs().output
    assert any(json.loads(line).get("event") == "audit_checkpoint" for line in said if line.startswith("{"))
    (reader.directory / "journal.txt").write_text("\n".join(said))
    reader.follows(text(AUDIT, "verify-it", "console"))
    lines = (reader.directory / "audit.jsonl").read_text()
    (reader.directory / "audit.jsonl").write_text(lines.replace('"generate"', '"destroy"'))
    with pytest.raises(AssertionError, match="changed"):
        reader.follows(text(AUDIT, "verify-it", "console"))
