"""The rings of payload encryption in a fleet, and the identity that signs the keys of sessions.

All nodes serve by the same plans, each by its own clock. The leader plans one key ahead; a command
on any node brings the next key forward. What a node serves by is in its own store of rings too.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from proxy.net.in_thread import in_thread
from proxy.net.waiting import happened
from proxy.payload.key_document import Identity
from proxy.payload.keys.keyring import Keyring, NoSuchKey, RingNotChanged, RingPolicy
from proxy.payload.keys.suite_table import new_secret
from proxy.supervisor.membership.kinds.keys.ring_plan import NOTICE_SECONDS, RingPlan
from proxy.supervisor.membership.places import SESSION_IDENTITY
from proxy.supervisor.membership.shared import Conflict
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode

PREFIX: Final = "payload/"
_RINGS: Final = "payload/rings/"
_LONGEST_SECONDS: Final = 60.0
"""The time until a clock that was set is noticed."""
_DAY: Final = 86_400.0
_REFUSED_SECONDS: Final = 30.0
"""After workers have not taken new keys."""


class ServedRings(Protocol):
    """The rings of this process."""

    @property
    def rings(self) -> Mapping[str, Keyring]: ...

    @property
    def policies(self) -> Mapping[str, RingPolicy]:
        """When each ring of the configuration rotates."""

    async def identity(self) -> Identity | None:
        """The identity that signs sessions; None without sessions, or if it cannot be read."""

    async def follow(self, rings: Mapping[str, Keyring], identity: Identity | None) -> bool:
        """Serve by these from now on, sessions by this identity; whether that succeeded."""


class Rings:
    """A `SharedKind`. The first leader goes on with the keys that it has."""

    prefix: Final = PREFIX
    is_kept: Final = True

    def __init__(self, served: ServedRings, clock: Callable[[], float]) -> None:
        """The process serves by its own rings until `take`. `clock` gives UNIX seconds."""
        self._served = served
        self._clock = clock
        self.plans: dict[str, RingPlan] = {}
        self._identity: Identity | None = None
        """That of the fleet."""
        self._own_identity: Identity | None = None
        self._secrets: dict[str, bytes] = {}
        """For the next key of each ring; some take a while to make."""
        self._changed = asyncio.Event()
        self._node: FleetNode | None = None

    def parse(self, name: str, content: Any) -> RingPlan | Identity:
        return Identity.from_json(content) if name == SESSION_IDENTITY else RingPlan.from_json(content)

    def take(self, changed: Mapping[str, Any]) -> None:
        for name, found in changed.items():
            if name == SESSION_IDENTITY:
                self._identity = found
            elif found is not None:
                ring = name.removeprefix(_RINGS)
                self.plans[ring] = found
                if any(one.secret == self._secrets.get(ring) for one in found.keys):
                    del self._secrets[ring]
        self.tick()

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        writes: dict[str, object | None] = {}
        if self._identity is None and self._own_identity is not None:
            writes[SESSION_IDENTITY] = self._own_identity.as_json()
        rings = self._served.rings
        for name, policy in self._served.policies.items():
            plan = self.plans.get(name)
            if name in rings and (due := self._due(name, plan, rings[name], policy, (now, epoch))) is not plan:
                writes[_RINGS + name] = due.as_json()
        return writes

    def _due(
        self, name: str, plan: RingPlan | None, ring: Keyring, policy: RingPolicy, moment: tuple[float, int]
    ) -> RingPlan:
        now, epoch = moment
        if plan is None:
            return RingPlan.begun(ring, epoch)
        secret = self._secrets.get(name)
        if secret is None:
            self.tick()
        elif plan.epoch < epoch:
            return plan.renewed(now, policy, secret, epoch)
        elif plan.needs_key(now):
            return plan.extended(now, policy, secret)
        if ring.is_due(policy, now) and (plan.until_change(now) or 0) > NOTICE_SECONDS:
            return plan.rotated(now)
        return plan

    @property
    def planned(self) -> dict[str, float]:
        """Up to when the last key of each ring may serve, in UNIX seconds: a day at least, also if
        it is to be replaced each hour.
        """
        policies = self._served.policies
        return {
            f"payload ring {name}": plan.keys[-1].begins + max(policies[name].rotate_seconds, _DAY)
            for name, plan in self.plans.items()
            if name in policies
        }

    async def run(self, node: FleetNode) -> None:
        self._node = node
        self._own_identity = await self._served.identity()
        while True:
            is_followed = await self._follow()
            await self._make_secrets()
            now = self._clock()
            changes = [plan.until_change(now) or _LONGEST_SECONDS for plan in self.plans.values()]
            wait = min([_LONGEST_SECONDS, *changes]) if is_followed else _REFUSED_SECONDS
            await happened(self._changed, wait)
            self._changed.clear()

    async def _follow(self) -> bool:
        now = self._clock()
        policies = self._served.policies
        own = self._served.rings
        rings = {
            name: plan.ring(own[name], policies[name], now)
            for name, plan in self.plans.items()
            # another variant of a KEM is of no use here
            if name in own and name in policies and plan.variant == own[name].variant
        }
        changed = {name: ring for name, ring in rings.items() if ring != own[name]}
        identity = None if self._identity == self._own_identity else self._identity
        if not changed and identity is None:
            return True
        is_followed = await self._served.follow(changed, identity)
        if is_followed and identity is not None:
            self._own_identity = identity
        return is_followed

    async def _make_secrets(self) -> None:
        missing = [name for name in self._served.policies if name in self.plans and name not in self._secrets]
        for name in missing:
            self._secrets[name] = await in_thread(asyncio.get_running_loop(), partial(new_secret, name))
        if missing and self._node is not None:
            self._node.wake()

    def tick(self) -> None:
        """Look at the plans and the clock again, which may have changed."""
        self._changed.set()

    # -- what operators order

    def shares(self, name: str) -> bool:
        """Whether this node serves by a ring of the fleet with this name."""
        return name in self.plans

    async def rotate(self, name: str) -> int:
        """Let the next key encrypt as soon as all nodes know it, and return its version.

        Raises `RingNotChanged`.
        """
        plan = self._extended(name)
        await self._write(_RINGS + name, plan.rotated(self._clock()).as_json())
        return plan.keys[-1].version

    async def end(self, name: str, version: int, *, is_revoked: bool) -> None:
        """End a key. If it is to be revoked and encrypts, the next one does at once.

        Raises `NoSuchKey` and `RingNotChanged`.
        """
        now = self._clock()
        plan = self.plans[name]
        active = plan.active(now)
        if not any(one.version == version for one in plan.keys):
            raise NoSuchKey(name, version, "is no key of the fleet")
        if active.version == version:
            if not is_revoked:
                raise NoSuchKey(name, version, "is the active one: rotate first")
            plan = self._extended(name).at_once(now)
        await self._write(_RINGS + name, plan.without(version, now, is_revoked=is_revoked).as_json())

    async def replace_identity(self, identity: Identity) -> None:
        """Sign sessions by it on all nodes. Raises `RingNotChanged`."""
        await self._write(SESSION_IDENTITY, identity.as_json())

    def _extended(self, name: str) -> RingPlan:
        plan = self.plans[name]
        now = self._clock()
        if not plan.needs_key(now):
            return plan
        secret = self._secrets.get(name)
        if secret is None:
            raise RingNotChanged(f"a key for {name} is being made: try again in a moment")
        return plan.extended(now, self._served.policies[name], secret)

    async def _write(self, name: str, content: object) -> None:
        if self._node is None:
            raise RingNotChanged("the node is starting")
        try:
            await self._node.write({name: content})
        except Conflict:
            what = "the identity" if name == SESSION_IDENTITY else f"the ring {name.removeprefix(_RINGS)}"
            raise RingNotChanged(f"another node has changed {what} meanwhile: look again") from None
        except NOT_WRITTEN as error:
            raise RingNotChanged(str(error)) from None
