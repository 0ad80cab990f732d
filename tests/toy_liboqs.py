"""Builds `toy_liboqs.c`: a library that the genuine liboqs-python takes for liboqs."""

from pathlib import Path
from typing import Final

from tests.c_library import build_library

SOURCE: Final = Path(__file__).with_name("toy_liboqs.c")


def build_toy_liboqs(directory: Path, version: str = "0.16.0", ciphertext: int = 48) -> Path:
    """Compile it in `directory`/lib; `directory` is the `OQS_INSTALL_PATH` then. Fails aloud where a tool is missing."""
    (directory / "lib").mkdir(parents=True, exist_ok=True)
    build_library(SOURCE, directory / "lib/liboqs.so", f'-DVERSION="{version}"', f"-DCIPHERTEXT={ciphertext}")
    return directory
