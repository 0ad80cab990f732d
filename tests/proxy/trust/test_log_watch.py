"""Logs of certificates are read from where the last look ended, and what is not ours is told."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.rotation.facts import leaf_of
from proxy.observe.events.event import Event
from proxy.observe.scrape import WatchedLog
from proxy.trust import log_watch
from proxy.trust.log_watch import LogWatch
from tests.rotations import Rotations, configuration
from tests.transparency_logs import SigningLog, entries_answer, log_list, logged, tile
from tests.web_documents import WebDocuments, web_documents


@dataclass
class RunningLog:
    """A log that speaks one of the two APIs."""

    web: WebDocuments
    is_tiled: bool
    most: int = 1_000
    """Entries in one answer."""
    certificates: list[bytes] = field(default_factory=list)
    claims: int | None = None
    """Its size, if it is not the right one."""

    def __post_init__(self) -> None:
        if self.is_tiled:
            self.web.contents["/checkpoint"] = lambda _: b"log\n%d\nroot\n" % self.size
        else:
            self.web.contents["/ct/v1/get-sth"] = lambda _: b'{"tree_size": %d}' % self.size
            self.web.contents["/ct/v1/get-entries"] = self._entries

    @property
    def size(self) -> int:
        return len(self.certificates) if self.claims is None else self.claims

    def add(self, *certificates: bytes) -> None:
        """Append entries, and put up the tiles."""
        self.certificates += certificates
        for number in range(-(-len(self.certificates) // 256) if self.is_tiled else 0):
            part = self.certificates[number * 256 : number * 256 + 256]
            name = f"/tile/data/{number:03}" + ("" if len(part) == 256 else f".p/{len(part)}")
            self.web.contents[name] = tile(part, set(range(0, 256, 3)))

    def _entries(self, query: str) -> bytes:
        asked = parse_qs(query)
        first, last = int(asked["start"][0]), int(asked["end"][0])
        return entries_answer(self.certificates[first : min(last + 1, first + self.most)], {1})


@dataclass
class Watched:
    """A parent that watches one log."""

    scene: Rotations
    web: WebDocuments
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self, most_entries: int = 20_000) -> None:
        """Begin, or begin again after the process has ended."""
        loop = asyncio.get_running_loop()
        self.watch = LogWatch(
            loop, lambda: self.scene.parts.loaded, self._tell, lambda: self.scene.time.now, most_entries
        )

    def _tell(self, event: Event) -> None:
        self.events.append(event.as_json())

    async def look(self, minutes: float = 0) -> list[str]:
        """Let time pass, and read on. Returns the serials of what is not ours."""
        self.scene.time.passes(timedelta(minutes=minutes))
        await self.watch.look()
        return [one.serial for one in self.watch.unknown]


def settings(web: WebDocuments, *known: str) -> str:
    serials = ", ".join(f'"{one}"' for one in known)
    return configuration(further=f'[ct]\nwatch = "{web.url}"\nknown_serials = [{serials}]\n')


@pytest.fixture
def web() -> Iterator[WebDocuments]:
    with web_documents() as made:
        yield made


@pytest.fixture
async def watched(tmp_path: Path, web: WebDocuments) -> Watched:
    return Watched(Rotations(tmp_path, settings(web)), web)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


OTHERS = [der(logged([], "other.test")[0]), b"rubbish", der(logged([], "more.test")[0])]
FOREIGN = logged([])[0]


@pytest.mark.parametrize("is_tiled", [False, True])
async def test_what_was_not_ordered_is_found_and_what_was_is_not(
    watched: Watched,
    web: WebDocuments,
    is_tiled: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    log = RunningLog(web, is_tiled, most=100)
    log.add(*OTHERS, der(FOREIGN))
    assert await watched.look() == [], "it begins at the end"
    ours = leaf_of(watched.scene.serve())
    log.add(*OTHERS * 100, der(ours), der(FOREIGN), *OTHERS * 100)
    assert await watched.look() == [], "it may be of a rotation that is in progress"
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]
    (found,) = watched.watch.unknown
    assert (found.log, found.names, found.issuer) == (web.url, ("chat.test",), "CN=CA")
    assert watched.watch.logs == [WatchedLog(web.url, 606, 606)]
    watched.begin()
    asked = len(web.asked)
    assert await watched.look() == [f"{FOREIGN.serial_number:x}"], "it is remembered"
    assert len(web.asked) - asked == 1 + is_tiled, "only the size is asked for"
    watched.scene.follow(settings(web, f"{FOREIGN.serial_number:x}"))
    assert await watched.look() == []


async def test_a_log_of_the_list_has_to_sign_its_size(tmp_path: Path, web: WebDocuments) -> None:
    named = configuration(further=f'[ct]\nwatch = "{web.url}"\nlog_list = "logs.json"\n')
    watched = Watched(Rotations(tmp_path, named), web)
    listed = watched.scene.parts.loaded.file.path.parent / "logs.json"
    await watched.look()
    (row,) = watched.watch.logs
    assert row.fault == f"{listed}: No such file or directory"
    signing = SigningLog("signing", "A")
    content = log_list(signing)
    listed.write_bytes(content)
    web.contents["/ct/v1/get-sth"] = lambda _: SigningLog("other", "A").tree_head(7, watched.scene.time.now)
    await watched.look()
    assert watched.watch.logs == [WatchedLog(web.url, 7, 7)], "another log is believed"
    listed.write_bytes(content.replace(b"https://signing.test/", web.url.encode()))
    await watched.look()
    (row,) = watched.watch.logs
    assert row.fault is not None
    assert "a tree head that the log of the list, signing, has not signed" in row.fault
    for path, answer in (("/ct/v1/get-sth", signing.tree_head), ("/checkpoint", signing.checkpoint)):
        web.contents.clear()
        web.contents[path] = lambda _, answer=answer: answer(7, watched.scene.time.now)  # type: ignore[misc]
        await watched.look()
        assert watched.watch.logs == [WatchedLog(web.url, 7, 7)]


async def test_a_log_that_is_slow_keeps_no_other_waiting(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False, most=1)
    await watched.look()
    log.add(*OTHERS * 10)
    answer = web.contents["/ct/v1/get-entries"]
    assert callable(answer)

    def slow(query: str) -> bytes:
        watched.scene.time.passes(timedelta(seconds=25))
        return answer(query)

    web.contents["/ct/v1/get-entries"] = slow
    await watched.look()
    assert watched.watch.logs == [WatchedLog(web.url, 3, 30)]
    await watched.look()
    assert watched.watch.logs == [WatchedLog(web.url, 6, 30)], "it goes on with the next look"


async def test_a_certificate_whose_key_is_stored_later_is_ours(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False)
    await watched.look()
    version = watched.scene.stored()
    leaf = leaf_of(version)
    log.add(der(leaf))
    hidden = version.chain_path.parent.rename(version.chain_path.parent.parent / "elsewhere")
    await watched.look()
    assert await watched.look(15) == [f"{leaf.serial_number:x}"]
    hidden.rename(version.chain_path.parent)
    assert await watched.look() == []


async def test_what_was_ours_stays_so_when_its_key_goes(watched: Watched, web: WebDocuments) -> None:
    """Whoever renews a certificate in a file puts another key there."""
    log = RunningLog(web, is_tiled=False)
    await watched.look()
    version = watched.scene.stored()
    log.add(der(leaf_of(version)), der(FOREIGN))
    await watched.look()
    version.chain_path.parent.rename(version.chain_path.parent.parent / "elsewhere")
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]


async def test_while_a_log_is_behind_our_certificates_are_not_read_each_second(
    watched: Watched, web: WebDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.begin(most_entries=2)
    log = RunningLog(web, is_tiled=False)
    await watched.look()
    log.add(*[der(FOREIGN)] * 5)
    read = list[object]()
    monkeypatch.setattr(log_watch, "store_of", lambda *_: read.append(1))
    for looks, readings in ((1, 1), (2, 1), (3, 2)):
        await watched.look()
        assert len(read) == readings, f"look {looks}"


async def test_a_look_is_bounded_and_the_next_one_goes_on(watched: Watched, web: WebDocuments) -> None:
    watched.begin(most_entries=250)
    log = RunningLog(web, is_tiled=False, most=100)
    await watched.look()
    log.add(*[OTHERS[0]] * 300, der(FOREIGN))
    assert await watched.look() == []
    assert watched.watch.logs == [WatchedLog(web.url, 250, 301)]
    await watched.look()
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]


@pytest.mark.parametrize(("is_tiled", "fault"), [(False, "0 entries where 1 at most"), (True, "status 404")])
async def test_a_log_that_does_not_answer_is_told_once_and_read_again(
    watched: Watched,
    web: WebDocuments,
    is_tiled: bool,  # noqa: FBT001 - a parameter of the test
    fault: str,
) -> None:
    log = RunningLog(web, is_tiled)
    log.add(*OTHERS)
    await watched.look()
    log.claims = 4
    for _ in range(2):
        await watched.look()
    (event,) = watched.events
    assert event["event"] == "log_not_read"
    assert fault in event["detail"]
    (row,) = watched.watch.logs
    assert (row.read, row.size, row.fault) == (3, 4, event["detail"])
    begun = watched.scene.time.now.timestamp()
    del web.contents["/checkpoint" if is_tiled else "/ct/v1/get-sth"]
    await watched.look(60)
    (row,) = watched.watch.logs
    assert (row.read, row.size) == (3, 4), "the size that was seen last"
    assert row.failing_since == begun
    watched.begin()
    await watched.look()
    (row,) = watched.watch.logs
    assert (row.read, row.size) == (3, 3), "not 0, which no part was read of"
    log.__post_init__()
    log.claims = None
    log.add(der(FOREIGN))
    await watched.look()
    assert watched.watch.logs == [WatchedLog(web.url, 4, 4)]
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]


async def test_what_was_read_before_an_error_is_kept(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False, most=2)
    await watched.look()
    log.add(der(FOREIGN), *OTHERS)
    log.claims = 5
    await watched.look()
    (row,) = watched.watch.logs
    assert (row.read, row.size) == (4, 5)
    assert row.fault is not None
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]


async def test_without_logs_nothing_is_left(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False)
    await watched.look()
    log.add(der(FOREIGN))
    await watched.look()
    assert len(await watched.look(15)) == 1
    watched.scene.follow(configuration())
    assert await watched.look() == []
    assert watched.watch.logs == ()


async def test_a_memory_that_cannot_be_kept_is_told(watched: Watched, web: WebDocuments) -> None:
    RunningLog(web, is_tiled=False)
    (watched.scene.directory / "state").mkdir(exist_ok=True)
    (watched.scene.directory / "state" / "ct.json").mkdir()
    await watched.look()
    (event,) = watched.events
    assert event["log"].endswith("/ct.json")


async def test_a_log_that_shrinks_is_told_once_and_read_on_from_where_it_was(
    watched: Watched, web: WebDocuments
) -> None:
    log = RunningLog(web, is_tiled=False)
    log.add(*OTHERS)
    await watched.look()
    log.add(der(FOREIGN))
    for claims in (0, 2):
        log.claims = claims
        await watched.look()
        (row,) = watched.watch.logs
        assert (row.read, row.size) == (3, 3)
    (event,) = watched.events
    assert "a tree of fewer entries than the 3 that were read" in event["detail"]
    log.claims = None
    await watched.look()
    assert await watched.look(15) == [f"{FOREIGN.serial_number:x}"]


async def test_without_its_memory_a_log_is_read_from_its_end(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False)
    log.claims = 1 << 40
    await watched.look()
    log.claims = None
    log.add(*OTHERS)
    await watched.look()
    assert watched.watch.logs[0].fault is not None
    (watched.scene.directory / "state" / "ct.json").unlink()
    await watched.look()
    assert watched.watch.logs == [WatchedLog(web.url, 3, 3)]


async def test_an_answer_that_is_too_long_is_not_read(watched: Watched, web: WebDocuments) -> None:
    web.contents["/ct/v1/get-sth"] = b'{"tree_size": 7}' + b" " * 65_536
    await watched.look()
    (event,) = watched.events
    assert "it has more than 65536 bytes" in event["detail"]


async def test_more_entries_than_were_asked_for_are_no_answer(watched: Watched, web: WebDocuments) -> None:
    log = RunningLog(web, is_tiled=False)
    await watched.look()
    log.add(*OTHERS)
    web.contents["/ct/v1/get-entries"] = entries_answer(OTHERS * 2)
    await watched.look()
    assert [one["event"] for one in watched.events] == ["log_not_read"]
