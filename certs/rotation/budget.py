"""How often lost keys are replaced with certificates of a public CA. Pure.

A token that loses its keys repeatedly would use up what a public CA issues for the same names:
Let's Encrypt five in seven days. Then the CA would refuse an operator too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

MOST_ORDERS: Final = 4
"""In a week, for any reason: one is left for an operator."""
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0
_WEEK: Final = 7 * _DAY
_AHEAD: Final = 300.0
"""What is dated later than this was dated while the clock was ahead: it counts no more."""
# After none, one, two, three lost keys of a credential in a week. The first loss is an accident.
_PAUSES: Final = (0.0, 1 * _HOUR, 12 * _HOUR, 2 * _DAY)


def budget_seconds(orders: Sequence[datetime], losses: Sequence[datetime], now: datetime) -> float:
    """How long a lost key still waits for its replacement.

    `orders`: when the CA has issued certificates for the same names, also for replicas. `losses`:
    when keys of this credential were replaced that were lost.
    """
    ordered, lost = (
        sorted(max(0.0, age) for one in several if -_AHEAD <= (age := (now - one).total_seconds()) < _WEEK)
        for several in (orders, losses)
    )
    pause = _PAUSES[min(len(lost), len(_PAUSES) - 1)] - min(lost, default=0.0)
    until_one_is_left = _WEEK - ordered[MOST_ORDERS - 1] if len(ordered) >= MOST_ORDERS else 0.0
    return max(0.0, pause, until_one_is_left)
