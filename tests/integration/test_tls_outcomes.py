"""Each outcome of a handshake, driven by a real client and read back from what the process says when it ends."""

from pathlib import Path

from tests.configurations import listener
from tests.integration.gateway import Gateway, Trust, complaints, events, gateway
from tests.integration.upstreams import ScriptedServer

REQUEST = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"
LISTENERS = "".join(listener(name, pq=name) for name in ("prefer", "report", "require", "off"))
RETRY = "X25519MLKEM768:*x25519"


def drive(running: Gateway, ticket: Path) -> None:
    """A client for each outcome; those that come twice are counted twice."""
    for _ in range(2):
        assert running.s_client("-groups", "X25519MLKEM768", on="prefer").is_established
    assert running.s_client("-groups", RETRY, on="prefer").is_established
    assert running.s_client("-groups", "x25519", on="prefer").is_established
    assert running.s_client("-groups", "MLKEM768:x25519", on="prefer").is_established
    assert running.s_client("-groups", "X25519MLKEM768", name="files.test", on="prefer").is_established

    assert running.s_client("-groups", "x25519", on="report").is_established
    assert running.s_client("-groups", "MLKEM768:x25519", on="report").is_established
    assert running.s_client("-groups", RETRY, on="report").is_established

    for _ in range(3):
        assert running.s_client("-groups", "x25519", on="require").alert == 40
    assert running.s_client("-groups", "secp256r1", name="files.test", on="require").alert == 40
    assert running.s_client("-groups", RETRY, on="require").is_established

    assert running.s_client("-groups", "X25519MLKEM768:x25519", on="off").is_established
    assert running.s_client("-groups", "x25519", on="off").is_established

    # a resumption is a handshake with an outcome of its own
    running.s_client("-groups", "X25519MLKEM768", "-sess_out", str(ticket), "-ign_eof", on="prefer", say=REQUEST)
    assert "Reused" in running.s_client("-groups", "x25519", "-sess_in", str(ticket), on="prefer").output

    # and these have none: there never was a key exchange to judge
    assert running.s_client(name="nobody.test", on="prefer").alert == 112
    assert running.s_client("-tls1_2", on="prefer").alert == 70
    assert running.s_client("-alpn", "h3", on="require").alert == 120


def test_every_outcome_is_counted_by_listener_and_identity(
    trust: Trust, echo_server: ScriptedServer, tmp_path: Path
) -> None:
    with gateway(tmp_path, trust, echo_server, LISTENERS) as running:
        drive(running, tmp_path / "ticket")
    output = running.program.output
    assert complaints(output) == []
    (stopped,) = events(output, "stopped")
    counted = {
        (entry["listener"], entry["identity"], entry["outcome"]): entry["count"] for entry in stopped["handshakes"]
    }
    assert counted == {
        ("prefer", "chat", "hybrid"): 3,
        ("prefer", "chat", "hybrid_after_retry"): 1,
        ("prefer", "chat", "client_cannot"): 2,
        ("prefer", "chat", "not_required"): 1,
        ("prefer", "files", "hybrid"): 1,
        ("report", "chat", "would_refuse"): 2,
        ("report", "chat", "hybrid_after_retry"): 1,
        ("require", "chat", "refused"): 3,
        ("require", "files", "refused"): 1,
        ("require", "chat", "hybrid_after_retry"): 1,
        ("off", "chat", "not_required"): 1,
        ("off", "chat", "client_cannot"): 1,
    }
    failures = {(entry["listener"], entry["reason"]): entry["count"] for entry in stopped["failures"]}
    assert failures == {
        ("require", "pq_policy"): 4,
        ("prefer", "unrecognized_name"): 1,
        ("prefer", "old_version"): 1,
        ("require", "no_application_protocol"): 1,
    }
    assert stopped["requests"] == [{"listener": "prefer", "status": "2xx", "count": 1}]
    assert len(events(output, "handshake_failed")) == 7
