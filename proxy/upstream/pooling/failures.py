"""The kinds of failure between the proxy and an upstream; each has a status for the client."""

from enum import Enum


class UpstreamFault(Enum):
    """A kind of failure: the client's status, and the sentence for the log and the problem."""

    UNREACHABLE = (502, "the upstream could not be reached")
    CONNECT_TIMEOUT = (504, "the upstream did not accept a connection in time")
    TLS = (502, "the TLS handshake with the upstream failed")
    BUSY = (503, "all connections to the upstream are in use")
    # no byte of the answer came: an idempotent request may go to another server
    CLOSED = (502, "the upstream closed the connection before it answered")
    # its answer to this request (RFC 9113 5.4.2), unlike the loss of a connection
    RESET = (502, "the upstream reset the request")
    CUT = (502, "the upstream closed the connection in the middle of its response")
    FIRST_BYTE_TIMEOUT = (504, "the upstream did not answer in time")
    RESPONSE_STALLED = (504, "the upstream stopped in the middle of its response")
    MALFORMED = (502, "the upstream's response breaks the rules of HTTP")
    INFORMATIONAL_FLOOD = (502, "the upstream sent too many informational responses")
    ALL_DOWN = (503, "no server of the upstream takes requests now")
    NOT_HTTP2 = (502, "the upstream does not speak HTTP/2")
    REFUSED = (503, "the upstream refused the request")
    NO_WEBSOCKETS = (501, "the upstream takes no WebSockets over HTTP/2")
    NO_ROOM = (503, "the proxy has no resources left to reach the upstream")

    @property
    def status(self) -> int:
        """HTTP status for the client."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What happened, without details of the upstream."""
        return self.value[1]


class UpstreamFailure(Exception):
    """An upstream did not answer a request: `fault` is the kind, `detail` is for the log only."""

    def __init__(self, fault: UpstreamFault, detail: str = "") -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.fault.sentence}: {self.detail}" if self.detail else self.fault.sentence
