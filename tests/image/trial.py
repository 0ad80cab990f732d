"""The image at work: before the demo chat, with a read-only root, asked by curl from outside."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.image.engines import Engine, EngineError
from tests.ports import lasting_port

HYBRID = "X25519MLKEM768"
USER = 999
START_SECONDS = 60.0
STOP_SECONDS = 45
"""Longer than limits.drain_timeout."""
BILL = "/usr/share/doc/plexigate/sbom.cdx.json"
_CONFIGURATION = """\
workers = 2

[listener.public]
bind = "0.0.0.0:8443"

[identity.demo]
names = ["localhost"]
certificate = "server.pem"
key = "server.key"

[upstream.chat]
servers = ["http://127.0.0.1:8000"]

[[route]]
host = "localhost"
upstream = "chat"
"""


@dataclass(frozen=True)
class Running:
    """A container of the image."""

    engine: Engine
    name: str
    port: int
    directory: Path

    def inside(self, *command: str) -> str:
        """What a command in the container prints. Raises EngineError."""
        return self.engine.said("exec", self.name, *command)

    def asked(self) -> str:
        """What curl says of a request: the answer, and the line about the handshake. Raises EngineError."""
        command = ["curl", "--verbose", "--silent", "--cacert", str(self.directory / "ca.pem"), "--max-time", "10"]
        command += [f"https://localhost:{self.port}/api/hello"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"curl exits with {done.returncode}: {done.stderr.strip()[-500:]}")
        handshake = [line[2:] for line in done.stderr.splitlines() if line.startswith("* SSL connection")]
        return "\n".join([*handshake, done.stdout])


@contextmanager
def running(engine: Engine, image: str, demo: str, directory: Path) -> Iterator[Running]:
    """Run the image as docs/deploy.md says, and the chat in its network. Raises EngineError."""
    lay_out(directory)
    name = f"plexigate-trial-{os.getpid()}"
    made = Running(engine, name, lasting_port(), directory)
    try:
        engine.said(
            *["run", "--detach", "--name", name, f"--publish=127.0.0.1:{made.port}:8443", "--read-only"],
            *["--tmpfs", "/run/plexigate:mode=1777", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
            *["--volume", f"{directory}:/etc/plexigate:ro", image],
        )
        chat = ["--network", f"container:{name}", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
        engine.said("run", "--detach", "--name", f"{name}-chat", *chat, demo, "--bind", "127.0.0.1:8000")
        yield made
    except EngineError as error:
        raise EngineError(f"{error}\n{logs(engine, name)}") from None
    finally:
        for one in (f"{name}-chat", name):
            engine.said("rm", "--force", "--volumes", "--time", "1", one) if engine.is_podman else engine.said(
                "rm", "--force", "--volumes", one
            )


def lay_out(directory: Path) -> None:
    """A configuration, a certificate and its key, as the user of the image may read them."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    subprocess.run(["sh", "docker/demo/certificates.sh", str(directory)], check=True)
    (directory / "plexigate.toml").write_text(_CONFIGURATION, encoding="utf-8")
    directory.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(directory / "server.key", USER, USER)


def judged(made: Running, say: Callable[[str], None]) -> list[str]:
    """Check the container. Returns what is not as it should be."""
    answer = until(made.asked)
    wrong = [] if answer.count(HYBRID) >= 1 and f'"tls_group": "{HYBRID}"' in answer else [f"not by {HYBRID}: {answer}"]
    say(answer.strip())
    version = made.inside("plexigate", "--version")
    say(version)
    wrong += [] if "hot path compiled" in version else ["the hot path is not compiled"]
    who = made.inside("id", "-u")
    wrong += [] if who == str(USER) else [f"it runs as {who}"]
    written = made.inside("sh", "-c", "touch /opt/written 2>/dev/null && echo yes || echo no")
    wrong += [] if written == "no" else ["its root can be written to"]
    more = made.inside("sh", "-c", "find / -xdev -type f -perm -4000 2>/dev/null || true")
    wrong += [] if not more else [f"programs with more rights than their user: {more}"]
    health = made.engine.said("inspect", "--format", "{{json .Config.Healthcheck}}", made.name)
    wrong += [] if "plexigate" in health else ["the health check was dropped"]
    if made.engine.is_podman:
        made.engine.said("healthcheck", "run", made.name)
    status = json.loads(made.inside("plexigate", "status", "--json"))
    wrong += [] if status else ["no status"]
    return wrong


def stopped(made: Running) -> list[str]:
    """Stop it. Returns what was wrong."""
    made.engine.said("stop", "--time", str(STOP_SECONDS), made.name)
    status = made.engine.said("inspect", "--format", "{{.State.ExitCode}}", made.name)
    return [] if status == "0" else [f"after SIGTERM it exits with {status}"]


def until(ask: Callable[[], str], seconds: float = START_SECONDS) -> str:
    """Ask again until there is an answer. Raises EngineError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except EngineError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def logs(engine: Engine, name: str) -> str:
    """The end of what a container has printed."""
    try:
        return "\n".join(engine.said("logs", name).splitlines()[-20:])
    except EngineError as error:
        return str(error)
