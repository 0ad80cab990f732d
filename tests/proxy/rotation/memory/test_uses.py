"""How often keys have signed."""

import pytest

from proxy.rotation.memory.uses import Uses

CHAT, FILES = ("chat", "ec"), ("files", "rsa")


def test_signatures_count_for_the_version_that_serves() -> None:
    uses = Uses()
    uses.counted({"chat": 10, "files": 1}, {CHAT: 1, FILES: 4})
    uses.counted({"chat": 25, "files": 1}, {CHAT: 1, FILES: 4})
    assert (uses.of(CHAT, 1), uses.of(FILES, 4)) == (25, 1)
    uses.counted({"chat": 30}, {CHAT: 2})
    assert uses.of(CHAT, 2) == 5
    assert uses.of(CHAT, 1) == 0


def test_totals_that_begin_anew_take_nothing_away() -> None:
    uses = Uses()
    uses.counted({"chat": 10}, {CHAT: 1})
    uses.counted({"chat": 3}, {CHAT: 1})
    assert uses.of(CHAT, 1) == 10
    uses.counted({"chat": 5}, {CHAT: 1})
    assert uses.of(CHAT, 1) == 12


def test_another_process_goes_on() -> None:
    before, after = Uses(), Uses()
    before.counted({"chat": 10}, {CHAT: 1})
    after.take_up(before.as_json())
    after.counted({"chat": 2}, {CHAT: 1})
    assert after.of(CHAT, 1) == 12
    for rubbish in (3, [1], [["a", "b", "c", "d"]]):
        with pytest.raises(ValueError, match=r".+"):
            Uses().take_up(rubbish)
