"""The hour of chats is the same in each run, each of its requests has an answer of its own, and it runs through each server."""

from collections import Counter
from fnmatch import fnmatchcase

import pytest

from tests.bench import day, replay
from tests.bench.exchanges import Kind
from tests.bench.measuring import Scene
from tests.bench.messages import Message

REQUESTS = day.requests(Kind.HTTP).messages


def answers_of(line: str) -> list[Message]:
    """As the upstream finds them: those of the first pattern that matches."""
    first = next(one.name for one in day.ANSWERS if fnmatchcase(line, one.name))
    return [one for one in day.ANSWERS if one.name == first]


def test_hour_is_the_same_in_each_run() -> None:
    assert list(day.requests(Kind.HTTP).messages) == list(REQUESTS)
    assert list(day.sockets().messages) == list(day.sockets().messages)


def test_each_user_has_two_places_for_the_whole_hour() -> None:
    places = Counter(one.name for one in REQUESTS)
    assert len(places) == 3 * day.USERS * 2
    assert len(set(places.values())) == 1


def test_each_request_is_answered_as_its_client_expects() -> None:
    used = set[str]()
    for one in REQUESTS:
        line, _, rest = one.data.decode().partition("\r\n")
        found = answers_of(line)
        used.add(found[0].name)
        assert {answer.pause for answer in found} == {one.held}
        if "If-None-Match" in rest:
            assert all(answer.data.startswith(b"HTTP/1.1 304 ") for answer in found)
    assert used == {one.name for one in day.ANSWERS}


def test_length_of_each_body_is_said_or_it_is_chunked() -> None:
    for message in (*REQUESTS, *day.ANSWERS):
        head, _, body = message.data.partition(b"\r\n\r\n")
        fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:])
        if b"transfer-encoding" in fields:
            size, _, rest = body.partition(b"\r\n")
            assert rest.endswith(b"\r\n0\r\n\r\n")
            assert int(size, 16) == len(rest) - len(b"\r\n0\r\n\r\n")
        else:
            assert int(fields.get(b"content-length", b"0")) == len(body)


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.H2])
def test_short_form_runs_through_each_server(scene: Scene, kind: Kind) -> None:
    spent, middle, late, resident = replay.rows(scene, kind, seconds=1)
    for name in ("nginx", "haproxy", "plexigate"):
        assert spent.figure(name) > 1
        assert 0 < middle.figure(name) <= late.figure(name)
        assert resident.figure(name) > 5
