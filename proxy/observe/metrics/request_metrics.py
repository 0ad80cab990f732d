"""The metrics of requests and WebSockets. Pure."""

from typing import Final

from proxy.figures.histogram import REQUEST_SECONDS
from proxy.observe.metrics.metric import counter, gauge, histogram

REQUESTS: Final = (
    counter(
        "requests",
        "Requests, by status. 499: the client gave up. malformed: 501 and 505 for requests that no server could answer.",
        "requests",
        "route",
        "status",
    ),
    histogram(
        "request_first_byte_seconds",
        "Time from the head of a request to the first byte of its response.",
        REQUEST_SECONDS,
        "route",
        family="first_byte_seconds",
    ),
    histogram(
        "server_first_byte_seconds",
        "The same by the server that answered, WebSockets included.",
        REQUEST_SECONDS,
        "server",
        family="server_seconds",
    ),
    histogram(
        "request_seconds",
        "Time from the head of a request to the end of its response, WebSockets excluded.",
        REQUEST_SECONDS,
        "route",
        family="request_seconds",
    ),
    histogram(
        "protocol_request_seconds",
        "The same by version of HTTP: h2, http/1.1.",
        REQUEST_SECONDS,
        "protocol",
        family="protocol_seconds",
    ),
    counter("request_bytes", "Bytes of request bodies.", "bytes", "route", value="request"),
    counter("response_bytes", "Bytes of response bodies.", "bytes", "route", value="response"),
    counter("websockets", "Established WebSockets.", "websockets", "route"),
    gauge("websockets_open", "Open WebSockets.", "websockets", "route", value="open"),
    counter(
        "websocket_closes",
        "WebSockets that ended, by the class of the close code and the side that closed.",
        "websocket_closes",
        "route",
        "class",
        "by",
    ),
    counter("websocket_messages", "WebSocket messages.", "websocket_traffic", "route", "direction", value="messages"),
    counter(
        "websocket_bytes",
        "Bytes of WebSockets, frames included.",
        "websocket_traffic",
        "route",
        "direction",
        value="bytes",
    ),
)
