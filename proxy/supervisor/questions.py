"""What parent and workers say to each other, beside what JSON has by itself. Without a word of what only the parent does."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.problems import Problem
from proxy.tls.tickets import TicketSecrets


def tickets_as_json(tickets: TicketSecrets) -> list[str | None]:
    """The secrets, for a worker's `prepare`."""
    return [tickets.current.hex(), None if tickets.previous is None else tickets.previous.hex()]


def tickets_from_json(secrets: Sequence[str | None]) -> TicketSecrets:
    """What `tickets_as_json` wrote."""
    current, previous = secrets
    assert current is not None  # there is always one
    return TicketSecrets(bytes.fromhex(current), None if previous is None else bytes.fromhex(previous))


def problems_as_json(problems: Sequence[Problem]) -> dict[str, Any]:
    """Why a worker cannot prepare."""
    return {"problems": [problem.as_json() for problem in problems]}


def problems_from_json(reason: Mapping[str, Any], file: Path) -> list[Problem]:
    """The same in the parent; anything else that went wrong becomes a problem of the whole file."""
    if "problems" in reason:
        return [Problem.from_json(one) for one in reason["problems"]]
    return [
        Problem(
            str(file), "", f"a worker that failed: {reason.get('error', json.dumps(reason))}", "a worker that starts"
        )
    ]
