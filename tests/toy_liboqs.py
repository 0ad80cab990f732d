"""Builds `toy_liboqs.c`: a library that the genuine liboqs-python takes for liboqs."""

import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("toy_liboqs.c")


def build_toy_liboqs(directory: Path, version: str = "0.16.0", ciphertext: int = 48) -> Path:
    """Compile it in `directory`/lib; `directory` is the `OQS_INSTALL_PATH` then. Fails aloud where a tool is missing."""
    (directory / "lib").mkdir(parents=True, exist_ok=True)
    flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f'-DVERSION="{version}"', f"-DCIPHERTEXT={ciphertext}"]
    command = ["gcc", *flags, "-o", str(directory / "lib/liboqs.so"), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"it cannot be built (apt-get install gcc libc6-dev): {done.stderr}"
    return directory
