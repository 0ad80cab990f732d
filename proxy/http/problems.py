"""Bodies of the proxy's own answers: problem+json (RFC 9457), or a small page for those who read HTML. Pure.

They say what happened and what to do, never what the proxy is made of.
"""

import html
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

PROBLEM_JSON: Final = "application/problem+json"
HTML: Final = "text/html; charset=utf-8"

# More of an Accept field is not looked at: a browser's has 150 bytes.
_ACCEPT_BYTES: Final = 1_024

_PAGE_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>"""
_PAGE_STYLE: Final = """</title><style>
body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.25rem}
h1{font-size:1.5rem;margin:0 0 .5rem}dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem}
dt,small{opacity:.7}dd{margin:0}
</style></head><body>
"""
_PAGE_END: Final = "</body></html>\n"


def problem_response(
    status: int, detail: str, accept: bytes | None, request_id: str, members: Mapping[str, str]
) -> tuple[str, bytes]:
    """Write the body for `status`; returns its media type and its bytes.

    `accept` is the request's Accept field, `members` are added to the problem (RFC 9457 section 3.2).
    """
    title = HTTPStatus(status).phrase
    if accept is not None and prefers_html(accept):
        return HTML, _page(status, title, detail, request_id, members).encode()
    problem = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request_id,
        **members,
    }
    return PROBLEM_JSON, json.dumps(problem).encode() + b"\n"


def _page(status: int, title: str, detail: str, request_id: str, members: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in members.items())
    sentence = detail[:1].upper() + detail[1:]
    return (
        f"{_PAGE_HEAD}{status} {title}{_PAGE_STYLE}<h1>{status} {title}</h1>\n<p>{html.escape(sentence)}.</p>\n"
        f"{f'<dl>{rows}</dl>' if rows else ''}<small>Request {html.escape(request_id)}</small>\n{_PAGE_END}"
    )


def prefers_html(accept: bytes) -> bool:
    """Whether an Accept field ranks HTML above JSON (RFC 9110 section 12.5.1); a tie goes to JSON."""
    ranges = _media_ranges(accept[:_ACCEPT_BYTES])
    return _quality(ranges, b"text", b"html") > max(
        _quality(ranges, b"application", b"problem+json"), _quality(ranges, b"application", b"json")
    )


def _media_ranges(accept: bytes) -> dict[bytes, float]:
    ranges: dict[bytes, float] = {}
    for element in accept.lower().split(b","):
        media_range, *parameters = (part.strip(b" \t") for part in element.split(b";"))
        weight = next((value[2:] for value in parameters if value.startswith(b"q=")), b"1")
        ranges[media_range] = _weight(weight)
    return ranges


def _weight(text: bytes) -> float:
    """A qvalue (RFC 9110 section 12.4.2); what is none counts as nothing."""
    digits = text.replace(b".", b"", 1)
    if not digits.isdigit() or len(text) > len("0.000"):
        return 0.0
    return min(float(text), 1.0)


def _quality(ranges: Mapping[bytes, float], kind: bytes, subtype: bytes) -> float:
    """The weight of the most specific range that covers a media type."""
    for media_range in (kind + b"/" + subtype, kind + b"/*", b"*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
