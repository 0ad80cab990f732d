"""The listening sockets of all slots: alone on their address, made together or not at all, kept
or given back together."""

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from config.schema import Bind
from proxy.processes.systemd import Notifier, SocketStore
from proxy.supervisor.workers.sockets import (
    Address,
    BindFailed,
    ListeningSockets,
    SocketOrigin,
    address_of,
    addresses_of,
    listening_socket,
)
from tests.descriptors import open_descriptors
from tests.ports import lasting_port

LOOPBACK = IPv4Address("127.0.0.1")
ANY = IPv4Address("0.0.0.0")  # noqa: S104 - on purpose


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
def listening() -> Iterator[ListeningSockets]:
    sockets = ListeningSockets()
    yield sockets
    sockets.close()


def address(port: int = 0, host: IPv4Address | IPv6Address = LOOPBACK, name: str = "public", index: int = 0) -> Address:
    return Address(name, index, Bind(host, port))


def ports(sockets: ListeningSockets) -> dict[str, list[int]]:
    """The ports of all sockets by listener."""
    return {one.listener: [sock.getsockname()[1] for sock in one.by_slot] for one in sockets.bound}


class TestListeningSocket:
    """One address, bound once."""

    def test_listens_on_the_address_without_blocking(self) -> None:
        with listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock:
            assert sock.getsockname()[0] == "127.0.0.1"
            assert sock.gettimeout() == 0
            socket.create_connection(sock.getsockname()).close()

    def test_ipv6_is_ipv6_only(self) -> None:
        with listening_socket("public", Bind(IPv6Address("::1"), 0)) as sock:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1

    def test_both_families_share_a_port(self) -> None:
        with listening_socket("public", Bind(IPv4Address("0.0.0.0"), 0)) as four:  # noqa: S104 - on purpose
            port = four.getsockname()[1]
            with listening_socket("public", Bind(IPv6Address("::"), port)) as six:
                assert six.getsockname()[1] == port

    def test_accepted_connections_inherit_what_is_set(self) -> None:
        with (
            listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock,
            socket.create_connection(sock.getsockname()),
            sock.accept()[0] as accepted,
        ):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def test_port_in_use_is_one_sentence_with_the_remedy(self) -> None:
        with listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock:
            bind = Bind(IPv4Address("127.0.0.1"), sock.getsockname()[1])
            with pytest.raises(BindFailed) as caught:
                listening_socket("second", bind)
        assert (caught.value.listener, caught.value.bind) == ("second", bind)
        assert str(caught.value) == (
            f"listener.second.bind: {bind}, which cannot be used: Address already in use; "
            "allowed: stop what uses it (ss -ltnp shows it), choose another port, or start with the right to bind it"
        )

    def test_address_of_another_machine_is_refused(self) -> None:
        with pytest.raises(BindFailed, match=r"192\.0\.2\.1:1, which cannot be used: Cannot assign"):
            listening_socket("public", Bind(IPv4Address("192.0.2.1"), 1))

    def test_first_one_does_not_share_with_another_program_of_the_same_user(self) -> None:
        """With SO_REUSEPORT on both sides it would get half of the connections, and nobody would
        be told."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            bind = Bind(LOOPBACK, other.getsockname()[1])
            with pytest.raises(BindFailed, match="Address already in use"):
                listening_socket("public", bind)
            listening_socket("public", bind, is_first=False).close()

    def test_right_that_is_missing_has_its_own_remedy(self) -> None:
        failure = BindFailed("public", Bind(LOOPBACK, 443), PermissionError(13, "Permission denied"))
        assert failure.found == "127.0.0.1:443, which cannot be used: Permission denied"
        assert "CAP_NET_BIND_SERVICE" in failure.allowed

    def test_address_is_shown_with_its_port(self) -> None:
        with (
            listening_socket("public", Bind(LOOPBACK, 0)) as four,
            listening_socket("p", Bind(IPv6Address("::1"), 0)) as six,
        ):
            assert address_of(four) == f"127.0.0.1:{four.getsockname()[1]}"
            assert address_of(six) == f"[::1]:{six.getsockname()[1]}"


class TestPreparing:
    def test_each_slot_has_its_own_and_port_0_is_one_port(self, listening: ListeningSockets) -> None:
        listening.prepare([address(), address(index=1)], 3).commit()
        first, second = (sorted({sock.getsockname()[1] for sock in one.by_slot}) for one in listening.bound)
        assert len(first) == len(second) == 1
        assert first != second
        assert [len(one.by_slot) for one in listening.bound] == [3, 3]

    def test_more_slots_are_added_to_those_there_are(self, listening: ListeningSockets) -> None:
        listening.prepare([address()], 1).commit()
        (before,) = listening.bound
        (kept,) = before.by_slot
        listening.prepare([address()], 3).commit()
        (after,) = listening.bound
        assert after.by_slot[0] is kept
        assert len({sock.getsockname() for sock in after.by_slot}) == 1
        assert len(after.by_slot) == 3

    def test_nothing_is_in_use_before_the_commit_nor_after_an_abandon(self, listening: ListeningSockets) -> None:
        port = lasting_port()
        prepared = listening.prepare([address(port)], 2)
        assert list(listening.bound) == []
        prepared.abandon()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_abandon_leaves_those_in_use(self, listening: ListeningSockets) -> None:
        listening.prepare([address()], 1).commit()
        listening.prepare([address(), address(name="second")], 2).abandon()
        (port,) = ports(listening)["public"]
        socket.create_connection(("127.0.0.1", port)).close()

    def test_one_that_fails_undoes_the_others(self, listening: ListeningSockets) -> None:
        port = lasting_port()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            unusable = address(taken.getsockname()[1], name="second")
            with pytest.raises(BindFailed) as caught:
                listening.prepare([address(port), unusable], 2)
        assert (caught.value.listener, caught.value.bind) == ("second", unusable.bind)
        assert list(listening.bound) == []
        socket.create_server(("127.0.0.1", port)).close()

    def test_later_slot_that_fails_names_what_stands_in_the_file(
        self, listening: ListeningSockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not the port that the kernel chose for the first."""
        made: list[int] = []

        class Scarce(socket.socket):
            def __init__(self, *arguments: int) -> None:
                if len(made) == 2:
                    raise OSError(24, "Too many open files")
                made.append(1)
                super().__init__(*arguments)

        monkeypatch.setattr("socket.socket", Scarce)
        with pytest.raises(BindFailed) as caught:
            listening.prepare([address()], 3)
        assert caught.value.bind == Bind(LOOPBACK, 0)

    def test_wildcard_and_an_address_of_its_port_begin_together(self, listening: ListeningSockets) -> None:
        port = lasting_port()
        both = [address(port, ANY), address(port, LOOPBACK, index=1)]
        listening.prepare(both, 2).commit()
        assert [len(one.by_slot) for one in listening.bound] == [2, 2]

    def test_wildcard_makes_way_for_an_address_of_its_port_and_back(self, listening: ListeningSockets) -> None:
        port = lasting_port()
        listening.prepare([address(port, ANY)], 1).commit()
        for host in (LOOPBACK, ANY):
            for gone in listening.prepare([address(port, host)], 1).commit():
                gone.close()
            (bound,) = listening.bound
            assert bound.by_slot[0].getsockname() == (str(host), port)
            socket.create_connection(("127.0.0.1", port)).close()


class TestCommit:
    def test_what_is_not_configured_any_more_is_the_callers_to_close(self, listening: ListeningSockets) -> None:
        listening.prepare([address(), address(name="second")], 1).commit()
        (second_port,) = ports(listening)["second"]
        (gone,) = listening.prepare([address()], 1).commit()
        assert set(ports(listening)) == {"public"}
        socket.create_connection(("127.0.0.1", second_port)).close()  # still queues
        gone.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", second_port))

    def test_address_goes_on_under_another_listener(self, listening: ListeningSockets) -> None:
        port = lasting_port()
        listening.prepare([address(port)], 1).commit()
        (before,) = listening.bound
        assert listening.prepare([address(port, name="renamed")], 1).commit() == []
        (after,) = listening.bound
        assert after is before
        assert after.listener == "renamed"

    def test_fewer_slots_keep_their_sockets(self, listening: ListeningSockets) -> None:
        listening.prepare([address()], 3).commit()
        assert listening.prepare([address()], 1).commit() == []
        (bound,) = listening.bound
        assert len(bound.by_slot) == 3


class TestInherited:
    """Sockets that the service manager made."""

    @pytest.fixture
    def given(self) -> Iterator[list[socket.socket]]:
        made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        yield made
        for sock in made:
            sock.close()

    def use(self, listening: ListeningSockets, *addresses: Address) -> dict[int, socket.socket | None]:
        """The inherited socket of each address."""
        listening.prepare(addresses, 2).commit()
        found = {
            index: one.by_slot[0] if one.origin is SocketOrigin.MANAGER else None
            for index, one in enumerate(listening.bound)
        }
        listening.close()
        return found

    def test_one_of_the_same_address_is_taken_whatever_its_name(self, given: list[socket.socket]) -> None:
        listening = ListeningSockets([("unknown", given[0]), ("unknown", given[1])])
        addresses = [address(sock.getsockname()[1], index=index) for index, sock in enumerate(reversed(given))]
        assert self.use(listening, *addresses) == {0: given[1], 1: given[0]}

    def test_one_with_the_name_of_a_listener_is_taken_whatever_its_address(self, given: list[socket.socket]) -> None:
        listening = ListeningSockets([("public", given[0])])
        assert self.use(listening, address(lasting_port())) == {0: given[0]}

    def test_address_is_a_better_reason_than_a_name(self, given: list[socket.socket]) -> None:
        """A unit with several ListenStream= gives all of them the same name."""
        listening = ListeningSockets([("public", given[0]), ("public", given[1])])
        second_first = [address(sock.getsockname()[1], index=index) for index, sock in enumerate(reversed(given))]
        assert self.use(listening, *second_first) == {0: given[1], 1: given[0]}

    def test_each_is_used_once(self, given: list[socket.socket]) -> None:
        listening = ListeningSockets([("public", given[0])])
        assert self.use(listening, address(), address(index=1)) == {0: given[0], 1: None}

    def test_one_that_no_listener_has_is_told(self, given: list[socket.socket]) -> None:
        listening = ListeningSockets([("public", given[0]), ("elsewhere", given[1])])
        listening.prepare([address()], 2).commit()
        assert listening.unused == [("elsewhere", "{}:{}".format(*given[1].getsockname()))]
        listening.close()

    def test_is_shared_by_all_slots_and_kept_by_a_reload(self, given: list[socket.socket]) -> None:
        listening = ListeningSockets([("public", given[0])])
        for slots in (2, 5):
            listening.prepare([address()], slots).commit()
            (bound,) = listening.bound
            assert bound.by_slot[0] is given[0]
            assert len(bound.by_slot) == slots
            assert len({os.fstat(sock.fileno()).st_ino for sock in bound.by_slot}) == 1
        (gone,) = listening.prepare([], 2).commit()
        gone.close()
        assert given[0].fileno() == -1


class Manager:
    """Keeps what it is given, as systemd does, each socket once under its name."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(directory / "notify"))
        self.socket.settimeout(0)
        self.store = SocketStore(Notifier(str(directory / "notify")), 8)
        self.kept: dict[str, dict[int, int]] = {}

    def listen(self) -> dict[str, int]:
        """Take what came; answers how many sockets there are by name."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 4_096, 300)
            except BlockingIOError:
                return {name: len(sockets) for name, sockets in self.kept.items()}
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = fields["FDNAME"]
            if "FDSTOREREMOVE" in fields:
                for descriptor in self.kept.pop(name, {}).values():
                    os.close(descriptor)
            for descriptor in descriptors:
                if os.fstat(descriptor).st_ino in self.kept.setdefault(name, {}):
                    os.close(descriptor)
                else:
                    self.kept[name][os.fstat(descriptor).st_ino] = descriptor

    def passed(self) -> list[tuple[str, socket.socket]]:
        """What the next process of the service gets."""
        self.listen()
        return [
            (name, socket.socket(fileno=os.dup(one))) for name, several in self.kept.items() for one in several.values()
        ]

    def close(self) -> None:
        """Keep nothing."""
        self.listen()
        for several in self.kept.values():
            for descriptor in several.values():
                os.close(descriptor)
        self.socket.close()


class TestKept:
    """Sockets that survive the process, so that the next one has them."""

    @pytest.fixture
    def manager(self, tmp_path: Path) -> Iterator[Manager]:
        made = Manager(tmp_path)
        yield made
        made.close()

    def next(self, manager: Manager) -> ListeningSockets:
        """The sockets of the next process."""
        return ListeningSockets(manager.passed(), SocketStore(manager.store._notifier, 8))

    def test_each_slot_has_its_own_again_and_nobody_is_refused_in_between(self, manager: Manager) -> None:
        before = ListeningSockets((), manager.store)
        before.prepare([address(), address(name="second")], 2).commit()
        assert before.are_kept
        assert manager.listen() == {"plexigate public[0] 127.0.0.1_0": 2, "plexigate second[0] 127.0.0.1_0": 2}
        held = ports(before)
        before.close()
        with socket.create_connection(("127.0.0.1", held["public"][0])):
            after = self.next(manager)
            assert after.slots == 2
            after.prepare([address(), address(name="second")], 2).commit()
            assert ports(after) == held
            assert after.are_kept
            assert manager.listen() == {"plexigate public[0] 127.0.0.1_0": 2, "plexigate second[0] 127.0.0.1_0": 2}
            after.close()

    def test_more_workers_have_further_sockets_and_fewer_keep_those_there_are(self, manager: Manager) -> None:
        for slots, expected in ((2, 2), (3, 3), (1, 3)):
            sockets = self.next(manager)
            sockets.prepare([address()], max(slots, sockets.slots)).commit()
            (bound,) = sockets.bound
            assert len({os.fstat(sock.fileno()).st_ino for sock in bound.by_slot}) == expected
            sockets.close()

    def test_what_cannot_have_another_one_beside_it_is_shared(self, manager: Manager) -> None:
        """As where the process before ran as another user, or had a right to bind that this one
        does not have."""
        with socket.create_server(("127.0.0.1", 0)) as lonely:
            port = lonely.getsockname()[1]
            manager.store.follow({address(port).kept_name: [lonely]})
        sockets = self.next(manager)
        sockets.prepare([address(port)], 2).commit()
        (bound,) = sockets.bound
        assert len({os.fstat(sock.fileno()).st_ino for sock in bound.by_slot}) == 1
        sockets.close()

    def test_address_that_is_gone_from_the_configuration_is_given_back(self, manager: Manager) -> None:
        before = ListeningSockets((), manager.store)
        port = lasting_port()
        before.prepare([address(port, ANY), address(name="second")], 1).commit()
        before.close()
        after = self.next(manager)
        after.prepare([address(port)], 1).commit()
        assert manager.listen() == {f"plexigate 127.0.0.1_{port}": 1}
        assert after.unused == []
        for gone in after.prepare([], 1).commit():
            gone.close()
        assert manager.listen() == {}
        after.close()

    def test_without_room_for_all_none_is_kept(self, manager: Manager) -> None:
        sockets = ListeningSockets((), manager.store)
        sockets.prepare([address()], 9).commit()
        assert not sockets.are_kept
        assert manager.listen() == {}
        sockets.close()

    def test_a_socket_of_a_unit_stays_with_the_manager_as_it_is(self, manager: Manager) -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            sockets = ListeningSockets([("public", given)], manager.store)
            sockets.prepare([address()], 2).commit()
            assert sockets.are_kept
            assert manager.listen() == {}
            sockets.close()


def test_addresses_are_those_of_all_listeners_in_their_order() -> None:
    one, two = Bind(LOOPBACK, 443), Bind(IPv6Address("::1"), 0)
    found = addresses_of({"public": [one, two], "second": [two]})
    assert found == [Address("public", 0, one), Address("public", 1, two), Address("second", 0, two)]
    assert [address.key for address in found] == ["127.0.0.1:443", "public[1] [::1]:0", "second[0] [::1]:0"]


class TestUpgrades:
    """Another process takes the sockets, while this one still accepts on them."""

    def test_they_are_handed_with_the_names_by_which_they_are_found(self, listening: ListeningSockets) -> None:
        one = address(lasting_port())
        listening.prepare([one], 2).commit()
        handed = [(name, sock.dup()) for name, sock in listening.handed]
        successor = ListeningSockets(handed)
        successor.is_shared = True
        successor.prepare([one], 3).commit()
        assert ports(successor) == ports(listening), "no socket of its own: its queue would end with this process"
        successor.is_shared = False
        successor.prepare([one], 3).commit()
        assert len(ports(successor)["public"]) == 3
        successor.close()

    def test_an_address_that_the_older_process_does_not_have_is_bound(self, listening: ListeningSockets) -> None:
        listening.is_shared = True
        listening.prepare([address()], 2).commit()
        assert len(ports(listening)["public"]) == 2

    def test_one_of_a_unit_is_handed_once_by_the_name_of_its_listener(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unit, socket.create_server(("127.0.0.1", 0)) as stray:
            sockets = ListeningSockets([("public", unit), ("stray", stray)])
            sockets.prepare([address()], 2).commit()
            assert sockets.handed == [("public", unit), ("stray", stray)]
            sockets.close()

    def test_one_of_udp_goes_to_udp_and_tells_where_a_datagram_was_sent(self) -> None:
        both = [address(), Address("public", 0, Bind(LOOPBACK, 0), is_datagram=True)]
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(tcp.getsockname())
            sockets = ListeningSockets([("public", udp), ("public", tcp)])
            sockets.prepare(both, 1).commit()
            assert [one.by_slot for one in sockets.bound] == [[tcp], [udp]]
            assert udp.getsockopt(socket.IPPROTO_IP, 8) == 1, "IP_PKTINFO"
            sockets.close()

    def test_the_service_manager_is_told_of_them_when_it_listens(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(5)
            notifier = Notifier(str(tmp_path / "notify"))
            notifier.is_silent = True
            sockets = ListeningSockets((), SocketStore(notifier, 8))
            sockets.prepare([address()], 1).commit()
            notifier.is_silent = False
            sockets.keep_all()
            data, descriptors, _, _ = socket.recv_fds(manager, 4_096, 8)
            assert data.startswith(b"FDSTORE=1")
            for one in descriptors:
                os.close(one)
            sockets.close()
