"""The workers, one for each slot. The workforce replaces them and tells each one where it accepts.

Theory of operation. A worker is spawned and asked to `begin`, to `prepare` and to `commit` the
present edition; only then it takes its slot. When the set of accepting workers changes,
`assignment` computes the slots of each. The workforce tells all workers what is added before it
tells them what is taken away, so each socket always has a worker that accepts. Code that prepares
and commits holds `editing`: a worker that joined during a reload would serve by the wrong edition.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from proxy.net.tasks import Tasks
from proxy.observe.events.workers import (
    WorkerBlind,
    WorkerCommitFailed,
    WorkerDisowned,
    WorkerEnded,
    WorkerGivenUp,
    WorkerJoined,
)
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.answers import Done, PreparedToServe
from proxy.processes.messages.questions import Abort, Commit, Drain, EndNow, Leave, Ping, Question, TellFigures
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionRefused
from proxy.processes.messages.wire import AnswerT
from proxy.supervisor.workers.acceptance import Acceptance
from proxy.supervisor.workers.asking import Asked, Preparation, QuestionOf, Refusals, answers, prepared, refusals
from proxy.supervisor.workers.assignment import assignment
from proxy.supervisor.workers.contracts import Served, SlotHolder, WorkforceOwner
from proxy.supervisor.workers.process import WorkerProcess, ended_at_once, gone
from proxy.supervisor.workers.pulse import Pulse
from proxy.supervisor.workers.restarts import Restarts
from proxy.supervisor.workers.timeouts import WorkerTimeouts


class Workforce:
    """All worker processes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        owner: WorkforceOwner,
        patience: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - it never changes
    ) -> None:
        self._loop = loop
        self._tasks = tasks
        self._owner = owner
        self._slots: list[WorkerProcess | None] = []
        self._leaving: dict[WorkerProcess, asyncio.Event] = {}
        """Workers that drain. The event is set when the worker has left."""
        self._patience = patience
        self._pulse = Pulse(loop, tasks, patience, owner.tell, lambda: tasks.start(self.assign()))
        self._acceptance = Acceptance(owner)
        self._restarts = Restarts(patience, owner.tell)
        self._assigning = asyncio.Lock()
        self.editing: Final = asyncio.Lock()
        self._edition: Served | None = None
        self._is_ending = False
        self.restarts = 0

    @property
    def workers(self) -> list[WorkerProcess]:
        return [one for one in self._slots if one is not None]

    @property
    def leaving(self) -> list[WorkerProcess]:
        return list(self._leaving)

    @property
    def slots_with_sockets(self) -> int:
        """How many slots there are or were. A slot keeps its sockets while it is empty."""
        return len(self._slots)

    # -- joining and editions

    async def join(self, edition: Served, slots: Sequence[int]) -> tuple[list[WorkerProcess], list[PreparedToServe]]:
        """Start workers for these slots and let them prepare. Returns them and their answers.

        A worker that cannot use a token which is healthy in the parent is replaced once: a module
        that is loaded while other processes log in may never find the token. Raises
        `QuestionRefused`, `ChannelLost` or `OSError` after all of these workers have ended.
        """
        joined = await self._begun(edition, slots)
        blind = {worker: answer.blind for worker, answer in joined.items() if answer.blind}
        try:
            for worker, tokens in blind.items():
                del joined[worker]
                self._owner.tell(WorkerBlind(worker.slot, worker.pid, tokens[0], replaced=True))
            await self._dismiss(list(blind))
            if blind:
                joined |= await self._begun(edition, [one.slot for one in blind])
        except BaseException:
            await self._dismiss(list(joined))
            raise
        return list(joined), list(joined.values())

    async def _begun(self, edition: Served, slots: Sequence[int]) -> dict[WorkerProcess, PreparedToServe]:
        joining: list[WorkerProcess] = []
        try:
            for slot in slots:
                joining.append(WorkerProcess(self._loop, self._tasks, slot, edition.account, self._ended))  # noqa: PERF401 - what is there already is ended when one fails
            for worker in joining:
                worker.retire_asked = self._retirement_asked
                worker.breaker_changed = self._owner.breaker_changed
                worker.keys_missing = self._owner.tokens.keys_missing
                await worker.ask(*self._owner.beginning(worker))
            answers, _ = await self.prepare(joining, edition)
            return dict(zip(joining, answers, strict=True))
        except BaseException:
            await self._dismiss(joining)
            raise

    async def _dismiss(self, workers: Sequence[WorkerProcess]) -> None:
        await ended_at_once(workers, self._patience.goodbye)

    def able(self, count: int) -> list[WorkerProcess]:
        """The workers of the first `count` slots that are not given up."""
        return [one for one in self.workers if one.slot < count and not self._pulse.is_given_up(one)]

    async def prepare(self, workers: Sequence[WorkerProcess], edition: Served) -> Preparation[WorkerProcess]:
        """Let workers prepare an edition. Returns their answers, and the workers that it gave up.

        Raises `QuestionRefused` or `ChannelLost` as soon as one worker cannot.
        """
        material = edition.material.memory_file()
        closed = self._owner.tokens.closed(edition.identities.tokens)
        silent_slots = self._owner.tokens.silent_slots
        question = edition.question(closed, silent_slots, has_served=edition is self._edition)
        try:
            answers, silent = await prepared(
                self._loop, workers, (question, [material]), self._pulse.is_given_up, self._patience.ping
            )
        except QuestionRefused as error:
            if not isinstance(error.reason, ConfigurationRefused):
                raise
            raise QuestionRefused(ConfigurationRefused(edition.located(error.reason.problems))) from None
        finally:
            os.close(material)
        return [replace(one, warnings=edition.located(one.warnings)) for one in answers], silent

    async def abort(self, joined: Sequence[WorkerProcess]) -> None:
        await self._dismiss(joined)
        await self.tell_all(Abort())

    async def commit(self, edition: Served, joined: Sequence[WorkerProcess], count: int) -> None:
        """Serve by the prepared edition with `count` workers. Surplus and replaced ones drain."""
        if self._is_ending:
            await self._dismiss(joined)
            return
        self._edition = edition
        taken = {one.slot for one in joined}
        leaving = [one for one in self.workers if one.slot >= count or one.slot in taken]
        for worker in leaving:
            self._slots[worker.slot] = None
            self._leave(worker)
            if worker.slot < count:
                self._owner.tell(WorkerGivenUp(worker.slot, worker.pid))
        for worker in joined:
            self._take_slot(worker)
        await self._serve_by(edition, self.workers)
        for worker in leaving:
            self._tasks.start(self._drain(worker))

    async def _serve_by(self, edition: Served, workers: Sequence[WorkerProcess]) -> None:
        for worker, reason in (await self._tell(workers, lambda one: self._commitment(one, edition))).items():
            self._owner.tell(WorkerCommitFailed(worker.slot, worker.pid, reason))
            worker.kill()
        await self.assign()

    def _commitment(self, worker: WorkerProcess, edition: Served) -> Asked:
        accept, descriptors = self._acceptance.listing(worker)
        return Commit(edition.number, self._owner.known(), accept), descriptors

    def _take_slot(self, worker: WorkerProcess) -> None:
        self._slots.extend([None] * (worker.slot + 1 - len(self._slots)))
        self._slots[worker.slot] = worker
        if worker.is_alive:
            self._pulse.watch(worker)
        else:
            self._ended(worker)

    # -- who accepts where

    async def assign(self) -> None:
        """Tell every worker which sockets it accepts on."""
        async with self._assigning:
            if self._is_ending:
                return  # a worker that drains must not begin to accept again
            able = {one.slot for one in self.workers if one not in self._pulse.stuck}
            slots = max([len(self._slots), *(len(one.by_slot) for one in self._owner.bound)])
            wanted = assignment(slots, able or {one.slot for one in self.workers})
            for step in (self._acceptance.add, self._acceptance.settle):
                before = {one: self._acceptance.slots(one) for one in self.workers}
                changed = [one for one in before if step(one, wanted.get(one.slot, frozenset()))]
                for worker in await self._tell(changed, self._acceptance.listing):
                    # mostly for want of descriptors: the worker is offered all sockets again soon
                    self._acceptance.refused(worker, before[worker])
                    self._loop.call_later(self._patience.ping, lambda: self._tasks.start(self.assign()))

    async def offer(self) -> None:
        """Tell every worker its sockets again: the owner has others now."""
        async with self._assigning:
            await self._tell(self.workers, self._acceptance.listing)

    async def tell_all(self, order: Question[Done], descriptors: Sequence[int] = ()) -> None:
        await self._tell(self.workers, lambda _: (order, descriptors))

    async def scrape(self, seconds: float) -> dict[WorkerProcess, bool]:
        """Update `last` of all workers, also of those that leave. Tells which have answered."""
        told = await self.ask_all(TellFigures(), seconds)
        for worker, answer in told.items():
            worker.last = answer or worker.last
        return {one: told.get(one) is not None for one in (*self.workers, *self._leaving)}

    async def answering(self) -> int:
        """How many of the workers that serve answer now. A busy machine alone delays no answer."""
        told = await answers(self._loop, self.workers, Ping(), self._patience.given_up)
        return sum(answer is not None for answer in told.values())

    async def ask_all(self, question: Question[AnswerT], seconds: float) -> dict[WorkerProcess, AnswerT | None]:
        """Ask all workers, also those that leave. The answer is None if it is late or an error.

        A stuck worker is not asked: it does not read, and unread questions would fill memory here.
        """
        everyone = [*self.workers, *self._leaving]
        able = [one for one in everyone if one not in self._pulse.stuck]
        return {**dict.fromkeys(everyone), **await answers(self._loop, able, question, seconds)}

    async def _tell(
        self, workers: Sequence[WorkerProcess], question: QuestionOf[WorkerProcess]
    ) -> Refusals[WorkerProcess]:
        """Ask several workers at once. Returns those that said no, and why.

        A stuck worker is not waited for: it reads the question when it continues.
        """
        return await refusals(self._loop, workers, question, self._patience.stuck, self._pulse.stuck)

    # -- ends and restarts

    def _ended(self, worker: WorkerProcess) -> None:
        self._pulse.stuck.discard(worker)
        self._acceptance.forget(worker)
        if worker.fault is not None:
            self._owner.tell(WorkerDisowned(worker.slot, worker.pid, worker.fault))
        if worker not in self._leaving:  # `_drain` may still wait for its last figures
            self._owner.worker_gone(worker)
        if worker.slot >= len(self._slots) or self._slots[worker.slot] is not worker:
            return
        self._slots[worker.slot] = None
        if self._is_ending:
            return
        self._owner.tell(WorkerEnded(worker.slot, worker.pid, worker.exit_status))
        self._restarts.ended(worker.slot, self._loop.time() - worker.started)
        self._tasks.start(self.assign())
        self._tasks.start(self._rejoin(worker.slot))

    async def _rejoin(self, slot: int) -> None:
        """Fill a slot again, after a pause that grows with each failure."""
        while True:
            await asyncio.sleep(self._restarts.pause(slot))
            async with self.editing:
                edition = self._edition
                if edition is None or self._is_ending or self._slots[slot] is not None or slot >= edition.worker_count:
                    return
                try:
                    await self._fill(slot, edition)
                except (QuestionRefused, ChannelLost, OSError) as error:
                    self._restarts.failed(slot, error)
                else:
                    return

    async def _fill(self, slot: int, edition: Served) -> None:
        # the caller holds `editing`: a hanging worker must not block the reload that may repair it
        async with asyncio.timeout(edition.loaded.config.reload_seconds):
            joined, _ = await self.join(edition, [slot])
        if self._is_ending:
            await self._dismiss(joined)
            return
        self.restarts += 1
        self._restarts.joined(slot)
        before = self._slots[slot]
        self._take_slot(joined[0])
        if before is not None:
            self._leave(before)
        await self._serve_by(edition, joined)
        self._owner.tell(WorkerJoined(slot, joined[0].pid))
        if before is not None:
            self._tasks.start(self._drain(before, len(self._leaving)))

    # -- leaving

    def _retirement_asked(self, worker: WorkerProcess) -> None:
        self._tasks.start(self.replace(worker))

    async def replace(self, worker: SlotHolder) -> None:
        """Give a worker's slot to a new worker. The old one drains."""
        async with self.editing:
            if self._edition is None or self._is_ending or self._slots[worker.slot] is not worker:
                return
            try:
                await self._fill(worker.slot, self._edition)
            except (QuestionRefused, ChannelLost, OSError) as error:
                self._restarts.report(worker.slot, error)

    def _leave(self, worker: WorkerProcess) -> None:
        """Expect a worker to end from now on. The caller starts its drain."""
        worker.is_retiring = True
        self._leaving[worker] = asyncio.Event()

    async def _drain(self, worker: WorkerProcess, times: int = 1) -> None:
        assert self._edition is not None  # it has served by one
        seconds = times * self._edition.loaded.config.limits.drain_seconds  # clients of several come back in turn
        try:
            with contextlib.suppress(ChannelLost, QuestionRefused, TimeoutError):
                async with asyncio.timeout(seconds + self._patience.goodbye):
                    worker.last = await worker.ask(Drain(seconds, gently=not self._is_ending))
                    await worker.gone.wait()
            worker.kill()
            await worker.gone.wait()
            self._owner.worker_gone(worker)
        finally:
            self._leaving.pop(worker, asyncio.Event()).set()  # missing if `let_go` has cleared it

    async def end(self) -> None:
        """Drain all workers and wait until they are gone."""
        self._is_ending = True
        for worker in self.workers:
            self._leave(worker)
            self._tasks.start(self._drain(worker))
        for left in list(self._leaving.values()):
            await left.wait()

    async def let_go(self) -> None:
        """Let all workers drain by themselves: this process may end. Kills silent workers."""
        self._is_ending = True
        assert self._edition is not None  # it has served by one
        leave = Leave(self._edition.loaded.config.limits.drain_seconds)
        for worker, answer in (await self.ask_all(leave, self._patience.goodbye)).items():
            if answer is None:
                worker.kill()
            else:
                worker.last = answer
            worker.let_go()
            self._owner.worker_gone(worker)
        self._leaving.clear()
        self._slots = []

    async def end_now(self) -> None:
        """Cut short the drains in progress. Kills a worker that does not say goodbye."""
        leaving = list(self._leaving)
        await self._tell(leaving, lambda _: (EndNow(), []))
        await gone(leaving, self._patience.goodbye)
        await self._dismiss(leaving)

    async def close(self) -> None:
        """End all workers at once, and wait until they are gone."""
        self._is_ending = True
        await self._dismiss([*self.workers, *self._leaving])
