"""Where and what was measured: figures mean nothing without it."""

import os
import platform
import re
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from proxy.processes.hot_path import hot_path


def described() -> dict[str, str]:
    """The date, the machine, the versions, the load of the minute before, and whether the hot path is compiled."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),  # noqa: TID251 - when it was
        "code": hot_path(),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {_processor()}, Linux {platform.release()}",
        "nginx": _version("/usr/sbin/nginx", "-v"),
        "haproxy": _version("/usr/sbin/haproxy", "-v"),
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _version(*command: str) -> str:
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+\.\d+", printed.stdout + printed.stderr)
    return found[0] if found else "unknown"
