"""Two tokens with a key and a certificate each, which an internal CA issues; the long form is `./dev soak replicas`."""

import random
import re
import time
from pathlib import Path

from tests.hsm.faults import errors
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import USER_PIN, Token
from tests.integration.gateway import events
from tests.integration.hsm_scene import ROUTE, Load, running, scene_of
from tests.soak.replicas import PLACES, Outcome, live, replicas


def test_each_token_has_a_key_and_a_certificate_and_the_other_one_serves_while_it_is_dead(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        of = one.serials()
        assert of["plexi"] != of["spare"]
        assert one.served() == of["plexi"], "the first one of the list"
        rows = one.admin.get("/certificates/localhost/live")[1]["shown"]
        assert [(row["serial"], row["fault"], row["untried"]) for row in rows] == [
            (of["plexi"], None, None),
            (of["spare"], None, f"another replica signs now, serial {of['plexi']}"),
        ]
        tokens = [row["tokens"] for row in one.admin.get("/status")[1]["certificates"]]
        assert tokens == [["plexi"], ["spare"]]
        client = one.scene.client(authority=one.root)
        session = one.scene.resumable(client)
        with errors(one.scene.plexi):
            assert one.served() == of["spare"]
            with one.scene.connect(client, session) as resumed:
                assert resumed.session_reused, "a ticket belongs to the identity"
        one.scene.until(lambda: one.served() == of["plexi"])
        assert one.scene.handshakes_failed() == 0


def test_in_turn_clients_see_both_certificates(hsm_site: HsmSite) -> None:
    with replicas(hsm_site, "spread = true\n") as one:
        assert {one.served() for _ in range(8)} == set(one.serials().values())


def test_a_compromised_replica_leaves_the_other_one_alone_and_no_key_leaves_its_token(hsm_site: HsmSite) -> None:
    log = spied(hsm_site)
    with replicas(hsm_site) as one:
        before = one.serials()
        assert one.rotate("spare", compromised="1")
        after = one.serials()
        assert after["plexi"] == before["plexi"]
        assert after["spare"] != before["spare"]
        assert one.served() == after["plexi"]
    text = log.read_text()
    assert USER_PIN in text, "it shows what crosses"
    calls = re.findall(r"^[0-9]+: (C_\w+)$", text, re.MULTILINE)
    assert calls.count("C_GenerateKeyPair") == 3
    assert "C_Sign" in calls
    assert not MOVING & set(calls)
    read = re.findall(rf"^ +({PRIVATE_PARTS}) +\S+ / (-?[0-9]+)$", text, re.MULTILINE)
    assert {int(size) for _, size in read} <= {0, -1}, "asked for, and not answered"


MOVING = {"C_CreateObject", "C_CopyObject", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey", "C_GetOperationState"}
PRIVATE_PARTS = "CKA_VALUE|CKA_PRIVATE_EXPONENT|CKA_PRIME_[12]|CKA_EXPONENT_[12]|CKA_COEFFICIENT"


def spied(site: HsmSite) -> Path:
    """Have OpenSC's pkcs11-spy write down each call of all processes, with its attributes; where that is."""
    (spy,) = Path("/usr/lib").glob("*/pkcs11-spy.so")
    shim, log = site.hsm.shim, site.directory / "spy.log"
    shim.environment |= {"PKCS11SPY": str(shim.module), "PKCS11SPY_OUTPUT": str(log)}
    shim.module = spy
    return log


def test_all_replicas_roll_back_together(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        before = one.serials()
        assert [one.rotate(place) for place in PLACES] == [True, True]
        assert one.admin.post("/certificates/localhost/rollback", {})[0] == 200
        assert one.serials() == before
        assert one.served() == before["plexi"]


def test_whatever_happens_to_one_token_while_keys_rotate_no_handshake_fails(hsm_site: HsmSite) -> None:
    outcome = Outcome(clients=2, handshakes_each=12, pause=0.02)
    with replicas(hsm_site) as one:
        live(one, outcome, lambda count: count == 6, random.Random(26))  # noqa: S311 - repeatable
        reasons = {event["reason"] for event in events(one.scene.running.output, "rotation")}
    assert outcome.wrong == []
    assert len(outcome.events) == 6
    assert reasons == {"no certificate yet", "a command asked for it", "the token has lost its key"}


def test_a_token_that_was_initialised_anew_with_another_pin_waits_for_its_pin_alone(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        scene, before = one.scene, one.serials()
        with Load(scene, scene.handshakes(scene.client(authority=one.root)), pause=0.02).running(1) as load:
            anew = Token("plexi", "the-new-pin")
            hsm_site.hsm.initialise_anew(anew)
            scene.plexi.lose_sessions()  # as a device would; SoftHSM has read its token before
            scene.until(lambda: scene.metric("token_pin_refused", token="plexi") == 1)
            logins = scene.plexi.calls("C_Login")
            load.more(10)
            assert one.serials() == before
            assert scene.plexi.calls("C_Login") == logins, "nobody tries the old PIN again"
            hsm_site.hsm.pin_file(anew)
            assert one.admin.post("/reload", {})[1]["ok"]
            scene.until(lambda: one.serials()["plexi"] != before["plexi"] and scene.is_used("plexi"))
            scene.until(lambda: one.served() == one.serials()["plexi"])
            load.more(10)
        assert one.serials()["spare"] == before["spare"]
        assert load.errors == []


def test_an_identity_goes_from_one_key_to_replicas_and_back(hsm_site: HsmSite) -> None:
    with replicas(hsm_site) as one:
        configuration = Path(hsm_site.directory / "plexigate.toml")
        text = configuration.read_text()
        assert '["ec-p256@plexi", "ec-p256@spare"]' in text
        before = one.serials()
        configuration.write_text(text.replace('["ec-p256@plexi", "ec-p256@spare"]', '"ec-p256@plexi"'))
        assert one.admin.post("/reload", {})[1]["ok"]
        one.scene.until(lambda: one.serials().keys() == {"ec"} and None not in one.serials().values())
        single = one.serials()["ec"]
        assert single not in before.values()
        one.scene.until(lambda: one.served() == single)
        configuration.write_text(text)
        assert one.admin.post("/reload", {})[1]["ok"]
        one.scene.until(lambda: one.serials().keys() == {"plexi", "spare"} and None not in one.serials().values())
        one.scene.until(lambda: one.served() == one.serials()["plexi"] != single)
        assert one.scene.handshakes_failed() == 0


def test_two_tokens_sign_nearly_twice_as_often_as_one(hsm_site: HsmSite) -> None:
    def seconds(*labels: str) -> float:
        site = HsmSite.make(hsm_site.directory / f"{len(labels)}", hsm_site.hsm.shim.module)
        tokens = [site.hsm.add_token(label) for label in labels]
        keys = {f"pkcs11:token={one.label};object=chat": site.hsm.generate(one, "chat") for one in tokens}
        spread = "spread = true\n" if len(labels) > 1 else ""
        few = dict.fromkeys(labels, "max_sessions = 4")  # two of the parent, one to stay logged in, one to sign
        configuration = site.write(site.tokens(*tokens, further=few), site.replicas("localhost", keys, spread), ROUTE)
        with (
            running(site, configuration) as run,
            Load(one := scene_of(site, run), one.handshakes(one.client())).running(8) as load,
        ):
            for token in (one.plexi, one.spare):
                token.delay(50, "C_Sign")
            load.more(20)
            began = time.perf_counter()
            load.more(60)
            took = time.perf_counter() - began
        assert load.errors == []
        return took

    ratio = seconds("plexi") / seconds("plexi", "spare")
    assert ratio >= 1.7, "1.9 and more on a quiet machine"
