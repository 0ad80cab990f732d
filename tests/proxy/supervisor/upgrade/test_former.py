"""The workers of the process before are shown until they have ended."""

import asyncio
import subprocess
import sys

from proxy.supervisor.upgrade.former import FormerWorkers
from tests.descriptors import open_descriptors
from tests.waiting import until_seen


async def test_each_is_shown_until_it_ends() -> None:
    before = open_descriptors()
    former = FormerWorkers(asyncio.get_running_loop())
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE) as one,  # noqa: ASYNC220 - quick
        subprocess.Popen(command, stdin=subprocess.PIPE) as other,  # noqa: ASYNC220 - quick
        subprocess.Popen(["true"]) as gone,  # noqa: ASYNC220 - quick
    ):
        gone.wait()
        former.watch([one.pid, other.pid, gone.pid])
        assert former.pids == (one.pid, other.pid)
        assert one.stdin is not None
        one.stdin.close()
        await until_seen(lambda: former.pids == (other.pid,))
        former.close()
        assert not former.pids
        assert other.stdin is not None
        other.stdin.close()
    assert open_descriptors() == before
