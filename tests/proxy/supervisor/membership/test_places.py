"""The names in the store of a fleet."""

import itertools

from proxy.supervisor.membership import places
from proxy.supervisor.membership.shared import LEADER, Stored


def test_no_name_begins_as_another_one() -> None:
    names = [
        LEADER,
        places.FOUNDED,
        places.MEMBERS,
        places.INVITATIONS,
        places.REQUESTS,
        places.WELCOMES,
        places.RECOVERY,
        places.ORDERS,
    ]
    assert not [(one, two) for one, two in itertools.permutations(names, 2) if one.startswith(two)]


def test_what_could_not_be_a_node_is_never_shown() -> None:
    names = ["members/edge-1", "members/", "members/\x1b[2J", "members/a/b", "requests/edge-2", "members/edge.2", "x"]
    assert places.nodes_of(places.MEMBERS, names) == ["edge-1", "edge.2"]
    assert places.nodes_of("", ["edge-1", "[red]"]) == ["edge-1"]


def test_a_leader_is_named_as_the_store_has_it_unless_it_is_no_node() -> None:
    assert places.leader_of({}) is None
    assert places.leader_of({LEADER: Stored(b"edge-1", 7)}) == "edge-1"
    assert places.leader_of({LEADER: Stored(b"\x1b[2J\xff", 7)}) is None


def test_orders_are_apart_by_what_they_are_about() -> None:
    assert places.maintenance_order("chat.test/api") == "orders/maintenance/chat.test/api"
    assert places.drain_order("chat", "http://10.0.0.7:8000") == "orders/drain/chat/http://10.0.0.7:8000"


def test_what_shares_open_is_apart_by_epoch_and_node() -> None:
    assert places.recovery_place(2, "edge-1") == "recovery/2/edge-1"
