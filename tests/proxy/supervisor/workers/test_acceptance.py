"""What workers are asked to accept on: numbers that mean the same to both sides, and each
descriptor once."""

import os
import socket
from collections.abc import Hashable, Iterator
from ipaddress import IPv4Address

import pytest

from config.schema import Bind
from proxy.supervisor.workers.acceptance import Acceptance
from proxy.supervisor.workers.sockets import Address, ListeningSockets

ANYWHERE = Bind(IPv4Address("127.0.0.1"), 0)
NONE: frozenset[int] = frozenset()


class Case:
    """Real sockets of three slots, and a worker that keeps what it is given as a real one does."""

    def __init__(self, *names: str, inherited: socket.socket | None = None) -> None:
        given = [] if inherited is None else [("inherited", inherited)]
        self.sockets = ListeningSockets(given)
        self.acceptance = Acceptance(self.sockets)
        self.worker = worker()
        self.has: set[int] = set()
        self.use(*names)

    def use(self, *names: str) -> None:
        """Have an address for each of these listeners; two of the same listener where it is
        named twice."""
        addresses = [Address(name, names[:index].count(name), ANYWHERE) for index, name in enumerate(names)]
        for gone in self.sockets.prepare(addresses, 3).commit():
            gone.close()

    def told(self) -> dict[str, list[int]]:
        """Tell the worker, which must have got by then whatever it is told of, and nothing
        twice; answers the listeners."""
        accept, descriptors = self.acceptance.listing(self.worker)
        assert accept.new == tuple(descriptors)
        assert self.has.isdisjoint(descriptors)
        listeners = {name: list(numbers) for name, numbers in accept.listeners.items()}
        listed = {number for numbers in listeners.values() for number in numbers}
        self.has = (self.has | set(descriptors)) & listed
        assert self.has == listed
        return listeners

    def numbers(self, name: str, *slots: int) -> list[int]:
        """The sockets of a listener for these slots."""
        return [one.by_slot[slot].fileno() for one in self.sockets.bound if one.listener == name for slot in slots]


def worker() -> Hashable:
    """One that is only told apart from others."""
    return object()


@pytest.fixture
def case() -> Iterator[Case]:
    made = Case("public", "second")
    yield made
    made.sockets.close()


def test_who_was_told_nothing_accepts_on_nothing_but_knows_the_listeners(case: Case) -> None:
    assert case.acceptance.slots(case.worker) == NONE
    assert case.told() == {"public": [], "second": []}


def test_worker_gets_the_sockets_of_its_slots_at_every_address(case: Case) -> None:
    case.acceptance.settle(case.worker, frozenset({0, 2}))
    assert case.told() == {"public": case.numbers("public", 0, 2), "second": case.numbers("second", 0, 2)}
    assert case.acceptance.slots(case.worker) == {0, 2}


def test_descriptors_stay_here_too(case: Case) -> None:
    case.acceptance.settle(case.worker, frozenset({1}))
    for number in [number for numbers in case.told().values() for number in numbers]:
        os.fstat(number)


def test_addresses_of_one_listener_are_one_list(case: Case) -> None:
    case.use("public", "public")
    case.acceptance.settle(case.worker, frozenset({1}))
    told = case.told()
    assert told == {"public": case.numbers("public", 1)}
    assert len(told["public"]) == 2


def test_only_what_a_worker_lacks_goes_along(case: Case) -> None:
    case.acceptance.settle(case.worker, frozenset({0}))
    case.told()
    case.acceptance.add(case.worker, frozenset({1}))
    _, descriptors = case.acceptance.listing(case.worker)
    assert descriptors == sorted([*case.numbers("public", 1), *case.numbers("second", 1)])
    assert case.acceptance.listing(case.worker)[1] == []


def test_what_was_taken_away_is_given_anew(case: Case) -> None:
    """The worker has closed it."""
    for slots in ({0, 1}, {0}, {0, 1}):
        case.acceptance.settle(case.worker, frozenset(slots))
        assert case.told()["public"] == case.numbers("public", *sorted(slots))


def test_number_that_comes_to_mean_another_socket_is_given_anew(case: Case) -> None:
    """The kernel gives the lowest free number to what is opened next."""
    case.acceptance.settle(case.worker, frozenset({0}))
    before = case.told()["second"]
    case.use("public")
    case.told()
    case.use("public", "third")
    assert case.told()["third"] == case.numbers("third", 0)
    assert {*case.numbers("third", 0, 1, 2)} & {*before}


def test_each_worker_has_its_own(case: Case) -> None:
    other = worker()
    case.acceptance.settle(case.worker, frozenset({0}))
    case.acceptance.settle(other, frozenset({0, 1}))
    case.told()
    accept, descriptors = case.acceptance.listing(other)
    assert list(accept.listeners["public"]) == case.numbers("public", 0, 1)
    assert len(descriptors) == 4
    assert case.acceptance.slots(case.worker) == {0}


def test_slot_without_a_socket_yet_is_passed_over(case: Case) -> None:
    case.acceptance.settle(case.worker, frozenset({2, 3}))
    assert case.told()["public"] == case.numbers("public", 2)


def test_socket_that_somebody_else_made_is_there_for_each_slot() -> None:
    """Copies of one: whichever worker accepts on some slot takes from the same queue."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        case = Case("inherited", inherited=made)
        case.acceptance.settle(case.worker, frozenset({1}))
        ((number,),) = case.told().values()
        assert os.fstat(number).st_ino == os.fstat(made.fileno()).st_ino
        case.sockets.close()


def test_whether_something_changes_is_said(case: Case) -> None:
    acceptance = case.acceptance
    assert not acceptance.settle(case.worker, NONE)
    assert acceptance.add(case.worker, frozenset({0, 1}))
    assert not acceptance.add(case.worker, frozenset({1}))
    assert acceptance.slots(case.worker) == {0, 1}
    assert not acceptance.settle(case.worker, frozenset({0, 1}))
    assert acceptance.settle(case.worker, frozenset({1}))
    assert acceptance.slots(case.worker) == {1}


class TestWhoIsNotSure:
    """A worker that did not take what it was told, or is gone."""

    def test_who_refused_accepts_as_before_and_is_offered_everything(self, case: Case) -> None:
        case.acceptance.settle(case.worker, frozenset({0}))
        case.told()
        case.acceptance.add(case.worker, frozenset({1}))
        case.acceptance.listing(case.worker)
        case.acceptance.refused(case.worker, frozenset({0}))
        assert case.acceptance.slots(case.worker) == {0}
        assert case.acceptance.add(case.worker, frozenset({1}))
        _, descriptors = case.acceptance.listing(case.worker)
        assert descriptors == sorted([*case.numbers("public", 0, 1), *case.numbers("second", 0, 1)])

    def test_who_refused_the_first_word_has_nothing(self, case: Case) -> None:
        case.acceptance.refused(case.worker, NONE)
        assert case.told() == {"public": [], "second": []}

    def test_who_is_gone_leaves_nothing(self, case: Case) -> None:
        case.acceptance.settle(case.worker, frozenset({0}))
        case.told()
        case.acceptance.forget(case.worker)
        case.acceptance.forget(case.worker)
        assert case.acceptance.slots(case.worker) == NONE
        case.acceptance.settle(case.worker, frozenset({0}))
        assert len(case.acceptance.listing(case.worker)[1]) == 2


def test_one_worker_reads_a_udp_socket_of_the_service_manager() -> None:
    """Two would tear the first packets of a client apart."""
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    sockets = ListeningSockets([("public", udp)])
    acceptance = Acceptance(sockets)
    sockets.prepare([Address("public", 0, ANYWHERE), Address("public", 0, ANYWHERE, is_datagram=True)], 3).commit()
    told = []
    for slot in range(3):
        one = worker()
        acceptance.settle(one, frozenset({slot}))
        accept, _ = acceptance.listing(one)
        told.append([number == udp.fileno() for number in accept.listeners["public"]])
    assert told == [[False, True], [False], [False]]
    sockets.close()


def test_each_worker_reads_a_udp_socket_of_its_own() -> None:
    sockets = ListeningSockets()
    acceptance = Acceptance(sockets)
    sockets.prepare([Address("public", 0, ANYWHERE), Address("public", 0, ANYWHERE, is_datagram=True)], 3).commit()
    acceptance.settle("all", frozenset({0, 1, 2}))
    accept, descriptors = acceptance.listing("all")
    assert len(accept.listeners["public"]) == len(set(descriptors)) == 6
    sockets.close()
