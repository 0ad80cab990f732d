"""A proxy whose certificates rotate automatically, and who looks at them."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from proxy.admin.client import UnixAdminClient
from tests.pebble import KEY_ID, MAC_KEY, Pebble
from tests.soak.scenes import Scene, scene

ISSUED = """
[identity.local]
names = ["localhost", "127.0.0.1"]
prefer = "{prefer}"
[[identity.local.credential]]
key = "{key}"
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

    key_spec: str = "ec-p256@file"
    second: str = ""
    issuer: str = ""
    rotation: str = ""
    prefer: str = "classical"

    def __post_init__(self) -> None:
        """There is no file to make."""

    @property
    def identity(self) -> str:
        """What it proves itself with."""
        return ISSUED.format(
            key=self.key_spec, second=self.second, issuer=self.issuer, rotation=self.rotation, prefer=self.prefer
        )

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
    def commands(self) -> UnixAdminClient:
        """What `plexigate certs` asks."""
        return UnixAdminClient(self.directory / "admin.sock")

    def certificates(self) -> list[dict[str, Any]]:
        """What `GET /certificates` lists."""
        status, document = self.commands.get("/certificates")
        assert status == 200
        listed: list[dict[str, Any]] = document["certificates"]
        return listed

    def shown(self) -> list[dict[str, Any]]:
        """What each worker shows."""
        status, document = self.commands.get("/certificates/local/live")
        assert status == 200, document
        rows: list[dict[str, Any]] = document["shown"]
        return rows

    def rotate(self, **query: str) -> list[dict[str, Any]]:
        """Rotate, and answer the steps."""
        return list(self.commands.steps("/certificates/local/rotate", query))

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


@dataclass
class AcmeScene(RotatingScene):
    """A `Scene` whose certificates come from an ACME CA; `acme` are the keys of its issuer, `http_port` is for http-01."""

    acme: dict[str, Any] = field(default_factory=dict)
    http_port: int = 0

    @classmethod
    def by_pebble(cls, pebble: Pebble, directory: Path, challenge: str, port: int, http_port: int) -> dict[str, Any]:
        """What a scene with pebble is made with; `root.pem` of the directory is to be pebble's root."""
        key_file = directory / "eab"
        key_file.touch(0o600)
        key_file.write_text(f"{MAC_KEY}\n")
        acme = {
            "directory": pebble.url,
            "challenge": challenge,
            "eab_kid": KEY_ID,
            "eab_key_file": "eab",
            "ca_file": str(pebble.trust),
            "root_file": "root.pem",
        }
        return {"acme": acme, "http_port": http_port, "listener": f'bind = "127.0.0.1:{port}"\nexempt = ["127.0.0.1"]'}

    @property
    def identity(self) -> str:
        """What it proves itself with."""
        issuer = "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.acme.items())
        return (
            '[identity.local]\nnames = ["localhost"]\n[[identity.local.credential]]\n'
            f'key = "{self.key_spec}"\nissuer = "ca"\n[issuer.ca]\ntype = "acme"\n{issuer}'
            f'[plain]\nbind = "127.0.0.1:{self.http_port}"\n[rotation]\nstate = "state"\n{self.rotation}\n'
        )

    @property
    def root(self) -> Path:
        """The root of the CA."""
        return self.directory / "root.pem"


Kind = TypeVar("Kind", bound=RotatingScene)


@contextmanager
def rotating(directory: Path, kind: type[Kind], **settings: Any) -> Iterator[Kind]:
    """Run one until the block ends."""
    with scene(directory, kind=kind, **settings) as made:
        assert isinstance(made, kind)
        yield made


def lines(output: bytes) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
