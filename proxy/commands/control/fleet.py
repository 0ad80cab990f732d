"""`plexigate fleet`: the nodes that share secrets, and how one joins them."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.text import Text

from proxy.api.fleet import (
    ExpelDocument,
    FleetDocument,
    FleetLeadDocument,
    FleetMemberRow,
    FleetNodeRow,
    InvitationDocument,
    JoinDocument,
)
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import ConfigOption, JsonOption, SocketOption, asked, ended
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.tables import plain_table

_AGREES_SECONDS: Final = 2.0
_LONGEST_TOKEN: Final = 1_000

app = typer.Typer(
    name="fleet",
    cls=WholeSentences,
    help="Show the fleet of this node, and let nodes join it.",
    epilog="Example: plexigate fleet status",
)


@app.command(epilog="Example: plexigate fleet status --json")
def status(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Show the members, the leader, who asks to join, and whether the store answers.

    Of each member: whether it is alive, its version, in which schema it can write,
    and the digest of its configuration. One that differs from the leader's is named.
    """
    document: FleetDocument = asked(config, socket, lambda client: client.get("/fleet"))
    answer(document, lambda: _shown(document), as_json=as_json)


def _shown(document: FleetDocument) -> Group:
    epoch = document["epoch"]
    until = document["tickets_until"]
    skew = document["skew"]
    facts = plain_table("", "")
    facts.add_row("this node", f"{document['node']}, key {document['key']}")
    if document["is_expelled"]:
        facts.add_row("state", Text(f"expelled, a member until epoch {epoch}", style="red"))
    else:
        facts.add_row("state", "has not joined" if epoch is None else f"member, epoch {epoch}")
    facts.add_row(
        "store", Text(document["fault"], style="red") if document["fault"] else f"revision {document['revision']}"
    )
    facts.add_row("clock", "-" if skew is None else _clock(skew))
    facts.add_row("leader", document["leader"] or "none")
    schemas = {one["node"]: one["schema"] for one in document["members"] if one["schema"] is not None}
    if len(set(schemas.values())) > 1:
        lowest = min(schemas.values())
        behind = ", ".join(node for node, schema in schemas.items() if schema == lowest)
        facts.add_row("schema", Text(f"all write {lowest} until {behind} is of a newer version", style="yellow"))
    facts.add_row("tickets planned until", "-" if until is None else _time(until))
    if document["recoverable"]:
        facts.add_row("recovery", f"the shares of {' or '.join(document['recoverable'])} open the fleet")
    elif document["members"]:
        facts.add_row(
            "recovery",
            Text("no shares open the fleet: plexigate hsm init or rotate-sealing makes some", style="yellow"),
        )
    nodes = plain_table("node", "", "version", "schema", "configuration", "key", "since", "let in by")
    for one in document["members"]:
        state = Text("leads", style="bold") if one["node"] == document["leader"] else Text("alive")
        nodes.add_row(
            one["node"],
            state if one["alive"] else Text("away", style="yellow"),
            one["version"] or "-",
            "-" if one["schema"] is None else str(one["schema"]),
            _configuration(one),
            one["key"],
            _time(one["since"]) if one["since"] else "-",
            one["by"] or ("founder" if one["since"] else "-"),
        )
    for asking in document["requests"]:
        nodes.add_row(asking["node"], Text("asks to join", style="yellow"), "-", "-", "-", asking["key"], "-", "-")
    broken = [
        Text(f"the audit log of {one['node']} does not go on from where it was: {one['log_fault']}", style="red")
        for one in document["members"]
        if one["log_fault"]
    ]
    return Group(facts, nodes, *broken)


def _clock(skew: float) -> str:
    # etcd tells its time in whole seconds
    if abs(skew) < _AGREES_SECONDS:
        return "agrees with the store"
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the store"


def _configuration(row: FleetMemberRow) -> Text:
    short = (row["configuration"] or "-")[:12]
    return Text(f"{short}, differs", style="red") if row["differs"] else Text(short)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


@app.command(epilog="Example: plexigate fleet invite")
def invite(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Write a token with which one node can ask to join within 10 minutes. Give it
    to `plexigate fleet join` on that node, then approve on a member.
    """
    made: InvitationDocument = asked(config, socket, lambda client: client.post("/fleet/invite", {}))
    answer(made, lambda: made["token"], as_json=as_json)


@app.command(epilog="Example: plexigate fleet join < token")
def join(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Ask to join with the token of a member, which is read from standard input.
    This node serves by the keys of the fleet as soon as a member has approved it.
    """
    token = typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else _given()
    if not token.strip():
        raise ended("standard input has no token: plexigate fleet invite writes one")
    made: JoinDocument = asked(config, socket, lambda client: client.post("/fleet/join", {}, body=token.encode()))
    answer(
        made,
        lambda: f"{made['node']} asks to join. On a member: plexigate fleet approve {made['node']} (key {made['key']})",
        as_json=as_json,
    )


def _given() -> str:
    # another file may be no text, and have no line
    return sys.stdin.buffer.readline(_LONGEST_TOKEN).decode(errors="replace")


@app.command(epilog="Example: plexigate fleet approve edge-2")
def approve(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node that asks to join")],
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand the key of the fleet to a node that asks to join. Compare its key first:
    `plexigate fleet status` on both shows it.
    """
    made: FleetNodeRow = asked(config, socket, lambda client: client.post("/fleet/approve", {"node": node}))
    answer(made, lambda: f"{made['node']} is a member (key {made['key']}).", as_json=as_json)


@app.command(epilog="Example: plexigate fleet recover")
def recover(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Join when all members are lost, and etcd is there. First bring the sealing key
    of one of them back from its shares, with plexigate hsm recover, to where
    `sealing.key` of this node has it, and start the proxy.
    """
    made: FleetNodeRow = asked(config, socket, lambda client: client.post("/fleet/recover", {}))
    answer(
        made,
        lambda: f"{made['node']} is a member, by the recovery shares of {made['by']} (key {made['key']}).",
        as_json=as_json,
    )


@app.command(epilog="Example: plexigate fleet leader --step-down")
def leader(
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="Let this node lead, from now on")] = None,
    steps_down: Annotated[
        bool, typer.Option("--step-down", help="Let any other node lead, before maintenance.")
    ] = False,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which node leads, or give the lead away.

    A node that ends gives its lead away by itself. Exits with 1 if the node that is
    wanted does not lead within 10 seconds, or if no node leads.
    """
    if node is not None and steps_down:
        raise ended("name a node, or use --step-down")
    if node is None and not steps_down:
        document: FleetDocument = asked(config, socket, lambda client: client.get("/fleet"))
        made: FleetLeadDocument = {"node": document["node"], "leader": document["leader"]}
        is_as_wanted = made["leader"] is not None
    else:
        wish = {} if node is None else {"to": node}
        made = asked(config, socket, lambda client: client.post("/fleet/leader", wish))
        is_as_wanted = made["leader"] == node if node is not None else made["leader"] not in {None, made["node"]}
    answer(made, lambda: f"{made['leader'] or 'no node'} leads.", as_json=as_json)
    if not is_as_wanted:
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate fleet expel edge-2")
def expel(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the member that is to go")],
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give all other members another key of the fleet, and replace all secrets that
    this node knows. Each client makes one more full handshake.
    """
    made: ExpelDocument = asked(config, socket, lambda client: client.post("/fleet/expel", {"node": node}))
    answer(
        made,
        lambda: "\n".join(
            [
                f"{made['node']} is no member any more: the fleet is in epoch {made['epoch']}. It can still write into "
                "etcd: now delete its user in etcd, or withdraw its client certificate.",
                *(f"Operator action required: {one}." for one in made["required"]),
            ]
        ),
        as_json=as_json,
    )


@app.command("accept-restore", epilog="Example: plexigate fleet accept-restore")
def accept_restore(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Use a store again that has lost changes, as etcd restored from a snapshot has.
    What this node has taken since stays.
    """
    document: FleetDocument = asked(config, socket, lambda client: client.post("/fleet/accept-restore", {}))
    answer(document, lambda: f"{document['node']} uses the store again: see plexigate fleet status.", as_json=as_json)
