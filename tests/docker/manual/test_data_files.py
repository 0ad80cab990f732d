"""What is installed beside the program."""

import sys
from pathlib import Path

import pytest

from docker.building.manual import data_files
from docker.building.manual.data_files import main


def test_files_lie_where_a_prefix_has_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["data_files", str(tmp_path), "1.2.3"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795824000")
    main()
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == data_files.data_files("2026-11-28", "1.2.3")
    assert {"share/man/man1/plexigate.1", "share/man/man1/plexigate-certs.1"} < found.keys()
    assert "share/man/man5/plexigate.toml.5" in found
    assert found["share/zsh/site-functions/_plexigate"].startswith("#compdef plexigate\n")
    assert "share/bash-completion/completions/plexigate" in found
    assert "share/fish/vendor_completions.d/plexigate.fish" in found
