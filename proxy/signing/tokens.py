"""All tokens that a process uses, by the names in the configuration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.figures.snapshot import TokenFamilies
from proxy.signing.contracts import Probe, Watcher
from proxy.signing.executor import SigningExecutor
from proxy.signing.token import SigningToken, Timing
from proxy.signing.token_counters import TokenCounters

if TYPE_CHECKING:
    import asyncio

_LOGIN_SESSIONS: Final = 1
"""OpenSSL's provider stays logged in by this session, beside those that sign."""
_LOOK_SECONDS: Final = 5.0
"""How often tokens without use are looked for."""


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """What a configuration says of a token: how many signatures at a time, and how to probe it."""

    threads: int
    probe: Probe
    is_unusable: bool = False
    """Whether nothing of it could be loaded: then it is probed before it is trusted."""
    is_refused: bool = False
    """Whether it refuses the PIN: then it is not tried until `SigningToken.pin_may_be_tried`."""


class Tokens(Mapping[str, SigningToken]):
    """Follows the configurations of a process."""

    def __init__(self, timing: Timing, counters: Callable[[str], TokenCounters], watcher: Watcher) -> None:
        """Begin without a token. `counters` answers the counters of a token by its name."""
        self._timing = timing
        self._counters = counters
        self._watcher = watcher
        self._tokens: dict[str, SigningToken] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __getitem__(self, name: str) -> SigningToken:
        return self._tokens[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def use(self, plans: Mapping[str, TokenPlan]) -> None:
        """Have exactly these from now on. One that was there keeps its threads."""
        for name in [name for name in self._tokens if name not in plans]:
            self._tokens.pop(name).close()
        for name, plan in plans.items():
            token = self._tokens.get(name)
            if token is None:
                executor = SigningExecutor(name, plan.threads, self._timing.loop, self._timing.clock)
                token = SigningToken(name, executor, self._timing, self._counters(name), self._watcher, has_parent=True)
                self._tokens[name] = token
                if plan.is_unusable and not plan.is_refused:
                    token.begin_open()
            token.use(plan.probe, is_refused=plan.is_refused)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timing.loop.call_later(_LOOK_SECONDS, self._look) if self._tokens else None

    def _look(self) -> None:
        for token in self._tokens.values():
            token.check_if_idle()
        self._timer = self._timing.loop.call_later(_LOOK_SECONDS, self._look)

    def close(self) -> None:
        """End the use of all tokens. A call that hangs in a thread of theirs continues to hang."""
        self.use({})

    def rows(self) -> TokenFamilies:
        """What is going on, for a snapshot: rows by the family they belong to."""
        figures = {name: token.executor.figures() for name, token in self._tokens.items()}
        return {
            "token_figures": [
                {
                    "token": name,
                    "queued": one.queued,
                    "running": one.running,
                    "lost": one.lost,
                    "sessions": _LOGIN_SESSIONS + one.most_running,
                    "threads": one.threads,
                }
                for name, one in figures.items()
            ],
            "token_states": [
                {"token": name, "state": str(token.state), "count": 1} for name, token in self._tokens.items()
            ],
            "token_good": [
                {"token": name, "youngest": seconds}
                for name, token in self._tokens.items()
                if (seconds := token.seconds_since_good) is not None
            ],
        }
