"""A reader who follows a document has each file before a command, a configuration or a script uses it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.observe.alert import AlertState, Concern, Notice, OpenAlert
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from tests.document_links import ROOT
from tests.documents import read

WRITES = r"(?:> |cp \S+ |--output |--out |hsm seal ){}\b"
"""What writes a file: a redirection, a copy, an option, a key that is sealed."""
FILLS = r"(?:certificates\.sh|hsm init-dev) {}\b"
"""What fills a directory: the demo's authority, a SoftHSM token for development."""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("audit.md", "audit.pub"),
        ("audit.md", "journal.txt"),
        ("hsm.md", "chat-mldsa.pem"),
        ("hsm.md", "chat-mldsa.sealed"),
        ("hsm.md", "chat.csr"),
        ("hsm.md", "hsm/server.pem"),
        ("hsm.md", "hsm/softhsm2.conf"),
        ("hsm.md", "mldsa.csr"),
        ("hsm.md", "mldsa/server.pem"),
        ("payload.md", "keys.json"),
        ("payload.md", "pinned.json"),
    ],
)
def test_a_file_that_is_used_was_made_before(name: str, file: str) -> None:
    document = read(ROOT / "docs" / name)
    commands = "\n".join(block.text for _, block in document.blocks if block.language in {"console", "python"})
    directory, slash, _ = file.rpartition("/")
    made = re.search((FILLS if slash else WRITES).format(re.escape(directory or file)), commands)
    used = re.search(rf"(?<![\w.-]){re.escape(file)}", commands)
    assert used is not None, f"{name} does not use {file} any more"
    assert made is not None, f"{name} never makes {file}"
    assert made.start() <= used.start()


@pytest.mark.parametrize("state", ["firing", "resolved"])
@pytest.mark.parametrize("number", [0, 1])
def test_scripts_that_take_an_alert_pass_on_what_it_says(tmp_path: Path, number: int, state: str) -> None:
    """The programs that they call are replaced by one that keeps its input."""
    if shutil.which("jq") is None:
        pytest.skip("the scripts of docs/alerts.md need jq: apt-get install jq (./dev test does)")
    scripts = [block.text for _, block in read(ROOT / "docs" / "alerts.md").blocks if block.language == "bash"]
    concern = Concern(AlertKind.UPSTREAM_DOWN, "chat", AlertUrgency.CRITICAL, "upstream chat has no server")
    notice = Notice(AlertState(state), OpenAlert(concern, 0.0, 1), 60.0)
    for name in ("sendmail", "curl"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat > {tmp_path}/kept\n")
        (tmp_path / name).chmod(0o700)
    subprocess.run(
        ["/bin/sh", "-c", scripts[number]],
        input=json.dumps(notice.as_json("gate-1")).encode(),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=30,
        check=True,
    )
    kept = (tmp_path / "kept").read_text()
    if number == 0:
        assert kept.splitlines()[0] == f"Subject: [critical] {state}: upstream_down chat"
        assert "upstream chat has no server" in kept
        return
    (alert,) = json.loads(kept)
    assert alert["labels"]["alertname"] == "Plexigate_upstream_down"
    assert alert["annotations"]["summary"] == "upstream chat has no server"
    assert alert.get("endsAt") == ("1970-01-01T00:01:00Z" if state == "resolved" else None)
