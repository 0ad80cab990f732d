"""Builds `slow_provider.c`: a provider with a group whose key exchange costs a server 50 ms of CPU."""

from pathlib import Path
from typing import Final

from tests.c_library import build_library

NAME: Final = "slow"
GROUP: Final = "x25519_hqcslow"
CODE_POINT: Final = 0xFE40
_SOURCE: Final = Path(__file__).with_name("slow_provider.c")


def build_slow_provider(directory: Path) -> Path:
    """Compile it in `directory`."""
    return build_library(_SOURCE, directory / f"{NAME}.so", "-lcrypto", needs="gcc libc6-dev libssl-dev")
