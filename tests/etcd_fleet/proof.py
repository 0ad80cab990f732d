"""What happens to a fleet and to its etcd, under load: each event answers with figures, and with what was wrong.

The clients of an event are at the proxies that shall serve through it: new connections, sessions that are resumed at another proxy,
HTTP/2, WebSockets. None of them may notice anything.
"""

import asyncio
import base64
import itertools
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from proxy.admin.client import UnixAdminClient
from proxy.supervisor.membership.shared import LEASE_SECONDS
from tests.etcd import Etcd
from tests.etcd_fleet.scene import BURST, PER_SECOND, PREFIX, FleetScene, Node
from tests.soak.h2_load import browse_h2
from tests.soak.load import Crowd, Tally, Visit, browse, chat
from tests.waiting import until_found

now = time.time  # noqa: TID251 - as the proxies have it
CROWD = Crowd(keeping=1, connecting=1, sockets=2, message_seconds=0.05, think_seconds=0.05)
MOST_LEAD_SECONDS = LEASE_SECONDS + 2.0
"""Until the next one leads: the lease has ended, etcd has noticed (5.0 s were measured), and a processor was free."""
MOST_START_SECONDS = 10.0
MOST_IDLE_REQUESTS = 2.0
SHORTEST_TICKETS = '[limits]\nrotate_tls_ticket_key_after = "36s"\n'
BEFORE_CHANGE_SECONDS = 5.0
MOST_RESIDENT_BYTES = 192 * 1_048_576
"""Of a parent that knows them all: it has some 135 MB, and a watch that kept its changes would have more with each."""


@dataclass
class Figures(Tally):
    """What happened to all clients."""

    is_loaded: bool = True
    """Whether there were any."""
    resumed: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def took(self, seconds: float) -> None:
        """Only note it: a busy machine is slow too."""
        self.slowest = max(self.slowest, seconds)

    @property
    def all_wrong(self) -> list[str]:
        """Everything."""
        ends = [f"{count} WebSockets ended with {one}" for one, count in self.closes.items()]
        counts = (self.handshakes, self.requests, self.messages, self.resumed)
        none = [] if all(counts) or not self.is_loaded else ["no clients of each kind"]
        return [*self.wrong, *self.failures, *ends, *none]

    def within(self, what: str, seconds: float, most: float) -> None:
        """Note how long something took, which has a limit."""
        self.facts[what] = f"{seconds:.1f} s"
        if seconds > most:
            self.wrong.append(f"{what} took {seconds:.1f} s")

    def below(self, what: str, memory: int, most: int) -> None:
        """Note how many bytes of memory something has, which has a limit."""
        self.facts[what] = f"{memory >> 20} MB"
        if memory > most:
            self.wrong.append(f"{what}: {memory >> 20} MB of memory, and {most >> 20} MB are allowed")


Act = Callable[[Figures], None]


def under_load(scene: FleetScene, nodes: Sequence[Node], act: Act) -> Figures:
    """Let clients loose on these proxies while something happens."""
    figures = Figures()

    async def run() -> None:
        stop = asyncio.Event()
        visits = [Visit(node.port, scene.client, CROWD, figures, stop) for node in nodes]
        async with asyncio.TaskGroup() as group:
            for visit in visits:
                for _ in range(CROWD.sockets):
                    group.create_task(chat(visit))
                group.create_task(browse(visit, keep=True))
                group.create_task(browse(visit, keep=False))
                group.create_task(browse_h2(visit))
            group.create_task(_resume(nodes, figures, stop))
            try:
                while not (figures.messages and figures.requests and figures.resumed) and not figures.failures:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(act, figures)
            finally:
                stop.set()

    asyncio.run(run())
    return figures


async def _resume(nodes: Sequence[Node], figures: Figures, stop: asyncio.Event) -> None:
    """Resume each session at another proxy."""
    pairs = itertools.cycle([(one, other) for one in nodes for other in nodes if one is not other])
    while not stop.is_set():
        one, other = next(pairs)
        try:
            _, session = await asyncio.to_thread(one.visit)
            is_resumed, _ = await asyncio.to_thread(other.visit, session)
        except (OSError, AssertionError) as error:
            figures.failures.append(f"a client that resumes: {type(error).__name__}: {error}")
            return
        figures.resumed += is_resumed
        if not is_resumed:
            figures.failures.append(f"{other.name} did not resume a session of {one.name}")
        await asyncio.sleep(CROWD.think_seconds)


# -- what happens


def leader_killed(scene: FleetScene) -> Figures:
    """`kill -9` of the proxy that leads, at any moment of a rotation: nothing that was planned is lost, and another one goes on."""
    leader = scene.led()
    rest = [node for node in scene.nodes if node is not leader]
    planned = leader.plan

    def act(figures: Figures) -> None:
        remove(scene.members[0], f"{PREFIX}tickets")  # so that the leader has to write
        rotating = threading.Thread(target=leader.rotate)
        rotating.start()
        time.sleep(random.uniform(0, 0.3))  # noqa: S311 - any moment
        leader.kill()
        rotating.join()
        began = time.monotonic()
        scene.led()
        figures.within("the next one led after", time.monotonic() - began, MOST_LEAD_SECONDS)

    figures = under_load(scene, rest, act)
    leader.start()
    scene.settled()
    scene.alike()
    if [node.plan for node in scene.nodes] != [planned] * 3:
        figures.wrong.append("the plan of the ticket keys is another one")
    kinds = {name.partition("/")[0] for name in leader.kept}
    figures.facts["alike on all disks"] = f"{len(leader.kept)} values ({', '.join(sorted(kinds))})"
    return figures


def leader_slept(scene: FleetScene, seconds: float = LEASE_SECONDS + 2.0) -> Figures:
    """The parent that leads stands still for longer than its lease, and does not lead when it goes on."""
    leader = scene.led()

    def act(figures: Figures) -> None:
        leader.signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            rest = [node for node in scene.nodes if node is not leader]
            until_found(lambda: any(node.status["is_leading"] for node in rest))
            figures.within("the next one led after", time.monotonic() - began, MOST_LEAD_SECONDS)
            time.sleep(max(0.0, began + seconds - time.monotonic()))
        finally:
            leader.signal(signal.SIGCONT)
        until_found(lambda: not leader.status["is_leading"])
        scene.settled()

    return under_load(scene, scene.nodes, act)


def leader_cut_off(scene: FleetScene) -> Figures:
    """The proxy that leads reaches no etcd: it serves, and another one leads."""
    leader = scene.led()

    def act(figures: Figures) -> None:
        scene.cut_off(leader)
        began = time.monotonic()
        until_found(lambda: any(node.status["is_leading"] for node in scene.nodes if node is not leader))
        figures.within("the next one led after", time.monotonic() - began, MOST_LEAD_SECONDS)
        until_found(lambda: leader.status["fault"] and not leader.status["is_leading"])
        scene.network.cut()
        scene.settled()

    return under_load(scene, scene.nodes, act)


def follower_cut_off(scene: FleetScene) -> Figures:
    """A proxy that does not lead reaches no etcd: it serves, and the leader stays."""
    leader = scene.led()
    cut = next(node for node in scene.nodes if node is not leader)

    def act(figures: Figures) -> None:
        scene.cut_off(cut)
        began = time.monotonic()
        until_found(lambda: cut.status["fault"], 30)
        figures.facts["it was noticed after"] = f"{time.monotonic() - began:.1f} s"
        scene.network.cut()
        scene.settled()
        if scene.leader is not leader:
            figures.wrong.append("another one leads")

    return under_load(scene, scene.nodes, act)


def member_cut_off(scene: FleetScene) -> Figures:
    """The member of etcd that leads there reaches no other one, and the proxies reach it: they go to the others."""
    member = next(one for one in scene.members if is_leading(one))

    def act(figures: Figures) -> None:
        scene.cut_off_member(member)
        began = time.monotonic()
        until_found(lambda: any(is_leading(one) for one in scene.members if one is not member))
        # the first write may still go to that member, which does not answer: then the proxy asks another one
        until_found(lambda: UnixAdminClient(scene.led().socket).post("/fleet/invite", {})[0] == 200)
        figures.facts["written after"] = f"{time.monotonic() - began:.1f} s"
        scene.settled()
        scene.network.cut()
        until_found(member.is_healthy)
        scene.settled()

    return under_load(scene, scene.nodes, act)


def with_minority(scene: FleetScene) -> Figures:
    """The proxy that leads reaches a member of etcd that reaches no other one: it serves, does not lead and lets nobody in."""
    leader = scene.led()
    member = next(one for one in scene.members if not is_leading(one))

    def act(figures: Figures) -> None:
        scene.cut_off_with(leader, member)
        began = time.monotonic()
        until_found(lambda: any(node.status["is_leading"] for node in scene.nodes if node is not leader))
        figures.within("the next one led after", time.monotonic() - began, MOST_LEAD_SECONDS)
        until_found(lambda: leader.status["fault"] and not leader.status["is_leading"], 30)
        figures.facts["it was noticed after"] = f"{time.monotonic() - began:.1f} s"
        invited = leader.attempt("fleet", "invite")
        figures.facts["an invitation"] = " ".join(invited.split())
        if "the store of the fleet cannot be used" not in " ".join(invited.split()):
            figures.wrong.append(f"an invitation by a minority: {invited}")
        scene.network.cut()
        until_found(member.is_healthy)
        scene.settled()
        assert leader.command("fleet", "invite")["token"]

    return under_load(scene, scene.nodes, act)


def tickets_changed(scene: FleetScene, seconds: float) -> Figures:
    """etcd is gone for longer than a ticket key seals: all proxies change over together, more than once."""
    first = scene.nodes[0]
    time.sleep(max(0.0, first.plan.until_change(now()) - BEFORE_CHANGE_SECONDS))
    plan, began, session = first.plan, now(), first.visit()[1]
    figures = etcd_gone(scene, seconds)
    changes = sum(began < key.begins <= now() for key in plan.keys)
    figures.facts["changes of the ticket key"] = str(changes)
    if changes < 2:
        figures.wrong.append("too few changes of the ticket key")
    if any(node.visit(session)[0] for node in scene.nodes):
        figures.wrong.append("a session was resumed by a key that is over")
    return figures


def etcd_gone(scene: FleetScene, seconds: float) -> Figures:
    """All of etcd is killed. A proxy that starts meanwhile serves as well."""
    restarted = scene.nodes[-1]

    def act(figures: Figures) -> None:
        scene.kill_etcd()
        gone = time.monotonic()
        restarted.stop()
        restarted.start()
        if not all(restarted.visit(node.visit()[1])[0] for node in scene.nodes):
            figures.wrong.append("a proxy that started without etcd resumed no session")
        until_found(lambda: all(node.status["fault"] for node in scene.nodes))
        time.sleep(max(0.0, gone + seconds - time.monotonic()))
        figures.facts["etcd was gone for"] = f"{time.monotonic() - gone:.1f} s"
        scene.start_etcd()
        scene.settled()

    return under_load(scene, scene.nodes[:-1], act)


def etcd_restored(scene: FleetScene) -> Figures:
    """etcd is restored from a snapshot: nobody uses it before an operator says so."""
    snapshot = scene.directory / "snapshot"
    scene.members[0].administered(f"etcdctl snapshot save {snapshot}", scene.directory)
    scene.led().command("fleet", "invite")  # a change that the snapshot lacks
    write(scene.members[0], {"later": b"1"})
    remove(scene.members[0], f"{PREFIX}tickets")
    scene.settled()
    until_found(lambda: f"{PREFIX}tickets" in names(scene.members[0]))

    def act(figures: Figures) -> None:
        planned = scene.nodes[0].plan
        scene.kill_etcd()
        scene.restore_etcd(snapshot)
        scene.start_etcd()
        until_found(lambda: all("accept-restore" in (node.status["fault"] or "") for node in scene.nodes))
        for node in scene.nodes:
            node.command("fleet", "accept-restore")
        scene.settled()
        if [node.plan for node in scene.nodes] != [planned] * 3:
            figures.wrong.append("the plan of the ticket keys is another one")

    return under_load(scene, scene.nodes, act)


def disk_full(scene: FleetScene) -> Figures:
    """etcd has used up its quota, and takes nothing (NOSPACE) until an operator makes room."""
    member = scene.members[0]

    def act(figures: Figures) -> None:
        written = 0
        while write(member, {f"filler/{written}": bytes(1 << 20)}):
            written += 1
        figures.facts["MB written until NOSPACE"] = str(written)
        invited = scene.nodes[0].attempt("fleet", "invite")
        if "space" not in invited:
            figures.wrong.append(f"an invitation without room: {invited}")
        remove(member, "filler/", is_prefix=True)
        revision = member.asked("POST", "/v3/kv/range", key=encoded("x"))["header"]["revision"]
        member.administered(f"etcdctl compact {revision} --physical", scene.directory)
        for one in scene.members:
            one.administered("etcdctl defrag", scene.directory)
        member.administered("etcdctl alarm disarm", scene.directory)
        scene.settled()
        assert scene.nodes[0].command("fleet", "invite")["token"]

    return under_load(scene, scene.nodes, act)


def many_names(scene: FleetScene, count: int) -> Figures:
    """So many names below the place of the fleet: a proxy starts, and memory stays bounded, also while all of them change."""
    member = scene.members[0]
    started = scene.nodes[-1]

    def written(times: int) -> None:
        for start in [*range(0, count, 100)] * times:
            write_foreign(member, start)

    def act(figures: Figures) -> None:
        for node in scene.nodes:
            figures.facts[f"{node.name} before"] = f"{resident(node) >> 20} MB"
        written(1)
        started.stop()
        began = time.monotonic()
        started.start()
        until_found(lambda: started.status["revision"] and not started.status["fault"])
        figures.within(f"a start with {count:,} names", time.monotonic() - began, MOST_START_SECONDS)
        scene.settled()
        for node in scene.nodes:
            figures.below(f"{node.name} with them", resident(node), MOST_RESIDENT_BYTES)
        written(5)  # each is a change that the watch tells
        scene.settled()
        for node in scene.nodes:
            figures.below(f"{node.name} after {5 * count:,} changes", resident(node), MOST_RESIDENT_BYTES)
        remove(member, f"{PREFIX}foreign/", is_prefix=True)
        scene.settled()

    return under_load(scene, scene.nodes[:-1], act)


def ordered(scene: FleetScene) -> list[str]:
    """A route and the only server go out of service on all nodes by a command on one, and come back; what is wrong."""
    first, _, last = scene.nodes
    server = f"http://127.0.0.1:{scene.backend}"
    wrong: list[str] = []
    for begin, end in (
        (("maintenance", "on", "localhost/"), ("maintenance", "off", "localhost/")),
        (("drain", "backend", server), ("undrain", "backend", server)),
    ):
        first.attempt(*begin, "--fleet", status=0)
        until_found(lambda: {node.answer() for node in scene.nodes} == {503})
        last.stop()
        last.start()
        if begin[0] == "maintenance" and last.answer() != 503:
            wrong.append("a node that started later served a route under maintenance")
        until_found(lambda: last.answer() == 503)
        if "add --fleet" not in first.attempt(*end):
            wrong.append(f"{end[0]} on one node was not refused")
        last.attempt(*end, "--fleet", status=0)
        until_found(lambda: {node.answer() for node in scene.nodes} == {200})
    return wrong


def expelled(scene: FleetScene) -> list[str]:
    """A node is expelled by another one: the two that stay share on, by other keys; what is wrong."""
    by, stays, gone = scene.nodes
    until_found(lambda: len({str(key) for node in scene.nodes for key in ring_of(node)}) == 2)
    known = {one.secret for one in gone.plan.keys}
    scene.note_secrets()
    session = by.visit()[1]
    required = sorted(by.command("fleet", "expel", gone.name)["required"], reverse=True)
    until_found(lambda: "was expelled from its fleet" in (gone.status["fault"] or ""))
    until_found(lambda: all(node.state.key and node.state.key.epoch == 2 for node in (by, stays)))
    until_found(lambda: not known & {one.secret for node in (by, stays) for one in node.plan.keys})
    until_found(lambda: stays.visit(by.visit()[1])[0])
    # workers have the keys a moment after the disk
    until_found(lambda: not stays.visit(session)[0])
    trusted = "the root key of the internal CA ca: ", "the identity of payload sessions: "
    is_told = all(one.startswith(f"the node knows {what}") for one, what in zip(required, trusted, strict=True))
    wrong = [] if is_told else [f"what an operator has to replace: {required}"]
    if [row["node"] for row in by.status["members"]] != [by.name, stays.name]:
        wrong.append("the expelled node is a member")
    return wrong


def ring_of(node: Node) -> list[tuple[object, ...]]:
    """The keys of the ring that all nodes have: versions, states, and when they begin."""
    keys = next(ring["keys"] for ring in node.command("payload", "list")["rings"] if ring["name"] == "chat")
    return [(key["version"], key["state"], key["created"]) for key in keys if key["version"] < 1_000]


def shared_rate(scene: FleetScene, seconds: float) -> Figures:
    """A rate of the whole fleet: one proxy alone gets most of it, and all together get no more."""
    figures = Figures(is_loaded=False)

    def answered_at(nodes: Sequence[Node]) -> float:
        with ThreadPoolExecutor() as pool:
            counts: list[int] = [*pool.map(lambda node: node.served(seconds, 0.25 / PER_SECOND * len(nodes)), nodes)]
        return sum(counts) / seconds

    for nodes, what in ((scene.nodes[:1], "at one proxy"), (scene.nodes, "at all proxies")):
        answered_at(nodes)  # the shares follow
        rate = answered_at(nodes)
        figures.facts[f"answered {what}"] = f"{rate:.0f}/s of {PER_SECOND}"
        most = PER_SECOND + BURST / seconds
        if not 0.7 * PER_SECOND < rate <= 1.05 * most:
            figures.wrong.append(f"{rate:.1f} requests a second were answered {what}")
    return figures


def idle(scene: FleetScene, seconds: float) -> Figures:
    """What an idle proxy asks of etcd."""

    def act(figures: Figures) -> None:
        before = sum(map(answered, scene.members))
        time.sleep(seconds)
        rate = (sum(map(answered, scene.members)) - before) / seconds / len(scene.nodes)
        figures.facts["requests of a proxy to etcd"] = f"{rate:.2f}/s"
        if rate >= MOST_IDLE_REQUESTS:
            figures.wrong.append(f"an idle proxy asks etcd {rate:.2f} times a second")

    return under_load(scene, scene.nodes, act)


# -- etcd, as others ask it


def encoded(name: str | bytes) -> str:
    return base64.b64encode(name.encode() if isinstance(name, str) else name).decode()


def write(member: Etcd, values: dict[str, bytes]) -> bool:
    """Whether it took them, as one."""
    puts = [{"request_put": {"key": encoded(name), "value": encoded(value)}} for name, value in values.items()]
    return "header" in member.asked("POST", "/v3/kv/txn", success=puts)


def write_foreign(member: Etcd, start: int) -> None:
    """A hundred values that are no values of a fleet."""
    assert write(member, {f"{PREFIX}foreign/{number:05}": os.urandom(1_024) for number in range(start, start + 100)})


def remove(member: Etcd, name: str, *, is_prefix: bool = False) -> None:
    """Remove a name, or all that begin so."""
    more = {"range_end": encoded(name[:-1] + chr(ord(name[-1]) + 1))} if is_prefix else {}
    assert "header" in member.asked("POST", "/v3/kv/deleterange", key=encoded(name), **more)


def names(member: Etcd) -> list[str]:
    """All of them."""
    found = member.asked("POST", "/v3/kv/range", key=encoded(b"\0"), range_end=encoded(b"\0"), keys_only=True)
    return [base64.b64decode(one["key"]).decode() for one in found.get("kvs", ())]


def is_leading(member: Etcd) -> bool:
    """Whether it leads the members of etcd."""
    found = member.asked("POST", "/v3/maintenance/status")
    return "leader" in found and found["leader"] == found["header"]["member_id"]


def answered(member: Etcd) -> int:
    """The requests to it so far that came by its gateway or by gRPC, without the watches."""
    lines = re.findall(r'^grpc_server_started_total\{grpc_method="(\w+)".*\} (\S+)$', member.metrics, re.MULTILINE)
    return sum(int(float(count)) for method, count in lines if method != "Watch")


def resident(node: Node) -> int:
    """The memory of its parent."""
    assert node.running is not None
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{node.running.pid}/status").read_text())[0]) * 1_024
