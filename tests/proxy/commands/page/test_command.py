"""`plexigate page` against a running admin server."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from typer.testing import CliRunner

from proxy.commands.cli import app
from tests.proxy.admin.test_server import listening

PLEXIGATE = str(Path(sys.executable).with_name("plexigate"))


def test_proxy_that_does_not_run_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["page", "--socket", str(tmp_path / "none.sock")])
    assert done.exit_code == 1
    assert f"{tmp_path / 'none.sock'}: No such file or directory; is Plexigate running" in done.stderr


async def test_url_is_printed_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    async with listening(tmp_path) as admin:
        process = await asyncio.create_subprocess_exec(
            PLEXIGATE, "page", "--socket", str(admin.path), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", url)
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())  # noqa: S310 - its own
        assert b"<title>Plexigate</title>" in page
        process.send_signal(signal.SIGINT)
        rest = (await process.stdout.read()).decode()
        assert await process.wait() == 0
        port = url.split(":")[2].split("/")[0]
        assert f"ssh -L {port}:127.0.0.1:{port} USER@THIS-MACHINE" in rest


async def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with listening(tmp_path) as admin:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            command = [PLEXIGATE, "page", "--socket", str(admin.path), "--port", str(port)]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: " in done.stderr
    assert "choose another --port" in done.stderr
