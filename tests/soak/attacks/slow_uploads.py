"""Uploads from one address at a byte a second: each would hold a connection to a server for as long as it lasts.

`python -m tests.soak.attacks.slow_uploads PORT COUNT KIND` holds so many, and starts again what is refused.
"""

import enum
import sys
import time

from tests.soak.attacks.attack import HELD, Allowed, Attack, bounded, held
from tests.soak.attacks.crowd import ADDRESS, Crowd

NAME = "tests.soak.attacks.slow_uploads"
COUNT = 600
_REOPENED_PER_SECOND = 100
_DRIP_SECONDS = 1.0


class Kind(enum.Enum):
    """How the body is framed, and the piece of it that comes each second."""

    LENGTH = ("length", b"Content-Length: 10000", b"x")
    CHUNKED = ("chunked", b"Transfer-Encoding: chunked", b"1\r\nx\r\n")

    @property
    def request(self) -> bytes:
        """The head."""
        return b"POST /upload HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % self.value[1]

    @property
    def piece(self) -> bytes:
        """What drips."""
        return self.value[2]


ATTACKS = tuple(
    Attack(
        f"slow uploads, {kind.value[0]}",
        f"{COUNT} uploads at a byte a second",
        held(NAME, str(COUNT), kind.name),
        Allowed(p99_times=3.0),
        # behind the attacker's address there are honest clients, too
        neighbours=(ADDRESS,),
    )
    for kind in Kind
)


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, name = bounded(sys.argv[1:])
    kind = Kind[name]
    crowd = Crowd(int(port), int(count), kind.request, waits_for_answer=True)
    crowd.fill(int(count))
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    while True:
        time.sleep(_DRIP_SECONDS)
        crowd.look()
        crowd.say(kind.piece)
        crowd.fill(_REOPENED_PER_SECOND)


if __name__ == "__main__":
    main()
