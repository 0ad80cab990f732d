"""A WebSocket between its two sides: frames as they came, close frames of ours only between two
of them."""

from collections.abc import Callable

import pytest

from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.tunnels.websocket_tunnel import Tunnel
from proxy.http.websocket.close import ClosedBy, WebSocketClose
from proxy.http.websocket.frames import CloseCode, Extensions
from proxy.limits.idleness import Idle, Shown
from proxy.net.deadlines import NEVER
from proxy.observe.counts.route_counters import RouteCounters
from proxy.tls.wire.record_flood import RecordFlood
from tests.fakes_http import Conversation, FakeStream
from tests.hostile.strict_frames import FrameReader

KEY = b"\x12\x34\x56\x78"


def frame(first: int, payload: bytes = b"", *, masked: bool = False) -> bytes:
    """Write a frame of up to 64 KB; `first` is its first octet."""
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        header = bytes((first, mask | len(payload)))
    else:
        header = bytes((first, mask | 126)) + len(payload).to_bytes(2, "big")
    return header + (KEY + unmasked(payload, KEY) if masked else payload)


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Undo a mask, or apply it."""
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


def close(code: int, *, masked: bool = False) -> bytes:
    """Write a close frame."""
    return frame(0x88, code.to_bytes(2, "big"), masked=masked)


def close_code(data: bytes, *, masked: bool = False) -> int:
    """The code of the close frame that ends the data; one that goes to a server must be masked,
    and is alone here."""
    if masked:
        reader = FrameReader(is_masked=True)
        reader.feed(data)
        return int.from_bytes(reader.frames[-1].payload[:2], "big")
    at = data.rindex(b"\x88")
    assert data[at + 1] == len(data) - at - 2
    return int.from_bytes(data[at + 2 : at + 4], "big")


class Pair:
    """A tunnel between a client and a server that the test plays."""

    def __init__(
        self,
        *,
        from_client: bytes = b"",
        from_upstream: bytes = b"",
        extensions: Extensions = Extensions.NONE,
        counters: RouteCounters | None = None,
    ) -> None:
        shared = Conversation()
        self.service, self.loop = shared.service, shared.loop
        self.client, self.server = FakeStream(self.loop), FakeStream(self.loop)
        self.ends: list[str | None] = []
        self.client_errors: list[OSError | None] = []
        self.unwelcome: str | None = None
        """Why the configuration does not allow this tunnel any more."""
        self.tunnel = Tunnel(
            self.service,
            self.client,
            self.server,
            extensions,
            self,
        )
        self.counters = counters or self.service.counters.route("chat.test/")
        self.tunnel.begin(self.counters, from_client=from_client, from_upstream=from_upstream)

    def tunnel_ended(self, tunnel: Tunnel, reason: str | None) -> None:
        """Note why."""
        del tunnel
        self.ends.append(reason)

    def client_lost(self, error: OSError | None) -> None:
        """Note how."""
        self.client_errors.append(error)

    def idle(self, shown: Shown, since: float) -> Idle:
        """It is of one client."""
        return Idle(shown, since, "public", b"client")

    def tunnel_stands(self) -> None:
        """Judge as the test wants."""
        if self.unwelcome is not None:
            raise NoLongerWelcome(self.unwelcome)

    def tunnel_closes(self) -> None:
        """The proxy begins to close it."""
        self.tunnel.close(CloseCode.GOING_AWAY, "")

    def client_closes(self) -> None:
        """The client begins to close it."""
        self.client.receive(close(1000, masked=True))

    def client_ends(self) -> None:
        """The client is gone."""
        self.client.lose()

    @property
    def endings(self) -> tuple[str | None, str | None]:
        """How both connections were ended."""
        return self.client.ending, self.server.ending


class TestRelay:
    """Bytes go on as they came."""

    def test_both_directions(self) -> None:
        pair = Pair()
        from_client, from_server = frame(0x81, b"question", masked=True), frame(0x81, b"answer")
        for octet in range(len(from_client)):
            pair.client.receive(from_client[octet : octet + 1])
        pair.server.receive(from_server)
        assert pair.server.sent() == from_client
        assert pair.client.sent() == from_server
        assert pair.tunnel.messages == (1, 1)
        assert (pair.tunnel.client_bytes, pair.tunnel.server_bytes) == (len(from_client), len(from_server))

    def test_what_moves_is_counted_at_once(self) -> None:
        first, second = frame(0x81, b"a", masked=True), frame(0x81, b"bc")
        pair = Pair(from_client=first)
        counters = pair.counters
        assert (counters.websockets, counters.websockets_open) == (1, 1)
        pair.client.receive(first)
        pair.server.receive(second[:1])
        assert (counters.from_client.messages, counters.from_client.bytes) == (2, 2 * len(first))
        assert (counters.to_client.messages, counters.to_client.bytes) == (0, 1)
        pair.server.receive(second[1:])
        assert counters.to_client.messages == 1
        pair.tunnel.give_up("over")
        assert (counters.websockets, counters.websockets_open) == (1, 0)

    def test_all_of_a_route_are_added_up(self) -> None:
        data = frame(0x81, b"a", masked=True)
        first = Pair(from_client=data)
        second = Pair(from_client=data * 2, counters=first.counters)
        second.client.receive(data)
        counters = first.counters
        assert (counters.from_client.messages, counters.from_client.bytes) == (4, 4 * len(data))
        second.tunnel.give_up("over")
        assert (counters.websockets, counters.websockets_open) == (2, 1)

    def test_what_breaks_the_rules_is_counted_as_well(self) -> None:
        pair = Pair()
        data = frame(0x81, b"fine", masked=True) + frame(0x83, b"reserved", masked=True)
        pair.client.receive(data)
        assert (pair.counters.from_client.messages, pair.counters.from_client.bytes) == (1, len(data))
        assert pair.counters.websockets_open == 0

    def test_what_was_sent_ahead_comes_first(self) -> None:
        pair = Pair(from_client=frame(0x81, b"a", masked=True), from_upstream=frame(0x81, b"b"))
        pair.client.receive(frame(0x81, b"c", masked=True))
        assert pair.server.sent() == frame(0x81, b"a", masked=True) + frame(0x81, b"c", masked=True)
        assert pair.client.sent() == frame(0x81, b"b")

    def test_reserved_bits_belong_to_who_negotiated_an_extension(self) -> None:
        deflated = frame(0xC1, b"\x00")
        assert Pair(from_upstream=deflated, extensions=Extensions.NEGOTIATED).client.sent() == deflated
        assert Pair(from_upstream=deflated).endings == ("end", "end")

    def test_pings_and_pongs_are_no_messages(self) -> None:
        pair = Pair()
        pair.server.receive(frame(0x89, b"p"))
        pair.client.receive(frame(0x8A, b"p", masked=True))
        assert pair.tunnel.messages == (0, 0)
        assert pair.ends == []

    def test_large_frame_of_an_unseen_payload_passes_in_pieces(self) -> None:
        pair = Pair()
        whole = frame(0x82, bytes(60_000))
        for start in range(0, len(whole), 16_384):
            pair.server.receive(whole[start : start + 16_384])
        assert pair.client.sent() == whole


class TestBackPressure:
    """A slow reader is waited for: nothing is kept here."""

    @pytest.mark.parametrize("slow", ["client", "server"])
    def test_who_takes_no_more_holds_the_other_back(self, slow: str) -> None:
        pair = Pair()
        reader, sender = (pair.client, pair.server) if slow == "client" else (pair.server, pair.client)
        reader.is_full = True
        sender.receive(frame(0x81, b"much", masked=slow == "server"))
        assert not sender.is_reading
        assert reader.is_reading
        reader.take()
        assert sender.is_reading

    @pytest.mark.parametrize("slow", ["client", "server"])
    def test_who_takes_nothing_for_too_long_is_not_waited_for(self, slow: str) -> None:
        pair = Pair()
        reader, sender = (pair.client, pair.server) if slow == "client" else (pair.server, pair.client)
        reader.is_full = True
        sender.receive(frame(0x81, b"much", masked=slow == "server"))
        pair.loop.advance(59)
        assert pair.ends == []
        reader.receive(frame(0x81, b"alive, though", masked=slow == "client"))
        pair.loop.advance(2)
        assert pair.endings == ("end", "end")
        assert pair.ends == [f"the {'client' if slow == 'client' else 'upstream'} takes no more"]

    def test_who_takes_it_in_time_is_idle_from_then_on(self) -> None:
        pair = Pair()
        pair.client.is_full = True
        pair.server.receive(frame(0x81, b"much"))
        pair.loop.advance(50)
        pair.client.take()
        assert pair.tunnel.deadline == pair.loop.now + 3_600
        pair.loop.advance(50)
        pair.server.receive(frame(0x81, b"more"))
        assert pair.tunnel.deadline == pair.loop.now + 3_600

    def test_side_that_takes_something_while_the_other_takes_nothing_changes_nothing(self) -> None:
        pair = Pair()
        pair.client.is_full = pair.server.is_full = True
        pair.server.receive(frame(0x81, b"much"))
        pair.client.receive(frame(0x81, b"much", masked=True))
        pair.loop.advance(50)
        pair.server.take()
        assert pair.tunnel.deadline == pair.loop.now + 10

    def test_message_while_the_tunnel_closes_gives_no_more_time(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        due = pair.tunnel.deadline
        pair.loop.advance(1)
        pair.client.receive(frame(0x81, b"still here", masked=True))
        pair.server.receive(frame(0x81, b"so am I"))
        assert pair.tunnel.deadline == due

    def test_reader_that_is_slow_while_the_tunnel_closes_has_the_time_of_the_close(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.tunnel._from_client.pause_writing()
        pair.tunnel._from_client.resume_writing()
        assert pair.tunnel.deadline == pair.loop.now + 5


class TestClose:
    """RFC 6455 section 7: the handshake of closing, by either side or by us."""

    def test_proper_close_is_no_error(self) -> None:
        pair = Pair()
        pair.client.receive(close(1000, masked=True))
        assert pair.tunnel.deadline == pair.loop.now + 5, "the other side has to answer"
        pair.server.receive(close(1000))
        assert pair.tunnel.deadline == pair.loop.now + 5, "both have said goodbye"
        pair.server.receive_end()
        assert pair.endings == ("end", "end")
        assert pair.ends == [None]
        assert pair.tunnel.closed == WebSocketClose(1000, ClosedBy.CLIENT)

    def test_code_is_that_of_the_side_that_closed_first(self) -> None:
        pair = Pair()
        pair.server.receive(close(4004))
        pair.client.receive(close(1000, masked=True))
        pair.server.receive_end()
        assert pair.tunnel.closed == WebSocketClose(4004, ClosedBy.SERVER)

    def test_close_frame_may_have_no_code(self) -> None:
        pair = Pair()
        pair.server.receive(frame(0x88))
        pair.client.receive(close(1000, masked=True))
        assert pair.tunnel.closed == WebSocketClose(1005, ClosedBy.SERVER)

    @pytest.mark.parametrize("side", ["client", "server"])
    def test_side_that_is_lost_has_closed_without_a_frame(self, side: str) -> None:
        pair = Pair()
        (pair.client if side == "client" else pair.server).lose(None)
        assert pair.tunnel.closed == WebSocketClose(1006, ClosedBy(side))

    def test_close_of_ours_is_by_the_proxy(self) -> None:
        drained, broken, dead, stuck = Pair(), Pair(), Pair(), Pair()
        drained.tunnel.close(CloseCode.SERVICE_RESTART, "drained")
        drained.client.receive(close(1000, masked=True))
        broken.client.receive(frame(0x83, masked=True))
        dead.tunnel.give_up("the process ends")
        stuck.tunnel.end("the upstream takes no more")
        closes = [pair.tunnel.closed for pair in (drained, broken, dead, stuck)]
        assert closes == [WebSocketClose(code, ClosedBy.PROXY) for code in (1012, 1002, 1012, 1006)]

    @pytest.mark.parametrize("side", ["client", "server"])
    def test_close_frame_without_an_answer_ends_in_time(self, side: str) -> None:
        pair = Pair()
        if side == "client":
            pair.client.receive(close(1000, masked=True))
        else:
            pair.server.receive(close(1000))
        pair.loop.advance(5.5)
        assert pair.endings == ("end", "end")
        assert pair.ends == ["a close frame was not answered"]

    def test_close_frame_that_is_not_answered_ends_the_tunnel(self) -> None:
        pair = Pair()
        pair.client.receive(close(1000, masked=True))
        deadline = pair.tunnel.deadline
        for _ in range(3):
            pair.loop.advance(1)
            pair.server.receive(frame(0x81, b"going on"))
        assert pair.tunnel.deadline == deadline, "frames of the other side are no answer"
        pair.loop.advance(5)
        assert pair.endings == ("end", "end")
        assert pair.ends == ["a close frame was not answered"]

    def test_peers_that_close_but_stay_are_ended_without_blame(self) -> None:
        pair = Pair(from_client=close(1000, masked=True), from_upstream=close(1000))
        pair.loop.advance(5.5)
        assert pair.endings == ("end", "end")
        assert pair.ends == [None]

    @pytest.mark.parametrize("side", ["client", "server"])
    def test_end_without_a_close_frame_is_noted_and_passed_on(self, side: str) -> None:
        pair = Pair()
        (pair.client if side == "client" else pair.server).receive_end()
        assert pair.endings == ("end", "end")
        (reason,) = pair.ends
        assert reason is not None
        assert reason.startswith("the client" if side == "client" else "the upstream")

    @pytest.mark.parametrize("side", ["client", "server"])
    @pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
    def test_lost_side_ends_the_other(self, side: str, error: OSError | None) -> None:
        pair = Pair()
        lost, other = (pair.client, pair.server) if side == "client" else (pair.server, pair.client)
        lost.lose(error)
        assert other.ending == "end"
        (reason,) = pair.ends
        assert reason is not None
        assert "was lost" in reason
        assert ("reset" in reason) is (error is not None)

    def test_how_the_client_was_lost_is_told_once(self) -> None:
        pair = Pair()
        error = RecordFlood("TLS records without data")
        pair.client.lose(error)
        pair.server.lose(ConnectionResetError())
        assert pair.client_errors == [error]

    def test_side_that_is_lost_after_its_close_frame_is_no_error(self) -> None:
        pair = Pair()
        pair.client.receive(close(1001, masked=True))
        pair.client.lose()
        assert pair.ends == [None]

    @pytest.mark.parametrize("side", ["client", "server"])
    @pytest.mark.parametrize("behind", [frame(0x81, b"late"), frame(0x88), b"\xff" * 300])
    def test_what_follows_a_close_frame_is_discarded(self, side: str, behind: bytes) -> None:
        """RFC 6455 section 1.4."""
        pair = Pair()
        sender, reader = (pair.client, pair.server) if side == "client" else (pair.server, pair.client)
        closing = close(1000, masked=side == "client")
        sender.receive(closing + behind)
        sender.receive(behind)
        assert reader.sent() == closing
        assert pair.ends == []

    @pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
    @pytest.mark.parametrize("side", ["client", "server"])
    def test_side_that_is_lost_after_both_close_frames_is_no_error(self, side: str, error: OSError | None) -> None:
        pair = Pair(from_client=close(1000, masked=True), from_upstream=close(1000))
        (pair.client if side == "client" else pair.server).lose(error)
        assert pair.endings[side == "client"] == "end"
        assert pair.ends == [None]

    @pytest.mark.parametrize("how", ["ends", "lost", "reset"])
    @pytest.mark.parametrize("whose", ["upstream", "ours"])
    def test_upstream_that_goes_after_a_close_frame_leaves_the_client_its_time_to_answer(
        self, how: str, whose: str
    ) -> None:
        pair = Pair()
        if whose == "ours":
            pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        else:
            pair.server.receive(close(1000))
        if how == "ends":
            pair.server.receive_end()
        else:
            pair.server.lose(None if how == "lost" else ConnectionResetError())
        assert pair.client.ending is None
        pair.loop.advance(4)
        assert pair.ends == []
        pair.client.receive(close(1000, masked=True))
        assert pair.client.ending == "end"
        assert pair.ends == ["closed: restart" if whose == "ours" else None]

    @pytest.mark.parametrize("at_once", [True, False])
    def test_client_that_ends_with_its_close_frame_gets_that_of_its_server(self, *, at_once: bool) -> None:
        """Chromium sends END_STREAM on its close frame, and sees 1006 without the server's."""
        pair = Pair()
        pair.client.receive(frame(0x81, b"last words", masked=True) * (not at_once) + close(4001, masked=True))
        pair.client.receive_end()
        assert (pair.endings, pair.ends) == ((None, None), [])
        pair.server.receive(frame(0x81, b"on its way"))
        pair.server.receive(close(4001))
        assert pair.client.sent() == frame(0x81, b"on its way") + close(4001)
        assert (pair.endings, pair.ends) == (("end", "end"), [None])
        assert pair.tunnel.closed == WebSocketClose(4001, ClosedBy.CLIENT)

    def test_server_that_does_not_answer_such_a_client_is_not_waited_for(self) -> None:
        pair = Pair()
        pair.client.receive(close(4001, masked=True))
        pair.client.receive_end()
        pair.loop.advance(5.5)
        assert close_code(pair.client.sent()) == 1001
        assert (pair.endings, pair.ends) == (("end", "end"), ["a close frame was not answered"])

    def test_such_a_client_that_is_lost_is_no_error(self) -> None:
        pair = Pair()
        pair.client.receive(close(4001, masked=True))
        pair.client.receive_end()
        pair.client.lose(ConnectionResetError())
        assert (pair.server.ending, pair.ends) == ("end", [None])

    def test_client_that_never_answers_such_an_upstream_is_not_waited_for(self) -> None:
        pair = Pair()
        pair.server.receive(close(1000))
        pair.server.receive_end()
        pair.loop.advance(5.5)
        assert pair.endings == ("end", "end")
        assert pair.ends == ["a close frame was not answered"]

    def test_upstream_that_ends_within_a_frame_ends_the_client_although_a_close_frame_waits(self) -> None:
        pair = Pair()
        pair.server.receive(frame(0x82, bytes(200))[:100])
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.server.receive_end()
        assert pair.endings == ("end", "end")
        assert pair.ends == ["restart"]

    def test_close_of_ours_goes_to_both_sides_at_once(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        assert close_code(pair.client.sent()) == 1012
        assert close_code(pair.server.sent(), masked=True) == 1001
        assert pair.tunnel.deadline == pair.loop.now + 5
        assert pair.ends == []

    def test_answer_to_it_ends_the_tunnel(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.client.receive(close(1012, masked=True))
        assert pair.endings == ("end", "end")
        assert pair.ends == ["closed: restart"]

    def test_client_that_never_answers_is_not_waited_for(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.loop.advance(5.5)
        assert pair.endings == ("end", "end")
        assert pair.ends == ["restart"]

    def test_frames_behind_our_close_frame_go_nowhere(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.client.sent()
        pair.server.sent()
        pair.server.receive(frame(0x81, b"late"))
        pair.client.receive(frame(0x81, b"late", masked=True))
        assert (pair.client.sent(), pair.server.sent()) == (b"", b"")
        assert pair.ends == []

    @pytest.mark.parametrize("cut", [1, 2, 3, 100, 199, 203])
    def test_close_frame_waits_for_the_border_of_a_frame_under_way(self, cut: int) -> None:
        pair = Pair()
        large, behind = frame(0x82, bytes(200)), frame(0x81, b"behind")
        pair.server.receive(large[:cut])
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        assert pair.client.sent() == large[:cut]
        pair.server.receive(large[cut:] + behind)
        sent = pair.client.sent()
        assert sent.startswith(large[cut:] + b"\x88")
        assert close_code(sent) == 1012

    def test_close_frame_goes_in_between_the_fragments_of_a_message(self) -> None:
        pair = Pair()
        first, rest = frame(0x02, b"fragment"), frame(0x80, b"rest")
        pair.server.receive(first)
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        assert close_code(pair.client.sent().removeprefix(first)) == 1012
        pair.server.receive(rest)
        assert pair.client.sent() == b""

    def test_side_that_is_closing_already_gets_no_second_close_frame(self) -> None:
        pair = Pair()
        pair.server.receive(close(1000))
        pair.client.sent()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        assert pair.client.sent() == b""
        assert close_code(pair.server.sent(), masked=True) == 1001


class TestGivingUp:
    """The drain has taken long enough."""

    def test_close_frames_go_where_they_fit_and_both_sides_end(self) -> None:
        pair = Pair()
        half = frame(0x82, bytes(200))[:100]
        pair.server.receive(half)
        pair.tunnel.give_up("the proxy has ended")
        assert pair.client.sent() == half
        assert close_code(pair.server.sent(), masked=True) == 1001
        assert pair.endings == ("end", "end")
        assert pair.ends == ["the proxy has ended"]


class TestIdle:
    """`websocket_idle_timeout`."""

    def test_silence_for_too_long_closes_both_sides(self) -> None:
        pair = Pair()
        pair.loop.advance(3_600.5)
        assert close_code(pair.client.sent()) == 1001
        assert close_code(pair.server.sent(), masked=True) == 1001
        pair.client.receive(close(1001, masked=True))
        assert pair.ends == ["closed: the connection was idle for too long"]

    @pytest.mark.parametrize("side", ["client", "server"])
    def test_any_frame_of_either_side_is_a_sign_of_life(self, side: str) -> None:
        pair = Pair()
        for _ in range(3):
            pair.loop.advance(3_000)
            if side == "client":
                pair.client.receive(frame(0x89, masked=True))
            else:
                pair.server.receive(frame(0x89))
        assert pair.client.ending is None
        assert pair.ends == []


class TestViolations:
    """Frames that the peers might understand differently."""

    def test_client_that_breaks_the_rules_is_told(self) -> None:
        pair = Pair()
        good, bad = frame(0x81, b"good", masked=True), frame(0x81, b"unmasked")
        pair.client.receive(good + bad)
        assert pair.server.sent().startswith(good)
        assert close_code(pair.client.sent()) == 1002
        assert pair.endings == ("end", "end")
        (reason,) = pair.ends
        assert reason is not None
        assert reason.startswith("the client sent ")

    def test_message_over_the_limit_is_told_its_code(self) -> None:
        pair = Pair()
        announced = b"\x82\xff" + (2_000_000).to_bytes(8, "big") + KEY
        pair.client.receive(announced)
        assert close_code(pair.client.sent()) == 1009
        assert pair.server.sent() == b""

    def test_server_that_breaks_the_rules_is_told_too(self) -> None:
        pair = Pair()
        pair.server.receive(frame(0x81, b"masked", masked=True))
        assert close_code(pair.server.sent(), masked=True) == 1002
        assert pair.client.sent() == b""
        assert pair.endings == ("end", "end")

    def test_violation_behind_our_close_frame_ends_the_tunnel_quietly(self) -> None:
        pair = Pair()
        pair.tunnel.close(CloseCode.SERVICE_RESTART, "restart")
        pair.server.sent()
        pair.client.receive(b"\xff\xff")
        assert pair.server.sent() == b""
        assert pair.endings == ("end", "end")

    def test_violation_in_what_was_sent_ahead_ends_the_tunnel_at_once(self) -> None:
        pair = Pair(from_client=frame(0x81, b"unmasked"), from_upstream=frame(0x81, b"masked", masked=True))
        assert pair.endings == ("end", "end")
        assert len(pair.ends) == 1
        assert pair.tunnel.deadline == NEVER


class TestDrain:
    """A restart: clients are asked to come again, spread over a while."""

    def test_every_client_is_told_within_half_of_the_time(self) -> None:
        pairs = [Pair() for _ in range(20)]
        moments = set()
        for pair in pairs:
            before = list(pair.loop.timers)
            pair.service.connections.drain(30.0)
            (timer,) = [timer for timer in pair.loop.timers if timer not in before]
            moments.add(timer.when())
            pair.loop.advance(15.5)
            assert close_code(pair.client.sent()) == 1012
        assert len(moments) == 20, "not all at once"

    def test_tunnel_that_ended_before_its_moment_is_left_alone(self) -> None:
        pair = Pair()
        pair.service.connections.drain(30.0)
        pair.client.receive_end()
        pair.client.sent()
        pair.loop.advance(30)
        assert pair.client.sent() == b""
        assert len(pair.ends) == 1

    def test_service_waits_until_the_tunnel_is_over(self) -> None:
        pair = Pair()
        quiet = pair.service.connections.drain(30.0)
        while not pair.client.sent():
            pair.loop.advance(0.1)
        assert not quiet.is_set()
        pair.client.receive(close(1012, masked=True))
        assert pair.ends == ["closed: drained: connect again"]


def test_end_is_told_once() -> None:
    pair = Pair()
    pair.client.receive_end()
    pair.server.receive_end()
    pair.client.lose()
    pair.server.lose()
    pair.tunnel.end("again")
    assert len(pair.ends) == 1


class TestRoom:
    """A tunnel may have to end for others."""

    def test_it_is_silent_before_the_first_message_and_a_minute_after_the_last_byte(self) -> None:
        pair = Pair()
        opened = pair.loop.time()
        assert pair.tunnel.idle == Idle(Shown.SILENCE, opened, "public", b"client")
        pair.loop.advance(5.0)
        pair.server.receive(frame(0x89))  # a ping is not a message
        assert pair.tunnel.idle == Idle(Shown.SILENCE, opened + 5.0, "public", b"client")
        pair.loop.advance(5.0)
        pair.server.receive(frame(0x81, b"news"))
        assert pair.tunnel.idle == Idle(Shown.MESSAGES, opened + 10.0, "public", b"client")
        pair.loop.advance(50.0)
        pair.client.receive(frame(0x8A, masked=True))
        pair.loop.advance(60.0)
        assert pair.tunnel.idle == Idle(Shown.MESSAGES, opened + 60.0, "public", b"client")
        pair.loop.advance(0.1)
        assert pair.tunnel.idle == Idle(Shown.SILENCE, opened + 60.0, "public", b"client")

    def test_who_takes_no_message_falls_silent(self) -> None:
        pair = Pair()
        pair.client.is_full = True
        pair.server.receive(frame(0x81, b"news"))
        assert pair.tunnel.idle == Idle(Shown.MESSAGES, pair.loop.time(), "public", b"client")

    @pytest.mark.parametrize("closes", [Pair.tunnel_closes, Pair.client_closes, Pair.client_ends])
    def test_one_that_ends_already_makes_no_room(self, closes: Callable[[Pair], None]) -> None:
        pair = Pair()
        closes(pair)
        assert pair.tunnel.idle is None

    def test_the_client_may_come_again_and_keeps_no_descriptor(self) -> None:
        pair = Pair()
        pair.server.receive(frame(0x81, b"news"))
        pair.client.sent()
        pair.tunnel.shed()
        assert close_code(pair.client.sent()) == CloseCode.TRY_AGAIN_LATER
        assert close_code(pair.server.sent(), masked=True) == CloseCode.GOING_AWAY
        assert pair.endings == ("end_at_once", "end_at_once")
        assert pair.ends == ["closed at a connection limit"]
        assert pair.tunnel.closed == WebSocketClose(1013, ClosedBy.PROXY)

    def test_no_close_frame_goes_into_the_middle_of_another(self) -> None:
        pair = Pair()
        message = frame(0x81, b"news")
        pair.server.receive(message[:3])
        pair.tunnel.shed()
        assert pair.client.sent() == message[:3]
        assert pair.endings == ("end_at_once", "end_at_once")
