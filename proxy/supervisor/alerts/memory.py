"""The open alerts on disk: after a restart, receivers get what was resolved meanwhile.

Without a state directory they are in memory only.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from certs.storage.disk import Disk
from proxy.supervisor.alerts.open_alerts import KeptRow

_LARGEST: Final = 1_048_576


def remembered(path: Path) -> list[Mapping[str, Any]]:
    """What an earlier process wrote; nothing if that cannot be read: alerts that hold are found
    again.

    Blocks.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_LARGEST))["alerts"]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []


def remember(path: Path, alerts: Sequence[KeptRow]) -> None:
    """Replace the file. Blocks."""
    # a directory that cannot be written is an alert by itself
    with contextlib.suppress(OSError):
        Disk().write(path, json.dumps({"alerts": alerts}).encode())
