"""Lets nodes into a fleet: what operators ask for on a member, and on the node that joins."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from certs.sealing.errors import SealingError
from certs.sealing.files import SealedFileUnusable
from certs.sealing.recipients import KeyUnreadable, PublicRecipient
from proxy.net.in_thread import in_thread
from proxy.supervisor.membership.epochs import begun, newest, next_record, place_of, recoverable
from proxy.supervisor.membership.joining import Invitation, JoinRequest, NotJoined
from proxy.supervisor.membership.member import Member, sealed
from proxy.supervisor.membership.places import (
    FOUNDED,
    INVITATIONS,
    MEMBERS,
    RECOVERY,
    REQUESTS,
    WELCOMES,
    InvitationRow,
    MemberRow,
    nodes_of,
    recovery_place,
)
from proxy.supervisor.membership.shared import LEADER
from proxy.supervisor.membership.values import FleetKey, ValueUnusable

INVITED_SECONDS: Final = 600
"""An invitation, and what is posted because of it, are over after this time."""


class NotAdmitted(Exception):
    """What an operator asked for cannot be done; a sentence."""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A node that has joined, or (`since` is None) asks to. `key` is the id of its public key."""

    node: str
    key: str
    since: float | None = None
    by: str = ""


class Admissions:
    """Every method raises `NotAMember` where only a member can do it, and `SharedAway`."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def invite(self) -> str:
        """Make an invitation, and return its token. A single node can join with it."""
        member = self._member
        member.require_store()
        invitation = Invitation.fresh()
        place = INVITATIONS + invitation.id
        row = InvitationRow(secret=invitation.secret.hex(), ends=member.clock() + INVITED_SECONDS)
        await member.shared.commit({place: 0}, {place: sealed(member, place, row)}, lasts_seconds=INVITED_SECONDS)
        return invitation.token

    async def join(self, token: str) -> None:
        """Ask to join. An operator approves it on a member. Raises `NotJoined`, `NotAdmitted`."""
        member = self._member
        invitation = Invitation.parse(token)
        if member.state.key is not None:
            raise NotAdmitted(f"{member.name} is a member already, in epoch {member.state.key.epoch}")
        request = JoinRequest.made(invitation, member.name, member.state.private.public)
        member.invitation = invitation
        # a welcome by an invitation before, of a disk that was lost, would look like a forged one
        writes = {REQUESTS + member.name: request.encode(), WELCOMES + member.name: None}
        await member.shared.commit({}, writes, lasts_seconds=INVITED_SECONDS)

    async def approve(self, node: str) -> MemberFacts:
        """Hand the key of the fleet to a node that has asked.

        Raises `NotJoined`, `NotAdmitted`, `ValueUnusable` and `Conflict`.
        """
        member = self._member
        key = member.key
        member.require_store()
        asked = member.entries.get(REQUESTS + node)
        if asked is None:
            raise NotAdmitted(f"{node} has not asked to join; nodes that have: {', '.join(self._asking) or 'none'}")
        request = JoinRequest.parse(asked.value)
        place = INVITATIONS + request.invitation
        invited = member.entries.get(place)
        if invited is None:
            raise NotAdmitted(f"the invitation of {node} is over or was used: invite it again")
        row: InvitationRow = key.open(place, invited.value)
        if row["ends"] < member.clock():
            raise NotAdmitted(f"the invitation of {node} is over: invite it again")
        welcome = request.welcome(Invitation(request.invitation, bytes.fromhex(row["secret"])), node, key)
        facts = MemberFacts(node, request.recipient.id, member.clock(), member.name)
        of_member = MemberRow(public=request.public, since=member.clock(), by=member.name)
        # as one: an invitation lets one node in
        founded = member.entries[FOUNDED]
        await member.shared.commit(
            {place: invited.revision, REQUESTS + node: asked.revision, FOUNDED: founded.revision},
            {
                FOUNDED: founded.value,
                place: None,
                REQUESTS + node: None,
                MEMBERS + node: sealed(member, MEMBERS + node, of_member),
                WELCOMES + node: welcome,
            },
        )
        return facts

    async def expel(self, node: str) -> int:
        """Begin an epoch without a member, and return its number.

        Raises `NotAdmitted` and `Conflict`.
        """
        member = self._member
        key = member.key
        member.require_store()
        places = [name for name in member.entries if name.startswith(MEMBERS)]
        if node == member.name:
            raise NotAdmitted("a node cannot expel itself: run plexigate fleet expel on another member")
        if MEMBERS + node not in places:
            raise NotAdmitted(f"{node} is no member; the members: {', '.join(nodes_of(MEMBERS, places))}")
        if next_record(key, member.entries) is not None and member.fault is not None:
            raise NotAdmitted(
                f"a record of epoch {key.epoch + 1} is there that this node cannot follow: {member.fault}"
            )
        rows: dict[str, MemberRow] = {
            name.removeprefix(MEMBERS): key.open(name, member.entries[name].value)
            for name in places
            if name != MEMBERS + node
        }
        stay = {name: PublicRecipient.parse(row["public"].encode()) for name, row in rows.items()}
        fresh, record = begun(key, stay, node, member.name, member.clock())
        next_place = place_of(fresh.epoch)
        founded = member.entries[FOUNDED]
        writes: dict[str, bytes | None] = {
            FOUNDED: founded.value,
            next_place: sealed(member, next_place, record),
            **{MEMBERS + name: sealed(member, MEMBERS + name, row, fresh) for name, row in rows.items()},
        }
        gone = [MEMBERS + node, REQUESTS + node, WELCOMES + node, *self._recoveries(node, member.name)]
        leader = member.entries.get(LEADER)
        if leader is not None and leader.value.decode(errors="replace") == node:
            gone.append(LEADER)  # what it still writes as the leader is refused
        writes |= {name: None for name in gone if name in member.entries}
        writes |= await self._recovery_of(fresh)
        compares = {FOUNDED: founded.revision, next_place: 0}
        compares |= {name: member.entries[name].revision for name in places}
        await member.shared.commit(compares, writes)
        return fresh.epoch

    async def recover(self) -> MemberFacts:
        """Join as a node whose sealing key opens the fleet: its shares have brought it back here.

        Raises `NotAdmitted`, `NotRecovered`, `ValueUnusable`, `ConfigError`, `OSError` and
        `Conflict`.
        """
        member = self._member
        member.require_store()
        if member.state.key is not None:
            raise NotAdmitted(f"{member.name} is a member already, in epoch {member.state.key.epoch}")
        seal = member.file.recovery
        epoch = newest(member.entries)
        places = [recovery_place(epoch, one) for one in recoverable(member.entries)]
        values = {place: member.entries[place].value for place in places}
        if seal is None or not values:
            raise NotAdmitted(
                f"in epoch {epoch} no node has recovery shares that open the fleet; allowed: the backup of a node, or to "
                "join by an invitation of a member"
            )
        opened, secret = await in_thread(asyncio.get_running_loop(), lambda: seal.opened(values))
        key = FleetKey(epoch, secret)
        by = opened.rpartition("/")[2]
        _ = key.open(MEMBERS + by, member.entries[MEMBERS + by].value)
        # as if a member had let this node in, whose key this node has now
        invitation = Invitation.fresh()
        request = JoinRequest.made(invitation, member.name, member.state.private.public)
        member.invitation = invitation
        place = MEMBERS + member.name
        of_member = MemberRow(public=request.public, since=member.clock(), by=by)
        founded = member.entries[FOUNDED]
        await member.shared.commit(
            {FOUNDED: founded.revision, place_of(epoch + 1): 0},
            {
                FOUNDED: founded.value,
                place: sealed(member, place, of_member, key),
                WELCOMES + member.name: request.welcome(invitation, member.name, key),
            },
        )
        return MemberFacts(member.name, request.recipient.id, of_member["since"], by)

    async def stay_member(self) -> None:
        """Say again that this node is a member, where a restored store says nothing of it, or says
        it by the key of an earlier epoch.

        Raises `Conflict`.
        """
        member = self._member
        member.require_store()
        place = MEMBERS + member.name
        there = member.entries.get(place)
        if FOUNDED not in member.entries:
            return  # perhaps another node founds it
        if there is not None:
            try:
                _ = member.key.open(place, there.value)
            except ValueUnusable:
                pass
            else:
                return
        row = MemberRow(public=member.state.private.public.pem().decode(), since=member.clock(), by=member.name)
        compares = {place: 0 if there is None else there.revision, place_of(member.key.epoch + 1): 0}
        await member.shared.commit(compares, {place: sealed(member, place, row)})

    async def make_recoverable(self) -> None:
        """Let the recovery shares of this node open the fleet, if it has some.

        Raises `Conflict`.
        """
        member = self._member
        member.require_store()
        if FOUNDED not in member.entries:
            return  # perhaps another node founds it
        writes = await self._recovery_of(member.key)
        for place in writes:
            there = member.entries.get(place)
            compares = {place: 0 if there is None else there.revision, place_of(member.key.epoch + 1): 0}
            await member.shared.commit(compares, {**dict.fromkeys(self._recoveries(member.name)), **writes})

    async def _recovery_of(self, key: FleetKey) -> dict[str, bytes]:
        """What is to be in the store so that the shares of this node open a key; empty if it is."""
        member = self._member
        seal = member.file.recovery
        if seal is None:
            return {}
        place = recovery_place(key.epoch, member.name)
        there = member.entries.get(place)
        before = None if there is None else there.value
        try:
            value = await in_thread(asyncio.get_running_loop(), lambda: seal.renewed(place, key.secret, before))
        except (SealingError, SealedFileUnusable, OSError):  # it is tried again, and status tells
            return {}
        return {} if value is None else {place: value}

    def _recoveries(self, *nodes: str) -> list[str]:
        """The names of what these nodes have written so, of any epoch."""
        written = (name for name in self._member.entries if name.startswith(RECOVERY))
        return [name for name in written if name.rpartition("/")[2] in nodes]

    @property
    def _asking(self) -> list[str]:
        return nodes_of(REQUESTS, self._member.entries)

    def requests(self) -> Iterator[MemberFacts]:
        """The nodes that ask to join; one whose request is malformed has no key."""
        for node in self._asking:
            try:
                found = JoinRequest.parse(self._member.entries[REQUESTS + node].value).recipient.id
            except NotJoined:
                found = ""
            yield MemberFacts(node, found)

    def members(self) -> Iterator[MemberFacts]:
        """The nodes that have joined, as far as this member can read them."""
        key = self._member.key
        for node in nodes_of(MEMBERS, self._member.entries):
            try:
                row: MemberRow = key.open(MEMBERS + node, self._member.entries[MEMBERS + node].value)
                yield MemberFacts(node, PublicRecipient.parse(row["public"].encode()).id, row["since"], row["by"])
            except (ValueUnusable, KeyUnreadable):
                yield MemberFacts(node, "")
