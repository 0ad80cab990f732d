"""What one end says the other end hears, with its descriptors; what is not a message breaks the
wire."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from proxy.processes.channel import close_all
from proxy.processes.upgrade_wire import UpgradeWire, WireBroken, pair
from tests.descriptors import open_descriptors


@pytest.fixture
def ends() -> Iterator[tuple[UpgradeWire, UpgradeWire]]:
    before = open_descriptors()
    ours, theirs = pair()
    other = UpgradeWire(theirs)
    yield ours, other
    ours.close()
    other.close()
    assert open_descriptors() == before


Ends = tuple[UpgradeWire, UpgradeWire]


def test_messages_keep_their_order_and_their_content(ends: Ends) -> None:
    ours, theirs = ends
    ours.say("hello", {"protocol": 1})
    ours.say("ready")
    said = theirs.hear()
    assert (said.kind, said.body, said.descriptors) == ("hello", {"protocol": 1}, ())
    assert "protocol" not in repr(said), "it may be a secret"
    assert theirs.hear().body == {}


def test_a_long_message_travels_in_memory(ends: Ends) -> None:
    ours, theirs = ends
    ours.say("refused", {"reason": "x" * 300_000})
    assert len(theirs.hear().body["reason"]) == 300_000


@pytest.mark.parametrize(("count", "length"), [(1, 0), (250, 100_000), (251, 0), (600, 100_000)])
def test_descriptors_come_in_their_order(ends: Ends, count: int, length: int) -> None:
    ours, theirs = ends
    files = [os.memfd_create(f"file {number}") for number in range(2)]
    several = [files[number % 2] for number in range(count)]
    ours.say("handover", {"x": "y" * length}, several)
    said = theirs.hear()
    assert len(said.descriptors) == count
    inodes = [os.fstat(one).st_ino for one in said.descriptors]
    assert inodes == [os.fstat(one).st_ino for one in several]
    assert not any(map(os.get_inheritable, said.descriptors))
    close_all([*said.descriptors, *files])


async def test_the_loop_waits_for_a_message(ends: Ends) -> None:
    ours, theirs = ends
    loop = asyncio.get_running_loop()
    hearing = loop.create_task(theirs.heard(loop))
    await asyncio.sleep(0)
    assert not hearing.done()
    ours.say("take")
    assert (await hearing).kind == "take"
    hearing = loop.create_task(theirs.heard(loop))
    await asyncio.sleep(0)
    hearing.cancel()
    ours.say("keep")
    assert (await theirs.heard(loop)).kind == "keep"


def test_the_end_of_the_other_process_shows(ends: Ends) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(WireBroken, match="has closed the connection"):
        ours.hear()
    with pytest.raises(WireBroken):
        ours.say("take")


@pytest.mark.parametrize(
    "packet", [b"garbage", b"[]", b'{"say": "x", "in_file": true}', b'{"say": "x"}' + b" " * 70_000]
)
def test_what_is_no_message_breaks_it(packet: bytes) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wire = UpgradeWire(other)
    one.send(packet)
    with pytest.raises(WireBroken):
        wire.hear()
    one.close()
    wire.close()


def test_what_was_brought_for_no_message_is_closed(ends: Ends) -> None:
    ours, theirs = ends
    file = os.memfd_create("file")
    ours._send({"brings": True}, [file])
    os.close(file)
    ours.close()
    with pytest.raises(WireBroken):
        theirs.hear()
