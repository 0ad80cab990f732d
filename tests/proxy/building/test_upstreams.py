"""What each upstream runs by."""

import dataclasses
from pathlib import Path

import pytest

from config.loading.loader import load
from config.tables.upstream import Balance, HashKind, HashSource, SameSite
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.building.upstreams import upstream_plans
from proxy.tls.openssl.capabilities import Capabilities
from proxy.upstream.servers.upstream import UpstreamRules
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems


def test_https_upstream_gets_one_context_for_all_of_its_servers(site: Site, capabilities: Capabilities) -> None:
    text = f"""
[upstream.chat]
servers = ["https://127.0.0.1:1", "https://chat.internal:2", "http://127.0.0.1:3"]
ca = "{site.authority.path}"
certificate = "{site.chat.certificate}"
key = "{site.chat.key}"
connections = 5
websockets = 7
waiting = 6
wait_timeout = "1500ms"
connect_timeout = "2500ms"
first_byte_timeout = "3500ms"
stall_timeout = "4500ms"
idle_timeout = "5500ms"
[[route]]
host = "chat.test"
upstream = "chat"
"""
    (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
    one, two, three = plan.dialling
    assert one.tls is two.tls is not None
    assert three.tls is None
    assert (one.server_name, two.server_name) == ("127.0.0.1", "chat.internal")
    assert one.connect_seconds == 2.5
    assert dataclasses.astuple(plan.limits) == (5, 6, 1.5)
    assert [one.websockets for one in plan.standing] == [7, 7, 7]
    responses = plan.responses
    assert (responses.first_byte_seconds, responses.stall_seconds, responses.idle_seconds) == (3.5, 4.5, 5.5)


def test_context_is_taken_over_from_the_generation_before(site: Site) -> None:
    text = MINIMAL_REST.replace("http://127.0.0.1:1", "https://127.0.0.1:1").replace(
        "[[route]]", f'ca = "{site.authority.path}"\n[[route]]'
    )
    loaded = load(site.write(MINIMAL_LISTENER + site.identity + text))
    one = Foundation.of(loaded, Carried())
    (first,) = upstream_plans(one, {}, None)
    (second,) = upstream_plans(Foundation.of(loaded, Carried(client_tls=one.client_tls)), {}, None)
    (third,) = upstream_plans(Foundation.of(loaded, Carried()), {}, None)
    assert first.dialling == second.dialling != third.dialling


def test_name_to_verify_can_be_given(site: Site, capabilities: Capabilities) -> None:
    text = MINIMAL_REST.replace("http://127.0.0.1:1", "https://127.0.0.1:1").replace(
        "[[route]]", f'server_name = "chat.internal"\nca = "{site.authority.path}"\n[[route]]'
    )
    (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
    assert plan.dialling[0].server_name == "chat.internal"


def test_upstream_settings_that_only_openssl_refuses(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.building.upstreams.UPSTREAM_GROUPS", "nonsense")
    found = problems(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST.replace("http:", "https:"))
    assert "TLS settings that OpenSSL does not take" in found["upstream.chat"].found


CHOICE = """
[upstream.chat]
servers = ["http://127.0.0.1:1", { address = "http://127.0.0.1:2", weight = 3 }]
balance = "consistent-hash"
hash_on = "header:X-Room"
slow_start = "30s"
retry_percent = 12.5
retries_per_second = 2.5
[upstream.chat.ejection]
connect_failures = 2
errors = 3
errors_within = "4500ms"
base_time = "5500ms"
max_time = "6500ms"
most_percent = 77
[upstream.chat.health]
path = "/"
interval = "4s"
rise = 5
[[route]]
host = "chat.test"
upstream = "chat"
"""


def test_choice_and_standing_are_as_the_table_says(site: Site, capabilities: Capabilities) -> None:
    (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + CHOICE).upstreams
    source = HashSource(HashKind.HEADER, "X-Room")
    assert plan.rules == UpstreamRules(Balance.CONSISTENT_HASH, source, None, 12.5, 2.5, 77, 20.0)
    assert [rules.weight for rules in plan.standing] == [1, 3]
    for rules in plan.standing:
        assert rules.slow_start_seconds == 30.0
        assert dataclasses.astuple(rules.ejection) == (2, 3, 4.5, 5.5, 6.5)


def test_upstream_without_checks_never_recovers_from_being_down(site: Site, capabilities: Capabilities) -> None:
    (plan,) = built(site, capabilities, site.minimal).upstreams
    assert plan.rules.recovery_seconds is None


class TestSecret:
    """The file that signs a sticky cookie."""

    def text(self, more: str = "") -> str:
        """A configuration with such a cookie."""
        return MINIMAL_LISTENER + "".join(
            (
                '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\nbalance = "sticky-cookie"\n',
                f'[upstream.chat.cookie]\nsecret = "sticky.key"\n{more}\n',
                '[[route]]\nhost = "chat.test"\nupstream = "chat"\n',
            )
        )

    @pytest.fixture
    def file(self, site: Site) -> Path:
        path = site.directory / "sticky.key"
        path.unlink(missing_ok=True)
        return path

    def test_it_is_read_without_its_line_end(self, site: Site, capabilities: Capabilities, file: Path) -> None:
        file.write_bytes(b"s" * 32 + b"\n")
        file.chmod(0o600)
        generation = built(site, capabilities, self.text() + site.identity)
        cookie = generation.upstreams[0].rules.cookie
        assert cookie is not None
        assert (cookie.secret, cookie.name, cookie.seconds) == (b"s" * 32, "__Host-chat", 86_400)
        assert generation.warnings == ()
        assert "s" * 32 not in repr(generation)

    def test_name_time_and_sites_can_be_given(self, site: Site, capabilities: Capabilities, file: Path) -> None:
        file.write_bytes(b"s" * 32)
        file.chmod(0o600)
        more = 'name = "stay"\nmax_age = "1m"\nsame_site = "none"'
        cookie = built(site, capabilities, self.text(more) + site.identity).upstreams[0].rules.cookie
        assert cookie is not None
        assert (cookie.name, cookie.seconds, cookie.same_site) == ("stay", 60, SameSite.NONE)

    @pytest.mark.parametrize(
        ("content", "found"), [(None, "cannot be read (No such file"), (b"s" * 31 + b"\n", "31 octets")]
    )
    def test_file_that_is_missing_or_short_is_an_error(
        self, site: Site, capabilities: Capabilities, file: Path, content: bytes | None, found: str
    ) -> None:
        if content is not None:
            file.write_bytes(content)
        problem = problems(site, capabilities, self.text() + site.identity)["upstream.chat.cookie.secret"]
        assert found in problem.found
        assert "openssl rand" in problem.allowed
        assert "sss" not in str(problem)

    def test_file_that_others_may_read_is_said(self, site: Site, capabilities: Capabilities, file: Path) -> None:
        file.write_bytes(b"s" * 32)
        file.chmod(0o640)
        (warning,) = built(site, capabilities, self.text() + site.identity).warnings
        assert (warning.key, "0640" in warning.found) == ("upstream.chat.cookie.secret", True)
