"""Ctrl-C while modules are imported."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_interruption() -> Iterator[None]:
    """Let Ctrl-C end the process with status 130 during the imports, without a traceback.

    The process exits at once: an exception would pass through half-imported modules. If the signal
    is ignored (`nohup`), it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
