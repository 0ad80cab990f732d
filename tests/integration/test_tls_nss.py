"""The TLS library of Firefox as a client: another reading of the RFCs than OpenSSL's, with all that browsers put into a hello."""

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.integration.gateway import Gateway

HYBRID, X25519, P256 = "mlkem768x25519", "x25519", "P256"
LIKE_A_BROWSER = (
    *("-i", "200"),  # an outer Encrypted ClientHello with nothing in it
    "--enable-ch-extension-permutation",
    "--zlib-certificate-compression",
    "-T",  # asks for a stapled OCSP response
    "-U",  # and for signed certificate timestamps
)
GREASE = "--enable-rfc8701-grease"
NSS = Callable[..., str]


@pytest.fixture(scope="module")
def nss(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> NSS:
    """Run `tstclnt`, which verifies chain and name, with one request; answers what it printed."""
    directory = tmp_path_factory.mktemp("nss")
    database, request = f"sql:{directory}", directory / "request"
    request.write_bytes(b"GET /nss HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    authority = str(gateway.trust.classical.path)
    for preparation in (["-N", "--empty-password"], ["-A", "-n", "authority", "-t", "C,,", "-i", authority]):
        subprocess.run(["certutil", "-d", database, *preparation], check=True, timeout=30)

    command = ["tstclnt", "-h", "localhost", "-4", "-d", database, "-V", "tls1.3:tls1.3", "-A", str(request)]

    def run(*arguments: str, groups: str, name: str = "localhost", on: str = "standard") -> str:
        done = subprocess.run(
            [*command, "-p", str(gateway.port(on)), "-a", name, "-I", groups, *arguments],
            capture_output=True,
            timeout=30,
            check=False,
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    return run


def group(output: str) -> list[str]:
    """What the upstream was told."""
    body = output[output.index("{") : output.rindex("}") + 1]
    found: list[str] = json.loads(body)["group"]
    return found


@pytest.mark.parametrize("extras", [(), LIKE_A_BROWSER, (*LIKE_A_BROWSER, GREASE)], ids=["plain", "browser", "grease"])
@pytest.mark.parametrize(
    ("groups", "expected"),
    [(f"{HYBRID},{X25519},{P256}", "X25519MLKEM768"), (X25519, "X25519"), (P256, "secp256r1")],
)
def test_group_is_the_best_that_both_have(nss: NSS, groups: str, expected: str, extras: tuple[str, ...]) -> None:
    assert group(nss(*extras, groups=groups)) == [expected]


@pytest.mark.parametrize("extras", [(), LIKE_A_BROWSER], ids=["plain", "browser"])
@pytest.mark.parametrize("groups", [f"{X25519},{HYBRID}", f"{P256},{X25519},{HYBRID}"])
@pytest.mark.parametrize("on", ["standard", "require"])
def test_hybrid_is_reached_by_a_retry(nss: NSS, groups: str, on: str, extras: tuple[str, ...]) -> None:
    """Without GREASE: NSS puts it into the key shares of its second hello, and OpenSSL wants exactly one there."""
    assert group(nss(*extras, groups=groups, on=on)) == ["X25519MLKEM768"]


@pytest.mark.parametrize(
    ("on", "groups", "name", "alert"),
    [
        ("require", X25519, "localhost", "SSL_ERROR_NO_CYPHER_OVERLAP"),
        ("standard", HYBRID, "nobody.test", "SSL_ERROR_UNRECOGNIZED_NAME_ALERT"),
        ("cnsa", f"{HYBRID},{X25519}", "localhost", "SSL_ERROR_NO_CYPHER_OVERLAP"),
    ],
)
def test_refusal_is_understood(nss: NSS, on: str, groups: str, name: str, alert: str) -> None:
    assert alert in nss(groups=groups, name=name, on=on)


def test_session_is_resumed(nss: NSS) -> None:
    output = nss("-L", "2", "-u", groups=f"{HYBRID},{X25519}")
    assert output.count("HTTP/1.1 200 OK") == 2
    assert "1 stateless resumes" in output
