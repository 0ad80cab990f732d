"""What a server may say about the connection, and what it allows."""

from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import FrameType, Setting
from tests.http2_client import ClientWire
from tests.http2_frames import GET, frame, number, setting


def test_the_number_of_streams_is_bounded_by_both_sides() -> None:
    wire = ClientWire()
    assert wire.session.most_streams == 128
    wire.receive(setting(Setting.MAX_CONCURRENT_STREAMS, 2))
    assert wire.session.most_streams == 2
    wire.receive(setting(Setting.MAX_CONCURRENT_STREAMS, 1_000_000))
    assert wire.session.most_streams == 128


def test_the_size_of_a_head_is_bounded() -> None:
    wire = ClientWire()
    assert wire.session.takes(GET)
    size = sum(len(name) + len(value) + 32 for name, value in GET)
    wire.receive(setting(Setting.MAX_HEADER_LIST_SIZE, size))
    assert wire.session.takes(GET)
    wire.receive(setting(Setting.MAX_HEADER_LIST_SIZE, size - 1))
    assert not wire.session.takes(GET)


def test_windows_and_tables_are_obeyed_as_those_of_clients() -> None:
    wire = ClientWire()
    wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 5) + setting(Setting.HEADER_TABLE_SIZE, 0))
    stream = wire.request(ends=False)
    wire.session.send_data(stream, b"0123456789")
    (sent,) = wire.sent()
    assert sent.payload == b"01234"


def test_a_server_is_not_pushed_to() -> None:
    ClientWire().receive(setting(Setting.ENABLE_PUSH, 0))
    assert ClientWire().failure(setting(Setting.ENABLE_PUSH, 1)) == (
        ErrorCode.PROTOCOL_ERROR,
        "server allows itself to be pushed to",
    )


def test_only_clients_send_priority_updates() -> None:
    data = frame(FrameType.PRIORITY_UPDATE, 0, 0, number(1) + b"u=1")
    assert ClientWire().failure(data) == (ErrorCode.PROTOCOL_ERROR, "server sent PRIORITY_UPDATE")


def test_extended_connect_is_allowed_once_and_for_all() -> None:
    wire = ClientWire()
    for value, expected in ((0, False), (1, True), (1, True)):
        wire.receive(setting(Setting.ENABLE_CONNECT_PROTOCOL, value))
        assert wire.session.takes_websockets is expected
    assert wire.failure(setting(Setting.ENABLE_CONNECT_PROTOCOL, 0)) == (
        ErrorCode.PROTOCOL_ERROR,
        "server takes back that it takes extended CONNECT",
    )
    assert ClientWire().failure(setting(Setting.ENABLE_CONNECT_PROTOCOL, 2))[0] == ErrorCode.PROTOCOL_ERROR
