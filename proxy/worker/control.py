"""A worker as its parent sees it: answers what the parent asks over the channel.

A configuration comes in two steps. `prepare` builds its generation in a thread and keeps it; `commit` serves by it, in one turn
of the loop. `abort` drops what was prepared. Until the first `commit` nothing is served.
"""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config.loader import parsed
from config.problems import ConfigError
from config.schema import LogFormat
from proxy.building.carried import Carried
from proxy.building.closed_tokens import ClosedTokens
from proxy.limits.shared import SharedTable
from proxy.net.in_thread import in_thread
from proxy.observe.log import Log
from proxy.observe.startup import Offers
from proxy.payload.keys import PayloadKeys
from proxy.processes.channel import Body
from proxy.processes.material import Material
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionFailed, QuestionRefused
from proxy.processes.questions import challenges_from_json, key_from_json, tickets_from_json
from proxy.signing.login_turns import LoginTurns
from proxy.tls.libssl import InterpreterUnsuitable
from proxy.tls.openssl_setup import prepare_openssl
from proxy.worker.generation import Generation, build
from proxy.worker.worker import Parent, Worker, offers_of

if TYPE_CHECKING:
    from proxy.tls.capabilities import Capabilities


# For handshakes whose client is as far away as can be; one that stalls is not waited for.
_LAST_HANDSHAKES_SECONDS: Final = 0.3


class WorkerControl:
    """Owner of the `Worker`, from the first commit on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        shared: SharedTable,
        turns: LoginTurns | None,
        ended: Callable[[], None],
        parent: Parent,
    ) -> None:
        """`shared`: the counts of all workers, `turns`: by which they log in (see `build`). `ended` is called when the worker has drained and the answer to that is on its way."""
        self._loop = loop
        self._log = log
        self._shared = shared
        self._turns = turns
        self._ended = ended
        self._parent = parent
        self._capabilities: Capabilities | None = None
        self._worker: Worker | None = None
        self._preparing: int | None = None
        """What is asked for: a build that was given up may still end long after the one that came next."""
        self._prepared: tuple[int, Generation] | None = None
        self._number = 0
        self._is_draining = False
        self._alone: asyncio.Task[None] | None = None
        self._sockets: dict[int, socket.socket] = {}

    async def answer(self, kind: str, body: Body, descriptors: list[int]) -> Body:
        """Answer a question of the parent. Raises `QuestionRefused`."""
        match kind:
            case "prepare":
                return await self._prepare(body, descriptors)
            case "commit":
                return self._commit(body, descriptors)
            case "try_key":
                return await self._try_key(body)
            case "drain":
                return await self._drain(body["seconds"], gently=body["gently"])
            case "leave":
                return await self._leave(body["seconds"])
            case "challenges" if self._worker is not None:
                self._worker.follow_challenges(*challenges_from_json(body))
                return {}
            case _:
                return self._answer_at_once(kind, body, descriptors)

    def _answer_at_once(self, kind: str, body: Body, descriptors: list[int]) -> Body:
        match kind:
            case "ping":
                pass
            case "abort":
                self._preparing = self._prepared = None
            case "accept":
                self._accept(body, descriptors)
            case "arrival":
                self._take(body["listener"], descriptors[0])
            case "log":
                self._log.switch(descriptors[0], LogFormat(body["format"]))
            case "end" | "verdict" | "token" | "pin" if self._worker is not None:
                _tell(self._worker, kind, body)
            case _:
                return self._look(kind)
        return {}

    def _look(self, kind: str) -> Body:
        """Answer how it is; nothing changes."""
        match kind:
            case "scrape":
                return self._scrape()
            case "standing":
                return {"servers": [] if self._worker is None else self._worker.standing()}
            case "payload_uses":
                return {"uses": [] if self._worker is None else self._worker.generation.payload_uses.take()}
            case _:
                raise QuestionRefused(QuestionFailed(f"an unknown question: {kind}"))

    # -- configurations

    async def _prepare(self, body: Body, descriptors: list[int]) -> Body:
        (descriptor,) = descriptors
        self._preparing, self._prepared = body["number"], None
        try:
            with _uncollected():
                generation, offers, blind = await in_thread(self._loop, lambda: self._build(body, descriptor))
        except ConfigError as error:
            raise QuestionRefused(ConfigurationRefused(error.problems)) from None
        except InterpreterUnsuitable as error:
            raise QuestionRefused(QuestionFailed(str(error))) from None
        if self._preparing != body["number"]:
            raise QuestionRefused(QuestionFailed("the preparation was given up meanwhile"))
        self._prepared = (body["number"], generation)
        warnings = [one.as_json() for one in generation.warnings]
        return {"offers": offers.as_json(), "warnings": warnings, "blind": blind}

    def _build(self, body: Body, descriptor: int) -> tuple[Generation, Offers, list[str]]:
        """Runs in a thread of its own, beside the loop. Answers also which tokens the parent finds well, and this process does not."""
        try:
            material = Material.from_memory_file(descriptor)
        finally:
            os.close(descriptor)
        content, tickets = body["content"].encode(), tickets_from_json(body["tickets"])
        payload = PayloadKeys.from_json(body["payload"])
        with material.as_files() as files:
            loaded = parsed(content, Path(body["path"]), files)
            closed = ClosedTokens.from_json(body["closed_tokens"])
            if self._capabilities is None:
                self._capabilities = prepare_openssl(loaded, with_tokens=not closed.is_module_left_out)
            begun = Carried(is_replacement=body["has_served"])
            carried = begun if self._worker is None else self._worker.generation.carried
            read_at = datetime.fromisoformat(body["read_at"])
            generation = build(loaded, self._capabilities, tickets, read_at, carried, closed, payload, self._turns)
        found = self._capabilities
        blind = sorted(name for name, plan in generation.tokens.items() if plan.is_closed and name in closed.seen)
        return generation, Offers(found.version, found.libssl, found.providers, offers_of(generation)), blind

    def _commit(self, body: Body, descriptors: list[int]) -> Body:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0] != body["number"]:
            for descriptor in descriptors:
                os.close(descriptor)
            raise QuestionRefused(QuestionFailed("a commit of what was not prepared"))
        self._number, generation = prepared
        if self._worker is None:
            self._worker = Worker(self._loop, generation, self._log, self._shared, self._parent)
        else:
            self._worker.swap(generation)
        for verdict in body["verdicts"]:
            self._worker.apply_verdict(verdict)
        self._worker.tokens_refused(body["refused_tokens"])
        self._worker.follow_challenges(*challenges_from_json(body["challenges"]))
        self._accept(body, descriptors)
        return {}

    # -- sockets

    def _accept(self, body: Body, descriptors: list[int]) -> None:
        """Accept on the listed sockets; those that are new here came along."""
        for number, descriptor in zip(body["new"], descriptors, strict=True):
            self._sockets[number] = socket.socket(fileno=descriptor)
        listed = {name: [self._sockets[number] for number in numbers] for name, numbers in body["listeners"].items()}
        if self._worker is not None:
            self._worker.accept_on(listed)
        kept = {number for numbers in body["listeners"].values() for number in numbers}
        self._sockets = {number: sock for number, sock in self._sockets.items() if number in kept}

    def _take(self, listener: str, descriptor: int) -> None:
        """Serve a connection of the parent, which looks at what clients get. Raises `QuestionRefused`."""
        sock = socket.socket(fileno=descriptor)
        if self._worker is None or not self._worker.take(listener, sock):
            sock.close()
            raise QuestionRefused(QuestionFailed(f"no listener {listener} accepts here"))

    # -- figures and the end

    def _scrape(self) -> Body:
        if self._worker is None:
            return {"generation": self._number, "snapshot": {}, "servers": []}
        snapshot, servers = self._worker.snapshot(), self._worker.servers()
        return {"generation": self._number, "snapshot": snapshot, "servers": servers}

    async def _try_key(self, body: Body) -> Body:
        if self._worker is None:
            return {"is_used": False, "signs": False}
        return asdict(await self._worker.try_key(key_from_json(body)))

    async def _leave(self, seconds: float) -> Body:
        """Drain without the parent, which ends after the answer: for the next process that accepts on the same sockets."""
        self._parent.let_go(seconds)
        if self._worker is not None:
            self._worker.leave_sockets()
            await asyncio.sleep(_LAST_HANDSHAKES_SECONDS)  # what they sign is counted in the answer
        if not self._is_draining:
            self._alone = self._loop.create_task(self._drain_alone(seconds))
        return self._scrape()

    async def _drain_alone(self, seconds: float) -> None:
        await self._drain(seconds, gently=True)
        if self._worker is not None:
            self._worker.left_alone()

    def end_now(self) -> None:
        """Let a drain under way wait no longer."""
        if self._worker is not None:
            self._worker.end_now()

    async def _drain(self, seconds: float, *, gently: bool) -> Body:
        self._is_draining = True
        if self._worker is not None:
            await self._worker.drain(seconds, gently=gently)
        self._loop.call_soon(self._ended)
        return self._scrape()


def _tell(worker: Worker, kind: str, body: Body) -> None:
    match kind:
        case "end":
            worker.end_now()
        case "verdict":
            worker.apply_verdict(body)
        case "pin":
            worker.token_pin(body["token"], is_refused=body["is_refused"])
        case _:
            worker.token_says(body["token"], ok=body["ok"])


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector out of what is built.

    It would go through the new objects again and again while there are more and more of them, with the loop waiting for it (10 ms
    each time with a thousand identities), and find nothing: they are there to stay. So they are put where it never looks. What
    has no use any more is let go by its reference count; only cycles that were alive at this moment would stay for good.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
