"""Answers the admin server's questions about the fleet, and lets nodes into it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final, TypeVar, cast

from certs.audit.entries import Action, Outcome, Told
from certs.backup.recoverable import NotRecovered
from config.values.problems import ConfigError
from proxy.admin.requests.problems import CommandRefused
from proxy.api.fleet import (
    ExpelDocument,
    FleetDocument,
    FleetLeadDocument,
    FleetMemberRow,
    FleetNodeRow,
    FleetReloadDocument,
    InvitationDocument,
    JoinDocument,
)
from proxy.observe.scrape import TICKETS_PLANNED, FleetFacts, FleetFault
from proxy.supervisor.membership.admissions import INVITED_SECONDS, Admissions, MemberFacts, NotAdmitted
from proxy.supervisor.membership.epochs import Expelled, recoverable
from proxy.supervisor.membership.joining import NotJoined
from proxy.supervisor.membership.kinds.fleet_reload import OfferedAlready
from proxy.supervisor.membership.kinds.orders import Orders
from proxy.supervisor.membership.kinds.rows import AuthorityRow
from proxy.supervisor.membership.member import Member
from proxy.supervisor.membership.places import (
    AUTHORITIES,
    CERTIFICATES,
    REQUESTS,
    ROTATIONS,
    SESSION_IDENTITY,
    leader_of,
    nodes_of,
)
from proxy.supervisor.membership.refusals import ClockDiffers, StoreRestored
from proxy.supervisor.membership.shared import Conflict, SharedAway
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, NotAMember
from proxy.supervisor.membership.shared_parts import SharedParts
from proxy.supervisor.membership.state import Taken
from proxy.supervisor.membership.values import ValueUnusable

_LEAD_SECONDS: Final = 10.0
"""Twice the time after which another node leads."""
_LOOK_SECONDS: Final = 0.05
_APPROVE_SECONDS: Final = 1.0
_RECOVERY_SECONDS: Final = 5.0
_KINDS_OF_FAULT: Final[Mapping[type[object], FleetFault]] = {
    ClockDiffers: FleetFault.CLOCK,
    StoreRestored: FleetFault.RESTORED,
}
Result = TypeVar("Result")


class SupervisorFleet:
    """Implements `admin.requests.contracts.FleetControl`."""

    def __init__(
        self,
        member: Member,
        parts: SharedParts,
        orders: Orders,
        planned: Callable[[], Mapping[str, float]],
        told: Told,
        *,
        auto_approve: bool = False,
    ) -> None:
        """`planned` is what else goes on without the store, up to when, in UNIX seconds. `told`
        writes to the audit log who got the key of the fleet. For `auto_approve` see `FleetConfig`.
        """
        self._member = member
        self._parts = parts
        self._orders = orders
        self._planned = planned
        self._told = told
        self._auto_approve = auto_approve

    async def run(self) -> None:
        """The membership itself, which runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._member.run())
            group.create_task(self._stay_recoverable())
            if self._auto_approve:
                group.create_task(self._approve_all())

    async def _approve_all(self) -> None:
        member = self._member
        while True:
            await asyncio.sleep(_APPROVE_SECONDS)
            for node in nodes_of(REQUESTS, member.entries) if member.is_leading else ():
                with suppress(CommandRefused):  # of who has no invitation; an operator hears why by approve
                    await self.approve(node)

    async def _stay_recoverable(self) -> None:
        """And a member: also after an epoch, a restore of the store, and a rotation of the sealing
        key.
        """
        while True:
            await asyncio.sleep(_RECOVERY_SECONDS)
            if self._member.has_begun:
                with suppress(*NOT_WRITTEN):  # it is tried again, and status tells
                    await Admissions(self._member).stay_member()
                    await Admissions(self._member).make_recoverable()

    def facts(self) -> FleetFacts:
        member = self._member
        nodes = self._parts.nodes
        plan = self._parts.tickets.plan
        reference = self._reference
        return FleetFacts(
            node=member.name,
            fault=member.fault,
            kind=_KINDS_OF_FAULT.get(type(member.trouble), FleetFault.STORE),
            planned={} if plan is None else {TICKETS_PLANNED: plan.until, **self._planned()},
            leader=leader_of(member.entries),
            is_leading=member.is_leading,
            members=len(member.members),
            alive=len(nodes.alive),
            revision=member.revision,
            epoch=member.state.key.epoch if member.has_begun and member.state.key is not None else None,
            skew=member.skew,
            others={} if reference is None else nodes.differing(reference),
            broken_logs=dict(nodes.broken),
        )

    @property
    def _reference(self) -> str | None:
        """The configuration that the others are compared with: that of the leader."""
        facts = self._parts.nodes.facts
        found = facts.get(leader_of(self._member.entries) or self._member.name) or facts.get(self._member.name)
        return None if found is None else found.configuration

    async def listed(self) -> FleetDocument:
        member = self._joinable()
        state = member.state
        admissions = Admissions(member)
        plan = self._parts.tickets.plan
        return {
            "node": member.name,
            "key": state.private.public.id,
            "epoch": None if state.key is None else state.key.epoch,
            "is_expelled": isinstance(member.trouble, Expelled),
            "leader": leader_of(member.entries),
            "is_leading": member.is_leading,
            "revision": member.revision,
            "fault": member.fault,
            "tickets_until": None if plan is None else plan.until,
            "skew": member.skew,
            "members": []
            if state.key is None
            else [self._member_row(one) for one in sorted(admissions.members(), key=lambda one: one.node)],
            "requests": [_row(one) for one in admissions.requests()],
            "recoverable": recoverable(member.entries),
        }

    def _member_row(self, member: MemberFacts) -> FleetMemberRow:
        nodes = self._parts.nodes
        facts = nodes.facts.get(member.node)
        broken = nodes.broken.get(member.node)
        return {
            **_row(member),
            "alive": member.node in nodes.alive,
            "version": None if facts is None else facts.version,
            "schema": None if facts is None else facts.schema,
            "configuration": None if facts is None else facts.configuration,
            "differs": facts is not None and facts.configuration != self._reference,
            "log_fault": None if broken is None else broken[1],
        }

    async def give_lead(self, to: str | None) -> FleetLeadDocument:
        member = self._joined()
        if to is None and not member.is_leading:
            raise CommandRefused(409, f"{member.name} does not lead, {leader_of(member.entries) or 'no node'} does")
        if to is not None and to not in self._parts.nodes.alive:
            raise CommandRefused(409, f"no member {to} is alive: look at plexigate fleet status")
        if to is None and self._parts.nodes.alive <= {member.name}:
            raise CommandRefused(409, "no other node is alive that could lead")
        if to is not None and to == leader_of(member.entries):
            return {"node": member.name, "leader": to}
        await _translated(self._parts.lead.give(member, to))

        def another_leads() -> bool:
            leader = leader_of(member.entries)
            return leader == to if to else leader not in {None, member.name}

        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAD_SECONDS):
                while not another_leads():  # noqa: ASYNC110 - a moment, for an operator
                    await asyncio.sleep(_LOOK_SECONDS)
        return {"node": member.name, "leader": leader_of(member.entries)}

    async def reload(self) -> FleetReloadDocument:
        member = self._joined()
        try:
            made = await _translated(self._parts.reload.offer(member))
        except ValueError as error:
            raise CommandRefused(409, f"the configuration of this node is no TOML: {error}") from None
        return {
            "ok": made.has_committed and not any(made.faults.values()),
            "committed": made.has_committed,
            "configuration": made.digest,
            "nodes": [{"node": node, "fault": fault} for node, fault in made.faults.items()],
        }

    async def invite(self) -> InvitationDocument:
        token = await _translated(Admissions(self._joinable()).invite())
        self._told(Action.GENERATE, "fleet invitation", Outcome.DONE, f"for {INVITED_SECONDS} s")
        return {"token": token, "seconds": INVITED_SECONDS}

    async def join(self, token: str) -> JoinDocument:
        member = self._joinable()
        await _translated(Admissions(member).join(token))
        return {"node": member.name, "key": member.state.private.public.id}

    async def approve(self, node: str) -> FleetNodeRow:
        facts = await _translated(Admissions(self._joinable()).approve(node))
        self._told(Action.EXPORT, "fleet key", Outcome.DONE, f"to the node {node}, key {facts.key}")
        return _row(facts)

    async def recover(self) -> FleetNodeRow:
        facts = await _translated(Admissions(self._joinable()).recover())
        self._told(Action.RECOVER, "fleet key", Outcome.DONE, f"by the sealing key of the node {facts.by}")
        return _row(facts)

    async def order(self, name: str, content: object | None) -> None:
        """See `places.Order`. Raises `CommandRefused`."""
        await _translated(self._orders.give(name, content))

    async def expel(self, node: str) -> ExpelDocument:
        member = self._joinable()
        # keys of certificates are on the shelf of each node, and not in its state
        of_certificates = (name for name in member.entries if name.startswith((CERTIFICATES, ROTATIONS)))
        known = ", ".join(sorted({name.partition("/")[0] for name in (*member.state.values, *of_certificates)}))
        epoch = await _translated(Admissions(member).expel(node))
        required = [*_required(member.state.values)]
        self._told(
            Action.ROTATE,
            "fleet key",
            Outcome.DONE,
            f"epoch {epoch}, without the node {node}, which knew the secrets of epoch {epoch - 1}: {known}",
        )
        return {"node": node, "epoch": epoch, "required": required}

    async def accept_restore(self) -> FleetDocument:
        member = self._joinable()
        await _translated(member.accept_restore())
        self._told(
            Action.RECOVER, "fleet store", Outcome.DONE, f"of an earlier time is used, in epoch {member.key.epoch}"
        )
        return await self.listed()

    def _joined(self) -> Member:
        member = self._joinable()
        if member.state.key is None:
            raise CommandRefused(409, str(NotAMember()))
        return member

    def _joinable(self) -> Member:
        if not self._member.has_begun:
            raise CommandRefused(409, f"this node cannot read its own state: {self._member.fault or 'it is starting'}")
        return self._member


def _required(values: Mapping[str, Taken]) -> Iterator[str]:
    """What no epoch replaces, because clients trust it."""
    for name, taken in values.items():
        if taken.content is None:
            continue
        if name == SESSION_IDENTITY:
            yield (
                "the node knows the identity of payload sessions: run plexigate payload identity --replace --output FILE, "
                "and let clients pin FILE"
            )
        elif (
            name.startswith(AUTHORITIES) and (has_known := AuthorityRow.read(taken.content).has_known_root) is not False
        ):
            unless = "" if has_known else ", unless it was moved away before the node joined"
            yield (
                f"the node knows the root key of the internal CA {name.removeprefix(AUTHORITIES)}{unless}: add another "
                '[issuer.NAME] of type "internal" on all nodes, run plexigate reload --fleet and plexigate certs trust '
                "NAME --out FILE, let clients trust FILE, then name that issuer in the credentials and reload again"
            )


def _row(facts: MemberFacts) -> FleetNodeRow:
    return cast("FleetNodeRow", asdict(facts))


async def _translated(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return await work
    except Conflict:
        raise CommandRefused(
            409, "another node has changed the same meanwhile: look at plexigate fleet status"
        ) from None
    except SharedAway as error:
        raise CommandRefused(409, f"the store of the fleet cannot be used: {error}") from None
    except (ConfigError, NotAdmitted, NotJoined, NotRecovered, OfferedAlready, ValueUnusable, *NOT_WRITTEN) as error:
        raise CommandRefused(409, str(error)) from None
