"""Debian's etcd beside a test: a member, which may be killed, or sleep, and forgets nothing by that."""

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.certificates import CertificateFiles
from tests.ports import lasting_port
from tests.waiting import until_found


@dataclass(frozen=True)
class Place:
    """Where a member stands in its cluster."""

    name: str
    port: int
    """At which it listens for the other members."""
    cluster: Mapping[str, int]
    """The names of all members, and the port at which the others reach each of them."""


class Etcd:
    """One etcd. Nothing runs before `start`."""

    def __init__(
        self,
        directory: Path,
        server: CertificateFiles | None = None,
        trust: Path | None = None,
        place: Place | None = None,
    ) -> None:
        """With the certificate of a `server` it demands one of its clients and of other members, which `trust` has signed."""
        program = shutil.which("etcd")
        assert program is not None, "etcd is missing: apt-get install etcd-server (./dev test does)"
        if place is None:
            port = lasting_port()
            place = Place("test", port, {"test": port})
        self.name = place.name
        self.port = lasting_port()
        scheme = "http" if server is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.data = directory / "etcd"
        self.more: tuple[str, ...] = ()
        """Further arguments from the next start on."""
        self.cluster = {name: f"{scheme}://127.0.0.1:{port}" for name, port in place.cluster.items()}
        self.member = (
            *("--name", self.name, "--initial-advertise-peer-urls", self.cluster[self.name]),
            *("--initial-cluster", ",".join(f"{name}={url}" for name, url in self.cluster.items())),
        )
        self._command = [
            *(program, "--data-dir", str(self.data), "--logger", "zap", "--log-level", "error", "--unsafe-no-fsync"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", f"{scheme}://127.0.0.1:{place.port}", *self.member),
        ]
        self._verify: str | None = None
        self._files: tuple[str, str] | None = None
        if server is not None:
            assert trust is not None
            self._verify = str(trust)
            self._files = (str(server.certificate), str(server.key))
            self._command += ["--cert-file", self._files[0], "--key-file", self._files[1]]
            self._command += ["--trusted-ca-file", str(trust), "--client-cert-auth"]
            self._command += ["--peer-cert-file", self._files[0], "--peer-key-file", self._files[1]]
            self._command += ["--peer-trusted-ca-file", str(trust), "--peer-client-cert-auth"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run, and wait until it takes writes."""
        self.begin()
        until_found(self.is_healthy)

    def begin(self) -> None:
        """Run."""
        command = [*self._command, *self.more]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def pid(self) -> int | None:
        """Of its process, while it runs."""
        return None if self._process is None else self._process.pid

    def is_healthy(self) -> bool:
        """Whether it takes writes"""
        return self.asked("GET", "/health").get("health") == "true"

    def asked(self, method: str, path: str, **body: object) -> dict[str, Any]:
        """What it answers to a client; nothing, if it does not."""
        try:
            found: dict[str, Any] = json.loads(self._request(method, path, body if method == "POST" else None))
        except requests.RequestException:
            return {}
        return found

    @property
    def metrics(self) -> str:
        """Its own."""
        return self._request("GET", "/metrics", None)

    def _request(self, method: str, path: str, body: object) -> str:
        trust = self._verify or True
        return requests.request(method, self.url + path, json=body, timeout=5, verify=trust, cert=self._files).text

    def versions(self, prefix: str) -> dict[str, int]:
        """How often each name below a prefix was written since it is there."""
        rows = self._below(prefix, keys_only=True)
        return {base64.b64decode(one["key"]).decode(): int(one["version"]) for one in rows}

    def values(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Those of all names below a prefix, which are given without it."""
        for one in self._below(prefix):
            yield base64.b64decode(one["key"]).decode().removeprefix(prefix), base64.b64decode(one["value"])

    def _below(self, prefix: str, **more: object) -> list[Any]:
        first = prefix.encode()
        wanted = {"key": _encoded(first), "range_end": _encoded(first[:-1] + bytes([first[-1] + 1])), **more}
        found: list[Any] = json.loads(self._request("POST", "/v3/kv/range", wanted)).get("kvs", [])
        return found

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def sleep(self) -> None:
        """Answer nothing, with connections that stay open, until `wake`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # until the last thread has stopped

    def wake(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def administered(self, script: str, directory: Path, **environment: str) -> None:
        """Run commands of an operator there, which have to succeed. They speak gRPC, and not by the gateway."""
        files = {} if self._files is None else {"CERT": self._files[0], "KEY": self._files[1], "CACERT": self._verify}
        known = {
            f"ETCDCTL_{name}": str(value) for name, value in {"ENDPOINTS": self.url, **files, **environment}.items()
        }
        path = os.environ["PATH"]
        done = subprocess.run(
            ["/bin/sh", "-ec", script], cwd=directory, env={"PATH": path, **known}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run until the block ends."""
        with self.ended():
            self.start()
            yield

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End it when the block ends, if it runs then."""
        try:
            yield
        finally:
            if self._process is not None:
                self.kill()


def _encoded(name: bytes) -> str:
    return base64.b64encode(name).decode()
