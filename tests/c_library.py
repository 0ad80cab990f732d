"""Builds what tests have in C."""

import subprocess
from pathlib import Path


def build_library(source: Path, library: Path, *flags: str, needs: str = "gcc libc6-dev") -> Path:
    """Compile a shared library. Fails aloud where a tool is missing; `needs` are the packages that have them."""
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{library.name} cannot be built (apt-get install {needs}): {done.stderr}"
    return library
