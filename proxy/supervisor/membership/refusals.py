"""Why a node of a fleet has no part in its store for now. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.observe.alert import span
from proxy.supervisor.membership.places import FOUNDED
from proxy.supervisor.membership.shared import SharedAway, Stored
from proxy.supervisor.membership.values import ValueUnusable

MOST_BYTES: Final = 64 * 1_048_576
"""A fleet of a hundred nodes with a thousand certificates has a tenth of it."""
_MOST_SKEW_SECONDS: Final = 60.0


class StoreTooLarge(SharedAway):
    """More than a node takes into its memory."""

    def __init__(self) -> None:
        super().__init__(f"the store has more than {MOST_BYTES >> 20} MB below fleet.prefix")


class ClockDiffers(SharedAway):
    """This node would change over at other times than others."""

    def __init__(self, skew: float) -> None:
        ahead = "ahead of" if skew > 0 else "behind"
        super().__init__(f"the clock of this node is {span(abs(skew))} {ahead} that of the store: check NTP on both")


class StoreRestored(SharedAway):
    """The store has lost changes."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the store is at revision {found}, and was at {known}: it has lost changes; "
            "if it was restored from a backup, run plexigate fleet accept-restore"
        )


class OtherFleet(ValueUnusable):
    """Two fleets have the same place in the store. Neither writes over what the other one has."""

    def __init__(self) -> None:
        super().__init__(FOUNDED, "is of another fleet than this node: give each fleet a fleet.prefix of its own")


class ValuesRefused(ValueUnusable):
    """Values that this node does not take, while it takes all others; the text is of the first."""

    def __init__(self, refused: Sequence[ValueUnusable]) -> None:
        super().__init__(refused[0].name, refused[0].found)
        self.names = frozenset(one.name for one in refused)


def require_size(entries: Mapping[str, Stored]) -> None:
    """Raises `StoreTooLarge` for values of more than `MOST_BYTES`."""
    if sum(len(one.value) for one in entries.values()) > MOST_BYTES:
        raise StoreTooLarge


def require_skew(skew: float) -> None:
    """Raises `ClockDiffers` for more than a minute; `skew` is in seconds."""
    if abs(skew) > _MOST_SKEW_SECONDS:
        raise ClockDiffers(skew)


def require_fleet(known: Mapping[str, bytes], entries: Mapping[str, Stored]) -> None:
    """Compare the first of the records that a node knows. Raises `OtherFleet`."""
    found = entries.get(FOUNDED)
    if FOUNDED in known and found is not None and found.value != known[FOUNDED]:
        raise OtherFleet


def first_of(errors: ExceptionGroup[Exception]) -> Exception:
    """The first one of a group, which may have groups itself."""
    error: Exception = errors
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
