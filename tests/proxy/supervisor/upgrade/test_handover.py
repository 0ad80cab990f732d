"""What one parent hands over the other one takes; what is left is closed."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.processes.messages.questions import Verdict
from proxy.processes.upgrade_wire import Said
from proxy.quic.advertisement import RememberedOffer
from proxy.supervisor.secrets.ticket_record import TicketRecord
from proxy.supervisor.upgrade.handover import Handed, HandedState, HandoverUnreadable, read
from proxy.tls.openssl.tickets import TicketSecrets
from tests.descriptors import open_descriptors

STATE = HandedState(
    TicketRecord(TicketSecrets.fresh(), datetime(2026, 11, 28, tzinfo=UTC)),
    (Verdict("chat", "http://10.0.0.1:80", is_up=False), Verdict("chat", "http://10.0.0.2:80", None, 12.5)),
    ("/opt/plexigate/bin/plexigate",),
    {"LANG": "C"},
    (RememberedOffer("public", 443, 3_600.0),),
)


def said(given: list[str], descriptors: tuple[int, ...] = (), **other: object) -> Said:
    return Said("handover", {**STATE.as_body(given), **other}, descriptors)


def test_what_memory_has_arrives() -> None:
    state, _ = read(said([]))
    assert state == STATE
    assert "tickets" not in repr(state)
    assert "LANG" not in repr(state), "an environment may have secrets"


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert read(said([], later="x"))[0] == STATE


def test_an_earlier_version_has_offered_no_http_3() -> None:
    message = said([])
    body = {name: value for name, value in message.body.items() if name != "http3"}
    assert read(replace(message, body=body))[0] == replace(STATE, http3=())


@pytest.mark.parametrize(
    "fault",
    [
        {"tickets": "00"},
        {"tickets": "no"},
        {"verdicts": [["chat"]]},
        {"program": None},
        {"environment": 3},
        {"http3": [["public", 443]]},
        {"names": []},
    ],
)
def test_what_cannot_be_read_is_refused_and_its_descriptors_are_closed(fault: dict[str, object]) -> None:
    before = open_descriptors()
    file = os.memfd_create("file")
    with pytest.raises(HandoverUnreadable, match="restart it instead"):
        read(said(["stderr"], (file,), **fault))
    assert open_descriptors() == before


def test_descriptors_are_taken_by_name() -> None:
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        admin, lock, more = socket.socket(socket.AF_UNIX), os.memfd_create("lock"), os.memfd_create("x")
        names = ["listening plexigate a", "listening plexigate a", "admin /run/a", "state /var/lib/a", "later"]
        numbers = (os.dup(one.fileno()), os.dup(other.fileno()), admin.detach(), lock, more)
        _, handed = read(said(names, numbers))
        sockets = handed.listening()
        assert [(name, sock.getsockname(), sock.gettimeout()) for name, sock in sockets] == [
            ("plexigate a", one.getsockname(), 0),
            ("plexigate a", other.getsockname(), 0),
        ]
        assert handed.listening() == []
        assert handed.admin("/run/b") is None
        taken = handed.admin("/run/a")
        assert taken is not None
        assert (taken.family, taken.gettimeout()) == (socket.AF_UNIX, 0)
        assert handed.admin("/run/a") is None
        assert handed.state_locks() == [(Path("/var/lib/a"), lock)]
        assert handed.state_locks() == []
        handed.close()
        os.close(lock)
        taken.close()
        for _, sock in sockets:
            sock.close()
    assert open_descriptors() == before


def test_errors_go_where_those_of_the_older_process_go() -> None:
    before, kept, file = open_descriptors(), os.dup(2), os.memfd_create("errors")
    try:
        Handed([("stderr", os.dup(file))]).report_to_standard_error()
        os.write(2, b"words")
        Handed([]).report_to_standard_error()
        assert os.pread(file, 5, 0) == b"words"
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(file)
    assert open_descriptors() == before
