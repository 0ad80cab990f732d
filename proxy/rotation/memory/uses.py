"""How often the key of each credential has signed since its version serves. Pure.

Workers count signatures by identity. If an identity has several credentials, each signature counts
for all of them. So a key may be rotated too early, which does no harm.
"""

from collections.abc import Mapping
from typing import Any

from certs.rotation.planning import Key


class Uses:
    """The counts of versions. They live on when a new process begins at zero."""

    def __init__(self) -> None:
        self._counted: dict[Key, tuple[int, int]] = {}
        """The version that serves, and its uses."""
        self._totals: dict[str, int] = {}

    def of(self, key: Key, version: int) -> int:
        known = self._counted.get(key)
        return known[1] if known is not None and known[0] == version else 0

    def counted(self, totals: Mapping[str, int], versions: Mapping[Key, int]) -> None:
        """Take the signatures by identity since the start; `versions` are those that serve."""
        for key, version in versions.items():
            more = totals.get(key[0], 0) - self._totals.get(key[0], 0)
            self._counted[key] = (version, self.of(key, version) + max(0, more))
        self._totals = dict(totals)

    def as_json(self) -> list[list[Any]]:
        return [[*key, version, uses] for key, (version, uses) in sorted(self._counted.items())]

    def take_up(self, document: Any) -> None:
        """Go on from the counts of an earlier process, as `as_json` returned them.

        Raises `ValueError` for anything else.
        """
        try:
            for identity, slot, version, uses in document:
                self._counted[str(identity), str(slot)] = (int(version), int(uses))
        except TypeError as error:
            raise ValueError("no record of uses that this program wrote") from error
