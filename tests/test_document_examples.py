"""A reader who follows a document has each file before a command, a configuration or a script uses it."""

import re

import pytest

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
