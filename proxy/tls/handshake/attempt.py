"""One attempt at a server's flight: a new SSL object, led with recorded bytes to its signature.

Theory of operation. An attempt runs in a signing thread and shares nothing. The SSL object is its
own, the pair of BIOs is its thread's, and no other thread touches them before it is over (OpenSSL
has no lock in either). So one client can have any number of attempts, one after the other or at the
same time, each with the same client bytes. The first flight that is ready is sent. After a
HelloRetryRequest an attempt begins with the first ClientHello: its answer to that must be, byte for
byte, what was sent.
"""

import ssl
import threading
from collections.abc import Callable
from typing import Final

from proxy.tls.handshake.server_step import server_step
from proxy.tls.openssl.driver import TlsDriver, new_driver
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.wire.alerts import AlertDescription, alert_in

# No dataclasses: mypyc leaves their `__init__` to the interpreter, and a signature needs both.


class Transcript:
    """The first hello of a client, the HelloRetryRequest that it got, and its second hello."""

    def __init__(self, first: bytes, retry: bytes = b"", second: bytes = b"") -> None:
        """The last two are empty without a HelloRetryRequest."""
        self.first: Final = first
        self.retry: Final = retry
        self.second: Final = second

    def answered(self, second: bytes) -> "Transcript":
        """With the client's answer to the HelloRetryRequest."""
        return Transcript(self.first, self.retry, second)


class Flight:
    """The result of a step: bytes for the client, and the object of the further handshake."""

    def __init__(self, tls: TlsObject, data: bytes, seconds: float) -> None:
        """`seconds` is what the step took that brought it: key exchange and signature."""
        self.tls: Final = tls
        self.data: Final = data
        self.seconds: Final = seconds


class AttemptFailed(Exception):
    """OpenSSL gave up; `error` says why, `output` is what it had for the client."""

    def __init__(self, error: ssl.SSLError, output: bytes) -> None:
        super().__init__(error, output)
        self.error = error
        self.output = output

    @property
    def alert(self) -> AlertDescription | None:
        """The alert that is the whole output: OpenSSL gave up before it answered the hello."""
        return alert_in(self.output)

    @property
    def is_refusal(self) -> bool:
        """Whether the hello itself was refused.

        What a token cannot do is found only after the ServerHello was written.
        """
        return self.alert not in (None, AlertDescription.INTERNAL_ERROR)


class RetryDiffers(Exception):
    """The HelloRetryRequest is not the one that was sent: the contexts of an identity differ."""


# Not a subclass with a field: a native class would lay its fields over those of `threading.local`.
_own: Final = threading.local()
"""The pair of BIOs of each thread."""


def attempt_in_thread(
    context: Callable[[], ssl.SSLContext], transcript: Transcript, driver: TlsDriver | None = None
) -> Flight:
    """The same as `attempt` on this thread's own pair of BIOs, or with a `driver` for any thread.

    The object in the flight needs another one (`TlsDriver.adopt`).
    """
    if driver is None:
        driver = getattr(_own, "driver", None)
    if driver is None:
        driver = _own.driver = new_driver()
    flight = attempt(context, transcript, driver)
    driver.release(flight.tls)  # here: no other thread may touch this driver, not even by freeing the object
    return flight


def attempt(context: Callable[[], ssl.SSLContext], transcript: Transcript, driver: TlsDriver) -> Flight:
    """Lead a new object with an empty pair of BIOs through a transcript.

    Raises `AttemptFailed`, `RetryDiffers`, and what `context` raises.
    """
    tls = driver.server_side(context())
    flight = step(tls, driver, transcript.first)
    if transcript.retry:
        if flight.data != transcript.retry:
            raise RetryDiffers
        flight = step(tls, driver, transcript.second)
    return flight


def step(tls: TlsObject, driver: TlsDriver, data: bytes) -> Flight:
    """Give bytes of the client to an object that wants more of them afterwards.

    The bytes are whole hellos: an attempt has failed if OpenSSL does not answer them. Raises
    `AttemptFailed`; the BIOs are then empty.
    """
    made = server_step(tls, driver, data)
    if made.error is not None:
        raise AttemptFailed(made.error, made.output)
    if not made.output:
        raise AttemptFailed(ssl.SSLError(ssl.SSL_ERROR_WANT_READ, "OpenSSL does not answer the hello"), b"")
    return Flight(tls, made.output, made.seconds)


def judge_hello(context: ssl.SSLContext, transcript: Transcript, driver: TlsDriver) -> AttemptFailed | None:
    """What OpenSSL has against the client's bytes, without a token; None if they are good."""
    try:
        attempt(lambda: context, transcript, driver)
    except AttemptFailed as failure:
        return failure
    except RetryDiffers:
        pass  # of our contexts, which is not the client's fault
    return None
