"""Builds `listing_provider.c`: a provider whose groups no client can be offered, as those of BIKE."""

import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("listing_provider.c")
NAME: Final = "listing"
GROUPS: Final = ("bikel1", "p256_bikel1")


def build_listing_provider(directory: Path, *flags: str) -> Path:
    """Compile it in `directory`."""
    return build_provider(SOURCE, directory / f"{NAME}.so", *flags)


def build_provider(source: Path, module: Path, *flags: str) -> Path:
    """Compile a provider. Fails aloud where a tool is missing."""
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(module), str(source), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"it cannot be built (apt-get install gcc libc6-dev libssl-dev): {done.stderr}"
    return module
