"""What an operator asks for, for both sides of the admin socket. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certs.rotation.due import RenewalReason
from proxy.routes.error_pages import MOST_BYTES


@dataclass(frozen=True, slots=True)
class RotationWish:
    """A rotation that an operator asks for.

    The key may be compromised (`is_compromised`). Who `insists` rotates even if the issuer has
    asked to wait. A dry run only tells what a rotation would do.
    """

    is_compromised: bool = False
    insists: bool = False
    is_dry_run: bool = False

    @property
    def reason(self) -> RenewalReason:
        """Why the credential is replaced."""
        return RenewalReason.COMPROMISED if self.is_compromised else RenewalReason.COMMAND

    def query(self) -> dict[str, str]:
        wishes = {"compromised": self.is_compromised, "now": self.insists, "dry_run": self.is_dry_run}
        return {name: "1" for name, is_wished in wishes.items() if is_wished}

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "RotationWish":
        """Read the parameters that `query` has made."""
        return cls(*(query.get(name) == "1" for name in ("compromised", "now", "dry_run")))


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
    for_fleet: bool = False
    """On all nodes, and not on this one alone."""
