"""Values in memory, as the store has them."""

import asyncio

from proxy.supervisor.membership.kinds.entries import Entries


async def test_values_come_and_go_by_what_stands_behind_the_prefix() -> None:
    heard: list[int] = []
    entries = Entries("lines/", str.upper, lambda: heard.append(1))
    assert (entries.prefix, entries.is_kept, entries.due(1.0, 1)) == ("lines/", False, {})
    waiting = asyncio.get_running_loop().create_task(entries.until(lambda: len(entries.values) == 2))
    entries.take({"lines/a": entries.parse("lines/a", "x")})
    await asyncio.sleep(0)
    assert not waiting.done()
    entries.take({"lines/b/c": entries.parse("lines/b/c", "y")})
    await waiting
    assert entries.values == {"a": "X", "b/c": "Y"}
    entries.take({"lines/a": None, "lines/unknown": None})
    assert entries.values == {"b/c": "Y"}
    assert len(heard) == 3
