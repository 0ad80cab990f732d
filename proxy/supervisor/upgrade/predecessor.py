"""The running process as the new one sees it, from the start of the new process on.

The new process reads its configuration before it has an event loop, so it talks in two ways: it
waits for each message until it is ready, and listens beside its other work from then on.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from config.values.problems import Problem
from proxy.processes.upgrade_wire import PROTOCOL, VARIABLE, UpgradeWire, WireBroken
from proxy.supervisor.upgrade import handover
from proxy.supervisor.upgrade.handover import Handed, HandedState


class GivenBack(Exception):
    """The older process continues to serve, and this one has to end."""

    def __str__(self) -> str:
        return "the older process continues to serve"


class ProvenWorkforce(Protocol):
    """The workers of this process: a `Workforce`."""

    @property
    def workers(self) -> Sequence[object]: ...

    async def answering(self) -> int: ...


class Predecessor:
    """The older process at the other end of the wire."""

    def __init__(self, wire: UpgradeWire) -> None:
        self._wire = wire
        self.workers: tuple[int, ...] = ()
        """The workers that it leaves, by their process ids."""
        self.memory: Mapping[str, Any] = {}
        """What only its memory had (`ParentMemory.document`)."""
        self.has_left_state = False
        """Whether the state was given to this process. The older one leaves once this one has
        confirmed that it owns everything."""
        self.wants_reload = False
        """Whether it was asked for a reload that it leaves to this process."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Predecessor | None":
        """Take the variable that the older process has set. None without an upgrade."""
        number = environment.pop(VARIABLE, "")
        if not number.isdecimal():
            return None
        try:
            sock = socket.socket(fileno=int(number))
        except OSError:
            return None  # left behind by an upgrade of long ago
        sock.set_inheritable(inheritable=False)
        return cls(UpgradeWire(sock))

    # -- before the event loop

    def greet(self) -> tuple[HandedState, Handed]:
        """Say who this is, and take what is handed over.

        Raises `GivenBack`, `WireBroken` or `handover.HandoverUnreadable`.
        """
        self._wire.say("hello", {"protocol": PROTOCOL, "version": version("plexigate"), "pid": os.getpid()})
        said = self._wire.hear()
        if said.kind == "give back":
            raise GivenBack
        return handover.read(said)

    def step(self, text: str) -> None:
        with contextlib.suppress(WireBroken):
            self._wire.say("step", {"step": text})

    def refuse(self, reason: str, problems: Sequence[Problem] = ()) -> None:
        """Say why this process cannot take over."""
        errors = [one.as_json() for one in problems if one.is_error]
        with contextlib.suppress(WireBroken):
            self._wire.say("refused", {"reason": reason, "problems": errors})

    # -- beside other work

    async def may_take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say that all workers are ready, and wait for the order to serve. Raises `GivenBack`."""
        try:
            self._wire.say("ready")
            said = await self._wire.heard(loop)
        except WireBroken:
            raise GivenBack from None
        if said.kind != "take":
            raise GivenBack

    async def proven(self, loop: asyncio.AbstractEventLoop, places: Sequence[str], workforce: ProvenWorkforce) -> None:
        """Say that all workers serve, and wait until the older process leaves everything.

        `places` are the Unix sockets of the admin server. Each answer to a question of the older
        process counts the workers that answer this one. Raises `GivenBack`, or `WireBroken` if the
        older process has ended in between.
        """
        self._wire.say("serving", {"places": list(places), "workers": len(workforce.workers)})
        while True:
            said = await self._wire.heard(loop)
            match said.kind:
                case "ping":
                    self._wire.say("pong", {"workers": await workforce.answering()})
                case "keep":
                    found = said.body.get("workers", ())
                    self.workers = tuple(one for one in found if isinstance(one, int))
                    self.memory = dict(said.body.get("memory", {}))
                    self.has_left_state = True
                    self._wire.say("kept")
                    return await self._is_left(loop)
                case _:
                    raise GivenBack

    async def _is_left(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until the service manager knows that this is the main process."""
        said = await self._wire.heard(loop)
        if said.kind != "main":
            raise GivenBack
        self.wants_reload = bool(said.body.get("reload"))

    def confirm(self) -> None:
        """Say that this process owns everything: the older one ends. If this is never said, it
        ends this process and serves again."""
        with contextlib.suppress(WireBroken):
            self._wire.say("owns")

    def close(self) -> None:
        self._wire.close()
