"""The Debian package in a bare Debian: installed, used, upgraded while clients are served, removed, purged.

No systemd runs there. A service manager of the tests stands in for it: it keeps the listening sockets between the old and the new
process, as systemd does for the unit.
"""

import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from tests.fresh.rooms import Room
from tests.packages.building import BuildError
from tests.service_manager import STORE, Manager, launcher
from tests.waiting import is_alive

PORT = 8447
USER = "plexigate"
CONFIGURATION = f"""
workers = 2
[listener.public]
bind = "127.0.0.1:{PORT}"
[identity.chat]
names = ["localhost"]
certificate = "chat.pem"
key = "chat.key"
[[route]]
host = "localhost"
respond = {{ status = 200, body = "it works" }}
[limits]
drain_timeout = "5s"
"""
_SECONDS = 60.0


def visit(made: Room, packages: tuple[Path, Path], say: Callable[[str], None]) -> None:
    """Do all of it with a package and one of a higher version. Raises RootError or BuildError."""
    old, new = packages
    say("install it by apt, with what it depends on")
    install(made, old)
    judge_installation(made)
    say("check, run, curl")
    made.run(
        "cd /etc/plexigate && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout chat.key -out chat.pem "
        "&& chown plexigate: chat.key && chmod 600 chat.key"
    )
    (made.root / "etc/plexigate/plexigate.toml").write_text(CONFIGURATION, encoding="utf-8")
    made.run("plexigate check /etc/plexigate/plexigate.toml", user=USER, home="/")
    notifications = made.root / "run/notify"
    manager = Manager(notifications, STORE)
    try:
        upgrade_under_load(made, manager, new, say)
    finally:
        manager.close()
    say("remove, purge")
    made.run("apt-get remove plexigate && test -e /etc/plexigate/plexigate.toml && test ! -e /usr/bin/plexigate")
    require(not (made.root / "usr/lib/plexigate").exists(), "a removal leaves /usr/lib/plexigate")
    made.run(
        "touch /var/log/plexigate/audit.jsonl /var/log/plexigate/access.jsonl; apt-get purge plexigate >/tmp/said 2>&1"
    )
    made.run("grep -F 'kept /etc/plexigate' /tmp/said && grep -F 'kept /var/log/plexigate' /tmp/said")
    left = sorted(
        str(path.relative_to(made.root))
        for place in ("etc", "var/log", "var/lib")
        for path in (made.root / place / "plexigate").glob("*")
    )
    require(
        {"etc/plexigate/chat.key", "etc/plexigate/chat.pem", "var/log/plexigate/audit.jsonl"} <= set(left)
        and "var/log/plexigate/access.jsonl" not in left,
        f"a purge leaves {left}",
    )


def install(made: Room, package: Path) -> None:
    """By apt, which fetches what the package depends on."""
    (made.root / "srv" / package.name).write_bytes(package.read_bytes())
    made.run(f"apt-get install --no-install-recommends -y /srv/{package.name} >/var/log/installing 2>&1")


def judge_installation(made: Room) -> None:
    """What lies where, and what the configuration that comes with the package leads to."""
    made.run("apt-get install -y openssl curl procps")
    made.run("getent passwd plexigate | grep -F :/usr/sbin/nologin")
    for path, expected in (
        ("/etc/plexigate", "750 root plexigate"),
        ("/var/lib/plexigate", "700 plexigate plexigate"),
        ("/var/log/plexigate", "750 plexigate plexigate"),
    ):
        made.run(f"test \"$(stat -c '%a %U %G' {path})\" = '{expected}'")
    made.run("plexigate --version | grep -F 'hot path compiled'", user=USER, home="/")
    made.run(
        "plexigate check /etc/plexigate/plexigate.toml >/tmp/said && exit 9; test $? = 1; grep -F chat.pem /tmp/said",
        user=USER,
        home="/",
    )
    made.run("! systemctl is-enabled plexigate 2>/dev/null")


def upgrade_under_load(made: Room, manager: Manager, package: Path, say: Callable[[str], None]) -> None:
    """The old process serves all the time until the new one takes its sockets; no connection is refused."""
    with service(made, manager) as old:
        made.run(f"curl -sS --cacert /etc/plexigate/chat.pem https://localhost:{PORT}/ | grep -F 'it works'")
        made.run("plexigate status --socket /run/plexigate/admin.sock | grep -F X25519MLKEM768")
        old_tree = tree_of(old)
        say("upgrade while clients connect")
        with load(made) as clients:
            install(made, package)
            clients.wait_for(50)
        require((made.root / old_tree.lstrip("/")).is_dir(), f"{old_tree} is gone while it runs")
        say("a worker ends, and the old parent starts another one from its own files; a reload")
        ended, *others = children(old)
        os.kill(ended, signal.SIGKILL)
        wait(lambda: [one for one in children(old) if one not in (ended, *others)])
        require(
            {tree_of(one) for one in children(old)} == {old_tree}, "a new worker of the old parent runs the new version"
        )
        made.run("plexigate reload --socket /run/plexigate/admin.sock")
        say("hand the sockets to the new version while clients connect")
        with load(made) as clients:
            workers = children(old)
            os.kill(old, signal.SIGTERM)
            with service(made, manager) as new:
                new_tree = tree_of(new)
                require(new_tree != old_tree, f"the new process runs {new_tree}")
                clients.wait_for(50)
                wait(lambda: not any(map(is_alive, workers)))
                made.run("/usr/lib/plexigate/tidy")
                require(not (made.root / old_tree.lstrip("/")).exists(), f"{old_tree} stays")
                require((made.root / new_tree.lstrip("/")).exists(), f"{new_tree} is gone")
                clients.wait_for(50)
                clients.end()
                os.kill(new, signal.SIGTERM)


@contextmanager
def service(made: Room, manager: Manager) -> Iterator[int]:
    """The program with what the unit gives it; its process id, as this machine counts."""
    made.run(f"install -d -o {USER} -m 0750 /run/plexigate")
    before = len(manager.states)
    made.run("chmod 666 /run/notify")
    start, descriptors = launcher(manager.kept)
    environment = [one if "NOTIFY" not in one else "NOTIFY_SOCKET=/run/notify" for one in manager.environment]
    environment += ["RUNTIME_DIRECTORY=/run/plexigate", "STATE_DIRECTORY=/var/lib/plexigate"]
    command = [*made.entering(USER, "/"), "env", *environment, "/usr/bin/python3", *start[1:]]
    command += ["/usr/bin/plexigate", "run", "/etc/plexigate/plexigate.toml"]
    log = (made.root / "var/log/plexigate.out").open("ab")
    with (
        log,
        subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=descriptors) as entering,
    ):
        try:
            wait(lambda: [one for one in manager.states[before:] if "READY" in one] or ended(entering))
            require(entering.poll() is None, f"the service has ended, see {log.name}")
            (process,) = children(entering.pid)
            yield process
            entering.wait(_SECONDS)
        finally:
            for process in children(entering.pid):
                os.kill(process, signal.SIGKILL)


def ended(process: "subprocess.Popen[bytes]") -> list[int]:
    """Its exit code in a list, which is empty while it runs."""
    return [] if process.poll() is None else [process.returncode]


def children(process: int) -> list[int]:
    """The process ids of its children; none if it has ended."""
    try:
        return [
            int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        ]
    except FileNotFoundError:
        return []


def tree_of(process: int) -> str:
    """The directory of the version that a process runs."""
    interpreter = Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0].decode()
    return str(Path(interpreter).parents[1])


@dataclass(slots=True)
class Clients:
    """Clients that connect, ask once, and go; repeatedly."""

    authority: ssl.SSLContext
    count: int = 0
    failures: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Connect until the end."""
        while not self.is_over.wait(0.02):
            try:
                connection = HTTPSConnection("localhost", PORT, context=self.authority, timeout=20.0)
                connection.request("GET", "/")
                answer = connection.getresponse()
                if (answer.status, answer.read()) != (200, b"it works"):
                    self.failures.append(f"status {answer.status}")
                connection.close()
            except (OSError, HTTPException) as error:
                self.failures.append(repr(error))
            self.count += 1

    def wait_for(self, more: int) -> None:
        """Wait until so many further connections were served."""
        aim = self.count + more
        wait(lambda: self.count >= aim or None)

    def end(self) -> None:
        """Connect no more."""
        self.is_over.set()


@contextmanager
def load(made: Room) -> Iterator[Clients]:
    """Clients while the block runs. Raises BuildError if one of them was not served."""
    clients = Clients(ssl.create_default_context(cafile=str(made.root / "etc/plexigate/chat.pem")))
    threads = [threading.Thread(target=clients.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.end()
        for thread in threads:
            thread.join()
    require(clients.failures == [], f"{len(clients.failures)} of {clients.count} failed: {clients.failures[:3]}")


def wait(look: Callable[[], object]) -> None:
    """Look again until something true is seen. Raises BuildError when it takes too long."""
    deadline = time.monotonic() + _SECONDS
    while not look():
        require(time.monotonic() < deadline, f"waited {_SECONDS:.0f} seconds in vain")
        time.sleep(0.05)


def require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - as in assert
    """Raises BuildError with the text if the condition does not hold."""
    if not holds:
        raise BuildError(otherwise)
