"""Datagrams go from one process to another by the prefix of their connection ID."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from proxy.quic import post
from proxy.quic.post import Post

OURS, THEIRS, NOBODYS = b"\x01\x02", b"\x01\x03", b"\x02\x02"
LISTENER = "public-test-post"
Took = list[tuple[bytes, bytes, bytes, int]]


@pytest.fixture
def posts() -> Iterator[tuple[Post, Post]]:
    ours = Post(LISTENER, OURS)
    theirs = Post(LISTENER, THEIRS)
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
        Post(LISTENER, OURS)


@pytest.mark.parametrize(("user", "is_believed"), [(0, True), (os.geteuid(), True), (os.geteuid() + 1, False)])
def test_our_user_and_root_are_believed(user: int, *, is_believed: bool) -> None:
    credentials = struct.pack("iii", 1, user, 0)
    assert post._is_believed([(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]) is is_believed
    assert not post._is_believed([])
