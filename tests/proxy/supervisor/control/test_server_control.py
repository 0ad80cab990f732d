"""Servers of upstreams drain when an operator says so, in all workers."""

from pathlib import Path

import pytest

from proxy.admin.contracts import UnknownServer
from tests.configurations import Site, limits
from tests.proxy.supervisor.control.test_control import SERVER, Running, running, text


class TestDrain:
    """Servers of upstreams, by the operator's word."""

    async def test_server_drains_in_all_workers_until_that_is_undone(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path, limits({"drain_timeout": "7s"})) as run:
            await run.control.drain_server("chat", SERVER, None)
            assert await run.servers() == [{SERVER: "drained"}] * 2
            await run.control.undrain_server("chat", SERVER)
            assert await run.servers() == [{SERVER: "up"}] * 2
            await run.control.drain_server("chat", SERVER, 0.0)
            assert await run.servers() == [{SERVER: "drained"}] * 2
        told = [entry for entry in run.events() if entry["event"].startswith("server_")]
        assert [(entry["event"], entry.get("seconds")) for entry in told] == [
            ("server_draining", 7.0),
            ("server_undrained", None),
            ("server_draining", 0.0),
        ]

    @pytest.mark.parametrize(("upstream", "server"), [("chat", "http://127.0.0.1:2"), ("files", SERVER), ("", "")])
    async def test_server_that_there_is_not_is_named_with_those_that_there_are(
        self, site: Site, tmp_path: Path, upstream: str, server: str
    ) -> None:
        run = Running(site, tmp_path, text(site))
        for call in (run.control.drain_server(upstream, server, 1.0), run.control.undrain_server(upstream, server)):
            with pytest.raises(UnknownServer) as caught:
                await call
            assert (caught.value.upstream, caught.value.server) == (upstream, server)
            assert caught.value.known == [f"chat/{SERVER}"]
        await run.supervisor.close()
        run.target.close(10)
        assert run.events() == []
