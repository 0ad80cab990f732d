"""Answers what the parent asks a worker over the channel.

A configuration comes in two steps. `Prepare` builds its generation in a thread and keeps it;
`Commit` serves by it, in one turn of the loop. `Abort` drops what was prepared. Nothing is served
before the first `Commit`.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.reading import credentials_directory
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import ConfigError
from proxy.building.carried import Carried
from proxy.building.unusable_tokens import UnusableTokens
from proxy.limits.shared import SharedTable
from proxy.net.in_thread import in_thread
from proxy.observe.logs.log import Log
from proxy.observe.startup import Offers
from proxy.processes.channel import close_all
from proxy.processes.hot_path import hot_path
from proxy.processes.material import Material
from proxy.processes.messages.answers import (
    Done,
    KeyTried,
    PreparedToServe,
    RingUse,
    RingUses,
    ServersSeen,
    WorkerFigures,
)
from proxy.processes.messages.questions import (
    Abort,
    Accept,
    Begin,
    Commit,
    Drain,
    EndNow,
    Leave,
    ParentQuestion,
    Ping,
    PinVerdict,
    Prepare,
    ShowAlternatives,
    ShowChallenges,
    ShowMaintenance,
    ShowShares,
    SwitchLog,
    TakeConnection,
    TakeRingUses,
    TellFigures,
    TellServers,
    TokenLookedAt,
    TryKey,
    Verdict,
    WorkerAnswer,
)
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionFailed, QuestionRefused
from proxy.processes.uncollected import uncollected
from proxy.signing.login_turns import LoginTurns
from proxy.tls.openssl.libssl import InterpreterUnsuitable
from proxy.tls.tokens.openssl_setup import instances_of, prepare_openssl
from proxy.worker.generation import Generation, build
from proxy.worker.worker import Parent, Worker, offers_of

if TYPE_CHECKING:
    from proxy.tls.openssl.capabilities import Capabilities


# For the handshakes in flight, also of distant clients. A client that stalls is not waited for.
_LAST_HANDSHAKES_SECONDS: Final = 0.3


class WorkerControl:
    """Owner of the `Worker`, from the first commit on."""

    def __init__(  # noqa: PLR0913 - what a worker is given
        self,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        shared: SharedTable,
        turns: LoginTurns | None,
        ended: Callable[[], None],
        parent: Parent,
        slot: int = 0,
    ) -> None:
        """`shared`: the counts of all workers; `turns`: how they log in to tokens (see `build`).

        `slot` is that of this process among the workers.


        `ended` is called when the worker has drained and its answer is on its way.
        """
        self._loop = loop
        self._log = log
        self._shared = shared
        self._turns = turns
        self._ended = ended
        self._parent = parent
        self._slot = slot
        self._capabilities: Capabilities | None = None
        self._worker: Worker | None = None
        self._preparing: int | None = None
        """The number that the parent asked for last. A build that it gave up may end long after."""
        self._prepared: tuple[int, Generation] | None = None
        self._number = 0
        self._is_draining = False
        self._alone: asyncio.Task[None] | None = None
        self._sockets: dict[int, socket.socket] = {}

    async def answer(self, question: ParentQuestion, descriptors: Sequence[int]) -> WorkerAnswer:  # noqa: C901 - a line for each message
        """Answer the parent, and own the descriptors. Raises `QuestionRefused`."""
        match question:
            case Prepare():
                return await self._prepare(question, descriptors)
            case Drain(seconds, gently):
                return await self._drain(seconds, gently=gently)
            case Leave(seconds):
                return await self._leave(seconds)
            case TryKey(key):
                return await self._try_key(key)
            case TellFigures():
                return self._figures()
            case TellServers():
                return ServersSeen(() if self._worker is None else self._worker.standing())
            case TakeRingUses():
                return self._ring_uses()
            case Commit():
                self._commit(question, descriptors)
            case Abort():
                self._preparing = self._prepared = None
            case Accept():
                self._accept(question, descriptors)
            case TakeConnection(listener):
                self._take(listener, descriptors[0])
            case SwitchLog(form):
                self._log.switch(descriptors[0], form)
            case Verdict():
                self._serving.apply_verdict(question)
            case ShowChallenges():
                self._serving.follow_challenges(question)
            case ShowMaintenance(routes):
                self._serving.follow_maintenance(routes)
            case ShowShares(shares):
                self._shared.shares = shares
            case ShowAlternatives(values):
                self._serving.follow_alternatives(values)
            case TokenLookedAt(token, ok, silent_slots):
                self._serving.token_says(token, silent_slots, ok=ok)
            case PinVerdict(token, is_refused):
                self._serving.token_pin(token, is_refused=is_refused)
            case EndNow():
                self._serving.end_now()
            case Ping():
                pass
            case Begin():
                raise QuestionRefused(QuestionFailed("the worker has already started"))
            case _:
                assert_never(question)
        return Done()

    @property
    def _serving(self) -> Worker:
        """What serves. Raises `QuestionRefused` before the first commit."""
        if self._worker is None:
            raise QuestionRefused(QuestionFailed("nothing is served yet"))
        return self._worker

    def _ring_uses(self) -> RingUses:
        uses = [] if self._worker is None else self._worker.generation.payload_uses.take()
        return RingUses(tuple(RingUse(ring, version, count) for ring, version, count in uses))

    # -- configurations

    async def _prepare(self, asked: Prepare, descriptors: Sequence[int]) -> PreparedToServe:
        (descriptor,) = descriptors
        self._preparing = asked.number
        self._prepared = None
        try:
            with uncollected():
                generation, offers, blind = await in_thread(self._loop, lambda: self._build(asked, descriptor))
        except ConfigError as error:
            raise QuestionRefused(ConfigurationRefused(error.problems)) from None
        except InterpreterUnsuitable as error:
            raise QuestionRefused(QuestionFailed(str(error))) from None
        if self._preparing != asked.number:
            raise QuestionRefused(QuestionFailed("the preparation was aborted"))
        self._prepared = (asked.number, generation)
        return PreparedToServe(offers, tuple(generation.warnings), tuple(blind))

    def _build(self, asked: Prepare, descriptor: int) -> tuple[Generation, Offers, list[str]]:
        """Build, in a thread. Answers also the tokens that only the parent can use."""
        try:
            material = Material.from_memory_file(descriptor)
        finally:
            os.close(descriptor)
        with material.as_files() as files:
            loaded = LoadedConfig.of_document(
                asked.document, ConfigFile(Path(asked.path), files=files, credentials=credentials_directory())
            )
            unusable = UnusableTokens.told(asked.unusable_tokens)
            if loaded.config.hsm is not None:
                instances_of(loaded).silent_slots = frozenset(asked.silent_slots)
            if self._capabilities is None:
                self._capabilities = prepare_openssl(loaded, with_tokens=not unusable.is_module_left_out)
            begun = Carried(is_replacement=asked.has_served)
            carried = begun if self._worker is None else self._worker.generation.carried
            try:
                generation = build(
                    loaded,
                    self._capabilities,
                    asked.tickets,
                    asked.read_at,
                    carried,
                    unusable,
                    asked.payload,
                    self._turns,
                )
            except ConfigError:
                if loaded.config.hsm is not None and instances_of(loaded).are_spent:
                    self._loop.call_soon_threadsafe(self._parent.retire)
                raise
        found = self._capabilities
        blind = sorted(name for name, plan in generation.tokens.items() if plan.is_unusable and name in unusable.seen)
        return (
            generation,
            Offers(hot_path(), found.version, found.libssl, found.providers, offers_of(generation)),
            blind,
        )

    def _commit(self, asked: Commit, descriptors: Sequence[int]) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0] != asked.number:
            close_all(descriptors)
            raise QuestionRefused(QuestionFailed("a commit of what was not prepared"))
        self._number, generation = prepared
        if self._worker is None:
            self._worker = Worker(self._loop, generation, self._log, self._shared, self._parent, self._slot)
        else:
            self._worker.swap(generation)
        for verdict in asked.known.verdicts:
            self._worker.apply_verdict(verdict)
        self._worker.tokens_refused(asked.known.refused_tokens)
        self._worker.follow_challenges(asked.known.challenges)
        self._worker.follow_maintenance(asked.known.maintenance.routes)
        self._shared.shares = asked.known.shares.shares
        self._worker.follow_alternatives(asked.known.alternatives.values)
        self._accept(asked.accept, descriptors)

    # -- sockets

    def _accept(self, asked: Accept, descriptors: Sequence[int]) -> None:
        """Accept on exactly the listed sockets; `descriptors` are those of the new ones."""
        for number, descriptor in zip(asked.new, descriptors, strict=True):
            self._sockets[number] = socket.socket(fileno=descriptor)
        listed = {name: [self._sockets[number] for number in numbers] for name, numbers in asked.listeners.items()}
        if self._worker is not None:
            self._worker.accept_on(listed)
        kept = {number for numbers in asked.listeners.values() for number in numbers}
        self._sockets = {number: sock for number, sock in self._sockets.items() if number in kept}

    def _take(self, listener: str, descriptor: int) -> None:
        """Serve a connection of the parent's checks. Raises `QuestionRefused`."""
        sock = socket.socket(fileno=descriptor)
        if self._worker is None or not self._worker.take(listener, sock):
            sock.close()
            raise QuestionRefused(QuestionFailed(f"no listener {listener} accepts here"))

    # -- figures and the end

    def _figures(self) -> WorkerFigures:
        if self._worker is None:
            return WorkerFigures(self._number, {}, ())
        return WorkerFigures(self._number, self._worker.snapshot(), tuple(self._worker.servers()))

    async def _try_key(self, key: Pkcs11Uri) -> KeyTried:
        if self._worker is None:
            return KeyTried(is_used=False, signs=False)
        trial = await self._worker.try_key(key)
        return KeyTried(trial.is_used, trial.signs)

    async def _leave(self, seconds: float) -> WorkerFigures:
        """Drain without the parent. The next process accepts on the same sockets."""
        self._parent.let_go(seconds)
        if self._worker is not None:
            self._worker.leave_sockets()
            await asyncio.sleep(_LAST_HANDSHAKES_SECONDS)  # the answer counts their signatures too
        if not self._is_draining:
            self._alone = self._loop.create_task(self._drain_alone(seconds))
        return self._figures()

    async def _drain_alone(self, seconds: float) -> None:
        await self._drain(seconds, gently=True)
        if self._worker is not None:
            self._worker.left_alone()

    def end_now(self) -> None:
        """End a drain in progress at once."""
        if self._worker is not None:
            self._worker.end_now()

    async def _drain(self, seconds: float, *, gently: bool) -> WorkerFigures:
        self._is_draining = True
        if self._worker is not None:
            await self._worker.drain(seconds, gently=gently)
        self._loop.call_soon(self._ended)
        return self._figures()
