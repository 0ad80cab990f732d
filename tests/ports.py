"""Ports for what has to have the same one twice, and ports at which nobody listens."""

import itertools
import random
import socket

from tests.side_by_side import at_the_beginning

_OWN = 1_500
"""Ports for each process of a run, so that two of them do not take the same one before either listens there."""
_FIRST = [20_000]
_TURN = itertools.count(random.randrange(_OWN))  # noqa: S311 - nor do two runs


def lasting_port() -> int:
    """A port that nobody has, and that the kernel gives to no client meanwhile: it takes theirs from 32,768 on (ip(7))."""
    while True:
        port = _FIRST[0] + next(_TURN) % _OWN
        with socket.socket() as sock:
            try:
                sock.bind(("", port))
            except OSError:
                continue
            return port


@at_the_beginning
def _take_own(number: int) -> None:
    _FIRST[0] += _OWN * (number % 8)
