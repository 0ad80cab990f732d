"""What an attack is, and how one is added.

An attack is a file of its own beside this one. It says in `ATTACKS` what there is to try, and is the program of the attacker as
well, as what attacks must not take the processor's time from those who measure:

    NAME = "tests.soak.attacks.slow_uploads"
    ATTACKS = (Attack("slow uploads", "600 uploads at a byte a second", held(NAME, "600"), Allowed(p99_times=3.0)),)

    def main() -> None:
        port, count = bounded(sys.argv[1:])   # ends by itself after `MOST_SECONDS`, whatever becomes of its starter
        ...                                   # begin
        print(HELD, flush=True)               # honest clients are let loose from here on
        ...                                   # continue until SIGTERM

Then it gets its line in `table.ATTACKS`, and a test of its own (as `tests/integration/test_attack_silent.py`) with `arena.tried`.
`./dev soak attacks` tries each on Plexigate with its default limits and two workers, and on nginx with the same certificate in front
of the same backend; nginx is not judged. What needs another configuration says so in `settings`; what is not about a listener
(`metrics_bind`) takes another port in `Target`, and has nothing to compare with (`has_yardstick`). Loopback only: attackers come from
`addresses`, honest clients from others, and from `neighbours` where those of the attackers are shared.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.programs import program
from tests.soak.attacks.honest import Verdict

HELD = "attack: held"
MOST_SECONDS = 600
"""No attacker lives longer."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked."""

    name: str
    pid: int
    port: int
    ca: Path
    """Who vouches for it."""
    others: dict[str, int] = field(default_factory=dict)
    """Further ports by name, `metrics` among them."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may happen to honest clients: no failure, and a slowest hundredth that is bounded in one way or the other."""

    p99_seconds: float = 1.0
    p99_times: float | None = None
    """So many times what it is without the attack, or `_LEAST_SECONDS` where that is more."""
    growth_bytes: int | None = None
    """How much larger all workers together may become."""

    def judge(self, calm: Verdict, held: Verdict, growth: int) -> list[str]:
        """What was too much; `growth` is by how much the workers became larger."""
        most = self.p99_seconds
        if self.p99_times is not None:
            most = max(_LEAST_SECONDS, self.p99_times * calm.p99)
        wrong = [f"{held.failed} of {held.count} failed: {held.said}"] if held.failed else []
        if held.p99 > most:
            wrong.append(f"p99 {held.p99:.3f} s, at most {most:.3f} s")
        if self.growth_bytes is not None and growth > self.growth_bytes:
            wrong.append(f"{growth:,} bytes more, at most {self.growth_bytes:,}")
        return wrong


# Below it the scheduler is measured: three processes share two processors.
_LEAST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """What the proxy has otherwise than by default."""

    top: str = ""
    """Keys and tables, `[limits]` among them; in it `{metrics}` is a free port, which `Target.others` then names."""
    route: str = ""
    """Lines of the route."""
    descriptors: int = 8_192
    """What each process may have, nginx's too."""


DEFAULTS: Final = Settings()


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing to try."""

    name: str
    what: str
    hold: Callable[[Target], AbstractContextManager[None]]
    """Holds the attack until its block ends."""
    allowed: Allowed = Allowed()
    settings: Settings = DEFAULTS
    neighbours: tuple[str, ...] = ()
    """Addresses of attackers that honest clients have too."""
    has_yardstick: bool = True
    """Whether nginx can be attacked in the same way."""


def held(module: str, *words: str, port: str = "") -> Callable[[Target], AbstractContextManager[None]]:
    """An attack by a program of its own, which is given a port of the target (`port`: which of the others) and `words`."""

    @contextmanager
    def hold(target: Target) -> Iterator[None]:
        number = target.others[port] if port else target.port
        with program([sys.executable, "-m", module, str(number), *words], lambda line: line == HELD or None):
            yield

    return hold


def bounded(words: Sequence[str]) -> Sequence[str]:
    """End this program in time, whatever becomes of its starter; answers its words."""
    signal.alarm(MOST_SECONDS)
    return words


def addresses(count: int) -> list[str]:
    """So many addresses of attackers."""
    return [f"127.77.{number // 250}.{number % 250 + 1}" for number in range(count)]
