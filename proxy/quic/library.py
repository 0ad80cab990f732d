"""The compiled part of QUIC, which is linked to libngtcp2 and libnghttp3."""

from functools import cache
from types import ModuleType


@cache
def native() -> ModuleType:
    """The compiled part. Raises ImportError where HTTP/3 is not available (`availability`)."""
    from proxy.quic import _native

    return _native
