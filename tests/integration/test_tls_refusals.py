"""Clients that are turned away read why: each refusal as the peer sees it, with real programs and by the byte."""

import subprocess
from pathlib import Path

import pytest

from proxy.tls.wire.alerts import AlertDescription as A
from tests.configurations import listener
from tests.integration.gateway import Gateway, Said, Trust, events, gateway
from tests.integration.upstreams import ScriptedServer
from tests.ports import lasting_port
from tests.programs import program
from tests.proxy.tls import hellos

REFUSALS: dict[str, tuple[tuple[str, ...], str, str, A, str]] = {
    # arguments of s_client, server name (one for each, to find it in the log), listener; its alert, the reason in the log
    "unknown_name": ((), "nobody.test", "standard", A.UNRECOGNIZED_NAME, "unrecognized_name"),
    "classical_only": (("-groups", "x25519"), "a1.chat.test", "require", A.HANDSHAKE_FAILURE, "pq_policy"),
    "classical_only_at_critical": (("-groups", "x25519"), "a2.chat.test", "critical", A.HANDSHAKE_FAILURE, "pq_policy"),
    "other_hybrid_only": (("-groups", "X25519MLKEM768"), "a3.chat.test", "cnsa", A.HANDSHAKE_FAILURE, "pq_policy"),
    "http_3_only": (("-alpn", "h3"), "a4.chat.test", "standard", A.NO_APPLICATION_PROTOCOL, "no_application_protocol"),
    "acme_only": (
        ("-alpn", "acme-tls/1"),
        "a5.chat.test",
        "standard",
        A.NO_APPLICATION_PROTOCOL,
        "no_application_protocol",
    ),
    "protocol_version": (("-tls1_2",), "a6.chat.test", "standard", A.PROTOCOL_VERSION, "old_version"),
    "no_group_in_common": (("-groups", "x448"), "a7.chat.test", "standard", A.HANDSHAKE_FAILURE, "no_common_group"),
    "pure_mlkem_at_standard": (
        ("-groups", "MLKEM1024"),
        "b1.chat.test",
        "standard",
        A.HANDSHAKE_FAILURE,
        "no_common_group",
    ),
    "x25519_at_high": (("-groups", "x25519"), "b2.chat.test", "high", A.HANDSHAKE_FAILURE, "no_common_group"),
    "no_suite_in_common": (
        ("-ciphersuites", "TLS_AES_128_GCM_SHA256"),
        "a8.chat.test",
        "high",
        A.HANDSHAKE_FAILURE,
        "no_common_cipher_suite",
    ),
    "no_signature_in_common": (
        ("-sigalgs", "RSA-PSS+SHA256"),
        "a9.chat.test",
        "standard",
        A.HANDSHAKE_FAILURE,
        "no_common_signature_algorithm",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_s_client_reads_the_alert_and_the_log_has_the_reason(gateway: Gateway, case: str) -> None:
    arguments, name, listener, alert, reason = REFUSALS[case]
    said = gateway.s_client(*arguments, name=name, on=listener)
    assert said.alert == alert
    assert said.status != 0
    entry = gateway.program.wait_for(
        lambda output: next(
            (
                entry
                for entry in events(output, "handshake_failed")
                if entry["name"] == name or case == entry["alert"] == "protocol_version"
            ),
            None,
        )
    )
    assert entry["reason"] == reason
    assert entry["alert"] == alert.name.lower()
    assert entry["listener"] == listener


def conversation(gateway: Gateway, data: bytes) -> bytes:
    """What the proxy answers to raw bytes, up to its end of the connection, which must be no reset."""
    with gateway.tcp() as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(1_000):
            answer += piece
        return answer


MALFORMED = {
    "decode_error": (hellos.record(hellos.handshake(1, hellos.Hello().message[4:-3])), A.DECODE_ERROR),
    "illegal_parameter": (
        hellos.record(hellos.Hello().with_extensions(hellos.supported_groups([29])).message),
        A.ILLEGAL_PARAMETER,
    ),
    "missing_extension": (hellos.record(hellos.Hello(hellos.MINIMAL_EXTENSIONS[:3]).message), A.MISSING_EXTENSION),
    "unexpected_message": (hellos.record(hellos.handshake(11, b"certificate?")), A.UNEXPECTED_MESSAGE),
    "record_overflow": (b"\x16\x03\x01\x48\x01" + bytes(0x4801), A.RECORD_OVERFLOW),
    "protocol_version": (
        hellos.record(hellos.Hello((hellos.supported_versions([0x0303]), *hellos.MINIMAL_EXTENSIONS[1:])).message),
        A.PROTOCOL_VERSION,
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_hello_gets_one_alert_and_an_end(gateway: Gateway, case: str) -> None:
    data, alert = MALFORMED[case]
    answer = conversation(gateway, data)
    assert len(answer) == 7
    assert (answer[:2], answer[3:]) == (b"\x15\x03", bytes((0, 2, 2, alert)))


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n"]
)
def test_other_protocol_on_the_port_gets_one_alert_and_an_end(gateway: Gateway, data: bytes) -> None:
    assert conversation(gateway, data) == bytes((0x15, 3, 3, 0, 2, 2, A.UNEXPECTED_MESSAGE))


def test_curl_without_tls_is_told_at_once(gateway: Gateway) -> None:
    done = subprocess.run(
        [
            "curl",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "5",
            f"http://127.0.0.1:{gateway.port()}/",
        ],
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert done.returncode in (1, 52)  # no HTTP, or an empty reply; 28 would be a time-out
    entry = gateway.program.wait_for(
        lambda output: next((one for one in events(output, "handshake_failed") if one["reason"] == "not_tls"), None)
    )
    assert entry["name"] is None


def test_client_that_dawdles_is_left(trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
    """Silent, or half a hello, or all but its Finished: each has the time of the handshake, and no more."""
    hello = hellos.peer(hellos.client_context("X25519")).answer(b"")
    with gateway(
        tmp_path, trust, echo_server, listener("standard", default="chat"), {"handshake_timeout": "300ms"}
    ) as fast:
        socks = [fast.tcp() for _ in range(3)]
        socks[1].sendall(hello[:100])
        socks[2].sendall(hello)
        for sock in socks:
            while sock.recv(10_000):
                pass
            sock.close()
    (stopped,) = events(fast.program.output, "stopped")
    assert stopped["failures"] == [{"listener": "standard", "reason": "timeout", "count": 3}]
    assert [entry["alert"] for entry in events(fast.program.output, "handshake_failed")] == [None] * 3


def test_silent_client_holds_up_nobody(gateway: Gateway) -> None:
    with gateway.tcp(), gateway.tcp() as half:
        half.send(b"\x16\x03\x01")
        assert gateway.curl().status == 0


class TestEarlyData:
    """0-RTT can be replayed, so it is refused, whoever promised it."""

    def test_our_tickets_do_not_promise_it(self, gateway: Gateway, tmp_path: Path) -> None:
        ticket, data = tmp_path / "ticket", tmp_path / "data"
        data.write_bytes(b"GET /replayed HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        gateway.s_client("-sess_out", str(ticket), "-ign_eof", say=REQUEST)
        said = gateway.s_client("-sess_in", str(ticket), "-early_data", str(data))
        assert "Reused, TLSv1.3" in said.output
        assert "Early data was not sent" in said.output
        command = ["openssl", "sess_id", "-in", str(ticket), "-noout", "-text"]
        assert "Max Early Data: 0" in subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def test_that_of_a_foreign_ticket_is_skipped(self, gateway: Gateway, tmp_path: Path) -> None:
        """s_client got a ticket from another server at our name, and sends its request with it."""
        ticket, data = tmp_path / "ticket", tmp_path / "data"
        data.write_bytes(b"GET /replayed HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        self._ticket_of_another_server(gateway, ticket)
        said = gateway.s_client("-sess_in", str(ticket), "-early_data", str(data), "-ign_eof", say=REQUEST)
        assert "Early data was rejected" in said.output
        assert "HTTP/1.1 200 OK" in said.output
        assert said.is_established
        assert not [line for line in gateway.program.output if "/replayed" in line]

    def _ticket_of_another_server(self, gateway: Gateway, ticket: Path) -> None:
        files = gateway.trust.classical.issue("impostor", ("chat.test",))
        port = lasting_port()
        server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-early_data", "-www"]
        server += ["-cert", str(files.certificate), "-key", str(files.key)]
        client = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "chat.test", "-ign_eof"]
        client += ["-sess_out", str(ticket), "-CAfile", str(gateway.trust.classical.path)]
        with program(server, lambda line: line == "ACCEPT" or None):
            subprocess.run(client, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=30, check=True)
        assert ticket.is_file()


REQUEST = "GET /real HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"


def test_refusals_leave_the_listener_as_it_was(gateway: Gateway) -> None:
    said: Said = gateway.s_client()
    assert said.is_established
