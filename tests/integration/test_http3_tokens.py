"""HTTP/3 with keys in tokens: signatures take their time, and a token may die in the middle of a handshake."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.quic.availability import unavailable
from tests.configurations import listener
from tests.hsm.faults import errors
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import Scene, scene

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
    pytest.mark.alone,
]

LISTENER = listener("three", http3=True)


def asked(one: Scene, *arguments: str) -> tuple[int, str, float]:
    """What curl says of a request by HTTP/3: the status of the answer, its errors, and the seconds of the handshake."""
    port = int(one.running.ready["three"][0].rpartition(":")[2])
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--http3-only",
        "--cacert",
        str(one.site.authority.path),
        "--noproxy",
        "*",
    ]
    told = ["--write-out", "%{http_code} %{time_appconnect}", "--output", "/dev/null"]
    done = subprocess.run(
        [*command, *told, *arguments, f"https://localhost:{port}/"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    status, seconds = re.findall(r"^(\d+) (\S+)$", done.stdout)[0]
    return int(status), done.stderr, float(seconds)


@pytest.mark.parametrize("curves", ["X25519MLKEM768", "X25519:X25519MLKEM768"], ids=["direct", "retried"])
def test_a_token_signs_and_the_other_one_steps_in_within_a_handshake(hsm_site: HsmSite, curves: str) -> None:
    with scene(hsm_site, further=LISTENER) as one:
        assert asked(one, "--curves", curves)[0] == 502  # by the proxy: there is nobody behind it
        assert one.plexi.calls("C_SignInit") + one.spare.calls("C_SignInit") >= 1
        with errors(one.plexi), ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: asked(one, "--curves", curves), range(40)))
        assert [said for status, said, _ in answers if status != 502] == []
        assert one.spare.calls("C_SignInit") >= 40
        assert one.handshakes_failed() == 0


def test_slow_signatures_hold_up_nobody_else(hsm_site: HsmSite) -> None:
    with scene(hsm_site, further=LISTENER) as one:
        for token in (one.plexi, one.spare):
            token.delay(200, "C_Sign")
        with ThreadPoolExecutor(10) as clients:
            answers = list(clients.map(lambda _: asked(one), range(20)))
        assert [status for status, _, _ in answers] == [502] * 20
        assert max(seconds for _, _, seconds in answers) < 2.5
