"""Build the error pages of a configuration and of its routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.routes.error_pages import HTML_ENDINGS, page_files
from config.values.problems import Location, shown
from proxy.building.files import read_bounded
from proxy.building.foundation import Foundation
from proxy.routes.error_pages import MOST_BYTES, ErrorPage, ErrorPages, PageUnusable

if TYPE_CHECKING:
    from pathlib import Path

_Table = Mapping[str, Mapping[bool, ErrorPage]]


@dataclass(frozen=True, slots=True)
class PagesOfAll:
    of_all: ErrorPages | None = None
    """For requests that no route takes, and for routes without pages of their own."""
    of_routes: Mapping[str, ErrorPages] = field(default_factory=dict)
    """By the name of the route, where it has pages of its own."""

    def of_route(self, name: str) -> ErrorPages | None:
        return self.of_routes.get(name, self.of_all)


def error_pages(foundation: Foundation) -> PagesOfAll:
    """Read all pages. A file that several tables name is kept once."""
    config = foundation.loaded.config
    reading = _PageFiles(foundation)
    of_all = reading.table(("error_pages",), config.error_pages)
    of_routes = {
        route.entry_name: ErrorPages([reading.table(("route", index, "error_pages"), route.error_pages), of_all])
        for index, route in enumerate(config.route)
        if route.error_pages
    }
    return PagesOfAll(ErrorPages([of_all]) if of_all else None, of_routes)


class _PageFiles:
    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._contents: dict[Path, bytes] = {}
        self._pages: dict[str, ErrorPage] = {}

    def table(self, place: Location, configured: Mapping[str, str | tuple[str, ...]]) -> _Table:
        pages: dict[str, dict[bool, ErrorPage]] = {}
        for location, file in page_files(configured):
            page = self._page((*place, *location), file)
            pages.setdefault(str(location[0]), {})[file.endswith(HTML_ENDINGS)] = page
        return pages

    def _page(self, place: Location, file: str) -> ErrorPage:
        """Read one page. After an error it is a substitute, which is never used."""
        is_html = file.endswith(HTML_ENDINGS)
        if file not in self._pages:
            substitute = ErrorPage(b"0", is_html=is_html)
            content = read_bounded(self._foundation, place, file, MOST_BYTES, self._contents)
            if content is None:
                return substitute
            try:
                self._pages[file] = ErrorPage(content, is_html=is_html)
            except PageUnusable as error:
                allowed = "UTF-8" if is_html else "JSON in UTF-8 that has each placeholder in a string"
                self._foundation.error(place, f"{shown(file)}, {error.found}", allowed)
                return substitute
        return self._pages[file]
