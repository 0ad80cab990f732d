"""Two tokens with a key and a certificate each, which an internal CA issues: one token dies, loses its keys, is initialised anew."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.admin.client import UnixAdminClient
from tests.hsm.faults import errors
from tests.hsm.site import HsmSite
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Load, Scene, ask, running, scene_of

KEYS = ["ec-p256@plexi", "ec-p256@spare"]
CLIENTS = 2


@contextmanager
def replicas(site: HsmSite, further: str = "") -> Iterator[Scene]:
    """A proxy whose identity has a replica in each of two tokens, and both certificates."""
    tokens = [site.hsm.add_token("plexi"), site.hsm.add_token("spare", "another-pin")]
    configuration = site.write(site.tokens(*tokens), site.issued_identity("localhost", KEYS, further), ROUTE)
    with running(site, configuration) as run:
        yield scene_of(site, run)
    assert complaints(run.output) == []


def admin(one: Scene) -> UnixAdminClient:
    return UnixAdminClient(one.site.directory / "plexigate.sock")


def serials(one: Scene) -> dict[str, str]:
    """The serial number that serves for each credential."""
    return {row["credential"]: row["serial"] for row in admin(one).get("/certificates")[1]["certificates"]}


def served(one: Scene) -> str:
    """That which a new client gets."""
    with one.connect(one.client(authority=root_of(one))) as tls:
        found: dict[str, Any] | None = tls.getpeercert()
        assert found is not None
        return f"{int(found['serialNumber'], 16):x}"


def root_of(one: Scene) -> Path:
    (root,) = (one.site.directory / "issued" / "issuers" / "internal" / "root").glob("v*/chain.pem")
    return root


def test_each_token_has_a_key_and_a_certificate_and_the_other_one_serves_while_it_is_dead(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        of = serials(one)
        assert set(of) == {"ec@plexi", "ec@spare"}
        assert of["ec@plexi"] != of["ec@spare"]
        assert served(one) == of["ec@plexi"], "the first one of the list"
        with Load(one, one.client(authority=root_of(one))).running(CLIENTS) as load:
            load.more(20)
            with errors(one.plexi):
                load.more(40)
                assert served(one) == of["ec@spare"]
            one.until(lambda: one.is_used("plexi"))
            load.more(20)
        assert load.errors == []
        assert one.handshakes_failed() == 0
        one.until(lambda: served(one) == of["ec@plexi"])


def test_in_turn_clients_see_both_certificates(hsm_site: HsmSite) -> None:
    with replicas(hsm_site, "spread = true\n") as one:
        assert {served(one) for _ in range(8)} == set(serials(one).values())


def test_a_compromised_replica_leaves_the_other_one_alone(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        before = serials(one)
        query = {"credential": "ec@spare", "compromised": "1"}
        *_, last = admin(one).steps("/certificates/localhost/rotate", query)
        assert last == {"ok": True}
        after = serials(one)
        assert after["ec@plexi"] == before["ec@plexi"]
        assert after["ec@spare"] != before["ec@spare"]


def test_a_token_that_is_initialised_anew_gets_a_key_and_a_certificate_by_itself(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        before = serials(one)
        with one.connect(one.client(authority=root_of(one))) as established:
            for token in (hsm_site.hsm.directory / "tokens").iterdir():
                if b"plexi" in (token / "token.object").read_bytes():
                    shutil.rmtree(token)
            hsm_site.hsm.add_token("plexi")
            assert served(one) == before["ec@spare"]
            one.until(lambda: serials(one)["ec@plexi"] != before["ec@plexi"], 60)
            assert serials(one)["ec@spare"] == before["ec@spare"]
            one.until(lambda: served(one) == serials(one)["ec@plexi"], 60)
            assert ask(established) == 502
        reasons = [
            event["reason"] for event in events(one.running.output, "rotation") if event["credential"] == "ec@plexi"
        ]
        assert reasons == ["no certificate yet", "the token has lost its key"]
