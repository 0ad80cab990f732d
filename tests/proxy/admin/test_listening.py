"""The sockets of the admin server: who may open them, and what stands in their way."""

import os
import socket
import stat
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from config.loading.loader import load
from config.values.addresses import Bind
from proxy.admin.listening import (
    AdminSocketError,
    admin_socket,
    metrics_socket,
    page_socket,
    peer_credentials,
    remove_admin_socket,
    socket_problems,
)
from tests.configurations import Site

LOOPBACK = ip_address("127.0.0.1")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


class TestUnix:
    def test_only_its_user_may_open_it_whatever_the_umask(self, tmp_path: Path) -> None:
        path = tmp_path / "run" / "admin.sock"
        before = os.umask(0)
        try:
            with admin_socket(path):
                assert mode(path) == 0o600
                assert mode(path.parent) == 0o700
                assert connects(path)
        finally:
            os.umask(before)
        assert list(path.parent.iterdir()) == [path]

    def test_it_never_exists_with_another_mode(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The moment after `bind` is looked at, in which a `chmod` would not have happened yet."""
        seen = []

        class Watched(socket.socket):
            def bind(self, address: str) -> None:  # type: ignore[override]  # a path
                super().bind(address)
                seen.append(mode(Path(address)))

        monkeypatch.setattr("proxy.admin.listening.socket.socket", Watched)
        before = os.umask(0)
        try:
            admin_socket(tmp_path / "admin.sock").close()
        finally:
            os.umask(before)
        assert seen == [0o600]

    @pytest.mark.parametrize("put", [Path.symlink_to, Path.hardlink_to])
    def test_what_another_process_puts_in_its_place_keeps_its_mode(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path, Path], None]
    ) -> None:
        """Root opens the socket of the page to all, perhaps in a directory of a group."""
        (secret := tmp_path / "secret").touch(0o600)

        class Swapped(socket.socket):
            def bind(self, address: str) -> None:  # type: ignore[override]  # a path
                super().bind(address)
                Path(address).unlink()
                put(Path(address), secret)

        monkeypatch.setattr("proxy.admin.listening.socket.socket", Swapped)
        with pytest.raises(AdminSocketError, match="another process has put something else there"):
            page_socket(tmp_path / "page.sock")
        assert mode(secret) == 0o600

    def test_workers_of_another_user_may_open_that_of_the_page_whatever_the_umask(self, tmp_path: Path) -> None:
        path = tmp_path / "page.sock"
        before = os.umask(0o077)
        try:
            with page_socket(path):
                assert mode(path) == 0o666
        finally:
            os.umask(before)
        with page_socket(path), pytest.raises(AdminSocketError, match=r"give this one another admin\.page_socket"):
            page_socket(path)

    def test_one_that_was_left_behind_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        admin_socket(path).close()
        assert path.exists()
        with admin_socket(path):
            assert connects(path)

    def test_one_that_another_process_uses_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        with admin_socket(path):
            with pytest.raises(AdminSocketError) as caught:
                admin_socket(path)
            assert connects(path)
        assert str(caught.value) == (
            f"{path}: another process listens there; "
            "is Plexigate running already? Stop it, or give this one another admin.socket"
        )

    def test_one_whose_queue_is_full_is_somebodys(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        with socket.socket(socket.AF_UNIX) as busy:
            busy.bind(str(path))
            busy.listen(0)
            clients = []
            while True:
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(0)
                clients.append(client)
                try:
                    client.connect(str(path))
                except BlockingIOError:
                    break
            with pytest.raises(AdminSocketError, match="another process listens there"):
                admin_socket(path)
            for client in clients:
                client.close()

    def test_a_file_is_not_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        path.write_text("precious")
        with pytest.raises(AdminSocketError, match=r"admin\.sock: something that is not a socket; remove it"):
            admin_socket(path)
        assert path.read_text() == "precious"

    def test_a_directory_that_everybody_may_write_to_is_refused(self, tmp_path: Path) -> None:
        directory = tmp_path / "open"
        directory.mkdir()
        directory.chmod(0o777)
        with pytest.raises(AdminSocketError, match=rf"open: a directory of user {os.geteuid()} with mode 0777"):
            admin_socket(directory / "admin.sock")
        directory.chmod(0o1777)  # as /tmp: what is ours stays ours there
        admin_socket(directory / "admin.sock").close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can give a directory to somebody else")
    def test_a_directory_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        directory = tmp_path / "theirs"
        directory.mkdir(0o700)
        os.chown(directory, 12_345, -1)
        with pytest.raises(AdminSocketError, match="a directory of user 12345"):
            admin_socket(directory / "admin.sock")

    @pytest.mark.parametrize("name", ["missing/run/admin.sock", "x" * 120])
    def test_what_cannot_be_made_is_one_sentence(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(
            AdminSocketError, match=r"(No such file|of more than 99 bytes).*; choose another path for admin\.socket"
        ):
            admin_socket(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_it_is_removed_unless_it_is_another_ones_by_then(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        with admin_socket(path):
            first = path.stat().st_ino
        with admin_socket(path):
            remove_admin_socket(path, first)
            assert connects(path)
            remove_admin_socket(path, path.stat().st_ino)
            assert not path.exists()
            remove_admin_socket(path, first)


class TestTcp:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_listens(self, host: str) -> None:
        with (
            metrics_socket(Bind(ip_address(host), 0)) as sock,
            socket.create_connection(sock.getsockname()[:2], timeout=5),
        ):
            assert sock.gettimeout() == 0

    def test_an_address_in_use_is_one_sentence(self) -> None:
        with metrics_socket(Bind(LOOPBACK, 0)) as sock:
            port = sock.getsockname()[1]
            with pytest.raises(AdminSocketError) as caught:
                metrics_socket(Bind(LOOPBACK, port))
        assert str(caught.value) == (
            f"127.0.0.1:{port}: Address already in use; "
            "stop what uses it (ss -ltnp shows it), or choose another address for admin.metrics_bind"
        )

    def test_an_address_that_is_not_ours(self) -> None:
        with pytest.raises(AdminSocketError, match=r"192\.0\.2\.1:1: .*; choose another address"):
            metrics_socket(Bind(ip_address("192.0.2.1"), 1))


class TestProblems:
    """What a start would be refused for, found out without touching anything."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return Site.make(tmp_path)

    def found(self, site: Site, path: str) -> list[str]:
        before = sorted(site.directory.iterdir())
        loaded = load(site.write(f'admin.socket = "{path}"\n{site.minimal}'))
        problems = socket_problems(loaded)
        loaded.file.path.unlink()
        assert sorted(site.directory.iterdir()) == before
        assert all(problem.key == "admin.socket" and problem.line == 2 for problem in problems)
        return [problem.found for problem in problems]

    def test_socket_of_the_page_is_judged_too(self, site: Site) -> None:
        (site.directory / "file").touch()
        text = f'admin.page_socket = "{site.directory}/file"\n{site.minimal}'
        loaded = load(site.write(text))
        (problem,) = socket_problems(loaded)
        assert (problem.key, problem.found.endswith("something that is not a socket")) == ("admin.page_socket", True)
        assert problem.allowed == "remove it, or choose another path for admin.page_socket"

    def test_no_server_is_the_socket_of_commands_or_of_the_page(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every client of its route could reload the proxy."""
        (site.directory / "link").symlink_to(site.directory)
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(site.directory / "plexigate"))
        for table, place in (("socket", "a.sock"), ("page_socket", "link/a.sock"), (None, "plexigate/admin.sock")):
            text = site.minimal.replace('"http://127.0.0.1:1"', f'"unix:{site.directory}/{place}"')
            if table is not None:
                text = f'admin.{table} = "{site.directory}/a.sock"\n{text}'
            (problem,) = socket_problems(load(site.write(text)))
            assert (problem.key, problem.is_error) == ("upstream.chat.servers[0]", True)

    @pytest.mark.parametrize("is_root", [True, False])
    def test_root_is_not_refused_the_socket_of_a_proxy_that_another_user_starts(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, *, is_root: bool
    ) -> None:
        owner, run = 0 if is_root else 4_711, site.directory / "run"
        run.mkdir()
        if os.geteuid() == 0:
            os.chown(run, 4_712, -1)
        monkeypatch.setattr(os, "geteuid", lambda: owner)
        (problem,) = socket_problems(load(site.write(f'admin.socket = "run/admin.sock"\n{site.minimal}')))
        assert problem.is_error is not is_root
        assert "a directory of user" in problem.found

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("x" * 120, "more than 99 bytes"),
            ("chat.pem", "not a socket"),
            ("chat.pem/admin.sock", "Not a directory"),
            ("missing/missing/admin.sock", "No such file"),
            ("open/admin.sock", "mode 0777"),
        ],
    )
    def test_a_path_that_cannot_be_one(self, site: Site, path: str, words: str) -> None:
        (site.directory / "open").mkdir()
        (site.directory / "open").chmod(0o777)
        (found,) = self.found(site, path)
        assert words in found

    def test_a_directory_that_is_made_at_the_start(self, site: Site) -> None:
        assert self.found(site, "missing/admin.sock") == []

    def test_whoever_listens_there_now(self, site: Site) -> None:
        with admin_socket(site.directory / "admin.sock"):
            assert self.found(site, "admin.sock") == []


def test_the_process_at_the_other_end_of_a_socket_is_known() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_credentials(one) == (os.getpid(), os.geteuid())
