"""How long a server waits for a client that takes nothing, and whose answer ends for the sake of others."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.service.response_buffer import BufferLimits, ResponseBudget
from proxy.downstream.service.spool import PIECE_BYTES, SLOT_BYTES, Spool
from proxy.downstream.service.unread_answers import UnreadAnswer, UnreadAnswers
from proxy.http.responses import ResponseReader
from proxy.limits.networks import EXEMPT
from proxy.net.deadlines import SWEEP_SECONDS, Deadlines
from proxy.upstream.pooling.shares import Shares
from tests.fakes import FakeLoop
from tests.fakes_http import LIMITS, RESPONSES, FakeClient, request, response

A, B, C = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
ROOM = BufferLimits(most=0, total=1_000, spooled=100 * SLOT_BYTES)
NONE = BufferLimits(most=0, total=1_000)


def begun(client: FakeClient) -> AnswerWriter:
    """The writer of an answer whose head was written."""
    read = RequestReader().read(request(b"TE: trailers", b"Connection: TE"), LIMITS.head)
    writer = client.writer_for(read)
    answer = response(b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
    writer.start(ResponseReader().read(answer, RESPONSES.head, b"GET", None), b"f00", is_request_complete=True)
    writer.flush()
    client.told()
    return writer


@dataclass
class Reader:
    """The exchange of one slow answer. It begins to spool when it is told to."""

    holder: bytes
    response_bytes: int = 0
    client: FakeClient = field(default_factory=FakeClient)
    answer: UnreadAnswer | None = None
    asked: int = 0
    ended: str = ""

    def spool(self) -> None:
        self.asked += 1
        assert self.answer is not None
        if not self.answer.is_spooling:
            self.answer.begin(begun(self.client))

    def displaced(self, reason: str) -> None:
        self.ended = reason
        assert self.answer is not None
        self.answer.shares.give_back(self.holder)
        self.answer.close()


class Case:
    """The slow answers of a loop, and one server."""

    def __init__(self, directory: Path, limits: BufferLimits = ROOM, connections: int = 8) -> None:
        self.loop = FakeLoop()
        self.deadlines = Deadlines(self.loop)
        self.deadlines.start()
        self.spool = Spool(self.loop, self.loop.time, lambda _: None)
        self.spool.open_in([str(directory)])
        self.memory = ResponseBudget()
        self.answers = UnreadAnswers(
            self.deadlines, self.loop.time, self.loop.call_soon, self.spool, self.memory, limits
        )
        self.shares = Shares(connections)

    def held(self, client: bytes, passed: int = 0) -> Reader:
        """An answer of which `passed` bytes are with its client already, and whose server waits."""
        assert self.shares.take(client)
        reader = Reader(client)
        reader.answer = UnreadAnswer(self.answers, self.shares, reader)
        reader.response_bytes += passed
        reader.answer.stands()
        return reader


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


class TestServer:
    """How long it waits."""

    def test_it_waits_for_five_seconds_while_there_are_connections(self, case: Case) -> None:
        reader = case.held(A)
        case.loop.advance(5.0 - SWEEP_SECONDS)
        assert reader.asked == 0
        case.loop.advance(2 * SWEEP_SECONDS)
        assert reader.asked == 1

    def test_all_pauses_of_an_answer_count_together(self, case: Case) -> None:
        reader = case.held(A)
        for _ in range(4):
            case.loop.advance(1.0)
            reader.answer.moves()  # type: ignore[union-attr]
            case.loop.advance(100.0)
            reader.answer.stands()  # type: ignore[union-attr]
        assert reader.asked == 0
        case.loop.advance(1.0 + SWEEP_SECONDS)
        assert reader.asked == 1

    def test_it_waits_for_a_moment_while_half_of_them_are_in_use(self, case: Case) -> None:
        readers = [case.held(one) for one in (A, A, A, B, B)]
        case.loop.advance(SWEEP_SECONDS)
        assert [reader.asked for reader in readers] == [1] * 5

    def test_it_does_not_wait_when_all_are_in_use(self, case: Case) -> None:
        first = case.held(A)
        for client in (A, A, A, A, A, B):
            assert case.shares.take(client)
        last = case.held(C)
        assert last.asked == 0, "not in the middle of what its exchange does"
        case.loop.settle()
        assert (first.asked, last.asked) == (0, 1)

    def test_its_client_gets_none_of_the_last_quarter(self, case: Case) -> None:
        case.held(A)
        case.loop.advance(SWEEP_SECONDS)
        others = [case.shares.take(one) for one in (A, B, B, B, A)]
        assert others == [True] * 5
        assert not case.shares.take(A)
        assert case.shares.take(C)

    @pytest.mark.parametrize("limits", [NONE, BufferLimits(0, 0, 100 * SLOT_BYTES)], ids=["spool", "memory"])
    def test_it_goes_on_waiting_without_room_while_nobody_needs_it(self, tmp_path: Path, limits: BufferLimits) -> None:
        case = Case(tmp_path, limits)
        reader = case.held(A)
        case.loop.advance(60.0)
        assert (reader.asked, reader.ended) == (0, "")
        case.answers.limits = ROOM
        case.loop.advance(SWEEP_SECONDS)
        assert reader.asked == 1

    def test_it_waits_again_when_the_spool_is_full(self, case: Case) -> None:
        reader = case.held(A)
        case.loop.advance(6.0)
        answer = reader.answer
        assert answer is not None
        answer.data(bytes(51 * PIECE_BYTES))
        assert answer.flush() == 51 * PIECE_BYTES
        assert not answer.has_room, "a single client gets half"
        answer.stands()
        case.loop.advance(60.0)
        assert reader.asked == 1
        answer._next_piece()
        answer._next_piece()
        case.loop.advance(SWEEP_SECONDS)
        assert reader.asked == 2


class TestDisplacing:
    """Who ends when neither memory nor disk has room, and the last quarter of the connections is touched."""

    def full(self, case: Case, *holders: tuple[bytes, int]) -> list[Reader]:
        """Answers of these clients, of which so many bytes were taken; they take up the server."""
        readers = [case.held(client) for client, _ in holders]
        for (_, taken), reader in zip(holders, readers, strict=True):
            reader.response_bytes += taken
        return readers

    def test_the_slowest_end_and_no_more_than_are_needed(self, tmp_path: Path) -> None:
        case = Case(tmp_path, NONE)
        readers = self.full(case, (A, 5_000), (A, 10), (A, 20), (B, 3_000), (B, 0), (C, 4_000), (EXEMPT, 7_000))
        case.loop.advance(0.75)
        assert not any(reader.ended for reader in readers), "it is not known yet who is slow"
        case.loop.advance(0.5)
        assert [bool(reader.ended) for reader in readers] == [False, False, False, False, True, False, False]
        assert readers[4].ended.startswith("reader_displaced: ")
        assert case.shares.lacking == 0

    def test_clients_that_hold_little_are_spared(self, tmp_path: Path) -> None:
        case = Case(tmp_path, NONE)
        case.memory.change(A, 600)
        case.memory.change(B, 400)
        case.memory.change(C, 10)
        readers = self.full(case, (C, 0), (EXEMPT, 0), (A, 5_000), (A, 6_000), (A, 7_000), (B, 3_000), (B, 4_000))
        case.loop.advance(1.25)
        assert [reader.holder for reader in readers if reader.ended] == [B]

    def test_what_is_spooled_for_the_client_with_the_most_ends_to_make_room(self, case: Case) -> None:
        case.answers.limits = BufferLimits(0, 1_000, 8 * SLOT_BYTES)
        first, second = self.full(case, (A, 0), (B, 0))
        case.loop.advance(6.0)
        for reader, count in ((first, 5), (second, 2)):
            assert reader.answer is not None
            reader.response_bytes += count * PIECE_BYTES
            reader.answer.data(bytes(count * PIECE_BYTES))
            reader.answer.flush()
        others = self.full(case, (B, 0), (B, 0), (B, 0), (C, 0), (C, 0))
        case.loop.advance(SWEEP_SECONDS)
        assert first.ended
        assert not any(reader.ended for reader in (second, *others))
        assert [reader.asked for reader in others] == [1] * 5

    @pytest.mark.parametrize(("connections", "ended"), [(1, 0), (2, 1), (3, 1)])
    def test_one_of_few_connections_is_freed_but_not_the_only_one(
        self, tmp_path: Path, connections: int, ended: int
    ) -> None:
        case = Case(tmp_path, NONE, connections=connections)
        readers = self.full(case, *[(A, 0)] * connections)
        case.loop.advance(1.5)
        assert sum(bool(reader.ended) for reader in readers) == ended


class TestSpooling:
    """The answer that comes back."""

    def spooling(self, case: Case, *pieces: bytes) -> tuple[Reader, UnreadAnswer]:
        """One of which these pieces are in the spool."""
        reader = case.held(A)
        case.loop.advance(6.0)
        answer = reader.answer
        assert answer is not None
        for piece in pieces:
            answer.data(piece)
            answer.flush()
        return reader, answer

    def test_bytes_come_back_in_their_order(self, case: Case) -> None:
        whole = bytes(range(256)) * 1_000
        _, answer = self.spooling(case, whole[:10], whole[10:200_000], whole[200_000:])
        found = b""
        while answer.unread:
            found += answer._next_piece()
        assert found == whole
        assert case.answers.budget.held == 0

    def test_end_comes_behind_them(self, case: Case) -> None:
        reader, answer = self.spooling(case, b"body")
        answer.never_index(frozenset({b"x-secret"}))
        answer.end([(b"X-Sum", b"1")])
        assert reader.client.told() == []
        assert case.answers.budget.held == SLOT_BYTES, "what has no connection any more is in the file"
        assert answer._next_piece() == b"body"
        answer.finish().flush()
        assert reader.client.told() == [("send", b"0\r\nX-Sum: 1\r\n\r\n")]

    def test_answer_that_goes_on_is_written_without_the_spool_again(self, case: Case) -> None:
        reader, answer = self.spooling(case, b"body")
        answer._next_piece()
        answer.finish().flush()
        assert (answer.is_spooling, reader.client.told()) == (False, [])
        answer.stands()
        case.loop.advance(SWEEP_SECONDS)
        assert reader.asked == 2, "its time for its server is used up"

    def test_nothing_is_left_of_one_that_ends_early(self, case: Case) -> None:
        reader, answer = self.spooling(case, bytes(200_000))
        answer.stands()
        answer.close()
        answer.never_index(frozenset())
        answer.displace()
        assert case.answers.budget.held == 0
        case.loop.advance(60.0)
        assert (reader.asked, reader.ended) == (1, "")
