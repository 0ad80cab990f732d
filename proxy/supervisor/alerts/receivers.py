"""The receivers of alerts: a command, and a webhook.

A receiver gets one message at a time and has a limited time for it. Its answer is not read, only
whether it took the message.
"""

import asyncio
import contextlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final, Protocol

from certs.files.memory_file import sealed_memory_file
from config.values.webhook import Webhook
from proxy.net.fetching import Deadline, opener
from proxy.net.in_thread import in_thread

_SECONDS: Final = 30.0


class NotDelivered(Exception):
    """A receiver did not take a message. The text says why, without the address."""


class Receiver(Protocol):
    @property
    def name(self) -> str:
        """As the log calls it, without what may be secret."""

    @property
    def kind(self) -> str:
        """`command` or `webhook`."""

    async def take(self, body: bytes) -> None:
        """Take a message. Raises `NotDelivered`."""


class ProgramReceiver:
    """A program that gets the message on its standard input, and exits with 0."""

    kind: Final = "command"

    def __init__(self, command: Sequence[str], seconds: float = _SECONDS) -> None:
        """`command` is run without a shell. It is killed after `seconds`."""
        self._command = command
        self._seconds = seconds

    @property
    def name(self) -> str:
        """The program without its arguments, which may be secret."""
        return self._command[0]

    async def take(self, body: bytes) -> None:
        """Run the program. Raises `NotDelivered`."""
        # Not a pipe: a program that ends without reading it breaks it, at any moment.
        try:
            message = sealed_memory_file("alert", body)
            try:
                os.lseek(message, 0, os.SEEK_SET)
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=message,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
            finally:
                os.close(message)
        except (OSError, ValueError) as error:  # also without a descriptor: an alert may be about that
            raise NotDelivered(getattr(error, "strerror", None) or str(error)) from None
        try:
            async with asyncio.timeout(self._seconds):
                await process.wait()
        except TimeoutError:
            raise NotDelivered(f"it did not end within {self._seconds:g} s") from None
        finally:
            if process.returncode is None:  # the program is too slow, or this process is ending
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise NotDelivered(f"it ended with {process.returncode}")


class WebhookReceiver:
    """An address that gets the message by POST, and answers with 2xx."""

    kind: Final = "webhook"

    def __init__(self, loop: asyncio.AbstractEventLoop, webhook: Webhook, seconds: float = _SECONDS) -> None:
        """An answer has to come within `seconds`."""
        self._loop = loop
        self._webhook = webhook
        self._seconds = seconds

    @property
    def name(self) -> str:
        """The host: the path may be secret."""
        return self._webhook.host

    async def take(self, body: bytes) -> None:
        """Send the message. Raises `NotDelivered`."""
        # the configuration takes http:// and https:// only
        address = self._webhook.address
        headers = {"Content-Type": "application/json", "User-Agent": "plexigate"}
        request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310

        def post() -> None:
            with Deadline(self._seconds) as deadline, opener(deadline).open(request, timeout=self._seconds):
                pass

        try:
            # the time of the socket does not bound the look-up of a name
            async with asyncio.timeout(2 * self._seconds):
                await in_thread(self._loop, post)
        except urllib.error.HTTPError as error:
            error.close()
            raise NotDelivered(f"it answered with status {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            # not the text of the error, which may have the address
            reason = getattr(error, "reason", error)
            raise NotDelivered(getattr(reason, "strerror", None) or type(reason).__name__) from None
