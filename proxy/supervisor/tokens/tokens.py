"""The parent tries each PIN once, before a worker does. It probes tokens and tells the workers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import KeyPlace, TokenUse
from certs.tokens.twins import twin_problems
from config.values.problems import ConfigError
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.tokens import ModuleSkipped, TokenCondition
from proxy.observe.scrape import TokenScrape
from proxy.processes.messages.questions import PinVerdict, TokenLookedAt, ToldToken
from proxy.signing.breaker import BreakerState
from proxy.signing.login_turns import LoginTurns
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.tokens.blind_workers import BlindWorkers, Need
from proxy.supervisor.tokens.contracts import TokenUser, TokenUsers
from proxy.supervisor.tokens.missing_keys import PARENT, MissingKeys
from proxy.supervisor.tokens.token_watch import TokenWatch

if TYPE_CHECKING:
    from collections import Counter

# How long a token may take to answer before the workers get it. It is half of
# `reload_timeout` if that is less.
_FIRST_LOGIN_SECONDS: Final = 10.0
_FAILING: Final = frozenset({BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.PROVED})
_NOT_SIGNING: Final = _FAILING | {BreakerState.STOPPED}


class ParentTokens:
    """The tokens of the served edition."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        workforce: TokenUsers,
        tell: Tell,
        tried: Callable[[str, ProbeFinding], None],
    ) -> None:
        """`begin` makes the tokens known. `tried` gets token and finding of each try of a PIN."""
        self._loop = loop
        self._tasks = tasks
        self._workforce = workforce
        self._tell = tell
        self._tried = tried
        self.turns: Final = LoginTurns.create()
        """With these the workers log in one after the other."""
        self._watches: dict[str, TokenWatch] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._admitted: dict[bytes, ProbeFinding] = {}
        """Findings of logins that have no `TokenWatch` yet."""
        self._blind_workers = BlindWorkers(loop, tasks, workforce.replace, tell, self._need)
        self._identities: Mapping[str, frozenset[KeyPlace]] = {}
        """Identities with keys in tokens only."""
        self._states: dict[int, dict[str, BreakerState]] = {}
        """The breakers that are not closed, by worker (process id) and token."""
        self.missing: Final = MissingKeys(tell)
        self.silent_slots: frozenset[int] = frozenset()
        """The slots of the module whose token does not answer. Workers leave them out, as OpenSSL
        would hang in the first one, with all tokens.
        """

    def close(self) -> None:
        """Free the turns. No process logs in any more."""
        self.turns.close()

    # -- before workers are told

    async def begin(self, edition: Edition) -> None:
        """Try the PINs of the first edition. A token with a fault does not stop the start.

        Raises `ConfigError` for a token that the configuration has twice.
        """
        await self._refuse_twins(edition)
        self.admit(edition.identities.tokens, await self.examine(edition.identities.tokens, _patience(edition)))

    @asynccontextmanager
    async def changing_to(self, edition: Edition) -> AsyncIterator[None]:
        """Try the PINs that are new in an edition. No other code tries a PIN until the block ends.

        Raises `ConfigError` for a PIN that is refused, and for a token that the configuration has
        twice. A token that does not answer is left to the workers: another token may replace it.
        """
        with self._held():
            await self._refuse_twins(edition)
            findings = await self.examine(edition.identities.tokens, _patience(edition))
            refused = [
                use.pin_problem(edition.loaded.file, findings[use.name].detail)
                for use in edition.identities.tokens
                if use.name in findings and findings[use.name].condition is Condition.REFUSED
            ]
            if refused:
                raise ConfigError([*edition.warnings, *refused])
            well = {name: one for name, one in findings.items() if one.condition is Condition.WELL}
            self.admit(edition.identities.tokens, well)
            yield

    async def _refuse_twins(self, edition: Edition) -> None:
        twins = await twin_problems(self._loop, edition.loaded.file, edition.identities.tokens, _patience(edition))
        if twins:
            raise ConfigError([*edition.warnings, *twins])

    async def examine(self, uses: Sequence[TokenUse], seconds: float) -> dict[str, ProbeFinding]:
        """Try each new PIN once, all at the same time. Returns findings by token.

        A token that has not answered after `seconds` is not well. If a module does not know a
        token, the parent looks once more after the others: SoftHSM misses a token while another
        process logs in to it. Errors become findings.
        """
        known = {watch.use.login for watch in self._watches.values()}
        new = [use for use in uses if use.login not in known]
        findings = await self._try_pins(new, seconds)
        missed = [use for use in new if findings[use.name].is_no_such_token]
        findings |= await self._try_pins(missed, seconds)
        for name, finding in findings.items():
            self._learn(finding)
            self._tried(name, finding)
        return findings

    def _learn(self, finding: ProbeFinding) -> None:
        if finding.silent_slots is not None:
            self.silent_slots = finding.silent_slots
        elif finding.facts is not None and finding.condition is Condition.WELL:
            self.silent_slots -= {finding.facts.slot}
        elif finding.facts is not None and finding.is_late:
            self.silent_slots |= {finding.facts.slot}

    async def _try_pins(self, uses: Sequence[TokenUse], seconds: float) -> dict[str, ProbeFinding]:
        asked = {use.name: self._loop.create_task(Prober(self._loop, use).try_pin(seconds)) for use in uses}
        try:
            return {name: await task for name, task in asked.items()}
        finally:
            for task in asked.values():
                task.cancel()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the watches from trying PINs until the block ends."""
        watches = list(self._watches.values())
        for watch in watches:
            watch.hold()
        try:
            yield
        finally:
            for watch in watches:
                watch.release()

    def admit(self, uses: Sequence[TokenUse], findings: Mapping[str, ProbeFinding]) -> None:
        """Keep the findings for the workers, and log what is wrong."""
        for use in uses:
            if (finding := findings.get(use.name)) is not None:
                self._admitted[use.login] = finding
                if finding.condition is Condition.WELL:
                    self.turns.allow(use.name)
                    continue
                if finding.condition is Condition.REFUSED:
                    self.turns.forbid(use.name)
                self._say(use, finding)

    def closed(self, uses: Sequence[TokenUse]) -> dict[str, ToldToken]:
        """The condition of each token and its reason, by name, for a worker that prepares.

        The worker leaves a token alone that is not well.
        """
        known = {**self._admitted, **{watch.use.login: watch.finding for watch in self._watches.values()}}
        found = {use.name: known.get(use.login) for use in uses}
        return {
            name: ToldToken(str(finding.condition), finding.detail, finding.is_module_down)
            for name, finding in found.items()
            if finding is not None
        }

    def leave_module(self, uses: Sequence[TokenUse]) -> bool:
        """Let workers begin without a module in which a token hangs. Tells whether one does.

        The workers are replaced when the parent finds a token of it well.
        """
        hanging = [
            use
            for use in uses
            if (finding := self._admitted.get(use.login)) is not None and finding.is_late and not finding.is_module_down
        ]
        for use in hanging:
            self._admitted[use.login] = replace(self._admitted[use.login], condition=Condition.ABSENT)
            self._tell(ModuleSkipped(use.name))
        return bool(hanging)

    @property
    def refused(self) -> list[str]:
        return [name for name, watch in self._watches.items() if watch.is_refused]

    # -- while they serve

    def follow(self, uses: Sequence[TokenUse], identities: Mapping[str, frozenset[KeyPlace]]) -> None:
        """Watch exactly these tokens from now on. `identities` have keys in tokens only."""
        self._identities = identities
        wanted = {use.name: use for use in uses}
        counted: dict[str, Counter[str]] = {}
        for name in [name for name, watch in self._watches.items() if not _is_same(watch, wanted.get(name))]:
            self._watching.pop(name).cancel()
            counted[name] = self._watches.pop(name).errors
        for name, use in wanted.items():
            if name in self._watches:
                self._watches[name].follow(use)
                continue
            finding = self._admitted.get(use.login, ProbeFinding(Condition.UNWELL, "", "it was not tried yet"))
            watch = self._watches[name] = TokenWatch(self._loop, use, finding, self)
            watch.errors.update(counted.pop(name, {}))
            for worker, states in self._states.items():
                if states.get(name) in _FAILING:
                    watch.trouble(worker, is_there=True)
            self._watching[name] = self._tasks.start_to_cancel(watch.run())
        self._admitted.clear()
        self.missing.follow(uses)

    def keys_missing(self, worker: TokenUser, token: str, keys: frozenset[str]) -> None:
        """Take which keys a worker misses in a token that works."""
        if worker.is_alive and not worker.is_retiring:
            self.missing.says(worker.pid, token, keys)

    def breaker_changed(self, worker: TokenUser, token: str, state: BreakerState) -> None:
        """Take the new state of a worker's breaker."""
        if worker.is_retiring or not worker.is_alive:
            return
        states = self._states.setdefault(worker.pid, {})
        if state is BreakerState.CLOSED:
            states.pop(token, None)
            self._forget_own_findings(token)
        else:
            states[token] = state
        watch = self._watches.get(token)
        if watch is None:
            return
        watch.trouble(worker.pid, is_there=state in _FAILING)
        if state is BreakerState.PROVED:
            watch.hurry()
        elif state is BreakerState.HALF_OPEN:
            watch.accompany()
        if state not in _FAILING:
            self._blind_workers.forget_worker(worker.pid, token)
        if state is BreakerState.STOPPED and watch.doubt():
            self._broadcast(PinVerdict(token, is_refused=True))

    def _forget_own_findings(self, token: str) -> None:
        """Forget which keys the parent misses in a token once all workers can use the token.

        The parent does not look at the token then, and the workers report missing keys.
        """
        if not any(self._state(one, token) in _FAILING for one in self._workforce.workers):
            self.missing.forget(PARENT, token)

    def worker_gone(self, worker: TokenUser) -> None:
        for token in self._watches:
            self._blind_workers.forget_worker(worker.pid, token)
        self.missing.worker_gone(worker.pid)
        if self._states.pop(worker.pid, None) is not None:
            for watch in self._watches.values():
                watch.trouble(worker.pid, is_there=False)

    def found(self, token: TokenWatch, finding: ProbeFinding, before: Condition) -> None:
        """Tell workers the finding of a probe (`TokenObserver`)."""
        name = token.use.name
        is_well = finding.condition is Condition.WELL
        self._learn(finding)
        if finding.condition is not before:
            self._say(token.use, finding)
        if is_well or finding.missing:
            missing = {one.location for one in token.use.named if one.address in finding.missing}
            self.missing.says(PARENT, name, missing)
        if token.is_refused:
            self.turns.forbid(name)
            self._broadcast(PinVerdict(name, is_refused=True))
            return
        self._broadcast(TokenLookedAt(name, ok=is_well, silent_slots=tuple(self.silent_slots)))
        if before is Condition.ABSENT:
            self._blind_workers.forget(name)
        if is_well:
            # a half-open breaker has its probe in progress, which a slow device answers late
            troubled = [one for one in self._workforce.workers if self._state(one, name) is BreakerState.OPEN]
            self._blind_workers.found_well(name, troubled)

    def _need(self, worker: TokenUser, token: str) -> Need:
        """How much depends on a worker that cannot use a well token."""
        if self._state(worker, token) is not BreakerState.OPEN:
            return Need.NONE  # the worker can use the token by now
        is_refused = any(
            any(key.token == token for key in keys) and all(self._fault(worker, key) for key in keys)
            for keys in self._identities.values()
        )
        return Need.IDENTITY if is_refused else Need.SPARE

    def may_log_in(self, token: TokenWatch) -> None:
        """Let workers log in again (`TokenObserver`)."""
        self.turns.allow(token.use.name)
        self._broadcast(PinVerdict(token.use.name, is_refused=False))

    def _broadcast(self, order: PinVerdict | TokenLookedAt) -> None:
        self._tasks.start(self._workforce.tell_all(order))

    def _say(self, use: TokenUse, finding: ProbeFinding) -> None:
        pin_source = use.pin_source if finding.condition is Condition.REFUSED else None
        detail = None if finding.condition is Condition.WELL else finding.detail
        self._tell(TokenCondition(use.name, str(finding.condition), pin_source, detail))

    # -- what is known

    def why_not_ready(self, identities: Mapping[str, frozenset[KeyPlace]]) -> str | None:
        """Name an identity for which a worker has no key that can sign.

        `identities` have keys in tokens only.
        """
        for worker in self._workforce.workers:
            for identity, keys in identities.items():
                faults = {self._fault(worker, key) for key in keys}
                if "" not in faults:
                    return f"identity {identity} has no key that can sign in worker {worker.slot}: {', '.join(sorted(faults))}"
        return None

    def _fault(self, worker: TokenUser, key: KeyPlace) -> str:
        """Why a worker cannot sign with a key: its token, or it is missing. Empty if it can."""
        if self._state(worker, key.token) in _NOT_SIGNING:
            return key.token
        return f"{key.token} without {key.location}" if self.missing.is_missing(worker.pid, key) else ""

    def _state(self, worker: TokenUser, token: str) -> BreakerState:
        return self._states.get(worker.pid, {}).get(token, BreakerState.CLOSED)

    def scrape(self) -> list[TokenScrape]:
        now = self._loop.time()
        return [
            TokenScrape(
                token=name,
                condition=str(watch.finding.condition),
                detail=watch.finding.detail,
                sessions=watch.sessions,
                max_sessions=watch.use.max_sessions,
                probes=watch.probes,
                errors=dict(watch.errors),
                seconds_since_good=None if watch.good_at is None else now - watch.good_at,
                missing_keys=self.missing.of_token(name),
            )
            for name, watch in self._watches.items()
        ]


def _patience(edition: Edition) -> float:
    return min(_FIRST_LOGIN_SECONDS, edition.loaded.config.reload_seconds / 2)


def _is_same(watch: TokenWatch, use: TokenUse | None) -> bool:
    return use is not None and use.login == watch.use.login
