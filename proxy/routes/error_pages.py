"""Pages in the operator's words for errors that the proxy answers itself. Pure.

A page is split at its placeholders once. What is put in is escaped for the format, so a value can
neither end its string nor become markup.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from proxy.http.problems import TITLES

MOST_BYTES: Final = 262_144
"""Each error carries the page, also in a flood of errors, and each worker keeps it in memory."""

_PLACEHOLDER: Final = re.compile(r"\{(status|title|detail|request_id)\}")
# Beyond what `html.escape` does: for attributes without quotes, and for scripts.
_FURTHER: Final = str.maketrans({"`": "&#96;", "=": "&#61;", "\\": "&#92;"})
# Values that show whether a placeholder stands where JSON allows it.
_SAMPLE: Final = ("502", "Bad Gateway", 'a "sample"\\', "0-1")


class PageUnusable(Exception):
    """The content of a page cannot be used. `found` says why."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class ErrorPage:
    """One page, which may have the placeholders {status}, {title}, {detail} and {request_id}."""

    def __init__(self, content: bytes, *, is_html: bool) -> None:
        """`content` is UTF-8. Raises `PageUnusable`."""
        self.content_type: Final = "text/html; charset=utf-8" if is_html else "application/json"
        self._is_html: Final = is_html
        try:
            self._parts: Final = _PLACEHOLDER.split(content.decode())
        except UnicodeDecodeError:
            raise PageUnusable("which is not UTF-8") from None
        if not is_html:
            try:
                json.loads(self._filled(*_SAMPLE))
            except (ValueError, RecursionError) as error:
                raise PageUnusable(f"which is not JSON once its placeholders are filled: {error}") from None

    def body(self, status: int, detail: str, request_id: str) -> bytes:
        """The page for one error; `status` is one of `TITLES`."""
        return self._filled(str(status), TITLES[status], detail, request_id)

    def _filled(self, status: str, title: str, detail: str, request_id: str) -> bytes:
        values = {"status": status, "title": title, "detail": detail, "request_id": request_id}
        pieces = [part if index % 2 == 0 else self._escaped(values[part]) for index, part in enumerate(self._parts)]
        return "".join(pieces).encode(errors="replace")

    def _escaped(self, value: str) -> str:
        return escape(value).translate(_FURTHER) if self._is_html else json.dumps(value)[1:-1]


class ErrorPages:
    """The pages of a route, or of the whole configuration."""

    def __init__(self, tables: Sequence[Mapping[str, Mapping[bool, ErrorPage]]]) -> None:
        """Each table maps "502" or "5xx" to a page for people (True), one for programs, or both.

        An earlier table goes before a later one, and in a table the status before its class.
        """
        self._tables: Final = tables

    def find(self, status: int, *, is_html: bool) -> ErrorPage | None:
        """The page for a status in a format; None if there is none."""
        for table in self._tables:
            for key in (str(status), f"{status // 100}xx"):
                page = table.get(key, {}).get(is_html)
                if page is not None:
                    return page
        return None
