"""Builds `listing_provider.c`: a provider whose groups no client can be offered, as those of BIKE."""

from pathlib import Path
from typing import Final

from tests.c_library import build_library

SOURCE: Final = Path(__file__).with_name("listing_provider.c")
NAME: Final = "listing"
GROUPS: Final = ("bikel1", "p256_bikel1")


def build_listing_provider(directory: Path, *flags: str) -> Path:
    """Compile it in `directory`."""
    return build_library(SOURCE, directory / f"{NAME}.so", *flags, needs="gcc libc6-dev libssl-dev")
