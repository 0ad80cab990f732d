"""Three proxies and three members of etcd, as operators set them up by the commands of docs/fleet.md: the short form of
`./dev soak fleet`.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from proxy.tls.openssl import libssl
from tests.etcd_fleet import proof
from tests.etcd_fleet.scene import FleetScene, fleet_scene
from tests.etcd_fleet.sealed_bodies import used_anywhere
from tests.integration.gateway import events
from tests.waiting import until_found

EVENTS: tuple[Callable[[FleetScene], proof.Figures], ...] = (
    proof.leader_killed,
    proof.member_cut_off,
    proof.with_minority,
    lambda scene: proof.etcd_gone(scene, 1.0),
    lambda scene: proof.many_names(scene, 300),
)
GONE = '[[route]]\nhost = "localhost"\npath = "/gone"\nrespond = { status = 410 }\n'


def reload_all_or_none(scene: FleetScene) -> None:
    """A configuration that one proxy cannot use is taken by none of them, and by all once it can."""
    first, *_, last = scene.nodes

    def taken_by() -> list[str]:
        return [node.name for node in scene.nodes if node.asked("GET", "/gone")[0] == 410]

    for node in scene.nodes:
        node.path.write_text(node.path.read_text() + GONE)
    usable = last.path.read_text()
    last.path.write_text(usable.replace("127.0.0.1:0", "192.0.2.1:0"))  # RFC 5737: an address of nobody
    refused = json.loads(first.attempt("reload", "--fleet", "--json"))["nodes"]
    assert [one["node"] for one in refused if "192.0.2.1" in (one["fault"] or "")] == [last.name]
    assert taken_by() == []
    last.path.write_text(usable)
    taken = first.command("reload", "--fleet")["nodes"]
    assert taken == [{"node": node.name, "fault": None} for node in scene.nodes]
    assert taken_by() == [node.name for node in scene.nodes]


def resumed_by_the_strongest_group(scene: FleetScene) -> None:
    """Sessions of clients that take no other group are resumed at each other proxy; all other clients here have X25519MLKEM768."""
    client = scene.client
    libssl.set_groups(client, "SecP384r1MLKEM1024")
    for one, other in permutations([replace(node, client=client) for node in scene.nodes], 2):
        assert other.visit(one.visit()[1])[0], (one.name, other.name)


def test_three_nodes_share_sessions_and_outlive_etcd_and_their_leader(tmp_path: Path) -> None:
    with fleet_scene(tmp_path) as scene:
        founder = scene.led()
        others = [node for node in scene.nodes if node is not founder]
        own = others[0].visit()[1]
        assert not founder.visit(own)[0], "before it has joined"
        for node in others:
            assert scene.join(node, founder) < 5
        until_found(lambda: sum(row["alive"] for row in founder.status["members"]) == 3)
        reload_all_or_none(scene)
        resumed_by_the_strongest_group(scene)
        for node in (others[0], founder):
            assert node.command("fleet", "leader", node.name)["leader"] == node.name
        assert used_anywhere(scene) == []
        for happen in EVENTS:
            assert happen(scene).all_wrong == []
            scene.note_secrets()
        assert proof.expelled(scene) == []
        names = [entry["event"] for node in others for entry in events(node.output, "fleet_joined")]
        assert set(names) == {"fleet_joined"}
        scene.note_secrets()
    assert scene.found_on_disks() == []
