"""Where a client is sent: `redirect` of a route. Pure.

Theory of operation. A client chooses the path and the query of its request, and so a part of the
URL that it is sent to. It must not choose the host: a link to a trusted name would lead to another
one. The template has a fixed authority, or that of the request, which the certificate covers. What
comes from the request stands behind it: a path begins with a slash, and a slash ends an authority.
The rest is encoded, so no octet can end the field line, and no `\\` is left that browsers would
take for a slash.
"""

import re
from typing import Final
from urllib.parse import quote_from_bytes

from proxy.http.local_answers import LocalAnswer, LocalRequest

_PLACEHOLDER: Final = re.compile(r"\{(path|query|host)\}")
# RFC 3986 section 3.3 and 3.4. A "%" is kept: the octets behind it were encoded by the client.
_PATH_CHARS: Final = "/:@!$&'()*+,;=~%"
_QUERY_CHARS: Final = _PATH_CHARS + "?"


class Redirect:
    """Answers each request with a Location that is made of its parts."""

    def __init__(self, to: str, status: int) -> None:
        """`to` is a URL as `config.routes.replies` allows it, with {path}, {query} and {host}."""
        self._status: Final = status
        self._parts: Final = _PLACEHOLDER.split(to)
        # behind a "?" of the template, a path is a value, and a query goes on
        before = ""
        self._is_in_query: Final = [False] * len(self._parts)
        for index, part in enumerate(self._parts):
            self._is_in_query[index] = "?" in before
            if index % 2 == 0 or part == "query":
                before += "?" if index % 2 else part

    def answer(self, request: LocalRequest, now: float) -> LocalAnswer:
        del now
        return LocalAnswer(self._status, b"", b"Location: %b\r\n" % self.location(request).encode())

    def location(self, request: LocalRequest) -> str:
        """The URL for one request."""
        path, _, query = request.target.partition(b"?")
        parts = []
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                parts.append(part)
            elif part == "host":
                host = request.host.decode("ascii")
                parts.append(f"[{host}]" if ":" in host else host)
            elif part == "path":
                is_value = self._is_in_query[index]
                parts.append(quote_from_bytes(path, "/" if is_value else _PATH_CHARS))
            elif query:
                parts.append("&" if self._is_in_query[index] else "?")
                parts.append(quote_from_bytes(query, _QUERY_CHARS))
        return "".join(parts)
