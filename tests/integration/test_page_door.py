"""The admin page over TCP: curl and OpenSSL with tokens, cookies and certificates, right and wrong."""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.certificates import Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.configurations import identity, listener
from tests.integration.stage import Site, serving

OPS, CERT = "ops.page.test", "cert.page.test"
FIRST, SECOND, WRONG = (secrets.token_hex(32) for _ in range(3))
FROM_THE_PAGE = "200"


@dataclass(frozen=True)
class Doors:
    """A running proxy with a page for tokens and one for certificates."""

    site: Site
    directory: Path
    known: ClientFiles
    stranger: ClientFiles

    def curl(self, *arguments: str, host: str = OPS, path: str = "/") -> "subprocess.CompletedProcess[bytes]":
        """Ask for the page."""
        to = f"{host}:{self.site.port()}"
        connect = ["--connect-to", f"{to}:127.0.0.1:{self.site.port()}"]
        return self.site.curl(*connect, "--include", *arguments, url=f"https://{to}{path}")

    def status(self, *arguments: str, host: str = OPS, path: str = "/") -> str:
        """The status of an answer."""
        return self.curl(
            "--output", "/dev/null", "--write-out", "%{http_code}", *arguments, host=host, path=path
        ).stdout.decode()

    def sign_in(self, token: str, *arguments: str, origin: str | None = None) -> str:
        """The answer to the form."""
        origin = f"https://{OPS}:{self.site.port()}" if origin is None else origin
        form = ["--header", f"Origin: {origin}", "--data-urlencode", f"token={token}"]
        return self.curl(*form, *arguments, path="/sign-in").stdout.decode()

    def use_tokens(self, *tokens: str) -> None:
        """Replace the tokens, and reload."""
        file = self.directory / "page.tokens"
        file.write_text("\n".join(tokens))
        done = self.site.command("reload")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Doors]:
    directory = tmp_path_factory.mktemp("page")
    known, other = ClientAuthority("Operators"), ClientAuthority("Strangers")
    (directory / "operators.pem").write_bytes(known.pem)
    tokens = directory / "page.tokens"
    tokens.touch(0o600)
    tokens.write_text(FIRST)
    text = f"""
workers = 2
[admin]
socket = "{directory}/site.sock"
page_socket = "{directory}/page.sock"
metrics_bind = ["127.0.0.1:0"]
{listener("public")}
{identity("ops", (OPS,), authority.issue("page-ops", (OPS,)))}
{identity("cert", (CERT,), authority.issue("page-cert", (CERT,)))}
[identity.cert.client_certificates]
ca = "operators.pem"
mode = "optional"
[[route]]
host = "{OPS}"
admin_page = {{ tokens = "page.tokens" }}
[[route]]
host = "{CERT}"
admin_page = {{}}
client_certificate = "require"
"""
    configuration = directory / "site.toml"
    configuration.write_text(text)
    with serving(configuration, authority) as site:
        yield Doors(site, directory, known.issue(directory, "operator"), other.issue(directory, "stranger"))


def _told_of_wrong_tokens(output: list[str]) -> dict[str, Any] | None:
    events = [json.loads(line) for line in output]
    return next((one for one in events if one.get("event") == "page_token_wrong"), None)


def cookie_of(answer: str) -> str:
    """The cookie that an answer sets."""
    found = re.search(
        r"(?im)^set-cookie: (__Host-plexigate-page=[^;]+); Path=/; Secure; HttpOnly; SameSite=Strict\r?$", answer
    )
    assert found is not None, answer
    return found[1]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
class TestToken:
    def test_without_one_a_browser_gets_the_form_and_a_program_a_challenge(self, doors: Doors, version: str) -> None:
        form = doors.curl(version, "--header", "Accept: text/html").stdout.decode()
        assert " 401" in form.splitlines()[0]
        assert '<form method="post" action="/sign-in">' in form
        told = doors.curl(version).stdout.decode().lower()
        assert 'www-authenticate: bearer realm="plexigate admin page"' in told
        assert "application/problem+json" in told

    def test_right_one_of_a_program(self, doors: Doors, version: str) -> None:
        right = ("--header", f"Authorization: Bearer {FIRST}")
        assert doors.status(version, *right) == FROM_THE_PAGE
        assert doors.status(version, *right, "--request", "POST") == "405"
        assert doors.status(version, *right, "--data", "x") == "413"

    def test_events_arrive_while_the_page_is_open(self, doors: Doors, version: str) -> None:
        right = ("--header", f"Authorization: Bearer {FIRST}", "--no-buffer", "--max-time", "5")
        told = doors.curl(version, *right, path="/events")
        assert told.returncode == 28, "the time was over, and the answer was not"
        assert told.stdout.count(b"event: now\ndata: {") >= 2
        assert "text/event-stream" in told.stdout.decode()

    def test_commands_of_the_admin_socket_are_not_there(self, doors: Doors, version: str) -> None:
        right = ("--header", f"Authorization: Bearer {FIRST}")
        for path in ("/status", "/metrics", "/reload", "/readyz", "/keys/try"):
            assert doors.status(version, *right, path=path) == "404"

    def test_form_gives_a_session_that_every_worker_knows(self, doors: Doors, version: str) -> None:
        answer = doors.sign_in(FIRST, version)
        assert " 303" in answer.splitlines()[0]
        assert re.search(r"(?im)^location: /\r?$", answer)
        for _ in range(6):
            assert doors.status(version, "--cookie", cookie_of(answer)) == FROM_THE_PAGE

    def test_form_of_another_page_is_refused(self, doors: Doors, version: str) -> None:
        for origin in ("https://evil.test", f"http://{OPS}", "null"):
            assert " 403" in doors.sign_in(FIRST, version, origin=origin).splitlines()[0]

    def test_name_that_was_rebound_finds_no_page(self, doors: Doors, version: str) -> None:
        right = ("--header", f"Authorization: Bearer {FIRST}")
        assert doors.status(version, *right, "--header", "Host: evil.test") == "421"


def test_wrong_tokens_are_counted_and_slowed_down_and_lock_nobody_out(doors: Doors) -> None:
    """Also not those who come from the same network."""
    statuses = {doors.status("--header", f"Authorization: Bearer {WRONG}") for _ in range(24)}
    assert statuses == {"401", "429"}
    assert " 429" in doors.sign_in(WRONG).splitlines()[0]
    assert doors.status("--header", f"Authorization: Bearer {FIRST}") == FROM_THE_PAGE
    assert " 303" in doors.sign_in(FIRST).splitlines()[0]
    assert doors.site.admin.failures()["public", "page_token"] >= 10
    told = doors.site.program.wait_for(_told_of_wrong_tokens)
    assert told["client"] == "127.0.0.1"
    log = "\n".join(doors.site.program.output)
    assert not any(token in log for token in (FIRST, WRONG))


def test_session_that_was_changed_or_has_ended_is_none(doors: Doors) -> None:
    session = cookie_of(doors.sign_in(FIRST))
    ends, number, mac = session.partition("=")[2].split(".")
    later = f"{int(ends) + 3_600}.{number}.{mac}"
    for forged in (later, f"1.{number}.{mac}", f"{ends}.{number}.{'0' * 64}"):
        assert doors.status("--cookie", f"__Host-plexigate-page={forged}") == "401"


def test_token_that_is_taken_out_ends_its_sessions(doors: Doors) -> None:
    session = cookie_of(doors.sign_in(FIRST))
    doors.use_tokens("# while the token changes", SECOND, FIRST)
    assert doors.status("--cookie", session) == FROM_THE_PAGE
    assert doors.status("--header", f"Authorization: Bearer {SECOND}") == FROM_THE_PAGE
    doors.use_tokens(SECOND)
    assert doors.status("--cookie", session) == "401"
    assert doors.status("--header", f"Authorization: Bearer {FIRST}") in {"401", "429"}
    doors.use_tokens(FIRST)


class TestCertificate:
    def test_right_one(self, doors: Doors) -> None:
        shown = ("--cert", str(doors.known.certificate), "--key", str(doors.known.key))
        for version in ("--http1.1", "--http2"):
            assert doors.status(version, *shown, host=CERT) == FROM_THE_PAGE

    def test_none(self, doors: Doors) -> None:
        assert doors.status(host=CERT) == "403"
        assert doors.status("--header", f"Authorization: Bearer {FIRST}", host=CERT) == "403"

    def test_one_of_another_authority(self, doors: Doors) -> None:
        shown = ("--cert", str(doors.stranger.certificate), "--key", str(doors.stranger.key))
        assert doors.curl(*shown, host=CERT).returncode != 0


def test_tls_is_that_of_the_data_plane(doors: Doors) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{doors.site.port()}", "-servername", OPS]
    command += ["-CAfile", str(doors.site.ca), "-verify_return_error", "-brief"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=True)
    assert b"Negotiated TLS1.3 group: X25519MLKEM768" in done.stderr


def test_metrics_bind_has_no_page(doors: Doors) -> None:
    (address,) = doors.site.admin.status()["metrics"]
    with urlopen(f"http://{address}/healthz", timeout=30) as answer:
        assert answer.status == 200
    for path in ("/", "/events", "/sign-in", "/page/history"):
        done = subprocess.run(
            ["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}", f"http://{address}{path}"],
            capture_output=True, timeout=30, check=True,
        )  # fmt: skip
        assert done.stdout == b"404"
