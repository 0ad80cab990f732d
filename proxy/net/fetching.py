"""Fetches a document by http or https, with bounds for its size and the time."""

import http.client
import time
import urllib.error
import urllib.request
from typing import Final

_PART_BYTES: Final = 65_536


class NotFetched(Exception):
    """A document is not there or does not come; `reason` is a clause."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address} cannot be fetched: {self.reason}"


def fetch(address: str, most_bytes: int, seconds: float) -> bytes:
    """The content of a document. Blocks, but for the look-up of the name at most twice `seconds`.

    `address` is one of http or https. Raises `NotFetched`.
    """
    request = urllib.request.Request(address, headers={"User-Agent": "plexigate"})  # noqa: S310 - see above
    end = time.monotonic() + seconds
    content = bytearray()
    try:
        with opener().open(request, timeout=seconds) as answer:
            while part := answer.read1(_PART_BYTES):
                content += part
                if len(content) > most_bytes:
                    raise NotFetched(address, f"it has more than {most_bytes} bytes")
                if time.monotonic() > end:
                    raise NotFetched(address, f"it took longer than {seconds:g} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise NotFetched(address, f"the server answered with status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise NotFetched(address, getattr(reason, "strerror", None) or str(reason)) from None
    return bytes(content)


def opener() -> urllib.request.OpenerDirector:
    """What asks by http and https alone, and follows no redirect.

    Who can change an answer could send us to an address inside of our own network. After a POST,
    urllib would follow with a GET, and lose the message.
    """
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        made.add_handler(handler)
    return made
