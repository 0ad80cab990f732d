"""The options of `plexigate certs rotate`, for both sides of the admin socket. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from certs.rotation.due import RenewalReason


@dataclass(frozen=True, slots=True)
class RotationWish:
    """A rotation that an operator asks for.

    The key may be compromised (`is_compromised`). A person who `insists` rotates even if the issuer
    has asked to wait. A dry run only tells what a rotation would do.
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
