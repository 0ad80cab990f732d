"""A server that comes back gets little at first, and its full share by and by. Pure."""

from typing import Final

# A tenth from the start: enough to warm its caches by, and to see whether it works.
_FIRST: Final = 0.1


def warmth(age: float, seconds: float) -> float:
    """The part of its weight that a server gets `age` seconds into a slow start of `seconds`."""
    if age >= seconds:
        return 1.0
    return max(_FIRST, age / seconds)
