"""Requests to one CA: verified HTTPS, signed, limited in bytes and time, with a store of nonces.

A rejected nonce is not a failure (RFC 8555 section 6.5.1): the answer brings a new one, and the
request is signed again. The environment has no influence: no proxy, no .netrc, no other list of
authorities.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

import requests

from certs.acme.client.deadline import Overdue, within
from certs.acme.problems import AcmeProblem, printable, problem_of, retry_after_seconds

# A chain has some kilobytes, a directory less: this keeps a server that was named by mistake out of
# memory.
_LARGEST_ANSWER: Final = 1_048_576  # bytes
_PIECE_BYTES: Final = 16_384
# pebble rejects 30 in 100 when it is told to: eleven in a row are two in a million then, and at a
# real CA mean that something is wrong.
_MOST_REJECTED_NONCES: Final = 10
_JOSE: Final = "application/jose+json"  # RFC 8555 section 6.2
_NONCE: Final = "Replay-Nonce"
_A_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{1,1024}")  # RFC 8555 section 6.5.1: clients MUST ignore others


class CaUnreachable(Exception):
    """`host` gave no usable answer; `reason` says what happened."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host = host
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.host} gave no answer that can be used: {self.reason}"


class RequestSigner(Protocol):
    """Signs what is sent; see `account_key.AccountKey.signed`."""

    def __call__(self, payload: bytes, url: str, nonce: str) -> bytes:
        """The body of a request to `url`."""


@dataclass(frozen=True, slots=True)
class AcmeResponse:
    """A success. `retry_after`: seconds, None where the CA said nothing."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    retry_after: float | None

    @property
    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object. Raises `CaUnreachable`."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise CaUnreachable(_host(self.url), "no JSON where an object belongs")
        return document

    @property
    def location(self) -> str:
        """The URL of what was made. Raises `CaUnreachable`."""
        found = self.headers.get("Location")
        if found is None:
            raise CaUnreachable(_host(self.url), "no Location of what was made")
        return urljoin(self.url, found)


@dataclass(frozen=True, slots=True)
class WireSettings:
    """`trust`: the PEM file of authorities for the CA's own TLS, None for those of the system.

    `call_seconds`: for each request.
    """

    trust: Path | None
    call_seconds: float


class Wire:
    """One conversation.

    After a call that was overdue it is not to be used again: its thread may still be at it.
    """

    def __init__(self, settings: WireSettings, now: Callable[[], datetime]) -> None:
        """Send nothing yet. `now` is UTC, for dates in Retry-After."""
        self._settings = settings
        self._now = now
        self._nonces: list[str] = []
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["User-Agent"] = f"plexigate/{version('plexigate')}"  # RFC 8555 section 6.1 asks for one
        if settings.trust is not None:
            self._http.verify = str(settings.trust)

    def close(self) -> None:
        self._http.close()

    def get(self, url: str) -> AcmeResponse:
        """Fetch what anybody may see. Raises `AcmeProblem` or `CaUnreachable`."""
        return self._succeeded(self._send("GET", url, None))

    def post(self, url: str, payload: bytes, signer: RequestSigner, nonces: str) -> AcmeResponse:
        """Send something signed; b"" is a POST-as-GET (RFC 8555 section 6.3).

        `nonces` is where fresh ones are given out.

        Raises `AcmeProblem` or `CaUnreachable`.
        """
        rejected = 0
        while True:
            nonce = self._nonces.pop() if self._nonces else self._fresh_nonce(nonces)
            try:
                return self._succeeded(self._send("POST", url, signer(payload, url, nonce)))
            except AcmeProblem as problem:
                if problem.type != "badNonce" or rejected == _MOST_REJECTED_NONCES:
                    raise
                rejected += 1

    def _fresh_nonce(self, url: str) -> str:
        self._succeeded(self._send("HEAD", url, None))
        if not self._nonces:
            raise CaUnreachable(_host(url), "no nonce where they are given out")
        return self._nonces.pop()

    def _succeeded(self, found: "_Response") -> AcmeResponse:
        retry_after = retry_after_seconds(found.headers.get("Retry-After"), self._now())
        if found.status >= HTTPStatus.BAD_REQUEST:
            try:
                document = json.loads(found.body)
            except (ValueError, RecursionError):
                document = None
            raise problem_of(found.status, document, retry_after)
        return AcmeResponse(found.url, found.body, found.headers, retry_after)

    # -- one request

    def _send(self, method: str, url: str, body: bytes | None) -> "_Response":
        if urlsplit(url).scheme != "https":  # RFC 8555 section 6.1; a URL of the CA's own documents may be anything
            raise CaUnreachable(_host(url), "an address that is not https")
        try:
            response = within(self._settings.call_seconds, lambda: self._exchange(method, url, body))
        except Overdue as error:
            raise CaUnreachable(_host(url), str(error)) from None
        except requests.RequestException as error:
            raise CaUnreachable(_host(url), _reason(error)) from None
        nonce = response.headers.get(_NONCE)
        if nonce is not None and _A_NONCE.fullmatch(nonce):  # of a rejection too: it is the one to try again with
            self._nonces.append(nonce)
        return response

    def _exchange(self, method: str, url: str, body: bytes | None) -> "_Response":
        with self._http.request(
            method,
            url,
            data=body,
            headers={} if body is None else {"Content-Type": _JOSE},
            timeout=self._settings.call_seconds,
            allow_redirects=method == "GET",  # what is signed is for one URL (RFC 8555 section 6.4)
            stream=True,
        ) as response:
            content = bytearray()
            for piece in response.iter_content(_PIECE_BYTES):
                content += piece
                if len(content) > _LARGEST_ANSWER:
                    raise CaUnreachable(_host(url), f"more than {_LARGEST_ANSWER:_} bytes")
            if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
                raise CaUnreachable(_host(url), f"a redirection (status {response.status_code})")
            return _Response(response.url, response.status_code, response.headers, bytes(content))


@dataclass(frozen=True, slots=True)
class _Response:
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def _host(url: str) -> str:
    return printable(urlsplit(url).netloc.rpartition("@")[2]) or "an address without a host"


def _reason(error: requests.RequestException) -> str:
    """Why a request failed, without what requests puts around it."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return printable(str(cause)) or type(cause).__name__
