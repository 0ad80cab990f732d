"""Debian's etcd beside a test: one member, which may be killed, or sleep, and forgets nothing by that."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.certificates import CertificateFiles
from tests.ports import lasting_port
from tests.waiting import until_found


class Etcd:
    """One etcd. Nothing runs before `start`."""

    def __init__(self, directory: Path, server: CertificateFiles | None = None, trust: Path | None = None) -> None:
        """With the certificate of a `server` it demands one of its clients, which `trust` has signed."""
        program = shutil.which("etcd")
        assert program is not None, "etcd is missing: apt-get install etcd-server (./dev test does)"
        client, peer = lasting_port(), lasting_port()
        scheme = "http" if server is None else "https"
        self.url = f"{scheme}://127.0.0.1:{client}"
        self.data = directory / "etcd"
        peers = f"http://127.0.0.1:{peer}"
        self._command = [
            *(program, "--data-dir", str(self.data), "--name", "test", "--logger", "zap", "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *(
                "--listen-peer-urls",
                peers,
                "--initial-advertise-peer-urls",
                peers,
                "--initial-cluster",
                f"test={peers}",
            ),
            "--unsafe-no-fsync",
        ]
        self._verify: str | None = None
        self._files: tuple[str, str] | None = None
        if server is not None:
            assert trust is not None
            self._verify = str(trust)
            self._files = (str(server.certificate), str(server.key))
            self._command += ["--cert-file", self._files[0], "--key-file", self._files[1]]
            self._command += ["--trusted-ca-file", str(trust), "--client-cert-auth"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run, and wait until it takes writes."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until_found(self._is_healthy)

    def _is_healthy(self) -> bool:
        try:
            answer = requests.get(f"{self.url}/health", timeout=5, verify=self._verify or True, cert=self._files)
        except requests.ConnectionError:
            return False
        return bool(json.loads(answer.text)["health"] == "true")

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
        self.start()
        try:
            yield
        finally:
            if self._process is not None:
                self.kill()
