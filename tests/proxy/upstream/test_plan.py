"""From what a configuration says about an upstream to the pools of a loop."""

from pathlib import Path

from proxy.deadlines import Deadlines
from proxy.shared_io import SharedIo
from proxy.tasks import Tasks
from proxy.tls.capabilities import survey
from proxy.upstream.pool import PoolResources
from tests.configurations import MINIMAL_LISTENER, Site
from tests.fakes import FakeLoop
from tests.generations import built

REST = """
[upstream.chat]
servers = ["http://127.0.0.1:1", "unix:/run/chat.sock"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


def test_each_server_gets_a_pool_of_its_own(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    (plan,) = built(site, survey(()), MINIMAL_LISTENER + site.identity + REST).upstreams
    loop = FakeLoop()
    upstream = plan.upstream(PoolResources(SharedIo(loop), Tasks(loop, lambda _: None), Deadlines(loop)))
    assert upstream.name == "chat"
    assert [repr(server) for server in upstream.servers] == [
        "<Server http://127.0.0.1:1 open=0 idle=0 dialling=0 waiting=0>",
        "<Server unix:/run/chat.sock open=0 idle=0 dialling=0 waiting=0>",
    ]
