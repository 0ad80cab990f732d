"""Both ends of a channel over a real socket pair: frames, descriptors, and every way in which
the other side can be gone."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import Problem
from proxy.net.tasks import Tasks
from proxy.processes.channel import LARGEST_FRAME, LARGEST_NEWS, Channel, ChannelLost, Peer
from proxy.processes.messages.codec import Body
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionFailed, QuestionRefused
from tests.descriptors import open_descriptors
from tests.waiting import until

HEADER = struct.Struct("!IH")


class End:
    """One side: answers by `replies`, and remembers what it was asked and told."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked: list[tuple[str, Body, list[int]]] = []
        self.losses = 0
        self.fault: str | None = None
        self.gone = asyncio.Event()
        self.errors: list[BaseException] = []
        self.replies: dict[str, Callable[[Body], Any]] = {}
        self.sock = sock
        self.tasks = Tasks(self.loop, self.errors.append)
        self.channel = Channel(self.loop, sock, peer, self.tasks, self.answer, self.lost)

    async def answer(self, kind: str, body: Body, descriptors: list[int]) -> Body:
        self.asked.append((kind, body, descriptors))
        if kind not in self.replies:
            return body
        reply = self.replies[kind](body)
        found: Body = await reply if isinstance(reply, Awaitable) else reply
        return found

    def lost(self, fault: str | None) -> None:
        self.losses += 1
        self.fault = fault
        self.gone.set()

    def close_received(self) -> list[bytes]:
        """The first bytes of every descriptor that came, which is closed."""
        contents = []
        for _, _, descriptors in self.asked:
            for descriptor in descriptors:
                contents.append(os.pread(descriptor, 100, 0))
                os.close(descriptor)
        self.asked.clear()
        return contents


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[End, End]]:
    """The end of the parent, and that of a worker; nothing of them may be open afterwards."""
    before = open_descriptors()
    left, right = (End(*one) for one in zip(socket.socketpair(), (Peer.WORKER, Peer.PARENT), strict=True))
    try:
        yield left, right
    finally:
        for end in (left, right):
            end.channel.close()
            end.close_received()
            await end.tasks.cancel_all()
    assert open_descriptors() == before


@asynccontextmanager
async def against_raw(peer: Peer = Peer.PARENT) -> AsyncIterator[tuple[End, socket.socket]]:
    """An end, and the other side as bytes."""
    before = open_descriptors()
    ours, theirs = socket.socketpair()
    end = End(ours, peer)
    try:
        yield end, theirs
    finally:
        end.channel.close()
        end.close_received()
        await end.tasks.cancel_all()
        theirs.close()
    assert open_descriptors() == before


def memory(content: bytes) -> int:
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    return descriptor


def memory_files() -> list[str]:
    """Those that this process has open."""
    named = (str(Path(f"/proc/self/fd/{one}").resolve()) for one in open_descriptors())
    return [one for one in named if "memfd:test" in one]


def frame(content: object, descriptors: int = 0) -> bytes:
    payload = json.dumps(content).encode()
    return HEADER.pack(len(payload), descriptors) + payload


class TestAsking:
    async def test_both_sides_ask_at_once(self) -> None:
        async with pair() as (left, right):
            left.replies["name"] = lambda _: {"name": "left"}
            right.replies["name"] = lambda _: {"name": "right"}
            async with asyncio.TaskGroup() as group:
                found = [
                    group.create_task(end.channel.ask("name", {"n": n})) for n in range(50) for end in (left, right)
                ]
            assert [one.result()["name"] for one in found] == ["right", "left"] * 50
            assert [body["n"] for _, body, _ in right.asked] == list(range(50))

    async def test_answers_may_come_in_another_order(self) -> None:
        async with pair() as (left, right):
            held: asyncio.Future[Body] = asyncio.get_running_loop().create_future()

            async def wait(_: Body) -> Body:
                return await held

            right.replies["slow"] = wait
            slow = asyncio.get_running_loop().create_task(left.channel.ask("slow"))
            assert await left.channel.ask("quick", {"n": 1}) == {"n": 1}
            assert not slow.done()
            held.set_result({"n": 2})
            assert await slow == {"n": 2}

    async def test_questions_are_begun_in_their_order(self) -> None:
        """What a worker is told last is what counts: a commit must not overtake an abort."""
        async with pair() as (left, right):
            async with asyncio.TaskGroup() as group:
                for number in range(200):
                    group.create_task(left.channel.ask("note", {"n": number}))
            assert [body["n"] for _, body, _ in right.asked] == list(range(200))

    async def test_frames_that_fill_the_buffers_many_times(self) -> None:
        async with pair() as (left, right):
            text = "\N{SNOWMAN}" * 1_000_000
            async with asyncio.TaskGroup() as group:
                there = [
                    group.create_task(left.channel.ask("echo", {"text": text}, largest=LARGEST_FRAME)) for _ in range(2)
                ]
                back = group.create_task(right.channel.ask("echo", {"text": text[:1_000]}))
            assert [one.result() for one in there] == [{"text": text}] * 2
            assert back.result() == {"text": text[:1_000]}

    async def test_frame_may_come_byte_by_byte(self) -> None:
        async with against_raw() as (end, raw):
            asking = asyncio.get_running_loop().create_task(end.channel.ask("hello"))
            await asyncio.sleep(0)
            question = json.loads(raw.recv(1_000)[HEADER.size :])
            assert question == {"id": 1, "ask": "hello", "body": {}}
            for octet in frame({"id": 1, "answer": {"n": 1}}):
                assert not asking.done()
                raw.send(bytes([octet]))
                end.channel._readable()
            assert await asking == {"n": 1}

    async def test_answer_that_nobody_waits_for_any_more_is_dropped(self) -> None:
        async with against_raw() as (end, raw):
            asking = asyncio.get_running_loop().create_task(end.channel.ask("hello"))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            raw.send(frame({"id": 1, "answer": {}}) + frame({"id": 77, "answer": {}}))
            end.channel._readable()
            assert end.channel._waiting == {}
            assert end.losses == 0


class TestNo:
    async def test_refusal_carries_its_reason(self) -> None:
        reason = ConfigurationRefused((Problem("a.toml", "user", "x", "y"),))
        async with pair() as (left, right):

            def refuse(_: Body) -> Body:
                raise QuestionRefused(reason)

            right.replies["prepare"] = refuse
            with pytest.raises(QuestionRefused) as caught:
                await left.channel.ask("prepare")
            assert caught.value.reason == reason
            assert str(caught.value) == "a.toml: user: found x; allowed: y"
            assert right.errors == []

    async def test_error_is_told_to_whoever_asked_and_reported_where_it_happened(self) -> None:
        async with pair() as (left, right):
            right.replies["fail"] = lambda _: 1 // 0
            with pytest.raises(QuestionRefused) as caught:
                await left.channel.ask("fail")
            assert caught.value.reason == QuestionFailed("ZeroDivisionError: integer division or modulo by zero")
            assert [type(error) for error in right.errors] == [ZeroDivisionError]
            assert await left.channel.ask("still", {"n": 1}) == {"n": 1}


class TestDescriptors:
    async def test_travel_with_their_question_and_stay_open_here(self) -> None:
        async with pair() as (left, right):
            mine = memory(b"secret")
            await left.channel.ask("first")
            await left.channel.ask("second", descriptors=[mine, mine])
            assert [(kind, len(descriptors)) for kind, _, descriptors in right.asked] == [("first", 0), ("second", 2)]
            assert not any(os.get_inheritable(one) for one in right.asked[1][2])
            assert right.close_received() == [b"secret"] * 2
            assert os.pread(mine, 10, 0) == b"secret"
            os.close(mine)

    async def test_those_of_many_frames_do_not_mix(self) -> None:
        async with pair() as (left, right):
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    several = [memory(b"%d.%d" % (number, index)) for index in range(number % 4)]
                    group.create_task(left.channel.ask("take", {"n": number, "fill": "x" * 5_000}, several))
                    await asyncio.sleep(0)  # the channel has copies from now on
                    for one in several:
                        os.close(one)
            for _, body, descriptors in right.asked:
                number = body["n"]
                assert [os.pread(one, 10, 0) for one in descriptors] == [
                    b"%d.%d" % (number, index) for index in range(number % 4)
                ]

    async def test_more_than_the_kernel_takes_at_once(self) -> None:
        """A worker that is alone for a moment accepts on the sockets of all slots."""
        async with pair() as (left, right):
            mine = [memory(b"%d" % number) for number in range(600)]
            await left.channel.ask("take", {}, mine)
            for one in mine:
                os.close(one)
            assert right.close_received() == [b"%d" % number for number in range(600)]

    async def test_those_that_were_not_sent_yet_are_closed_with_the_channel(self) -> None:
        async with pair() as (left, right):
            right.loop.remove_reader(right.sock)
            mine = memory(b"x")
            asking = [
                left.loop.create_task(left.channel.ask("take", {"fill": "x" * 100_000}, [mine])) for _ in range(20)
            ]
            await asyncio.sleep(0)
            os.close(mine)
            assert left.channel._unsent
            left.channel.close()
            for one in asking:
                with pytest.raises(ChannelLost):
                    await one

    async def test_no_room_for_a_copy_is_the_askers_error_and_leaves_nothing(self) -> None:
        async with pair() as (left, _):
            mine = memory(b"x")
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = max(open_descriptors())
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, limits[1]))
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    await left.channel.ask("take", {}, [mine] * (highest + 10))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                os.close(mine)
            assert left.channel._waiting == {}
            assert await left.channel.ask("still") == {}

    @pytest.mark.parametrize("several", [60, 400])
    async def test_side_that_has_no_room_for_them_says_so_and_is_not_confused(self, several: int) -> None:
        """A worker with as many connections as it may have must survive a reload that cannot be."""
        async with pair() as (left, right):
            sent = [memory(b"%d" % number) for number in range(several)]
            right.loop.remove_reader(right.sock)
            asking = left.loop.create_task(left.channel.ask("take", {}, sent))
            await asyncio.sleep(0)
            for one in sent[1:]:
                os.close(one)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken = open_descriptors()
            spare = [os.dup(0) for _ in range(max(taken) - len(taken) + 2)]  # fill the gaps
            highest = max(open_descriptors())
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
            try:
                while right.channel._receive():
                    pass
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for one in spare:
                    os.close(one)
            right.loop.add_reader(right.sock, right.channel._readable)
            with pytest.raises(QuestionRefused, match="no room for more descriptors"):
                await asking
            await left.channel.ask("take", {}, sent[:1])
            assert len(right.asked) == 1
            assert right.close_received() == [b"0"]
            os.close(sent[0])


class TestTheEnd:
    async def test_other_side_that_closes_is_told_once_and_answers_nobody(self) -> None:
        async with pair() as (left, right):

            async def never(_: Body) -> Body:
                await asyncio.Event().wait()
                return {}

            right.replies["wait"] = never
            asking = left.loop.create_task(left.channel.ask("wait"))
            await until(lambda: right.asked)
            right.channel.close()
            with pytest.raises(ChannelLost, match="the other process has exited"):
                await asking
            assert (left.losses, right.losses) == (1, 0)
            with pytest.raises(ChannelLost):
                await left.channel.ask("anything")
            left.channel.close()
            assert left.losses == 1

    async def test_side_that_dies_in_the_middle_of_a_frame(self) -> None:
        async with against_raw() as (end, raw):
            descriptor = memory(b"x")
            socket.send_fds(raw, [frame({"id": 1, "ask": "take", "body": {}}, 1)[:-1]], [descriptor])
            os.close(descriptor)
            end.channel._readable()
            assert end.losses == 0
            raw.close()
            await end.gone.wait()
            assert (end.losses, end.asked) == (1, [])

    async def test_side_that_dies_before_it_has_read_what_it_was_told(self) -> None:
        async with against_raw() as (end, raw):
            asking = end.loop.create_task(end.channel.ask("hello", {"fill": "x" * 1_000_000}))
            await asyncio.sleep(0)
            raw.close()
            with pytest.raises(ChannelLost):
                await asking
            assert end.losses == 1

    @pytest.mark.parametrize("peer", Peer)
    @pytest.mark.parametrize(
        ("said", "fault"),
        [
            (HEADER.pack(1 << 31, 0), "a frame of 2_147_483_648 bytes where"),
            (HEADER.pack(4, 0) + b"{{{{", "a frame that is not JSON"),
            (HEADER.pack(4, 0) + b"\xff\xff\xff\xff", "a frame that is not JSON"),
            (HEADER.pack(200_000, 0) + b"[" * 200_000, "a frame that is not JSON (RecursionError)"),
            (HEADER.pack(2, 0) + b"[]", "a frame that is not JSON object"),
            (frame({"id": 1, "ask": "half of \ud83d", "body": {}}), "a frame that is not JSON (UnicodeEncodeError)"),
            (frame({"ask": "take", "body": {}}), "a frame that is neither a question nor an answer"),
            (frame({"id": [1], "answer": {}}), "a frame that is neither a question nor an answer"),
            (frame({"id": 1, "ask": ["take"], "body": {}}), "a frame that is neither a question nor an answer"),
            (frame({"id": 1, "ask": "take", "body": 7}), "a frame that is neither a question nor an answer"),
            (frame({"id": 1, "failure": None}), "a frame that is neither a question nor an answer"),
            (frame({"id": 1, "answer": {}, "more": 1}), "a frame that is neither a question nor an answer"),
            (frame({"id": 1, "ask": "take", "body": {}}, 3), "a frame with"),
        ],
        ids=[
            *("gigabytes", "no JSON", "no text", "deep", "no object", "no character", "no id", "an id that is none"),
            *("a kind that is none", "a body that is none", "a failure that is none", "surplus", "no descriptors"),
        ],
    )
    async def test_side_that_says_what_no_frame_is(self, said: bytes, fault: str, peer: Peer) -> None:
        async with against_raw(peer) as (end, raw):
            raw.settimeout(0)
            await end.loop.sock_sendall(raw, said)
            await end.gone.wait()
            assert (end.losses, end.asked, raw.recv(10)) == (1, [], b"")
            assert end.fault is not None
            assert end.fault.startswith(fault)

    async def test_last_words_are_heard_though_the_end_is_known_before(self) -> None:
        """A worker answers with its last figures and is gone, in one turn of the loop."""
        async with against_raw() as (end, raw):
            asking = end.loop.create_task(end.channel.ask("drain"))
            await asyncio.sleep(0)
            payload = {"id": 1, "answer": {"snapshot": "x" * 100_000}}
            raw.send(frame(payload))
            raw.close()
            end.channel.finish()
            assert (await asking)["snapshot"] == "x" * 100_000
            assert end.losses == 1
            end.channel.finish()

    async def test_flush_waits_until_all_is_on_its_way(self) -> None:
        async with pair() as (left, right):
            right.loop.remove_reader(right.sock)
            await left.channel.flush()
            asking = left.loop.create_task(left.channel.ask("hello", {"fill": "x" * 3_000_000}, largest=LARGEST_FRAME))
            await asyncio.sleep(0)
            flushing = left.loop.create_task(left.channel.flush())
            await asyncio.sleep(0)
            assert not flushing.done()
            right.loop.add_reader(right.sock, right.channel._readable)
            await flushing
            assert len((await asking)["fill"]) == 3_000_000

    async def test_flush_does_not_wait_for_the_dead(self) -> None:
        async with against_raw() as (end, raw):
            asking = end.loop.create_task(end.channel.ask("hello", {"fill": "x" * 3_000_000}))
            await asyncio.sleep(0)
            raw.close()
            await end.channel.flush()
            with pytest.raises(ChannelLost):
                await asking

    async def test_answer_to_a_side_that_is_gone_is_dropped(self) -> None:
        async with pair() as (left, right):
            held = asyncio.Event()

            async def wait(_: Body) -> Body:
                await held.wait()
                return {}

            right.replies["wait"] = wait
            asking = left.loop.create_task(left.channel.ask("wait"))
            await until(lambda: right.asked)
            left.channel.close()
            await right.gone.wait()
            held.set()
            with pytest.raises(ChannelLost):
                await asking
            await asyncio.sleep(0)
            assert right.errors == []


class TestWorkerThatWasTakenOver:
    """It gets little out of its parent, which ends it with a reason."""

    async def test_descriptors_never_reach_the_parent(self) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            mine = memory(b"x")
            for _ in range(12):
                socket.send_fds(raw, [b"\0"], [mine] * 250)
            os.close(mine)
            end.channel._readable()
            assert end.fault == "descriptors"
            assert not memory_files()

    @pytest.mark.parametrize("content", [{"brings": True}, {"id": 1, "answer": {}}, {"id": 77, "failure": {}}])
    async def test_what_only_a_parent_sends_and_answers_that_nobody_asked_for(self, content: Body) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            raw.send(frame(content))
            await end.gone.wait()
            assert end.fault in {"an answer to no question", "a frame that is neither a question nor an answer"}

    async def test_large_answers_come_only_to_questions_that_allow_them(self) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            large = end.loop.create_task(end.channel.ask("figures", largest=LARGEST_FRAME))
            small = end.loop.create_task(end.channel.ask("ping"))
            await asyncio.sleep(0)
            raw.settimeout(0)
            await end.loop.sock_sendall(raw, frame({"id": 1, "answer": {"fill": "x" * LARGEST_NEWS}}))
            assert len((await large)["fill"]) == LARGEST_NEWS
            await end.loop.sock_sendall(raw, HEADER.pack(LARGEST_NEWS + 1, 0))
            with pytest.raises(ChannelLost):
                await small
            assert end.fault == "a frame of 1_048_577 bytes where 1_048_576 are allowed"

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            ({"id": 2, "answer": {"fill": "x" * LARGEST_NEWS}}, "an answer of 1_048_609 bytes where 1_048_576"),
            ({"id": 1, "ask": "news", "body": {"fill": "x" * LARGEST_NEWS}}, "news of 1_048_622 bytes where 1_048_576"),
        ],
    )
    async def test_a_question_with_a_large_answer_opens_no_way_for_others(self, content: Body, fault: str) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            asking = [end.loop.create_task(end.channel.ask("figures", largest=LARGEST_FRAME))]
            asking.append(end.loop.create_task(end.channel.ask("ping")))
            await asyncio.sleep(0)
            raw.settimeout(0)
            await end.loop.sock_sendall(raw, frame(content))
            await end.gone.wait()
            assert end.fault is not None
            assert end.fault.startswith(fault)
            for one in asking:
                with pytest.raises(ChannelLost):
                    await one

    async def test_a_large_answer_may_be_late(self) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            asking = end.loop.create_task(end.channel.ask("figures", largest=LARGEST_FRAME))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            raw.settimeout(0)
            await end.loop.sock_sendall(raw, frame({"id": 1, "answer": {"fill": "x" * LARGEST_NEWS}}))
            raw.send(frame({"id": 1, "ask": "news", "body": {"n": 1}}))
            await until(lambda: end.asked)
            assert end.fault is None

    async def test_news_that_nobody_reads_the_receipts_of_do_not_pile_up(self) -> None:
        async with against_raw(Peer.WORKER) as (end, raw):
            raw.settimeout(0)
            news = frame({"id": 1, "ask": "news", "body": {"fill": "x" * 1_000}})
            with contextlib.suppress(ConnectionError):
                while not end.gone.is_set():
                    await end.loop.sock_sendall(raw, news)
            assert end.fault == "more than 256 notices at once"
