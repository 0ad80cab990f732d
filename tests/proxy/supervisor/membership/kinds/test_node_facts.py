"""What a node says of itself: read as strictly as it is written, and an audit log that was changed is found."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from proxy.supervisor.membership.kinds.node_facts import LogEnd, NodeFacts, ReloadAnswer, ReloadOffer, ReloadPhase

LOG = "1" * 32
END = LogEnd(LOG, 7, "a" * 64, (5, "b" * 64))
FACTS = NodeFacts("0.1.0", 1, "c" * 64, END, 7.5)
OFFER = ReloadOffer("d" * 16, "edge-1", "c" * 64, ReloadPhase.CHECK)


def test_what_is_written_is_read() -> None:
    assert NodeFacts.parse({**FACTS.as_json(), "newer": 1}) == FACTS
    without = replace(FACTS, audit=None)
    assert NodeFacts.parse(without.as_json()) == without
    assert ReloadOffer.parse(OFFER.as_json()) == OFFER
    for fault in (None, "it cannot"):
        answer = ReloadAnswer(OFFER.id, ReloadPhase.COMMIT, fault)
        assert ReloadAnswer.parse(answer.as_json()) == answer
    assert ReloadAnswer.parse({"offer": OFFER.id, "phase": "check", "fault": "\x1b[2J"}).fault == "\\x1b[2J"


@pytest.mark.parametrize(
    "content",
    [
        {**FACTS.as_json(), "version": "\x1b[2J"},
        {**FACTS.as_json(), "version": 1},
        {**FACTS.as_json(), "configuration": "c" * 63},
        {**FACTS.as_json(), "audit": {"log": LOG}},
        {**FACTS.as_json(), "audit": {**asdict(END), "told": [1]}},
        {**FACTS.as_json(), "schema": "new"},
        {**FACTS.as_json(), "at": None},
        {},
        [],
    ],
)
def test_what_no_node_writes_is_refused(content: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        NodeFacts.parse(content)


@pytest.mark.parametrize("change", [{"phase": "undo"}, {"id": "d"}, {"node": "a b"}, {"digest": None}])
def test_an_offer_that_no_node_writes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ReloadOffer.parse({**OFFER.as_json(), **change})


@pytest.mark.parametrize(
    "later",
    [
        END,
        replace(END, sequence=9, hash="e" * 64, told=(7, "a" * 64)),
        # what was told meanwhile was missed: nothing can be said
        replace(END, sequence=12, hash="e" * 64, told=(9, "f" * 64)),
    ],
)
def test_a_log_goes_on(later: LogEnd) -> None:
    assert later.break_after(END) is None


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (replace(END, log="2" * 32), f"another log took the place of {LOG}, which had 7 lines"),
        (replace(END, sequence=6), "it has 6 lines, and had 7"),
        (replace(END, hash="e" * 64), "its line 7 is another one than before"),
        (replace(END, sequence=9, told=(7, "e" * 64)), "its line 7 is another one than before"),
        (replace(END, sequence=9, told=(7, "")), "its line 7 is another one than before"),
    ],
)
def test_a_log_that_was_changed_is_found(later: LogEnd, why: str) -> None:
    assert later.break_after(END) == why
