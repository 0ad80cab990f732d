"""Each ring of the running proxy is judged by its self-test."""

from dataclasses import replace
from typing import Any

from proxy.doctor.payload_rings import PAYLOAD_RINGS, ring_findings
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, answering, states

GOOD: Any = {"ring": "chat", "version": 2, "state": "active", "fault": None}
BAD: Any = {**GOOD, "version": 1, "state": "valid", "fault": "it does not open its own message"}


def test_good_ring_lists_its_keys() -> None:
    (finding,) = ring_findings([GOOD, part({**GOOD, "version": 1, "state": "valid"})])
    assert (finding.subject, finding.state) == ("chat", "ok")
    assert finding.found == "each key encrypts and decrypts: 2 active, 1 valid"


def test_key_that_fails_is_named() -> None:
    (finding,) = ring_findings([GOOD, BAD])
    assert (finding.subject, finding.state) == ("chat, key 1", "failure")
    assert "plexigate payload rotate chat" in finding.remedy


def test_check_asks_the_running_proxy() -> None:
    (checkup,) = PAYLOAD_RINGS
    running = answering({}, {"/payload-test": {"keys": []}})
    assert states(checkup.look(replace(NOTHING, running=running))) == [("payload encryption", "skipped")]
