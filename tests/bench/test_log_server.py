"""Each request that a server has answered is in its log, also in the one that goes over a ring and a server for logs."""

from pathlib import Path

from tests.bench import exchanges
from tests.bench.exchanges import clients
from tests.bench.servers import Server


def test_each_server_logs_each_request(server: Server, directory: Path) -> None:
    path = f"/logged-{server.name}"
    (directory / "files" / path[1:]).write_text("{}")
    with clients(server, directory, exchanges.request("logged", f"GET {path}"), 4) as opened:
        assert opened.run(10, in_flight=4, count=50).exchanges == 50
    log = directory / f"{server.name}.log"
    while log.read_text().count(f'"path":"{path}"') < 50:  # it is written a while later
        pass
    assert log.read_text().count(f'"path":"{path}"') == 50
