"""docker/compose.yaml at work: a key in a token, certificates of pebble, and a rotation."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.image.engines import Engine, EngineError, compose, environment
from tests.image.trial import HYBRID, until

FILE = Path("docker/compose.yaml")
"""podman-compose 1.3 finds no relative path."""
HOST, PORT = "chat.localhost", 8443
PLACE = Path(".dev/image")
START_SECONDS = 120.0


def tried(engine: Engine, say: Callable[[str], None]) -> list[str]:
    """Start it, ask it, rotate. Returns what is wrong. Raises EngineError."""
    command = [*compose(engine), "--file", str(FILE.resolve())]
    say("the composition: up")
    up(engine, command)
    try:
        return _judged(engine, say)
    except EngineError as error:
        logs = subprocess.run([*command, "logs"], capture_output=True, text=True, check=False)
        raise EngineError("\n".join([str(error), *(logs.stdout + logs.stderr).splitlines()[-60:]])) from None
    finally:
        shown(*command, "down", "--volumes", "--timeout", "45")
        say("the composition: down")


def _judged(engine: Engine, say: Callable[[str], None]) -> list[str]:
    root = PLACE / "root.pem"
    proxy = until(lambda: container(engine, "proxy"), START_SECONDS)
    pebble = container(engine, "pebble")
    until(lambda: engine.said("cp", f"{pebble}:/authority/root.pem", str(root)), START_SECONDS)
    answer = until(lambda: asked(root), START_SECONDS)
    say(answer)
    wrong = [] if json.loads(answer)["tls_group"] == HYBRID else [f"not by {HYBRID}: {answer}"]
    first = serial(root)
    say(engine.said("exec", proxy, "plexigate", "certs", "list"))
    # Pebble may have asked for a renewal, which is then in flight.
    say(until(lambda: engine.said("exec", proxy, "plexigate", "certs", "rotate", "demo"), START_SECONDS))
    second = serial(root)
    wrong += [] if first != second else ["the certificate was not rotated"]
    say(f"rotated: serial {first} -> {second}")
    keys = engine.said("exec", proxy, "plexigate", "hsm", "list", "--config", "/etc/plexigate/plexigate.toml")
    say(keys)
    wrong += [] if "v2" in keys else ["the second key is not in the token"]
    return wrong


def up(engine: Engine, command: list[str]) -> None:
    """Start the services in their order. Raises EngineError.

    podman lets systemd run the health checks for which podman-compose waits. Without systemd, this does it.
    """
    starting = [*command, "up", "--detach", "--no-build"]
    with subprocess.Popen(starting, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment()) as running:
        while running.poll() is None:
            time.sleep(2)
            with suppress(EngineError):
                if engine.is_podman:
                    engine.said("healthcheck", "run", container(engine, "pebble"))
    if running.returncode != 0:
        raise EngineError(f"{' '.join(starting)} exits with {running.returncode}")


def shown(*command: str) -> None:
    """Run a command whose output is seen: what stays would keep a pipe open. Raises EngineError."""
    status = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment(), check=False
    ).returncode
    if status != 0:
        raise EngineError(f"{' '.join(command)} exits with {status}")


def container(engine: Engine, service: str) -> str:
    """The running container of a service. Raises EngineError while it does not run."""
    labels = ["--filter", f"label=com.docker.compose.service={service}"]
    labels += ["--filter", "label=com.docker.compose.project=plexigate-demo"]
    found = engine.said("ps", "--quiet", *labels)
    if not found:
        raise EngineError(f"the service {service} does not run")
    return found.split()[0]


def asked(root: Path) -> str:
    """The answer of the chat to curl. Raises EngineError."""
    return said("curl", "--silent", "--show-error", "--cacert", str(root), f"https://{HOST}:{PORT}/api/hello")


def serial(root: Path) -> str:
    """The serial number of what is served. Raises EngineError."""
    context = ssl.create_default_context(cafile=str(root))
    with (
        socket.create_connection(("127.0.0.1", PORT), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secured,
    ):
        certificate = secured.getpeercert()
    return str(certificate["serialNumber"]) if certificate else ""


def said(*command: str) -> str:
    """What a command prints. Raises EngineError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"{' '.join(command)} exits with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
