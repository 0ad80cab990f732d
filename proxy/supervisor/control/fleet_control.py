"""Answers the admin server's questions about the fleet, and lets nodes into it."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar, cast

from certs.audit.entries import Action, Outcome, Told
from certs.sealing.files import SealedFileUnusable
from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import FleetDocument, FleetNodeRow, InvitationDocument, JoinDocument
from proxy.observe.scrape import FleetFacts
from proxy.supervisor.membership.admissions import INVITED_SECONDS, Admissions, MemberFacts, NotAdmitted
from proxy.supervisor.membership.joining import NotJoined
from proxy.supervisor.membership.kinds.orders import Orders
from proxy.supervisor.membership.kinds.tickets import Tickets
from proxy.supervisor.membership.member import Member, NotAMember
from proxy.supervisor.membership.places import nodes_of
from proxy.supervisor.membership.shared import LEADER, Conflict, SharedAway
from proxy.supervisor.membership.values import ValueUnusable

Result = TypeVar("Result")


class SupervisorFleet:
    """Implements `admin.requests.contracts.FleetControl`."""

    def __init__(self, member: Member, tickets: Tickets, orders: Orders, told: Told) -> None:
        """`told` writes to the audit log who got the key of the fleet."""
        self._member = member
        self._tickets = tickets
        self._orders = orders
        self._told = told

    @property
    def run(self) -> Callable[[], Coroutine[None, None, None]]:
        """The membership itself, which runs until it is cancelled."""
        return self._member.run

    def facts(self) -> FleetFacts:
        return FleetFacts(self._member.name, self._member.fault, self._tickets_until)

    @property
    def _tickets_until(self) -> float | None:
        return None if self._tickets.plan is None else self._tickets.plan.until

    async def listed(self) -> FleetDocument:
        member = self._joinable()
        state = member.state
        admissions = Admissions(member)
        leader = member.entries.get(LEADER)
        leaders = nodes_of("", [] if leader is None else [leader.value.decode(errors="replace")])
        return {
            "node": member.name,
            "key": state.private.public.id,
            "epoch": None if state.key is None else state.key.epoch,
            "leader": next(iter(leaders), None),
            "is_leading": member.is_leading,
            "revision": member.revision,
            "fault": member.fault,
            "tickets_until": self._tickets_until,
            "members": [] if state.key is None else [_row(one) for one in admissions.members()],
            "requests": [_row(one) for one in admissions.requests()],
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

    async def order(self, name: str, content: object | None) -> None:
        """See `places.Order`. Raises `CommandRefused`."""
        await _translated(self._orders.give(name, content))

    async def accept_restore(self) -> FleetDocument:
        await _translated(self._joinable().accept_restore())
        return await self.listed()

    def _joinable(self) -> Member:
        if not self._member.has_begun:
            raise CommandRefused(409, f"this node cannot read its own state: {self._member.fault or 'it is starting'}")
        return self._member


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
    except (NotAMember, NotAdmitted, NotJoined, ValueUnusable, SealedFileUnusable, OSError) as error:
        raise CommandRefused(409, str(error)) from None
