"""Large answers that one address asks for and does not read: each would hold a connection to a server until it is given up.

`python -m tests.soak.attacks.unread_answers PORT COUNT BYTES` holds so many, and asks again for what is cut.
"""

import sys
import time

from tests.soak.attacks.attack import HELD, Allowed, Attack, bounded, held
from tests.soak.attacks.crowd import ADDRESS, Crowd

NAME = "tests.soak.attacks.unread_answers"
COUNT = 600
_BUFFER_BYTES = 262_144
_REOPENED_PER_SECOND = 100
_TURN_SECONDS = 0.5
_SIZES = {"200 KB": 200_000, "8 MB": 8_000_000}
"""One that fits into the buffer of the proxy, and one that does not."""

ATTACKS = tuple(
    Attack(
        f"unread answers, {shown}",
        f"{COUNT} answers of {shown} that nobody reads",
        held(NAME, str(COUNT), str(size)),
        # what does not fit is spooled: the server sends half a gigabyte for each worker, in the first seconds, and a disk that
        # is busy takes that long
        Allowed(p99_times=3.0) if size < _BUFFER_BYTES else Allowed(p99_seconds=2.0),
        # what does not fit holds all of the share of its address, and those behind it wait for each other
        neighbours=(ADDRESS,) if size < _BUFFER_BYTES else (),
        # which takes all of it from the servers, and is busy with gigabytes of files
        has_yardstick=size < _BUFFER_BYTES,
    )
    for shown, size in _SIZES.items()
)


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, size = bounded(sys.argv[1:])
    request = b"GET /large/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % int(size)
    crowd = Crowd(int(port), int(count), request, waits_for_answer=False)
    crowd.fill(int(count))
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    while True:
        time.sleep(_TURN_SECONDS)
        crowd.look()
        crowd.fill(int(_REOPENED_PER_SECOND * _TURN_SECONDS))


if __name__ == "__main__":
    main()
