"""What each driver of TLS does with one call: the same on both, errors too."""

import gc
import ssl
import threading

import pytest

from proxy.tls.openssl import libssl
from proxy.tls.openssl.bio_pair import BioPair
from proxy.tls.openssl.driver import TlsDriver, driver_name, new_driver
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.wire.alerts import AlertDescription, alert_in
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import KEY_UPDATE_NOT_REQUESTED, KEY_UPDATE_REQUESTED, TlsClient
from tests.proxy.tls.drivers import is_empty

RECORD = 16_384
HEADER = 5
TAG = 16
KEY_UPDATE_BYTES = 27
SERVER = hellos.server_context("X25519MLKEM768")
CLIENT = hellos.client_context("X25519MLKEM768")
SERVER.num_tickets = 0


class Connection:
    """A client, and the server's end of its connection by a driver. No socket is between them."""

    def __init__(self, driver: TlsDriver, context: ssl.SSLContext = SERVER) -> None:
        self.driver = driver
        self.client = TlsClient(None, CLIENT)  # type: ignore[arg-type]
        self.tls = driver.server_side(context)

    def establish(self) -> "Connection":
        """Finish the handshake."""
        is_finished = False
        for _ in range(2):
            is_finished, flight, *_ = self.driver.handshake(self.tls, self.client.handshake_step(), 0, 0)
            self.client.incoming.write(flight)
        assert is_finished
        return self

    def decrypt(self, wire: bytes, ended: int = 0) -> tuple[bytes, int, bool, bytes, ssl.SSLError | None]:
        """Give the driver what the client has sent."""
        made = self.driver.decrypt(self.tls, wire, ended)
        assert is_empty(self.driver)
        return made


@pytest.fixture
def connection(driver: TlsDriver) -> Connection:
    return Connection(driver).establish()


@pytest.fixture
def native() -> TlsDriver:
    if driver_name() != "native":
        pytest.skip("run the compiled code: it brings the native driver")
    return new_driver()


class TestHandshake:
    def test_tickets_are_made_if_a_request_came_behind_its_end(self, driver: TlsDriver) -> None:
        for behind, shortest in ((b"", 1), (b"x" * 9, 10), (b"x" * 10, 10)):
            one = Connection(driver)
            _, flight, *_ = driver.handshake(one.tls, one.client.handshake_step(), 2, shortest)
            one.client.incoming.write(flight)
            is_finished, output, rest, tickets, error = driver.handshake(
                one.tls, one.client.handshake_step() + behind, 2, shortest
            )
            assert (is_finished, output, rest, error) == (True, b"", behind, None)
            assert bool(tickets) is (len(behind) >= shortest)
            one.client.incoming.write(tickets)
            with pytest.raises(ssl.SSLWantReadError):
                one.client.tls.read()
            assert one.client.tls.session is not None
            assert one.client.tls.session.has_ticket is bool(tickets)

    def test_byte_by_byte(self, driver: TlsDriver) -> None:
        one = Connection(driver)
        is_finished = False
        for _ in range(2):
            for byte in one.client.handshake_step():
                is_finished, flight, rest, _, error = driver.handshake(one.tls, bytes((byte,)), 0, 0)
                one.client.incoming.write(flight)
                assert (rest, error) == (b"", None)
        assert is_finished

    @pytest.mark.parametrize(
        ("hello", "reason", "alert"),
        [
            (b"\x16\x03\x01\x00\x05" + bytes(5), "UNEXPECTED_MESSAGE", AlertDescription.UNEXPECTED_MESSAGE),
            (b"GET / HTTP/1.1\r\n\r\n", "HTTP_REQUEST", None),
            (bytes(64), "WRONG_VERSION_NUMBER", None),
            (hellos.record(hellos.Hello().message), "NO_SUITABLE_KEY_SHARE", AlertDescription.HANDSHAKE_FAILURE),
        ],
    )
    def test_error_is_that_of_the_standard_library_with_its_alert(
        self, driver: TlsDriver, hello: bytes, reason: str, alert: AlertDescription | None
    ) -> None:
        tls = driver.server_side(SERVER)
        is_finished, output, rest, tickets, error = driver.handshake(tls, hello + b"more", 0, 0)
        assert error is not None
        assert error.reason == reason
        assert (is_finished, rest, tickets, alert_in(output)) == (False, b"", b"", alert)
        assert is_empty(driver)

    def test_key_share_of_the_client_is_forgotten_on_request(self, connection: Connection) -> None:
        assert hellos.key_share_bytes(connection.tls) > 0
        connection.driver.forget_key_share(connection.tls)
        assert hellos.key_share_bytes(connection.tls) == 0
        assert connection.decrypt(connection.client.sealed(b"goes on"))[0] == b"goes on"


class TestDecrypting:
    @pytest.mark.parametrize("size", [1, RECORD - 1, RECORD, RECORD + 1, 3 * RECORD, 70_000])
    def test_each_record_is_counted(self, connection: Connection, size: int) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        records = -(-size // RECORD)
        for said in (records, 0, 1, -1, 2**40):  # about as many
            made = connection.decrypt(connection.client.sealed(data[:size]), said)
            assert made == (data[:size], records, False, b"", None)

    def test_record_is_delivered_with_its_last_byte_whatever_comes_with_it(self, connection: Connection) -> None:
        for cut in (1, 4, HEADER, HEADER + 1, RECORD, RECORD + HEADER + TAG):
            wire = connection.client.sealed(b"l" * RECORD)
            behind = connection.client.sealed(b"s") + connection.client.sealed(b"m" * RECORD)
            assert connection.decrypt(wire[:cut]) == (b"", 0, False, b"", None)
            expected = (b"l" * RECORD + b"s", 2, False, b"", None)
            assert connection.decrypt(wire[cut:] + behind[:100]) == expected
            assert connection.decrypt(behind[100:]) == (b"m" * RECORD, 1, False, b"", None)

    def test_byte_by_byte(self, connection: Connection) -> None:
        wire = connection.client.sealed(b"x" * 300) + connection.client.key_updates(2) + connection.client.sealed(b"y")
        made = [connection.decrypt(bytes((byte,))) for byte in wire]
        assert b"".join(data for data, *_ in made) == b"x" * 300 + b"y"
        assert sum(records for _, records, *_ in made) == 2
        assert len(b"".join(answer for *_, answer, _ in made)) == KEY_UPDATE_BYTES

    def test_nothing_comes_of_nothing(self, connection: Connection) -> None:
        assert connection.decrypt(b"") == (b"", 0, False, b"", None)

    def test_records_without_data_do_not_count(self, connection: Connection) -> None:
        updates = connection.client.key_updates(5, KEY_UPDATE_NOT_REQUESTED)
        assert connection.decrypt(updates + connection.client.sealed(b".")) == (b".", 1, False, b"", None)

    def test_answers_to_key_updates(self, connection: Connection) -> None:
        """OpenSSL answers each with the next thing that it does: the last one waits for that."""
        wire = connection.client.key_updates(3, KEY_UPDATE_REQUESTED) + connection.client.sealed(b".")
        data, records, has_ended, answer, error = connection.decrypt(wire)
        assert (data, records, has_ended, error) == (b".", 1, False, None)
        assert len(answer) == 2 * KEY_UPDATE_BYTES
        connection.client.incoming.write(answer + connection.driver.encrypt(connection.tls, b"new keys", 0))
        assert connection.client.tls.read() == b"new keys"

    @pytest.mark.parametrize("said_before", [False, True], ids=["open", "ended"])
    def test_what_comes_behind_a_close_notify_means_nothing(
        self,
        connection: Connection,
        said_before: bool,  # noqa: FBT001 - a parameter
    ) -> None:
        if said_before:
            assert connection.driver.close_notify(connection.tls)
        wire = connection.client.sealed(b"bye") + connection.client.close_notify() + b"\x17\x03\x03\x00\x14" + bytes(20)
        assert connection.decrypt(wire) == (b"bye", 1, True, b"", None)

    @pytest.mark.parametrize(
        "bad",
        [
            b"\x17\x03\x03\x00\x14" + bytes(20),
            b"\x17\x03\x03\x41\x01" + bytes(20),
            b"\x15\x03\x03\x00\x02\x02\x28",
        ],
        ids=["tag", "length", "type"],
    )
    def test_data_before_an_error_is_kept(self, connection: Connection, bad: bytes) -> None:
        data, records, has_ended, alert, error = connection.decrypt(connection.client.sealed(b"good") + bad + b"more")
        assert (data, records, has_ended) == (b"good", 1, False)
        assert error is not None
        assert error.reason == "RECORD_LAYER_FAILURE"
        connection.client.incoming.write(alert)
        with pytest.raises(ssl.SSLError, match="ALERT"):
            connection.client.tls.read()
        again = connection.decrypt(b"and more")
        assert again[:4] == (b"", 0, False, b"")
        assert isinstance(again[4], ssl.SSLError)

    def test_alert_of_the_peer(self, connection: Connection) -> None:
        client = connection.client
        client.incoming.write(b"\x17\x03\x03\x00\x14" + bytes(20))
        with pytest.raises(ssl.SSLError):
            client.tls.read()
        data, _, has_ended, answer, error = connection.decrypt(client.outgoing.read())
        assert (data, has_ended, answer) == (b"", False, b"")
        assert error is not None
        assert error.reason == "SSLV3_ALERT_BAD_RECORD_MAC"


class TestEncrypting:
    @pytest.mark.parametrize("size", [1, RECORD, RECORD + 1, 80_000])
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_client_reads_it(self, connection: Connection, size: int, kind: type) -> None:
        data = b"d" * size
        connection.client.incoming.write(connection.driver.encrypt(connection.tls, kind(data), 0))
        assert is_empty(connection.driver)
        received = b""
        while len(received) < size:
            received += connection.client.tls.read()
        assert received == data

    def test_tickets_go_out_before_it(self, connection: Connection) -> None:
        assert connection.driver.encrypt(connection.tls, b"", 0) == b""
        records = connection.driver.encrypt(connection.tls, b"x", 2)
        connection.client.incoming.write(records)
        assert connection.client.tls.read() == b"x"
        assert connection.client.tls.session is not None
        assert connection.client.tls.session.has_ticket

    def test_nothing_is_left_after_an_error(self, connection: Connection) -> None:
        assert connection.driver.close_notify(connection.tls)
        with pytest.raises(ssl.SSLError) as caught:
            connection.driver.encrypt(connection.tls, b"x", 0)
        assert caught.value.reason == "PROTOCOL_IS_SHUTDOWN"
        assert is_empty(connection.driver)
        assert connection.decrypt(connection.client.sealed(b"still read"))[0] == b"still read"

    def test_close_notify_of_a_connection_that_has_failed_leaves_no_error(
        self, connection: Connection, driver: TlsDriver
    ) -> None:
        failed = driver.server_side(SERVER)
        driver.handshake(failed, b"GET / HTTP/1.1\r\n\r\n", 0, 0)
        driver.close_notify(failed)
        driver.close_notify(driver.server_side(SERVER))
        assert connection.decrypt(b"\x17") == (b"", 0, False, b"", None)


class TestHandingOver:
    @pytest.mark.parametrize("begun", [False, True], ids=["before the hello", "after the flight"])
    @pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
    def test_another_driver_continues(self, driver: TlsDriver, *, begun: bool, mixed: bool) -> None:
        other = BioPair() if mixed else new_driver()
        one = Connection(driver)
        is_finished = False
        for step in range(2):
            if step == begun:
                one.driver.release(one.tls)
                other.adopt(one.tls)
                one.driver = other
            is_finished, flight, *_ = one.driver.handshake(one.tls, one.client.handshake_step(), 0, 0)
            one.client.incoming.write(flight)
        assert is_finished
        assert one.decrypt(one.client.sealed(b"x"))[0] == b"x"
        assert is_empty(driver)

    def test_object_outlives_its_driver(self) -> None:
        one = Connection(new_driver()).establish()
        tls = one.tls
        del one
        gc.collect()
        with pytest.raises(ssl.SSLWantReadError):
            tls.read(1)


class TestNative:
    """What would be a fault of ours ends in an exception, and not in OpenSSL."""

    def test_objects_of_other_drivers_are_refused(self, native: TlsDriver) -> None:
        for other in (BioPair(), new_driver()):
            tls = Connection(other).establish().tls
            for call in (native.release, native.adopt, native.close_notify, native.forget_key_share):
                with pytest.raises(ValueError, match="another driver"):
                    call(tls)
            with pytest.raises(ValueError, match="another driver"):
                native.handshake(tls, b"", 0, 0)
            with pytest.raises(ValueError, match="another driver"):
                native.decrypt(tls, b"", 0)
            with pytest.raises(ValueError, match="another driver"):
                native.encrypt(tls, b"", 0)

    @pytest.mark.parametrize("other", [None, object(), ssl.MemoryBIO(), SERVER])
    def test_what_is_no_tls_object_is_refused(self, native: TlsDriver, other: TlsObject) -> None:
        with pytest.raises(TypeError, match="no TLS object"):
            native.decrypt(other, b"", 0)
        with pytest.raises(TypeError, match="no TLS object"):
            native.adopt(other)

    @pytest.mark.parametrize("arguments", [(), (b"", 0), ("text", 0, 0), (b"", "one", 0), (b"", 2**70, 0)])
    def test_wrong_arguments_are_refused(self, native: TlsDriver, arguments: tuple[object, ...]) -> None:
        tls = native.server_side(SERVER)
        with pytest.raises((TypeError, OverflowError)):
            native.handshake(tls, *arguments)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            native.decrypt(tls, "text", 0)  # type: ignore[arg-type]

    def test_second_call_is_refused_while_one_is_in_progress(self, native: TlsDriver) -> None:
        context = hellos.server_context("X25519MLKEM768")
        refused: list[Exception] = []

        def call_again(*_: object) -> None:
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

        def call() -> None:
            with pytest.raises(RuntimeError, match="another call") as caught:
                native.decrypt(one.tls, b"", 0)
            refused.append(caught.value)

        context._msg_callback = call_again  # type: ignore[attr-defined]  # OpenSSL calls it in the step
        one = Connection(native, context)
        one.establish()
        assert refused

    def test_errors_that_others_have_left_are_not_taken_for_its_own(self, native: TlsDriver) -> None:
        one = Connection(native).establish()
        wire = one.client.sealed(b"fine")
        library = libssl._library()
        assert library.EVP_KEYMGMT_fetch(None, b"no such key", None) is None
        assert native.decrypt(one.tls, wire[:10], 0) == (b"", 0, False, b"", None)
        assert native.decrypt(one.tls, wire[10:], 1) == (b"fine", 1, False, b"", None)
