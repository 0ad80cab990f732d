"""Three proxies and three members of etcd, as operators set them up by the commands of docs/fleet.md: the short form of
`./dev soak fleet`.
"""

from collections.abc import Callable
from pathlib import Path

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


def test_three_nodes_share_sessions_and_outlive_etcd_and_their_leader(tmp_path: Path) -> None:
    with fleet_scene(tmp_path) as scene:
        founder = scene.led()
        others = [node for node in scene.nodes if node is not founder]
        own = others[0].visit()[1]
        assert not founder.visit(own)[0], "before it has joined"
        for node in others:
            assert scene.join(node, founder) < 5
        until_found(lambda: sum(row["alive"] for row in founder.status["members"]) == 3)
        assert founder.command("reload", "--fleet")["nodes"] == [
            {"node": one.name, "fault": None} for one in scene.nodes
        ]
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
