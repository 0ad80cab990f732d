"""Datagrams go from one process to another by the prefix of their connection ID."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from proxy.quic import post
from proxy.quic.post import Post, unused_prefix

OURS, THEIRS, NOBODYS = b"\x01\x02", b"\x01\x03", b"\x02\x02"
LISTENER = "public-test-post"
KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
"""New in each run: others may run on this machine."""
OTHER_USER = 65_534
Took = list[tuple[bytes, bytes, bytes, int]]


@pytest.fixture
def posts() -> Iterator[tuple[Post, Post]]:
    ours = Post(LISTENER, OURS, KEY)
    theirs = Post(LISTENER, THEIRS, KEY)
    yield ours, theirs
    ours.close()
    theirs.close()


def taken(by: Post) -> Took:
    """What a process gets."""
    took: Took = []
    by.deliver(lambda *one: took.append(one), 8)
    return took


def test_a_datagram_arrives_with_its_addresses(posts: tuple[Post, Post]) -> None:
    ours, theirs = posts
    assert ours.hand_on(THEIRS, b"packet", b"l" * 16, b"r" * 28, 3)
    assert taken(theirs) == [(b"packet", b"l" * 16, b"r" * 28, 3)]
    assert taken(theirs) == taken(ours) == []


def test_nobody_is_told_so(posts: tuple[Post, Post]) -> None:
    assert not posts[0].hand_on(NOBODYS, b"packet", b"l", b"r", 0)


def test_what_is_too_much_is_lost(posts: tuple[Post, Post]) -> None:
    assert all(posts[0].hand_on(THEIRS, b"x" * 1_200, b"l", b"r", 0) for _ in range(2_000))


@pytest.mark.usefixtures("posts")
def test_a_name_is_taken_once() -> None:
    with pytest.raises(OSError, match="in use"):
        Post(LISTENER, OURS, KEY)


def test_a_name_comes_from_the_secret_alone(posts: tuple[Post, Post]) -> None:
    """A process without it can neither take the name first nor be taken for a process of ours."""
    names = {one.sock.getsockname() for one in posts}
    stranger = Post(LISTENER, THEIRS, OTHER_KEY)
    elsewhere = Post(LISTENER + "2", THEIRS, KEY)
    names |= {stranger.sock.getsockname(), elsewhere.sock.getsockname()}
    assert len(names) == 4
    assert {len(one.removeprefix(b"\0plexigate-quic-")) for one in names} == {32}
    assert posts[0].hand_on(THEIRS, b"packet", b"l", b"r", 0)
    assert [len(taken(one)) for one in (posts[1], stranger, elsewhere)] == [1, 0, 0]
    assert not stranger.hand_on(OURS, b"packet", b"l", b"r", 0)
    stranger.close()
    elsewhere.close()


@pytest.mark.parametrize(("user", "is_believed"), [(0, True), (os.geteuid(), True), (os.geteuid() + 1, False)])
def test_our_user_and_root_are_believed(user: int, *, is_believed: bool) -> None:
    credentials = struct.pack("iii", 1, user, 0)
    assert post._is_believed([(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]) is is_believed
    assert not post._is_believed([])


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may send as somebody else")
def test_what_another_user_sends_is_not_taken(posts: tuple[Post, Post]) -> None:
    message = bytes((0, 1, 1)) + b"lr" + b"packet"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for user in (OTHER_USER, os.geteuid()):
            credentials = struct.pack("iii", os.getpid(), user, user)
            says = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]
            sender.sendmsg([message], says, 0, posts[0].sock.getsockname())
    assert taken(posts[0]) == [(b"packet", b"l", b"r", 0)]


def test_a_new_process_has_a_number_that_no_other_one_has() -> None:
    others = [Post(LISTENER, bytes((7, number)), KEY) for number in range(256) if number != 42]
    assert unused_prefix(7, {"other": (KEY,), LISTENER: (OTHER_KEY, KEY)}) == bytes((7, 42))
    others += [Post(LISTENER, bytes((7, 42)), KEY)]
    assert unused_prefix(263, {LISTENER: (KEY,)})[0] == 7  # none is left: one has to do
    for one in others:
        one.close()
