"""Starts and kills the process of `token_process`; never waits for it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from certs.hsm import frames
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.errors import CallFailed, DeadlinePassed, TokenProcessLost, from_document

# Of OpenSSL, which SoftHSM and others use in there; the providers of our own configuration are for
# the workers.
_NOT_INHERITED: Final = frozenset({"OPENSSL_CONF", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})

# A process that was killed is gone in a few milliseconds. That long we look, so that the usual one
# leaves nothing behind; a loop may be waiting for us.
_USUAL_END_SECONDS: Final = 0.05


class UserIds(Protocol):
    """Who a process is, as numbers of the system."""

    @property
    def user(self) -> int: ...

    @property
    def group(self) -> int:
        """The first group."""

    @property
    def groups(self) -> tuple[int, ...]: ...


class Spawned:
    """A process and our end of its socket."""

    def __init__(self, user: UserIds | None = None) -> None:
        """Spawn it, as another user if one is named.

        Raises OSError when the system has no room for another process.
        """
        self.socket, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        try:
            # -P: do not import modules from the current directory
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "certs.hsm.process.token_process"],
                env=environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                user=None if user is None else user.user,
                group=None if user is None else user.group,
                extra_groups=None if user is None else user.groups,
            )
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
        self.pid: int = self._process.pid
        self._is_over = False

    @property
    def is_usable(self) -> bool:
        return not self._is_over

    def end(self) -> None:
        """Kill it and close our end.

        If it hangs in the kernel it dies later; only a thread waits for that.
        """
        if self._is_over:
            return
        self._is_over = True
        self.socket.close()
        self.kill()
        reaper = threading.Thread(target=self._process.wait, name="reaper", daemon=True)
        reaper.start()
        reaper.join(_USUAL_END_SECONDS)

    def kill(self) -> None:
        """Kill it and leave our end open: it reads the end of the stream."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    @contextmanager
    def exchanging(self, call: Call[Any]) -> Iterator[None]:
        """End the process if a call fails halfway: the next answer would belong to this call.

        Raises TokenProcessLost, or DeadlinePassed for a TimeoutError inside. Other exceptions pass
        through: Ctrl-C, a cancelled task.
        """
        if self._is_over:
            raise TokenProcessLost(call.operation, "it was ended before")
        try:
            yield
        except TimeoutError:
            self.end()
            raise DeadlinePassed(call.operation, call.seconds) from None
        except (OSError, EOFError, frames.Garbled):
            raise self.lost(call) from None
        except BaseException:
            self.end()
            raise

    def answer(self, number: int, call: Call[Answer], payload: bytes) -> Answer:
        """What came back. Raises the error that came instead, or TokenProcessLost for what is
        not an answer to this call.
        """
        try:
            return result(number, call, payload)
        except frames.Garbled:
            raise self.lost(call) from None

    def lost(self, call: Call[Any]) -> TokenProcessLost:
        """The error of a call whose process has gone by itself."""
        try:
            status = self._process.wait(_USUAL_END_SECONDS)
        except subprocess.TimeoutExpired:
            return TokenProcessLost(call.operation, "it closed its end")
        finally:
            self.end()
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return TokenProcessLost(call.operation, how)


def request(number: int, call: Call[Any]) -> bytes:
    return frames.pack({"id": number, "call": call.name, "operation": call.operation, "arguments": call.arguments})


def result(number: int, call: Call[Answer], payload: bytes) -> Answer:
    """What came back. Raises the error that came instead, or frames.Garbled."""
    reply = frames.unpack(payload)
    if reply.get("id") != number:
        raise frames.Garbled
    if "error" in reply:
        raise from_document(reply["error"])
    try:
        return call.read(reply["answer"])
    except (KeyError, TypeError, ValueError) as error:
        raise CallFailed(call.operation, f"an answer that cannot be read ({type(error).__name__})") from None
