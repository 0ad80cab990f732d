"""What a process hands over has names."""

import os
from collections.abc import Collection
from pathlib import Path

from proxy.supervisor.upgrade.program import StartCommand
from proxy.supervisor.upgrade.replaceable import this_process
from tests.configurations import Site
from tests.proxy.supervisor.test_supervisor import Running, workers


class NoDoors:
    """An admin server with one socket."""

    handed = [("/run/admin.sock", 1)]  # noqa: RUF012 - it never changes

    def rest(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def leave(self, places: Collection[str]) -> None:
        raise NotImplementedError


async def test_each_descriptor_has_the_name_by_which_the_next_process_finds_it(site: Site, tmp_path: Path) -> None:
    run = Running(site, tmp_path, workers(site))
    await run.supervisor.start(tuple)
    found = this_process(StartCommand(("/nowhere",), (), {}), NoDoors(), lambda: [(tmp_path, 9)])
    assert (found.pid, found.user) == (os.getpid(), os.geteuid())
    listening = ["listening plexigate public[0] 127.0.0.1_0"] * 2
    named = found.descriptors(run.supervisor.crew)
    assert [name for name, _ in named] == [*listening, "admin /run/admin.sock", f"state {tmp_path}", "stderr"]
    assert [number for _, number in named[2:]] == [1, 9, 2]
    await run.supervisor.close()
    run.target.close(10)
    run.notified.close()
