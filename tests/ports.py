"""Ports for what has to have the same one twice, and ports at which nobody listens."""

import random
import socket


def lasting_port() -> int:
    """A port that nobody has, and that the kernel gives to no client meanwhile: it takes theirs from 32,768 on (ip(7))."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - two at a time shall not meet
        with socket.socket() as sock:
            try:
                sock.bind(("", port))
            except OSError:
                continue
            return port
