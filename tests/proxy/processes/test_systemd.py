"""What systemd says by the environment, and what it hears: against real sockets, as systemd
makes them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.processes.systemd import InheritedSocketUnusable, Notifier, SocketStore, inherited_sockets, watchdog_seconds

PID = 4_711


class Listener:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str, variable: str) -> None:
        self.variable = variable
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)

    def heard(self) -> str:
        return self.socket.recv(4_096).decode()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    if request.param == "path":
        listener = Listener(str(tmp_path / "notify"), str(tmp_path / "notify"))
    else:
        name = f"plexigate-test-{os.getpid()}"
        listener = Listener(f"\0{name}", f"@{name}")
    with listener.socket:
        yield listener


class TestNotifier:
    def test_each_message(self, systemd: Listener) -> None:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": systemd.variable})
        notifier.ready("2 workers")
        assert systemd.heard() == "READY=1\nSTATUS=2 workers"
        notifier.reloading(123_456_789)
        assert systemd.heard() == "RELOADING=1\nMONOTONIC_USEC=123456789"
        notifier.watchdog()
        assert systemd.heard() == "WATCHDOG=1"
        notifier.stopping()
        assert systemd.heard() == "STOPPING=1"
        notifier.main_process(4242)
        assert systemd.heard() == "MAINPID=4242"

    def test_nothing_is_sent_while_another_process_is_the_main_one(self, systemd: Listener) -> None:
        notifier = Notifier(systemd.variable)
        notifier.is_silent = True
        notifier.watchdog()
        notifier.is_silent = False
        notifier.stopping()
        assert systemd.heard() == "STOPPING=1"
        assert notifier.is_heard
        assert not Notifier(None).is_heard

    def test_sockets_go_along_with_their_name(self, systemd: Listener) -> None:
        notifier = Notifier(systemd.variable)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            notifier.keep("plexigate public", [sock] * 300)
            counts = []
            for _ in range(2):
                data, descriptors, _, _ = socket.recv_fds(systemd.socket, 4_096, 300)
                assert data == b"FDSTORE=1\nFDNAME=plexigate public\nFDPOLL=0"
                assert os.fstat(descriptors[0]).st_ino == os.fstat(sock.fileno()).st_ino
                counts.append(len(descriptors))
                for one in descriptors:
                    os.close(one)
        assert counts == [250, 50]
        notifier.forget("plexigate public")
        assert systemd.heard() == "FDSTOREREMOVE=1\nFDNAME=plexigate public"

    def test_a_status_is_one_line_whatever_it_quotes(self, systemd: Listener) -> None:
        Notifier(systemd.variable).ready("refused: found\nSTOPPING=1\r\nMAINPID=1")
        assert systemd.heard() == "READY=1\nSTATUS=refused: found STOPPING=1 MAINPID=1"

    def test_the_variable_is_taken_away(self) -> None:
        environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "PATH": "/usr/bin"}
        Notifier.from_environment(environment)
        assert environment == {"PATH": "/usr/bin"}

    @pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:9999"}])
    def test_silent_where_nobody_asked(self, environment: dict[str, str]) -> None:
        Notifier.from_environment(environment).ready("serving")

    def test_whoever_does_not_listen_is_no_trouble(self, tmp_path: Path) -> None:
        Notifier(str(tmp_path / "gone")).ready("serving")

    def test_a_full_queue_is_given_a_second_and_no_more(
        self, systemd: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.processes.systemd._SEND_SECONDS", 0.001)
        room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for _ in range(room + 10):
            Notifier(systemd.variable).watchdog()
        assert systemd.heard() == "WATCHDOG=1"


class TestWatchdog:
    def test_in_seconds(self) -> None:
        assert watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, PID) == 30.0
        assert watchdog_seconds({"WATCHDOG_USEC": "500000"}, PID) == 0.5

    @pytest.mark.parametrize(
        "environment",
        [{}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}],
    )
    def test_none(self, environment: dict[str, str]) -> None:
        assert watchdog_seconds(environment, PID) is None
        assert environment == {}


# As systemd does: the descriptors from 3 on, the pid of the very process that reads them, then
# exec.
START = """
import os, sys
passed, variables = sys.argv[1].split(","), sys.argv[2].split(" ")
high = [os.dup(int(number)) for number in passed] if sys.argv[1] else []
for number, descriptor in enumerate(high, 3):
    os.dup2(descriptor, number)
    os.set_inheritable(number, True)
environment = {**os.environ, "LISTEN_PID": str(os.getpid()), **dict(one.split("=") for one in variables)}
os.execve(sys.executable, [sys.executable, "-c", sys.argv[3]], environment)
"""
CHILD = """
import json, os, sys
from proxy.processes.systemd import InheritedSocketUnusable, inherited_sockets
try:
    found = inherited_sockets(os.environ, os.getpid())
except InheritedSocketUnusable as error:
    print(json.dumps(str(error)))
else:
    left = [name for name in os.environ if name.startswith("LISTEN_")]
    facts = [[name, sock.fileno(), sock.getsockname()[1], sock.gettimeout(), sock.get_inheritable()] for name, sock in found]
    print(json.dumps([facts, left]))
"""


def child(*descriptors: int, **variables: object) -> object:
    """What a process says of the descriptors that it was started with."""
    told = " ".join(f"{name}={value}" for name, value in {"LISTEN_FDS": len(descriptors), **variables}.items())
    numbers = ",".join(map(str, descriptors))
    command = [sys.executable, "-c", START, numbers, told, CHILD]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        capture_output=True,
        check=True,
        timeout=30,
        pass_fds=descriptors,
        env={**os.environ, "PYTHONPATH": root},
    )
    answer: object = json.loads(done.stdout)
    return answer


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def further() -> Iterator[socket.socket]:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        yield sock


class TestInheritedSockets:
    def test_by_name_ready_for_the_loop_and_not_for_children(
        self, listening: socket.socket, further: socket.socket
    ) -> None:
        ports = [sock.getsockname()[1] for sock in (listening, further)]
        assert child(listening.fileno(), further.fileno(), LISTEN_FDNAMES="public:inner") == [
            [["public", 3, ports[0], 0.0, False], ["inner", 4, ports[1], 0.0, False]],
            [],
        ]

    def test_those_of_udp_are_for_http_3(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            answer = child(sock.fileno(), LISTEN_FDNAMES="public")
        assert answer == [[["public", 3, port, 0.0, False]], []]

    @pytest.mark.parametrize(("names", "told"), [("", "unknown"), ("public", "public")])
    def test_sockets_without_a_name(
        self, listening: socket.socket, further: socket.socket, names: str, told: str
    ) -> None:
        answer = child(listening.fileno(), further.fileno(), LISTEN_FDNAMES=names)
        assert isinstance(answer, list)
        assert [entry[0] for entry in answer[0]] == [told, "unknown"]

    def test_those_of_another_process_are_left_alone(self, listening: socket.socket) -> None:
        assert child(listening.fileno(), LISTEN_PID="1") == [[], []]

    def test_what_is_no_listening_tcp_socket_is_refused(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file:
            assert "descriptor 3 (public): found no socket" in str(child(file.fileno(), LISTEN_FDNAMES="public"))
        with socket.socket(socket.AF_UNIX) as sock:
            assert "found a socket of AF_UNIX, SOCK_STREAM; allowed: a listening TCP socket" in str(
                child(sock.fileno())
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            assert "found a socket of AF_UNIX, SOCK_DGRAM;" in str(child(sock.fileno()))
        with socket.socket(socket.AF_INET) as sock:
            assert "found a socket of AF_INET, SOCK_STREAM, which does not listen;" in str(child(sock.fileno()))

    @pytest.mark.parametrize("variables", [{}, {"LISTEN_PID": str(PID)}, {"LISTEN_PID": str(PID), "LISTEN_FDS": "x"}])
    def test_without_systemd_there_are_none(self, variables: dict[str, str]) -> None:
        assert inherited_sockets(variables, PID) == []
        assert variables == {}

    def test_the_error_has_its_facts(self) -> None:
        error = InheritedSocketUnusable("public", 3, "not a socket")
        assert (error.name, error.number, error.found) == ("public", 3, "not a socket")


class TestSocketStore:
    @pytest.mark.parametrize(
        ("environment", "holds"),
        [({}, False), ({"FDSTORE": "0"}, False), ({"FDSTORE": "x"}, False), ({"FDSTORE": "1"}, True)],
    )
    def test_there_is_one_where_systemd_says_so(self, environment: dict[str, str], holds: bool) -> None:  # noqa: FBT001 - a parameter
        store = SocketStore.from_environment(environment, Notifier(None))
        with socket.create_server(("127.0.0.1", 0)) as sock:
            store.follow({"plexigate public": [sock]})
            assert store.holds_all is holds
            store.follow({"plexigate public": [sock, sock]})
            assert not store.holds_all
        assert environment == {}

    def test_names_of_before_that_are_not_used_are_forgotten(self, systemd: Listener) -> None:
        store = SocketStore(Notifier(systemd.variable), 1)
        store.begins_with(["public", "plexigate old"])
        for _ in range(2):
            store.follow({})
        assert systemd.heard() == "FDSTOREREMOVE=1\nFDNAME=plexigate old"
        with pytest.raises(BlockingIOError):
            systemd.heard()
