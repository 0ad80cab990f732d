"""A proxy whose certificates rotate by themselves, and who looks at them."""

import json
import socket
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from proxy.admin.client import UnixAdminClient
from tests.soak.scenes import Scene

ISSUED = """
[identity.local]
names = ["localhost", "127.0.0.1"]
prefer = "{prefer}"
[[identity.local.credential]]
key = "ec-p256@file"
issuer = "internal"
{second}
[issuer.internal]
type = "internal"
{issuer}
[rotation]
state = "state"
{rotation}
"""
SECOND = '[[identity.local.credential]]\nkey = "mldsa-65@sealed"\nissuer = "internal"'


@dataclass
class RotatingScene(Scene):
    """A `Scene` whose certificates come from an internal CA."""

    second: str = ""
    issuer: str = ""
    rotation: str = ""
    prefer: str = "classical"

    def __post_init__(self) -> None:
        """There is no file to make."""

    @property
    def identity(self) -> str:
        """What it proves itself with."""
        return ISSUED.format(second=self.second, issuer=self.issuer, rotation=self.rotation, prefer=self.prefer)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def root(self) -> Path:
        """The root of its CA."""
        (path,) = (self.state / "issuers" / "internal" / "root").glob("v*/chain.pem")
        return path

    @property
    def client(self) -> ssl.SSLContext:
        """Who trusts that root and nobody else, as strictly as OpenSSL can."""
        context = ssl.create_default_context(cafile=str(self.root))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    @cached_property
    def admin(self) -> UnixAdminClient:
        """Its admin socket."""
        return UnixAdminClient(self.directory / "admin.sock")

    def certificates(self) -> list[dict[str, Any]]:
        """What `GET /certificates` lists."""
        status, document = self.admin.get("/certificates")
        assert status == 200
        listed: list[dict[str, Any]] = document["certificates"]
        return listed

    def rotate(self, **query: str) -> list[dict[str, Any]]:
        """Rotate, and answer the steps."""
        return list(self.admin.steps("/certificates/local/rotate", query))

    def served(self, context: ssl.SSLContext | None = None) -> str:
        """The serial number of the certificate that a new client gets, in hexadecimal."""
        made = context or self.client
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
            made.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            found = tls.getpeercert()
            assert found is not None
            return f"{int(str(found['serialNumber']), 16):x}"


def lines(output: bytes) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
