"""Two proxies with one etcd and pebble, as operators run them: one orders, the other answers the CA and serves by the same key.

The leader is killed when it has placed an order, before etcd hears where: the next one finds it at the CA. `./dev soak fleet`
kills it at each step.
"""

import base64
from pathlib import Path

from tests.hsm_tokens import softhsm
from tests.integration.certified_fleet import certified_fleet, killed_at, recovered
from tests.integration.gateway import events
from tests.waiting import until_found


def test_one_node_orders_the_other_answers_and_goes_on_when_the_first_one_is_killed(tmp_path: Path) -> None:
    with certified_fleet(tmp_path) as fleet:
        one, two = fleet.nodes
        fleet.agrees()
        assert fleet.orders == 1
        assert two.running is not None
        output = two.running.output
        steps = two.rotate()
        assert steps[-1] == {"ok": True}, steps
        assert fleet.orders == 2
        fleet.agrees()
        # the front of both asks the second one, while the first one has ordered
        asked = until_found(lambda: [line for line in output if "/.well-known/acme-challenge/" in line])
        assert all('"status":200' in line for line in asked)
        assert not [event for event in events(output, "acme") if "is proven" in event["detail"]]
        killed_at(fleet, "etcd does not hear where its order is")
        until_found(lambda: two.status["is_leading"])
        assert one.running is not None
        # etcd goes: nobody issues, and all serve
        fleet.etcd.kill()
        until_found(lambda: all(node.status["fault"] for node in fleet.nodes))
        assert "no node of the fleet issues while its store cannot be used" in one.rotate()[-2]["detail"]
        fleet.agrees()


def test_an_internal_ca_is_one_and_outlives_its_leader_and_all_disks_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "hsm").mkdir()
    with softhsm(tmp_path / "hsm") as hsm, certified_fleet(tmp_path, None, hsm) as fleet:
        one, two = fleet.nodes
        fleet.agrees()
        root = fleet.root()
        killed_at(fleet, "it is asked for")
        assert two.status["is_leading"]
        (path,) = (tmp_path / "edge-2/certificates/issuers/ca/root").glob("v*/chain.pem")
        assert path.read_text() == root
        # a foreign value of another kind is told, and stops no certificate
        foreign = {"key": b"/plexigate/payload/x", "value": b"{}"}
        fleet.etcd.asked(
            "POST", "/v3/kv/put", **{one: base64.b64encode(text).decode() for one, text in foreign.items()}
        )
        until_found(lambda: all("payload/x in the store" in (node.status["fault"] or "") for node in fleet.nodes))
        assert one.rotate()[-1] == {"ok": True}
        serial = fleet.agrees()
        until_found(lambda: one.status["recoverable"] == ["edge-1", "edge-2"])
        for lost, name in ((one, "edge-3"), (two, "edge-4")):  # its sealing key was in a file, and in a token
            with recovered(fleet, lost, name) as other:
                until_found(lambda: other.served(root) == serial)
                until_found(lambda: other.status["is_leading"])
