"""A rotation is on the disk before a worker seals by it, and goes on where the disk does not
take it."""

from pathlib import Path

from certs.sealing.key_file import create_key
from proxy.supervisor.secrets.safe import TICKETS_FILE, Safe, now_in_utc
from tests.configurations import Site
from tests.proxy.supervisor.test_supervisor import running, workers


async def test_what_is_rotated_is_kept(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    create_key(tmp_path / "sealing.key")
    text = workers(site, 1) + f'[sealing]\nkey = "{tmp_path}/sealing.key"\ndirectory = "{tmp_path}/state"\n'
    async with running(site, tmp_path, text) as run:
        assert await run.supervisor.tickets.rotate()
        edition = run.supervisor.served.edition
        assert Safe(now_in_utc).tickets(edition.loaded) == (edition.tickets, [])
        kept = tmp_path / "state" / TICKETS_FILE
        kept.unlink()
        kept.mkdir()
        before = edition.tickets
        assert await run.supervisor.tickets.rotate(), "anyway"
        assert run.supervisor.served.edition.tickets.previous == before.current
    assert [one for one in run.told() if "ticket" in one] == ["tickets_rotated", "tickets_not_kept", "tickets_rotated"]
