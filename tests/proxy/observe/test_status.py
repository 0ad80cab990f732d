"""The status document: what it says about a whole proxy, and about one that has just begun."""

import json
from dataclasses import replace

from proxy.http2.wire.causes import ResetCause
from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import Retained
from proxy.observe.scrape import Scrape
from proxy.observe.status import signatures, status
from tests.fakes_admin import DAY, NOW, fed, scrape, server, worker
from tests.parts import part


def test_it_is_json() -> None:
    document = status(scrape())
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_process() -> None:
    document = status(scrape())
    assert (document["version"], document["generation"], document["uptime_seconds"]) == ("0.1.0", 2, 3 * DAY)
    read = {"file": "/etc/plexigate/plexigate.toml", "sha256": "ab" * 32, "read_at": NOW - 3 * DAY}
    assert (document["pid"], document["configuration"]) == (3_999, read)
    assert status(Scrape(NOW, NOW, "0.1.0", 1, []))["configuration"] is None
    assert (document["started_at"], document["worker_restarts"]) == (NOW - 3 * DAY, 1)
    assert document["reloads"] == {"ok": 1, "failed": 2}


def test_workers() -> None:
    slow = fed()
    slow.loop_lag.observe(9.0)
    assert status(scrape(worker(1, slow), worker(0, fed())))["workers"] == [
        {
            "slot": 0,
            "pid": 4_000,
            "age_seconds": 7_260.0,
            "state": "serving",
            "generation": 2,
            "connections": {"public": 4, "strict": 0},
            "rss_bytes": 61_000_000,
            "loop_lag_p99_seconds": 0.005,
        },
        {
            "slot": 1,
            "pid": 4_001,
            "age_seconds": 7_261.0,
            "state": "serving",
            "generation": 2,
            "connections": {"public": 4, "strict": 0},
            "rss_bytes": 61_000_001,
            "loop_lag_p99_seconds": 9.003,
        },
    ]


def test_listeners_have_their_own_figures() -> None:
    public, strict = status(scrape())["listeners"]
    assert (public["name"], public["addresses"], public["pq"]) == ("public", ["0.0.0.0:443", "[::]:443"], "prefer")
    assert (public["connections_open"], public["connections_accepted"]) == (8, 44)
    assert public["requests"] == {"1xx": 4, "2xx": 12, "3xx": 4, "4xx": 8, "5xx": 4}
    assert public["handshakes"]["hybrid_share"] == 0.7
    assert (strict["requests"], strict["failures"]) == ({}, {"pq_policy": 4})
    assert strict["handshakes"]["hybrid_share"] is None


def test_routes_and_protocols_have_their_requests_and_latencies() -> None:
    document = status(scrape())
    routes = {one["route"]: one for one in document["routes"]}
    assert routes["chat.test/"]["requests"] == {"1xx": 4, "2xx": 12, "3xx": 4, "4xx": 4, "5xx": 4}
    assert routes["chat.test/"]["p99_seconds"] == 0.025
    assert routes["-"]["requests"] == {"4xx": 4}
    assert [(one["protocol"], one["requests"]) for one in document["protocols"]] == [("http/1.1", 28)]


def test_listeners_have_their_figures_of_http_2() -> None:
    counters = fed()
    http2 = counters.listener("public").http2
    http2.connections, http2.connections_open, http2.streams_open, http2.requests = 5, 2, 9, 3
    http2.resets[ResetCause.CLIENT] += 4
    public, strict = status(scrape(worker(0, counters), worker(1, counters)))["listeners"]
    figures = {"connections": 10, "connections_open": 4, "streams_open": 18, "resets": {"client": 10}}
    assert public["http2"] == figures
    assert public["protocols"] == {"h2": 6, "http/1.1": 10}
    assert strict["http2"] == {"connections": 0, "connections_open": 0, "streams_open": 0, "resets": {}}
    ended = Retained()
    ended.keep(counters.snapshot())
    (public, _) = status(scrape(worker(0, fed()), retained=ended))["listeners"]
    assert public["http2"] == {
        **figures,
        "connections": 5,
        "connections_open": 0,
        "streams_open": 0,
        "resets": {"client": 6},
    }


def test_listener_with_http_3_has_its_figures_and_tells_whether_clients_know() -> None:
    public, strict = status(scrape())["listeners"]
    assert public["http3"] == {"port": 443, "fault": None, "connections": 8, "connections_open": 2}
    assert strict["http3"] is None


def test_share_of_hybrid_handshakes_leaves_out_who_was_refused() -> None:
    handshakes = status(scrape())["handshakes"]
    assert (handshakes["established"], handshakes["hybrid"], handshakes["hybrid_share"]) == (40, 28, 0.7)
    assert handshakes["resumed"] == 4
    assert handshakes["by_outcome"] == {"client_cannot": 12, "hybrid": 24, "hybrid_after_retry": 4, "refused": 4}
    assert handshakes["by_group"] == {"X25519": 12, "X25519MLKEM768": 28}


def test_who_would_break_under_require() -> None:
    retained = Retained()
    retained.keep(fed().snapshot())
    assert status(scrape(retained=retained))["breaking_under_require"] == {
        "since": "1970-01-01",
        "connections": 15,
        "error_at_most": 0,
        "names": [{"name": "chat.test", "connections": 15, "error": 0}],
        "networks": [{"network": "192.0.2.0/24", "connections": 15, "error": 0}],
        "user_agents": [
            {"user_agent": "OldChat/1.4 (Windows NT 6.1)", "connections": 10, "error": 0},
            {"user_agent": "curl/7.68.0", "connections": 5, "error": 0},
        ],
    }


def test_upstreams_with_what_each_worker_sees() -> None:
    found = scrape(worker(0, fed()), worker(1, fed(), [server(), server("http://10.0.0.2:8000", "up")]))
    (chat,) = status(found)["upstreams"]
    assert chat["name"] == "chat"
    first, second = chat["servers"]
    assert first == {
        "server": "http://10.0.0.1:8000",
        "states": {"up": 2},
        "open": 6,
        "idle": 2,
        "dialling": 0,
        "waiting": 0,
        "requests": 100,
        "websockets": 4,
        "failures": 2,
        "ejections": 0,
        "wait_seconds": 0.5,
        "streams_open": 2,
        "http2_requests": 40,
        "http2_goaways": 4,
        "http2_refused": 6,
    }
    assert second["states"] == {"ejected": 1, "up": 1}


def test_tokens_as_the_parent_and_each_worker_see_them() -> None:
    (plexi,) = part(status(scrape())["tokens"])
    workers = plexi.pop("workers")
    assert plexi == {
        "token": "plexi",
        "parent": "well",
        "detail": "",
        "pin_refused": False,
        "sessions": 9,
        "session_limit": 16,
        "last_good_seconds": 0.0,
        "parent_errors": {"CKR_DEVICE_ERROR": 2},
        "missing_keys": [],
    }
    assert [(one["slot"], one["state"], one["threads"], one["queued"]) for one in workers] == [
        (0, "closed", 3, 3),
        (1, "closed", 3, 3),
    ]
    silent = replace(worker(0, Counters()), snapshot={}, servers=())
    (plexi,) = status(scrape(silent))["tokens"]
    assert (plexi["workers"], plexi["sessions"], plexi["last_good_seconds"]) == ([], 1, 3.5)
    begun = scrape(silent)
    never = replace(begun.tokens[0], seconds_since_good=None, condition="pin_refused")
    (plexi,) = status(replace(begun, tokens=(never,)))["tokens"]
    assert (plexi["last_good_seconds"], plexi["pin_refused"]) == (None, True)


def test_a_worker_that_has_signed_nothing_yet_says_so() -> None:
    one = worker(0, Counters())
    fresh = replace(one, snapshot={**one.snapshot, "token_good": []})
    (plexi,) = status(scrape(fresh))["tokens"]
    assert plexi["workers"][0]["last_good_seconds"] is None


def test_certificates_with_the_days_that_are_left() -> None:
    left = {(one["identity"], one["algorithm"]): one["days_left"] for one in status(scrape())["certificates"]}
    assert left == {("chat", "ecdsa-p256"): 60.5, ("chat", "mldsa-65"): 6.0, ("files", "ecdsa-p256"): -1.0}


def test_the_sealing_key_with_the_keys_below_it() -> None:
    sealing = status(scrape())["sealing"]
    assert sealing == {
        "key": "sealing.key",
        "since": NOW - 200_000.0,
        "previous_until": None,
        "is_previous": False,
        "keys_since": {"tickets": NOW - 90_000.0, "acme": NOW - 100.0},
        "error": None,
    }
    assert status(replace(scrape(), sealing=None))["sealing"] is None


def test_a_proxy_that_has_just_begun() -> None:
    starting = replace(worker(0, Counters()), snapshot={}, servers=())
    begun = status(Scrape(NOW, NOW, "0.1.0", 1, [starting]))
    assert begun["workers"][0]["loop_lag_p99_seconds"] is None
    assert begun["workers"][0]["connections"] == {}
    assert begun["handshakes"]["hybrid_share"] is None
    assert begun["breaking_under_require"]["connections"] == 0
    assert (begun["upstreams"], begun["listeners"], begun["failures"]) == ([], [], {})
    idle = status(Scrape(NOW, NOW, "0.1.0", 1, [worker(0, Counters(), ())]))
    assert idle["workers"][0]["loop_lag_p99_seconds"] is None


def test_signatures_are_those_of_full_handshakes_that_came_to_a_connection() -> None:
    """Neither the one that was resumed nor the one that was refused."""
    assert signatures(scrape(worker(0, fed()))) == {"chat": 8, "files": 1}
    assert signatures(scrape(worker(0, fed()), worker(1, fed(2)))) == {"chat": 24, "files": 3}
