"""What file descriptors this process has open, for tests that leave none behind."""

import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def open_descriptors() -> frozenset[int]:
    """Those that are open, but for connections of TCP: servers that tests share take and lose them in threads, at any moment.

    Nor is the garbage of tests that are over among them: it would be closed at some moment of the next test.
    """
    gc.collect()
    return frozenset(one for one in _all() if not _is_connection(one))


def _all() -> frozenset[int]:
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return frozenset(map(int, os.listdir(listing))) - {listing}  # noqa: PTH208 - of a descriptor
    finally:
        os.close(listing)


def _is_connection(descriptor: int) -> bool:
    try:
        copy = os.dup(descriptor)
    except OSError:  # it was one: it is closed by now
        return True
    try:
        sock = socket.socket(fileno=copy)
    except OSError:  # no socket
        os.close(copy)
        return False
    with sock:
        is_tcp = sock.family in {socket.AF_INET, socket.AF_INET6} and sock.type == socket.SOCK_STREAM
        return is_tcp and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Have this process open nothing more but in place of what it closes."""
    gc.collect()  # a descriptor of a test that is over would become free in between
    highest = max(_all())
    with ExitStack() as taken:
        # One that is closed above the limit leaves no room below it, so there is nothing free below the highest.
        while (beyond := taken.enter_context(socket.socket()).fileno()) < highest:
            pass
        with descriptors_below(beyond):
            yield


@contextmanager
def descriptors_below(limit: int) -> Iterator[None]:
    """Have this process open none of this number or a higher one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
