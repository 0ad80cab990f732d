"""From what a configuration says about an upstream to the pools of a loop, and from those to the
next ones."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import ServerAddress
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.tls.openssl.capabilities import survey
from proxy.upstream.http1.linked_pool import LinkedPool
from proxy.upstream.http1.pool import Pool
from proxy.upstream.http2.pool import StreamPool
from proxy.upstream.plan import UpstreamPlan, upstreams_from
from proxy.upstream.pooling.pools import PoolResources, ServerLimits
from proxy.upstream.pooling.statistics import ServerState
from proxy.upstream.servers.server import ServerRules
from proxy.upstream.servers.upstream import Upstream
from tests.configurations import MINIMAL_LISTENER, Site
from tests.fakes import FakeLoop
from tests.fakes_http import DIALLING, RESPONSES, RULES, UPSTREAM_RULES, FakeTunnel
from tests.generations import built

REST = """
[upstream.chat]
servers = ["http://127.0.0.1:1", { address = "unix:/run/chat.sock", weight = 3 }]
[[route]]
host = "chat.test"
upstream = "chat"
"""
SLOWLY = ServerRules(1, 60.0, RULES.ejection, 1_000)
LIMITS = ServerLimits(5, 5, 1.0)


class Loop:
    """A loop on which one set of upstreams follows the other."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.resources = PoolResources(SharedIo(self.loop), Tasks(self.loop, lambda _: None), Deadlines(self.loop))
        self.upstreams: dict[str, Upstream] = {}

    def reload(self, *plans: UpstreamPlan) -> dict[str, Upstream]:
        """Set up these."""
        self.upstreams = upstreams_from(plans, self.resources, self.upstreams)
        return self.upstreams


def plan(*ports: int, name: str = "chat", tls: ssl.SSLContext | None = None, **changes: Any) -> UpstreamPlan:
    """An upstream with servers at these ports."""
    scheme: Any = "http" if tls is None else "https"
    dialling = tuple(replace(DIALLING, address=ServerAddress(scheme, "127.0.0.1", port), tls=tls) for port in ports)
    return replace(UpstreamPlan(name, dialling, (SLOWLY,) * len(ports), RESPONSES, LIMITS, UPSTREAM_RULES), **changes)


def states(upstream: Upstream) -> list[str]:
    """The states of its servers."""
    return [one["state"] for one in upstream.statistics()]


def test_each_server_gets_a_pool_of_its_own(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    (chat,) = built(site, survey(()), MINIMAL_LISTENER + site.identity + REST).upstreams
    upstream = Loop().reload(chat)["chat"]
    assert upstream.name == "chat"
    assert [repr(server) for server in upstream.servers] == [
        "<Server http://127.0.0.1:1 open=0 idle=0 dialling=0 waiting=0>",
        "<Server unix:/run/chat.sock open=0 idle=0 dialling=0 waiting=0>",
    ]
    assert [server.share for server in upstream.servers] == [1.0, 3.0]


class TestReload:
    """What does not change continues; the rest comes to its end."""

    def test_server_that_is_reached_in_the_same_way_goes_on(self) -> None:
        loop = Loop()
        (before,) = loop.reload(plan(1))["chat"].servers
        before.drain(60.0)
        heavy = (ServerRules(9, 60.0, RULES.ejection, 1_000),)
        (after,) = loop.reload(plan(1, standing=heavy))["chat"].servers
        assert after is before
        assert (after.share, after.is_draining) == (9.0, True)

    def test_changes_of_what_goes_on_reach_the_new_upstream(self) -> None:
        loop = Loop()
        loop.reload(plan(1, 2))
        new = loop.reload(plan(1, 2))["chat"]
        new.servers[0].check_told(is_up=False)
        assert {one.name for one in (new.choose(), new.choose()) if one} == {"http://127.0.0.1:2"}

    def test_same_context_is_the_same_way_and_another_is_another(self) -> None:
        context, loop = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), Loop()
        (first,) = loop.reload(plan(1, tls=context))["chat"].servers
        (second,) = loop.reload(plan(1, tls=context))["chat"].servers
        (third,) = loop.reload(plan(1, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))["chat"].servers
        assert first is second is not third

    @pytest.mark.parametrize(
        "change",
        [
            {"limits": ServerLimits(6, 5, 1.0)},
            {"responses": replace(RESPONSES, stall_seconds=1.0)},
            {"dialling": (replace(DIALLING, address=ServerAddress("http", "127.0.0.1", 1), connect_seconds=1.0),)},
        ],
    )
    def test_other_settings_make_another_server_that_knows_what_was_said(self, change: Any) -> None:
        loop, tunnel = Loop(), FakeTunnel()
        (before,) = loop.reload(plan(1))["chat"].servers
        before.tunnel_opened(tunnel)
        before.drain(60.0)
        (after,) = loop.reload(plan(1, **change))["chat"].servers
        assert after is not before
        assert not before.keeps_idle
        assert states(loop.upstreams["chat"]) == [ServerState.DRAINING]
        loop.loop.advance(60.1)
        assert tunnel.drains == [10.0]

    def test_server_that_is_added_begins_slowly_and_a_first_one_does_not(self) -> None:
        loop = Loop()
        assert states(loop.reload(plan(1))["chat"]) == ["up"]
        assert states(loop.reload(plan(1, 2))["chat"]) == ["up", "slow-start"]
        assert states(loop.reload(plan(3, name="files"))["files"]) == ["up"]

    def test_what_has_no_place_any_more_is_retired(self) -> None:
        loop = Loop()
        gone, left = loop.reload(plan(1, 2))["chat"].servers
        loop.reload(plan(2))
        assert (gone.keeps_idle, left.keeps_idle) == (False, True)
        loop.reload()
        assert not left.keeps_idle

    def test_server_that_nobody_checks_any_more_is_up(self) -> None:
        loop = Loop()
        checked = plan(1, rules=replace(UPSTREAM_RULES, recovery_seconds=5.0))
        loop.reload(checked)["chat"].apply_health("http://127.0.0.1:1", is_up=False)
        assert states(loop.reload(checked)["chat"]) == ["down"]
        assert states(loop.reload(plan(1))["chat"]) == ["slow-start"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [("", Pool), ('send_proxy_protocol = "v1"', LinkedPool), ('http = "h2"', StreamPool)],
)
def test_what_connects_follows_from_what_servers_want(tmp_path: Path, settings: str, kind: type[object]) -> None:
    site = Site.make(tmp_path)
    table = REST.replace("[[route]]", f"{settings}\n[[route]]")
    (chat,) = built(site, survey(()), MINIMAL_LISTENER + site.identity + table).upstreams
    connections = [server.connections for server in Loop().reload(chat)["chat"].servers]
    assert [type(one) for one in connections] == [kind, kind]
