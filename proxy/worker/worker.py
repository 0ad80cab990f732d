"""A worker's listeners and connections, and the generation that they serve by."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from config.tables.plain import PLAIN_LISTENER
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.building.resources import resource_limits
from proxy.building.routes.maintenance import maintenance_of
from proxy.downstream.listeners.listener import Listener
from proxy.downstream.listeners.listening import ListenerServices
from proxy.downstream.listeners.plain_listener import PlainListener, PlainServices
from proxy.downstream.service.ledger import RequestLedger
from proxy.downstream.service.service import HttpService
from proxy.downstream.service.spool import spool_directories
from proxy.figures.snapshot import ServerCounts, Snapshot
from proxy.limits.machine import ProcessFigures, memory_bytes, most_descriptors
from proxy.limits.scarcity import ResourceLimits, Scarcity
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.net.in_thread import in_thread
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks, report_callbacks
from proxy.net.waiting import happened
from proxy.observe.counts.breaking import BreakingClients, day_of
from proxy.observe.counts.counters import Counters
from proxy.observe.events.event import Event, Tell
from proxy.observe.events.process import Drained, UnexpectedError
from proxy.observe.events.tokens import TokenBreaker
from proxy.observe.lag import LoopLag
from proxy.observe.logs.log import Log
from proxy.observe.startup import ListenerOffer
from proxy.observe.turned_away import TurnedAway
from proxy.processes.messages.answers import ServerSeen
from proxy.processes.messages.questions import MaintainedRoute, ShowChallenges, Verdict
from proxy.quic.post import unused_prefix
from proxy.signing.breaker import BreakerState
from proxy.signing.race import SigningServices
from proxy.signing.token import Timing
from proxy.signing.tokens import Tokens
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.openssl.driver import new_driver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.tokens.openssl_setup import instances_of
from proxy.tls.tokens.probe import KeyTrial, try_key
from proxy.upstream.pooling.pools import PoolResources
from proxy.worker.generation import Generation

# For the last bytes of the connections that the end of a drain closes.
_LAST_WORDS_SECONDS: Final = 1.0
_LET_GO_SECONDS: Final = 0.1


class Parent(Protocol):
    """What a worker tells its parent by itself. No method waits."""

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """Tell the state of the breaker of a token."""

    def let_go(self, seconds: float) -> None:
        """Continue without the parent, which ends, for up to `seconds`."""

    def retire(self) -> None:
        """Ask for another process in place of this one, which then drains."""

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Tell the keys, by their URIs, that this process does not find in a token that works."""


def _today() -> str:
    return day_of(time.time())  # noqa: TID251 - a driver


class Worker:
    """Serves by one generation until another one replaces it, or until it is drained."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        generation: Generation,
        log: Log,
        shared: SharedTable,
        parent: Parent,
        slot: int = 0,
    ) -> None:
        """`shared`: the counts of all workers. Accepts nothing before `accept_on`.

        `slot` is that of this process among the workers.
        """
        self._loop = loop
        self._generation = generation
        generation.payload_uses.revoke(generation.payload_revoked)
        self._log = log
        self.counters = Counters(log.losses, BreakingClients(_today))
        self._lag = LoopLag(loop, time.perf_counter, self.counters.loop_lag)
        self._deadlines = Deadlines(loop)
        self._tasks = Tasks(loop, self.unexpected)
        self._tokens = Tokens(Timing(loop, loop.time), self.counters.token, _TokenEvents(self._event, parent))
        io = SharedIo(loop)
        self._resources = PoolResources(io, self._tasks, self._deadlines)
        self._turned_away = TurnedAway(loop, self.counters.failure, self._event)
        self._http = HttpService(
            loop,
            self._deadlines,
            generation.http(self._resources),
            RequestLedger(
                log.request,
                self.counters,
                shared,
                log_event=self._event,
                count_shed=self._turned_away.add,
            ),
            time.time,  # noqa: TID251 - a driver
            io.after_reports,
        )
        self._http.use_spool(spool_directories(os.environ.get("TMPDIR")))
        self._figures = ProcessFigures()
        self._scarcity = Scarcity(loop, self._figures, self._http, self._turned_away.add)
        io.socket_refused = self._scarcity.socket_refused
        self._challenges = PendingChallenges()
        self._maintained: tuple[MaintainedRoute, ...] = ()
        self._services = ListenerServices(
            io,
            self._deadlines,
            self._http,
            self.counters,
            FlightServices.of(
                new_driver(), StepQueue(io.after_reports), SigningServices(loop, loop.time, self._tokens)
            ),
            self._event,
            self._scarcity,
            self._turned_away,
            shared,
            self._challenges,
            self._event,
            worker_prefix=unused_prefix(
                slot, {name: one.quic_keys for name, one in generation.listeners.items() if one.quic is not None}
            ),
        )
        self._listeners: dict[str, Listener] = {}
        self._alternatives: Mapping[str, bytes] = {}
        self._plain_services = PlainServices(io, self._http, self._scarcity, self._turned_away)
        self._plain = PlainListener(generation.plain, self._plain_services)
        self._ends_now = asyncio.Event()
        report_callbacks(loop, self.unexpected)
        self._deadlines.start()
        self._lag.start()
        self._scarcity.start(_resources(generation))
        self._tokens.use(generation.tokens)

    @property
    def generation(self) -> Generation:
        """The generation that serves new connections and new requests."""
        return self._generation

    def accept_on(self, sockets: Mapping[str, Collection[socket.socket]]) -> None:
        """Accept on exactly these sockets, by the name of their listener; close others."""
        self._plain.accept_on(sockets.get(PLAIN_LISTENER, ()))
        with_tls = {name: several for name, several in sockets.items() if name != PLAIN_LISTENER}
        for name, listener in list(self._listeners.items()):
            if name not in with_tls:
                listener.accept_on(())
                listener.receive_on(())
                del self._listeners[name]
        for name, several in with_tls.items():
            if name not in self._listeners:
                listener = self._listeners[name] = Listener(self._generation.listeners[name], self._services)
                listener.alternative.say(self._alternatives.get(name, b""))
            self._listeners[name].accept_on([one for one in several if one.type is socket.SOCK_STREAM])
            self._listeners[name].receive_on([one for one in several if one.type is socket.SOCK_DGRAM])

    def leave_sockets(self) -> None:
        """Accept nothing more; the next process takes the connections that wait on the sockets."""
        self._plain.leave()
        for listener in self._listeners.values():
            listener.leave()
        self._listeners.clear()

    def take(self, listener: str, sock: socket.socket) -> bool:
        """Serve a connection that the parent has made; False if there is no such listener."""
        if listener not in self._listeners:
            return False
        self._listeners[listener].take(sock)
        return True

    def swap(self, generation: Generation) -> None:
        """Serve by another generation, from the next connection and the next request on."""
        past: list[object] = [self._generation, self._http.runtime]
        # thousands of objects are freed with these two: in another turn of the loop
        self._loop.call_later(_LET_GO_SECONDS, past.clear)
        self._generation = generation
        generation.payload_uses.revoke(generation.payload_revoked)
        self._tokens.use(generation.tokens)
        self.counters.swaps += 1
        for name, listener in self._listeners.items():
            listener.serve_by(generation.listeners.get(name, listener.runtime))
        self._plain.rules = generation.plain
        self._scarcity.start(_resources(generation))
        seconds = generation.loaded.config.limits.drain_seconds
        self._http.maintenance = maintenance_of(self._maintained, seconds)
        self._http.use(generation.http(self._resources, self._http.runtime), seconds)
        self._http.use_spool(spool_directories(os.environ.get("TMPDIR")))

    def servers(self) -> list[ServerCounts]:
        """The statistics of all servers of all upstreams."""
        return [one for upstream in self._http.runtime.upstreams.values() for one in upstream.statistics()]

    def standing(self) -> tuple[ServerSeen, ...]:
        """How this process sees each server of all upstreams: a small part of `servers`."""
        upstreams = self._http.runtime.upstreams.values()
        return tuple(ServerSeen(*one) for upstream in upstreams for one in upstream.standing())

    def apply_verdict(self, verdict: Verdict) -> None:
        """Act on what the parent knows about a server; ignore an unknown one."""
        upstream = self._http.runtime.upstreams.get(verdict.upstream)
        if upstream is None:
            return
        with contextlib.suppress(KeyError):
            if verdict.is_up is not None:
                upstream.apply_health(verdict.server, verdict.is_up)
            if verdict.drains_until is None:
                upstream.undrain(verdict.server)
            else:
                upstream.drain(verdict.server, max(0.0, verdict.drains_until - self._loop.time()))

    def follow_challenges(self, shown: ShowChallenges) -> None:
        """Show CAs exactly these challenges, and others these lists of revocations."""
        self._challenges.follow(shown.names)
        self._plain_services.tokens = dict(shown.tokens)
        self._plain_services.lists = dict(shown.lists)

    def follow_maintenance(self, routes: tuple[MaintainedRoute, ...]) -> None:
        """Take exactly these routes out of service."""
        if routes != self._maintained:
            self._maintained = routes
            seconds = self._generation.loaded.config.limits.drain_seconds
            self._http.maintain(maintenance_of(routes, seconds))

    def follow_alternatives(self, values: Mapping[str, bytes]) -> None:
        """Tell clients exactly these values of Alt-Svc, by the names of their listeners."""
        if values != self._alternatives:
            self._alternatives = dict(values)
            for name, listener in self._listeners.items():
                listener.alternative.say(values.get(name, b""))

    async def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Stop accepting, let what is in progress finish, then close what is left.

        `gently`: see `connections.Drainable`.
        """
        for listener in self._listeners.values():
            listener.end_datagrams()
        self.accept_on({})
        quiet = self._http.connections.drain(seconds, gently=gently)
        waiting = {self._loop.create_task(quiet.wait()), self._loop.create_task(self._ends_now.wait())}
        _, unfinished = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in unfinished:
            task.cancel()
        self._http.connections.give_up("the time to drain is over")
        await happened(quiet, _LAST_WORDS_SECONDS)
        await self._tasks.cancel_all()
        self._deadlines.stop()
        self._lag.stop()
        self._scarcity.stop()
        self._turned_away.stop()
        self._figures.close()
        self._http.spool.close()
        self._tokens.close()

    def end_now(self) -> None:
        self._ends_now.set()

    def token_says(self, token: str, silent_slots: Collection[int], *, ok: bool) -> None:
        """Act on the parent's probe of a token; ignore one that is not used here.

        `silent_slots` are those of the module whose token does not answer.
        """
        if token in self._tokens:
            instances_of(self.generation.loaded).silent_slots = frozenset(silent_slots)
            self._tokens[token].parent_says(ok=ok)

    def token_pin(self, token: str, *, is_refused: bool) -> None:
        """Stop or resume logging in to a token; ignore one that is not used here."""
        if token not in self._tokens:
            return
        if is_refused:
            self._tokens[token].pin_refused()
        else:
            self._tokens[token].pin_may_be_tried()

    def tokens_refused(self, tokens: Collection[str]) -> None:
        """Log in to all tokens but these. Closes the gap while this process prepared."""
        for name in self._tokens:
            self.token_pin(name, is_refused=name in tokens)

    async def try_key(self, wanted: Pkcs11Uri) -> KeyTrial:
        """Try to sign with a key of a token, in a thread: a token may take long."""
        keys = list(self._generation.carried.token_keys.values())
        loaded = self._generation.loaded
        if loaded.config.hsm is None:
            return KeyTrial(is_used=False, signs=False)
        instances = instances_of(loaded)
        return await in_thread(self._loop, lambda: try_key(keys, wanted, instances))

    def snapshot(self) -> Snapshot:
        """All counters, with those of tokens, for `observe.counts.merging`."""
        return {**self.counters.snapshot(), **self._http.rows(), **self._tokens.rows()}

    def left_alone(self) -> None:
        """Log that the last connection is gone, in place of the parent, which has ended."""
        self._event(Drained(os.getpid()))

    def _event(self, event: Event) -> None:
        self._log.event(self._http.wall_clock(), event)

    def unexpected(self, error: BaseException) -> None:
        """Log an unexpected error; everything else continues."""
        self._event(UnexpectedError.of(error))


class _TokenEvents:
    """Reports what happens to tokens: to the log and to the parent."""

    def __init__(self, event: Tell, parent: Parent) -> None:
        self._event = event
        self._parent = parent

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        self._event(TokenBreaker(token, str(state)))
        self._parent.breaker_changed(token, state)

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        self._parent.keys_missing(token, keys)  # the parent logs it once for all workers


def _resources(generation: Generation) -> ResourceLimits:
    return resource_limits(generation.loaded.config, memory_bytes(), most_descriptors())


def offers_of(generation: Generation) -> list[ListenerOffer]:
    """What a generation offers on each listener, for the start-up report."""
    return [
        ListenerOffer(
            name=name,
            pq=runtime.policy.pq,
            groups=runtime.policy.preference.openssl_list(),
            cipher_suites=runtime.cipher_suites,
            identities=generation.identity_algorithms,
        )
        for name, runtime in generation.listeners.items()
    ]
