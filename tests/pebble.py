"""Debian's pebble beside a test, as unpleasant as it can be: nonces rejected, external accounts wanted, every name really looked at."""

import json
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.certificates import Authority, CertificateFiles
from tests.ports import lasting_port
from tests.programs import program
from tests.waiting import until_found

KEY_ID = "kid-1"
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
LIFETIME_SECONDS = 3_600
_ENVIRONMENT = {
    "PEBBLE_WFE_NONCEREJECT": "30",
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_AUTHZREUSE": "0",
    # empty is off, whatever the environment of the tests has
    "PEBBLE_VA_ALWAYS_VALID": "0",
}


def tool(name: str) -> str:
    """Where a program of Debian's package pebble is; a test without it has failed."""
    found = shutil.which(name)
    assert found is not None, f"{name} is missing: apt-get install pebble (./dev test does)"
    return found


def listening(port: int) -> bool:
    """Whether somebody takes connections there. Both programs say that they are there before they listen."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Names:
    """The DNS that pebble asks: every name is 127.0.0.1, and TXT records are what the test says."""

    dns: str
    management: str

    def tell(self, what: str, body: Mapping[str, Any]) -> None:
        """Change something, such as `set-txt`."""
        requests.post(f"{self.management}/{what}", json=body, timeout=10).raise_for_status()


@contextmanager
def names() -> Iterator[Names]:
    """Run pebble-challtestsrv."""
    dns_port, management_port = lasting_port(), lasting_port()
    made = Names(f"127.0.0.1:{dns_port}", f"http://127.0.0.1:{management_port}")
    off = [f"-{kind}=" for kind in ("http01", "https01", "tlsalpn01", "doh", "defaultIPv6")]
    management = made.management.removeprefix("http://")
    command = [tool("pebble-challtestsrv"), "-dns01", made.dns, "-management", management, *off]
    with program(command, lambda line: True if "Starting management server" in line else None):
        until_found(lambda: listening(management_port) and listening(dns_port))
        yield made


class Pebble:
    """A CA, which may be down for a while. It forgets everything then, as it has no disk."""

    def __init__(self, directory: Path, dns: str, http_port: int, tls_port: int) -> None:
        """Nothing runs yet."""
        authority = Authority(directory, "pebble directory")
        files: CertificateFiles = authority.issue("pebble")
        self.trust = authority.path
        self._dns = dns
        self._port, self._management = lasting_port(), lasting_port()
        self.url = f"https://localhost:{self._port}/dir"
        self._configuration = directory / "pebble.json"
        self._configuration.write_text(
            json.dumps(
                {
                    "pebble": {
                        "listenAddress": f"127.0.0.1:{self._port}",
                        "managementListenAddress": f"127.0.0.1:{self._management}",
                        "certificate": str(files.certificate),
                        "privateKey": str(files.key),
                        "httpPort": http_port,
                        "tlsPort": tls_port,
                        "ocspResponderURL": "",
                        "externalAccountBindingRequired": True,
                        "externalAccountMACKeys": {KEY_ID: MAC_KEY},
                        "retryAfter": {"authz": 1, "order": 1},
                        "certificateValidityPeriod": LIFETIME_SECONDS,
                    }
                }
            )
        )

    @contextmanager
    def up(self) -> Iterator[list[str]]:
        """Let it run; answers what it prints."""
        command = [tool("pebble"), "-config", str(self._configuration), "-dnsserver", self._dns]
        with program(command, lambda line: True if "ACME directory available" in line else None, _ENVIRONMENT) as one:
            until_found(lambda: listening(self._port) and listening(self._management))
            yield one.output

    @property
    def root(self) -> bytes:
        """The root that its chains end in, PEM; another one after each start."""
        url = f"https://localhost:{self._management}/roots/0"
        return requests.get(url, verify=str(self.trust), timeout=10).content
