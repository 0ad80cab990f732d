"""What a browser without JavaScript shows."""

import re
from dataclasses import replace

from proxy.admin.page.overview import overview
from proxy.admin.page.snapshot import snapshot
from proxy.observe.history.history import History
from tests.fakes_admin import fed, scrape, server, worker


def test_it_says_what_is_missing_and_has_the_state() -> None:
    text = snapshot(overview(scrape(), History(), [], "compiled"))
    assert "needs JavaScript for its plots" in text
    assert "2026-06-01 12:00:00 UTC" in text
    assert "upstream chat has no server that takes requests" in text
    assert re.findall("<h2>(.*?)</h2>", text) == ["Alerts", "Certificates", "Upstreams", "Tokens", "Workers"]
    assert "<td>up in 2 workers</td>" in text


def test_empty_table_says_so() -> None:
    text = snapshot(overview(replace(scrape(), alerts=(), tokens=()), History(), [], "compiled"))
    assert text.count("<p>None.</p>") == 2


def test_hostile_text_stays_text() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    found = replace(scrape(worker(0, fed(), [server(hostile)])), version=hostile)
    text = snapshot(overview(found, History(), [], "compiled"))
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;") == 2
