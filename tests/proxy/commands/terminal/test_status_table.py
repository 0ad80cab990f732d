"""The status for a terminal: what an operator has to see is there, and nothing that came from
outside steers the terminal."""

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from proxy.commands.terminal.status_table import duration, share, size, status_tables
from proxy.http2.wire.causes import ResetCause
from proxy.observe.counts.counters import Counters
from proxy.observe.readiness import NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import (
    BackupFacts,
    Http3Facts,
    RevocationFacts,
    Scrape,
    SealingFacts,
    UpgradeFacts,
    WorkerState,
)
from proxy.observe.status import status
from tests.fakes_admin import DOWN, NOW, fed, scrape, server, worker


def shown(document: Any, width: int = 140) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(status_tables(json.loads(json.dumps(document))))
    return capture.get()


def lines(text: str, *words: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if all(word in line for word in words)]


def test_everything_is_there() -> None:
    text = shown(status(scrape()))
    assert lines(text, "Plexigate") == [
        "Plexigate 0.1.0, up 3 d 0 h, generation 2, reloads: 1 ok, 2 failed, workers restarted: 1"
    ]
    assert lines(text, "4001") == ["1 4001 serving 2 h 1 min 2 4 61.0 MB <= 5 ms"]
    assert lines(text, "public") == [
        "public 0.0.0.0:443 prefer 8 44 32 4 70.0 % 4",
        "public 443 8 2 0 yes",
        "public tcp 24 2 2800 36000 closed 20",
    ]
    assert lines(text, "[::]:443") == ["[::]:443"]
    assert lines(text, "hybrid", "resumed") == ["hybrid 70.0 % of 40, 4 resumed"]
    assert lines(text, "OldChat") == ["OldChat/1.4 (Windows NT 6.1) 8"]
    assert lines(text, "192.0.2.0/24") == ["192.0.2.0/24 12"]
    assert lines(text, "10.0.0.1:8000") == [
        "chat http://10.0.0.1:8000 up 6 2 0 4 100 2 5.0 ms",
        "the health check of http://10.0.0.1:8000 of upstream chat cannot be made: Too many open files",
    ]
    assert lines(text, "10.0.0.2:8000") == ["chat http://10.0.0.2:8000 ejected 6 2 0 4 100 2 5.0 ms"]
    assert [line.split()[-1] for line in lines(text, "mldsa-65")] == ["6"]
    assert lines(text, "files.test") == ["files ecdsa-p256 - files.test expired"]


def test_the_sealing_key_has_its_age_and_what_is_wrong_with_it() -> None:
    found = scrape()
    assert lines(shown(status(found)), "sealing key") == [
        "sealing key: sealing.key, since 2 d 7 h; the oldest key below it seals since 1 d 1 h"
    ]
    replaced = SealingFacts("v2", previous_until=NOW + 90_000.0, is_previous=True, error="the token does not answer")
    assert lines(shown(status(replace(found, sealing=replaced))), "seal") == [
        "sealing key: v2, of unknown age; the oldest key below it seals since 0 s",
        "the configuration names the sealing key before it, which opens for 1 d 1 h more",
        "what is sealed could not be renewed: the token does not answer",
    ]
    of_before = {key: value for key, value in status(found).items() if key != "sealing"}
    assert "sealing" not in shown(of_before)


def test_http_3_is_shown_where_it_is_to_be_spoken() -> None:
    found = scrape()
    assert lines(shown(status(found)), "public")[1] == "public 443 8 2 0 yes"
    public, strict = found.listeners
    silent = replace(public, http3=Http3Facts(443, "no answer"))
    document = status(replace(found, listeners=(silent, strict)))
    assert lines(shown(document), "public")[1] == "public 443 8 2 0 no: no answer"
    assert "HTTP/3" not in shown(status(replace(found, listeners=(strict,))))
    of_before = [{key: value for key, value in one.items() if key != "http3"} for one in document["listeners"]]
    assert "HTTP/3" not in shown({**document, "listeners": of_before})


def test_http_2_is_shown_where_it_is_spoken() -> None:
    counters = fed()
    assert "HTTP/2" not in shown(status(scrape(worker(0, counters))))
    http2 = counters.listener("public").http2
    http2.connections, http2.connections_open, http2.streams_open, http2.requests = 5, 2, 9, 3
    document = status(scrape(worker(0, counters)))
    assert lines(shown(document), "public")[1] == "public 5 2 3 9 client 1"
    http2.resets[ResetCause.CLIENT] += 4
    http2.resets[ResetCause.EARLY_ANSWER] += 1
    text = shown(status(scrape(worker(0, counters))))
    assert lines(text, "early_answer") == ["public 5 2 3 9 client 5, early_answer 1"]
    assert lines(text, "streams reset") == ["listener connections open requests streams open streams reset"]


def test_tcp_is_shown_where_there_is_any() -> None:
    counters = fed()
    assert "passthrough" not in shown(status(scrape(worker(0, counters))))
    of_listener = counters.listener("public")
    of_listener.tcp.connections = of_listener.passthrough.connections = 5
    of_listener.tcp.connections_open, of_listener.tcp.from_client.bytes, of_listener.tcp.to_client.bytes = 2, 10, 20
    of_listener.tcp.ends["closed"] += 3
    text = shown(status(scrape(worker(0, counters))))
    assert lines(text, " tcp ") == ["public tcp 5 2 10 20 closed 8"]
    assert lines(text, "passthrough") == ["public passthrough 5 0 0 0 -"]


def test_what_is_urgent_stands_first_among_certificates() -> None:
    text = shown(status(scrape()))
    assert text.index("expired") < text.index("mldsa-65") < text.rindex("ecdsa-p256")


def test_revocation_lists_and_watched_logs() -> None:
    text = shown(status(scrape()))
    assert lines(text, "issuer", "internal") == ["issuer internal 6 d 0 h no token"]
    assert lines(text, "https://ct.test/") == ["https://ct.test/ 7 9 -"]
    gone = [RevocationFacts("chat", 0.0, 0.0), RevocationFacts("files", NOW - 2.0, NOW - 1.0)]
    text = shown(status(replace(scrape(), revocations=gone)))
    assert lines(text, "clients", "none yet") == ["clients chat none yet -"]
    assert lines(text, "clients", "expired") == ["clients files expired -"]


def test_workers_that_disagree_are_counted() -> None:
    found = scrape(worker(0, fed(), [server()]), worker(1, fed(), [server(state="ejected", requests=0)]))
    assert "ejected (1), up (1)" in shown(status(found))


def test_tokens_with_what_is_wrong() -> None:
    found = replace(scrape(), alerts=())
    assert lines(shown(status(found)), "plexi") == ["plexi well good closed 6 4 6 2 9 of 16 0 s ago"]
    failing = worker(1, fed())
    failing = replace(
        failing, snapshot={**failing.snapshot, "token_states": [{"token": "plexi", "state": "stopped", "count": 1}]}
    )
    lost = replace(found.tokens[0], missing_keys={"pkcs11:object=chat": ("chat", "files")})
    text = shown(status(replace(found, tokens=(lost,))))
    assert "plexi: key pkcs11:object=chat of chat, files is missing or cannot sign" in text
    refused = replace(found.tokens[0], condition="pin_refused", seconds_since_good=None)
    text = shown(status(replace(found, workers=(worker(0, fed()), failing), tokens=(refused,))))
    assert lines(text, "plexi") == ["plexi pin_refused refused closed (1), stopped (1) 6 4 6 2 9 of 16 0 s ago"]
    unanswered = replace(worker(0, Counters()), snapshot={}, servers=())
    text = shown(status(replace(found, workers=(unanswered,), tokens=(refused,))))
    assert lines(text, "plexi") == ["plexi pin_refused refused - 0 0 0 0 1 of 16 -"]


def test_a_proxy_that_has_just_begun() -> None:
    starting = replace(worker(0, Counters()), snapshot={}, servers=[server(requests=0)])
    text = shown(status(Scrape(NOW, NOW, "0.1.0", 1, [starting])))
    assert "pq = require would refuse none of the connections of today and yesterday." in text
    assert "reloads: none" in text
    assert "Certificates" not in text
    assert lines(text, "hybrid") == [
        "name addresses pq open accepted requests 5xx hybrid failures",
        "hybrid - of 0, 0 resumed",
    ]
    assert "Upstreams" not in shown(status(Scrape(NOW, NOW, "0.1.0", 1, [])))


def test_the_rest_of_a_long_list_is_counted() -> None:
    counters = fed()
    for number in range(20):
        counters.breaking.add("public", None, f"198.51.{number}.1", [(b"User-Agent", f"agent/{number}".encode())])
    text = shown(status(scrape(worker(0, counters))))
    assert "and 12 more, see --json" in text
    assert "and 11 more, see --json" in text


def test_what_a_client_says_is_shown_and_not_obeyed() -> None:
    counters = fed()
    counters.breaking.add("public", None, "198.51.100.1", [(b"User-Agent", b"[bold red]x[/] \x1b[2J [link=http://a]")])
    assert "[bold red]x[/] ?[2J [link=http://a]" in shown(status(scrape(worker(0, counters))))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "-"), (0.0, "0.0 %"), (0.7, "70.0 %"), (0.99999, "99.9 %"), (1.0, "100 %")]
)
def test_a_share_is_never_rounded_up_to_all(value: float | None, expected: str) -> None:
    assert share(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.9, "0 s"), (59.0, "59 s"), (61.0, "1 min 1 s"), (3_600.0, "1 h 0 min"), (90_000.0, "1 d 1 h")],
)
def test_a_duration_has_two_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_sizes_are_in_megabytes() -> None:
    assert size(61_234_567) == "61.2 MB"


def test_what_keeps_it_from_being_ready_stands_on_top() -> None:
    reason = NotReadyReason(
        ReadinessSubject.UPSTREAM, "chat", "has no server: http://10.0.0.1:8000 is down", ("chat.test/",)
    )
    found = Readiness(
        (reason,), (NotReadyReason(ReadinessSubject.UPSTREAM, "files", "has only servers that are drained"),)
    )
    silent = replace(worker(0, fed()), state=WorkerState.SILENT, generation=None)
    text = shown(status(replace(scrape(silent), readiness=found)))
    assert lines(text, "not ready") == [
        "not ready: upstream chat (routes chat.test/) has no server: http://10.0.0.1:8000 is down"
    ]
    assert lines(text, "degraded") == ["degraded: upstream files has only servers that are drained"]
    assert lines(text, "4000") == ["0 4000 silent 2 h 1 min - 4 61.0 MB <= 5 ms"]


def test_open_alerts_are_one_line_with_the_most_urgent_first() -> None:
    assert "alert" not in shown(status(replace(scrape(), alerts=())))
    (line,) = lines(shown(status(scrape())), "alert")
    assert line == "1 alert open: upstream_down chat (critical); plexigate alerts shows what to do"
    many = replace(scrape(), alerts=[DOWN] * 7)
    assert "7 alerts open: " in shown(status(many))
    assert ", and 2 more; plexigate alerts" in shown(status(many))


def test_the_age_of_the_newest_backup() -> None:
    assert "backup" not in shown(status(scrape()))
    for newest, text in ((NOW - 7_200, "2 h 0 min old"), (None, "none")):
        told = replace(scrape(), backup=BackupFacts("/b", newest, 86_400.0))
        assert lines(shown(status(told)), "backup") == [f"newest backup in /b: {text}"]


def test_an_upgrade_under_way_and_what_it_left() -> None:
    assert "upgrade" not in shown(status(scrape()))
    under_way = replace(scrape(), upgrade=UpgradeFacts("proving", 4_343, "/usr/bin/plexigate"))
    assert lines(shown(status(under_way)), "upgrade") == ["upgrade: proving, process 4343 of /usr/bin/plexigate"]
    (left,) = lines(shown(status(replace(scrape(), former_workers=(41, 42)))), "upgrade")
    assert left == "workers from before the upgrade that drain: 41, 42"
