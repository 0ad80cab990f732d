"""Alerts that a certificate is in danger, to a program or to a web address.

The log names each alert that could not be sent.
"""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final

from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import AlertFailed
from proxy.observe.events.event import Event, Tell

_SECONDS: Final = 30.0


class Alerts:
    """Sends alerts. A failure is only logged."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        """`tell` logs that an alert could not be sent."""
        self._loop = loop
        self._tell = tell

    async def send(self, event: Event, command: Sequence[str], webhook: str | None) -> None:
        """Send an event as JSON to the standard input of a program, and to an address by POST."""
        body = json.dumps(event.as_json()).encode() + b"\n"
        if command:
            await self._run(command, body)
        if webhook is not None:
            await self._post(webhook, body)

    async def _run(self, command: Sequence[str], body: bytes) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            self._failed(command[0], error.strerror or str(error))
            return
        try:
            async with asyncio.timeout(_SECONDS):
                await process.communicate(body)
        except TimeoutError:
            self._failed(command[0], f"it did not end within {_SECONDS:g} s")
            return
        finally:
            if process.returncode is None:  # the program is too slow, or this process is ending
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            self._failed(command[0], f"it ended with {process.returncode}")

    async def _post(self, address: str, body: bytes) -> None:
        # the configuration takes http:// and https:// only
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310

        def post() -> None:
            with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - as above
                pass

        place = request.host or address
        try:
            async with asyncio.timeout(2 * _SECONDS):
                await in_thread(self._loop, post)
        except urllib.error.HTTPError as error:
            error.close()
            self._failed(place, f"it answered with status {error.code}")
        except (OSError, TimeoutError, ValueError) as error:
            # not the whole address: it may have a secret in its path
            self._failed(place, getattr(error, "strerror", None) or type(error).__name__)

    def _failed(self, to: str, detail: str) -> None:
        self._tell(AlertFailed(to, detail))
