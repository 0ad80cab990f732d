"""What `plexigate maintenance on` asks for, for both sides of the admin socket. Pure."""

from dataclasses import dataclass
from typing import Final

from proxy.routes.error_pages import MOST_BYTES

PAGE_BYTES: Final = MOST_BYTES + 1
"""A page that is one byte too long is still read, so that the answer can say so."""


@dataclass(frozen=True, slots=True)
class MaintenanceWish:
    """How an operator wants a route to be answered, before anything of it is checked."""

    route: str
    retry_after: str
    """Empty for the usual time."""
    allowed: str
    """Networks with commas between them."""
    page: bytes
    """Empty for the page that the route has for a 503."""
    page_is_html: bool
