"""The bodies of our own error answers: problem+json (RFC 9457), or HTML for clients that prefer it.

They do not tell which software or version made them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from json.encoder import encode_basestring_ascii as quoted
from typing import Final, NamedTuple

from proxy.http.grammar import WHITESPACE

# RFC 9110 section 15, RFC 6585, RFC 5842: the reason phrase of each status that this proxy itself
# sends.
TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    508: "Loop Detected",
}

_PROBLEM_JSON: Final = "application/problem+json"
_HTML: Final = "text/html; charset=utf-8"

# A browser sends 100 to 200 octets of Accept. We ignore the rest of a longer value: it would cost
# work in a flood of errors.
_ACCEPT_BYTES: Final = 1024
# RFC 9110 12.4.2: a weight has at most three decimals.
_WEIGHT: Final = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
# RFC 9110 12.5.1: the ranges that cover either answer, the most specific first. A client that takes
# any JSON takes ours.
_HTML_RANGES: Final = ((b"text/html",), (b"text/*",), (b"*/*",))
_JSON_RANGES: Final = ((b"application/problem+json", b"application/json"), (b"application/*",), (b"*/*",))

_OWN_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "instance"})

_PAGE_START: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>"""
_PAGE_STYLE: Final = """</title>
<style>
body { margin: 20vh auto 2rem; max-width: 36rem; padding: 0 1.5rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
dt { font-weight: bold; text-transform: capitalize }
dd { margin: 0 0 .5rem }
small { opacity: .7 }
</style>
</head>
<body>
<h1>"""
_PAGE_END: Final = "</body>\n</html>\n"


class ProblemBody(NamedTuple):
    """The parts of an error answer."""

    content_type: str
    body: bytes


def problem_response(
    status: int, detail: str, accept: bytes | None, request_id: str, members: Mapping[str, object]
) -> ProblemBody:
    """Write the body of an error answer.

    `status` is one of `TITLES`. `detail` is a sentence for the person who made the request, without
    capital and full stop. `accept` is the value of the request's Accept field, None if it has none.
    `members` are added to the problem (RFC 9457 3.2); `type` and `title` among them replace
    `about:blank` and the phrase of the status.
    """
    is_html = accept is not None and prefers_html(accept)
    if not (is_html or members):
        # `json` makes an encoder for each document
        what = f'"type": "about:blank", "title": "{TITLES[status]}", "status": {status}'
        text = f'{{{what}, "detail": {quoted(detail)}, "instance": {quoted(request_id)}}}\n'
        return ProblemBody(_PROBLEM_JSON, text.encode())
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "instance": request_id,
        **members,
    }
    if is_html:
        return ProblemBody(_HTML, _page(problem).encode(errors="replace"))
    return ProblemBody(_PROBLEM_JSON, json.dumps(problem).encode() + b"\n")


def pq_required(group: str, required: Sequence[str]) -> dict[str, object]:
    """Return the members of a problem that refuses a classical key exchange.

    They name the negotiated group, and the accepted ones.
    """
    return {
        "type": "urn:plexigate:problem:pq-required",
        "title": "Post-Quantum Key Exchange Required",
        "group": group,
        "required": list(required),
        "remedy": "connect with a client that offers one of the required groups: a current Chrome, Edge, Firefox or Safari,"
        " or a program that uses a current OpenSSL",
    }


def prefers_html(accept: bytes) -> bool:
    """Say whether a client prefers HTML to JSON (RFC 9110 12.5.1).

    Of two formats with the same weight it prefers the one that it names more closely. If it accepts
    neither, it gets JSON.
    """
    weights = _weights(accept)
    html = _preference(weights, _HTML_RANGES)
    return html[0] > 0 and html > _preference(weights, _JSON_RANGES)


def _weights(accept: bytes) -> dict[bytes, float]:
    """Return the weight of each media range: the higher one if a range stands twice."""
    elements = accept[:_ACCEPT_BYTES].split(b",")
    if len(accept) > _ACCEPT_BYTES:
        del elements[-1]
    weights: dict[bytes, float] = {}
    for element in elements:
        media_range, *parameters = (part.strip(WHITESPACE).lower() for part in element.split(b";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith(b"q="):
                value = parameter[2:]
                weight = float(value) if _WEIGHT.fullmatch(value) else 0.0
        weights[media_range] = max(weight, weights.get(media_range, 0.0))
    return weights


def _preference(weights: dict[bytes, float], ranges: Sequence[Sequence[bytes]]) -> tuple[float, int]:
    """Return the weight by the most specific range that covers a format, and how specific it is."""
    for vagueness, alternatives in enumerate(ranges):
        given = [weights[media_range] for media_range in alternatives if media_range in weights]
        if given:
            return max(given), -vagueness
    return 0.0, -len(ranges)


def _page(problem: Mapping[str, object]) -> str:
    title = escape(f"{problem['status']} {problem['title']}")
    detail = str(problem["detail"])
    more = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_text(value))}</dd>\n"
        for name, value in problem.items()
        if name not in _OWN_MEMBERS
    )
    return (
        f"{_PAGE_START}{title}{_PAGE_STYLE}{title}</h1>\n<p>{escape(detail[:1].upper() + detail[1:])}.</p>\n"
        + (f"<dl>\n{more}</dl>\n" if more else "")
        + f"<p><small>Request {escape(str(problem['instance']))}</small></p>\n{_PAGE_END}"
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
