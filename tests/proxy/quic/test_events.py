"""The kinds of events have the numbers that the C code gives them."""

import re
from pathlib import Path

from proxy.quic import events

_KINDS = re.compile(r"enum \{\n    EVENT_HEAD = 1,\n((?:    EVENT_\w+,\n)+)\};")


def test_numbers_are_those_of_the_compiled_part() -> None:
    found = _KINDS.search((Path(__file__).parents[3] / "proxy/quic/_native.c").read_text(encoding="utf-8"))
    assert found is not None
    names = ["HEAD", *(one.strip(" ,").removeprefix("EVENT_") for one in found[1].splitlines())]
    ours = {name: value for name, value in vars(events.QuicEvent).items() if name.isupper()}
    assert {name: place for place, name in enumerate(names, 1)} == ours
