"""Whether a start could have the addresses of a configuration."""

import errno
import os
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest

from config.loading.loader import load
from config.values.addresses import parse_bind
from config.values.problems import Problem
from proxy.admin.held_addresses import (
    Holder,
    RunningAddresses,
    address_problems,
    holder_of,
    own_server_problems,
    running_among,
    running_proxy,
)
from proxy.admin.settings import AdminSettings
from tests.configurations import MINIMAL_REST, Site, listener
from tests.ports import lasting_port

NOBODY = RunningAddresses(frozenset())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def found(site: Site, *, bind: str = "127.0.0.1:0", extra: str = "") -> list[Problem]:
    return list(
        address_problems(load(site.write(listener("public", bind=bind) + site.identity + MINIMAL_REST + extra)))
    )


def test_an_address_of_another_machine_is_named(site: Site) -> None:
    (problem,) = found(site, bind="192.0.2.1:0")
    assert (problem.key, problem.line) == ("listener.public.bind[0]", 4)
    assert "Cannot assign requested address" in problem.found


@pytest.mark.parametrize("key", ["listener.public.bind[0]", "plain.bind[0]", "admin.metrics_bind[0]"])
def test_an_address_that_another_program_has_is_named(site: Site, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        table, name, _ = key.replace("[", ".").rsplit(".", 2)
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        if table.startswith("listener"):
            problems = found(site, bind=bind)
        else:
            problems = found(
                site, extra=f'[{table}]\n{name} = "{bind}"\n' + ("socket = 'x.sock'\n" if table == "admin" else "")
            )
        assert [(problem.key, problem.is_error) for problem in problems] == [(key, True)]
        # nothing was taken from it
        other.settimeout(5)
        with socket.create_connection(other.getsockname()), closing(other.accept()[0]):
            pass


def test_a_port_that_this_user_may_not_bind_is_for_the_one_who_starts_the_proxy(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody checks a file with port 443; what is refused is not a fault of the file."""

    def refused(_socket: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", refused)
    (problem,) = found(site, bind="127.0.0.1:443")
    assert not problem.is_error
    assert "CAP_NET_BIND_SERVICE" in problem.allowed


@pytest.mark.parametrize(
    ("bind", "server", "is_own"),
    [
        ("127.0.0.1:8443", "https://127.0.0.1:8443", True),
        ("127.0.0.1:8443", "http://localhost:8443", True),
        ("127.0.0.1:8443", "http://0.0.0.0:8443", True),
        ("0.0.0.0:8443", "https://127.0.0.2:8443", True),
        ("[::]:8443", "https://[::1]:8443", True),
        ("[::]:8443", "https://127.0.0.1:8443", False),
        ("127.0.0.1:8443", "https://127.0.0.1:8444", False),
        ("127.0.0.1:8443", "https://127.0.0.2:8443", False),
        ("0.0.0.0:8443", "https://192.0.2.1:8443", False),
        ("0.0.0.0:8443", "https://chat.example.org:8443", False),
        ("0.0.0.0:8443", "unix:/run/chat.sock", False),
        ("127.0.0.1:0", "https://127.0.0.1:443", False),
    ],
)
def test_server_that_is_the_proxy_itself_is_warned_of(site: Site, bind: str, server: str, *, is_own: bool) -> None:
    text = listener("public", bind=bind) + site.identity + MINIMAL_REST
    problems = list(own_server_problems(load(site.write(text.replace('"http://127.0.0.1:1"', f'"{server}"')))))
    assert [(one.key, one.is_error) for one in problems] == [("upstream.chat.servers[0]", False)] * is_own


def test_passthrough_to_the_proxy_itself_is_warned_of(site: Site) -> None:
    own = listener("public", bind="0.0.0.0:8443") + 'passthrough = { "mail.test" = "tcp://127.0.0.1:8443" }\n'
    (problem,) = own_server_problems(load(site.write(own + site.identity + MINIMAL_REST)))
    assert problem.key == 'listener.public.passthrough."mail.test"'


def test_the_service_of_the_system_is_asked_by_every_user(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/4711")
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)
    path = site.write(site.minimal)
    path.write_text(re.sub(r"^admin\.socket = .*\n", "", path.read_text(), flags=re.MULTILINE))
    places = AdminSettings.places((given := load(path)).file, given.config.admin)
    assert places == (Path("/run/user/4711/plexigate/admin.sock"), Path("/run/plexigate/admin.sock"))
    configured = AdminSettings.places(
        (given := load(site.write(f'admin.socket = "mine.sock"\n{site.minimal}'))).file, given.config.admin
    )
    assert configured == (site.directory / "mine.sock",)


def test_a_place_without_a_proxy_hides_none_at_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert running_among([tmp_path / "missing.sock", tmp_path / "none.sock"]) == NOBODY

    def forbidden(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, str(path))

    monkeypatch.setattr(Path, "stat", forbidden)
    assert running_among([tmp_path / "missing.sock", tmp_path / "none.sock"]) == RunningAddresses(None)


def test_a_free_address_is_fine_and_is_free_afterwards(site: Site) -> None:
    port = lasting_port()
    assert found(site, bind=f"127.0.0.1:{port}") == []
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_nobody_behind_the_admin_socket_is_no_proxy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("missing.sock", "file", "file/admin.sock", "x" * 300):
        assert running_proxy(tmp_path / name) == NOBODY
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "left.sock"))
    assert running_proxy(tmp_path / "left.sock") == NOBODY


@pytest.mark.parametrize(
    ("ours", "holder"),
    [
        ("127.0.0.1:443", Holder.OURS),
        ("0.0.0.0:443", Holder.OURS),
        ("127.0.0.1:444", Holder.ANOTHER),
        ("127.0.0.2:443", Holder.ANOTHER),
        ("[::]:443", Holder.ANOTHER),
    ],
)
def test_the_proxy_that_runs_may_have_its_own_addresses(tmp_path: Path, ours: str, holder: Holder) -> None:
    assert holder_of(parse_bind("127.0.0.1:443"), RunningAddresses({parse_bind(ours)}), tmp_path) is holder


def test_a_proxy_that_may_not_be_asked_may_be_the_one(tmp_path: Path) -> None:
    assert holder_of(parse_bind("127.0.0.1:443"), RunningAddresses(None), tmp_path) is Holder.UNKNOWN


@pytest.mark.parametrize(
    ("state", "held", "holder"),
    [("0A", True, Holder.OURS), ("0A", False, Holder.ANOTHER), ("01", True, Holder.ANOTHER)],
)
def test_a_socket_that_the_service_manager_holds_is_for_the_service(
    tmp_path: Path,
    state: str,
    held: bool,  # noqa: FBT001
    holder: Holder,
) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "1/fd").mkdir(parents=True)
    line = f"   0: 0100007F:01BB 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
    (tmp_path / "net/tcp").write_text("  sl  local_address ...\n" + line)
    (tmp_path / "1/fd/3").symlink_to(f"socket:[{4711 if held else 4712}]")
    assert holder_of(parse_bind("127.0.0.1:443"), NOBODY, tmp_path) is holder
