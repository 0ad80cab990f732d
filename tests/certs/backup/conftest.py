"""Installations and backups for these tests, where nothing waits for a disk."""

from pathlib import Path

import pytest

from tests.backups import Installation


@pytest.fixture
def site(in_memory: Path) -> Installation:
    return Installation.made(in_memory / "site")


@pytest.fixture
def backup(site: Installation, in_memory: Path) -> Path:
    """A backup of the site."""
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    return file
