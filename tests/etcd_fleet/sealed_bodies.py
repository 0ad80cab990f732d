"""Encrypted bodies in a fleet: what one proxy has agreed on with a client, each other one reads."""

import time

from proxy.admin.client import UnixAdminClient
from proxy.payload.client import PayloadClient, SessionOffer
from proxy.payload.key_document import PinnedIdentity
from tests.etcd_fleet.proof import ring_of
from tests.etcd_fleet.scene import FleetScene
from tests.waiting import until_found

NOW = time.time  # noqa: TID251 - as the proxies have it


def used_anywhere(scene: FleetScene) -> list[str]:
    """A session that a client got at one proxy, and tokens of a ring, are used at all; what is wrong."""
    admins = [UnixAdminClient(node.socket) for node in scene.nodes]
    until_found(lambda: len({str(admin.get("/payload-identity")) for admin in admins}) == 1)
    until_found(lambda: len({str(ring_of(node)) for node in scene.nodes}) == 1)
    first = scene.nodes[0]
    pinned = PinnedIdentity.from_json(admins[0].get("/payload-identity")[1])
    offer = SessionOffer.to(first.asked("GET", "/.well-known/payload-keys")[2], pinned, NOW())
    agreed = offer.accepted(first.asked("POST", "/.well-known/payload-sessions", offer.body)[2], NOW)
    of_ring = PayloadClient.of_ring(admins[0].get("/payload/chat/export")[1], NOW)
    wrong: list[str] = []
    for node in scene.nodes:
        for path, client in (("/of-session/x", agreed), ("/of-ring/x", of_ring)):
            sealed = client.request("POST", f"https://localhost{path}", b"hello")
            assert isinstance(sealed.body, bytes)
            status, headers, body = node.asked("POST", path, sealed.body, sealed.headers)
            if status != 200 or not sealed.open(status, headers, body).startswith(f"{path} 5 ".encode()):
                wrong.append(f"{node.name} answered {path} with {status}: {body!r}")
    return wrong
