"""The records of messages, as messages.h reads them. What the programs make of them is in their own tests."""

from pathlib import Path

from tests.bench.messages import Message, write


def test_record_has_the_times_the_length_and_the_name_before_its_octets(tmp_path: Path) -> None:
    write(tmp_path / "file", [Message("GET /a*", b"\r\n1"), Message("b", b"", pause=20, held=30)])
    assert (tmp_path / "file").read_bytes() == b"0 0 3 GET /a*\n\r\n120 30 0 b\n"
