"""What `check`, a start and a reload say of a key that cannot sign: the table of docs/hsm.md, a case for each row."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest

from proxy.admin.client import UnixAdminClient
from tests import prepared
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SoftHsm, Token
from tests.integration.hsm_scene import ROUTE, Scene, running, scene_of
from tests.integration.test_hsm_lost_keys import asked, uri
from tests.programs import PLEXIGATE, NotReadyError

PLEXI, SPARE = Token("plexi", "1234-user-pin"), Token("spare", "another-pin")
Break = Callable[[HsmSite], None]


def away(site: HsmSite) -> None:
    """The token plexi is not there."""
    site.hsm.put_into(SoftHsm.make(site.directory / "away", site.hsm.shim.module), "plexi")


def wrong_pin(site: HsmSite) -> None:
    site.hsm.pin_file(PLEXI, "wrong-pin")


def lost(site: HsmSite) -> None:
    """The token plexi has lost all keys."""
    site.hsm.lose_keys(PLEXI)


def doubled(site: HsmSite) -> None:
    """There is a second key with this label."""
    site.hsm.generate(PLEXI, "chat", identifier="02")


def other_key(site: HsmSite) -> None:
    """The key does not fit the certificate."""
    lost(site)
    site.hsm.generate(PLEXI, "chat")


def one_key(site: HsmSite) -> str:
    return site.identity("localhost", site.hsm.generate(PLEXI, "chat"), uri(PLEXI, "chat"))


def copies(site: HsmSite) -> str:
    return site.identity("localhost", site.hsm.share("chat", PLEXI, SPARE), uri(PLEXI, "chat"), uri(SPARE, "chat"))


def replicas(site: HsmSite) -> str:
    keys = {uri(token, "chat"): site.hsm.generate(token, "chat") for token in (PLEXI, SPARE)}
    return site.replicas("localhost", keys)


def issued(site: HsmSite) -> str:
    return site.issued_identity("localhost", "ec-p256@plexi")


def issued_replicas(site: HsmSite) -> str:
    return site.issued_identity("localhost", ["ec-p256@plexi", "ec-p256@spare"])


Outcomes = tuple[int, str, str]
SERVES, WITHOUT, NO = "serves", "without the identity", "refused"


@pytest.mark.parametrize(
    ("keys", "fault", "expected"),
    [
        (replicas, away, (0, SERVES, SERVES)),
        (issued_replicas, lost, (0, SERVES, SERVES)),
        (copies, wrong_pin, (0, SERVES, NO)),  # a new PIN is refused, and the old one stays
        (one_key, away, (1, WITHOUT, SERVES)),
        (one_key, wrong_pin, (1, WITHOUT, NO)),
        (one_key, lost, (1, NO, NO)),
        (one_key, doubled, (1, NO, NO)),
        (one_key, other_key, (1, NO, NO)),
        (issued, away, (0, WITHOUT, SERVES)),
        (issued, lost, (0, SERVES, SERVES)),
    ],
)
def test_what_check_a_start_and_a_reload_say(
    hsm_site: HsmSite, keys: Callable[[HsmSite], str], fault: Break, expected: Outcomes
) -> None:
    assert outcomes(hsm_site, keys, fault, expected) == expected


def outcomes(site: HsmSite, keys: Callable[[HsmSite], str], fault: Break, expected: Outcomes) -> Outcomes:
    """The exit code of `check`, and what comes of a start and of a reload."""
    for token in (PLEXI, SPARE):
        site.hsm.add_token(token.label, token.pin)
    configuration = site.write(site.tokens(PLEXI, SPARE), keys(site), ROUTE)
    with running(site, configuration) as run:
        one = scene_of(site, run)
        one.until(lambda: asked(one, "/readyz")[0] == 200)
        fault(site)
        answer = UnixAdminClient(site.directory / "plexigate.sock").post("/reload", {})[1]
        reloaded = SERVES if answer["ok"] else NO
        assert answer["ok"] or [one for one in answer["problems"] if one["severity"] == "error"]
    done = prepared.run([PLEXIGATE, "check", "--json", str(configuration)], site.hsm.environment)
    said = [one for one in json.loads(done.stdout)["problems"] if one["key"] not in ("user", "rotation.state")]
    assert said, "loudly"
    started = NO
    with suppress(NotReadyError), running(site, configuration) as run:
        started = served(scene_of(site, run), expected[1])
    return done.returncode, started, reloaded


def served(one: Scene, expected: str) -> str:
    """Whether clients are served, at once or soon."""
    roots = list((one.site.directory / "issued" / "issuers" / "internal" / "root").glob("v*/chain.pem"))
    context = one.client(authority=roots[0] if roots else None)
    if expected == WITHOUT:
        assert asked(one, "/readyz")[0] == 503
        return SERVES if one.serves(context) else WITHOUT
    one.until(lambda: one.serves(context))
    return SERVES
