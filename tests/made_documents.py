"""The parts of documents that are made from the code. This renews all of them:

    python -m tests.made_documents

A part stands between two comments, `<!-- made from: NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proxy.observe.alert_kinds import KINDS
from proxy.observe.metrics.metrics import GROUPS
from proxy.payload.messages.causes import Cause
from tests.configuration_reference import reference
from tests.event_reference import reference as event_reference

ROOT: Final = Path(__file__).parents[1]
COMMAND: Final = "python -m tests.made_documents"
_PART = re.compile(r"(<!-- made from: (\S+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def metric_tables() -> str:
    """All metrics: a heading and a table for each group."""
    tables = []
    for name, group in GROUPS.items():
        rows = [f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.meaning} |" for one in group]
        tables.append(
            "\n".join([f"### {name}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(tables)


def payload_causes() -> str:
    """Why payload encryption refuses a message."""
    rows = [f"| `{cause.slug}` | {cause.status} | {cause.detail} | {cause.remedy} |" for cause in Cause]
    return "\n".join(["| word | status | meaning | remedy |", "|---|---|---|---|", *rows])


def alert_kinds() -> str:
    """All kinds of alerts."""
    rows = [
        f"| `{kind}` | {facts.urgency} | {facts.subject} | {facts.meaning} | {facts.remedy} |"
        for kind, facts in KINDS.items()
    ]
    return "\n".join(["| kind | urgency | subject | meaning | what to do |", "|---|---|---|---|---|", *rows])


def configuration_keys() -> str:
    """All keys of the configuration."""
    return reference((ROOT / "config/example.toml").read_text(encoding="utf-8"))


MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    "config/schema.py": configuration_keys,
    "proxy/observe/alert_kinds.py": alert_kinds,
    "proxy/observe/events": event_reference,
    "proxy/observe/metrics/metrics.py": metric_tables,
    "proxy/payload/messages/causes.py": payload_causes,
}
"""What makes a part, by the name in its first comment."""

DOCUMENTS: Final[Mapping[str, str]] = {
    "docs/alerts.md": "proxy/observe/alert_kinds.py",
    "docs/configuration.md": "config/schema.py",
    "docs/events.md": "proxy/observe/events",
    "docs/metrics.md": "proxy/observe/metrics/metrics.py",
    "docs/payload.md": "proxy/payload/messages/causes.py",
}
"""The documents that have a part that is made, and the name of it."""


def renewed(text: str) -> str:
    """A document with its parts created again. Raises KeyError for a part that nothing makes."""
    return _PART.sub(lambda found: f"{found[1]}\n{MAKERS[found[2]]()}\n\n{found[3]}", text)


def renew(root: Path = ROOT) -> None:
    """Write all documents again."""
    for name in DOCUMENTS:
        path = root / name
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    renew()
